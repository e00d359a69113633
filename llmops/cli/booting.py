"""Units of a tree that is no running system: an image that is booted one day. Nothing is run for it; what is left is said."""

import shlex

from llmops.apply.root import Root
from llmops.changes.effects import UNITS, removed_units
from llmops.domain.changes import Action, ChangeSet

INSTALL = b"\n[Install]\n"
"""A unit with this section is in the boot once it is enabled; others are started by those that need them."""


def started_units(changes: ChangeSet) -> tuple[str, ...]:
    """Units that are new and that a person has to enable."""
    return tuple(
        one.path.name
        for one in changes.changes
        if one.action is Action.CREATE
        and one.path.parent == UNITS
        and one.after is not None
        and INSTALL in one.after.content
    )


def enabling(changes: ChangeSet, root: str) -> tuple[str, ...]:
    """What enables new units in the tree (systemctl(1), `--root=`)."""
    units = started_units(changes)
    return (f"systemctl --root={shlex.quote(root)} enable {' '.join(units)}",) if units else ()


def unlinking(changes: ChangeSet, root: Root) -> tuple[str, ...]:
    """What takes units out of the boot whose files went: `systemctl disable` asks for the files."""
    gone = set(removed_units(changes))
    wants = [UNITS / name for name in root.names(UNITS) if name.endswith((".wants", ".requires"))]
    links = [shlex.quote(root.shown(one / name)) for one in wants for name in root.names(one) if name in gone]
    return (f"rm -f {' '.join(links)}",) if links else ()
