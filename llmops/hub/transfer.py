"""One file from the hub to the store: resumed at the byte, hashed on the way, visible only when its digest is right."""

import time

from llmops.domain.errors import OutsideWorld
from llmops.domain.finding import Where
from llmops.domain.model import Digest, ModelFile
from llmops.domain.transfer import Moved, Progress
from llmops.domain.units import KIB, MIB
from llmops.hub.crew import Halt
from llmops.hub.partial import Partial
from llmops.hub.remote import RemoteFile
from llmops.hub.store import Store
from llmops.hub.transport import AGAIN, Passing, Patience, gave_up, shown

BUFFER_BYTES = 1 * MIB
ADVANCE_BYTES = 64 * KIB
"""An attempt that brought this much was not in vain: the count of failures begins anew."""

REPORT_SECONDS = 0.2
WORTH_A_WORD_SECONDS = 1.0
"""A pause this long is said; shorter ones nobody notices."""


class Transfer:
    """The way of one file. `received_bytes` came over the network, also those that were thrown away."""

    def __init__(
        self, remote: RemoteFile, file: ModelFile, digest: Digest, *, progress: Progress, patience: Patience, halt: Halt
    ) -> None:
        self.received_bytes = 0
        self._remote = remote
        self._file = file
        self._digest = digest
        self._progress = progress
        self._patience = patience
        self._halt = halt
        self._reported_at = 0.0
        self._reported_bytes = 0

    def into(self, store: Store) -> str:
        """Bring the file into the store; its sha256. What is there when anything goes wrong is kept for the next run."""
        with Partial(store.incoming, self._file, self._digest) as partial:
            kept = partial.resume(between=self._hashed_again)
            self._fill(partial)
            if kept and partial.digest_now() != self._digest.value:
                partial.start_over()  # the part an earlier run left may be what is wrong
                self._fill(partial)
            self._judge(partial)
            store.admit(partial.path, partial.sha256_now())
            partial.leave()
            return partial.sha256_now()

    def _judge(self, partial: Partial) -> None:
        found = partial.digest_now()
        if partial.done_bytes == self._file.bytes and found == self._digest.value:
            return
        partial.discard()
        raise OutsideWorld(
            f"wrong bytes were served for `{self._file.name}`: its {self._digest.algorithm.value} is {found}, "
            f"{self._digest.value} was expected; they were thrown away",
            hint="something on the way, or a mirror, changes files: try another network or `HF_ENDPOINT`",
            where=Where(file=shown(self._remote.url)),
        )

    def _fill(self, partial: Partial) -> None:
        """All bytes that are missing, over as many connections as patience allows."""
        failures = 0
        buffer = memoryview(bytearray(BUFFER_BYTES))
        while partial.done_bytes < self._file.bytes:
            self._halt.check()
            before = partial.done_bytes
            try:
                self._stream(partial, buffer)
            except Passing as fault:
                self._halt.check()  # the connection may have been cut by us
                failures = 1 if partial.done_bytes - before >= ADVANCE_BYTES else failures + 1
                if failures >= self._patience.attempts:
                    stop = gave_up(fault, attempts=failures, hint=AGAIN)
                    stop.where = Where(file=shown(self._remote.url))
                    raise stop from fault
                seconds = self._patience.wait_seconds(failures, fault.retry_after_seconds)
                if seconds >= WORTH_A_WORD_SECONDS:
                    self._say(partial.done_bytes, f"{fault.message}: tried again in {seconds:g} s")
                self._halt.wait(seconds)
        self._report(partial.done_bytes, last=True)

    def _stream(self, partial: Partial, buffer: memoryview) -> None:
        """One connection's worth, from the first missing byte."""
        piece = self._remote.open(partial.done_bytes)
        with piece.response as response, self._halt.cutting(response.cut):
            to_skip = partial.done_bytes - piece.start  # a server without ranges sends all from the beginning
            while partial.done_bytes < self._file.bytes:
                wanted = min(BUFFER_BYTES, to_skip or self._file.bytes - partial.done_bytes)
                count = response.read_into(buffer[:wanted])
                self._halt.check()
                if not count:
                    raise Passing(f"the connection ended after {partial.done_bytes} of {self._file.bytes} bytes")
                self.received_bytes += count
                if to_skip:
                    to_skip -= count
                    continue
                partial.append(buffer[:count])
                self._report(partial.done_bytes)

    def _say(self, done_bytes: int, trouble: str) -> None:
        done = max(done_bytes, self._reported_bytes)
        self._progress(Moved(name=self._file.name, done_bytes=done, total_bytes=self._file.bytes, trouble=trouble))

    def _hashed_again(self, done_bytes: int) -> None:
        self._halt.check()
        self._report(done_bytes)

    def _report(self, done_bytes: int, *, last: bool = False) -> None:
        now = time.monotonic()
        if (last or now - self._reported_at >= REPORT_SECONDS) and done_bytes >= self._reported_bytes:
            self._reported_at, self._reported_bytes = now, done_bytes
            self._progress(Moved(name=self._file.name, done_bytes=done_bytes, total_bytes=self._file.bytes))
