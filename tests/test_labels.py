"""SELinux: where it is on, what is written has the label its policy says, from the first moment and also after a kill."""

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

import pytest
from killing import breaking, killed, taken_back
from rendering import NOW

from llmops.apply.labels import labels_of
from llmops.apply.reading import last_generation
from llmops.apply.root import LABEL, Root
from llmops.apply.transaction import apply
from llmops.apply.undoing import recover
from llmops.changes import change_set
from llmops.cli import uninstall
from llmops.cli.applying import Applying, carry_out
from llmops.cli.past import changes_back_to, read_past
from llmops.domain.changes import ChangeSet, FileState, WantedFile, Ways
from llmops.probe.programs import Programs

UNIT = PurePosixPath("/etc/systemd/system/llmops-chat.service")
SITE = PurePosixPath("/etc/nginx/conf.d/llmops.conf")
SCRIPT = PurePosixPath("/usr/lib/llmops/wait-ready")
CONTEXTS = """\
/.*\tsystem_u:object_r:default_t:s0
/etc(/.*)?\tsystem_u:object_r:etc_t:s0
/etc/systemd/system(/.*)?\tsystem_u:object_r:systemd_unit_file_t:s0
/etc/nginx(/.*)?\tsystem_u:object_r:httpd_config_t:s0
/usr/lib/llmops/wait-ready\t--\tsystem_u:object_r:bin_t:s0
"""
POLICY = {UNIT: "systemd_unit_file_t", SITE: "httpd_config_t", SCRIPT: "bin_t"}


