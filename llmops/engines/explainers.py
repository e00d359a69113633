"""The engines whose command lines can be explained."""

from llmops.domain.engine import EngineName
from llmops.domain.explained import Explainer
from llmops.engines import llama_cpp_explained, ollama_explained, sglang_explained, tgi_explained, vllm_explained

EXPLAINERS: dict[EngineName, Explainer] = {
    EngineName.LLAMA_CPP: llama_cpp_explained,
    EngineName.VLLM: vllm_explained,
    EngineName.OLLAMA: ollama_explained,
    EngineName.SGLANG: sglang_explained,
    EngineName.TGI: tgi_explained,
}
