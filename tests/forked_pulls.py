"""A program that pulls once for each line it reads, each time in a process of its own that has everything imported.

A line holds the faults of that pull for `fault_io` as JSON (`{"FAULT_CALL": "3:kill"}`); the answer is its exit status,
negative for a signal. For tests with dozens of pulls, which would otherwise spend their time starting Python.
"""

import json
import os
import sys

from llmops.cli import pull


def one_pull(faults: dict[str, str], lock: str, endpoint: str) -> int:
    """Pull in a child; how it ended."""
    child = os.fork()
    if child == 0:
        os.environ.update(faults)
        try:
            pull.run(pull.Options(lock=lock, jobs=1), endpoint=endpoint, token=None)
        finally:
            os._exit(0 if sys.exc_info()[0] is None else 9)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(f"{one_pull(json.loads(line), sys.argv[1], sys.argv[2])}\n")
        sys.stdout.flush()
