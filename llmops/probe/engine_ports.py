"""Inference servers that listen here, and whether they tell their models to a caller without a key.

Only sockets that look like an engine's are asked: by the program behind them, or by a port engines listen on by default.
One request each, `GET /v1/models`, to this host itself, without a key and past every proxy.
"""

import ipaddress
import json
import ssl
from collections.abc import Sequence
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from llmops.domain.exposure import ListeningEngine
from llmops.domain.host import Listener
from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass
from llmops.probe.within import answer_of, beside, within

PROGRAMS = (
    "llama-server", "llama_cpp", "ollama", "vllm", "VLLM::", "sglang", "text-generation", "tabbyapi", "koboldcpp", "lmstudio",
    "LM Studio", "LocalAI", "local-ai", "mlx_lm",
)  # fmt: skip
PYTHONS = ("python", "uvicorn", "gunicorn", "ray::")
"""vLLM and SGLang run under one of these: asked where the port is one of an engine's."""

PORTS = frozenset({1234, 3000, 5000, 5001, 8000, 8001, 8080, 8081, 8088, 9080, 11434, 30000})
"""Defaults of LM Studio, TGI, TabbyAPI, KoboldCpp, vLLM, llama-server, Ollama, SGLang, and the ports beside them."""

ANSWER_SECONDS = 1.0
LIMIT_BYTES = 256 << 10
MOST = 24
MODELS_LIMIT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a port answered: the status of HTTP, and the beginning of the body."""

    status: int
    body: bytes


def ask(listeners: Known[tuple[Listener, ...]] | Unknown) -> Known[tuple[ListeningEngine, ...]] | Unknown:
    """Every engine among the listening sockets, all asked at the same time."""
    if isinstance(listeners, Unknown):
        return listeners
    chosen = candidates(listeners.value)
    answers = [(one, beside(partial(_within, one))) for one in chosen]
    found = [read(one, answer_of(answer)) for one, answer in answers]
    return Known(tuple(one for one in found if one is not None))


def candidates(listeners: Sequence[Listener]) -> tuple[Listener, ...]:
    """The sockets that may be an engine's. A port that two sockets share (IPv4 and IPv6) is asked on the wider one."""
    chosen: dict[int, Listener] = {}
    for one in listeners:
        if not _may_be_an_engine(one):
            continue
        if one.port not in chosen or _width(one.address) > _width(chosen[one.port].address):
            chosen[one.port] = one
    return tuple(chosen[port] for port in sorted(chosen))[:MOST]


def _may_be_an_engine(listener: Listener) -> bool:
    if isinstance(listener.program, Known):
        name = listener.program.value
        if name.startswith(PROGRAMS):
            return True
        # a database or a web server on one of these ports is known by its name, and left alone
        return listener.port in PORTS and name.startswith(PYTHONS)
    return listener.port in PORTS


def _width(address: str) -> int:
    ip = ipaddress.ip_address(address)
    return 2 if ip.is_unspecified else 0 if ip.is_loopback else 1


def read(listener: Listener, answer: Known[Answer] | Unknown) -> ListeningEngine | None:
    """The engine; None where what answers is none and no program's name says so."""
    models: tuple[str, ...] = ()
    owner: str | None = None
    keyless: Known[bool] | Unknown
    is_named = isinstance(listener.program, Known) and listener.program.value.startswith(PROGRAMS)
    if isinstance(answer, Unknown):
        if not is_named:
            return None
        keyless = answer
    elif answer.value.status == 200:
        told = _models(answer.value.body)
        if told is None:
            if not is_named:
                return None
            keyless = Unknown("`/v1/models` answers 200, and not with a list of models")
        else:
            models, owner = told
            keyless = Known(value=True)
    elif answer.value.status in (401, 403):
        if not is_named and not _is_an_api_error(answer.value.body):
            return None
        keyless = Known(value=False)
    elif is_named:
        keyless = Unknown(f"`/v1/models` answers {answer.value.status}")
    else:
        return None
    ip = ipaddress.ip_address(listener.address)
    return ListeningEngine(
        address=listener.address,
        port=listener.port,
        everywhere=ip.is_unspecified,
        loopback=ip.is_loopback,
        program=listener.program,
        keyless=keyless,
        models=models,
        owned_by=owner,
    )


def _models(body: bytes) -> tuple[tuple[str, ...], str | None] | None:
    """Names and owner in the OpenAI form (`{"object": "list", "data": [{"id", "owned_by"}]}`); None of anything else."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    rows = data.get("data") if isinstance(data, dict) else None
    if rows is None and isinstance(data, dict) and data.get("object") == "list":
        rows = []  # Ollama without a model says `"data": null`
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return None
    names = tuple(str(row.get("id"))[:200] for row in rows[:MODELS_LIMIT])
    owners = [str(row["owned_by"])[:60] for row in rows if isinstance(row.get("owned_by"), str)]
    return names, owners[0] if owners else None


def _is_an_api_error(body: bytes) -> bool:
    """`{"error": …}`, as every one of these servers words a refusal."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(data, dict) and "error" in data


def _within(listener: Listener) -> Known[Answer] | Unknown:
    # a server may send one byte a second, and no time limit of a socket ends that
    return within(3 * ANSWER_SECONDS, partial(_ask_one, listener), what=f"port {listener.port}")


def _ask_one(listener: Listener) -> Known[Answer] | Unknown:
    ip = ipaddress.ip_address(listener.address)
    host = ("127.0.0.1" if ip.version == 4 else "::1") if ip.is_unspecified else listener.address
    plain = _get(HTTPConnection(host, listener.port, timeout=ANSWER_SECONDS))
    if isinstance(plain, Known) and plain.value.status != 400:
        return plain
    # a TLS port breaks the connection, or says 400 to a plain request; whose certificate it is does not matter here
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    secret = _get(HTTPSConnection(host, listener.port, timeout=ANSWER_SECONDS, context=context))
    return secret if isinstance(secret, Known) else plain


def _get(connection: HTTPConnection) -> Known[Answer] | Unknown:
    try:
        connection.request("GET", "/v1/models", headers={"User-Agent": "llmops-doctor"})
        response = connection.getresponse()
        return Known(Answer(status=response.status, body=response.read(LIMIT_BYTES)))
    except (OSError, HTTPException, ValueError) as error:
        return Unknown(f"no answer to HTTP: {getattr(error, 'strerror', None) or str(error) or type(error).__name__}")
    finally:
        connection.close()
