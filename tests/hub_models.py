"""Small repositories for the hub's tests, and patience that runs out soon."""

import hashlib
import random
from pathlib import Path

from llmops.domain.model import Digest, DigestAlgorithm, ModelFile, ModelRef, ModelSource, SourceKind
from llmops.hub.transport import Patience

REPOSITORY = "org/model-GGUF"
GGUF = "model-Q4_K_M.gguf"
CONFIG = "config.json"
QUICK = Patience(attempts=3, first_wait_seconds=0.01, longest_wait_seconds=0.2, stall_seconds=0.5)


def content(size: int, *, seed: int = 1) -> bytes:
    """Bytes that no part of which repeats."""
    return random.Random(seed).randbytes(size)


def repository(root: Path, *, size: int = 300_000, name: str = REPOSITORY) -> dict[str, bytes]:
    """Write a repository of one GGUF and two small files below `root`; its files."""
    files = {GGUF: content(size), CONFIG: b'{"model_type": "llama"}', "README.md": b"# a model\n"}
    for file, data in files.items():
        path = root / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return files


def source(selector: str | None = None, *, name: str = REPOSITORY, revision: str | None = None) -> ModelSource:
    """What a person types for it."""
    typed = f"hf:{name}" + (f":{selector}" if selector else "")
    return ModelSource(typed=typed, kind=SourceKind.HUB, repository=name, revision=revision, selector=selector)


def sha256(data: bytes) -> Digest:
    """The digest of LFS files."""
    return Digest(algorithm=DigestAlgorithm.SHA256, value=hashlib.sha256(data).hexdigest())


def git_sha1(data: bytes) -> Digest:
    """The digest of small files, as `git hash-object` gives it."""
    return Digest(algorithm=DigestAlgorithm.GIT_SHA1, value=hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest())


def listing(names: dict[str, int], *, typed: str = "hf:org/x", name: str | None = "org/x") -> ModelRef:
    """A repository by names and sizes alone."""
    files = tuple(ModelFile(name=one, bytes=size, digest=sha256(one.encode())) for one, size in names.items())
    return ModelRef(source=typed, kind=SourceKind.HUB, repository=name, commit="c" * 40, licence=None, files=files)
