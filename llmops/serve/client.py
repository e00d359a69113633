"""One HTTP request to a server under test: no redirect is followed, no proxy asked, nothing waits for ever.

Standard library only. A redirect is an answer like any other, so the key never goes to another host.
"""

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmops.domain.errors import OutsideWorld, WrongInput
from llmops.domain.finding import Where
from llmops.serve.address import Address

BODY_LIMIT_BYTES = 4 << 20
PIECE_BYTES = 1 << 16


class Incoming:
    """An answer whose head has arrived."""

    def __init__(self, response: http.client.HTTPResponse, expired: threading.Event) -> None:
        self._response = response
        self._expired = expired
        self.status = response.status
        self.content_type = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
        self.location = response.getheader("Location")

    def pieces(self) -> Iterator[bytes]:
        """The body as it arrives, each piece when it is there."""
        while piece := self._response.read1(PIECE_BYTES):
            self._refuse_late()
            yield piece
        self._refuse_late()

    def body(self) -> bytes:
        """The whole body, at most `BODY_LIMIT_BYTES` of it."""
        whole = bytearray()
        for piece in self.pieces():
            whole += piece
            if len(whole) >= BODY_LIMIT_BYTES:
                break
        return bytes(whole[:BODY_LIMIT_BYTES])

    def json(self) -> object:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body())
        except (ValueError, RecursionError):
            return None

    def _refuse_late(self) -> None:
        if self._expired.is_set():  # the socket was shut, which reads like an ordinary end
            raise TimeoutError


class Client:
    """Sends requests to one address; `timeout_seconds` is for a whole exchange, from connecting to the last byte."""

    def __init__(self, address: Address, *, ca: Path | None, timeout_seconds: float) -> None:
        self.address = address
        self._timeout_seconds = timeout_seconds
        self._trust = _trust(ca) if address.secure else None

    @contextmanager
    def exchange(self, method: str, path: str, *, key: str | None, body: object = None) -> Iterator[Incoming]:
        """Send and read. Raises `OutsideWorld`, also for what goes wrong while the answer is read inside the context."""
        connection = self._connection()
        expired = threading.Event()
        watch: threading.Timer | None = None
        try:
            connection.connect()
            watch = self._watch(connection.sock, expired)
            headers = {"Accept": "application/json", "User-Agent": "llmops-smoke", "Connection": "close"}
            if body is not None:
                headers["Content-Type"] = "application/json"
            if key is not None:
                headers["Authorization"] = f"Bearer {key}"
            text = None if body is None else json.dumps(body).encode()
            connection.request(method, self.address.prefix + path, body=text, headers=headers)
            yield Incoming(connection.getresponse(), expired)
        except (OSError, http.client.HTTPException) as error:
            raise self._explained(TimeoutError() if expired.is_set() else error) from error
        finally:
            if watch is not None:
                watch.cancel()
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host, port, seconds = self.address.host, self.address.port, self._timeout_seconds
        if self._trust is not None:
            return http.client.HTTPSConnection(host, port, timeout=seconds, context=self._trust)
        return http.client.HTTPConnection(host, port, timeout=seconds)

    def _watch(self, sock: socket.socket, expired: threading.Event) -> threading.Timer:
        """A server that sends a byte now and then never times out by itself: after the limit the socket is shut."""

        def end() -> None:
            expired.set()
            try:
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                return  # it is closed already

        timer = threading.Timer(self._timeout_seconds, end)
        timer.daemon = True
        timer.start()
        return timer

    def _explained(self, error: Exception) -> OutsideWorld:
        message, hint = _explanation(error, self.address, self._timeout_seconds)
        return OutsideWorld(message, hint=hint, where=Where(file=self.address.text()))


def _trust(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except FileNotFoundError as error:
        hint = "`llmops render --apply` puts its own at /etc/llmops/ca.crt"
        message = "the file of the certificate authority does not exist"
        raise WrongInput(message, hint=hint, where=Where(file=str(ca))) from error
    except ssl.SSLError as error:
        hint = "it begins with `-----BEGIN CERTIFICATE-----`"
        message = "no certificate of an authority in PEM form"
        raise WrongInput(message, hint=hint, where=Where(file=str(ca))) from error


def _explanation(error: Exception, address: Address, seconds: float) -> tuple[str, str | None]:
    """What went wrong, and what to try."""
    place = f"{address.host}:{address.port}"
    match error:
        case ssl.SSLCertVerificationError():
            reason = error.verify_message or "the certificate cannot be verified"
            return f"the certificate of {place} is not trusted: {reason}", (
                "--ca FILE names the authority to trust; the host name in the URL has to be one of the certificate's"
            )
        case ssl.SSLError():
            reason = (error.reason or str(error)).lower().replace("_", " ")
            return f"no TLS with {place}: {reason}", f"does it speak plain HTTP? Then: http://{place}{address.prefix}"
        case socket.gaierror():
            return f"the host name `{address.host}` cannot be resolved", None
        case ConnectionRefusedError():
            return f"nothing listens on {place}", "is the server running? `systemctl status 'llmops-*'`"
        case TimeoutError():
            hint = "--timeout SECONDS waits longer" + ("; or does it speak plain HTTP?" if address.secure else "")
            return f"no complete answer from {place} within {seconds:g} s", hint
        case http.client.RemoteDisconnected() | ConnectionResetError() | BrokenPipeError():
            return f"{place} closed the connection without an answer", (
                None if address.secure else f"does it speak TLS? Then: https://{place}{address.prefix}"
            )
        case http.client.IncompleteRead():
            return f"{place} closed the connection in the middle of its answer", None
        case http.client.HTTPException():
            return f"{place} does not answer in HTTP", None
        case OSError():
            return f"{place} cannot be reached: {(error.strerror or str(error)).lower()}", None
        case _:
            return f"{place} cannot be reached: {type(error).__name__}", None
