"""`llmops bundle create`: locks, the store, templates → one directory, or one file in as many volumes as wanted."""

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path

from llmops import __version__
from llmops.bundle import minisign
from llmops.bundle.pour import Cargo
from llmops.bundle.ssh_signature import ssh_sign
from llmops.bundle.writing import write_archive, write_folder
from llmops.cli.answer import Answer
from llmops.cli.bundle_backup import Saved, saved_generation
from llmops.cli.bundle_install import Watch, unwatched
from llmops.cli.bundle_locks import Packed, pack_locks, rendered_at
from llmops.cli.bundle_options import Action, Options
from llmops.cli.bundle_wheels import Wheels, wheels_in
from llmops.domain.bundle import (
    CHECKSUMS,
    IMAGES,
    MANIFEST,
    MINISIGN,
    README,
    SBOM,
    SSH_SIGNATURE,
    Bundle,
    BundleFile,
)  # fmt: skip
from llmops.domain.errors import WrongInput, WrongUsage
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.forms import Json, dump
from llmops.domain.programs import Runner
from llmops.domain.records import dataclass
from llmops.formats.bundle import dump_bundle
from llmops.formats.bundle_readme import bundle_readme
from llmops.formats.checksums import dump_checksums
from llmops.formats.image_list import parse_images
from llmops.formats.sbom import dump_sbom
from llmops.hub.store import Store, store_root
from llmops.library import files
from llmops.views.bundle import show_created
from llmops.views.screen import Screen, show_findings

LOCK = "llmops.lock"
FOLDER = "llmops-bundle"
Ask = Callable[[str], str]
"""Asks a person at the terminal for a passphrase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """All that goes in, but the manifest, the checksums and the signature, which follow from it."""

    packed: Packed
    wheels: Wheels
    images: tuple[str, ...]
    saved: Saved | None
    texts: Mapping[str, bytes]
    findings: tuple[Finding, ...] = field(default=())


def create(options: Options, *, runner: Runner, watch: Watch = unwatched, ask: Ask | None = None) -> Answer:
    """Collect, sign, write. Raises before anything is written when a file is missing or a key cannot sign."""
    began = time.monotonic()
    content = _content(options, runner)
    large = tuple(sorted((*content.packed.blobs.values(), *content.wheels.files), key=lambda one: one.path))
    manifest = _manifest(options, content, large)
    raw = dump_bundle(manifest).encode()
    sums = {one.path: one.sha256 for one in manifest.files} | {MANIFEST: hashlib.sha256(raw).hexdigest()}
    checksums = dump_checksums(sums).encode()
    digest = hashlib.sha256(checksums).hexdigest()
    signed = _signed(options, checksums, digest, runner, ask)
    cargo = Cargo(
        checksums=digest,
        texts={CHECKSUMS: checksums} | signed | {MANIFEST: raw} | dict(sorted(content.texts.items())),
        large=large,
        sources={one.path: path for one, path in content.packed.sources} | dict(content.wheels.sources),
        names=content.packed.names,
        hints=content.packed.hints,
    )
    path = Path(options.output or (f"{FOLDER}.tar.zst" if options.tar else FOLDER)).absolute()
    if not path.parent.is_dir():
        raise WrongInput("the directory does not exist", hint=f"`mkdir -p {path.parent}`", where=Where(file=str(path)))
    with watch(sum(one.bytes for one in large)) as progress:
        if options.tar:
            paths = write_archive(path, cargo, split=options.split_bytes(), level=options.level, progress=progress)
        else:
            write_folder(path, cargo, progress=progress)
            paths = (path,)
    kind = {MINISIGN: "minisign", SSH_SIGNATURE: "ssh"}.get(next(iter(signed), ""))
    return _answer(content, manifest, paths, digest, kind, time.monotonic() - began)


def _content(options: Options, runner: Runner) -> Content:
    store = Store(store_root(options.store, environment=os.environ))
    paths = options.paths or (os.environ.get("LLMOPS_LOCK") or LOCK,)
    packed = pack_locks(paths, store=store, with_models=options.models, runner=runner)
    wheels = wheels_in(options.with_wheels, packed.locks) if options.with_wheels is not None else Wheels()
    images: tuple[str, ...] = ()
    if options.images is not None:
        images = parse_images(files.read_text(Path(options.images)), name=options.images)
    saved = saved_generation(options.root, rendered_at(options.root, paths, runner)) if options.backup else None
    texts = dict(packed.texts)
    if images:
        texts[IMAGES] = ("\n".join(images) + "\n").encode()
    if saved is not None:
        texts |= saved.texts
    texts[SBOM] = dump_sbom(packed.locks, wheels=wheels.files, images=images, made_by=__version__).encode()
    texts[README] = bundle_readme(
        tuple(packed.rows), wheels=bool(wheels.files), images=bool(images), backup=saved is not None
    ).encode()
    findings = (*packed.findings, *wheels.findings, *(saved.findings if saved is not None else ()))
    return Content(packed=packed, wheels=wheels, images=images, saved=saved, texts=texts, findings=findings)


def _manifest(options: Options, content: Content, large: tuple[BundleFile, ...]) -> Bundle:
    small = (
        BundleFile(path=path, bytes=len(text), sha256=hashlib.sha256(text).hexdigest())
        for path, text in content.texts.items()
    )
    return Bundle(
        made_by=__version__,
        has_models=options.models,
        locks=content.packed.rows,
        images=content.images,
        backup=content.saved.backup if content.saved is not None else None,
        files=tuple(sorted((*small, *large), key=lambda one: one.path)),
    )


def _signed(options: Options, checksums: bytes, digest: str, runner: Runner, ask: Ask | None) -> dict[str, bytes]:
    """The signature's file, by the kind of key that is given."""
    if options.sign is None:
        return {}
    path = Path(options.sign)
    key = files.read_text(path).encode()
    if not minisign.is_secret_key(key):
        return {SSH_SIGNATURE: ssh_sign(checksums, key=path, runner=runner, environment=os.environ)}
    passphrase = _passphrase(options, ask) if minisign.is_locked(key) else None
    comment = f"llmops bundle {digest[:16]}"
    return {
        MINISIGN: minisign.sign(checksums, secret_key=key, passphrase=passphrase, comment=comment, name=options.sign)
    }


