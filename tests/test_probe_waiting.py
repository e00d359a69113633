"""Which source is waited for: each by its name, also the hub that takes its time, and nothing once all are there."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import host_archives

from llmops.domain.reading import Known
from llmops.probe import examine

SECONDS = 0.6


class Slow(BaseHTTPRequestHandler):
    """A hub that answers late."""

    def do_GET(self) -> None:
        time.sleep(SECONDS)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the parent's name
        pass


@contextmanager
def slow_hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_every_source_is_named_while_it_is_waited_for(tmp_path: Path) -> None:
    host = host_archives.archive("cpu-server")
    root = tmp_path / "root"
    host_archives.unpack(host, root)
    told: list[tuple[str, float]] = []
    with slow_hub() as endpoint:
        facts = examine(
            root=root,
            runner=host_archives.Replayed(host, None, tmp_path),
            disk_paths=(Path("/var/lib/llmops"),),
            environment={"PATH": "/usr/bin:/bin", "HF_ENDPOINT": endpoint},
            waiting=lambda what: told.append((what, time.monotonic())),
            hub=None,
        )
    assert isinstance(facts.surroundings.hub, Known)
    assert facts.surroundings.hub.value.status == 200
    names = [what for what, _ in told]
    wanted = (
        "the disks",
        "the kernel's log",
        "the ports",
        "the cards (NVML)",
        "nvidia-smi",
        "docker",
        "the search for engines",
    )
    assert set(wanted) <= set(names)
    hub = names.index("the model hub")
    assert names[hub + 1 :] == [""]
    # what came before was asked at the same time, so the hub is waited for no longer than it takes
    assert told[hub + 1][1] - told[0][1] >= SECONDS - 0.1
