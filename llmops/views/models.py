"""The versions of models on this machine."""

from collections.abc import Sequence

from llmops.domain.forms import Json, dump
from llmops.domain.stored import Freed, Measured, MeasuredBy, Version
from llmops.domain.units import size_text
from llmops.views.screen import Screen, Tone


def version_row(one: Version) -> dict[str, Json]:
    """A version in `result.models`."""
    return {
        "name": one.name,
        "version": one.version,
        "current": one.is_current,
        "previous": one.is_previous,
        "repository": one.record.repository,
        "licence": one.record.licence,
        "gated": one.record.gated,
        "pulled_at": one.record.pulled_at,
        "lock": dump(one.record.lock),
        "measured": [dump(result) for result in one.record.measured],
        "bytes": sum(file.bytes for file in one.files),
        "directory": one.directory,
        "files": [{"name": file.name, "bytes": file.bytes, "sha256": file.sha256} for file in one.files],
    }


def show_versions(to: Screen, versions: Sequence[Version], *, disk_bytes: int, root: str) -> None:
    """A table, and the space they take together."""
    rows = [
        (
            one.name,
            one.version,
            _role(one),
            size_text(sum(file.bytes for file in one.files)),
            one.record.licence or "not known",
            one.record.pulled_at or "not known",
            _verified(one),
            one.record.lock.path if one.record.lock is not None else "no lock",
        )
        for one in versions
    ]
    if rows:
        head = ("model", "version", "", "size", "licence", "pulled", "verified", "by lock")
        to.table(head, rows, right=(3,), first_left_out=("by lock", "verified", "pulled", "licence"))
    else:
        to.line("no model here yet: `llmops pull` brings one")
    to.line(f"{size_text(disk_bytes)} of verified files in {root}; shared ones count once", tone=Tone.DIM)


def show_files(to: Screen, versions: Sequence[Version]) -> None:
    """Each version with its files and their digests."""
    for one in versions:
        role = _role(one)
        to.line(f"{one.name} {one.version}{f' ({role})' if role else ''}", tone=Tone.TITLE)
        rows = [(file.name, size_text(file.bytes), file.sha256 or "not a verified file") for file in one.files]
        to.table(("file", "size", "sha256"), rows, right=(1,))
        record = one.record
        gated = f", gated ({record.gated})" if record.gated else ""
        to.line(f"licence: {record.licence or 'not known'}{gated}")
        to.line(f"in {one.directory}, pulled {record.pulled_at or 'before this was recorded'}")
        if record.lock is not None:
            to.line(f"by the lock {record.lock.path} (sha256 {record.lock.sha256[:16]}…)")
        else:
            to.line("by no lock that is known")
        for result in record.measured:
            to.line(_measured(result), tone=Tone.PLAIN if result.ok else Tone.BAD)


def show_freed(to: Screen, freed: Freed) -> None:
    """What `gc` removed, or would."""
    count = "1 file" if len(freed.blobs) == 1 else f"{len(freed.blobs)} files"
    if freed.kept:
        kept = "1 file" if len(freed.kept) == 1 else f"{len(freed.kept)} files"
        to.line(f"{kept} that no version names would free nothing: there are other links to the same bytes")
    if not freed.blobs and not freed.kept:
        to.line("every verified file is named by a version: nothing to remove", tone=Tone.GOOD)
    elif not freed.blobs:
        to.line("nothing to remove")
    elif freed.dry_run:
        to.line(f"{count} that no version names would go: {size_text(freed.bytes)}; nothing was removed")
    else:
        to.line(f"{count} that no version named removed: {size_text(freed.bytes)} freed", tone=Tone.GOOD)


def _role(one: Version) -> str:
    return "current" if one.is_current else "previous" if one.is_previous else ""


def _verified(one: Version) -> str:
    result = next((row for row in one.record.measured if row.by is MeasuredBy.VERIFY), None)
    if result is None:
        return "on arrival"
    return result.at if result.ok else f"differs, {result.at}"


def _measured(result: Measured) -> str:
    """`verify 2026-11-21T20:00:00+00:00: as the lock says; 4.1 GiB in 2.3 s, 1.8 GiB/s`."""
    said = {
        MeasuredBy.PULL: "brought",
        MeasuredBy.VERIFY: "as the lock says" if result.ok else "not what the lock says",
        MeasuredBy.SMOKE: "answers as it should" if result.ok else "does not answer as it should",
        MeasuredBy.BENCH: "holds its limits" if result.ok else "misses its limits",
    }[result.by]
    figures = ", ".join(_figure(name, value) for name, value in result.figures.items())
    return f"{result.by.value} {result.at}: {said}{f'; {figures}' if figures else ''}"


def _figure(name: str, value: float) -> str:
    """A figure with the unit that its name ends in."""
    if name.endswith("bytes_per_second"):
        return f"{size_text(int(value))}/s"
    if name.endswith("bytes"):
        words, text = name.removesuffix("bytes"), size_text(int(value))
    elif name.endswith("_seconds") or name == "seconds":
        words, text = name.removesuffix("seconds"), f"{value:.3g} s"
    else:
        words, text = name, f"{value:g}"
    label = words.strip("_").replace("_", " ")
    return f"{label} {text}" if label else text
