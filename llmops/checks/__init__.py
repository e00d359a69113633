"""Judge the host, and judge deployment files."""

from llmops.checks.check import Check, Judgement
from llmops.checks.registry import CHECKS, FAMILIES, findings_of, judge, judgements, selected, verdict

__all__ = ["CHECKS", "FAMILIES", "Check", "Judgement", "findings_of", "judge", "judgements", "selected", "verdict"]
