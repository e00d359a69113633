"""The servers that have a pinned model's files: the hub and its mirrors, an address, or Ollama's registry."""

from collections.abc import Sequence
from dataclasses import field

from llmops.domain.errors import WrongInput
from llmops.domain.model import Digest, DigestAlgorithm, ModelFile, ModelRef, SourceKind
from llmops.domain.records import dataclass
from llmops.hub.remote import RemoteFile, resolve_url
from llmops.hub.transport import Patience


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One server. The token is for the hub that was chosen, never for a mirror of it."""

    endpoint: str
    ref: ModelRef
    token: str | None = field(default=None, repr=False)

    def remote(self, file: ModelFile, digest: Digest, patience: Patience) -> RemoteFile:
        """A file of the model there."""
        is_hub = self.ref.kind is SourceKind.HUB
        return RemoteFile(
            self._url(file), endpoint=self.endpoint, repository=(self.ref.repository or "") if is_hub else "",
            token=self.token, patience=patience, commit=self.ref.commit if is_hub else None, expected_bytes=file.bytes,
            digest=digest,
        )  # fmt: skip

    def _url(self, file: ModelFile) -> str:
        ref, digest = self.ref, file.digest
        if ref.kind is SourceKind.URL:
            return ref.source
        if ref.kind is SourceKind.OLLAMA and digest is not None and digest.algorithm is DigestAlgorithm.SHA256:
            return f"{self.endpoint}/v2/{ref.repository}/blobs/sha256:{digest.value}"
        return resolve_url(
            endpoint=self.endpoint, repository=ref.repository or "", commit=ref.commit or "", name=file.name
        )


def origins(ref: ModelRef, *, endpoint: str, token: str | None, mirrors: Sequence[str] = ()) -> tuple[Origin, ...]:
    """Where to ask, in this order; `endpoint` is the hub's address, or for an Ollama name the registry's."""
    if ref.kind is SourceKind.URL:
        return (Origin(endpoint=ref.source, ref=ref),)
    if ref.repository is None or ref.commit is None:
        raise WrongInput(f"`{ref.source}` is not pinned to a commit of a repository")
    if ref.kind is SourceKind.OLLAMA:
        return (Origin(endpoint=endpoint, ref=ref),)
    others = dict.fromkeys(one for one in mirrors if one != endpoint)
    return (Origin(endpoint=endpoint, ref=ref, token=token), *(Origin(endpoint=one, ref=ref) for one in others))
