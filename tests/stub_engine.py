"""An OpenAI-compatible server on loopback that does exactly one thing wrong, for tests of what talks to one.

Its good behaviour is what llama-server b11669 does: /health open, /v1 keyed, first event with `"content": null`, usage as
a last event without choices, `timings` beside it.
"""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

from llmops.domain.role import Role

MODEL = "stub-model"
KEY = "sk-stub-key-0123456789"
REDIRECTED_TO = "http://elsewhere.invalid/v1/models"


class StubEngine:
    """`with StubEngine(fault="no-done") as stub:` → `stub.url`, and `stub.seen`: method, path and Authorization of each request.

    `key` None: it asks for none. Faults: loading, bad-gateway, rate-limit, not-found, html, redirect, no-list, open,
    models-open, any-key, echo-key, one-event, not-a-stream, no-text, no-done, no-finish, no-usage, bad-json, error-event,
    endless-event, cut, stall, drip, buffered, keep-alives, thinking, silent, garbage; of vectors and figures one-answer,
    same, lengths, no-numbers.
    """

    def __init__(
        self,
        *,
        key: str | None = KEY,
        fault: str = "",
        certificate: tuple[Path, Path] | None = None,
        role: Role = Role.CHAT,
    ) -> None:
        self.key = key
        self.role = role
        self.fault = fault
        self.error = "context shift is disabled"
        self.seen: list[tuple[str, str, str | None]] = []
        self.ending = threading.Event()
        stub = self

        class Bound(_Answers):
            engine = stub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self._server.daemon_threads = True
        self._scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients hang up in tests
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.02), daemon=True)

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The base address."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> "StubEngine":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Answers(BaseHTTPRequestHandler):
    engine: StubEngine
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        return

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body: bytes) -> None:
        fault, authorization = self.engine.fault, self.headers.get("Authorization")
        self.engine.seen.append((self.command, self.path, authorization))
        self.close_connection = True
        if fault in ("silent", "garbage") and self.path != "/health":
            self.wfile.write(b"220 mail.example ESMTP\r\n" if fault == "garbage" else b"")
            return
        if fault == "loading":
            self._send(503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}})
        elif self.path == "/health":
            self._send(404 if fault == "not-found" else 200, {"status": "ok"})
        elif not self._has_key(authorization):
            self._send(401, {"error": {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}})
        elif fault in _WHOLE and authorization == f"Bearer {self.engine.key}":
            _WHOLE[fault](self)
        elif self.path == "/v1/models":
            self._send(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
        elif self.path == "/v1/chat/completions" and self.engine.role is Role.CHAT:
            self._complete(json.loads(body))
        elif self.path == f"/v1/{self.engine.role.question()}":
            self._send(200, self._at_once(json.loads(body)))
        else:
            self._send(404, {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}})

    def _has_key(self, authorization: str | None) -> bool:
        key, fault = self.engine.key, self.engine.fault
        if key is None or fault == "open" or (fault == "models-open" and self.path == "/v1/models"):
            return True
        return authorization == f"Bearer {key}" or (fault == "any-key" and authorization is not None)

    def _send(self, status: int, payload: object, *, kind: str = "application/json", location: str = "") -> None:
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(raw)

    def _at_once(self, request: dict[str, object]) -> object:
        """Vectors of the texts' letters, or how many letters a text shares; as llama-server b11669 shapes them."""
        fault, usage = self.engine.fault, {"prompt_tokens": 14, "total_tokens": 14}
        texts = request.get("input" if self.engine.role is Role.EMBEDDINGS else "documents")
        if not isinstance(texts, list):
            return {"error": {"code": 400, "message": "no texts"}}
        texts = texts[:1] if fault == "one-answer" else texts
        rows: list[object] = []
        for at, text in enumerate(texts):
            vector = [float(str(text).count(letter)) for letter in "abcdefgh"]
            vector = [1.0] * 8 if fault == "same" else [*vector, 0.5] if fault == "lengths" and at else vector
            values: list[object] = ["NaN"] if fault == "no-numbers" else [*vector]
            row = {"embedding": values} if self.engine.role is Role.EMBEDDINGS else {"relevance_score": values[0]}
            rows.append({"index": at, **row})
        name = "data" if self.engine.role is Role.EMBEDDINGS else "results"
        return {"object": "list", "model": MODEL, name: rows} | ({} if fault == "no-usage" else {"usage": usage})

    def _complete(self, request: dict[str, object]) -> None:
        fault = self.engine.fault
        tokens = int(str(request.get("max_tokens") or 16))
        if not request.get("stream") or fault == "not-a-stream":
            message = {"role": "assistant", "content": "one two"}
            self._send(200, {"model": MODEL, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._tokens(fault, 1 if fault == "one-event" else tokens)
        if fault in ("cut", "stall", "drip", "endless-event"):
            return
        self._finish(fault, tokens)

    def _tokens(self, fault: str, tokens: int) -> None:
        self._event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}, "finish_reason": None}]})
        for at in range(tokens):
            if at == 3 and fault in _MIDDLE:
                _MIDDLE[fault](self)
                return
            text = "" if fault == "no-text" else f"w{at} "
            name = "reasoning_content" if fault == "thinking" else "content"
            self._event({"choices": [{"index": 0, "delta": {name: text}, "finish_reason": None}]})
            if fault == "keep-alives":
                self._raw(b": still here\n\n")

    def _finish(self, fault: str, tokens: int) -> None:
        if fault != "no-finish":
            self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})
        if fault != "no-usage":
            seconds = 2.0 if fault == "buffered" else 0.001
            usage = {"prompt_tokens": 7, "completion_tokens": tokens, "total_tokens": tokens + 7}
            self._event({"choices": [], "usage": usage, "timings": {"predicted_ms": seconds * 1000}})
        if fault != "no-done":
            self._raw(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, fields: dict[str, object]) -> None:
        chunk = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": MODEL, **fields}
        self._raw(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    def _raw(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _drip(self) -> None:
        """A byte now and then: no read of the client ever times out."""
        while not self.engine.ending.wait(0.05):
            self._raw(b":")

    def _stall(self) -> None:
        self.engine.ending.wait(30)

    def _endless(self) -> None:
        for _ in range(80):
            self._raw(b"data: " + b"x" * (1 << 15) + b"\n")

    def _cut(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)


_WHOLE: dict[str, Callable[[_Answers], None]] = {
    "bad-gateway": lambda one: one._send(502, b"<html>502 Bad Gateway</html>", kind="text/html"),
    "rate-limit": lambda one: one._send(429, {"error": {"message": "rate limit"}}),
    "not-found": lambda one: one._send(404, b"<html>404</html>", kind="text/html"),
    "html": lambda one: one._send(200, b"<html>log in</html>", kind="text/html"),
    "redirect": lambda one: one._send(307, {}, location=REDIRECTED_TO),
    "no-list": lambda one: one._send(200, {"data": "none"}),
    "echo-key": lambda one: one._send(500, {"error": {"message": f"bad {one.headers['Authorization']}\x1b[31m"}}),
}
"""What is answered to every request with the right key."""

_MIDDLE: dict[str, Callable[[_Answers], None]] = {
    "bad-json": lambda one: one._raw(b'data: {"choices\n\n'),
    "error-event": lambda one: one._event({"error": {"code": 500, "message": one.engine.error}}),
    "cut": _Answers._cut,
    "stall": _Answers._stall,
    "drip": _Answers._drip,
    "endless-event": _Answers._endless,
}
"""What comes instead of the fourth token."""


def seconds_of(work: Callable[[], object]) -> float:
    """How long `work` takes, whatever comes of it."""
    started = time.monotonic()
    try:
        work()
    finally:
        ended = time.monotonic()
    return ended - started
