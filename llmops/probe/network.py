"""The way to the model hub: proxies named in the environment, its name, and whether it answers."""

import re
import socket
import ssl
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import NamedTuple
from urllib.parse import urlsplit

from llmops.domain.reading import Known, Unknown
from llmops.domain.surroundings import Hub, ProxyVariable
from llmops.probe.within import within

DEFAULT_ENDPOINT = "https://huggingface.co"
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
ANSWER_SECONDS = 3.0
"""For each of name, connection and answer; a hub that takes longer makes every download a trial."""

OFFLINE = Unknown("not asked: left out by `--offline`")
NOT_WANTED = Unknown("not asked: `llmops doctor` does it")
PATH = "/api/models?limit=1"
"""What the hub and its mirrors answer without a token, in a few hundred bytes."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_MAY_BE_A_HOST = re.compile(r"[^/]*/|(\[[^\]]*\]|[^:?#]*)(:[0-9]*)?[?#]")
"""What is before the last @ and may be a host with a path or query: `proxy/?token=a@b` has no password, `u:a/b@proxy` has."""


class Address(NamedTuple):
    """Where a URL leads; None of a URL that is none."""

    is_tls: bool
    host: str
    port: int


def proxies(environment: Mapping[str, str]) -> tuple[ProxyVariable, ...]:
    """Every variable that is set, in either case, without user and password, nor what follows a `?`: tokens stand there."""
    names = [name for upper in PROXIES for name in (upper, upper.lower())]
    return tuple(_shown(name, environment[name]) for name in names if environment.get(name))


def _shown(name: str, value: str) -> ProxyVariable:
    if name.upper() == "NO_PROXY":
        return ProxyVariable(name=name, value=value, has_credentials=False)
    scheme = _SCHEME.match(value)
    start = scheme[0] if scheme is not None else ""
    credentials, at, place = value.removeprefix(start).rpartition("@")
    if _MAY_BE_A_HOST.match(credentials):
        return ProxyVariable(name=name, value=f"{start}…", has_credentials=True)
    bare = place.partition("?")[0].partition("#")[0]
    return ProxyVariable(name=name, value=f"{start}{bare}", has_credentials=bool(at and credentials))


def address(url: str) -> Address | None:
    """The scheme, host and port of a URL; also of `proxy:3128`, which curl and others take."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return Address(parts.scheme == "https", parts.hostname, port or (443 if parts.scheme == "https" else 80))


def ask_hub(environment: Mapping[str, str]) -> Known[Hub] | Unknown:
    """Whether the hub of `HF_ENDPOINT` answers one request without a token, through the proxy that is set."""
    endpoint = (environment.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
    shown = _shown("", endpoint).value
    target = address(endpoint)
    if target is None:
        return Known(
            Hub(endpoint=shown, resolves=Unknown("not asked"), status=None, seconds=0.0, trouble="not a web address")
        )
    proxy = _proxy(target, environment)
    return within(
        3 * ANSWER_SECONDS, lambda: Known(_asked(shown, endpoint, target, proxy)), what=f"the hub {target.host}"
    )


def _proxy(target: Address, environment: Mapping[str, str]) -> str | None:
    """The proxy's URL as other programs choose it; None for a host that `NO_PROXY` names and for loopback."""
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed leaves it out

    names = ("HTTPS_PROXY",) if target.is_tls else ("HTTP_PROXY",)
    given = {name.upper(): environment[name] for name in environment if name.upper() in PROXIES and environment[name]}
    if target.host == "localhost" or target.host.startswith("127.") or target.host == "::1":
        return None
    if proxy_bypass_environment(f"{target.host}:{target.port}", {"no": given.get("NO_PROXY", "")}):
        return None
    return next((given[name] for name in (*names, "ALL_PROXY") if name in given), None)


def _asked(shown: str, endpoint: str, target: Address, proxy: str | None) -> Hub:
    begun = time.monotonic()
    through = address(proxy) if proxy else None
    if proxy and through is None:
        return Hub(
            endpoint=shown, resolves=Unknown("a proxy is asked"), status=None, seconds=0.0, through_proxy=True,
            trouble="the proxy's address is none that is understood (http:// or https://)",
        )  # fmt: skip
    first = through or target
    try:
        socket.getaddrinfo(first.host, first.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        trouble = f"the name {first.host} is not known: {getattr(error, 'strerror', None) or error}"
        return _hub(shown, begun, resolves=Known(value=False), trouble=trouble, through_proxy=through is not None)
    # behind a proxy, the proxy looks names up: this host need not know the hub's
    resolves = Unknown("the proxy looks names up") if through else Known(value=True)
    try:
        status = _status(target, through, proxy or "", urlsplit(endpoint).path)
    except (OSError, HTTPException, ValueError) as error:
        words = str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error) or type(error).__name__
        return _hub(shown, begun, resolves=resolves, trouble=words[:200], through_proxy=through is not None)
    return _hub(shown, begun, resolves=resolves, status=status, through_proxy=through is not None)


def _hub(
    shown: str, begun: float, *, resolves: Known[bool] | Unknown, status: int | None = None, trouble: str | None = None,
    through_proxy: bool = False,
) -> Hub:  # fmt: skip
    seconds = round(time.monotonic() - begun, 3)
    return Hub(
        endpoint=shown, resolves=resolves, status=status, seconds=seconds, trouble=trouble, through_proxy=through_proxy
    )


def _status(target: Address, through: Address | None, proxy: str, path: str) -> int:
    first = through or target
    if target.is_tls:
        connection: HTTPConnection = HTTPSConnection(
            first.host, first.port, timeout=ANSWER_SECONDS, context=ssl.create_default_context()
        )
    else:
        connection = HTTPConnection(first.host, first.port, timeout=ANSWER_SECONDS)
    where = path + PATH
    headers = {"User-Agent": "llmops-doctor"}
    if through is not None and target.is_tls:
        connection.set_tunnel(target.host, target.port, headers=_authorization(proxy))
    elif through is not None:
        where = f"http://{target.host}:{target.port}{where}"
        headers |= _authorization(proxy)
    try:
        connection.request("GET", where, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def _authorization(proxy: str) -> dict[str, str]:
    import base64
    from urllib.parse import unquote

    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if not parts.username:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
