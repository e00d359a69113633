"""Who asks which hub: `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME` mean what they mean to the hub's own client."""

import os
import re
from urllib.parse import urlsplit

from llmops.domain.errors import OutsideWorld, WrongUsage

DEFAULT_ENDPOINT = "https://huggingface.co"


def hub_endpoint() -> str:
    """The hub's address without a slash at the end: `HF_ENDPOINT`, else the public one."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise OutsideWorld("`HF_HUB_OFFLINE` is set: the hub may not be asked", hint="`unset HF_HUB_OFFLINE`")
    return checked_endpoint(os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT)


def checked_endpoint(endpoint: str) -> str:
    """An address with http or https and a host. Raises `WrongUsage`; user and password are refused, and not repeated."""
    try:
        parts = urlsplit(endpoint.strip())
        host = parts.hostname
        _port = parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise WrongUsage("`HF_ENDPOINT` is not an http address", hint=f"for example `HF_ENDPOINT={DEFAULT_ENDPOINT}`")
    if "@" in parts.netloc:
        raise WrongUsage("`HF_ENDPOINT` holds a user or password", hint="put the token into `HF_TOKEN`")
    return endpoint.strip().rstrip("/")


def hub_token() -> str | None:
    """The token of `HF_TOKEN`, else of the login under `HF_HOME`; None when there is none."""
    no_telemetry()
    from huggingface_hub import get_token

    return checked_token(get_token())


def no_telemetry() -> None:
    """To be called before the hub's client is imported, which reads this once.

    It would otherwise ask the public hub for a list of agent programs (huggingface_hub 2.4, `utils/_detect_agent.py`),
    whatever hub is meant, with a time limit of three seconds.
    """
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"


def checked_token(token: str | None) -> str | None:
    """The token, or a refusal that does not show it: http.client's own message for an illegal header would."""
    if token is not None and not re.fullmatch(r"[\x21-\x7e]+", token):
        raise WrongUsage("the hub's token holds blanks or characters that no token has", hint="`hf auth login`")
    return token
