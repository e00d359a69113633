"""The lock, `llmops.lock`: same decision, same bytes; read back to the same values, or refused with line and key."""

import re
from dataclasses import fields
from typing import cast

from llmops.domain.forms import Json, KeyPath, dump
from llmops.domain.lock import LOCK_SCHEMA, Lock, LockedDeployment
from llmops.domain.model import Digest, DigestAlgorithm, ModelFile, ModelRef
from llmops.formats.lock_migrations import second
from llmops.formats.plain_data import Migrations, Wrong
from llmops.formats.profile import check_freeze, check_name, check_serve
from llmops.formats.versioned import parse_versioned
from llmops.formats.yaml_writing import write_yaml

MIGRATIONS: Migrations = {1: second}
"""`/2` says of each card what kind it is, where the engine is bound to a memory node, and how often clients ask again."""

HEADER = (
    "# Written by `llmops plan --out`: what was decided, exactly. Keep it in git; change the profile, not this file.\n"
)

_DIGEST_LENGTH = {DigestAlgorithm.SHA256: 64, DigestAlgorithm.GIT_SHA1: 40}
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?", re.ASCII)
_COMMIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


def parse_lock(text: str, *, file: str) -> Lock:
    """The decision. Raises `WrongInput` with line and key for anything that `render` or `pull` could not trust."""
    hint = "write it again: `llmops plan … --out llmops.lock`"
    return parse_versioned(Lock, text, file=file, newest=LOCK_SCHEMA, migrations=MIGRATIONS, check=_check, hint=hint)


def dump_lock(lock: Lock) -> str:
    """The file's text: every key, in the order of the types."""
    return HEADER + write_yaml(cast("dict[str, Json]", dump(lock)))


MAY_BE_NONE = frozenset(
    ("queue_length", "client_retries", "retry_after_seconds", "rate_limit_burst", "alert_queue_length", "engine_port")
)
"""Figures of the lock that mean something at 0; ports have a range and words of their own."""

LONGEST_SECONDS = 2_147_483
"""HAProxy counts milliseconds in 31 bits."""

MOST_CONNECTIONS = 65_535
"""Of nginx's `limit_conn`."""


def _check(lock: Lock, wrong: Wrong) -> None:
    if not lock.deployments:
        raise wrong("no deployment", ("deployments",))
    check_serve(lock.serve, wrong)
    check_freeze(lock.change.freeze, wrong)
    ports: dict[int, str] = {}
    for name, deployment in lock.deployments.items():
        path: KeyPath = ("deployments", name)
        check_name(name, path, wrong)
        _check_deployment(deployment, path, wrong)
        port = deployment.numbers.engine_port.value
        here: KeyPath = (*path, "numbers", "engine_port", "value")
        for figure in fields(deployment.numbers):
            _check_figure(figure.name, getattr(deployment.numbers, figure.name).value, path, wrong)
        if not 1 <= port <= 65535:
            raise wrong(f"no port has the number {port}", here)
        if port in ports:
            raise wrong(f"the port {port} is also that of `{ports[port]}`", here)
        ports[port] = name
        for field, names in (("fallback", deployment.fallback), ("starts_after", deployment.starts_after)):
            for at, other in enumerate(names):
                if other not in lock.deployments or other == name:
                    raise wrong(f"no other deployment is called `{other[:40]}`", (*path, field, at))
    _check_start_order(lock, wrong)


def _check_figure(name: str, value: int, path: KeyPath, wrong: Wrong) -> None:
    """Refuse what a consumer would refuse, or take as "without a limit": `client_max_body_size 0`, `timeout queue 0s`."""
    least = 0 if name in MAY_BE_NONE else 1
    most = LONGEST_SECONDS if name.endswith("_seconds") else MOST_CONNECTIONS if name == "connections_per_key" else None
    here: KeyPath = (*path, "numbers", name, "value")
    if value < least:
        raise wrong(f"expected {least} or more, found {value}", here)
    if most is not None and value > most:
        raise wrong(f"expected at most {most}, found {value}", here)


def _check_start_order(lock: Lock, wrong: Wrong) -> None:
    """Nobody waits for itself over others: systemd would leave one of them out."""
    waiting = dict(lock.deployments)
    while free := [name for name, one in waiting.items() if not waiting.keys() & set(one.starts_after)]:
        for name in free:
            del waiting[name]
    for name in waiting:
        raise wrong("they wait for each other in a circle", ("deployments", name, "starts_after"))


def _check_deployment(deployment: LockedDeployment, path: KeyPath, wrong: Wrong) -> None:
    _check_model(deployment.model, (*path, "model"), wrong)
    if not deployment.argv or any(not word for word in deployment.argv[:1]):
        raise wrong("an empty command line", (*path, "argv"))
    if deployment.settings.engine is not deployment.engine.name:
        said = f"`{deployment.settings.engine.value}`, the engine is `{deployment.engine.name.value}`"
        raise wrong(f"settings of {said}", (*path, "settings", "engine"))
    if deployment.settings.parallel < 1:
        raise wrong("expected more than 0", (*path, "settings", "parallel"))


def _check_model(model: ModelRef, path: KeyPath, wrong: Wrong) -> None:
    if model.repository is not None and not _REPOSITORY.fullmatch(model.repository):
        raise wrong(f"`{model.repository[:60]}` is not a repository", (*path, "repository"))
    if model.commit is not None and not _COMMIT.fullmatch(model.commit):
        raise wrong(f"`{model.commit[:60]}` is not a commit", (*path, "commit"))
    seen: set[str] = set()
    for at, file in enumerate(model.files):
        here: KeyPath = (*path, "files", at)
        _check_file(file, here, wrong)
        if file.name in seen:
            raise wrong(f"the file `{file.name[:60]}` is listed twice", (*here, "name"))
        seen.add(file.name)


def _check_file(file: ModelFile, path: KeyPath, wrong: Wrong) -> None:
    parts = file.name.split("/")
    unsafe = "\\" in file.name or any(part in ("", ".", "..") or part.startswith("-") for part in parts)
    if unsafe or len(file.name) > 1024 or any(len(part.encode()) > 255 for part in parts):
        raise wrong(f"an unsafe file name: `{file.name[:60]}`", (*path, "name"))
    if file.digest is not None:
        _check_digest(file.digest, (*path, "digest", "value"), wrong)


def _check_digest(digest: Digest, path: KeyPath, wrong: Wrong) -> None:
    length = _DIGEST_LENGTH[digest.algorithm]
    if not re.fullmatch(rf"[0-9a-f]{{{length}}}", digest.value, re.ASCII):
        raise wrong(f"not a {digest.algorithm.value}: expected {length} lower-case hex digits", path)