def _passphrase(options: Options, ask: Ask | None) -> bytes:
    if options.passphrase_file is not None:
        return files.read_text(Path(options.passphrase_file)).removesuffix("\n").encode()
    if ask is None:
        hint = "`--passphrase-file FILE`, or run it in a terminal"
        raise WrongUsage(f"`{options.sign}` needs its passphrase", hint=hint)
    return ask(f"passphrase of {options.sign}: ").encode()


def _answer(
    content: Content, manifest: Bundle, paths: tuple[Path, ...], digest: str, kind: str | None, seconds: float
) -> Answer:
    written = sum(_size(one) for one in paths)
    findings = (*content.findings, *_engine_findings(content))
    result: dict[str, Json] = {
        "action": Action.CREATE.value,
        "paths": [str(one) for one in paths],
        "bytes": sum(one.bytes for one in manifest.files),
        "checksums_sha256": digest,
        "signature": {"kind": kind, "by": None, "checked": False},
        "files": [dump(one) for one in manifest.files],
        "locks": [dump(one) for one in manifest.locks],
        "images": list[Json](manifest.images),
        "backup": dump(manifest.backup),
        "seconds": round(seconds, 3),
    }

    def show(to: Screen) -> None:
        show_created(to, manifest, paths, written=written, signed=kind, seconds=seconds)
        show_findings(to, findings)

    return Answer(result=result, show=show, findings=findings)


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())


def _engine_findings(content: Content) -> tuple[Finding, ...]:
    """Wheels or images were given, and the engine of a lock is in neither."""
    names = {one.engine.name.value for lock in content.packed.locks.values() for one in lock.deployments.values()}
    there = content.wheels.engines | {one.partition("=")[0] for one in content.images if "=" in one}
    there |= {name for name in names for one in content.images if name.replace(".", "") in one.replace(".", "")}
    if not (content.wheels.files or content.images):
        return ()
    return tuple(
        Finding(
            code="BND006",
            status=Status.WARN,
            message=f"the engine {name} of the lock is among neither the wheels nor the images",
            fix="add it, or have it on the target already",
        )
        for name in sorted(names - there)
    )
