"""`python -m llmops` and the `llmops` program."""

import gc
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    gc.set_threshold(100_000, 50, 100)  # a run is short, and what it makes has few cycles: 10 to 60 % of a plan's time
    try:
        from llmops.cli.app import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while modules were still being loaded
        from llmops.cli.app import interrupted

        code = interrupted(sys.argv[1:])
    gc.disable()
    gc.freeze()  # the interpreter ends: what it would look through for cycles is given back with the process, 30 ms sooner
    sys.exit(code)


if __name__ == "__main__":
    main()
