"""The script that gives Ollama's store its model, run against a stand-in of the program and of its server."""

import http.server
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import locks
import pytest
import yaml
from rendering import CASES, rendered, text_of

from llmops.domain.finding import Where
from llmops.formats.unit import command_line, settings

OLLAMA = """#!/bin/sh
echo "$OLLAMA_HOST $*" >> "$HOME/calls"
case $1 in
    show) test -e "$HOME/known" ;;
    create) test ! -e "$HOME/refuse" && cp "$4" "$HOME/given" && touch "$HOME/known" ;;
esac
"""


class Place:
    """A state directory with the script, a stand-in for `ollama`, and a model behind a link."""

    def __init__(self, top: Path) -> None:
        self.home, self.run, self.script, self.ollama = (top / name for name in ("home", "run", "load-model", "ollama"))
        self.home.mkdir()
        self.run.mkdir()
        self.script.write_text(text_of(rendered(CASES["ollama_gpu"]), "/usr/lib/llmops/load-model"))
        self.ollama.write_text(OLLAMA)
        for program in (self.script, self.ollama):
            program.chmod(0o755)
        self.model = top / "a model.gguf"
        self.points_to(top / "blob-1")

    def points_to(self, blob: Path) -> None:
        """The model is this blob from now on."""
        blob.write_text("weights")
        self.model.unlink(missing_ok=True)
        self.model.symlink_to(blob)

    def loads(self, port: int) -> tuple[int, str]:
        """Exit code and what was said."""
        ran = subprocess.run(
            [self.script, self.ollama, str(port), "chat", self.model],
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), "XDG_CONFIG_HOME": str(self.run)},
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        return ran.returncode, ran.stderr

    def calls(self, word: str) -> int:
        """How often the program was called for it."""
        lines = (self.home / "calls").read_text().splitlines()
        return sum(line.split()[1] == word for line in lines)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@contextmanager
def _server(knows: str) -> Iterator[tuple[int, list[tuple[str, dict[str, object]]]]]:
    """Answers 200 at one path, 400 at every other, as Ollama does for a model that cannot do it."""
    seen: list[tuple[str, dict[str, object]]] = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            return

        def do_POST(self) -> None:
            seen.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(200 if self.path == knows else 400)
            self.end_headers()

    server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1]), seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_the_store_gets_the_model_once_and_it_is_loaded_at_every_start(place: Place) -> None:
    with _server("/api/generate") as (port, seen):
        assert [place.loads(port) for _ in range(2)] == [(0, ""), (0, "")]
    assert place.calls("create") == 1
    assert f"\nFROM {place.model}\n" in (place.home / "given").read_text()
    assert seen == [("/api/generate", {"model": "chat", "stream": False})] * 2
    assert (place.home / "calls").read_text().startswith(f"127.0.0.1:{port} create chat -f ")


def test_another_file_behind_the_same_link_is_taken_anew(place: Place, tmp_path: Path) -> None:
    with _server("/api/generate") as (port, _):
        place.loads(port)
        place.points_to(tmp_path / "blob-2")
        assert place.loads(port) == (0, "")
    assert place.calls("create") == 2


def test_a_store_that_lost_the_model_gets_it_again(place: Place) -> None:
    with _server("/api/generate") as (port, _):
        place.loads(port)
        (place.home / "known").unlink()
        assert place.loads(port) == (0, "")
    assert place.calls("create") == 2


def test_a_model_for_embeddings_alone_is_loaded_by_the_other_request(place: Place) -> None:
    with _server("/api/embed") as (port, seen):
        assert place.loads(port) == (0, "")
    assert [path for path, _ in seen] == ["/api/generate", "/api/embed"]


def test_a_model_that_is_not_taken_or_not_loaded_ends_the_start_with_a_reason(place: Place) -> None:
    with _server("/nowhere") as (port, _):
        assert place.loads(port) == (1, "load-model: ollama does not load chat\n")
        (place.home / "known").unlink()
        (place.home / "refuse").touch()
        code, said = place.loads(port)
    assert code == 1
    assert "ollama did not take" in said


@pytest.mark.consumer("shellcheck")
def test_the_script_is_clean(place: Place) -> None:
    run = subprocess.run(["shellcheck", place.script], capture_output=True, text=True, check=False)
    assert run.stdout == ""


HOSTILE = 'my $HOME "model" %i; x\\y `id` #1 {{a}}.gguf'


def test_a_hostile_file_name_reaches_the_script_and_the_container_unchanged() -> None:
    locked = locks.ollama_gpu()
    file = replace(locked.model.files[0], name=HOSTILE)
    lock = locks.lock(
        {"chat": replace(locked, model=replace(locked.model, files=(file,)))}, targets=("systemd", "compose")
    )
    files = rendered(lock)
    place = f"/var/lib/llmops/models/chat/current/{HOSTILE}"
    unit = text_of(files, "/etc/systemd/system/llmops-chat.service")
    *_, last = [one for one in settings(unit, file="chat.service") if one.key == "ExecStartPost"]
    argv = command_line(last.value, specifiers={}, where=Where())
    assert argv == ("/usr/lib/llmops/load-model", "/usr/local/bin/ollama", "11434", "chat", place)
    compose = yaml.safe_load(text_of(files, "/etc/llmops/compose/chat/compose.yaml"))
    words = [word.replace("$$", "$") for word in compose["services"]["model"]["entrypoint"]]
    assert words[-2:] == ["chat", place]


def test_the_containers_loader_gives_the_server_every_file_and_then_loads_the_model(tmp_path: Path) -> None:
    lock = locks.lock({"chat": locks.ollama_gpu()}, targets=("compose",))
    compose = yaml.safe_load(text_of(rendered(lock), "/etc/llmops/compose/chat/compose.yaml"))
    shell, options, script, *words = (word.replace("$$", "$") for word in compose["services"]["model"]["entrypoint"])
    program = tmp_path / "ollama"
    refuses = '[ "$1 $3" != "run " ] || [ ! -e "$0.embeds" ] || exit 1'
    program.write_text(f'#!/bin/sh\necho "$*" >> "$0.said"; [ "$1" != create ] || cat "$4" >> "$0.said"; {refuses}\n')
    program.chmod(0o755)
    moved = script.replace("/tmp/", f"{tmp_path}/")
    taken = [f"create chat -f {tmp_path}/Modelfile", f"FROM {words[-1]}", "FROM /models/mmproj x.gguf", "run chat "]
    for embeds in (False, True):  # a model for embeddings alone is not loaded without a text
        (tmp_path / "ollama.said").unlink(missing_ok=True)
        if embeds:
            (tmp_path / "ollama.embeds").touch()
        run = subprocess.run(
            [shell, options, moved, *words, "/models/mmproj x.gguf"],
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert run.stdout == ""
        said = (tmp_path / "ollama.said").read_text().splitlines()
        assert said == [*taken, *(["run chat hello"] if embeds else [])]
