"""How large a published GGUF file will be: by the file type's rules, or a range where the publisher has recipes of its own.

The ranges (`recipe_spans.py`) are what published files measured against the rules; a name's class decides, never a model.
Headers: vocabulary and merges of the known tokenizers.
"""

import re
from typing import NamedTuple

from llmops.domain.catalogue import ModelRow
from llmops.domain.ledger import Confidence
from llmops.domain.model import Tensor
from llmops.domain.records import dataclass
from llmops.domain.tensor_types import TENSOR_TYPES
from llmops.domain.units import padded
from llmops.sizing.family_tensors import parts
from llmops.sizing.file_types import DEFAULTS, NEEDS_MATRIX
from llmops.sizing.quantized import facts, is_covered, tensors
from llmops.sizing.recipe_spans import Span, kind_of, recipe_of, span_of

ALIGNMENT = 32
PLAIN_ERROR = 0.01
PLAIN_TYPES = frozenset({"F16", "BF16", "F32"})
WITH_MATRIX = frozenset({"bartowski", "unsloth"})
"""Publishers that always use an importance matrix; mradermacher says so by `i1-` in the name."""

OWN_NAMES = {
    "bartowski": ("Q6_K_L", "Q5_K_L", "Q4_K_L", "Q3_K_XL", "Q2_K_L"),
    "unsloth": (
        *("UD-Q8_K_XL", "UD-Q6_K_XL", "UD-Q6_K", "UD-Q5_K_XL", "UD-Q5_K_M", "UD-Q5_K_S", "UD-Q4_K_XL", "UD-Q4_K_M"),
        *("UD-Q4_K_S", "UD-IQ4_NL", "UD-IQ4_XS", "UD-Q3_K_XL", "UD-Q3_K_M", "UD-Q3_K_S", "UD-IQ3_S", "UD-IQ3_XXS"),
        *("Q2_K_L", "UD-Q2_K_XL", "UD-IQ2_M", "UD-IQ2_XXS", "UD-IQ1_M", "UD-IQ1_S", "UD-TQ1_0"),
    ),
}
"""Names that only a publisher has, those of `tests/measured/gguf/gguf_sizes.json`; the largest first."""

_LONG_NAMES = {"Small": "S", "Medium": "M", "Large": "L"}
_SHORT_NAMES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}
_EXTRA = re.compile(r"^(Q[2-8])_K_(XL|L)$")
_BASES = {"Q2": "Q2_K", "Q3": "Q3_K_M", "Q4": "Q4_K_M", "Q5": "Q5_K_M", "Q6": "Q6_K", "Q8": "Q8_0"}


class Label(NamedTuple):
    """A quantization's name: the file type it starts from, how its publisher lifts it, and whether it says `i1-`.

    `lifted`: "" by the rules, "L" with embeddings and output at Q8_0, "UD" a recipe tensor by tensor.
    """

    base: str
    lifted: str = ""
    says_matrix: bool = False


def label(text: str) -> Label | None:
    """What a name such as `Q4_K_M`, `Q4_K - Medium`, `UD-Q4_K_XL`, `Q6_K_L` or `i1-IQ2_M` starts from; None: not known."""
    name = re.sub(r"\s+-\s+[\d.]+ bpw$", "", text.strip())
    long = re.fullmatch(r"(\w+) - (Small|Medium|Large)", name)
    if long is not None:
        name = long[1] if long[1] == "Q2_K" else f"{long[1]}_{_LONG_NAMES[long[2]]}"
    says_matrix = name.lower().startswith("i1-")
    name = (name[3:] if says_matrix else name).upper()
    dynamic = name.startswith("UD-")
    name = name.removeprefix("UD-")
    name = _SHORT_NAMES.get(name, name)
    if name in DEFAULTS:
        return Label(name, "UD" if dynamic else "", says_matrix)
    extra = _EXTRA.match(name)
    if extra is None:
        return None
    return Label(_BASES[extra[1]], "UD" if dynamic or extra[1] == "Q8" else "L", says_matrix)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSize:
    """Bytes of a file, header and padding too: in `low` to `high`; `by_rule`, and of its tensors `weights_bytes`, by the rule."""

    low: int
    value: int
    high: int
    by_rule: int
    weights_bytes: int
    confidence: Confidence
    basis: str


_LAYER_EMBEDDINGS = Span(0.79, 1.26)
"""Per-layer embeddings (Gemma 3n, Gemma 4 E) take a type of their own, which is a third of such a file."""

