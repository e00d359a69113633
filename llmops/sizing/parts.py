"""One tensor that a model of a family has, before it is known how it will be stored."""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple


class Kept(StrEnum):
    """How llama-quantize treats a tensor: `chosen` by the file type's rules, or left as the converter wrote it."""

    CHOSEN = "chosen"
    F32 = "F32"
    CONVERTED = "converted"


class Part(NamedTuple):
    """`dims` fastest first. `counted` False: only GGUF files have it, the published count has not."""

    name: str
    dims: tuple[int, ...]
    kept: Kept = Kept.CHOSEN
    counted: bool = True

    def elements(self) -> int:
        """How many numbers it holds."""
        count = 1
        for dim in self.dims:
            count *= dim
        return count


def matrix(name: str, *dims: int) -> Part:
    """A weight that the file type decides about."""
    return Part(f"{name}.weight", dims)


def vector(name: str, *dims: int) -> Part:
    """A small weight, always F32."""
    return Part(f"{name}.weight", dims, Kept.F32)


def bias(name: str, *dims: int) -> Part:
    """A bias, always F32."""
    return Part(f"{name}.bias", dims, Kept.F32)


def bare(name: str, *dims: int) -> Part:
    """A small tensor whose name has no ending, always F32."""
    return Part(name, dims, Kept.F32)


def only_in_file(part: Part) -> Part:
    """A part that the published count leaves out."""
    return part._replace(counted=False)


def norm(name: str, width: int, *, has_bias: bool = False) -> Iterator[Part]:
    """A norm's weight, and its bias where it has one."""
    yield vector(name, width)
    if has_bias:
        yield bias(name, width)
