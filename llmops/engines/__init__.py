"""What each server can do, what memory it takes, how it is started, what its flags mean."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, cast

from llmops.domain.engine import Engine, EngineName


class _Modules(Mapping[EngineName, Engine]):
    """Each engine is imported when it is asked for: a plan needs one."""

    def __init__(self, names: Mapping[EngineName, str]) -> None:
        self._names = names

    def __getitem__(self, name: EngineName) -> Engine:
        return cast("Engine", import_module(f"llmops.engines.{self._names[name]}"))

    def __iter__(self) -> Iterator[EngineName]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


if TYPE_CHECKING:  # here each module is held against `Engine`
    from llmops.engines import llama_cpp, ollama, sglang, tgi, vllm

    ENGINES: Mapping[EngineName, Engine] = {
        EngineName.LLAMA_CPP: llama_cpp,
        EngineName.VLLM: vllm,
        EngineName.OLLAMA: ollama,
        EngineName.SGLANG: sglang,
        EngineName.TGI: tgi,
    }
else:
    ENGINES = _Modules(
        {
            EngineName.LLAMA_CPP: "llama_cpp",
            EngineName.VLLM: "vllm",
            EngineName.OLLAMA: "ollama",
            EngineName.SGLANG: "sglang",
            EngineName.TGI: "tgi",
        }
    )
"""The engines that can be planned."""
