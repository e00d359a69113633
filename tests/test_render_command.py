"""`llmops render` as it is typed: diff, apply, check, tree; exit codes; and no secret anywhere but in its file."""

import json
import os
import re
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import locks
import pytest
from rendering import EVERY_TARGET, NOW

from llmops.cli import render, status
from llmops.cli.app import run as llmops
from llmops.domain.errors import WrongInput, WrongUsage
from llmops.domain.finding import Status
from llmops.domain.lock import Lock
from llmops.domain.profile import Gateway, Serve
from llmops.formats.lock import dump_lock
from llmops.probe.programs import Programs


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a lock and an empty root, from where the command is typed."""
    monkeypatch.chdir(tmp_path)
    _write(tmp_path, locks.lock({"chat": locks.llama_cpu()}, targets=EVERY_TARGET))
    (tmp_path / "root").mkdir()
    return tmp_path


def _write(place: Path, lock: Lock) -> None:
    (place / "llmops.lock").write_text(dump_lock(lock))


def _type(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = llmops(["render", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    code, out, _ = _type(capsys, *arguments, "--json")
    document: dict[str, Any] = json.loads(out)
    assert document["exit_code"] == code
    assert document["schema"] == "llmops.render/1"
    return document


def _files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_diff_writes_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _type(capsys, "--root", "root")
    assert code == 0
    assert "+ExecStart=/usr/bin/llama-server -m /var/lib/llmops/models/chat/current/" in out
    assert list((place / "root").iterdir()) == []


def test_apply_twice_writes_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = _json(capsys, "--root", "root", "--apply")["result"]
    assert (first["applied"], first["generation"]) == (True, 1)
    assert {row["action"] for row in first["files"]} == {"create"}
    before = _files(place / "root")
    second = _json(capsys, "--root", "root", "--apply")["result"]
    assert second["generation"] is None
    assert {row["action"] for row in second["files"]} == {"keep"}
    assert _files(place / "root") == before


def test_a_tree_that_cannot_be_written_again_stays_as_it_was(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _type(capsys, "--out", "tree")[0] == 0
    files = sorted(path for path in (place / "tree").rglob("*") if path.is_file())
    for path in files:
        path.write_text("edited")
    in_the_way = files[-1].with_name(f".{files[-1].name}.llmops-new")
    in_the_way.mkdir()  # the last file cannot be written beside its place
    code, _, err = _type(capsys, "--out", "tree")
    assert code == 4
    assert "nothing was written" in err
    assert {path.read_text() for path in files} == {"edited"}
    in_the_way.rmdir()
    assert not list((place / "tree").rglob(".*"))


def test_a_tree_that_cannot_be_written_leaves_not_even_directories(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "tree").mkdir()
    (place / "tree/usr").write_text("in the way")
    code, _, err = _type(capsys, "--out", "tree")
    assert code == 4
    assert "hint: " in err
    assert [path.name for path in (place / "tree").rglob("*")] == ["usr"]


def test_check_tells_whether_apply_would_change_something(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _type(capsys, "--root", "root", "--check")[0] == 1
    assert _type(capsys, "--root", "root", "--apply")[0] == 0
    assert _type(capsys, "--root", "root", "--check")[0] == 0
    (place / "root/etc/llmops/chat.env").write_text("edited\n")
    assert _type(capsys, "--root", "root", "--check")[0] == 1


def test_files_have_the_declared_modes_and_the_report_says_so(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = _json(capsys, "--root", "root", "--apply")["result"]
    for row in result["files"]:
        mode = stat.S_IMODE((place / "root" / row["path"].lstrip("/")).stat().st_mode)
        assert f"{mode:04o}" == row["mode"], row["path"]
    secret = {
        row["path"]: row["mode"]
        for row in result["files"]
        if re.search(r"secrets/|keys\.map|tls\.key|engine-", row["path"])
    }
    assert len(secret) == 7
    assert set(secret.values()) == {"0600", "0440"}


def _secrets(root: Path) -> set[str]:
    """Every secret value that was made, bare."""
    named = ("etc/llmops/secrets/api-key.default", "etc/llmops/secrets/chat.engine-key")
    keys = {(root / name).read_text().strip() for name in named}
    pem = [(root / name).read_text() for name in ("etc/llmops/secrets/ca.key", "etc/nginx/llmops/tls.key")]
    return keys | {line for text in pem for line in text.splitlines() if "PRIVATE" not in line}


def test_no_secret_is_printed_or_written_beside_its_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = ""
    for arguments in (("--apply",), ("--apply", "--json"), (), ("--check", "-v"), ("--apply", "--json", "--verbose")):
        said += "".join(_type(capsys, "--root", "root", *arguments)[1:])
    secrets = _secrets(place / "root")
    assert len(secrets) >= 6
    for secret in secrets:
        assert secret not in said
    allowed = re.compile(r"secrets/|keys\.map|tls\.key|engine-chat\.conf|engine-key|llmops-chat\.key")
    for name, content in _files(place / "root").items():
        if not allowed.search(name):
            assert not any(secret.encode() in content for secret in secrets), name


def test_rotating_the_engine_key_shows_digests_only(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _type(capsys, "--root", "root", "--apply")
    new = "a-new-engine-key-of-good-length"
    (place / "root/etc/llmops/secrets/chat.engine-key").write_text(f"{new}\n")
    code, out, _ = _type(capsys, "--root", "root")
    assert code == 0
    assert "diff update /etc/nginx/llmops/engine-chat.conf" in out
    assert len(re.findall(r"^[+-]secret sha256:[0-9a-f]{8}$", out, flags=re.MULTILINE)) == 6
    assert new not in out


def test_an_edited_file_stops_the_apply_with_5_and_overwrite_replaces_it(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _type(capsys, "--root", "root", "--apply")
    unit = place / "root/etc/systemd/system/llmops-chat.service"
    unit.write_text(unit.read_text().replace("MemorySwapMax=0", "MemorySwapMax=1G"))
    before = _files(place / "root")
    document = _json(capsys, "--root", "root", "--apply")
    assert document["exit_code"] == 5
    assert document["result"] is None
    assert "edited since it was written" in document["error"]["message"]
    assert "--overwrite" in document["error"]["hint"]
    assert _files(place / "root") == before
    assert _type(capsys, "--root", "root", "--apply", "--overwrite")[0] == 0
    assert "MemorySwapMax=0" in unit.read_text()


def test_a_deployment_that_is_gone_takes_its_files_along_but_not_its_keys(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = locks.lock(
        {"chat": locks.llama_cpu(), "small": locks.llama_cpu(alias="small", port=8081)}, targets=EVERY_TARGET
    )
    _write(place, both)
    _type(capsys, "--root", "root", "--apply")
    _write(place, locks.lock({"chat": locks.llama_cpu()}, targets=EVERY_TARGET))
    result = _json(capsys, "--root", "root", "--apply")["result"]
    deleted = sorted(row["path"] for row in result["files"] if row["action"] == "delete")
    assert deleted == [
        "/etc/llmops/compose/small/compose.yaml",
        "/etc/llmops/small.env",
        "/etc/systemd/system/llmops-small.service",
    ]
    assert (place / "root/etc/llmops/secrets/small.engine-key").exists()


def test_one_target_alone_leaves_the_others_in_the_record(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _type(capsys, "--root", "root", "--apply")
    env = place / "root/etc/llmops/chat.env"
    env.unlink()
    result = _json(capsys, "--root", "root", "--apply", "--target", "env")["result"]
    assert [(row["path"], row["action"]) for row in result["files"]] == [("/etc/llmops/chat.env", "create")]
    assert {row["action"] for row in _json(capsys, "--root", "root")["result"]["files"]} == {"keep"}


def test_out_writes_a_tree_without_secrets_generations_or_owners(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = _json(capsys, "--out", "tree")["result"]
    assert (result["applied"], result["generation"], result["call"]) == (False, None, None)
    assert sorted(_files(place / "tree")) == sorted(row["path"].lstrip("/") for row in result["files"])
    assert not any(re.search(r"secrets|generations|keys\.map|tls", name) for name in _files(place / "tree"))
    assert os.access(place / "tree/usr/lib/llmops/wait-ready", os.X_OK)
    assert {row["action"] for row in _json(capsys, "--out", "tree")["result"]["files"]} == {"keep"}


@pytest.mark.consumer("systemd-analyze", "nginx-njs", "docker-compose", "haproxy", "promtool", "logrotate")
def test_every_consumer_is_counted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checked = _json(capsys, "--root", "root")["result"]["checked"]
    assert (checked["asked"], checked["of"]) == (7, 7)
    assert {row["target"]: row["status"] for row in checked["consumers"]} == dict.fromkeys(
        (target for target in EVERY_TARGET if target != "host-tuning"), "ok"
    )


def test_the_call_to_try_names_endpoint_key_file_and_ca(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = _json(capsys, "--root", "root", "--apply")["result"]["call"]
    assert call["endpoint"] == "https://localhost:8443/v1"
    assert Path(call["key_file"]).read_text().startswith("sk-")
    assert Path(call["ca_file"]).read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert call["key_file"] in call["curl"]
    assert "sk-" not in call["curl"] + call["python"]
    compile(call["python"], "call", "exec")


WRONG: dict[str, tuple[tuple[str, ...], int, str]] = {
    "no lock": (("--lock", "none.lock"), 3, "none.lock"),
    "unknown target": (("--target", "ngnix"), 2, "no target `ngnix`"),
    "root is a file": (("--root", "llmops.lock"), 3, "not a directory"),
    "root is not there": (("--root", "nowhere"), 3, "not a directory"),
    "apply and check": (("--apply", "--check"), 2, "--apply and --check"),
    "out and apply": (("--out", "x", "--apply"), 2, "--out with --apply"),
    "out is a file": (("--out", "llmops.lock"), 4, "not a directory"),
    "engine path": (("--root", "root", "--engine-path", "llama-server"), 3, "not an absolute path"),
    "image": (("--root", "root", "--image", "llama.cpp=server:latest"), 2, "not an image by digest"),
    "image of whom": (("--root", "root", "--image", "other=x"), 2, "ENGINE=NAME@sha256:DIGEST"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_typed_wrong_ends_with_its_code_and_a_hint(
    place: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    arguments, code, words = WRONG[case]
    document = _json(capsys, *arguments)
    assert document["exit_code"] == code
    assert words in document["error"]["message"] + str(document["error"]["where"])
    assert document["error"]["hint"]
    assert document["result"] is None
    assert list((place / "root").iterdir()) == []


@pytest.mark.root
def test_a_read_only_root_is_refused_before_anything_is_written(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place.chmod(0o755)
    (place / "root").chmod(0o555)
    for parent in place.parents:
        if parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    runner = Programs(os.environ)
    options = render.Options(lock="llmops.lock", root="root", apply=True)
    render.run(replace(options, apply=False), runner=runner)  # imports everything while this process may read it
    child = os.fork()
    if child == 0:  # pragma: no cover - another user's process
        os.setgid(65534)
        os.setuid(65534)
        os._exit(llmops(["render", "--root", "root", "--apply", "--json"]))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 4
    assert list((place / "root").iterdir()) == []


def test_what_is_not_rendered_yet_is_said(place: Path) -> None:
    serve = Serve(gateway=Gateway.HAPROXY)
    chat = replace(locks.llama_cpu(), fallback=("small",))
    both = {"chat": chat, "small": locks.llama_cpu(alias="small", port=8081)}
    _write(place, locks.lock(both, serve=serve, targets=("systemd", "compose")))
    answer = render.run(render.Options(root="root"), runner=Programs(os.environ))
    codes = {finding.code: finding.status for finding in answer.findings}
    assert {code for code in codes if code < "RND100"} == {"RND001", "RND002", "RND003", "RND004", "RND005"}
    assert all(codes[code] is Status.WARN for code in ("RND001", "RND002", "RND003", "RND004", "RND005"))


def test_an_unknown_target_in_the_lock_is_wrong_input(place: Path) -> None:
    _write(place, locks.lock(targets=("systemd", "grafana")))
    with pytest.raises(WrongInput, match="grafana") as refused:
        render.run(render.Options(root="root"), runner=Programs(os.environ))
    assert refused.value.where is not None
    assert refused.value.where.key == "targets"


EXPIRY = {
    "fresh": (timedelta(days=1), Status.OK, "valid until"),
    "soon": (timedelta(days=380), Status.WARN, "expires on"),
    "over": (timedelta(days=400), Status.FAIL, "expired on"),
}


@pytest.mark.parametrize("case", EXPIRY)
def test_the_certificates_age_is_a_finding(place: Path, case: str) -> None:
    later, status, words = EXPIRY[case]
    options = render.Options(root="root", apply=True)
    render.run(options, runner=Programs(os.environ), now=NOW)
    answer = render.run(options, runner=Programs(os.environ), now=NOW + later)
    [finding] = [one for one in answer.findings if one.code == "RND008"]
    assert finding.status is status
    assert words in finding.message


@pytest.mark.parametrize("case", EXPIRY)
def test_status_names_a_certificate_that_ends(place: Path, case: str) -> None:
    later, status_then, words = EXPIRY[case]
    render.run(render.Options(root="root", apply=True), runner=Programs(os.environ), now=NOW)
    answer = status.run(status.Options(root="root"), runner=Programs(os.environ), now=NOW + later)
    found = [(one.status, words in one.message) for one in answer.findings if one.code == "RND008"]
    assert found == ([] if status_then is Status.OK else [(status_then, True)])


def test_a_certificate_is_renewed_by_the_same_authority_and_nothing_else_changes(place: Path) -> None:
    options = render.Options(root="root", apply=True)
    render.run(options, runner=Programs(os.environ), now=NOW)
    before = _files(place / "root")
    later = NOW + timedelta(days=380)
    renewing = replace(options, renew_certificate=True)
    answer = render.run(renewing, runner=Programs(os.environ), now=later)
    [finding] = [one for one in answer.findings if one.code == "RND008"]
    assert finding.status is Status.OK
    after = _files(place / "root")
    changed = {name for name in after if before.get(name) != after[name] and "generations" not in name}
    assert changed == {"etc/nginx/llmops/tls.crt", "etc/nginx/llmops/tls.key"}


def test_a_renewal_without_apply_is_asked_back(place: Path) -> None:
    with pytest.raises(WrongUsage, match="--apply"):
        render.run(render.Options(root="root", renew_certificate=True), runner=Programs(os.environ))


def test_a_new_host_name_asks_for_a_new_certificate(place: Path) -> None:
    options = render.Options(root="root", apply=True)
    render.run(options, runner=Programs(os.environ))
    _write(place, locks.lock(serve=Serve(hostname="llm.example.internal")))
    answer = render.run(options, runner=Programs(os.environ))
    [finding] = [one for one in answer.findings if one.code == "RND008"]
    assert finding.status is Status.WARN
    assert "not for llm.example.internal" in finding.message


def test_a_model_in_its_place_is_not_missed(place: Path) -> None:
    current = place / "root/var/lib/llmops/models/chat/current"
    current.parent.mkdir(parents=True)
    current.symlink_to("0123abcd")
    answer = render.run(render.Options(root="root"), runner=Programs(os.environ))
    assert "RND005" not in {finding.code for finding in answer.findings}
