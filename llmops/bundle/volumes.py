"""A bundle's tar archive as one zstd file, or as several that `cat` joins: which bytes are in which volume.

Each volume begins with a frame that decoders skip and that says whose part it is. The text comes first, compressed, in the
first volume; behind it the rest lies stored, cut between two frames, so that each volume is a whole zstd file.
"""

import json

from llmops.bundle.refusal import UNPACK, refusal
from llmops.bundle.stored_zstd import SKIPPABLE, content_that_fits, skippable, stored_size
from llmops.domain.errors import WrongUsage
from llmops.domain.forms import FormError, dump, load
from llmops.domain.records import dataclass
from llmops.domain.units import MIB, size_text

SCHEMA = "llmops.volume/1"
LABEL_BYTES = 512
TEXT_LIMIT = 64 * MIB
"""The most that a bundle's text may take, packed or not: it is read into memory."""

SPLIT_LEAST = MIB
VOLUMES_LIMIT = 9_999
NOT_OURS = "not a bundle in the form that `llmops bundle create --tar` writes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """What a volume says of itself: `bundle` is the sha256 of the checksums, `text_bytes` the packed text (first one only).

    It holds `length` bytes of the stored part, from `start` on, of `total` in all volumes.
    """

    schema: str = SCHEMA
    bundle: str
    number: int
    of: int
    text_bytes: int
    start: int
    length: int
    total: int

    def label(self) -> bytes:
        """Its first bytes."""
        text = json.dumps(dump(self), separators=(",", ":")).encode()
        return skippable(text.ljust(LABEL_BYTES - 8))

    def size(self) -> int:
        """How long its file is."""
        return LABEL_BYTES + self.text_bytes + stored_size(self.length)


def lay_out(*, bundle: str, text_bytes: int, total: int, split: int | None) -> tuple[Volume, ...]:
    """The volumes, none longer than `split`. Raises `WrongUsage` where that is too short or makes too many."""
    parts: list[tuple[int, int]] = []
    start = 0
    while not parts or start < total:
        taken = LABEL_BYTES + (text_bytes if not parts else 0)
        length = total - start if split is None else min(total - start, content_that_fits(split - taken))
        if length <= 0 or len(parts) >= VOLUMES_LIMIT:
            hint = f"`--split` of at least {size_text(max(SPLIT_LEAST, 2 * text_bytes, total // 9_000))}"
            raise WrongUsage("`--split` is too short for this bundle", hint=hint)
        parts.append((start, length))
        start += length
    return tuple(
        Volume(
            bundle=bundle,
            number=at + 1,
            of=len(parts),
            text_bytes=0 if at else text_bytes,
            start=start,
            length=length,
            total=total,
        )
        for at, (start, length) in enumerate(parts)
    )


def parse_label(data: bytes, *, name: str) -> Volume:
    """What a volume says of itself. Raises `WrongInput` for a file that is none, or whose figures cannot be."""
    if len(data) < LABEL_BYTES or data[:4] != SKIPPABLE or data[4:8] != skippable(bytes(LABEL_BYTES - 8))[4:8]:
        raise refusal(name, NOT_OURS, hint=UNPACK)
    try:
        volume = load(Volume, json.loads(data[8:LABEL_BYTES]))
    except (ValueError, RecursionError):
        raise refusal(name, NOT_OURS, hint=UNPACK) from None
    except FormError as error:
        raise refusal(name, error.message, hint="copy it again", key=error.key()) from None
    sane = (
        volume.schema == SCHEMA
        and 1 <= volume.number <= volume.of <= VOLUMES_LIMIT
        and 0 <= volume.start <= volume.start + volume.length <= volume.total <= 1 << 50
        and 0 <= volume.text_bytes <= TEXT_LIMIT
        and (volume.text_bytes > 0) == (volume.number == 1)
    )
    if not sane or volume.label() != data[:LABEL_BYTES]:
        raise refusal(name, "what it says of itself cannot be", hint="copy it again, or make the bundle again")
    return volume
