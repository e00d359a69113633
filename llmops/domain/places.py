"""Where things lie: rules that the store, the lock and the rendered files share."""

import re
from pathlib import PurePosixPath

from llmops.domain.model import ModelRef

STORE = PurePosixPath("/var/lib/llmops")
"""The store every rendered file points at, on the target host."""

CONFIGURATION = PurePosixPath("/etc/llmops")

NAME_LIMIT = 24

SELF_SIGNED = PurePosixPath("/etc/nginx/llmops/tls.crt"), PurePosixPath("/etc/nginx/llmops/tls.key")
"""The edge's certificate that llmops makes itself, and its key."""

SWAP_FILE = STORE / "state/swap/file"
SWAP_UNIT = "var-lib-llmops-state-swap-file.swap"
"""Named after the file, as systemd.swap(5) wants it: `systemd-escape --path --suffix=swap FILE`."""

TAKEN_NAMES = frozenset({"api", "gateway", "gpu", "metrics", "nobody", "persistence", "swap"})
"""No deployment's name: gateway, `gpu`, `persistence` and `swap` have units of their own, the others sections of HAProxy's."""


def deployment_name(model: str) -> str:
    """What a deployment is called after its model when no profile names it: `[a-z0-9-]`, at most 24 characters."""
    last = model.rsplit("/", 1)[-1].split(":", 1)[0]
    last = re.sub(r"(-\d{5}-of-\d{5})?\.gguf$", "", last, flags=re.IGNORECASE)
    name = re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")[:NAME_LIMIT].strip("-")
    return f"{name}-model" if name in TAKEN_NAMES else name or "model"


def model_version(model: ModelRef) -> str:
    """The folder of one version of a model: its commit, else a digest over its files' names and digests."""
    if model.commit is not None:
        return model.commit
    import hashlib  # brings OpenSSL: a plan that is not locked needs no digest

    text = "".join(f"{one.name} {one.digest.value if one.digest else ''}\n" for one in model.files)
    return f"files-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def model_directory(store: PurePosixPath, name: str, version: str) -> PurePosixPath:
    """`models/<name>/<version>` in a store."""
    return store / "models" / name / version


def current_directory(store: PurePosixPath, name: str) -> PurePosixPath:
    """`models/<name>/current`: the link a unit points through."""
    return store / "models" / name / "current"


def blob_file(store: PurePosixPath, sha256: str) -> PurePosixPath:
    """`blobs/sha256/<hex>`: a file's verified bytes, under whatever names models hold them."""
    return store / "blobs" / "sha256" / sha256


def incoming_directory(store: PurePosixPath) -> PurePosixPath:
    """`incoming`: what is not verified yet; nothing is ever served from here."""
    return store / "incoming"
