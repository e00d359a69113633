"""Saying what is wrong with a file that others wrote."""

from llmops.domain.errors import WrongInput
from llmops.domain.finding import Where


def refusal(
    name: str, message: str, *, hint: str | None = None, key: str | None = None, line: int | None = None
) -> WrongInput:
    """`message` about the file `name` (a path or a URL), which is shown in full beside it."""
    return WrongInput(f"{name.rsplit('/', 1)[-1]}: {message}", hint=hint, where=Where(file=name, key=key, line=line))
