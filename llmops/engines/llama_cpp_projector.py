"""What a projector (`--mmproj`) takes: its weights, and the buffers of the largest run it is asked for. llama.cpp b11669.

The server measures one image of a size that its kind fixes ("warmup with image size"); a larger image makes the buffers grow
when it comes. Both are counted: the ledger holds the larger. Source: tools/mtmd/clip.cpp (`load_hparams`, `warmup`), mtmd.cpp.
"""

from dataclasses import replace
from math import isqrt

from llmops.domain.companions import Projector, Tower
from llmops.domain.engine import EngineSettings, FlashAttention, Images
from llmops.domain.ledger import Confidence
from llmops.domain.records import dataclass
from llmops.engines.llama_cpp_placement import HOST, Placement, cuda_tensor_bytes, host_tensor_bytes
from llmops.engines.llama_cpp_simulation import EQUAL_HEADS, allocated
from llmops.engines.llama_cpp_tower import Encoder
from llmops.engines.llama_cpp_towers import TOWERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Dynamic:
    """How a kind that takes images of any size limits them: tokens of an image at most, tokens of the image measured at start."""

    merge: int
    most_tokens: int
    start_tokens: int


DYNAMIC: dict[str, Dynamic] = {
    "qwen2vl_merger": Dynamic(merge=2, most_tokens=4096, start_tokens=46 * 46),
    "qwen2.5vl_merger": Dynamic(merge=2, most_tokens=4096, start_tokens=46 * 46),
    "qwen3vl_merger": Dynamic(merge=2, most_tokens=4096, start_tokens=46 * 46),
    "glm4v": Dynamic(merge=2, most_tokens=4096, start_tokens=46 * 46),
    "pixtral": Dynamic(merge=1, most_tokens=1024, start_tokens=256),
    "kimivl": Dynamic(merge=2, most_tokens=1024, start_tokens=256),
}
"""`set_limit_image_tokens` and `set_warmup_n_tokens`; `merge` where the file does not say it."""

FIXED_MERGE = {"gemma3": 4, "internvl": 2, "idefics3": 1}

UNKNOWN_TOKENS = 4096
"""Tokens of an image of a kind whose limit is not known here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffers:
    """Bytes on the card and in RAM."""

    card: int
    host: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectorMemory:
    """Weights, the compute buffers of a start, and of the largest run; `card` parts are in RAM where it is not offloaded."""

    weights: Buffers
    start: Buffers
    largest: Buffers
    confidence: Confidence
    notes: tuple[str, ...] = ()


def projector_memory(projector: Projector, settings: EngineSettings, *, on_card: bool) -> ProjectorMemory:
    """The memory of a projector on one card, or in RAM."""
    asked = settings.images or Images()
    known = all(tower.kind in TOWERS for tower in projector.towers)
    starts, mosts = [], []
    sure = Confidence.EXACT if known else Confidence.LOW
    notes: list[str] = []
    for tower in projector.towers:
        first, most = start_patches(tower), largest_patches(tower, asked)
        try:
            starts.append(_measured(projector, tower, settings, first, on_card=on_card))
            mosts.append(_measured(projector, tower, settings, most, on_card=on_card))
        except (LookupError, ValueError, ArithmeticError):  # a kind, or a file, whose graph is not known
            sure = Confidence.LOW
            notes.append(f"projector `{tower.kind}`: its compute buffer is an upper bound")
            starts.append(bound(projector, tower, most, on_card=on_card))
            mosts.append(starts[-1])
        runs = most_images(tower, most, asked)
        mosts[-1] = Buffers(card=mosts[-1].card * runs, host=mosts[-1].host * runs)
    if on_card:
        weights = Buffers(card=sum(cuda_tensor_bytes(tensor) for tensor in projector.tensors), host=0)
    else:
        weights = Buffers(card=0, host=sum(host_tensor_bytes(tensor) for tensor in projector.tensors))
    start, largest = _sum(starts), _sum(mosts)
    if (largest.card, largest.host) != (start.card, start.host):
        sure = sure.weaker(Confidence.CALIBRATED)
        notes.append("the projector is counted with its largest image; it starts with less")
    return ProjectorMemory(weights=weights, start=start, largest=largest, confidence=sure, notes=tuple(notes))


def _sum(parts: list[Buffers]) -> Buffers:
    return Buffers(card=sum(one.card for one in parts), host=sum(one.host for one in parts))


def merge_of(tower: Tower) -> int:
    """Patches a side that become one token."""
    known = DYNAMIC.get(tower.kind)
    return tower.merge or (known.merge if known is not None else FIXED_MERGE.get(tower.kind, 1))


def start_patches(tower: Tower) -> tuple[int, int]:
    """Patches of the image that is measured at the start: `sqrt(tokens) · merge`, or the file's image size."""
    known = DYNAMIC.get(tower.kind)
    side = tower.image_size // tower.patch_size if known is None else isqrt(known.start_tokens) * merge_of(tower)
    return side, side


