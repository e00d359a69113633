"""Models that an Ollama on this host has pulled or made: names to blobs, which are plain GGUF files.

`manifests/registry.ollama.ai/library/NAME/TAG` (or another namespace's; without a tag `latest`) lists layers by digest; the layer
of the model is the file `blobs/sha256-<hex>`.
Source: Ollama 0.33 server/manifest.go, server/modelpath.go.
"""

import json
import os
import re
from pathlib import Path

from llmops.domain.explained import OwnParameters
from llmops.domain.records import dataclass

MODEL = "application/vnd.ollama.image.model"
PARAMETERS = "application/vnd.ollama.image.params"
REGISTRY = Path("manifests", "registry.ollama.ai")
LOADING = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "draft_num_predict")
"""Parameters of a model that change what is loaded; they go before the server's variables."""

LIMIT_BYTES = 1 << 20
LARGEST = 1 << 40
_WORD = "[A-Za-z0-9][A-Za-z0-9._-]{0,79}"
_NAME = re.compile(rf"(?:(?P<space>{_WORD})/)?(?P<name>{_WORD})(?::(?P<tag>{_WORD}))?", re.ASCII)
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """A model of the store: its file, and the parameters it brings that bear on loading, also as text (`num_ctx 32768`)."""

    file: Path
    parameters: tuple[str, ...] = ()
    own: OwnParameters = OwnParameters()


def stores() -> tuple[Path, ...]:
    """Where an Ollama of this host keeps models: `OLLAMA_MODELS`, this user's, the service's."""
    named = os.environ.get("OLLAMA_MODELS", "").strip()
    found = [Path(named)] if named else []
    return (*found, Path.home() / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models"))


def stored_model(name: str) -> StoredModel | None:
    """The model of a name (`qwen3:8b`, `me/mine`) where its file is on this disk and may be read; None: it is not."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    for store in stores():
        layers = _layers(store / REGISTRY / (match["space"] or "library") / match["name"] / (match["tag"] or "latest"))
        file = _blob(store, layers.get(MODEL))
        if file is not None:
            said = _parameters(_blob(store, layers.get(PARAMETERS)))
            texts = tuple(f"{name} {str(value).lower()}" for name, value in said.items())
            return StoredModel(file=file, parameters=texts, own=_own(said))
    return None


def _layers(manifest: Path) -> dict[str, str]:
    """Digest by kind; empty where there is no manifest, or it is none."""
    content = _object(manifest)
    rows = content.get("layers")
    pairs = (
        [(one.get("mediaType"), one.get("digest")) for one in rows if isinstance(one, dict)]
        if isinstance(rows, list)
        else []
    )
    return {kind: digest for kind, digest in pairs if isinstance(kind, str) and isinstance(digest, str)}


def _blob(store: Path, digest: str | None) -> Path | None:
    match = _DIGEST.fullmatch(digest or "")
    path = store / "blobs" / f"sha256-{match[1]}" if match else None
    return path if path is not None and os.access(path, os.R_OK) and path.is_file() else None


def _parameters(path: Path | None) -> dict[str, int | float | bool]:
    content = _object(path) if path is not None else {}
    return {name: value for name in LOADING if isinstance(value := content.get(name), int | float | bool)}


def _own(said: dict[str, int | float | bool]) -> OwnParameters:
    def whole(name: str) -> int | None:
        value = said.get(name)
        return (
            int(value)
            if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
            else None
        )

    mapped = said.get("use_mmap")
    return OwnParameters(
        context_tokens=max(whole("num_ctx") or 0, 0),
        batch_tokens=max(whole("num_batch") or 0, 0),
        gpu_layers=whole("num_gpu"),
        main_card=whole("main_gpu"),
        mapped=mapped if isinstance(mapped, bool) else None,
    )


def _object(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(LIMIT_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
