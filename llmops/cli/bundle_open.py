"""A bundle is opened: signature, checksums, manifest, text and locks, in this order, each trusted only after the one before."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from llmops.bundle import minisign
from llmops.bundle.carrier import Carrier, open_bundle
from llmops.bundle.refusal import COPY_AGAIN
from llmops.bundle.ssh_signature import ssh_verify
from llmops.cli.bundle_options import Options
from llmops.domain.bundle import CHECKSUMS, MANIFEST, MINISIGN, SSH_SIGNATURE, Bundle, BundleFile, Signature, blob_path
from llmops.domain.errors import WrongInput
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.lock import Lock
from llmops.domain.model import DigestAlgorithm, ModelRef
from llmops.domain.programs import Runner
from llmops.domain.records import dataclass
from llmops.formats.bundle import parse_bundle
from llmops.formats.checksums import parse_checksums
from llmops.formats.lock import parse_lock
from llmops.library import files
from llmops.probe.programs import Programs

NOT_A_BUNDLE = "not a bundle: it has no SHA256SUMS and bundle.json"
AGAIN = "make the bundle again"
MAKE = "`llmops bundle create LOCK -o DIR` makes one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A bundle whose text is verified; its large files are not yet. `texts` holds all text files."""

    carrier: Carrier
    bundle: Bundle
    texts: Mapping[str, bytes]
    locks: Mapping[str, Lock]
    checksums_sha256: str
    signature: Signature | None
    findings: tuple[Finding, ...]

    def models(self) -> dict[str, ModelRef]:
        """What each deployment serves."""
        return {name: one.model for lock in self.locks.values() for name, one in lock.deployments.items()}

    def blobs(self) -> dict[str, BundleFile]:
        """Model files by sha256."""
        return {one.sha256: one for one in self.bundle.large() if one.is_blob()}


@contextmanager
def opened(options: Options) -> Iterator[Open]:
    """The bundle. Raises `WrongInput` at the first thing that is not as it should be."""
    path = Path(options.paths[0])
    with open_bundle(path) as carrier:
        checksums, manifest = carrier.text(CHECKSUMS), carrier.text(MANIFEST)
        if checksums is None or manifest is None:
            raise WrongInput(NOT_A_BUNDLE, hint=MAKE, where=Where(file=carrier.name))
        signature = _signature(carrier, checksums, options)
        sums = parse_checksums(checksums, name=f"{carrier.name}/{CHECKSUMS}")
        if sums.get(MANIFEST) != hashlib.sha256(manifest).hexdigest():
            raise _damaged(carrier, [MANIFEST])
        bundle = parse_bundle(manifest, sums, name=f"{carrier.name}/{MANIFEST}")
        carrier.expect(bundle)
        texts = _texts(carrier, bundle)
        locks = _locks(carrier, bundle, texts)
        own = {CHECKSUMS: checksums, MANIFEST: manifest}
        own |= {name: found for name in (MINISIGN, SSH_SIGNATURE) if (found := carrier.text(name)) is not None}
        yield Open(
            carrier=carrier,
            bundle=bundle,
            texts=own | texts,
            locks=locks,
            checksums_sha256=hashlib.sha256(checksums).hexdigest(),
            signature=signature,
            findings=_findings(signature, carrier.name),
        )


def _signature(carrier: Carrier, checksums: bytes, options: Options) -> Signature | None:
    """Who signed. A key that was given has to fit; what is signed and not asked about is only said."""
    mini, ssh = carrier.text(MINISIGN), carrier.text(SSH_SIGNATURE)
    if options.public_key is not None:
        if mini is None:
            raise _unsigned(carrier, MINISIGN, has_other=ssh is not None, other="`--allowed-signers`")
        text, name = options.public_key, "--public-key"
        if not minisign.looks_like_key(text) or Path(text).exists():
            text, name = files.read_text(Path(text)), text
        key = minisign.read_public_key(text, name=name)
        minisign.verify(checksums, mini, key=key, name=f"{carrier.name}/{MINISIGN}")
        return Signature(kind="minisign", by=key.name(), checked=True)
    if options.allowed_signers is not None:
        if ssh is None:
            raise _unsigned(carrier, SSH_SIGNATURE, has_other=mini is not None, other="`--public-key`")
        runner: Runner = Programs(os.environ)
        by = ssh_verify(
            checksums, ssh, signers=Path(options.allowed_signers), identity=options.identity, runner=runner,
            name=f"{carrier.name}/{SSH_SIGNATURE}",
        )  # fmt: skip
        return Signature(kind="ssh", by=by, checked=True)
    if mini is None and ssh is None:
        return None
    return Signature(kind="minisign" if mini is not None else "ssh", by=None, checked=False)


