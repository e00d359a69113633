"""Who asks which hub: `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME` mean what they mean to the hub's own client.

Also the mirrors of a hub, a token in a file of its own, and a certificate authority of one's own.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from llmops.domain.errors import OutsideWorld, WrongInput, WrongUsage
from llmops.domain.finding import Where

DEFAULT_ENDPOINT = "https://huggingface.co"
TOKEN_FILE_BYTES = 4096


def hub_endpoint() -> str:
    """The hub's address without a slash at the end: `HF_ENDPOINT`, else the public one."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise OutsideWorld("`HF_HUB_OFFLINE` is set: the hub may not be asked", hint="`unset HF_HUB_OFFLINE`")
    return checked_endpoint(os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT)


def mirrors(given: Sequence[str]) -> tuple[str, ...]:
    """Addresses of other hubs with the same repositories: each text may hold several, with blanks or commas between."""
    words = [word for text in given for word in re.split(r"[\s,]+", text) if word]
    return tuple(dict.fromkeys(checked_endpoint(word, name="a mirror") for word in words))


def checked_endpoint(endpoint: str, *, name: str = "`HF_ENDPOINT`") -> str:
    """An address with http or https and a host. Raises `WrongUsage`; user and password are refused, and not repeated."""
    try:
        parts = urlsplit(endpoint.strip())
        host = parts.hostname
        _port = parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise WrongUsage(f"{name} is not an http address", hint=f"for example `{DEFAULT_ENDPOINT}`")
    if "@" in parts.netloc:
        hint = (
            "put the token into `HF_TOKEN`"
            if name == "`HF_ENDPOINT`"
            else "give its address alone: it is asked without a name"
        )
        raise WrongUsage(f"{name} holds a user or password", hint=hint)
    return endpoint.strip().rstrip("/")


def hub_token() -> str | None:
    """The token of `HF_TOKEN`, else of the login under `HF_HOME`; None when there is none."""
    no_telemetry()
    from huggingface_hub import get_token

    return checked_token(get_token())


def token_in_file(path: str) -> str:
    """The token in a file of its own, a systemd credential for example; it is never part of an error."""
    where = Where(file=path)
    try:
        with Path(path).open("rb") as file:
            text = file.read(TOKEN_FILE_BYTES)
    except FileNotFoundError as error:
        raise WrongInput("there is no such file", hint="it holds the hub's token, one line", where=where) from error
    except OSError as error:
        raise OutsideWorld(f"cannot be read: {(error.strerror or str(error)).lower()}", where=where) from error
    token = text.decode("ascii", "replace").strip()
    if not token:
        raise WrongInput("this file is empty", hint="it holds the hub's token, one line", where=where)
    checked_token(token)
    return token


def trust(authority: str | None) -> None:
    """Believe the certificates of `authority` (a PEM file), for this process: its own requests and the hub's client's.

    None: those of `SSL_CERT_FILE`, which both read; `REQUESTS_CA_BUNDLE` where that is not set. Raises `WrongInput`.
    """
    given = authority or os.environ.get("SSL_CERT_FILE") or os.environ.get("REQUESTS_CA_BUNDLE")
    if not given:
        return
    if Path(given).is_dir() and authority is None:
        os.environ.setdefault("SSL_CERT_DIR", given)
        return
    import ssl  # a file of this disk needs none

    try:
        ssl.create_default_context(cafile=given)
    except FileNotFoundError as error:
        hint = "`--ca FILE` or `SSL_CERT_FILE` has to name one (PEM)"
        raise WrongInput("there is no such file of certificates", hint=hint, where=Where(file=given)) from error
    except (ssl.SSLError, OSError) as error:
        text = "this is not a file of certificates (PEM)"
        raise WrongInput(
            text, hint="`-----BEGIN CERTIFICATE-----` is its first line", where=Where(file=given)
        ) from error
    os.environ["SSL_CERT_FILE"] = given


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
