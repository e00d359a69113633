"""The versions of models on this machine."""

from collections.abc import Sequence

from llmops.domain.forms import Json
from llmops.domain.stored import Freed, Version
from llmops.domain.units import size_text
from llmops.views.screen import Screen, Tone


def version_row(one: Version) -> dict[str, Json]:
    """A version in `result.models`."""
    return {
        "name": one.name,
        "version": one.version,
        "current": one.is_current,
        "previous": one.is_previous,
        "pulled_at": one.pulled_at,
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
            one.pulled_at or "not known",
        )
        for one in versions
    ]
    if rows:
        to.table(("model", "version", "", "size", "pulled"), rows, right=(3,))
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
        to.line(f"in {one.directory}, pulled {one.pulled_at or 'before this was recorded'}")


def show_freed(to: Screen, freed: Freed) -> None:
    """What `gc` removed, or would."""
    count = "1 file" if len(freed.blobs) == 1 else f"{len(freed.blobs)} files"
    if not freed.blobs:
        to.line("every verified file is named by a version: nothing to remove", tone=Tone.GOOD)
    elif freed.dry_run:
        to.line(f"{count} that no version names would go: {size_text(freed.bytes)}; nothing was removed")
    else:
        to.line(f"{count} that no version named removed: {size_text(freed.bytes)} freed", tone=Tone.GOOD)


def _role(one: Version) -> str:
    return "current" if one.is_current else "previous" if one.is_previous else ""
