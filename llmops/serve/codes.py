"""The public codes of `smoke`; a code is never used again for something else."""

from collections.abc import Mapping
from typing import NamedTuple

from llmops.domain.finding import Finding, Status
from llmops.domain.role import Role


class SmokeCheck(NamedTuple):
    """One question to a running server; `title` is the fact that should hold, `why` what goes wrong otherwise."""

    code: str
    title: str
    why: str

    def finding(self, status: Status, message: str, *, fix: str | None = None) -> Finding:
        """A judgement with this code."""
        return Finding(code=self.code, status=status, message=message, fix=fix)


READY = SmokeCheck("SMK001", "The server is ready", "A server that still loads its model answers 503 to everyone.")
ENCRYPTED = SmokeCheck(
    "SMK002", "The key travels encrypted", "Over plain HTTP everyone on the way can read and use it."
)
KEYED = SmokeCheck(
    "SMK003", "A request without the key is refused", "Whoever reaches the port can use, and use up, the cards."
)
WRONG_KEY = SmokeCheck(
    "SMK004", "A wrong key is refused", "Some set-ups ask for a key and accept any: they look protected, and are not."
)
LISTED = SmokeCheck(
    "SMK005", "The key is accepted and models are listed", "Clients start by asking which models there are."
)
MODEL = SmokeCheck("SMK006", "The right model is served", "A healthy server of another model passes every other check.")
STREAMED = SmokeCheck(
    "SMK007", "A chat completion streams", "A buffer on the way turns a stream into one late block of text."
)
FINISHED = SmokeCheck(
    "SMK008", "The stream ends as it should", "Without finish reason and [DONE], a cut answer looks like a whole one."
)
USAGE = SmokeCheck("SMK009", "The usage is reported", "Without token counts nothing can be billed, capped or compared.")
VECTORS = SmokeCheck(
    "SMK010", "Each text has its vector", "Vectors that are the same for every text, or no numbers, find nothing."
)
SCORES = SmokeCheck(
    "SMK011", "Each text has its figure", "A figure too few, or none that is a number, puts texts in no order."
)

SMOKE_CHECKS = (READY, ENCRYPTED, KEYED, WRONG_KEY, LISTED, MODEL, STREAMED, FINISHED, USAGE, VECTORS, SCORES)

ANSWERED: Mapping[Role, tuple[SmokeCheck, ...]] = {
    Role.CHAT: (STREAMED, FINISHED),
    Role.EMBEDDINGS: (VECTORS,),
    Role.RERANK: (SCORES,),
}
"""What is asked of a server by what it is for; every other check is of each."""
