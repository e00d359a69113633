"""Rows → shares and errors, as `scripts/accuracy --json` prints them."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from accuracy.cases import Figure, Report, Row


def metrics(figures: Iterable[Figure]) -> dict[str, dict[str, Any]]:
    """By quantity, in the order in which they first appear."""
    grouped: dict[str, list[Figure]] = {}
    for one in figures:
        grouped.setdefault(one.quantity, []).append(one)
    return {quantity: _metric(rows) for quantity, rows in grouped.items()}


def _metric(figures: Sequence[Figure]) -> dict[str, Any]:
    errors = sorted((one.error() for one in figures), key=abs)
    sizes = [abs(one) for one in errors]
    return {
        "n": len(figures),
        "exact": sum(one.is_exact() for one in figures),
        "median": _share(sizes, 0.5),
        "p90": _share(sizes, 0.9),
        "p95": _share(sizes, 0.95),
        "worst": errors[-1] if errors else None,
        "under": sum(one.is_under() for one in figures),
    }


def _share(sizes: Sequence[float], share: float) -> float | None:
    """The smallest error that at least this share of the figures do not exceed."""
    return sizes[max(0, math.ceil(share * len(sizes)) - 1)] if sizes else None


def document(report: Report, *, with_rows: bool) -> dict[str, Any]:
    """One entry of `files`."""
    eligible = [row for row in report.rows if row.left_out is None]
    found: dict[str, Any] = {
        "file": report.file,
        "kind": report.kind,
        "rows": len(report.rows),
        "eligible": len(eligible),
        "answered": sum(row.refused is None for row in eligible),
        "refused": dict(Counter(str(row.refused.value) for row in eligible if row.refused is not None)),
        "left_out": dict(Counter(row.left_out for row in report.rows if row.left_out is not None)),
        "not_compared": dict(Counter(rule for row in eligible for rule in set(row.skipped.values()))),
        "rules": dict(report.rules),
        "metrics": metrics(figure for row in eligible for figure in row.figures),
    }
    if with_rows:
        found["rows_detail"] = [_detail(row) for row in report.rows]
    return found


def _detail(row: Row) -> dict[str, Any]:
    return {
        "id": row.id,
        "predicted": {_name(one): one.predicted for one in row.figures},
        "measured": {_name(one): one.measured for one in row.figures},
        "refused": row.refused.value if row.refused is not None else row.left_out,
    }


def _name(figure: Figure) -> str:
    return figure.quantity if figure.quantity.startswith(figure.place) else f"{figure.place} {figure.quantity}"
