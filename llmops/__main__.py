"""`python -m llmops` and the `llmops` program."""

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from llmops.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
