"""`records/<name>/<version>.json`: what is known of a version beside its files, which `models` shows."""

import json
import os
from dataclasses import replace
from pathlib import Path

from llmops.domain.forms import FormError, Json, dump, load
from llmops.domain.stored import VERSION_SCHEMA, Measured, VersionRecord
from llmops.domain.units import MIB
from llmops.hub.disk import sync_directory

LIMIT_BYTES = 8 * MIB
WORD, _, NEWEST = VERSION_SCHEMA.partition("/")


def parse_record(raw: bytes) -> VersionRecord | None:
    """The record in the newest schema; None for what is none, or was written by a newer llmops."""
    try:
        data = json.loads(raw)
        version = _version(data)
        if version is None or version > int(NEWEST):
            return None
        # `/1` has `pulled_at` and `files`: what `/2` has besides is not known of it.
        return load(VersionRecord, data | {"schema": VERSION_SCHEMA})
    except (ValueError, RecursionError, FormError):
        return None


def _version(data: Json) -> int | None:
    said = data.get("schema") if isinstance(data, dict) else None
    word, _, number = said.partition("/") if isinstance(said, str) else ("", "", "")
    return int(number) if word == WORD and number.isascii() and number.isdigit() and len(number) < 7 else None


def read_record(path: Path) -> VersionRecord:
    """The record at `path`, an empty one where there is none that can be read."""
    return parse_record(_raw(path)) or VersionRecord()


def write_record(path: Path, record: VersionRecord, *, new: Path) -> None:
    """In one step, by way of `new`, which lies beside it. A newer llmops knows more: its record is left as it is."""
    try:
        version = _version(json.loads(_raw(path)))
    except (ValueError, RecursionError):
        version = None
    if version is not None and version > int(NEWEST):
        return
    text = json.dumps(dump(record), indent=1, ensure_ascii=False) + "\n"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    new.replace(path)
    sync_directory(path.parent)


def with_measured(record: VersionRecord, result: Measured) -> VersionRecord:
    """The last result of each command, in the order of the commands."""
    last = {one.by: one for one in (*record.measured, result)}
    return replace(record, measured=tuple(last[by] for by in sorted(last)))


def _raw(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(LIMIT_BYTES)
    except OSError:
        return b""
