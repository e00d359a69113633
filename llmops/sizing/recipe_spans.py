"""Ranges of publishers whose files follow recipes of their own: a file's size over the file type's rule, by class.

Made by `benchmarks/held_out_sizes.py tests/measured/gguf/gguf_sizes.json --table` from 440 published files: the smallest and the
largest ratio of a class with `MARGINS` beyond. How they hold for models they were not made from: docs/catalogue.md.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from llmops.domain.catalogue import ModelRow


class Span(NamedTuple):
    """A file's size over the rule's."""

    low: float
    high: float


class Kind(StrEnum):
    """What of a model's build recipes treat differently: experts take what they are given, linear attention more bits."""

    DENSE = "dense"
    HYBRID = "hybrid"
    EXPERTS = "experts"


PREFIXES = ("TQ1", "IQ1", "IQ2_X", "IQ2", "IQ3_XX", "IQ3", "IQ4", "MXFP4", "Q2", "Q3", "Q4", "Q5", "Q6", "Q8")
"""File types that recipes lift alike, by the beginning of their names."""

MARGINS = {"UD": (0.02, 0.04), "bartowski": (0.01, 0.03), "unsloth": (0.01, 0.03)}
"""Below the smallest and above the largest ratio of a class. `UD`: unsloth's tensor by tensor names."""

RECIPES_SINCE = "2026"
"""Models released before this year were published by the plain rules, also by those who have recipes now."""


def kind_of(row: ModelRow) -> Kind:
    """The kind of a model of the catalogue."""
    if row.moe:
        return Kind.EXPERTS
    return Kind.HYBRID if any(letter in "LM" for letter in row.pattern) else Kind.DENSE


def recipe_of(row: ModelRow, base: str, *, lifted: str, publisher: str) -> str | None:
    """Whose recipe a file follows; None: the rules', or one without a class (per-layer embeddings)."""
    if row.layer_embeddings and base not in ("F16", "BF16", "F32"):
        return None
    if lifted == "UD":
        return "UD"
    if publisher not in ("bartowski", "unsloth"):
        return None
    is_old = (row.released or RECIPES_SINCE) < RECIPES_SINCE and not base.startswith("MXFP4")
    return None if is_old and not lifted else publisher


def made(recipe: str, ratios: Sequence[float]) -> Span:
    """The range of a class."""
    below, above = MARGINS[recipe]
    return Span(min(ratios) * (1 - below), max(ratios) * (1 + above))


def span_of(recipe: str, base: str, kind: Kind) -> Span | None:
    """The range of a file; None for a class of which no file is known."""
    prefix = next((one for one in PREFIXES if base.startswith(one)), "")
    return SPANS.get((recipe, prefix, kind)) or SPANS.get((recipe, prefix, None))


