"""What each server can do, what memory it takes, how it is started, what its flags mean."""

from llmops.domain.engine import Engine, EngineName
from llmops.engines import llama_cpp, vllm

ENGINES: dict[EngineName, Engine] = {EngineName.LLAMA_CPP: llama_cpp, EngineName.VLLM: vllm}
"""The engines that can be planned."""
