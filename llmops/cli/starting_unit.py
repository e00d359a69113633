"""A process that a systemd unit starts: the unit, its drop-ins as systemd finds them, and Quadlet's containers."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from llmops.domain.errors import Stop
from llmops.domain.explained import EngineProcess, Started
from llmops.engines.container_run import container_run
from llmops.engines.process import engine_process
from llmops.formats.quadlet import is_quadlet, podman_options, started_by_quadlet
from llmops.formats.unit_process import started_by_unit
from llmops.library import files

PLACES = (
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
"""Where units of the system lie; the first wins. Source: systemd 252, systemd.unit(5), "Unit File Load Path"."""

_TEMPLATE = re.compile(r"(?P<prefix>[^@]+)@(?P<instance>[^@]*)\.(?P<kind>[a-z]+)")


def of_unit(path: str, text: str) -> tuple[EngineProcess | None, Started]:
    """The process of a unit's text and its drop-ins; Quadlet's where it is one."""
    texts = [(path, text), *drop_ins(path)]
    if is_quadlet(text):
        started = started_by_quadlet(texts, read=lambda name: file_beside(path, name))
        started = _with_podman_options(started, podman_options(texts))
    else:
        started = started_by_unit(
            texts, read=lambda name: target_file(path, name), wanted=lambda one: engine_process(one) is not None
        )
    return engine_process(started), started


def _with_podman_options(started: Started, options: Sequence[str]) -> Started:
    """`PodmanArgs=` stands behind what Quadlet itself writes, and wins."""
    run = container_run((*options, started.image or "image"), {})
    if not options or run is None:
        return started
    return replace(
        started,
        environment={**started.environment, **run.environment},
        visible_cards=run.cards or started.visible_cards,
        mounts=(*started.mounts, *run.mounts),
        unknown=(*started.unknown, *run.unknown),
    )


def installed(name: str) -> Path | None:
    """A unit of this host by its name (`llama.service`, `llama`), an instance through its template."""
    whole = name if "." in name else f"{name}.service"
    if "/" in whole or not whole.endswith((".service", ".container")):
        return None
    match = _TEMPLATE.fullmatch(whole)
    template = [f"{match['prefix']}@.{match['kind']}"] if match is not None and match["instance"] else []
    folders = [Path("/") / place for place in PLACES]
    if whole.endswith(".container"):
        folders = [Path("/etc/containers/systemd"), Path("/usr/share/containers/systemd")]
    paths = (folder / one for one in (whole, *template) for folder in folders)
    return next((path for path in paths if path.is_file()), None)


def drop_ins(path: str) -> list[tuple[str, str]]:
    """Drop-ins in the order they count: by their own names, of equal names the one of the higher place.

    `a-b.service` has those of `a-b.service.d`, `a-.service.d` and, behind all places, `service.d`; an instance also its
    template's. Source: systemd 257, src/shared/dropin.c (`unit_file_find_dropin_paths`).
    """
    unit = Path(path)
    kind = unit.suffix.removeprefix(".")
    if not kind:
        return []
    found: dict[str, Path] = {}
    folders = _folders(unit)
    named = [folder / name for folder in folders for name in _drop_in_names(unit.name, kind)]
    for directory in (*named, *(folder / f"{kind}.d" for folder in folders)):
        for one in sorted(directory.glob("*.conf")) if directory.is_dir() else []:
            found.setdefault(one.name, one)
    return [(str(found[name]), files.read_text(found[name])) for name in sorted(found)]


def _drop_in_names(name: str, kind: str) -> list[str]:
    """The names of a unit's own directories, the most specific first."""
    names = [f"{name}.d"]
    match = _TEMPLATE.fullmatch(name)
    stem = name.removesuffix(f".{kind}")
    if match is not None:
        names.append(f"{match['prefix']}@.{kind}.d")
        stem = match["prefix"]
    parts = stem.split("-")
    return [*names, *(f"{'-'.join(parts[:end])}-.{kind}.d" for end in range(len(parts) - 1, 0, -1) if parts[end - 1])]


def _folders(unit: Path) -> list[Path]:
    """The places of one tree, where the unit lies in one of them; else its own folder."""
    own = unit.absolute().parent
    for place in PLACES:
        if str(own).endswith(f"/{place}"):
            root = Path(str(own).removesuffix(place))
            return [root / one for one in PLACES]
    return [own]


def target_file(unit: str, name: str) -> str | None:
    """A file the unit names: below the tree the unit lies in (`OUT/etc/systemd/system/x.service`), else on this host."""
    above = str(Path(unit).absolute()).partition("/etc/")
    candidates = [Path(above[0] + name)] if above[1] and name.startswith("/") else []
    return first_text([*candidates, Path(name)]) if name.startswith("/") else None


def file_beside(file: str, name: str) -> str | None:
    """A file that a Quadlet unit or a compose file names: one that is not absolute lies beside it."""
    return target_file(file, name) if name.startswith("/") else first_text([Path(file).parent / name])


def first_text(candidates: Sequence[Path]) -> str | None:
    """The first that can be read: one that is not here, or not for this user, is not known."""
    for path in candidates:
        try:
            return files.read_text(path)
        except Stop:
            continue
    return None
