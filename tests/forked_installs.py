"""A program that runs `bundle` once for each line it reads, each time in a process of its own that has everything imported.

A line holds what to do as JSON: `{"faults": {"FAULT_CALL": "3:kill"}, "options": {"action": "install", "paths": […], …}}`;
the answer is the exit status, negative for a signal, else 0 or the code of the stop. As `forked_pulls.py`.
"""

import json
import os
import sys
from typing import Any

from llmops.cli import bundle
from llmops.cli.bundle_options import Action, Options
from llmops.domain.errors import Stop
from llmops.probe.programs import Programs


def one_run(faults: dict[str, str], options: dict[str, Any]) -> int:
    """Run it in a child; how it ended."""
    child = os.fork()
    if child == 0:
        os.environ.update(faults)
        code = 9
        try:
            words = options | {"action": Action(options["action"]), "paths": tuple(options["paths"])}
            bundle.run(Options(**words), runner=Programs(os.environ))
            code = 0
        except Stop as stop:
            code = int(stop.exit_code)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        sys.stdout.write(f"{one_run(asked['faults'], asked['options'])}\n")
        sys.stdout.flush()
