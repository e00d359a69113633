"""The headers of several files at once: a split model has dozens of parts, and each costs a round trip or two."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from llmops.hub.reader import Reader

T = TypeVar("T")
AT_ONCE = 8
"""Files read at the same time; hubs limit what one address may ask."""


def read_headers(
    readers: Sequence[tuple[str, Reader]], parse: Callable[[str, Reader], T], *, workers: int = AT_ONCE
) -> tuple[T, ...]:
    """What `parse` makes of each named file, in the files' order; `parse` runs in threads and reads as it goes.

    The first error stops the others and is raised.
    """
    if len(readers) == 1:
        return (parse(*readers[0]),)

    from llmops.hub.crew import Halt, Job, together

    def job(name: str, reader: Reader) -> Job[T]:
        def work(halt: Halt) -> T:
            halt.check()
            return parse(name, reader)

        return work

    return together([job(name, reader) for name, reader in readers], workers=workers)
