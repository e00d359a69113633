"""Users and groups as the target knows them: from its own passwd and group files, not from this host's."""

import os
from dataclasses import field
from pathlib import PurePosixPath

from llmops.apply.root import Found, Root
from llmops.domain.records import dataclass

PASSWD = PurePosixPath("/etc/passwd")
GROUP = PurePosixPath("/etc/group")


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """Names to numbers. `can_set` False: this process may not give files away, so owners are recorded, not judged."""

    users: dict[str, int] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)
    can_set: bool = False

    def numbers(self, owner: str) -> tuple[int, int] | None:
        """User and group id of `user:group`; None when it cannot be set here."""
        user, _, group = owner.partition(":")
        ids = (_number(user, self.users), _number(group, self.groups))
        if not self.can_set or ids[0] is None or ids[1] is None:
            return None
        return ids[0], ids[1]

    def judged(self, found: Found, wanted: str) -> str:
        """The owner to compare with `wanted`: `wanted` itself when it could not be set anyway."""
        numbers = self.numbers(wanted)
        if numbers is None or numbers == (found.user_id, found.group_id):
            return wanted
        return f"{_name(found.user_id, self.users)}:{_name(found.group_id, self.groups)}"


def owners_of(root: Root) -> Owners:
    """The names of the target, and whether this process may set them."""
    return Owners(
        users={"root": 0} | _table(root, PASSWD), groups={"root": 0} | _table(root, GROUP), can_set=os.geteuid() == 0
    )


def _table(root: Root, path: PurePosixPath) -> dict[str, int]:
    found = root.read(path)
    rows = found.content.decode("utf-8", "replace").splitlines() if found is not None else []
    fields = [row.split(":") for row in rows]
    return {row[0]: int(row[2]) for row in fields if len(row) > 2 and row[2].isdecimal()}


def _number(name: str, table: dict[str, int]) -> int | None:
    return int(name) if name.isdecimal() else table.get(name)


def _name(number: int, table: dict[str, int]) -> str:
    return next((name for name, one in table.items() if one == number), str(number))
