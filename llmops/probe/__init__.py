"""Ask the host; decide nothing."""

from llmops.probe.host import examine

__all__ = ["examine"]
