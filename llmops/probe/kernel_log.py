"""The kernel's log since boot: NVIDIA's error reports (Xid), and modules the kernel did not take."""

import re

from llmops.domain.gpu import Xid
from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import Known, Unknown, mapped
from llmops.probe import pci

ANSWER_SECONDS = 5.0
CUT_CHARACTERS = (1 << 20) - 4096
"""A log about as long as a program's output may be was cut: what is not in it may stand behind."""

REJECTED_LIMIT = 8
TEXT_LIMIT = 200

_STAMP = re.compile(r"\[\s*(\d{1,10}\.\d{1,9})\]")
_PREFIX = re.compile(r"^(?:[^\W\d]{3}\.?\s+\d{1,2} [\d:]{8}|\d{4}-\d\d-\d\dT\S+) \S+ [\w.-]+(?:\[\d+\])?:\s*")
"""How syslog and journalctl begin a line."""

_XID = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9a-fA-F:.]{5,20})\): (\d{1,4})(?:, (.*))?$")
_SWITCH_XID = re.compile(r"\bSXid \((?:PCI:)?([0-9a-fA-F:.]{5,20})\): (\d{1,6})(?:, (.*))?$")
_GONE = re.compile(
    r"NVRM: The NVIDIA GPU ([0-9a-fA-F:.]{5,20})\s*\n.*\n?.*fallen off the bus and is not responding", re.MULTILINE
)
_REJECTED = re.compile(
    r"loading of (?:unsigned module|module with \w[\w ]{0,40}) is rejected|unsigned module loading is restricted"
    r"|signature not signed with a trusted key|Key was rejected by service",
    re.IGNORECASE,
)
"""kernel/module/signing.c, security/lockdown; "Key was rejected" is what modprobe says, and services log."""

OFF_THE_BUS = 79


def ask(runner: Runner) -> Known[str] | Unknown:
    """The log by `dmesg`, else by `journalctl -k`; `Unknown` where this user may read neither."""
    ring = read_text(runner.run(("dmesg",), timeout_seconds=ANSWER_SECONDS), what="dmesg")
    if isinstance(ring, Known):
        return ring
    journal = read_text(
        runner.run(
            ("journalctl", "-k", "-b", "--no-pager", "-q", "-o", "short-monotonic"), timeout_seconds=ANSWER_SECONDS
        ),
        what="journalctl -k",
    )
    return journal if isinstance(journal, Known) else ring


def read_text(ran: Known[Ran] | Unknown, *, what: str) -> Known[str] | Unknown:
    """What the program printed. No line at all is no log: every kernel says something when it starts."""
    if isinstance(ran, Unknown):
        return ran
    if ran.value.exit_code != 0 or not ran.value.stdout.strip():
        words = (ran.value.stderr.strip() or ran.value.stdout.strip()).splitlines()
        return Unknown(f"`{what}` said: {words[-1][:TEXT_LIMIT]}" if words else f"`{what}` printed nothing")
    return Known(ran.value.stdout)


def read_xids(log: Known[str] | Unknown) -> Known[tuple[Xid, ...]] | Unknown:
    """Every Xid, equal ones of one card counted; a log that was cut and shows none is unknown."""
    found = mapped(log, _xids)
    if isinstance(log, Known) and isinstance(found, Known) and not found.value and len(log.value) > CUT_CHARACTERS:
        return Unknown("the kernel's log is longer than 1 MiB, and its end was not read")
    return found


def read_rejected(log: Known[str] | Unknown) -> Known[tuple[str, ...]] | Unknown:
    """The lines on modules that were not taken, at most eight."""
    return mapped(
        log, lambda text: tuple(_words(line) for line in text.split("\n") if _REJECTED.search(line))[:REJECTED_LIMIT]
    )


def _xids(text: str) -> tuple[Xid, ...]:
    found: dict[tuple[bool, str, int], Xid] = {}
    for line in text.split("\n"):
        match, is_switch = _XID.search(line), False
        if match is None:
            match, is_switch = _SWITCH_XID.search(line), True
        if match is not None:
            _count(found, match[1], int(match[2]), match[3] or "", _stamp(line), is_switch=is_switch)
    for match in _GONE.finditer(text):
        start = text.rfind("\n", 0, match.start()) + 1
        words = "GPU has fallen off the bus and is not responding to commands."
        _count(found, match[1], OFF_THE_BUS, words, _stamp(text[start : match.start()]), is_switch=False)
    return tuple(found[key] for key in sorted(found))


def _count(
    found: dict[tuple[bool, str, int], Xid], where: str, code: int, text: str, stamp: float | None, *, is_switch: bool
) -> None:
    address = pci.address(where) or where.lower()
    key = (is_switch, address, code)
    before = found[key].count if key in found else 0
    found[key] = Xid(
        address=address,
        code=code,
        count=before + 1,
        text=text.strip()[:TEXT_LIMIT],
        is_switch=is_switch,
        seconds_after_boot=stamp,
    )


def _stamp(line: str) -> float | None:
    match = _STAMP.search(line)
    return float(match[1]) if match is not None else None


def _words(line: str) -> str:
    """The line without its stamp, the host's name and the process that wrote it."""
    return _PREFIX.sub("", _STAMP.sub("", line).strip()).strip()[:TEXT_LIMIT]
