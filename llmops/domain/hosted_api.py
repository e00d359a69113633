"""A hosted API that answers when nothing here does: its address taken apart, and what a template may read of it."""

import re
from pathlib import PurePosixPath
from typing import NamedTuple

from llmops.domain.records import dataclass

CREDENTIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
"""What its key may be called: a part of a file's name."""

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PART = r"/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+"
_URL = re.compile(rf"https://({_LABEL}(?:\.{_LABEL})*)(?::([0-9]{{1,5}}))?((?:{_PART})*)/?", re.ASCII)
HTTPS_PORT = 443


class ApiPlace(NamedTuple):
    """Where it is; `prefix` is what stands before `/chat/completions`, as `/v1`."""

    host: str
    port: int
    prefix: str


def api_place(url: str) -> ApiPlace | None:
    """`https://api.example/v1` taken apart. None: no https, no host name (an address has no certificate), or a query."""
    found = _URL.fullmatch(url) if len(url) <= 1000 else None
    if found is None or len(found[1]) > 253 or re.fullmatch(r"[0-9.]+", found[1]):
        return None
    port = int(found[2] or HTTPS_PORT)
    return ApiPlace(found[1], port, found[3]) if 0 < port < 65536 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedApi:
    """All a template may read of it. `gateway_port` is where the gateway takes what is for it, on 127.0.0.1.

    `key_file`: its key, put there by a person. `ca` None: what the target's system trusts. Timeouts are the longest of all
    deployments', as it stands in for any.
    """

    host: str
    port: int
    prefix: str
    model: str
    key_file: PurePosixPath
    ca: PurePosixPath | None
    gateway_port: int
    gateway_timeout_seconds: int
    edge_read_timeout_seconds: int

    def trusted(self) -> str:
        """HAProxy's word for who may have signed its certificate."""
        return str(self.ca) if self.ca is not None else "@system-ca"

    def keeps_path(self) -> bool:
        """Whether its paths are those of the edge."""
        return self.prefix == "/v1"
