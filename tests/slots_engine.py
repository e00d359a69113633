"""An engine with exact timing, as a process of its own so that it can be killed: it counts, and never queues.

`python slots_engine.py --port 18080 --key KEY --first 0.2 --gap 0.02 --name a`: `/health`, `/v1/chat/completions` as a stream of
`max_tokens` events, and `/stats`: the most requests at the same moment, how many ended, how many were given up by the client;
`/log`: the `X-Request-ID` of each, with its first and last moment on the machine's monotonic clock. Every answer carries
`X-Engine`. Standard library only.
"""

import argparse
import asyncio
import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field


@dataclass(slots=True)
class Counts:
    """What was seen."""

    running: int = 0
    peak: int = 0
    done: int = 0
    cancelled: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """How it answers, in seconds."""

    name: str
    key: str
    first: float
    gap: float
    counts: Counts
    log: list[tuple[str, float, float]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept alive until the client ends it."""
        with suppress(OSError, asyncio.IncompleteReadError):
            while (line := await reader.readline()) and await self._answer(line.split()[1].decode(), reader, writer):
                pass
        writer.close()

    async def _answer(self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether another may come on the same connection."""
        headers: dict[str, str] = {}
        while (line := await reader.readline()).strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if path == "/health":
            _send(writer, 200, b"{}", self.name)
        elif path == "/stats":
            _send(writer, 200, json.dumps(asdict(self.counts)).encode(), self.name)
        elif path == "/log":
            _send(writer, 200, json.dumps(self.log).encode(), self.name)
        elif headers.get("authorization") != f"Bearer {self.key}":
            _send(writer, 401, b"{}", self.name)
        else:
            await self._complete(
                headers.get("x-request-id", ""), int(json.loads(body).get("max_tokens", 8)), reader, writer
            )
        await writer.drain()
        return headers.get("connection") != "close"

    async def _complete(
        self, identity: str, tokens: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        counts, began = self.counts, time.monotonic()
        counts.running += 1
        counts.peak = max(counts.peak, counts.running)
        gone = asyncio.ensure_future(reader.read(1))  # a client that says more, or nothing any more, has gone
        try:
            if not await _waited(self.first, gone):
                raise ConnectionAbortedError
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
                + f"X-Engine: {self.name}\r\n\r\n".encode()
            )
            for at in range(tokens):
                _chunk(writer, f'data: {{"choices":[{{"index":0,"delta":{{"content":"w{at} "}}}}]}}\n\n'.encode())
                await writer.drain()
                if not await _waited(self.gap, gone):
                    raise ConnectionAbortedError
            _chunk(writer, b"data: [DONE]\n\n")
            writer.write(b"0\r\n\r\n")
            counts.done += 1
        except OSError:
            counts.cancelled += 1
            raise
        finally:
            counts.running -= 1
            self.log.append((identity, began, time.monotonic()))
            gone.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await gone


async def _waited(seconds: float, gone: "asyncio.Future[bytes]") -> bool:
    """Whether the client is still there after so many seconds."""
    done, _ = await asyncio.wait([gone], timeout=seconds)
    return not done


def _send(writer: asyncio.StreamWriter, status: int, body: bytes, name: str) -> None:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nX-Engine: {name}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


async def _main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--port", type=int, required=True)
    given.add_argument("--key", required=True)
    given.add_argument("--name", default="engine")
    given.add_argument("--first", type=float, default=0.1)
    given.add_argument("--gap", type=float, default=0.01)
    said = given.parse_args()
    engine = Engine(name=said.name, key=said.key, first=said.first, gap=said.gap, counts=Counts())
    server = await asyncio.start_server(engine.serve, "127.0.0.1", said.port)
    await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_main())