def _label(name: str) -> str:
    return f"system_u:object_r:{name}:s0"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The tree of a machine that will boot with SELinux."""
    root = tmp_path / "image"
    contexts = root / "etc/selinux/targeted/contexts/files"
    contexts.mkdir(parents=True)
    (root / "etc/selinux/config").write_text("# as Fedora writes it\nSELINUX=enforcing\nSELINUXTYPE=targeted\n")
    (contexts / "file_contexts").write_text(CONTEXTS)
    return root


def _changes(content: bytes, before: bytes | None = None) -> ChangeSet:
    wanted = [WantedFile(path=path, target="x", content=content, mode=0o644, owner="root:root") for path in POLICY]
    state = FileState(content=before, mode=0o644, owner="root:root") if before is not None else None
    return change_set(dict.fromkeys(POLICY, state), wanted, recorded=None, targets=("x",), ways=Ways.OVERWRITE)


def _set_label(path: Path, label: str) -> None:
    os.setxattr(path, LABEL, label.encode() + b"\0")


def _labels(root: Path) -> dict[PurePosixPath, str]:
    found = {path: Root(root).read(path) for path in POLICY}
    return {path: one.label for path, one in found.items() if one is not None}


@pytest.fixture
def labelling(tmp_path: Path) -> None:
    """Files here can have labels: root, and a file system and kernel that take them."""
    (tmp_path / "x").touch()
    try:
        _set_label(tmp_path / "x", _label("etc_t"))
    except OSError as error:
        pytest.skip(f"labels cannot be set here: {error.strerror}")


@pytest.mark.consumer("matchpathcon")
def test_what_is_written_into_an_image_has_the_label_of_its_policy(image: Path, labelling: None) -> None:
    how = Applying(root=image, now=NOW)
    applied = carry_out(_changes(b"1\n"), how, what="apply", runner=Programs(os.environ))
    assert [one.message for one in applied.findings if "SELinux" in one.message] == []
    assert _labels(image) == {path: _label(name) for path, name in POLICY.items()}
    record = last_generation(Root(image))
    assert record is not None
    assert {file.path: file.label for file in record.files} == _labels(image)


@pytest.mark.consumer("matchpathcon")
def test_a_label_that_cannot_be_set_is_a_finding_and_the_files_are_there(
    image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setxattr", refuse)
    how = Applying(root=image, now=NOW)
    applied = carry_out(_changes(b"1\n"), how, what="apply", runner=Programs(os.environ))
    [finding] = [one for one in applied.findings if one.code == "RND017"]
    assert "3 files" in finding.message
    assert finding.fix == f"touch {image}/.autorelabel"
    assert (image / "etc/nginx/conf.d/llmops.conf").read_text() == "1\n"


@pytest.mark.consumer("matchpathcon")
def test_a_policy_that_is_damaged_or_gone_is_said(image: Path) -> None:
    contexts = image / "etc/selinux/targeted/contexts/files/file_contexts"
    runner = Programs(os.environ)
    contexts.write_text("/etc(/.* no context at all (\n")
    assert labels_of([UNIT], root=Root(image), runner=runner).problem
    contexts.unlink()
    assert "file_contexts is not there" in labels_of([UNIT], root=Root(image), runner=runner).problem


@pytest.mark.parametrize(
    "text", ["SELINUX=disabled\nSELINUXTYPE=targeted\n", "", "SELINUX=enforcing\nSELINUXTYPE=../x\n"]
)
def test_where_selinux_is_off_nothing_is_asked(image: Path, text: str) -> None:
    (image / "etc/selinux/config").write_text(text)
    labels = labels_of([UNIT], root=Root(image), runner=Programs({"PATH": "/nowhere"}))
    assert (labels.by_path, labels.problem) == ({}, "")


def _program(directory: Path, name: str, body: str) -> None:
    file = directory / name
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)


@pytest.fixture
def host(tmp_path: Path) -> Root:
    """A tree that counts as the host itself."""
    (tmp_path / "host").mkdir()
    root = Root(tmp_path / "host")
    root.is_host = True
    return root


def test_a_host_is_asked_whether_selinux_is_on_and_for_the_labels(
    host: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmops.probe.programs.EXTRA_PLACES", ())
    programs = tmp_path / "programs"
    programs.mkdir()
    runner = Programs({"PATH": str(programs)})
    there, gone = Path(sys.executable), tmp_path / "not there"
    assert labels_of([UNIT], root=host, runner=runner, kernel=gone).problem == ""
    assert "not installed" in labels_of([UNIT], root=host, runner=runner, kernel=there).problem
    _program(programs, "selinuxenabled", "exit 1")
    assert labels_of([UNIT], root=host, runner=runner, kernel=there).problem == "", "off, whatever the kernel shows"
    _program(programs, "selinuxenabled", "exit 0")
    assert "not installed" in labels_of([UNIT], root=host, runner=runner, kernel=gone).problem
    _program(programs, "matchpathcon", 'shift; for path in "$@"; do echo "label of $path"; done')
    asked = labels_of([UNIT, SITE], root=host, runner=runner, kernel=gone)
    assert asked.by_path == {UNIT: f"label of {UNIT}", SITE: f"label of {SITE}"}
    _program(programs, "matchpathcon", "echo '<<none>>'; echo x")
    assert labels_of([UNIT, SITE], root=host, runner=runner, kernel=gone).by_path == {SITE: "x"}
    _program(programs, "matchpathcon", "echo only one")
    assert labels_of([UNIT, SITE], root=host, runner=runner, kernel=gone).problem
    _program(programs, "matchpathcon", "echo no policy >&2; exit 1")
    assert "no policy" in labels_of([UNIT], root=host, runner=runner, kernel=gone).problem


def _apply(root: Path, changes: ChangeSet) -> object:
    labels = {path: _label(name) for path, name in POLICY.items()}
    return apply(changes, root=root, made_by="0.1.0", now=NOW, labels=labels)


def _foreign(root: Path) -> None:
    for path in POLICY:
        file = root / str(path).lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"0\n")
        _set_label(file, _label("admin_home_t"))


def test_a_kill_at_any_step_leaves_content_and_label_together(tmp_path: Path, labelling: None) -> None:
    changes = _changes(b"1\n", before=b"0\n")
    (tmp_path / "count").mkdir()
    _foreign(tmp_path / "count")
    with breaking(0, lambda: None) as calls:
        _apply(tmp_path / "count", changes)
    assert calls.count("setxattr") == len(POLICY)
    ends = set()
    for at in range(1, len(calls) + 1):
        root = tmp_path / f"at-{at}"
        root.mkdir()
        _foreign(root)
        killed(at, partial(_apply, root, changes))
        recover(root)
        is_done = (root / "var/lib/llmops/generations/1").exists()
        wanted = {path: _label(name if is_done else "admin_home_t") for path, name in POLICY.items()}
        assert _labels(root) == wanted, f"step {at} of {len(calls)}"
        ends.add(is_done)
    assert ends == {True, False}


def test_a_file_that_is_replaced_keeps_its_label_where_nothing_else_is_known(tmp_path: Path, labelling: None) -> None:
    _foreign(tmp_path)
    apply(_changes(b"1\n", before=b"0\n"), root=tmp_path, made_by="0.1.0", now=NOW)
    assert set(_labels(tmp_path).values()) == {_label("admin_home_t")}
    back = changes_back_to(read_past(str(tmp_path), finish=taken_back), 0)
    apply(replace(back), root=tmp_path, made_by="0.1.0", now=NOW)
    assert set(_labels(tmp_path).values()) == {_label("admin_home_t")}


@pytest.mark.consumer("matchpathcon")
def test_a_file_that_was_not_ours_comes_back_with_its_own_label_not_the_policy_s(image: Path, labelling: None) -> None:
    _foreign(image)
    how = Applying(root=image, now=NOW)
    carry_out(_changes(b"1\n", before=b"0\n"), how, what="apply", runner=Programs(os.environ))
    assert _labels(image) == {path: _label(name) for path, name in POLICY.items()}
    uninstall.run(uninstall.Options(root=str(image)), now=NOW)
    assert _labels(image) == dict.fromkeys(POLICY, _label("admin_home_t"))
