"""Which layers llama-server's `--fit` leaves on the cards when not all of them have room.

Source: llama.cpp common/fit.cpp of 2026-07 (`common_params_fit_impl`), memory measured with the ledger here. The context is given
by Ollama, so only weights move. Dense: each card from the last one on takes as many whole layers as leave its target free.
Experts: all of them are taken to RAM first; then from the first card on as many layers as have room come back whole, and of one
more layer what still has room. Compared with the real server in docs/ollama.md.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import partial

from llmops.domain.engine import Device, EngineSettings
from llmops.domain.ledger import Ledger
from llmops.domain.model import ModelShape
from llmops.domain.records import dataclass
from llmops.engines.llama_cpp_overrides import CPU, Override

Weigh = Callable[[EngineSettings, tuple[Override, ...]], Ledger]


class Rest(StrEnum):
    """What of a layer is not on its card: all of the feed-forward, all but `up`, `down` alone, or the experts."""

    FEED_FORWARD = r"ffn_(gate|up|gate_up|down).*"
    ALL_BUT_UP = r"ffn_(gate|gate_up|down).*"
    DOWN = r"ffn_down.*"
    EXPERTS = r"ffn_(up|down|gate_up|gate)_(ch|)exps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One card's layers, the last `parts` of them without their experts; of the first of these `rest` goes to `buffer`."""

    layers: int = 0
    parts: int = 0
    rest: Rest = Rest.EXPERTS
    buffer: str = CPU


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The settings, and the tensors that are moved beside them."""

    settings: EngineSettings
    overrides: tuple[Override, ...] = ()
    moved: bool = False


def fitted(
    shape: ModelShape, settings: EngineSettings, devices: Sequence[Device], targets_bytes: Sequence[int], weigh: Weigh
) -> Fitted:
    """What stays on the cards; unchanged where everything leaves the targets free."""
    room = _Room(shape=shape, settings=settings, targets=tuple(targets_bytes), weigh=weigh)
    if not devices or room.holds(Fitted(settings=settings)):
        return Fitted(settings=settings)
    has_experts = any(layer.experts for layer in shape.layers)
    shares = room.filled(without_experts=has_experts)
    if has_experts:
        pattern = Override(pattern=re.compile(Rest.EXPERTS.value, re.ASCII), buffer=CPU)
        if room.surplus(Fitted(settings=settings, overrides=(pattern,))) > 0:
            shares = _Return(room=room, shares=shares).filled()
    return room.made(shares)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Room:
    """What a distribution takes on each card, and whether it leaves the card's target free."""

    shape: ModelShape
    settings: EngineSettings
    targets: tuple[int, ...]
    weigh: Weigh

    def layers(self) -> int:
        """Layers that can be on cards, the output as one."""
        return len(self.shape.layers) + self.shape.mtp_layers + 1

    def spares(self, one: Fitted) -> list[int]:
        """What each card has beyond its target, as `--fit` measures it.

        With layers and output on several cards it measures each but the first 16 · rows · embedding too large.
        """
        made = self.weigh(one.settings, one.overrides)
        count = one.settings.gpu_layers
        pipelined = len(self.targets) > 1 and not one.overrides and (count is None or count >= self.layers())
        extra = 16 * min(one.settings.ubatch_tokens, one.settings.context_size) * self.shape.embedding_length
        return [
            card.free_bytes - card.total_bytes() - target - (extra if pipelined and at else 0)
            for at, (card, target) in enumerate(zip(made.devices, self.targets, strict=True))
        ]

    def holds(self, one: Fitted) -> bool:
        """Whether every card's target is left free."""
        return all(spare >= 0 for spare in self.spares(one))

    def surplus(self, one: Fitted) -> int:
        """What all cards together have beyond their targets."""
        return sum(self.spares(one))

    def made(self, shares: Sequence[Share]) -> Fitted:
        """A distribution as settings and overrides."""
        counts = [share.layers for share in shares]
        split = tuple(float(one) for one in counts) if len(counts) > 1 and any(counts) else ()
        settings = replace(self.settings, gpu_layers=sum(counts), tensor_split=split)
        return Fitted(settings=settings, overrides=tuple(self._overrides(shares)), moved=True)

    def _overrides(self, shares: Sequence[Share]) -> list[Override]:
        found: list[Override] = []
        layer = self.layers() - sum(share.layers for share in shares)
        for share in shares:
            layer += share.layers - share.parts
            for at in range(share.parts):
                rest, buffer = (Rest.EXPERTS, CPU) if at else (share.rest, share.buffer)
                pattern = re.compile(rf"blk\.{layer + at}\.{rest.value}", re.ASCII)
                found.append(Override(pattern=pattern, buffer=buffer))
            layer += share.parts
        return found

    def filled(self, *, without_experts: bool) -> list[Share]:
        """As many layers as have room, the last card first; without their experts, but for the output."""
        shares = [Share() for _ in self.targets]
        for card in reversed(range(len(shares))):
            left = self.layers() - sum(share.layers for share in shares)
            has_room = partial(self._has_room, shares, card, without_experts)
            shares = self._given(shares, card, without_experts, _most(left, has_room))
        return shares

    def _has_room(self, shares: Sequence[Share], card: int, without_experts: bool, count: int) -> bool:  # noqa: FBT001
        return self.spares(self.made(self._given(shares, card, without_experts, count)))[card] >= 0

    def _given(self, shares: Sequence[Share], card: int, without_experts: bool, count: int) -> list[Share]:  # noqa: FBT001
        whole = 1 if card == len(shares) - 1 else 0  # the output, which has no experts
        parts = max(count - whole, 0) if without_experts else 0
        return _changed(shares, card, Share(layers=count, parts=parts))


