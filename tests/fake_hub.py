#!/usr/bin/env python3
"""A loopback model hub that real clients (huggingface_hub 2.x, curl, llama-server -hf) talk to through HF_ENDPOINT.

Serves ROOT/<org>/<name>/<files> as repositories. Every file over --lfs-from bytes (default 1 KiB) is "LFS": its
resolve URL answers 302 with X-Linked-Etag (sha256) and X-Linked-Size to a signed /cdn/ URL; smaller ones answer 200 with a
git blob sha1 as ETag. The commit is a digest of the tree, so changing a file makes a new commit.

Endpoints: GET /api/models/{id}[/revision/{rev}][?blobs=true], GET /api/models/{id}/tree/{rev} and /refs, /api/whoami-v2,
  HEAD and GET /{id}/resolve/{rev}/{path}, HEAD and GET /cdn/{id}/{path}?Expires=..&Signature=.. (Range: 206, 416).
Control: GET /_log (requests seen), POST /_faults (JSON: {"glob": "fault"}; replaces all), POST /_reset.

Faults are "name[:argument][*times]" per file glob (matched on "org/name/path"; "api" matches the JSON endpoints):
  truncate:N        send N bytes, then close, with the true Content-Length      short:N   Content-Length N, whole answer looks fine
  wrong:N           flip the byte at offset N (same size, wrong sha256)          reset:N   RST after N bytes
  slow:RATE         RATE bytes per second                                       hang:N    stop after N bytes, keep the socket open
  norange           answer 200 and the whole file to a Range request            badrange  206, but from offset 0
  html              200 text/html with a login page                             status:503, status:500, status:401, status:403, ...
  429:SECONDS       429 with Retry-After                                        expired   the signed URL answers 403 (S3 XML)
  redirect          a second relative redirect before the CDN                   samehost  CDN on the hub's own host name
  noetag            no ETag headers        nocommit  no X-Repo-Commit           xet       X-Xet-Hash and the xet Link headers (no storage behind)
  gated             401 without a token, 403 with one (GatedRepo)               moved:NEW 307 to another repository name
cdn-status:N, cdn-429:SECONDS, cdn-html: the same answers from the signed URL instead of the resolve URL.
"*2" applies it to the first two matching requests only. Faults on bytes apply to GET of the content, never to HEAD.

  fake_hub.py ROOT --port 18090 --fault '*.gguf=truncate:1000*1' --token secret
  HF_ENDPOINT=http://127.0.0.1:18090 hf download org/name

In tests: with FakeHub(root, faults={"*.gguf": "wrong:10"}) as hub: ... hub.url, hub.requests, hub.faults
"""

# ruff: noqa: RET502, RET503, C901, T201, E501 - a handler ends by answering; its docstring is a table
from __future__ import annotations

import argparse
import contextlib
import fnmatch
import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

Listing = Callable[[dict[str, object]], dict[str, object]]
"""Changes the answer of /api/models before it is sent: names no file system could hold, missing fields."""


