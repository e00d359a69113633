"""Units of engines that are not at hand, started by a booted systemd with stand-ins for the engines' programs."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import locks
import pytest
from box import Box, bare
from rendering import rendered

from llmops.domain.binding import Binding, MemoryPolicy
from llmops.domain.lock import LockedDeployment
from llmops.domain.numbers import Number

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.consumer("box", "mmdebstrap")]

STORE = "/var/lib/llmops"
UNIT = "llmops-chat.service"

SERVER = """
import http.server
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers()
    def do_POST(self):
        model = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["model"]
        self.send_response(200 if (store / model).exists() else 404); self.end_headers()
http.server.ThreadingHTTPServer(("127.0.0.1", port), Answers).serve_forever()
"""

OLLAMA = f"""#!/usr/bin/python3
import json, os, pathlib, re, sys
store = pathlib.Path(os.environ["OLLAMA_MODELS"])
store.mkdir(exist_ok=True)
port = int(os.environ["OLLAMA_HOST"].rpartition(":")[2])
with open(store / "calls", "a") as calls: calls.write(sys.argv[1] + "\\n")
if sys.argv[1] == "show": sys.exit(not (store / sys.argv[2]).exists())
if sys.argv[1] == "create":
    file = re.search("^FROM (.*)$", pathlib.Path(sys.argv[4]).read_text(), re.MULTILINE)[1]
    (store / sys.argv[2]).write_bytes(pathlib.Path(file).read_bytes())
    sys.exit(0)
{SERVER}"""

LLAMA = f"""#!/usr/bin/python3
import json, os, pathlib, sys
store = pathlib.Path(os.environ["HOME"])
def opened(path):
    try: return pathlib.Path(path).open("rb").read(4).hex()
    except OSError as error: return error.strerror
seen = dict(line.split(":", 1) for line in open("/proc/self/status"))
(store / "seen.json").write_text(json.dumps({{
    "kfd": opened("/dev/kfd"), "processors": seen["Cpus_allowed_list"].strip(), "cards": os.environ["ROCR_VISIBLE_DEVICES"],
}}))
port = int(sys.argv[sys.argv.index("--port") + 1])
{SERVER}"""


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A box with nothing of llmops in it."""
    with bare(tmp_path, dict(os.environ)) as one:
        yield one


def installed(box: Box, locked: LockedDeployment, *, program: str, text: str) -> None:
    """The files of a deployment, its users, its model in the store, and the stand-in."""
    for file in rendered(locks.lock({"chat": locked}, targets=("systemd", "env"))):
        box.write(str(file.path), file.text)
        box.run("chmod", f"{file.mode:o}", str(file.path))
    box.write(program, text)
    name = locked.model.files[0].name
    box.shell(
        f"chmod 755 {program}; systemd-sysusers; systemd-tmpfiles --create /etc/tmpfiles.d/llmops.conf;"
        f"mkdir -p {STORE}/models/chat/v1 {STORE}/blobs; echo weights > {STORE}/blobs/one;"
        f"ln -s {STORE}/blobs/one {STORE}/models/chat/v1/{name}; ln -s v1 {STORE}/models/chat/current;"
        "install -m 600 /dev/null /etc/llmops/secrets/chat.engine-key;"
        "echo 0123456789abcdefghij > /etc/llmops/secrets/chat.engine-key; systemctl daemon-reload"
    )


def test_an_ollama_is_started_when_its_model_is_in_the_store_and_loaded(box: Box) -> None:
    installed(box, without_cards(locks.ollama_gpu()), program="/usr/local/bin/ollama", text=OLLAMA)
    box.run("systemctl", "start", UNIT)
    state = f"{STORE}/state/chat"
    assert box.shell(f"cat {state}/models/chat") == "weights\n"
    assert box.shell(f"stat -c '%U %a' {state}").strip() == "llmops-chat 700"

    box.run("systemctl", "restart", UNIT)
    assert box.shell(f"grep -c create {state}/models/calls").strip() == "1", "the same file is not copied again"

    box.shell(f"echo other > {STORE}/blobs/two; ln -sfn {STORE}/blobs/two {STORE}/models/chat/v1/*.gguf")
    box.run("systemctl", "restart", UNIT)
    assert box.shell(f"cat {state}/models/chat") == "other\n"


def test_an_ollama_that_does_not_take_its_model_is_not_started(box: Box) -> None:
    installed(
        box,
        without_cards(locks.ollama_gpu()),
        program="/usr/local/bin/ollama",
        text=OLLAMA.replace("sys.exit(0)", "sys.exit(1)"),
    )
    assert box.run("systemctl", "start", UNIT, check=False).returncode != 0
    assert "load-model: ollama did not take" in box.shell(f"journalctl -u {UNIT} -o cat")


def without_cards(locked: LockedDeployment) -> LockedDeployment:
    """The same without a card: no unit for device nodes, which a box has none of."""
    return replace(locked, devices=())


def test_a_unit_for_amd_opens_the_compute_node_by_its_group_and_computes_where_it_is_bound(box: Box) -> None:
    """The node is root:render 0660, and the unit's user is mapped into a namespace of its own: the group goes with it."""
    bound = Binding(nodes="0", policy=MemoryPolicy.PREFERRED, threads="0")
    numbers = replace(locks.amd_gpu().numbers, start_timeout_seconds=Number(value=30, rule="test"))
    installed(
        box, replace(locks.amd_gpu(), binding=bound, numbers=numbers), program="/usr/bin/llama-server", text=LLAMA
    )
    box.write("/etc/systemd/system/llmops-gpu.service.d/box.conf", "[Service]\nExecStart=\nExecStart=/bin/true\n")
    box.shell("mknod /dev/kfd c 1 5; chgrp render /dev/kfd; chmod 660 /dev/kfd; systemctl daemon-reload")
    box.run("systemctl", "start", UNIT)
    seen = box.shell(f"cat {STORE}/state/chat/seen.json")
    assert seen == '{"kfd": "00000000", "processors": "0", "cards": "0,1"}'

    box.shell(f"sed -i '/^SupplementaryGroups=/d' /etc/systemd/system/{UNIT}; systemctl daemon-reload")
    box.run("systemctl", "restart", UNIT)
    assert '"kfd": "Permission denied"' in box.shell(f"cat {STORE}/state/chat/seen.json")
