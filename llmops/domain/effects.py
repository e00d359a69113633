"""What has to be done on a host so that changed files count, in order."""

from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One command. `required`: the change is taken back when it fails; else that it failed is said."""

    argv: tuple[str, ...]
    why: str
    required: bool = True
    timeout_seconds: int = 60

    def text(self) -> str:
        """As a person would type it."""
        return " ".join(self.argv)
