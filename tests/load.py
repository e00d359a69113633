"""Requests against a gateway on this machine: when they were answered, by whom, and how long the first token took."""

import asyncio
import json
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request. Seconds since it was sent; `status` 0: no answer. `whole`: the stream ended as it should.

    `sent` and `left`, before which the client did not close, are moments of the machine's monotonic clock.
    """

    identity: str
    sent: float
    left: float
    status: int
    answered: float
    first_token: float | None
    total: float
    engine: str
    whole: bool
    retry_after: str


async def ask(port: int, key: str, *, tokens: int = 8, give_up: float | None = None, words: int = 1) -> Asked:
    """One streamed completion; a client that gives up closes the connection after so many seconds."""
    body = json.dumps({"stream": True, "max_tokens": tokens, "messages": [{"role": "user", "content": "x " * words}]})
    sent = time.monotonic()
    identity, answer = uuid.uuid4().hex, _Answer()
    try:
        with suppress(OSError, TimeoutError, IndexError, ValueError, asyncio.IncompleteReadError):
            async with asyncio.timeout(give_up or 60):
                await _exchange(port, key, identity, body.encode(), answer, sent)
    finally:
        left = time.monotonic()
        if answer.writer is not None:
            answer.writer.close()
    return Asked(
        identity=identity,
        sent=sent,
        left=left,
        status=answer.status,
        answered=answer.answered,
        first_token=answer.first_token,
        total=left - sent,
        engine=answer.headers.get("x-engine", ""),
        whole=answer.whole,
        retry_after=answer.headers.get("retry-after", ""),
    )


class _Answer:
    def __init__(self) -> None:
        self.status, self.answered, self.whole = 0, 0.0, False
        self.first_token: float | None = None
        self.headers: dict[str, str] = {}
        self.writer: asyncio.StreamWriter | None = None


async def _exchange(port: int, key: str, identity: str, body: bytes, answer: _Answer, sent: float) -> None:
    reader, answer.writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nX-Request-ID: {identity}\r\nConnection: close\r\n\r\n"
    )
    answer.writer.write(head.encode() + body)
    answer.status = int((await reader.readline()).split()[1])
    answer.answered = time.monotonic() - sent
    while (line := await reader.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        answer.headers[name.lower()] = value.strip()
    while line := await reader.readline():
        if line.startswith(b"data: [DONE]"):
            answer.whole = True
        elif line.startswith(b"data: ") and answer.first_token is None:
            answer.first_token = time.monotonic() - sent


async def at_once(port: int, key: str, count: int, *, tokens: int = 8, give_up: float | None = None) -> list[Asked]:
    """So many requests at the same moment."""
    return list(await asyncio.gather(*(ask(port, key, tokens=tokens, give_up=give_up) for _ in range(count))))


async def at_rate(port: int, key: str, *, per_second: float, seconds: float, tokens: int = 8) -> list[Asked]:
    """Requests that come whether others are answered or not."""
    began = time.monotonic()
    tasks: list[asyncio.Task[Asked]] = []
    while (now := time.monotonic() - began) < seconds:
        while len(tasks) <= now * per_second:
            tasks.append(asyncio.create_task(ask(port, key, tokens=tokens)))
        await asyncio.sleep(0.5 / per_second)
    return list(await asyncio.gather(*tasks))


def statuses(asked: Sequence[Asked]) -> dict[int, int]:
    """How many got which status."""
    found: dict[int, int] = {}
    for one in asked:
        found[one.status] = found.get(one.status, 0) + 1
    return found
