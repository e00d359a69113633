"""GGUF files of any size that are only a header: the weights are a hole that reads as zeros and takes no memory.

from headers import HeaderOnly, header_only, measured_model
file = header_only({"general.architecture": "llama", …}, [("token_embd.weight", (4096, 128256), "Q4_K"), …])
read_header(file.read, name="model.gguf", file_bytes=file.file_bytes)
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from llmops.domain.model import Tensor
from llmops.domain.units import padded
from llmops.formats.gguf_values import Writable
from llmops.formats.gguf_writer import header_bytes

ALLOCATIONS = Path(__file__).parent / "measured" / "llama.cpp" / "allocations.json"


@dataclass
class HeaderOnly:
    """A file of `file_bytes` bytes of which only `header` is not zero; counts its reads and what they asked for."""

    header: bytes
    file_bytes: int
    requests: list[tuple[int, int]] = field(default_factory=list)

    def read(self, offset: int, length: int) -> bytes:
        self.requests.append((offset, length))
        end = min(offset + length, self.file_bytes)
        stored = self.header[offset:end]
        return stored + bytes(max(0, end - offset - len(stored)))


def header_only(
    metadata: Mapping[str, Writable], tensors: Iterable[Tensor | tuple[str, tuple[int, ...], str]]
) -> HeaderOnly:
    """The header of a GGUF file with these keys and tensors, in a file as large as the weights would make it."""
    table = [one if isinstance(one, Tensor) else Tensor(*one) for one in tensors]
    header = header_bytes(metadata, table)
    return HeaderOnly(header, len(header) + sum(padded(tensor.data_bytes(), 32) for tensor in table))


@cache
def allocations() -> dict[str, Any]:
    """`tests/measured/llama.cpp/allocations.json`: {"source", "models", "rows"}."""
    loaded: dict[str, Any] = json.loads(ALLOCATIONS.read_text())
    return loaded


def measured_metadata(name: str, **more: Writable) -> dict[str, Writable]:
    """The GGUF keys of a model of `allocations()`, with the architecture's prefix."""
    model = allocations()["models"][name]
    own = {f"{model['arch']}.{key}": value for key, value in model["kv"].items()}
    return {"general.architecture": model["arch"], "general.name": name, **own, **more}


def measured_tensors(name: str) -> tuple[Tensor, ...]:
    """The tensor list of a model of `allocations()`."""
    rows = allocations()["models"][name]["tensors"]
    return tuple(Tensor(tensor, tuple(dims), kind) for tensor, dims, kind in rows)


def measured_model(name: str, **more: Writable) -> HeaderOnly:
    """A header-only file of a model of `allocations()`: one of the names of its `models`, such as `llama3-8b`."""
    return header_only(measured_metadata(name, **more), measured_tensors(name))
