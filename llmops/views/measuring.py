"""How far a measurement is: one bar on a terminal that goes away when it is done; nothing elsewhere."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

Told = Callable[[str, float], None]
"""Called with what is measured, and how far that is, from 0 to 1."""


@contextmanager
def show_measuring(stream: TextIO, environment: Mapping[str, str], *, quiet: bool = False) -> Iterator[Told]:
    """A `Told` that shows on `stream` (stderr) until the context ends. The line is one line in any width."""
    if quiet or not stream.isatty() or environment.get("TERM") == "dumb":
        yield lambda _what, _share: None
        return
    from rich import progress as rich_progress
    from rich.console import Console

    columns = (
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(bar_width=20),
        rich_progress.TimeElapsedColumn(),
    )
    console = Console(file=stream, no_color=bool(environment.get("NO_COLOR")))
    room = max(8, console.width - 40)
    with rich_progress.Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, rich_progress.TaskID] = {}

        def told(what: str, share: float) -> None:
            if what not in tasks:
                for task in tasks.values():
                    bars.update(task, visible=False)
                name = what if len(what) <= room else f"…{what[1 - room :]}"
                tasks[what] = bars.add_task(f"reading {name}", total=1.0)
            bars.update(tasks[what], completed=share)

        yield told
