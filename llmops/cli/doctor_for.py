"""`llmops doctor --for LOCK`: what the lock needs, gathered for the checks."""

from collections.abc import Mapping
from pathlib import Path

from llmops.domain.errors import Stop, WrongInput
from llmops.domain.finding import Where
from llmops.domain.lock import Lock
from llmops.domain.model import ModelRef
from llmops.domain.needs import NeededFile, Needs, SandboxRow
from llmops.domain.places import model_version
from llmops.domain.reading import Known, Unknown
from llmops.formats.listen import address_and_port
from llmops.formats.lock import parse_lock
from llmops.hub.store import Store, store_root
from llmops.library import files

SUPERSEDED = ("NET001", "NET002", "ENG001", "ENG002", "CON001", "CON003")
"""Of a host in general: the lock's own checks of ports, engine and programs stand in their place."""

NEWEST_SYSTEMD = 9999


def needs_of(path: str, *, store: str | None, environment: Mapping[str, str], is_here: bool) -> Needs:
    """The lock and what goes with it; of another machine's facts (`is_here` False) the store cannot be looked at."""
    lock = parse_lock(files.read_text(Path(path), hint="`llmops plan MODEL --out llmops.lock` writes one"), file=path)
    listen = address_and_port(lock.serve.listen)
    if listen is None:
        raise WrongInput(f"not an address and port: `{lock.serve.listen}`", where=Where(file=path, key="serve.listen"))
    root = store_root(store, environment=environment)
    here = Store(root)
    elsewhere = Unknown("the facts are of another machine: `llmops verify` there")
    return Needs(
        lock=lock,
        edge_port=listen[1],
        store=str(root),
        files={name: _files(here, name, one.model) if is_here else elsewhere for name, one in lock.deployments.items()},
        directives=_directives(lock),
    )


def _files(store: Store, name: str, model: ModelRef) -> Known[tuple[NeededFile, ...]] | Unknown:
    folder = store.directory(name, model_version(model))
    found = []
    for file in model.files:
        try:
            have = (folder / file.name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            have = None
        except OSError as error:
            return Unknown(f"{folder}: {(error.strerror or str(error)).lower()}")
        found.append(NeededFile(name=file.name, bytes=file.bytes, have_bytes=have))
    return Known(tuple(found))


def _directives(lock: Lock) -> tuple[SandboxRow, ...]:
    """Those of its units, had the host the newest systemd."""
    from llmops.engines.deployment import site
    from llmops.render.directives import DIRECTIVES

    try:
        deployments = site(lock, systemd_version=NEWEST_SYSTEMD).deployments
    except Stop:  # what cannot be rendered is `render`'s to say
        return ()
    return tuple(
        SandboxRow(key=row.key, since=row.since) for row in DIRECTIVES if any(row.applies(one) for one in deployments)
    )
