"""Which of a model's quantizations are worth a look at their headers, by the sizes of their files alone."""

from collections.abc import Mapping, Sequence

QUALITY = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K")
"""What `quantization: auto` tries of a catalogue model, the best first; 16 bit only when it is asked for."""

WIDE = frozenset({"F32", "F16", "BF16"})
RUNGS = 5
"""A header is 1 to 17 MB to fetch: this many are looked at."""


def rungs(sizes_bytes: Mapping[str, int], *, rooms_bytes: Sequence[int]) -> tuple[str, ...]:
    """Labels to try, the largest first, each at most 7/8 as large as the one before.

    They start at the largest that is within the first room that holds any (the cards, then cards and RAM together), and go
    down from there, since KV cache and buffers want room too: the largest that is small enough need not fit. 16 bit is left
    out where there is anything else. Nothing is within any room: the smallest, whose plan says what is missing.
    """
    narrow = {label: size for label, size in sizes_bytes.items() if label not in WIDE} or dict(sizes_bytes)
    by_size = sorted(narrow, key=lambda label: (-narrow[label], label))
    within = next(
        (few for room in rooms_bytes if (few := [label for label in by_size if narrow[label] <= room])), by_size[-1:]
    )
    chosen = within[:1]
    for label in within[1:]:
        if 8 * narrow[label] <= 7 * narrow[chosen[-1]]:
            chosen.append(label)
    return tuple(chosen[:RUNGS])
