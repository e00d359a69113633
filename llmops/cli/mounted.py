"""What a container sees of this host: its cards, and its files where they are here."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from llmops.domain.explained import EngineProcess, Mount

CARDS = "CUDA_VISIBLE_DEVICES"


def on_this_host(process: EngineProcess, *, folder: Path) -> EngineProcess:
    """The process with its cards named, and with paths as they are here; `folder`: where relative ones begin."""
    environment = dict(process.environment)
    if process.visible_cards is not None and CARDS not in environment:
        environment[CARDS] = ",".join(process.visible_cards)
    words = {
        word: here for word in (*process.argv, *environment.values()) if (here := _here(word, process.mounts, folder))
    }
    notes = tuple(dict.fromkeys(f"`{inside}` in the container is `{here}` here" for inside, here in words.items()))
    return replace(
        process,
        argv=tuple(words.get(word, word) for word in process.argv),
        environment={name: words.get(value, value) for name, value in environment.items()},
        notes=(*process.notes, *notes),
    )


def _here(word: str, mounts: Sequence[Mount], folder: Path) -> str | None:
    """The path on this host of a path in the container; None where it is none, or not here."""
    if not word.startswith("/"):
        return None
    path = PurePosixPath(word)
    for mount in sorted(mounts, key=lambda one: -len(one.inside)):
        if path.is_relative_to(mount.inside):
            outside = folder / Path(mount.outside).expanduser() / path.relative_to(mount.inside)
            try:
                return str(outside) if outside.exists() else None
            except (OSError, ValueError):  # a name that no file can have, or a folder that is closed to this user
                return None
    return None
