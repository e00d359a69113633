"""A program that applies once for each line it reads, each time in a process of its own that has everything imported.

A line holds the faults of that apply for `fault_io`, the root, the text that is rendered and what is done with edits; the
answer is the exit status, negative for a signal. As `forked_pulls.py`.
"""

import json
import os
import sys
from pathlib import Path

from test_three_way import Host

from llmops.domain.changes import Ways


def one_run(faults: dict[str, str], root: str, text: str, ways: str) -> int:
    """Run it in a child; how it ended."""
    child = os.fork()
    if child == 0:
        os.environ.update(
            faults | {"FAULT_PATH": ""}
        )  # every path; here alone, so that the parent's pipes do not count
        code = 9
        try:
            Host(Path(root)).render(text, Ways(ways))
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        print(one_run(asked["faults"], asked["root"], asked["text"], asked["ways"]), flush=True)  # noqa: T201
