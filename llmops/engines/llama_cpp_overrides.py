"""`-ot PATTERN=BUFFER,…`, `--n-cpu-moe`, `--cpu-moe`, `--n-cpu-ffn`: which tensors they move.

To llama.cpp all four are patterns of one list, in the order they are written (variables first); the first that is found
anywhere in a tensor's name wins, and a list that holds any, also one that matches nothing, turns pipelining off.
Source: llama.cpp common/arg.cpp, src/llama-model.cpp (`create_tensor`); each rule was tried on b11669.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from llmops.domain.engine import EngineSettings
from llmops.domain.model import ModelShape
from llmops.domain.records import dataclass

if TYPE_CHECKING:
    from llmops.domain.explained import GivenFlag

CPU = "CPU"
PATTERN_LIMIT = 400
EVERY_BLOCK = 1 << 16
"""More than any model has: what `--cpu-moe` comes to."""

_BLOCK = re.compile(r"(?:enc\.|dec\.)?blk\.([0-9]{1,5})\.", re.ASCII)
EXPERTS = re.compile(r"ffn_(?:up|down|gate|gate_up)_(?:ch)?exps")
DENSE = re.compile(r"\.ffn_(?:up|down|gate|gate_up)\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One pattern and the buffer it sends a tensor to (`CPU`, `CUDA1`); `blocks`: only tensors of the first so many blocks."""

    pattern: re.Pattern[str]
    buffer: str
    blocks: int | None = None

    def finds(self, name: str) -> bool:
        """Whether the pattern is found in a tensor's name."""
        if self.blocks is not None:
            match = _BLOCK.match(name)
            if match is None or int(match[1]) >= self.blocks:
                return False
        return self.pattern.search(name) is not None


def parse(text: str) -> tuple[Override, ...] | None:
    """The patterns of one `-ot`; None where the server would refuse one. A pattern cannot hold a comma or `=`."""
    made: list[Override] = []
    for part in text.split(","):
        pattern, equals, buffer = part.partition("=")
        if not equals or not buffer or len(pattern) > PATTERN_LIMIT:
            return None
        try:
            made.append(Override(pattern=re.compile(pattern, re.ASCII), buffer=buffer))
        except (re.error, OverflowError, RecursionError):
            return None
    return tuple(made)


def from_settings(settings: EngineSettings) -> tuple[Override, ...]:
    """What a plan's settings say: the experts of the first blocks."""
    count = settings.cpu_moe_layers
    return (Override(pattern=EXPERTS, buffer=CPU, blocks=count),) if count else ()


_DRAFT = {
    "--spec-draft-override-tensor": "--override-tensor",
    "--spec-draft-cpu-moe": "--cpu-moe",
    "--spec-draft-n-cpu-moe": "--n-cpu-moe",
}


def from_draft_flags(flags: "Iterable[GivenFlag]") -> tuple[Override, ...]:
    """The same of a draft model, which has options of its own (`-otd`, `-cmoed`, `-ncmoed`) and none of the model's."""
    return from_flags(replace(flag, name=_DRAFT[flag.name]) for flag in flags if flag.name in _DRAFT)


def from_flags(flags: "Iterable[GivenFlag]") -> tuple[Override, ...]:
    """The list of a command line, every one of its options in the order they were given; what cannot be read is left out."""
    made: list[Override] = []
    for flag in flags:
        if flag.name == "--override-tensor":
            made += parse(flag.value) or ()
        elif flag.name == "--cpu-moe" and flag.value == "on":
            made.append(Override(pattern=EXPERTS, buffer=CPU))
        elif flag.name in ("--n-cpu-moe", "--n-cpu-ffn") and flag.value.isdecimal() and flag.value.isascii():
            blocks = min(int(flag.value[:9]), EVERY_BLOCK)
            if blocks:
                pattern = EXPERTS if flag.name == "--n-cpu-moe" else DENSE
                made.append(Override(pattern=pattern, buffer=CPU, blocks=blocks))
    return tuple(made)


def moved(shape: ModelShape, overrides: Sequence[Override]) -> dict[str, str]:
    """Every tensor a pattern finds, and the buffer it goes to."""
    found: dict[str, str] = {}
    if not overrides:
        return found
    for tensor in shape.tensors:
        first = next((one for one in overrides if one.finds(tensor.name)), None)
        if first is not None:
            found[tensor.name] = first.buffer
    return found
