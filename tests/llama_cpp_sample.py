"""Which measured rows the default run holds the ledger to: a few of each family, the same in every run.

`LLMOPS_EVERY_ROW=1 pytest tests/test_llama_cpp_cases.py tests/test_llama_cpp_placements.py` takes all of them.
"""

import os
from collections.abc import Sequence
from random import Random
from typing import Any

A_FAMILY = 2


def sample(rows: Sequence[dict[str, Any]], family: str) -> list[dict[str, Any]]:
    """The rows of one family, or the few of them that are drawn by its name."""
    own = [row for row in rows if row["family"] == family]
    if os.environ.get("LLMOPS_EVERY_ROW") or len(own) <= A_FAMILY:
        return own
    return Random(family).sample(own, A_FAMILY)