@dataclass(slots=True, kw_only=True)
class _Return:
    """Experts that come back from RAM: layers without them, the last of all, become whole ones from the first card on."""

    room: _Room
    shares: list[Share]
    first: int = 0
    """The first card that has layers without experts."""

    def filled(self) -> list[Share]:
        cards = len(self.shares)
        self.first = next((at + 1 for at in reversed(range(cards)) if not self.shares[at].layers), 0)
        card = 0
        while card <= self.first < cards:
            self._whole(card)
            self._part(card)
            card += 1
        return self.shares

    def _whole(self, card: int) -> None:
        limit = sum(share.parts for share in self.shares[self.first :])
        if not limit:
            return
        count = _most(limit, lambda count: self._spares(self._converted(card, count)[0])[card] >= 0)
        self.shares, self.first = self._converted(card, count)

    def _spares(self, shares: Sequence[Share]) -> list[int]:
        return self.room.spares(self.room.made(shares))

    def _converted(self, card: int, count: int) -> tuple[list[Share], int]:
        """`count` layers, from the first card that has some without experts, whole and on `card`."""
        shares, first, left = list(self.shares), self.first, count
        while first < len(shares):
            taken = min(left, shares[first].parts)
            share = shares[first]
            shares[first] = replace(share, layers=share.layers - taken, parts=share.parts - taken)
            shares[card] = replace(shares[card], layers=shares[card].layers + taken)
            left -= taken
            if shares[first].parts > 0 or first == len(shares) - 1:
                break
            first += 1
        return shares, first

    def _part(self, card: int) -> None:
        """A part of one more layer; what is left of it goes to the next card, from the last one to RAM."""
        last = len(self.shares) - 1
        if self.first > last or self.shares[self.first].layers <= (0 if card < last else 1):
            return
        shares, first = self._one_more(card)
        buffer = f"CUDA{card + 1}" if card < last else CPU
        for rests in ((Rest.ALL_BUT_UP, Rest.DOWN), (Rest.FEED_FORWARD,)):
            is_taken = False
            for rest in rests:
                tried = _changed(shares, card, replace(shares[card], rest=rest, buffer=buffer))
                spares = self._spares(tried)
                if spares[card] <= 0 or (card < last and spares[card + 1] <= 0):
                    break
                self.shares, self.first, is_taken = tried, first, True
            if is_taken:
                return

    def _one_more(self, card: int) -> tuple[list[Share], int]:
        shares, first = list(self.shares), self.first
        shares[first] = replace(shares[first], layers=shares[first].layers - 1, parts=shares[first].parts - 1)
        shares[card] = replace(shares[card], layers=shares[card].layers + 1, parts=shares[card].parts + 1)
        return shares, first + (shares[first].parts == 0)


def _changed(shares: Sequence[Share], card: int, share: Share) -> list[Share]:
    return [share if at == card else one for at, one in enumerate(shares)]


def _most(limit: int, holds: Callable[[int], bool]) -> int:
    """The largest count up to `limit` that holds, where fewer hold as well; 0 where none does."""
    if limit and holds(limit):
        return limit
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low
