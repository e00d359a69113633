"""From a lock to the files it means on a target: what `render`, `status`, `quickstart` and bundles begin with."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from llmops.domain.changes import Ways
from llmops.domain.deployment import RenderedFile, Site, Target
from llmops.domain.engine import EngineName
from llmops.domain.errors import WrongInput, WrongUsage
from llmops.domain.finding import Where
from llmops.domain.lock import Lock
from llmops.domain.programs import Runner
from llmops.domain.reading import Known
from llmops.domain.records import dataclass
from llmops.engines.agreement import refuse_disagreement
from llmops.engines.deployment import site as site_of
from llmops.formats.lock import parse_lock
from llmops.formats.target import parse_target
from llmops.library import files, shipped
from llmops.probe.system import read_systemd_version
from llmops.render import render

LOCK = "llmops.lock"
OLDEST_CHECKED_SYSTEMD = 252
"""Debian 12's, and what is rendered for when the target's is not known: nothing newer is needed by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for. `targets` empty: the lock's; `systemd_version` None: this host's where it is the target."""

    lock: str = LOCK
    out: str | None = None
    root: str = "/"
    apply: bool = False
    check: bool = False
    targets: tuple[str, ...] = ()
    engine_path: str | None = None
    systemd_version: int | None = None
    images: tuple[str, ...] = ()
    ways: Ways = Ways.REFUSE
    renew_certificate: bool = False
    restarts: bool = True
    override_freeze: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A lock, the site it describes, and the files of `targets`."""

    lock: Lock
    site: Site
    targets: tuple[str, ...]
    files: tuple[RenderedFile, ...]


def rendered(options: Options, runner: Runner) -> Rendered:
    """The files of the lock that `options` name, for the target that they name. Nothing of the target is read but its systemd."""
    lock = parse_lock(
        files.read_text(Path(options.lock), hint="`llmops plan MODEL --out llmops.lock` writes it"), file=options.lock
    )
    refuse_disagreement(lock, file=options.lock)
    templates = shipped.tree("templates")
    targets = _targets(options, lock, templates)
    names = tuple(target.name for target in targets)
    site = site_of(
        replace(lock, targets=tuple(dict.fromkeys((*lock.targets, *names)))),
        systemd_version=options.systemd_version or _systemd_version(options, runner),
        engine_path=options.engine_path,
        images=_images(options),
    )
    files_of = render(site, targets=targets, templates=templates)
    return Rendered(lock=lock, site=site, targets=names, files=files_of)


def _targets(options: Options, lock: Lock, templates: Mapping[str, str]) -> tuple[Target, ...]:
    known = [name.partition("/")[0] for name in templates if name.endswith("/target.yaml")]
    for name in options.targets:
        if name not in known:
            raise WrongUsage(f"no target `{name}`", hint=f"known: {', '.join(known)}")
    for name in lock.targets:
        if name not in known and not options.targets:
            hint = f"this version renders {', '.join(known)}: change `targets` in the profile and plan again, or use --target"
            raise WrongInput(f"no target `{name}`", hint=hint, where=Where(file=options.lock, key="targets"))
    chosen = dict.fromkeys(options.targets or lock.targets)
    return tuple(
        parse_target(templates[f"{name}/target.yaml"], file=f"templates/{name}/target.yaml") for name in chosen
    )


def _systemd_version(options: Options, runner: Runner) -> int:
    if options.root != "/" or options.out is not None:
        return OLDEST_CHECKED_SYSTEMD
    version = read_systemd_version(runner.run(("systemctl", "--version"), timeout_seconds=5))
    return version.value if isinstance(version, Known) else OLDEST_CHECKED_SYSTEMD


def _images(options: Options) -> dict[EngineName, str]:
    """`--image ENGINE=NAME@sha256:…`."""
    images: dict[EngineName, str] = {}
    for text in options.images:
        name, equals, image = text.partition("=")
        if not equals or name not in list(EngineName):
            raise WrongUsage(
                f"--image {text[:80]} is not ENGINE=NAME@sha256:DIGEST", hint=f"engines: {', '.join(EngineName)}"
            )
        images[EngineName(name)] = image
    return images


def is_there(options: Options, path: str) -> bool:
    """Whether `path` is on the target; of a tree that is only written out (`--out`), nothing is known to be."""
    if options.out is not None:
        return False
    return os.path.lexists(Path(options.root) / path.lstrip("/"))
