"""From the lock's `serve` to the TLS edge on the target host."""

import re
from pathlib import PurePosixPath

from llmops.domain.deployment import Edge
from llmops.domain.lock import Lock
from llmops.domain.places import SELF_SIGNED
from llmops.domain.profile import SelfSigned, Serve, TlsFiles
from llmops.engines.carried import checked_path, is_address, refused

_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")


def edge_of(lock: Lock) -> Edge:
    """The edge in front of all deployments: of figures it has once, the largest."""
    numbers = [one.numbers for one in lock.deployments.values()]
    address, port = _listen(lock.serve)
    hostname = lock.serve.hostname
    is_number = is_address(hostname)
    if not is_number and (len(hostname) > 253 or not all(_LABEL.fullmatch(part) for part in hostname.split("."))):
        raise refused("serve.hostname", f"{hostname[:80]!r} is neither a host name nor an address")
    certificate, key = _certificate(lock.serve.tls)
    return Edge(
        address=address,
        port=port,
        hostname=hostname,
        hostname_is_address=is_number,
        certificate=certificate,
        certificate_key=key,
        self_signed=isinstance(lock.serve.tls, SelfSigned),
        audit_log=lock.observe.audit_log,
        retention_days=lock.observe.retention_days,
        body_limit_bytes=max(one.body_limit_bytes.value for one in numbers),
        retry_after_seconds=max(one.retry_after_seconds.value for one in numbers),
        client_ca=_client_ca(lock.serve),
    )


def _listen(serve: Serve) -> tuple[str, int]:
    address, _, port = serve.listen.rpartition(":")
    bare = "127.0.0.1" if address == "localhost" else address.removeprefix("[").removesuffix("]")
    if not is_address(bare) or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise refused("serve.listen", f"{serve.listen[:80]!r} is not ADDRESS:PORT, such as 127.0.0.1:8443 or [::]:8443")
    return bare, int(port)


def _client_ca(serve: Serve) -> PurePosixPath | None:
    return PurePosixPath(checked_path(serve.client_ca, "serve.client_ca")) if serve.client_ca is not None else None


def _certificate(tls: SelfSigned | TlsFiles) -> tuple[PurePosixPath, PurePosixPath]:
    if isinstance(tls, TlsFiles):
        return (
            PurePosixPath(checked_path(tls.certificate, "serve.tls.certificate")),
            PurePosixPath(checked_path(tls.key, "serve.tls.key")),
        )
    return SELF_SIGNED
