"""One streamed chat completion, read as it arrives: what came, when, and how it ended."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from llmops.serve.client import Incoming
from llmops.serve.event_stream import EventStream, EventTooLongError

EVENT_LIMIT = 100_000


@dataclass(slots=True, kw_only=True)
class Transcript:
    """What a stream said so far. Times are seconds on the clock handed in; `problem` is the first thing that was wrong."""

    first_token_at: float | None = None
    last_token_at: float | None = None
    text_events: int = 0
    text: str = ""
    finish_reason: str | None = None
    done: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    engine_seconds: float | None = None
    problem: str | None = None
    model: str | None = None
    _seen: int = field(default=0)

    def take(self, data: str, *, at: float) -> None:
        """Read one event's data."""
        self._seen += 1
        if data.strip() == "[DONE]":
            self.done = True
            return
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            self.problem = "an event of the stream is not JSON"
            return
        if self._seen > EVENT_LIMIT:
            self.problem = f"more than {EVENT_LIMIT} events for a few tokens"
        if (error := item(event, "error")) is not None:
            self.problem = f"the server reports an error in the stream: {item(error, 'message') or error}"
            return
        self._take_choice(item(item(event, "choices"), 0), at)
        self._take_figures(event)

    def _take_choice(self, choice: object, at: float) -> None:
        delta = item(choice, "delta")
        # A model that thinks sends its thoughts under a name of their own: tokens all the same.
        texts = (item(delta, name) for name in ("content", "reasoning_content", "reasoning"))
        text = "".join(one for one in texts if isinstance(one, str))
        if text:
            self.first_token_at = at if self.first_token_at is None else self.first_token_at
            self.last_token_at = at
            self.text_events += 1
            self.text += text
        reason = item(choice, "finish_reason")
        if isinstance(reason, str):
            self.finish_reason = reason

    def _take_figures(self, event: object) -> None:
        model = item(event, "model")
        self.model = model if isinstance(model, str) else self.model
        usage = item(event, "usage")
        for name in ("prompt_tokens", "completion_tokens"):
            count = item(usage, name)
            if isinstance(count, int):
                setattr(self, name, count)
        milliseconds = item(item(event, "timings"), "predicted_ms")  # llama.cpp's own time for the tokens
        if isinstance(milliseconds, int | float):
            self.engine_seconds = milliseconds / 1000


def read_stream(incoming: Incoming, *, clock: Callable[[], float]) -> Transcript:
    """Read until the stream ends, says [DONE], or goes wrong."""
    stream, transcript = EventStream(), Transcript()
    for piece in incoming.pieces():
        now = clock()
        try:
            events = stream.feed(piece)
        except EventTooLongError:
            transcript.problem = "an event of the stream does not end"
            return transcript
        for data in events:
            transcript.take(data, at=now)
            if transcript.done or transcript.problem is not None:
                return transcript
    return transcript


def item(value: object, name: str | int) -> object:
    """`value[name]` of decoded JSON; None where there is no such thing."""
    if isinstance(value, dict):
        return value.get(name)
    if isinstance(value, list) and isinstance(name, int) and -len(value) <= name < len(value):
        found: object = value[name]
        return found
    return None
