"""Smoke: is it up, does it ask for the key, is it the right model, does it stream? Six requests at most, none repeated."""

import time
from dataclasses import replace
from pathlib import Path

from llmops.domain.errors import OutsideWorld
from llmops.domain.finding import Finding, Status
from llmops.domain.measurement import Measurement
from llmops.domain.role import Role
from llmops.serve.address import parse
from llmops.serve.client import Client, Incoming
from llmops.serve.codes import (
    ENCRYPTED,
    FINISHED,
    KEYED,
    LISTED,
    MODEL,
    READY,
    SCORES,
    STREAMED,
    USAGE,
    VECTORS,
    WRONG_KEY,
    SmokeCheck,
)
from llmops.serve.completion import Transcript, item, read_stream
from llmops.serve.questions import TEXTS, dimensions, prompt_tokens, question, scores_problem, vectors_problem

MODELS = "/v1/models"
REFUSED = (401, 403)
NOT_THE_KEY = "llmops-smoke-this-is-no-key"
SHOWN_CHARACTERS = 200
BUFFERED_SECONDS = 0.2
"""A stream the engine worked on for at least this long can be told from one that a buffer held back."""


def smoke(
    url: str,
    *,
    model: str | None,
    key: str | None,
    ca: Path | None = None,
    timeout_seconds: float = 60.0,
    role: Role = Role.CHAT,
) -> Measurement:
    """Ask the server at `url` what it is for; `timeout_seconds` is for each request, `key` None where it asks for none.

    Raises `OutsideWorld` when it does not answer at all, `WrongUsage` for what is no base address; what a server that
    answers does wrong is in the findings. The key is in no text that comes back, not even where the server echoes it.
    """
    client = Client(parse(url), ca=ca, timeout_seconds=timeout_seconds)
    with client.exchange("GET", "/health", key=None) as incoming:
        health = incoming.status
    run = _Run(client, key=key, model=model, role=role)
    try:
        run.ask(health)
    except OutsideWorld as stop:  # it answered a moment ago
        run.note(run.asking, Status.FAIL, stop.message, fix=stop.hint)
    return run.measurement()


