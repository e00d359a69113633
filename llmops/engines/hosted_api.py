"""From the lock's `serve.fallback_api` to what the gateway and the edge are told of it."""

from pathlib import PurePosixPath

from llmops.domain.hosted_api import CREDENTIAL, HostedApi, api_place
from llmops.domain.lock import Lock
from llmops.domain.places import CONFIGURATION
from llmops.domain.ports import EDGE_TARGET, FALLBACK_API_PORT
from llmops.engines.carried import CONTROL, checked_path, refused


def hosted_api_of(lock: Lock, *, gateway: bool) -> HostedApi | None:
    """None where there is none, or without the gateway, which goes out, and the edge, which changes the model's name."""
    asked = lock.serve.fallback_api
    if asked is None or not gateway or EDGE_TARGET not in lock.targets:
        return None
    place = api_place(asked.url)
    if place is None:
        raise refused("serve.fallback_api.url", f"{asked.url[:80]!r} is not as https://host/v1")
    if not CREDENTIAL.fullmatch(asked.key_credential):
        raise refused("serve.fallback_api.key_credential", f"{asked.key_credential[:80]!r} is not a credential's name")
    if not 0 < len(asked.model) <= 200 or CONTROL.search(asked.model):
        raise refused("serve.fallback_api.model", f"{asked.model[:60]!r} cannot be a model's name")
    numbers = [one.numbers for one in lock.deployments.values()]
    return HostedApi(
        host=place.host,
        port=place.port,
        prefix=place.prefix,
        model=asked.model,
        key_file=CONFIGURATION / "secrets" / f"fallback-api.{asked.key_credential}",
        ca=PurePosixPath(checked_path(asked.ca, "serve.fallback_api.ca")) if asked.ca is not None else None,
        gateway_port=FALLBACK_API_PORT,
        gateway_timeout_seconds=max(one.gateway_timeout_seconds.value for one in numbers),
        edge_read_timeout_seconds=max(one.edge_read_timeout_seconds.value for one in numbers),
    )