def largest_patches(tower: Tower, asked: Images) -> tuple[int, int]:
    """Patches of the largest image: the limit of its kind, of its file, or of `--image-max-tokens`; nearly a square."""
    known = DYNAMIC.get(tower.kind)
    each = merge_of(tower)
    if known is None:
        side = (
            2 * isqrt(UNKNOWN_TOKENS) if tower.kind not in TOWERS else 0
        )  # a kind not known may take images of any size
        return (max(side, start_patches(tower)[0]),) * 2
    unit = (tower.patch_size * each) ** 2
    tokens = asked.maximum_tokens or max(known.most_tokens, tower.maximum_pixels // unit)
    tokens = max(tokens, asked.minimum_tokens or 0)
    high = isqrt(tokens)
    wide = -(-tokens // high)
    return max(wide * each, start_patches(tower)[0]), max(high * each, start_patches(tower)[1])


def most_images(tower: Tower, patches: tuple[int, int], asked: Images) -> int:
    """Images of one run: as many as `--mtmd-batch-max-tokens` holds."""
    if tower.is_audio or tower.kind in ONE_AT_A_TIME:
        return 1
    tokens = max(patches[0] * patches[1] // merge_of(tower) ** 2, 1)
    return max(asked.batch_tokens // tokens, 1)


ONE_AT_A_TIME = frozenset(DYNAMIC) | {"gemma3"}
"""Kinds whose images stand between words, so that each is a run of its own; slices of one image follow each other."""


def is_flash(tower: Tower, settings: EngineSettings, *, on_card: bool) -> bool:
    """`auto` takes the fused kernel where there is one; `on` takes it in any case, on the processor if need be."""
    if settings.flash_attention is FlashAttention.OFF:
        return False
    length = tower.width // tower.heads
    return settings.flash_attention is FlashAttention.ON or not on_card or length in EQUAL_HEADS


def _measured(
    projector: Projector, tower: Tower, settings: EngineSettings, patches: tuple[int, int], *, on_card: bool
) -> Buffers:
    flash = is_flash(tower, settings, on_card=on_card)
    tower = replace(tower, merge=merge_of(tower))
    encoder = Encoder(projector, tower, home=0, flash=flash, wide=patches[0], high=patches[1])
    graph = TOWERS[tower.kind](encoder)
    sizes = allocated(graph, _alone(on_card=on_card))
    return Buffers(card=sizes[0], host=sizes[1]) if on_card else Buffers(card=0, host=sizes[0])


def _alone(*, on_card: bool) -> Placement:
    place = 0 if on_card else HOST
    return Placement(layers=(place,), output=place, offloaded_layers=1, cards=int(on_card), kv_offload=True)


def bound(projector: Projector, tower: Tower, patches: tuple[int, int], *, on_card: bool) -> Buffers:
    """A graph that is not known: the image, its patches as columns, and some twelve rows of its width and four of its widest.

    Without a fused kernel the scores of all heads come on top.
    """
    count = patches[0] * patches[1] if not tower.is_audio else 1500
    pixels = 4 * 3 * count * tower.patch_size**2
    widest = max((tensor.dims[-1] for tensor in projector.tensors if len(tensor.dims) == 2), default=tower.width)
    rows = 4 * count * (12 * tower.width + 4 * max(tower.feed_forward, 4 * tower.width) + widest)
    length = tower.width // tower.heads
    scores = 0 if length in EQUAL_HEADS else 8 * count * count * tower.heads
    mask = 2 * count * count
    total = 2 * pixels + rows + scores + mask
    return Buffers(card=total, host=2 * pixels + mask) if on_card else Buffers(card=0, host=total)