class _Run:
    """The findings so far, and the question being asked."""

    def __init__(self, client: Client, *, key: str | None, model: str | None, role: Role) -> None:
        self._client = client
        self._role = role
        self._path = f"/v1/{role.question()}"
        self._key = key
        self._expected = model
        self._findings: list[Finding] = []
        self._served: str | None = None
        self._transcript: Transcript | None = None
        self._sent_at = 0.0
        self._ended_at = 0.0
        self.asking: SmokeCheck = READY

    def note(self, check: SmokeCheck, status: Status, message: str, *, fix: str | None = None) -> None:
        """Keep a finding, without the key and without what could steer a terminal."""
        fix = None if fix is None else self._shown(fix)
        self._findings.append(check.finding(status, self._shown(message), fix=fix))

    def measurement(self) -> Measurement:
        """What is known when the questions end."""
        result = Measurement(
            url=self._client.address.text(),
            model=None if self._served is None else self._shown(self._served),
            findings=tuple(self._findings),
        )
        told = self._transcript
        if told is None:
            return replace(result, total_seconds=self._ended_at - self._sent_at) if self._ended_at else result
        first = None if told.first_token_at is None else told.first_token_at - self._sent_at
        return replace(
            result,
            time_to_first_token_seconds=first,
            total_seconds=self._ended_at - self._sent_at,
            streamed_chunks=told.text_events,
        )

    def ask(self, health: int) -> None:
        """All the questions; one that cannot be asked ends the row, since what follows would only repeat it."""
        if not self._ask_ready(health):
            return
        self._judge_encryption()
        self._ask_without_key()
        if self._ask_models():
            self._ask_completion() if self._role is Role.CHAT else self._ask_at_once()

    def _ask_ready(self, health: int) -> bool:
        if health == 503:
            self.note(
                READY, Status.FAIL, "it answers 503: the model is still being loaded", fix="ask again in a moment"
            )
            return False
        if health == 200:
            self.note(READY, Status.OK, "it is ready: /health answers 200")
        return True  # an edge has no /health of its own; whether the engine behind it is ready shows at /v1/models

    def _judge_encryption(self) -> None:
        address = self._client.address
        if self._key is None:
            return
        if address.secure:
            self.note(ENCRYPTED, Status.OK, "the key travels encrypted")
        elif address.is_loopback():
            self.note(ENCRYPTED, Status.OK, "the key does not leave this machine")
        else:
            self.note(
                ENCRYPTED,
                Status.WARN,
                f"the key goes to {address.host} over plain HTTP: everyone on the way can read it",
                fix="put a TLS edge in front (target nginx) and use its https:// address",
            )

    def _ask_without_key(self) -> None:
        self.asking = KEYED
        models, asked = self._status(MODELS, key=None), self._status(self._path, key=None)
        answers = f"{MODELS} answers {models}, {self._path} answers {asked}"
        is_open = _is_fine(asked) or (_is_fine(models) and asked not in REFUSED)
        if models in REFUSED and asked in REFUSED:
            self.note(KEYED, Status.OK, f"refused without a key: {answers}")
        elif is_open and self._key is None:
            fix = "llama-server: --api-key-file FILE; vLLM: VLLM_API_KEY; or a keyed edge in front (target nginx)"
            self.note(KEYED, Status.WARN, "it asks for no key: whoever reaches it can use it", fix=fix)
        elif is_open:
            fix = "the key has to be enforced at this address, by the engine or by the edge in front of it"
            self.note(KEYED, Status.FAIL, f"served without the key: {answers}", fix=fix)
        elif asked in REFUSED:
            self.note(KEYED, Status.WARN, f"questions are refused without a key, the list of models is not: {answers}")
        else:
            self.note(KEYED, Status.SKIP, f"neither refused nor served without a key: {answers}")
        if self._key is not None:
            self._ask_with_wrong_key(self._path if _is_fine(models) else MODELS)

    def _ask_with_wrong_key(self, path: str) -> None:
        self.asking = WRONG_KEY
        status = self._status(path, key=NOT_THE_KEY)
        if status in REFUSED:
            self.note(WRONG_KEY, Status.OK, f"a wrong key is refused: {path} answers {status}")
        elif _is_fine(status):
            fix = "the key has to be compared, not only asked for"
            self.note(WRONG_KEY, Status.FAIL, f"a wrong key is accepted: {path} answers {status}", fix=fix)
        else:
            self.note(WRONG_KEY, Status.SKIP, f"neither refused nor served with a wrong key: {path} answers {status}")

    def _status(self, path: str, *, key: str | None) -> int:
        body = question(self._role, "smoke", stream=False, tokens=1) if path == self._path else None
        with self._client.exchange("GET" if body is None else "POST", path, key=key, body=body) as incoming:
            return incoming.status

    def _ask_models(self) -> bool:
        self.asking = LISTED
        with self._client.exchange("GET", MODELS, key=self._key) as incoming:
            if incoming.status != 200:
                self._note_bad_answer(LISTED, incoming, MODELS)
                return False
            answer, kind = incoming.json(), incoming.content_type
        entries = item(answer, "data")
        names = [item(entry, "id") for entry in entries] if isinstance(entries, list) else []
        listed = [name for name in names if isinstance(name, str)]
        if not listed:
            what = f"{MODELS} answers {kind or 'without a content type'}, and it holds no list of models"
            self.note(LISTED, Status.FAIL, what, fix="is this the address of an OpenAI-compatible server?")
            return False
        if not any(finding.code == READY.code for finding in self._findings):
            self.note(READY, Status.OK, f"it is ready: {MODELS} answers 200")
        self.note(LISTED, Status.OK, "the key is accepted" if self._key else f"{MODELS} answers")
        self._judge_model(listed)
        return True

    def _judge_model(self, listed: list[str]) -> None:
        shown = ", ".join(listed[:5]) + (" …" if len(listed) > 5 else "")
        self._served = self._expected if self._expected in listed else listed[0]
        if self._expected is None:
            self.note(
                MODEL, Status.SKIP, f"it serves {shown}; not compared", fix="--model NAME, or --lock FILE, says which"
            )
        elif self._expected in listed:
            self.note(MODEL, Status.OK, f"it serves {self._expected}")
        else:
            self.note(
                MODEL, Status.FAIL, f"it serves {shown}, not {self._expected}", fix="is this the right port or host?"
            )

    def _ask_completion(self) -> None:
        self.asking = STREAMED
        self._sent_at = time.monotonic()
        asked = question(self._role, self._served or "", stream=True)
        with self._client.exchange("POST", self._path, key=self._key, body=asked) as incoming:
            if incoming.status != 200:
                self._note_bad_answer(STREAMED, incoming, self._path)
                return
            if incoming.content_type != "text/event-stream":
                kind = incoming.content_type or "no content type"
                self.note(STREAMED, Status.FAIL, f"asked to stream, it answers {kind} instead of text/event-stream")
                return
            told = read_stream(incoming, clock=time.monotonic)
        self._ended_at = time.monotonic()
        self._transcript = told
        self._judge_stream(told)

    def _ask_at_once(self) -> None:
        """Vectors, or figures: an answer in one piece."""
        check = self.asking = VECTORS if self._role is Role.EMBEDDINGS else SCORES
        sent_at = time.monotonic()
        asked = question(self._role, self._served or "", stream=False)
        with self._client.exchange("POST", self._path, key=self._key, body=asked) as incoming:
            if incoming.status != 200:
                self._note_bad_answer(check, incoming, self._path)
                return
            answer = incoming.json()
        ended_at = time.monotonic()
        problem = vectors_problem(answer) if check is VECTORS else scores_problem(answer)
        if problem is not None:
            self.note(check, Status.FAIL, f"{self._path}: {problem}")
            return
        self._sent_at, self._ended_at = sent_at, ended_at
        each = f"a vector of {dimensions(answer)} numbers" if check is VECTORS else "a figure"
        self.note(check, Status.OK, f"{each} for each of {len(TEXTS)} texts, after {ended_at - sent_at:.3f} s")
        tokens = prompt_tokens(answer)
        if tokens is None:
            self.note(USAGE, Status.WARN, "no token counts")
        else:
            self.note(USAGE, Status.OK, f"{tokens} prompt tokens")

    def _judge_stream(self, told: Transcript) -> None:
        if told.problem is not None:
            self.note(STREAMED, Status.FAIL, told.problem)
            return
        if told.text_events == 0 or told.first_token_at is None or told.last_token_at is None:
            self.note(STREAMED, Status.FAIL, "the stream holds no text")
            return
        spread = told.last_token_at - told.first_token_at
        first = told.first_token_at - self._sent_at
        if told.text_events == 1:
            self.note(STREAMED, Status.FAIL, "the whole answer came in one event: it does not stream")
        elif told.engine_seconds is not None and told.engine_seconds > max(BUFFERED_SECONDS, 4 * spread):
            self.note(
                STREAMED,
                Status.WARN,
                f"the engine worked {told.engine_seconds:.2f} s on it, but all of it came within {spread:.2f} s: "
                "something on the way holds it back",
                fix="nginx: proxy_buffering off; HAProxy: option http-no-delay",
            )
        else:
            self.note(STREAMED, Status.OK, f"{told.text_events} events, the first after {first:.3f} s")
        self._judge_end(told)

    def _judge_end(self, told: Transcript) -> None:
        missing = [
            name for name, there in (("a finish reason", told.finish_reason), ("[DONE]", told.done)) if not there
        ]
        if missing:
            self.note(FINISHED, Status.FAIL, f"the stream ended without {' and without '.join(missing)}")
        else:
            self.note(FINISHED, Status.OK, f"finish reason `{told.finish_reason}`, then [DONE]")
        if told.completion_tokens is None:
            self.note(USAGE, Status.WARN, "no token counts, though stream_options.include_usage asked for them")
        else:
            prompt = "?" if told.prompt_tokens is None else told.prompt_tokens
            self.note(USAGE, Status.OK, f"{prompt} prompt and {told.completion_tokens} answer tokens")

    def _note_bad_answer(self, check: SmokeCheck, incoming: Incoming, path: str) -> None:
        status = incoming.status
        said = item(item(incoming.json(), "error"), "message") if incoming.content_type == "application/json" else None
        message = f"{path} answers {status}" + (f": {said}" if isinstance(said, str) else "")
        fix: str | None = None
        if status in REFUSED:
            fix = "is it the right key?" if self._key else "it asks for a key: --key-file FILE, or LLMOPS_API_KEY"
        elif 300 <= status < 400:
            message += f", a redirect to {incoming.location}: not followed, the key stays here"
        elif status == 404:
            fix = "is this the base address of an OpenAI-compatible server, without /v1?"
        elif status == 429:
            fix = "it limits the rate: ask again in a minute"
        elif status in (502, 503, 504):
            fix = "is the engine behind this address running? `systemctl status 'llmops-*'`"
        elif status == 400 and not self._client.address.secure and incoming.content_type == "text/html":
            fix = "does it speak TLS? Then the address starts with https://"
        self.note(check, Status.FAIL, message, fix=fix)

    def _shown(self, text: str) -> str:
        if self._key:
            text = text.replace(self._key, "[the key]")
        clean = "".join(character if character.isprintable() else " " for character in text)
        return clean if len(clean) <= SHOWN_CHARACTERS * 2 else clean[: SHOWN_CHARACTERS * 2] + " …"


def _is_fine(status: int) -> bool:
    return 200 <= status < 300
