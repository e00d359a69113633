"""How much may be read of all files of a model together, whatever their headers say."""

from threading import Lock

from llmops.domain.errors import WrongInput
from llmops.domain.finding import Where
from llmops.domain.units import MIB, size_text
from llmops.hub.reader import Content, Reader

HEADERS_LIMIT_BYTES = 32 * MIB
"""All headers of one model together. The largest known (163 shards with an entry for every expert) have 12 MiB."""


class Allowance:
    """How much may still be read of all files of a model; shared by their readers, which run in threads."""

    def __init__(self, most_bytes: int = HEADERS_LIMIT_BYTES) -> None:
        self._most = most_bytes
        self._used = 0
        self._lock = Lock()

    def spend(self, length: int, name: str) -> None:
        """Count what is about to be read. Raises `WrongInput` when it is too much."""
        with self._lock:
            self._used += length
            if self._used > self._most:
                text = f"the headers of this model are longer than {size_text(self._most)} together"
                raise WrongInput(text, hint="`llmops pull` fetches the files whole", where=Where(file=name))


class Counted:
    """A reader whose reads are counted."""

    def __init__(self, reader: Reader, name: str, allowance: Allowance) -> None:
        self._reader = reader
        self._name = name
        self._allowance = allowance

    @property
    def bytes(self) -> int:
        """The file's size."""
        return self._reader.bytes

    @property
    def requests(self) -> int:
        """Requests sent so far."""
        return self._reader.requests

    def read(self, offset: int, length: int) -> Content:
        """Up to `length` bytes from `offset`."""
        self._allowance.spend(max(min(length, self._reader.bytes - offset), 0), self._name)
        return self._reader.read(offset, length)
