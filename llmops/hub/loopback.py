"""The embedded hub: a few files from memory on 127.0.0.1, spoken to exactly as the real one.

Answers the part of the hub's API that a pull needs: a model's listing with sizes and digests, `resolve` with a redirect
to a signed address that expires, and ranges. For hosts without a network; nothing of it listens beyond loopback.
"""

import hashlib
import hmac
import json
import secrets
import socket
import time
from collections.abc import Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

from llmops.domain.errors import OutsideWorld

SIGNED_SECONDS = 3600
LFS_FROM_BYTES = 10_000
"""Larger files are listed with sha256, smaller ones with git's sha1, as the hub does."""


class LoopbackHub:
    """A hub with one repository. As a context manager it serves until the context ends; `url` is its HF_ENDPOINT."""

    def __init__(self, files: Mapping[str, bytes], repository: str, *, licence: str = "apache-2.0") -> None:
        self.files = dict(files)
        self.repository = repository
        self.licence = licence
        self.sha256 = {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}
        self.sha1 = {
            name: hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
            for name, data in self.files.items()
        }
        listing = "".join(f"{name} {self.sha256[name]}\n" for name in sorted(self.files))
        self.commit = hashlib.sha1(listing.encode(), usedforsecurity=False).hexdigest()
        self._key = secrets.token_bytes(32)
        try:
            self._server = _Server(("127.0.0.1", 0), partial(_Request, self))
        except OSError as error:
            text = f"no port on 127.0.0.1 can be opened: {(error.strerror or str(error)).lower()}"
            raise OutsideWorld(text) from error
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), name="llmops-loopback-hub", daemon=True)

    def __enter__(self) -> "LoopbackHub":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def signed_url(self, name: str) -> str:
        """The address the content is served from, for an hour; another host name than the hub's where there is one."""
        expires = int(time.time()) + SIGNED_SECONDS
        query = f"Expires={expires}&Signature={self._signature(name, expires)}"
        return f"http://{_other_name()}:{self.port}/content/{quote(name)}?{query}"

    def is_signed(self, name: str, query: Mapping[str, list[str]]) -> bool:
        """Whether a query carries a signature of ours that has not expired."""
        expires = query.get("Expires", ["0"])[0]
        if not (expires.isascii() and expires.isdigit()) or int(expires) < time.time():
            return False
        given = query.get("Signature", [""])[0].encode("utf-8", "replace")
        return hmac.compare_digest(given, self._signature(name, int(expires)).encode())

    def _signature(self, name: str, expires: int) -> str:
        return hmac.new(self._key, f"{name}\n{expires}".encode(), "sha256").hexdigest()

    def model(self) -> dict[str, object]:
        """The answer of `/api/models/<repository>?blobs=true`."""
        rows: list[dict[str, object]] = []
        for name, data in sorted(self.files.items()):
            row: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": self.sha1[name]}
            if len(data) > LFS_FROM_BYTES:
                row["lfs"] = {"sha256": self.sha256[name], "size": len(data), "pointerSize": 134}
            rows.append(row)
        return {
            "_id": "0" * 24, "id": self.repository, "modelId": self.repository, "sha": self.commit, "private": False,
            "gated": False, "disabled": False, "tags": ["gguf", f"license:{self.licence}"], "downloads": 0, "likes": 0,
            "cardData": {"license": self.licence}, "siblings": rows,
        }  # fmt: skip


def _other_name() -> str:
    """`localhost` where it is 127.0.0.1: the real hub redirects to another host, too."""
    try:
        found = socket.getaddrinfo("localhost", None, family=socket.AF_INET)
    except OSError:
        return "127.0.0.1"
    return "localhost" if any(row[4][0] == "127.0.0.1" for row in found) else "127.0.0.1"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is its own affair."""


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes; on a kept line the second would wait 40 ms
    server_version = "llmops-loopback-hub"
    sys_version = ""
    timeout = 30
    error_content_type: ClassVar[str] = "application/json"  # type: ignore[misc]
    error_message_format = '{"error": "%(message)s"}'

    def __init__(self, hub: LoopbackHub, *arguments: object) -> None:
        self._hub = hub
        super().__init__(*arguments)  # type: ignore[arg-type]  # the server's own three, passed on

    def log_message(self, *arguments: object) -> None:
        """Nothing: the command that embeds this hub says what it does."""

    def do_HEAD(self) -> None:
        """The headers of a GET."""
        self.do_GET()

    def do_GET(self) -> None:
        """Listing, redirect, or content."""
        hub, url = self._hub, urlsplit(self.path)
        path = unquote(url.path)
        api, resolve = f"/api/models/{hub.repository}", f"/{hub.repository}/resolve/"
        if path in (api, f"{api}/revision/main", f"{api}/revision/{hub.commit}"):
            return self._answer(
                200, {"X-Repo-Commit": hub.commit}, json.dumps(hub.model()).encode(), "application/json"
            )
        revision, _, name = path.removeprefix(resolve).partition("/")
        if path.startswith(resolve) and revision in ("main", hub.commit) and name in hub.files:
            return self._resolve(name)
        name = path.removeprefix("/content/")
        if path.startswith("/content/") and name in hub.files:
            if hub.is_signed(name, parse_qs(url.query)):
                return self._content(name)
            return self._answer(403, {}, b'{"error": "the signature has expired"}', "application/json")
        code = "RepoNotFound"
        if path.startswith((api + "/", resolve)):
            code = "RevisionNotFound" if revision not in ("main", hub.commit) else "EntryNotFound"
        return self._answer(404, {"X-Error-Code": code}, b'{"error": "not found"}', "application/json")

    def _resolve(self, name: str) -> None:
        hub = self._hub
        headers = {"X-Repo-Commit": hub.commit}
        if len(hub.files[name]) <= LFS_FROM_BYTES:
            return self._content(name, headers | {"ETag": f'"{hub.sha1[name]}"'})
        headers |= {"X-Linked-Etag": f'"{hub.sha256[name]}"', "X-Linked-Size": str(len(hub.files[name]))}
        headers["Location"] = hub.signed_url(name)
        return self._answer(302, headers, b"Found\n", "text/plain")

    def _content(self, name: str, headers: Mapping[str, str] | None = None) -> None:
        data = self._hub.files[name]
        headers = {"ETag": f'"{self._hub.sha256[name]}"', "Accept-Ranges": "bytes", **(headers or {})}
        span = _span(self.headers.get("Range"), len(data))
        if span is None:
            return self._answer(200, headers, data, "application/octet-stream")
        start, end = span
        if start >= end:
            return self._answer(416, {"Content-Range": f"bytes */{len(data)}"}, b"", "application/octet-stream")
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        return self._answer(206, headers, data[start:end], "application/octet-stream")

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes, kind: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _span(wanted: str | None, total: int) -> tuple[int, int] | None:
    """The bytes a Range header asks for, as start and end; None to send all (no range, or one we do not speak)."""
    first, dash, last = (wanted or "").removeprefix("bytes=").partition("-")
    numbers = [one for one in (first, last) if one]
    if not (wanted or "").startswith("bytes=") or not dash or not numbers:
        return None
    if not all(one.isascii() and one.isdigit() and len(one) < 19 for one in numbers):
        return None
    if not first:
        return max(0, total - int(last)), total
    return int(first), min(total, int(last) + 1 if last else total)
