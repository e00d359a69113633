"""What a deployment is asked for, and the path that is asked: one is either a chat, or makes vectors, or orders texts."""

from enum import StrEnum


class Role(StrEnum):
    """Of one deployment, and what it is planned for: one batch a text for vectors and figures, long answers for a chat."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"
    RERANK = "rerank"

    def question(self) -> str:
        """The path of its one question, behind `/v1/`."""
        return "chat/completions" if self is Role.CHAT else self.value

    def asked(self) -> tuple[str, ...]:
        """Everything that is answered behind `/v1/`."""
        if self is Role.CHAT:
            return (self.question(), "completions", "embeddings", "models")
        return (self.question(), "models")
