"""An engine behind the edge that answers whatever comes, and remembers all of it, also what is no request."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Reached(NamedTuple):
    """One request as it came through."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class ListeningEngine(ThreadingHTTPServer):
    """Listens on a free port of the loopback interface."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.seen: list[Reached] = []
        self.says: dict[str, str] = {}
        """Headers of its answers beside its own."""

    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        return

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self._remember(b"")
        super().send_error(code, message, explain)

    def _remember(self, body: bytes) -> None:
        assert isinstance(self.server, ListeningEngine)
        line = [*self.requestline.split(), "", ""]
        self.server.seen.append(Reached(line[0], line[1], dict(getattr(self, "headers", {})), body))

    def do_GET(self) -> None:
        assert isinstance(self.server, ListeningEngine)
        self._remember(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        body = json.dumps({"data": []}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        for name, value in self.server.says.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if self.command != "HEAD" else b"")

    do_POST = do_HEAD = do_GET  # noqa: N815 - the base class's names
