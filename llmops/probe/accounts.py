"""Users and groups that a deployment needs, from passwd(5) and group(5); and how many files may be open."""

import os
from collections.abc import Sequence
from pathlib import Path

from llmops.domain.reading import Known, Unknown
from llmops.domain.surroundings import Account, FileLimits, Group
from llmops.probe.text import read_text, whole_number

OURS = "llmops-"
"""Every deployment has a user of its own, and the gateway one (the rendered sysusers.d files)."""

USERS = ("ollama", "vllm", "nginx", "www-data", "haproxy")
"""Those that packages of engines make, and those of the proxies in front."""

GROUPS = ("video", "render", "docker", "systemd-journal")
"""Who opens a card's device files, the container engine's socket, and the logs."""


def ask_accounts(root: Path) -> Known[tuple[Account, ...]] | Unknown:
    """Ours, and the users of `USERS`, those that are not there too; users of a directory service are not in the file."""
    passwd, group = read_text(root / "etc/passwd"), read_text(root / "etc/group")
    if isinstance(passwd, Unknown):
        return passwd
    return Known(read_accounts(passwd.value, group.value if isinstance(group, Known) else ""))


def read_accounts(passwd: str, group: str) -> tuple[Account, ...]:
    """Each with its groups: the first from passwd, the others from group."""
    rows = {row[0]: row for row in _rows(passwd, 7)}
    groups = _rows(group, 4)
    names = {row[2]: row[0] for row in groups}
    accounts = []
    for user in (*sorted(name for name in rows if name.startswith(OURS)), *USERS):
        row = rows.get(user)
        number = whole_number(row[2]) if row else None
        if row is None or number is None:
            accounts.append(Account(name=user, uid=None))
            continue
        further = [one[0] for one in groups if user in one[3].split(",")]
        own = [names[row[3]]] if row[3] in names else []
        accounts.append(Account(name=user, uid=number, groups=tuple(dict.fromkeys((*own, *further)))))
    return tuple(accounts)


def ask_groups(root: Path) -> Known[tuple[Group, ...]] | Unknown:
    """The groups of `GROUPS`, and whether this process is in them."""
    text = read_text(root / "etc/group")
    return text if isinstance(text, Unknown) else Known(read_groups(text.value, (os.getegid(), *os.getgroups())))


def read_groups(text: str, own: Sequence[int]) -> tuple[Group, ...]:
    """Each by its name; `own` are the numbers of this process's groups."""
    rows = {row[0]: row for row in _rows(text, 4)}
    found = []
    for name in GROUPS:
        row = rows.get(name)
        number = whole_number(row[2]) if row else None
        if row is None or number is None:
            found.append(Group(name=name, gid=None))
            continue
        members = tuple(member for member in row[3].split(",") if member)
        found.append(Group(name=name, gid=number, members=members, has_this_user=number in own))
    return tuple(found)


def ask_files(root: Path) -> Known[FileLimits] | Unknown:
    """This process's limits from /proc/self/limits, and what the kernel allows at most."""
    limits = read_text(root / "proc/self/limits")
    if isinstance(limits, Unknown):
        return limits
    row = next((line for line in limits.value.split("\n") if line.startswith("Max open files")), "")
    soft, hard = (_limit(word) for word in (*row.split(), "", "", "", "", "")[3:5])
    if soft is None or hard is None:
        return Unknown("/proc/self/limits names no limit of open files")
    return Known(
        FileLimits(
            soft=soft,
            hard=hard,
            most_per_process=_number(root / "proc/sys/fs/nr_open"),
            most_of_host=_number(root / "proc/sys/fs/file-max"),
        )
    )


def _limit(word: str) -> int | None:
    return (1 << 63) - 1 if word == "unlimited" else whole_number(word)


def _number(path: Path) -> Known[int] | Unknown:
    text = read_text(path)
    if isinstance(text, Unknown):
        return text
    number = whole_number(text.value)
    return Known(min(number, (1 << 63) - 1)) if number is not None else Unknown(f"{path}: not a number")


def _rows(text: str, fields: int) -> list[list[str]]:
    rows = [line.split(":") for line in text.split("\n") if line and not line.startswith(("#", "+", "-"))]
    return [row for row in rows if len(row) >= fields]
