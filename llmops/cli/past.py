"""The generations below a root, and what makes its files as one of them left them."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from llmops.apply.history import earlier_state, present
from llmops.apply.holding import refused
from llmops.apply.owners import owners_of
from llmops.apply.reading import every_generation, rendered_texts
from llmops.apply.root import Root
from llmops.apply.secrets import KEYS_MAP
from llmops.changes.back import backups, way_back
from llmops.changes.effects import UNITS
from llmops.domain.changes import ChangeSet, Generation, Ways
from llmops.domain.effects import ServiceUnit
from llmops.domain.errors import WrongInput, WrongUsage
from llmops.domain.finding import Where
from llmops.domain.records import dataclass
from llmops.formats.unit_reads import service_unit

MAY_CHANGE = frozenset({KEYS_MAP})
"""`keys` changes it; the keys are gone with the edge they are for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A root with something applied below it: every record, oldest first; `notes` say what an interrupted run left."""

    root: Root
    records: tuple[Generation, ...]
    notes: tuple[str, ...] = ()

    def newest(self) -> Generation:
        """The record that says what is ours now."""
        return self.records[-1]

    def freeze_before(self, number: int) -> tuple[str, ...]:
        """The change freezes that held before generation `number`."""
        earlier = [one.freeze for one in self.records if one.number < number]
        return earlier[-1] if earlier else ()


def ways_of(**asked: bool) -> Ways:
    """What is done with edits, by the options given. Raises `WrongUsage` for more than one."""
    chosen = [name for name, is_asked in asked.items() if is_asked]
    if len(chosen) > 1:
        raise WrongUsage(f"--{chosen[0]} and --{chosen[1]} together", hint="one of them says what becomes of edits")
    return Ways(chosen[0]) if chosen else Ways.REFUSE


def read_past(root: str, *, finish: Callable[[Path], tuple[str, ...]] = lambda _: ()) -> Past:
    """The records below `root`, once `finish` has brought to an end what an earlier run left; it gives its words.

    Raises `WrongInput` where there are none.
    """
    if not Path(root).is_dir():
        raise WrongInput(f"--root {root} is not a directory", hint="name a directory", where=Where(file=root))
    place = Root(Path(root))
    notes = finish(place.path)
    try:
        records = every_generation(place)
    except PermissionError as error:
        raise refused(error, place) from None
    if not records:
        raise WrongInput("nothing was applied here", hint="`llmops render --apply` applies", where=Where(file=root))
    return Past(root=place, records=records, notes=notes)


def changes_back_to(past: Past, number: int, *, ways: Ways = Ways.REFUSE) -> ChangeSet:
    """What makes every file what generation `number` left (0: what was there before the first)."""
    first = backups(past.records, after=number)
    try:
        earlier = {path: earlier_state(past.root, at, file) for path, (at, file) in first.items()}
        current = present(past.root, owners_of(past.root), earlier, past.newest())
    except PermissionError as error:
        raise refused(error, past.root) from None
    return way_back(
        current,
        earlier,
        recorded=past.newest(),
        goal=next((one for one in past.records if one.number == number), None),
        last=rendered_texts(past.root, number),
        ways=ways,
        may_change=MAY_CHANGE,
    )


def labels_back_to(past: Past, number: int) -> dict[PurePosixPath, str]:
    """The SELinux labels that files had which come back: a person's own file may have had another than the policy's."""
    first = backups(past.records, after=number)
    return {path: file.before.label for path, (_, file) in first.items() if file.before and file.before.label}


def units_after(changes: ChangeSet, root: Root, record: Generation | None) -> tuple[ServiceUnit, ...]:
    """Our services as they are when the changes are made: from the changes, else from their files.

    A file that is no unit (edited by hand) is left out.
    """
    texts = {change.path: change.after.content if change.after is not None else None for change in changes.changes}
    for file in record.files if record is not None else ():
        if file.path not in texts and file.path.parent == UNITS and file.is_ours():
            found = root.read(file.path)
            texts[file.path] = found.content if found is not None else None
    return tuple(_services({path.name: text for path, text in texts.items() if path.parent == UNITS}))


def units_before(changes: ChangeSet) -> tuple[ServiceUnit, ...]:
    """The services whose unit files go, by what those said."""
    gone = [one for one in changes.changes if one.path.parent == UNITS and one.action.writes() and one.after is None]
    return tuple(_services({one.path.name: one.before.content if one.before is not None else None for one in gone}))


def _services(texts: dict[str, bytes | None]) -> Iterator[ServiceUnit]:
    for name, text in sorted(texts.items()):
        if text is not None and name.endswith(".service"):
            with suppress(WrongInput):
                yield service_unit(name, text.decode(errors="replace"))
