"""Certificates that nginx and HAProxy show: named in their configurations, read as far as this user may.

nginx: `ssl_certificate` in nginx.conf and what it includes. HAProxy: `crt` and `crt-list` of `bind` lines, `crt-base`.
"""

import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from llmops.domain.exposure import Certificate, UnreadCertificate
from llmops.domain.reading import Known, Unknown
from llmops.probe.text import read_text

if TYPE_CHECKING:
    from cryptography import x509

NGINX = PurePosixPath("/etc/nginx/nginx.conf")
HAPROXY = ("etc/haproxy/*.cfg", "etc/haproxy/conf.d/*.cfg")
FILES_LIMIT = 300
CERTIFICATES_LIMIT = 100
FILE_LIMIT_BYTES = 1 << 20
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]{1,65536}-----END CERTIFICATE-----")
_WORD = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s;{}#"']+)|([;{}])|(#[^\n]*)""")

Found = tuple[Known[tuple[Certificate, ...]] | Unknown, tuple[UnreadCertificate, ...]]


def ask(root: Path, *, now: datetime | None = None) -> Found:
    """Every certificate once, by its path; with those that cannot be read. `Unknown` where a configuration cannot be."""
    now = now or datetime.now(UTC)
    named: dict[PurePosixPath, str] = {}
    refused: list[Unknown] = []
    for server, places in (("nginx", _nginx(root, refused)), ("haproxy", _haproxy(root, refused))):
        for place in places:
            if len(named) < CERTIFICATES_LIMIT:
                named.setdefault(place, server)
    known: list[Certificate] = []
    unread: list[UnreadCertificate] = []
    for place, server in named.items():
        found = _certificate(root, place, server, now)
        if isinstance(found, Certificate):
            known.append(found)
        else:
            unread.append(found)
    if refused and not known:
        return refused[0], tuple(unread)
    return Known(tuple(known)), tuple(unread)


def read_nginx(text: str) -> Iterator[tuple[str, str]]:
    """The directives `include` and `ssl_certificate` with their first argument; comments and quotes are minded."""
    words: list[str] = []
    for match in _WORD.finditer(text):
        if match[1] is not None:
            words.append(match[1][1:-1] if match[1][0] in "\"'" else match[1])
        elif match[2] is not None:
            if match[2] == ";" and len(words) > 1 and words[0] in ("include", "ssl_certificate"):
                yield words[0], words[1]
            words = []


def read_haproxy(text: str) -> tuple[str, ...]:
    """Paths behind `crt` and, marked with `@`, behind `crt-list`, of `bind` lines; relative ones below `crt-base`."""
    base = ""
    paths: list[str] = []
    for line in text.split("\n"):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # an open quote
            continue
        if words[:1] == ["crt-base"] and len(words) > 1:
            base = words[1]
        if words[:1] != ["bind"]:
            continue
        for at, word in enumerate(words[:-1]):
            if word in ("crt", "crt-list"):
                path = words[at + 1]
                full = path if path.startswith("/") or not base or word == "crt-list" else f"{base}/{path}"
                paths.append(f"@{full}" if word == "crt-list" else full)
    return tuple(paths)


def read_pem(data: bytes, *, path: str, used_by: str, now: datetime) -> Certificate | UnreadCertificate:
    """The first certificate of a PEM file: a server's own comes before those that vouch for it."""
    from cryptography import x509

    match = _PEM.search(data)
    if match is None:
        return UnreadCertificate(path=path, used_by=used_by, reason="no certificate in PEM form in it")
    try:
        one = x509.load_pem_x509_certificate(match[0])
        after = one.not_valid_after_utc
        names = _names(one)
        own = one.issuer == one.subject
    except (ValueError, TypeError, x509.InvalidVersion, x509.UnsupportedGeneralNameType):
        return UnreadCertificate(path=path, used_by=used_by, reason="a certificate that is not understood")
    return Certificate(
        path=path,
        used_by=used_by,
        names=names,
        not_after=after.strftime("%Y-%m-%dT%H:%M:%SZ"),
        days_left=(after - now).days,
        self_signed=own,
    )


def _names(one: "x509.Certificate") -> tuple[str, ...]:
    from cryptography import x509

    try:
        names = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return tuple(str(item.value) for item in one.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME))
    return (
        *names.get_values_for_type(x509.DNSName),
        *(str(address) for address in names.get_values_for_type(x509.IPAddress)),
    )


def _certificate(root: Path, place: PurePosixPath, server: str, now: datetime) -> Certificate | UnreadCertificate:
    try:
        with (root / str(place).lstrip("/")).open("rb") as file:
            data = file.read(FILE_LIMIT_BYTES)
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        return UnreadCertificate(path=str(place), used_by=server, reason=reason)
    return read_pem(data, path=str(place), used_by=server, now=now)


def _nginx(root: Path, refused: list[Unknown]) -> Iterator[PurePosixPath]:
    folder = NGINX.parent
    waiting, seen = [NGINX], {NGINX}
    while waiting and len(seen) < FILES_LIMIT:
        file = waiting.pop(0)
        text = _config(root, file, refused)
        for directive, value in read_nginx(text):
            if "$" in value or value.startswith(("data:", "engine:", "store:")):
                continue  # chosen at each handshake, or not a file
            path = PurePosixPath(folder / value)
            if directive == "ssl_certificate":
                yield path
                continue
            for one in sorted(root.glob(str(path).lstrip("/"))):
                inside = PurePosixPath("/") / one.relative_to(root)
                if inside not in seen:
                    seen.add(inside)
                    waiting.append(inside)


def _haproxy(root: Path, refused: list[Unknown]) -> Iterator[PurePosixPath]:
    for pattern in HAPROXY:
        for file in sorted(root.glob(pattern)):
            for path in read_haproxy(_config(root, PurePosixPath("/") / file.relative_to(root), refused)):
                if path.startswith("@"):
                    lines = _config(root, PurePosixPath(path[1:]), refused).split("\n")
                    yield from (
                        PurePosixPath(words[0]) for line in lines if (words := line.split()) and words[0][0] == "/"
                    )
                elif (root / path.lstrip("/")).is_dir():
                    yield from (
                        PurePosixPath(path) / one.name for one in sorted((root / path.lstrip("/")).glob("*.pem"))
                    )
                else:
                    yield PurePosixPath(path)


def _config(root: Path, file: PurePosixPath, refused: list[Unknown]) -> str:
    """The text of a configuration; one that is there and may not be read is remembered."""
    text = read_text(root / str(file).lstrip("/"))
    if isinstance(text, Known):
        return text.value
    if not text.reason.endswith("no such file or directory"):
        refused.append(text)
    return ""