class FakeHub:
    def __init__(
        self,
        root: Path | str,
        *,
        port: int = 0,
        faults: dict[str, str] | None = None,
        token: str | None = None,
        lfs_from: int = 1024,
        change: Listing = lambda body: body,
    ) -> None:
        self.root, self.token, self.lfs_from = Path(root), token, lfs_from
        self.faults: dict[str, str] = dict(faults or {})
        self.hits: dict[str, int] = {}
        self.requests: list[dict[str, object]] = []
        self._hashes: dict[tuple[str, int, int], tuple[str, str]] = {}
        self.change = change
        self.cdn: str | None = None
        """Another server that has the files below `root`, to which the content is redirected."""
        hub = self

        class Handler(_Handler):
            server_hub = hub

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # clients that hang up are part of the test

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> FakeHub:
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def fault(self, key: str, *names: str) -> str | None:
        """The argument of the first matching fault with one of these names ('' when it has none), counting its uses."""
        for glob, spec in self.faults.items():
            if not fnmatch.fnmatch(key, glob):
                continue
            for one in spec.split(","):
                body, _, times = one.partition("*")
                name, _, argument = body.partition(":")
                if name not in names:
                    continue
                used = self.hits.get(glob + one, 0)
                if times and used >= int(times):
                    continue
                self.hits[glob + one] = used + 1
                return argument
        return None

    def files(self, repo: str) -> list[Path]:
        base = self.root / repo
        return sorted(p for p in base.rglob("*") if p.is_file()) if base.is_dir() else []

    def name(self, repo: str, path: Path) -> str:
        return path.relative_to(self.root / repo).as_posix()

    def hashes(self, path: Path) -> tuple[str, str]:
        """(sha256, git blob sha1), cached by size and modification time."""
        st = path.stat()
        key = (str(path), st.st_size, st.st_mtime_ns)
        if key not in self._hashes:
            sha256, sha1 = hashlib.sha256(), hashlib.sha1(f"blob {st.st_size}\0".encode())
            with path.open("rb") as f:
                while block := f.read(1 << 20):
                    sha256.update(block)
                    sha1.update(block)
            self._hashes[key] = sha256.hexdigest(), sha1.hexdigest()
        return self._hashes[key]

    def commit(self, repo: str) -> str:
        text = "".join(f"{p.relative_to(self.root / repo)} {self.hashes(p)[0]}\n" for p in self.files(repo))
        return hashlib.sha1(text.encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    server_hub: FakeHub
    disable_nagle_algorithm = True  # headers and body are two writes; on a kept line the second would wait 40 ms
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.handle_any()

    def do_GET(self) -> None:
        self.handle_any()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hub = self.server_hub
        if self.path == "/_faults":
            hub.faults, hub.hits = json.loads(body), {}
        elif self.path == "/_reset":
            hub.faults, hub.hits, hub.requests = {}, {}, []
        else:
            return self.handle_any()
        self.answer(200, {}, b"{}")

    def answer(self, status: int, headers: dict[str, str], body: bytes = b"", kind: str = "application/json") -> None:
        self.seen["status"] = status
        self.send_response(status)
        for k, v in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(k, v)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def fail(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        self.answer(
            status,
            {**({"X-Error-Code": code} if code else {}), "X-Error-Message": message, **(headers or {})},
            json.dumps({"error": message}).encode(),
        )

    def handle_any(self) -> None:
        hub = self.server_hub
        self.seen: dict[str, object] = {
            "method": self.command,
            "path": self.path,
            "range": self.headers.get("Range"),
            "auth": "Authorization" in self.headers,
            "at": time.monotonic(),
        }
        hub.requests.append(self.seen)
        url = urlsplit(self.path)
        parts = [unquote(p) for p in url.path.strip("/").split("/")]
        if url.path == "/_log":
            return self.answer(200, {}, json.dumps(hub.requests[:-1]).encode())
        if parts[:2] == ["api", "whoami-v2"]:
            return (
                self.answer(200, {}, b'{"type":"user","name":"tester","orgs":[]}')
                if self.authorized()
                else self.fail(401, "", "Invalid username or password.")
            )
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            return self.api("/".join(parts[2:4]), parts[4:], parse_qs(url.query))
        if parts[0] == "cdn" and len(parts) >= 4:
            return self.cdn("/".join(parts[1:3]), "/".join(parts[3:]))
        if len(parts) >= 5 and parts[2] in ("resolve", "again"):
            return self.resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]), again=parts[2] == "again")
        self.fail(404, "", "Not found")

    def authorized(self) -> bool:
        return self.server_hub.token is None or self.headers.get("Authorization") == f"Bearer {self.server_hub.token}"

    def refused(self, key: str, repo: str) -> bool:
        """Answers for the faults that come before any content, and for unknown or closed repositories."""
        hub = self.server_hub
        if (argument := hub.fault(key, "status")) is not None:
            self.fail(int(argument), "", f"injected {argument}")
        elif (argument := hub.fault(key, "429")) is not None:
            self.fail(429, "", "Too many requests", {"Retry-After": argument or "1"})
        elif hub.fault(key, "html") is not None:
            self.answer(
                200, {}, b"<!doctype html><html><title>Sign in to the guest network</title></html>", "text/html"
            )
        elif hub.fault(key, "gated") is not None:
            if "Authorization" in self.headers:
                self.fail(
                    403, "GatedRepo", f"Access to model {repo} is restricted and you are not in the authorized list."
                )
            else:
                self.fail(
                    401,
                    "GatedRepo",
                    f"Access to model {repo} is restricted. You must have access to it and be authenticated.",
                )
        elif (argument := hub.fault(key, "moved")) is not None:
            self.answer(307, {"Location": self.path.replace(repo, argument, 1)})
        elif not hub.files(repo):
            self.fail(401 if hub.token and not self.authorized() else 404, "RepoNotFound", "Repository not found")
        elif not self.authorized():
            self.fail(401, "", "Invalid username or password.")
        else:
            return False
        return True

    def api(self, repo: str, rest: list[str], query: dict[str, list[str]]) -> None:
        hub = self.server_hub
        if self.refused("api", repo):
            return
        commit = hub.commit(repo)
        if rest == ["refs"]:  # llama-server -hf asks this first
            head = {"name": "main", "ref": "refs/heads/main", "targetCommit": commit}
            return self.answer(200, {}, json.dumps({"branches": [head], "tags": [], "converts": []}).encode())
        if rest and rest[0] not in ("revision", "tree"):  # xet-read-token and the like: there is no Xet storage here
            return self.fail(404, "", "Not found")
        revision = rest[1] if len(rest) > 1 else "main"
        if revision not in ("main", commit):
            return self.fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        blobs = query.get("blobs", ["false"])[0].lower() in ("true", "1")
        body: object = self.tree(repo) if rest[:1] == ["tree"] else hub.change(self.model(repo, commit, blobs=blobs))
        self.answer(200, {"X-Repo-Commit": commit}, json.dumps(body).encode())

    def tree(self, repo: str) -> list[dict[str, object]]:
        hub, rows = self.server_hub, []
        for path in hub.files(repo):
            (sha256, sha1), size = hub.hashes(path), path.stat().st_size
            row: dict[str, object] = {"type": "file", "oid": sha1, "size": size, "path": hub.name(repo, path)}
            if size > hub.lfs_from:
                row["lfs"] = {"oid": sha256, "size": size, "pointerSize": 134}
            rows.append(row)
        return rows

    def model(self, repo: str, commit: str, *, blobs: bool) -> dict[str, object]:
        hub, rows = self.server_hub, []
        for path in hub.files(repo):
            (sha256, sha1), size = hub.hashes(path), path.stat().st_size
            row: dict[str, object] = {"rfilename": hub.name(repo, path)}
            if blobs:
                row |= {"size": size, "blobId": sha1}
            if blobs and size > hub.lfs_from:
                row["lfs"] = {"sha256": sha256, "size": size, "pointerSize": 134}
            rows.append(row)
        return {
            "_id": "0" * 24, "id": repo, "modelId": repo, "sha": commit, "private": False, "gated": False,
            "disabled": False, "tags": ["gguf"], "downloads": 0, "likes": 0, "lastModified": "2026-01-01T00:00:00.000Z",
            "createdAt": "2026-01-01T00:00:00.000Z", "siblings": rows,
        }  # fmt: skip

    def resolve(self, repo: str, revision: str, name: str, *, again: bool) -> None:
        hub, key = self.server_hub, f"{repo}/{name}"
        if self.refused(key, repo):
            return
        commit = hub.commit(repo)
        if revision not in ("main", commit):
            return self.fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        path = hub.root / repo / name
        if path not in hub.files(repo):
            return self.fail(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        sha256, sha1 = hub.hashes(path)
        size = path.stat().st_size
        headers = {} if hub.fault(key, "nocommit") is not None else {"X-Repo-Commit": commit}
        if size <= hub.lfs_from:
            if hub.fault(key, "noetag") is None:
                headers["ETag"] = f'"{sha1}"'
            return self.content(key, path, headers)
        if hub.fault(key, "noetag") is None:
            headers |= {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(size)}
        if hub.fault(key, "xet") is not None:
            headers |= {
                "X-Xet-Hash": sha256,
                "Link": f'<{hub.url}/api/models/{repo}/xet-read-token/{commit}>; rel="xet-auth"',
            }
        if not again and hub.fault(key, "redirect") is not None:
            return self.answer(302, {"Location": f"/{repo}/again/{revision}/{quote(name)}"})
        # another host name than the hub's, as in reality: clients follow same-host redirects already on HEAD
        host = "127.0.0.1" if hub.fault(key, "samehost") is not None else "localhost"
        expires = int(time.time()) + 3600
        headers["Location"] = (
            f"{hub.cdn or f'http://{host}:{hub.port}/cdn'}/{repo}/{quote(name)}?Expires={expires}&Signature={sha256[:16]}"
        )
        self.answer(302, headers, b"Found. Redirecting", "text/plain")

    def cdn(self, repo: str, name: str) -> None:
        hub, key = self.server_hub, f"{repo}/{name}"
        if hub.fault(key, "expired") is not None:
            return self.answer(
                403,
                {},
                b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>',
                "application/xml",
            )
        for name_ in ("status", "429", "html"):  # the same faults on the CDN side: "cdn-status:503"
            if (argument := hub.fault(key, "cdn-" + name_)) is not None:
                if name_ == "html":
                    return self.answer(200, {}, b"<html>Sign in</html>", "text/html")
                status = 429 if name_ == "429" else int(argument)
                return self.fail(
                    status, "", f"injected {status}", {"Retry-After": argument or "1"} if status == 429 else {}
                )
        path = hub.root / repo / name
        if not path.is_file():
            return self.fail(404, "", "NoSuchKey")
        self.content(key, path, {"ETag": f'"{hub.hashes(path)[0]}"'})

    def content(self, key: str, path: Path, headers: dict[str, str]) -> None:
        hub, size = self.server_hub, path.stat().st_size
        start, end, status = 0, size - 1, 200
        wanted = self.headers.get("Range")
        if wanted and self.command == "GET" and hub.fault(key, "norange") is None:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end = (int(first), int(last) if last else size - 1) if first else (size - int(last), size - 1)
            end = min(end, size - 1)
            if start >= size:
                return self.answer(416, {"Content-Range": f"bytes */{size}"})
            if hub.fault(key, "badrange") is not None:
                end, start = end - start, 0
            status = 206
            headers["Content-Range"] = f"bytes {start}-{end}/{size}"
        length = end - start + 1
        get = self.command == "GET"
        limit = length
        declared = length
        cut = None
        if get:
            for fault in ("truncate", "reset", "hang", "short"):
                if (argument := hub.fault(key, fault)) is not None:
                    limit, cut = min(length, int(argument or 0)), fault
                    declared = limit if fault == "short" else length
                    break
        flip = hub.fault(key, "wrong") if get else None
        rate = hub.fault(key, "slow") if get else None
        self.seen["status"] = status
        self.send_response(status)
        for k, v in {
            "Content-Type": "application/octet-stream",
            "Accept-Ranges": "bytes",
            "Content-Length": str(declared),
            **headers,
        }.items():
            self.send_header(k, v)
        self.end_headers()
        if not get:
            return
        sent = 0
        with path.open("rb") as f:
            f.seek(start)
            while sent < limit:
                block = bytearray(f.read(min(limit - sent, max(1, int(rate) // 20) if rate else 1 << 18)))
                if not block:
                    break
                if flip is not None and (at := int(flip or 0) - start - sent) in range(len(block)):
                    block[at] ^= 0xFF
                sent += len(block)
                self.seen["sent"] = sent  # before the write: a test may look as soon as the client has the last byte
                with contextlib.suppress(OSError):
                    self.wfile.write(block)
                if rate:
                    time.sleep(0.05)
        if cut == "reset":  # linger 0: close sends RST
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if cut == "hang":
            time.sleep(120)
        if cut:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.wfile.flush()
                if cut == "reset":
                    self.connection.close()
                else:
                    self.connection.shutdown(socket.SHUT_RDWR)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("root", type=Path)
    p.add_argument("--port", type=int, default=18090)
    p.add_argument("--fault", action="append", default=[], metavar="GLOB=FAULT[,FAULT]")
    p.add_argument("--token", help="require this bearer token")
    p.add_argument("--lfs-from", type=int, default=1024)
    a = p.parse_args()
    hub = FakeHub(
        a.root, port=a.port, faults=dict(f.split("=", 1) for f in a.fault), token=a.token, lfs_from=a.lfs_from
    )
    with hub:
        print(f"HF_ENDPOINT={hub.url}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
