"""Judge the host, and judge deployment files."""

from llmops.checks.check import Check, Judgement
from llmops.checks.for_lock import LOCK_CHECKS, judge_for
from llmops.checks.lock_check import LockCheck
from llmops.checks.registry import CHECKS, FAMILIES, findings_of, judge, judgements, selected, verdict

__all__ = [
    "CHECKS",
    "FAMILIES",
    "LOCK_CHECKS",
    "Check",
    "Judgement",
    "LockCheck",
    "findings_of",
    "judge",
    "judge_for",
    "judgements",
    "selected",
    "verdict",
]
