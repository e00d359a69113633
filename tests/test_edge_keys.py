"""Keys at the rendered edge, with the real nginx under load: a change holds at once, and nobody with a key is turned away."""

import http.client
import os
import signal
import ssl
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import locks
import pytest
from edge import applied, engine, free_port, nginx, trusting
from rendering import with_number

from llmops.cli import keys, render
from llmops.cli.keys import Action
from llmops.domain.profile import Serve
from llmops.probe.programs import Programs

pytestmark = [pytest.mark.consumer("nginx-njs"), pytest.mark.slow]

EVENTS, GAP_SECONDS, STREAMS, CLIENTS = 160, 0.05, 3, 3
PATH, SHORT = "/v1/chat/completions", '{"stream": true, "max_tokens": 1}'
SETTLES_SECONDS = 5


@dataclass(slots=True)
class Load:
    """Clients of one edge, all with the first key: some stream for long, some connect anew, some keep the connection."""

    port: int
    trust: ssl.SSLContext
    key: str
    retries: int
    seen: Counter[str] = field(default_factory=Counter)
    whole: list[bool] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def threads(self) -> list[threading.Thread]:
        """All of them, not yet started."""
        each = [self._stream] * STREAMS + [self._anew] * CLIENTS + [self._kept] * CLIENTS
        return [threading.Thread(target=one) for one in each]

    def status(self, key: str) -> int:
        """What one request on a connection of its own is answered with."""
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=30, context=self.trust)
        connection.request("POST", PATH, SHORT, {"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    def becomes(self, key: str, status: int) -> None:
        """Wait until the edge says so to this key."""
        until = time.monotonic() + SETTLES_SECONDS
        while (said := self.status(key)) != status:
            assert time.monotonic() < until, f"{said}, not {status}"
            time.sleep(0.02)

    def _stream(self) -> None:
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=30, context=self.trust)
        body = f'{{"stream": true, "max_tokens": {EVENTS}}}'
        connection.request("POST", PATH, body, {"Authorization": f"Bearer {self.key}"})
        self.whole.append(connection.getresponse().read().rstrip().endswith(b"data: [DONE]"))
        connection.close()

    def _anew(self) -> None:
        while not self.over.wait(0.01):
            try:
                self.seen[f"anew {self.status(self.key)}"] += 1
            except OSError as error:
                self.seen[f"anew {error!r}"] += 1

    def _kept(self) -> None:
        """The SDK as in the call that `render` ends with: what nginx closes between two requests, it asks again."""
        import openai

        client = openai.OpenAI(
            base_url=f"https://localhost:{self.port}/v1",
            api_key=self.key,
            max_retries=self.retries,
            http_client=openai.DefaultHttpxClient(verify=self.trust),
        )
        while not self.over.wait(0.005):
            try:
                for _ in client.chat.completions.create(model="chat", stream=True, max_tokens=1, messages=[]):
                    pass
                self.seen["kept 200"] += 1
            except openai.APIError as error:
                self.seen[f"kept {error!r}"] += 1


def test_keys_come_and_go_under_load_without_a_dropped_request(tmp_path: Path) -> None:
    pytest.importorskip("openai")
    port, engine_port = free_port(), free_port()
    chat = locks.llama_cpu(port=engine_port)
    for name, value in (
        ("rate_limit_requests_per_minute", 60_000),
        ("rate_limit_burst", 1000),
        ("connections_per_key", 64),
    ):
        chat = with_number(chat, name, value)
    root = applied(locks.lock({"chat": chat}, serve=Serve(listen=f"127.0.0.1:{port}"), targets=("nginx",)), tmp_path)
    secrets = root / "etc/llmops/secrets"
    first = (secrets / "api-key.default").read_text().strip()
    load = Load(port, trusting(root), first, chat.numbers.client_retries.value)
    inner = (secrets / "chat.engine-key").read_text().strip()
    with engine(engine_port, inner, gap=GAP_SECONDS), nginx(root, tmp_path, port=port) as server:

        def do(action: Action, *, digest: str | None = None) -> str:
            """One change, taken over; the new key."""
            options = keys.Options(action=action, tenant="team-a", digest=digest, root=str(root))
            assert keys.run(options, runner=Programs(os.environ)).ok
            os.kill(server.pid, signal.SIGHUP)
            file = secrets / "api-key.team-a"
            made = file.read_text().strip() if file.exists() else ""
            file.unlink(missing_ok=True)
            return made

        running = load.threads()
        for one in running:
            one.start()
        time.sleep(0.3)
        old = do(Action.ADD)
        load.becomes(old, 200)
        digest = _digests(root)[0]
        new = do(Action.ROTATE)
        load.becomes(new, 200)
        assert load.status(old) == 200, "until it is revoked"
        do(Action.REVOKE, digest=digest)
        load.becomes(old, 401)
        assert load.status(new) == 200
        options = render.Options(lock=str(tmp_path / "llmops.lock"), root=str(root), apply=True, renew_certificate=True)
        assert render.run(options, runner=Programs(os.environ)).ok
        os.kill(server.pid, signal.SIGHUP)
        load.becomes(new, 200)
        assert do(Action.REVOKE) == ""
        load.becomes(new, 401)
        assert load.whole == [], "a stream had ended before the last change: nothing is shown by it"
        load.over.set()
        for one in running:
            one.join()
    assert set(load.seen) == {"anew 200", "kept 200"}, load.seen
    assert min(load.seen.values()) > 20
    assert load.whole == [True] * STREAMS


def _digests(root: Path) -> list[str]:
    """The beginnings of team-a's keys, as `keys list` shows them."""
    answer = keys.run(keys.Options(action=Action.LIST, root=str(root)), runner=Programs(os.environ))
    assert isinstance(answer.result, dict)
    listed = answer.result["keys"]
    assert isinstance(listed, list)
    return [str(one["digest"]) for one in listed if isinstance(one, dict) and one["tenant"] == "team-a"]
