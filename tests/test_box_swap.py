"""The swap file on a fresh booted Debian 12: refused where the kernel could not use it, made under the hardened unit, taken away.

A box's disk is an overlay over memory, and no kernel swaps to that (swapon(2), EINVAL); in a container systemd starts no swap
unit. Tried here is everything up to that, and the way back.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from box import Box, booted

from llmops.domain.places import SWAP_FILE, SWAP_UNIT
from llmops.formats.tiny_model import tiny_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.root,
    pytest.mark.consumer("box", "mmdebstrap", "llama-server"),
]

PROFILE = """\
schema: llmops.profile/1
host: {swap: file}
deployments:
  chat:
    model: "/srv/models/tiny.gguf"
    engine: llama.cpp
    workload: {context_tokens: 2048, parallel: 2}
targets: [systemd, env, host-tuning]
"""
PLACES = ("/etc", "/usr/local", "/usr/lib/systemd", "/var/lib")
BYTES = 4 << 20
STAND_INS = {
    "/usr/local/bin/df": f"#!/bin/sh\necho Avail\necho {64 << 30}\n",
    "/usr/local/bin/stat": "#!/bin/sh\necho ext2/ext3\n",  # what the script would hear on a disk
    "/usr/local/bin/fallocate": f'#!/bin/sh\nexec /usr/bin/fallocate -l {BYTES} "$3"\n',  # the box's disk is memory
}


@pytest.fixture
def box(tmp_path: Path, shared: Path) -> Iterator[Box]:
    with booted(tmp_path, dict(os.environ), shared=shared) as one:
        place = tmp_path / "tiny.gguf"
        place.write_bytes(tiny_model())
        one.copy(place, to="/srv/models")
        one.write("/srv/site/llmops.yaml", PROFILE)
        yield one


def test_a_swap_file_is_made_where_it_is_right_and_leaves_nothing(box: Box) -> None:
    before = box.snapshot(*PLACES)
    said = box.shell("cd /srv/site; llmops plan --out llmops.lock; llmops render --apply")
    assert f"systemctl enable --now {SWAP_UNIT}" in said
    refused = box.run("systemctl", "enable", "--now", SWAP_UNIT, check=False)
    assert refused.returncode != 0
    assert "the kernel takes no swap file on overlayfs" in box.shell("journalctl -u llmops-swap -o cat")
    assert box.run("test", "-e", str(SWAP_FILE), check=False).returncode != 0

    for path, text in STAND_INS.items():
        box.write(path, text)
        box.shell(f"chmod 0755 {path}")
    made = box.run("systemctl", "start", "llmops-swap", check=False)
    assert made.returncode == 0, box.shell("journalctl -u llmops-swap -o cat")
    assert box.shell(f"/usr/bin/stat -c '%a %U %s' {SWAP_FILE}") == f"600 root {BYTES}\n"
    assert box.shell(f"/usr/bin/stat -c '%a' {SWAP_FILE.parent}") == "700\n"
    tried = box.run("systemctl", "start", SWAP_UNIT, check=False)
    assert "not supported on this system" in tried.stderr  # systemd makes no swap in a container
    asked = box.run(
        "swapon", str(SWAP_FILE), check=False
    )  # the header and the mode are right; the kernel has the last word
    assert "swapon failed: Invalid argument" in asked.stderr

    box.shell("rm " + " ".join(STAND_INS))
    box.shell("llmops uninstall")
    assert SWAP_UNIT not in box.shell("systemctl list-unit-files --no-legend '*.swap'", check=False)
    left = {line for line in box.snapshot(*PLACES) ^ before if "llmops" in line}
    assert left == set()
