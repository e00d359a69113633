"""The key map of the edge and keys in plain text: written as one step, under the lock that applies hold."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from llmops.apply.holding import locked, refused
from llmops.apply.owners import owners_of
from llmops.apply.reading import state_of
from llmops.apply.root import Root
from llmops.apply.secrets import KEYS_MAP, SECRETS
from llmops.domain.changes import Action, Change, ChangeSet
from llmops.domain.errors import ApplyFailed, OutsideWorld, WrongInput
from llmops.domain.finding import Where


def read_map(root: Path) -> str:
    """The map as it is. Raises `WrongInput` where there is none."""
    place = Root(root)
    try:
        found = place.read(KEYS_MAP)
    except PermissionError as error:
        raise refused(error, place) from None
    if found is None:
        raise WrongInput(
            "there is no edge here that keys could be for",
            hint="`llmops render --apply` with the target nginx makes it, and a first key",
            where=Where(file=place.shown(KEYS_MAP)),
        )
    return found.content.decode("ascii", "replace")


def plain_file(tenant: str) -> PurePosixPath:
    """Where a key goes in plain text when there is no terminal to show it on."""
    return SECRETS / f"api-key.{tenant}"


def plain_keys(root: Root, *, beside: ChangeSet) -> tuple[Change, ...]:
    """Plain texts that were handed out as files since and still lie here, to go with what else goes."""
    known = {change.path for change in beside.changes}
    found = [SECRETS / name for name in root.names(SECRETS) if name.startswith("api-key.")]
    owners = owners_of(root)
    made: list[Change] = []
    for path in sorted(set(found) - known):
        before = state_of(root.read(path), owners, wanted_owner="root:root", secret=True)
        if before is not None:
            made.append(Change(path=path, target="nginx", action=Action.DELETE, before=before, after=None))
    return tuple(made)


def change_map(
    root: Path, change: Callable[[str], str], *, plain: tuple[PurePosixPath, str] | None, take_over: Callable[[], str]
) -> None:
    """Put the changed map in place, a plain text beside it if asked for, and have it taken over.

    `take_over` gives the words of what went wrong, empty when nothing did: then the map is put back as it was. Raises
    `ApplyFailed` after, `OutsideWorld` before anything was in place.
    """
    place = Root(root)
    try:
        with locked(place):
            before = read_map(root)
            after = change(before)
            if plain is not None:
                if place.read(plain[0]) is not None:
                    shown = place.shown(plain[0])
                    raise OutsideWorld(
                        f"{shown} is there already",
                        hint="hand that key on and remove the file first",
                        where=Where(file=shown),
                    )
                _write(place, plain[0], plain[1])
            try:
                _write(place, KEYS_MAP, after)
            except OSError:
                if plain is not None:
                    place.remove(plain[0])  # a key that opens nothing
                raise
            said = "it was interrupted"
            try:
                said = take_over()
            finally:
                if said:  # also when Ctrl-C ends it: a key nobody was shown must not open anything
                    _write(place, KEYS_MAP, before)
                    if plain is not None:
                        place.remove(plain[0])
            if said:
                raise ApplyFailed(f"the edge did not take the keys: {said}; the map is as it was", hint="nginx -t")
    except OSError as error:
        raise refused(error, place) from None


def _write(place: Root, path: PurePosixPath, text: str) -> None:
    owner = owners_of(place).numbers("root:root")
    place.stage(path, text.encode(), mode=0o600, owner=owner)
    place.switch(path)