def _unsigned(carrier: Carrier, wanted: str, *, has_other: bool, other: str) -> WrongInput:
    text = f"it is not signed ({wanted} is missing), and a key was given: refused"
    hint = f"it has a signature of the other kind: {other}" if has_other else "ask who made it for a signed one"
    return WrongInput(text, hint=hint, where=Where(file=carrier.name))


def _texts(carrier: Carrier, bundle: Bundle) -> dict[str, bytes]:
    texts: dict[str, bytes] = {}
    damaged = []
    for one in bundle.small():
        content = carrier.text(one.path)
        if content is None or len(content) != one.bytes or hashlib.sha256(content).hexdigest() != one.sha256:
            damaged.append(one.path)
        else:
            texts[one.path] = content
    if damaged:
        raise _damaged(carrier, damaged)
    return texts


def _locks(carrier: Carrier, bundle: Bundle, texts: Mapping[str, bytes]) -> dict[str, Lock]:
    locks: dict[str, Lock] = {}
    seen: dict[str, ModelRef] = {}
    blobs = {one.path: one.bytes for one in bundle.files}
    for row in bundle.locks:
        place = f"{carrier.name}/{row.path}"
        try:
            lock = parse_lock(texts[row.path].decode(), file=place)
        except UnicodeDecodeError:
            raise WrongInput("not text (UTF-8)", hint=AGAIN, where=Where(file=place)) from None
        if tuple(lock.deployments) != row.deployments:
            raise WrongInput("the manifest names other deployments than this lock", hint=AGAIN, where=Where(file=place))
        for name, one in lock.deployments.items():
            if seen.setdefault(name, one.model) != one.model:
                text = f"two locks have a deployment `{name}` with different models"
                raise WrongInput(text, hint=AGAIN, where=Where(file=place))
            if bundle.has_models:
                _check_model(one.model, blobs, place)
        locks[row.name] = lock
    return locks


def _check_model(model: ModelRef, blobs: Mapping[str, int], place: str) -> None:
    for file in model.files:
        is_sha256 = file.digest is not None and file.digest.algorithm is DigestAlgorithm.SHA256
        size = blobs.get(blob_path(file.digest.value)) if file.digest is not None and is_sha256 else None
        if size != file.bytes:
            text = f"`{file.name}` of the lock is not in the bundle"
            raise WrongInput(text, hint=AGAIN, where=Where(file=place))


def _damaged(carrier: Carrier, paths: list[str]) -> WrongInput:
    return damaged(carrier.name, paths)


def damaged(name: str, paths: list[str]) -> WrongInput:
    """Files that do not have the sha256 of the checksums."""
    shown = ", ".join(f"`{one}`" for one in paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
    verb = "is" if len(paths) == 1 else "are"
    return WrongInput(f"{shown} {verb} not what {CHECKSUMS} says", hint=COPY_AGAIN, where=Where(file=name))


def _findings(signature: Signature | None, name: str) -> tuple[Finding, ...]:
    if signature is not None and signature.checked:
        return ()
    if signature is None:
        text = "not signed: its checksums tell damage, not who made it"
        fix = "`llmops bundle create --sign KEY` signs; `--public-key` or `--allowed-signers` then demands it"
    else:
        text = f"its signature ({signature.kind}) was not checked: no key was given"
        fix = "`--public-key KEY.pub`" if signature.kind == "minisign" else "`--allowed-signers FILE`"
    return (Finding(code="BND001", status=Status.WARN, message=text, fix=fix, where=Where(file=name)),)
