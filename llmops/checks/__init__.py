"""Judge the host, and judge deployment files."""

from llmops.checks.check import Check, Judgement
from llmops.checks.registry import CHECKS, judge, selected, verdict

__all__ = ["CHECKS", "Check", "Judgement", "judge", "selected", "verdict"]
