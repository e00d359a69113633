"""How far a measurement is: one bar on a terminal that goes away when it is done; nothing elsewhere."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import TaskID

Told = Callable[[str, float], None]
"""Called with what is measured, and how far that is, from 0 to 1."""


@contextmanager
def show_measuring(stream: TextIO, environment: Mapping[str, str], *, quiet: bool = False) -> Iterator[Told]:
    """A `Told` that shows on `stream` (stderr) until the context ends. The line is one line in any width."""
    if quiet or not stream.isatty() or environment.get("TERM") == "dumb":
        yield lambda _what, _share: None
        return
    with ExitStack() as stack:
        bars: list[Bars] = []

        def told(what: str, share: float) -> None:
            if not bars:  # nothing is drawn before there is something to show: others write until then
                bars.append(Bars(stack, stream, environment))
            bars[0].show(what, share)

        yield told


class Bars:
    """The bar, from the first measurement on."""

    def __init__(self, stack: ExitStack, stream: TextIO, environment: Mapping[str, str]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=20), TimeElapsedColumn())
        console = Console(file=stream, no_color=bool(environment.get("NO_COLOR")))
        self._room = max(8, console.width - 40)
        self._bars = stack.enter_context(Progress(*columns, console=console, transient=True))
        self._tasks: dict[str, TaskID] = {}

    def show(self, what: str, share: float) -> None:
        """How far one measurement is; those before it go away."""
        if what not in self._tasks:
            for task in self._tasks.values():
                self._bars.update(task, visible=False)
            name = what if len(what) <= self._room else f"…{what[1 - self._room :]}"
            self._tasks[what] = self._bars.add_task(f"reading {name}", total=1.0)
        self._bars.update(self._tasks[what], completed=share)
