"""A catalogue row's tensors in a few dozen groups that every file type stores alike: sizes of all file types in no time.

The types come from the same rules as `quantized.py`; a law (tests) keeps both at the same sum.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from llmops.domain.catalogue import ModelRow
from llmops.domain.model import Tensor
from llmops.domain.records import dataclass
from llmops.domain.tensor_types import TENSOR_TYPES
from llmops.sizing.family_tensors import parts
from llmops.sizing.file_types import (
    DEFAULTS,
    NEEDS_MATRIX,
    Category,
    Chooser,
    Facts,
    Position,
    more_bits,
    positions,
    role_in_block,
)
from llmops.sizing.parts import Kept, Part
from llmops.sizing.quantized import CONVERTED, facts

ON_HOST = frozenset({"token_embd.weight", "per_layer_token_embd.weight"})
"""Looked up row by row: llama.cpp leaves them in RAM. A tied output is a second copy on the card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Equal tensors of several blocks: one of them, and how many."""

    first: Part
    where: Position | None
    count: int

    def elements(self) -> int:
        """Of all of them."""
        return self.count * self.first.elements()


class Stored(NamedTuple):
    """A file type's bytes: in all, and of those what lies on the cards when every layer does."""

    quantization: str
    total_bytes: int
    card_bytes: int


class _Chosen(NamedTuple):
    where: Position
    elements: int
    on_card: bool


class Grouped:
    """The groups of one row."""

    __slots__ = ("_chosen", "_facts", "_facts_with_matrix", "_groups", "_kept")

    def __init__(self, row: ModelRow) -> None:
        found = parts(row)
        self._facts = facts(row, found, has_matrix=False)
        self._facts_with_matrix = replace(self._facts, has_matrix=True)
        self._groups = _groups(found, self._facts, mtp_block=row.layers)
        self._chosen = [
            _Chosen(one.where, one.elements(), self._is_on_card(one.first.name))
            for one in self._groups
            if one.where is not None
        ]
        kept = [one for one in self._groups if one.where is None]
        self._kept = [(one.first.kept is Kept.F32, one.elements(), self._is_on_card(one.first.name)) for one in kept]

    def stored(self, quantization: str) -> Stored | None:
        """One file type; None where llama-quantize cannot make it."""
        chooser = self._chooser(quantization)
        converted = TENSOR_TYPES[CONVERTED.get(quantization, "BF16")].block_bytes
        total = card = 0
        for is_f32, elements, on_card in self._kept:
            size = elements * (4 if is_f32 else converted)
            total += size
            if on_card:
                card += size
        for where, elements, on_card in self._chosen:
            kind = chooser.type_of(where)
            if kind is None:
                return None
            size = TENSOR_TYPES[kind].row_bytes(elements)
            total += size
            if on_card:
                card += size
        return Stored(quantization, total, card)

    def every(self, kinds: Iterable[str] = DEFAULTS) -> tuple[Stored, ...]:
        """All file types that can be made, in their order."""
        return tuple(one for kind in kinds if (one := self.stored(kind)) is not None)

    def tensors(self, quantization: str) -> tuple[Tensor, ...]:
        """Each group as one tensor, for what depends on bytes by kind alone (speed)."""
        chooser, converted = self._chooser(quantization), CONVERTED.get(quantization, "BF16")
        made = []
        for group in self._groups:
            kind: str | None = "F32" if group.first.kept is Kept.F32 else converted
            if group.where is not None:
                kind = chooser.type_of(group.where)
            columns = group.first.dims[0]
            made.append(Tensor(group.first.name, (columns, group.elements() // columns), kind or "F16"))
        return tuple(made)

    def _chooser(self, quantization: str) -> Chooser:
        return Chooser(quantization, self._facts_with_matrix if quantization in NEEDS_MATRIX else self._facts)

    def _is_on_card(self, name: str) -> bool:
        if name == "token_embd.weight":
            return self._facts.tied
        return name not in ON_HOST and not name.startswith("mtp.")


def _groups(found: tuple[Part, ...], known: Facts, *, mtp_block: int) -> tuple[Group, ...]:
    chosen = positions(((part.name, part.dims) for part in found if part.kept is Kept.CHOSEN), known)
    groups: dict[object, tuple[Part, Position | None, int]] = {}
    for part in found:
        where = next(chosen) if part.kept is Kept.CHOSEN else None
        is_mtp = part.name.startswith(f"blk.{mtp_block}.")
        _, role = role_in_block(part.name)
        key = (role, part.dims, is_mtp, None if where is None else _signature(where, known))
        if key in groups:
            first, at, count = groups[key]
            groups[key] = (first, at, count + 1)
        else:
            named = part._replace(name=f"mtp.{role}") if is_mtp else part
            groups[key] = (named, where, 1)
    return tuple(Group(first=first, where=at, count=count) for first, at, count in groups.values())


def _signature(where: Position, known: Facts) -> tuple[object, ...] | None:
    """All that any rule asks of a tensor's place: tensors that agree in it are stored alike."""
    if known.is_value(where.kind):
        at = where.values
        return at < 2, at < 4, more_bits(at, known.values)
    if where.kind not in (Category.DOWN, Category.UP, Category.GATE):
        return None
    n = known.blocks
    at = where.block if known.experts > 1 else where.seen
    return at < n // 16, at < n // 8, at >= 7 * n // 8, more_bits(at, n), where.seen < n // 8
