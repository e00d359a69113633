"""`python -m llmops` and the `llmops` program."""

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        from llmops.cli.app import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while modules were still being loaded
        from llmops.cli.app import interrupted

        code = interrupted(sys.argv[1:])
    sys.exit(code)


if __name__ == "__main__":
    main()