SPANS: dict[tuple[str, str, Kind | None], Span] = {
    ("UD", "IQ1", Kind.DENSE): Span(1.003, 1.106),
    ("UD", "IQ1", Kind.EXPERTS): Span(1.181, 1.470),
    ("UD", "IQ1", None): Span(1.003, 1.470),
    ("UD", "IQ2", Kind.DENSE): Span(0.964, 1.079),
    ("UD", "IQ2", Kind.EXPERTS): Span(0.937, 1.054),
    ("UD", "IQ2", Kind.HYBRID): Span(1.041, 1.168),
    ("UD", "IQ2", None): Span(0.937, 1.168),
    ("UD", "IQ2_X", Kind.DENSE): Span(0.738, 1.094),
    ("UD", "IQ2_X", Kind.EXPERTS): Span(0.995, 1.297),
    ("UD", "IQ2_X", Kind.HYBRID): Span(1.045, 1.242),
    ("UD", "IQ2_X", None): Span(0.738, 1.297),
    ("UD", "IQ3", Kind.EXPERTS): Span(0.844, 0.959),
    ("UD", "IQ3", None): Span(0.844, 0.959),
    ("UD", "IQ3_XX", Kind.DENSE): Span(0.958, 1.059),
    ("UD", "IQ3_XX", Kind.EXPERTS): Span(0.906, 1.117),
    ("UD", "IQ3_XX", Kind.HYBRID): Span(1.035, 1.167),
    ("UD", "IQ3_XX", None): Span(0.906, 1.167),
    ("UD", "IQ4", Kind.EXPERTS): Span(0.852, 1.031),
    ("UD", "IQ4", None): Span(0.852, 1.031),
    ("UD", "Q2", Kind.DENSE): Span(0.971, 1.094),
    ("UD", "Q2", Kind.EXPERTS): Span(0.900, 1.160),
    ("UD", "Q2", Kind.HYBRID): Span(1.036, 1.185),
    ("UD", "Q2", None): Span(0.900, 1.185),
    ("UD", "Q3", Kind.DENSE): Span(0.984, 1.101),
    ("UD", "Q3", Kind.EXPERTS): Span(0.913, 1.052),
    ("UD", "Q3", Kind.HYBRID): Span(1.038, 1.138),
    ("UD", "Q3", None): Span(0.913, 1.138),
    ("UD", "Q4", Kind.DENSE): Span(0.960, 1.074),
    ("UD", "Q4", Kind.EXPERTS): Span(0.914, 1.112),
    ("UD", "Q4", Kind.HYBRID): Span(1.039, 1.114),
    ("UD", "Q4", None): Span(0.914, 1.114),
    ("UD", "Q5", Kind.DENSE): Span(0.976, 1.054),
    ("UD", "Q5", Kind.EXPERTS): Span(1.018, 1.156),
    ("UD", "Q5", Kind.HYBRID): Span(1.016, 1.086),
    ("UD", "Q5", None): Span(0.976, 1.156),
    ("UD", "Q6", Kind.DENSE): Span(1.026, 1.174),
    ("UD", "Q6", Kind.EXPERTS): Span(0.980, 1.163),
    ("UD", "Q6", Kind.HYBRID): Span(1.139, 1.274),
    ("UD", "Q6", None): Span(0.980, 1.274),
    ("UD", "Q8", Kind.DENSE): Span(1.051, 1.252),
    ("UD", "Q8", Kind.EXPERTS): Span(1.007, 1.254),
    ("UD", "Q8", Kind.HYBRID): Span(1.211, 1.513),
    ("UD", "Q8", None): Span(1.007, 1.513),
    ("UD", "TQ1", Kind.EXPERTS): Span(1.070, 1.232),
    ("UD", "TQ1", None): Span(1.070, 1.232),
    ("bartowski", "IQ1", None): Span(1.019, 1.346),
    ("bartowski", "IQ2", Kind.DENSE): Span(1.085, 1.219),
    ("bartowski", "IQ2", Kind.EXPERTS): Span(1.021, 1.069),
    ("bartowski", "IQ2", None): Span(1.021, 1.219),
    ("bartowski", "IQ2_X", Kind.DENSE): Span(1.109, 1.288),
    ("bartowski", "IQ2_X", Kind.EXPERTS): Span(1.018, 1.070),
    ("bartowski", "IQ2_X", None): Span(1.018, 1.288),
    ("bartowski", "IQ3", Kind.DENSE): Span(1.006, 1.106),
    ("bartowski", "IQ3", Kind.EXPERTS): Span(1.060, 1.158),
    ("bartowski", "IQ3", None): Span(1.006, 1.161),
    ("bartowski", "IQ3_XX", Kind.DENSE): Span(1.016, 1.116),
    ("bartowski", "IQ3_XX", Kind.EXPERTS): Span(1.061, 1.128),
    ("bartowski", "IQ3_XX", None): Span(1.016, 1.187),
    ("bartowski", "IQ4", Kind.DENSE): Span(0.999, 1.057),
    ("bartowski", "IQ4", Kind.EXPERTS): Span(0.997, 1.049),
    ("bartowski", "IQ4", None): Span(0.997, 1.078),
    ("bartowski", "Q2", Kind.DENSE): Span(1.007, 1.095),
    ("bartowski", "Q2", Kind.EXPERTS): Span(0.970, 1.069),
    ("bartowski", "Q2", None): Span(0.970, 1.152),
    ("bartowski", "Q3", Kind.DENSE): Span(0.998, 1.132),
    ("bartowski", "Q3", Kind.EXPERTS): Span(0.921, 1.059),
    ("bartowski", "Q3", None): Span(0.921, 1.154),
    ("bartowski", "Q4", Kind.DENSE): Span(0.997, 1.083),
    ("bartowski", "Q4", Kind.EXPERTS): Span(0.997, 1.068),
    ("bartowski", "Q4", None): Span(0.997, 1.089),
    ("bartowski", "Q5", Kind.DENSE): Span(0.993, 1.068),
    ("bartowski", "Q5", Kind.EXPERTS): Span(0.997, 1.042),
    ("bartowski", "Q5", None): Span(0.993, 1.098),
    ("bartowski", "Q6", Kind.DENSE): Span(1.010, 1.093),
    ("bartowski", "Q6", Kind.EXPERTS): Span(1.000, 1.086),
    ("bartowski", "Q6", None): Span(1.000, 1.093),
    ("bartowski", "Q8", None): Span(0.993, 1.033),
    ("unsloth", "", Kind.DENSE): Span(0.983, 1.033),
    ("unsloth", "", Kind.HYBRID): Span(0.981, 1.024),
    ("unsloth", "", None): Span(0.981, 1.033),
    ("unsloth", "IQ4", Kind.DENSE): Span(0.965, 1.055),
    ("unsloth", "IQ4", Kind.HYBRID): Span(1.001, 1.085),
    ("unsloth", "IQ4", None): Span(0.965, 1.085),
    ("unsloth", "MXFP4", Kind.EXPERTS): Span(1.085, 1.156),
    ("unsloth", "MXFP4", None): Span(1.085, 1.156),
    ("unsloth", "Q2", Kind.DENSE): Span(1.000, 1.083),
    ("unsloth", "Q2", Kind.EXPERTS): Span(0.993, 1.044),
    ("unsloth", "Q2", None): Span(0.993, 1.083),
    ("unsloth", "Q3", Kind.DENSE): Span(0.950, 1.059),
    ("unsloth", "Q3", Kind.HYBRID): Span(0.989, 1.069),
    ("unsloth", "Q3", None): Span(0.950, 1.069),
    ("unsloth", "Q4", Kind.DENSE): Span(0.967, 1.055),
    ("unsloth", "Q4", Kind.HYBRID): Span(0.995, 1.062),
    ("unsloth", "Q4", None): Span(0.967, 1.062),
    ("unsloth", "Q5", Kind.DENSE): Span(0.983, 1.044),
    ("unsloth", "Q5", Kind.HYBRID): Span(0.992, 1.048),
    ("unsloth", "Q5", None): Span(0.983, 1.048),
    ("unsloth", "Q6", Kind.DENSE): Span(0.989, 1.032),
    ("unsloth", "Q6", Kind.HYBRID): Span(1.005, 1.054),
    ("unsloth", "Q6", None): Span(0.989, 1.054),
    ("unsloth", "Q8", Kind.DENSE): Span(0.990, 1.039),
    ("unsloth", "Q8", Kind.EXPERTS): Span(0.989, 1.031),
    ("unsloth", "Q8", Kind.HYBRID): Span(0.989, 1.036),
    ("unsloth", "Q8", None): Span(0.989, 1.039),
}
"""None for the kind: of all kinds together, where only one model of a kind is known."""
