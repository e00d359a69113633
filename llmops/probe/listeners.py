"""Listening TCP sockets: /proc/net/tcp and tcp6, and the program behind each where this user may look.

Source of the columns: Linux, Documentation/networking/proc_net_tcp.rst; state 0A is LISTEN. Addresses are 32-bit words in
the host's byte order, little-endian on every processor that is served here.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from llmops.domain.host import Listener
from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass
from llmops.probe.text import read_text, text_or_none

_LISTEN = re.compile(
    r"\s*\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} 0A(?: \S+){3}\s+(\d+)\s+\d+\s+(\d+)",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenersText:
    """The files as read; `programs` maps a socket's inode to a program's name; `all_seen` when every process could be read.

    `users` maps numbers to names (passwd(5)).
    """

    tcp: Known[str] | Unknown
    tcp6: Known[str] | Unknown
    programs: Mapping[str, str]
    all_seen: bool
    users: Mapping[str, str] = field(default_factory=dict)


def ask(root: Path) -> ListenersText:
    """Read the files below `root`, and the open sockets of every process this user may look at."""
    programs: dict[str, str] = {}
    all_seen = True
    for folder in (root / "proc").glob("[0-9]*"):
        try:
            links = [str(link.readlink()) for link in (folder / "fd").iterdir()]
        except FileNotFoundError:
            continue  # it ended meanwhile
        except OSError:
            all_seen = False
            continue
        sockets = [link[8:-1] for link in links if link.startswith("socket:[")]
        if sockets:
            name = text_or_none(folder / "comm")
            programs |= {inode: name for inode in sockets if name}
    return ListenersText(
        tcp=read_text(root / "proc/net/tcp"),
        tcp6=read_text(root / "proc/net/tcp6"),
        programs=programs,
        all_seen=all_seen,
        users=read_users(text_or_none(root / "etc/passwd") or ""),
    )


def read_users(passwd: str) -> dict[str, str]:
    """Names by their numbers, of passwd(5)."""
    rows = [line.split(":") for line in passwd.split("\n")]
    return {row[2]: row[0] for row in rows if len(row) > 3}


def read(text: ListenersText) -> Known[tuple[Listener, ...]] | Unknown:
    """Every listening socket once, by port; without /proc/net/tcp nothing is known, without tcp6 there is no IPv6."""
    if isinstance(text.tcp, Unknown):
        return text.tcp
    lines = [*text.tcp.value.split("\n"), *(text.tcp6.value.split("\n") if isinstance(text.tcp6, Known) else [])]
    found: dict[tuple[int, str], Listener] = {}
    for line in lines:
        match = _LISTEN.match(line)
        if match is None:
            continue
        address, port = _address(match[1]), int(match[2], 16)
        user = text.users.get(match[3], match[3])
        listener = Listener(address=address, port=port, program=_program(match[4], text), user=user)
        if (port, address) not in found or isinstance(listener.program, Known):
            found[port, address] = listener
    return Known(tuple(found[key] for key in sorted(found)))


def _address(digits: str) -> str:
    words = [bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def _program(inode: str, text: ListenersText) -> Known[str] | Unknown:
    if inode in text.programs:
        return Known(text.programs[inode])
    if text.all_seen:
        return Unknown("no process here holds the socket: the kernel, or another PID namespace")
    return Unknown("not every process may be looked at from here")
