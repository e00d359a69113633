"""API keys of clients, as the edge keeps them."""

import re

from llmops.domain.errors import WrongUsage
from llmops.domain.records import dataclass

TENANT = re.compile(r"[A-Za-z0-9._@-]{1,64}")
SHORT_DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedKey:
    """The SHA-256 of a key in hex, and whom it was given to."""

    sha256: str
    tenant: str

    def short(self) -> str:
        """What tells keys of one tenant apart."""
        return self.sha256[:SHORT_DIGITS]


def checked_tenant(name: str) -> str:
    """A name every log and file can carry. Raises `WrongUsage`."""
    if not TENANT.fullmatch(name):
        raise WrongUsage(f"{name[:60]!r} is no name for a key", hint="1 to 64 letters, digits and . _ @ -")
    return name


def without(keys: tuple[HashedKey, ...], *, tenant: str, digest: str | None) -> tuple[HashedKey, ...]:
    """The keys that stay. Raises `WrongUsage` where nothing matches."""
    gone = [key for key in keys if key.tenant == tenant and key.sha256.startswith(digest or "")]
    if not gone:
        known = ", ".join(dict.fromkeys(key.tenant for key in keys)) or "none"
        what = f"`{tenant}` has no key" if digest is None else f"`{tenant}` has no key that begins with {digest[:64]}"
        raise WrongUsage(what, hint=f"keys are known of: {known}")
    return tuple(key for key in keys if key not in gone)
