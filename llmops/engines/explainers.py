"""The engines whose command lines can be explained."""

from llmops.domain.engine import EngineName
from llmops.domain.explained import Explainer
from llmops.engines import llama_cpp_explained, ollama_explained, vllm_explained

EXPLAINERS: dict[EngineName, Explainer] = {
    EngineName.LLAMA_CPP: llama_cpp_explained,
    EngineName.VLLM: vllm_explained,
    EngineName.OLLAMA: ollama_explained,
}