_UNKNOWN_PUBLISHER = Span(0.93, 1.1)
_PLAIN = Span(1 - PLAIN_ERROR, 1 + PLAIN_ERROR)
_WHOLE = Span(0.985, 1.02)
_BEFORE_RECIPES = Span(0.99, 1.025)


def file_size(row: ModelRow, text: str, *, repository: str | None = None) -> FileSize | None:
    """The file of a quantization as `repository` (or nobody in particular) would publish it.

    None where the model has no GGUF, or the name is not a file type (a fork's, for instance).
    """
    named = label(text)
    if named is None or not is_covered(row):
        return None
    publisher = (repository or "").partition("/")[0]
    has_matrix = named.says_matrix or publisher in WITH_MATRIX
    every = parts(row)
    needs = has_matrix or named.base in NEEDS_MATRIX
    found = tensors(every, named.base, facts(row, every, has_matrix=needs))
    if found is None:
        return None
    if named.lifted == "L" and publisher != "unsloth":
        found = _lifted(found)
    weights = sum(one.data_bytes() for one in found)
    file = sum(padded(one.data_bytes(), ALIGNMENT) for one in found) + header_bytes(row, tensor_count=len(found))
    span, confidence, basis = _span(row, named, publisher)
    low, high = round(file * span.low), round(file * span.high)
    return FileSize(
        low=low,
        value=min(max(file, low), high),
        high=high,
        by_rule=file,
        weights_bytes=weights,
        confidence=confidence,
        basis=basis,
    )


def _lifted(found: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """`_L`: embeddings and output at Q8_0."""
    return tuple(
        Tensor(one.name, one.dims, "Q8_0")
        if one.name in ("output.weight", "token_embd.weight") and TENSOR_TYPES[one.type].quantized
        else one
        for one in found
    )


def _span(row: ModelRow, named: Label, publisher: str) -> tuple[Span, Confidence, str]:
    recipe = recipe_of(row, named.base, lifted=named.lifted, publisher=publisher)
    if (
        recipe is None
        and row.layer_embeddings
        and (named.lifted or publisher in WITH_MATRIX)
        and named.base not in PLAIN_TYPES
    ):
        span = _LAYER_EMBEDDINGS
        return span, Confidence.LOW, "the publisher chooses a type of its own for the per-layer embeddings"
    if recipe is not None:
        span = span_of(recipe, named.base, kind_of(row)) or (
            _WHOLE if named.base in PLAIN_TYPES else _UNKNOWN_PUBLISHER
        )
        what = "tensor by tensor" if recipe == "UD" else "under the standard name"
        return span, Confidence.LOW, f"recipes of the publisher, {what}: a range that other models' files lie in"
    if publisher in WITH_MATRIX:
        return _BEFORE_RECIPES, Confidence.CALIBRATED, "the file type's rules, with an importance matrix"
    if named.lifted:
        return _UNKNOWN_PUBLISHER, Confidence.LOW, "embeddings and output at Q8_0, the rest by the file type's rules"
    return _PLAIN, Confidence.CALIBRATED, "the file type's rules"


_HEADERS = {
    32_000: 735_000,
    32_256: 1_300_000,
    49_152: 1_780_000,
    65_536: 2_350_000,
    100_352: 3_900_000,
    128_256: 7_830_000,
    129_280: 5_300_000,
    131_072: 7_600_000,
    151_552: 9_000_000,
    151_936: 5_950_000,
    163_840: 6_900_000,
    200_064: 8_300_000,
    201_088: 12_300_000,
    248_320: 10_960_000,
}
"""Bytes of tokens, merges and template by the vocabulary's size: eight measured, the others from their counts."""

_SENTENCE_PIECE_TOKEN, _TOKEN_AND_MERGE, _TENSOR_INFO = 22.3, 38, 70


def header_bytes(row: ModelRow, *, tensor_count: int) -> int:
    """Bytes before the tensor data: nearly all of it is the tokenizer."""
    known = _HEADERS.get(row.vocabulary)
    if known is not None:
        return known
    sentence_piece = row.calculation == "bert" or row.family.startswith(("gemma-2", "gemma-3", "embedding"))
    if row.family.startswith("gemma-4"):
        return 16_000_000
    per_token = _SENTENCE_PIECE_TOKEN if sentence_piece or row.vocabulary < 33_000 else _TOKEN_AND_MERGE
    return round(row.vocabulary * per_token) + _TENSOR_INFO * tensor_count
