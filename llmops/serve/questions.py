"""The one question of each role that a smoke run asks, and what is wrong with an answer that is no stream."""

import math
from collections.abc import Sequence

from llmops.domain.role import Role
from llmops.serve.completion import item

TOKENS = 16
TEXTS = ("Count from one to ten.", "A bridge over a river.")
"""Two that differ: one vector, or one figure, for both would say nothing."""


def question(role: Role, model: str, *, stream: bool, tokens: int = TOKENS) -> dict[str, object]:
    """The body of a request. Only a chat streams."""
    if role is Role.EMBEDDINGS:
        return {"model": model, "input": list(TEXTS)}
    if role is Role.RERANK:
        return {"model": model, "query": "one two three", "documents": list(TEXTS)}
    asked: dict[str, object] = {
        "model": model,
        "messages": [{"role": "user", "content": TEXTS[0]}],
        "max_tokens": tokens,
        "temperature": 0,
    }
    return asked | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})


def vectors_problem(answer: object) -> str | None:
    """What is wrong with an answer of `/v1/embeddings`; None: a vector for each text, all of one length, of real numbers."""
    vectors = [item(one, "embedding") for one in _rows(answer, "data")]
    if len(vectors) != len(TEXTS):
        return f"{len(vectors)} vectors came for {len(TEXTS)} texts"
    if not all(_are_numbers(one) for one in vectors):
        return "a vector does not hold numbers alone"
    if len({len(one) for one in vectors if isinstance(one, list)}) != 1:
        return "the vectors are not of one length"
    if vectors[0] == vectors[1]:
        return "two different texts have the same vector"
    return None


def dimensions(answer: object) -> int:
    """How long its vectors are."""
    first = item(next(iter(_rows(answer, "data")), None), "embedding")
    return len(first) if isinstance(first, list) else 0


def scores_problem(answer: object) -> str | None:
    """What is wrong with an answer of `/v1/rerank`; None: each text has its figure."""
    rows = _rows(answer, "results")
    if sorted(at for row in rows if isinstance(at := item(row, "index"), int)) != list(range(len(TEXTS))):
        return f"{len(rows)} figures came for {len(TEXTS)} texts, or not one for each"
    if not _are_numbers([item(row, "relevance_score") for row in rows]):
        return "a figure is no number"
    return None


def prompt_tokens(answer: object) -> int | None:
    """As its usage says."""
    count = item(item(answer, "usage"), "prompt_tokens")
    return count if isinstance(count, int) and not isinstance(count, bool) else None


def _rows(answer: object, name: str) -> Sequence[object]:
    rows = item(answer, name)
    return rows if isinstance(rows, list) else []


def _are_numbers(values: object) -> bool:
    return (
        isinstance(values, list)
        and bool(values)
        and all(isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) for one in values)
    )
