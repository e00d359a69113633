"""Running as somebody else than root from a suite that runs as root, on any checkout."""

import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

AS_USER = (
    "setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--inh-caps=-all,+dac_read_search",
    "--ambient-caps=-all,+dac_read_search", "--bounding-set=-all,+dac_read_search",
)  # fmt: skip
"""User 1000, who may read all files (a checkout below /root, a folder of pytest's) and write only what is theirs.

A user namespace would do, too, but none can be made in a chroot or in most containers.
"""


@contextmanager
def within_reach(*programs: Path) -> Iterator[Path]:
    """A folder on every user's way with a starter of each program: access(2) does not know of `AS_USER`'s right to read."""
    folder = Path(tempfile.mkdtemp(prefix="llmops-programs-"))
    try:
        folder.chmod(0o755)
        for program in programs:
            starter = folder / program.name
            starter.write_text(f'#!/bin/sh\nexec {shlex.quote(str(program))} "$@"\n')
            starter.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder)
