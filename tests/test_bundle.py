"""`llmops bundle`: what a machine without network gets is what a pull would have brought, and other programs can read it."""

import hashlib
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import locks
import pytest
from bundling import Site, another_lock, copied, pull_into, run, site, tree, verify
from hub_models import CONFIG, GGUF, content, git_sha1
from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry, Resource

from llmops.bundle.packed_text import unpack
from llmops.bundle.volumes import LABEL_BYTES
from llmops.cli import bundle, render, schema
from llmops.cli.bundle_options import Action, Options, check
from llmops.domain.errors import OutsideWorld, Stop, WrongInput, WrongUsage
from llmops.domain.lock import Lock
from llmops.formats.lock import dump_lock, parse_lock
from llmops.probe.programs import Programs

SCHEMAS = Path(__file__).parent / "schemas" / "cyclonedx"
DIGEST = "a" * 64


@pytest.fixture
def made(tmp_path: Path) -> Site:
    return site(tmp_path / "site")


FORMS: tuple[dict[str, Any], ...] = ({}, {"tar": True}, {"tar": True, "split": "100KiB"})


@pytest.mark.parametrize("form", FORMS, ids=("folder", "file", "volumes"))
def test_an_installed_store_is_a_pulled_store_to_the_byte_the_link_and_the_record(
    made: Site, form: dict[str, Any]
) -> None:
    result = made.install(made.create(**form))
    pull_into(made.folder, made.folder / "pulled")
    assert tree(made.folder / "target/store") == tree(made.folder / "pulled")
    assert [one["name"] for one in result["models"]] == ["chat"]
    assert (made.folder / "target/out/locks/chat/llmops.lock").read_bytes() == Path(made.lock).read_bytes()


@pytest.mark.parametrize("form", FORMS, ids=("folder", "file", "volumes"))
def test_the_same_inputs_give_the_same_bytes_wherever_and_whenever_it_is_made(made: Site, form: dict[str, Any]) -> None:
    first = made.created("one", **form)
    second = made.created("elsewhere", **form)
    assert first["checksums_sha256"] == second["checksums_sha256"]
    if not form:
        assert tree(made.folder / "one") == tree(made.folder / "elsewhere")
    for one, other in zip(first["paths"], second["paths"], strict=True):
        if form:
            assert Path(one).read_bytes() == Path(other).read_bytes()


def test_no_path_and_no_name_of_the_machine_it_was_made_on_is_in_it(made: Site) -> None:
    path = made.create()
    small = [one for one in path.rglob("*") if one.is_file() and "blobs" not in one.parts]
    for one in small:
        assert str(made.folder).encode() not in one.read_bytes(), one
        assert os.uname().nodename.encode() not in one.read_bytes(), one


def test_sha256sum_reads_the_checksums_and_they_name_every_file(made: Site) -> None:
    path = made.create()
    ran = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    files = {str(one.relative_to(path)) for one in path.rglob("*") if one.is_file()} - {"SHA256SUMS"}
    assert {line.rpartition(": ")[0] for line in ran.stdout.splitlines()} == files


@pytest.mark.consumer("zstd")
@pytest.mark.parametrize("split", [None, "100KiB"])
def test_tar_and_zstd_unpack_a_file_or_joined_volumes_into_the_folder_form(made: Site, split: str | None) -> None:
    paths = made.created("bundle.tar.zst", tar=True, split=split)["paths"]
    assert len(paths) == (1 if split is None else 4)
    assert all(Path(one).stat().st_size <= 100 << 10 for one in paths) or split is None
    joined = b"".join(Path(one).read_bytes() for one in paths)
    plain = subprocess.run(["zstd", "-dc"], input=joined, capture_output=True, check=True).stdout
    (made.folder / "unpacked").mkdir()
    subprocess.run(["tar", "-x", "-C", made.folder / "unpacked"], input=plain, check=True)
    folder = made.folder / "unpacked" / "llmops-bundle"
    content_of = {name: row[2] for name, row in tree(folder).items()}
    assert content_of == {name: row[2] for name, row in tree(made.create("as-folder")).items()}
    assert verify(folder)["files"]
    if split is None:
        subprocess.run(["tar", "--zstd", "-tf", paths[0]], check=True, capture_output=True)


def test_each_volume_is_as_long_as_asked_for_and_any_of_them_or_the_bare_name_may_be_given(made: Site) -> None:
    paths = [Path(one) for one in made.created("b.tar.zst", tar=True, split="64KiB")["paths"]]
    assert [one.name for one in paths] == [f"b.tar.zst.{number:03}" for number in range(1, len(paths) + 1)]
    assert {one.stat().st_size for one in paths[:-1]} == {64 << 10}
    for given in (paths[0], paths[-1], made.folder / "b.tar.zst"):
        assert verify(given)["checksums_sha256"]


def test_the_bill_of_materials_is_valid_cyclonedx_and_names_models_files_engines_wheels_and_images(made: Site) -> None:
    wheels = made.folder / "wheels"
    wheels.mkdir()
    (wheels / "vllm-0.33.0+cu128-cp38-abi3-manylinux1_x86_64.whl").write_bytes(b"PK wheel")
    (made.folder / "images").write_text(f"# pinned\nllama.cpp=ghcr.io/ggml-org/llama.cpp@sha256:{DIGEST}\n\n")
    path = made.create(with_wheels=str(wheels), images=str(made.folder / "images"))
    document = json.loads((path / "sbom.cdx.json").read_text())
    schemas = {one.name: json.loads(one.read_text()) for one in SCHEMAS.glob("*.json")}
    registry: Any = Registry().with_resources(
        [(f"http://cyclonedx.org/schema/{name}", Resource.from_contents(one)) for name, one in schemas.items()]
    )
    validator = Draft7Validator(schemas["bom-1.6.SNAPSHOT.schema.json"], registry=registry)
    assert [error.message for error in validator.iter_errors(document)] == []
    wrong = document | {"components": [{"type": "model", "name": "x"}]}
    assert list(validator.iter_errors(wrong)), "the schema would not see a mistake"
    kinds = {one["type"]: one for one in document["components"]}
    assert set(kinds) == {"machine-learning-model", "application", "library", "container"}
    model = kinds["machine-learning-model"]
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert model["purl"] == f"pkg:huggingface/org/model-GGUF@{'c' * 40}"
    assert {one["name"]: one["hashes"][0]["content"] for one in model["components"]} == {
        one.name: one.digest.value for one in made.ref.files if one.digest
    }
    assert kinds["library"]["purl"] == "pkg:pypi/vllm@0.33.0%2Bcu128"
    assert kinds["container"]["hashes"] == [{"alg": "SHA-256", "content": DIGEST}]


def test_wheels_and_the_list_of_images_arrive_and_wrong_ones_are_refused(made: Site) -> None:
    wheels = made.folder / "wheels"
    wheels.mkdir()
    name = "llmops_cli-0.1.0-py3-none-any.whl"
    (wheels / name).write_bytes(content(5_000))
    (made.folder / "images").write_text(f"b/b@sha256:{DIGEST}\na/a@sha256:{DIGEST}\n")
    for form in FORMS[:2]:
        path = made.create(f"b{len(form)}", with_wheels=str(wheels), images=str(made.folder / "images"), **form)
        result = made.install(path, f"target{len(form)}")
        out = Path(result["out"])
        assert (out / "wheels" / name).read_bytes() == content(5_000)
        assert (out / "images.txt").read_text() == f"a/a@sha256:{DIGEST}\nb/b@sha256:{DIGEST}\n"
        assert any(one.startswith("pip install --no-index") for one in result["next"])
    (made.folder / "images").write_text("vllm/vllm-openai:latest\n")
    with pytest.raises(WrongInput, match="not pinned by a digest"):
        made.create("x", images=str(made.folder / "images"))
    (wheels / "notes.whl").write_bytes(b"")
    with pytest.raises(WrongInput, match="not the name of a wheel"):
        made.create("x", with_wheels=str(wheels))
    with pytest.raises(WrongInput, match="no such directory"):
        made.create("x", with_wheels=str(made.folder / "nowhere"))
    assert not (made.folder / "x").exists()


def test_two_locks_that_share_a_file_carry_it_once_and_both_are_installed(made: Site) -> None:
    lock = parse_lock(Path(made.lock).read_text(), file="x")
    other = replace(lock, deployments={"mail": lock.deployments["chat"]})
    (made.folder / "mail.lock").write_text(dump_lock(other))
    result = made.created(paths=(made.lock, str(made.folder / "mail.lock")))
    assert [one["name"] for one in result["locks"]] == ["chat", "mail"]
    assert sum(one["path"].startswith("blobs/") for one in result["files"]) == 2
    installed = made.install(Path(result["paths"][0]))
    assert [one["name"] for one in installed["models"]] == ["chat", "mail"]
    assert sum(one.startswith("llmops render --apply") for one in installed["next"]) == 2


def test_two_locks_that_want_one_name_for_two_models_are_refused(made: Site) -> None:
    other = another_lock(made, "other.lock", commit="d" * 40)
    with pytest.raises(WrongUsage, match="another lock has a deployment `chat`"):
        made.create(paths=(made.lock, other))


def test_small_files_known_by_gits_sha1_get_their_sha256_as_a_pull_gives_it(made: Site) -> None:
    small = next(one for one in made.ref.files if one.name == CONFIG)
    data = (made.folder / "src" / CONFIG).read_bytes()
    files = tuple(replace(small, digest=git_sha1(data)) if one == small else one for one in made.ref.files)
    result = made.created(paths=(another_lock(made, "sha1.lock", files=files),))
    lock = Path(result["paths"][0]) / "locks/chat/llmops.lock"
    assert lock.read_text() == Path(made.lock).read_text()


def test_what_the_store_lacks_or_holds_wrongly_stops_it_before_anything_is_left(made: Site) -> None:
    for file in made.ref.files:
        assert file.digest
        blob = made.folder / "store/blobs/sha256" / file.digest.value
        right = blob.read_bytes()
        blob.chmod(0o644)
        blob.write_bytes(bytes(len(right)))
        with pytest.raises(WrongInput, match="is not what it was") as stop:
            made.create()
        assert stop.value.hint == f"`llmops verify --repair --lock {made.lock}`"
        blob.unlink()
        with pytest.raises(WrongInput, match="is not in the store"):
            made.create()
        blob.write_bytes(right)
        assert sorted(one.name for one in made.folder.iterdir()) == ["llmops.lock", "src", "store"]


def test_a_name_that_is_taken_stays_as_it_is(made: Site) -> None:
    path = made.create()
    before = tree(path)
    for form in FORMS[:2]:
        with pytest.raises(OutsideWorld, match="of this name already"):
            made.create(**form)
    assert tree(path) == before


def test_without_models_the_target_needs_them_already_and_is_told_which_are_missing(made: Site) -> None:
    path = made.create(models=False)
    assert not (path / "blobs").exists()
    result = made.install(path)
    assert result["missing"] == [f"chat/{GGUF}", f"chat/{CONFIG}"]
    assert result["models"] == []
    pull_into(made.folder, made.folder / "standby/store")
    again = made.install(path, "standby")
    assert (again["missing"], [one["name"] for one in again["models"]]) == ([], ["chat"])


def test_a_second_installation_changes_nothing_and_another_bundle_does_not_replace_the_folder(made: Site) -> None:
    path = made.create()
    made.install(path)
    before = tree(made.folder / "target")
    made.install(path)
    assert tree(made.folder / "target") == before
    other = made.create("other", models=False)
    with pytest.raises(OutsideWorld, match="something else of this name"):
        made.install(other)
    assert tree(made.folder / "target") == before


def applied(made: Site, root: Path) -> None:
    for folder in ("etc", "usr/lib", "var/lib"):
        (root / folder).mkdir(parents=True)
    lock: Lock = locks.lock({"chat": replace(locks.llama_cpu(), model=made.ref)}, targets=("systemd", "env", "nginx"))
    Path(made.lock).write_text(dump_lock(lock))
    render.run(render.Options(lock=made.lock, root=str(root), apply=True), runner=Programs(os.environ))


def test_a_backup_holds_the_applied_files_as_they_lie_there_and_not_one_secret(made: Site) -> None:
    root = made.folder / "host"
    applied(made, root)
    secrets = [one.read_bytes().strip() for one in (root / "etc/llmops/secrets").rglob("*") if one.is_file()]
    assert secrets
    options = Options(
        action=Action.CREATE,
        paths=(made.lock,),
        store=made.store,
        output=str(made.folder / "b"),
        backup=True,
        root=str(root),
    )
    answer = bundle.run(options, runner=Programs(os.environ))
    assert answer.findings == (), "what is applied is what the lock renders"
    path = made.folder / "b"
    manifest = json.loads((path / "bundle.json").read_text())
    saved = {one["path"] for one in manifest["backup"]["files"]}
    assert "/etc/systemd/system/llmops-chat.service" in saved
    assert all((path / f"backup{one}").read_bytes() == (root / one.lstrip("/")).read_bytes() for one in saved)
    assert manifest["backup"]["left_out"]
    everything = b"".join(one.read_bytes() for one in path.rglob("*") if one.is_file())
    assert not [one for one in secrets if one in everything or hashlib.sha256(one).hexdigest().encode() in everything]
    out = Path(made.install(path)["out"])
    assert (out / "backup/etc/systemd/system/llmops-chat.service").is_file()


def test_a_backup_says_what_was_edited_and_what_the_lock_would_not_render(made: Site) -> None:
    root = made.folder / "host"
    applied(made, root)
    (root / "etc/systemd/system/llmops-chat.service").write_text("[Unit]\nDescription=by hand\n")
    options = Options(
        action=Action.CREATE,
        paths=(made.lock,),
        store=made.store,
        output=str(made.folder / "b"),
        backup=True,
        root=str(root),
    )
    answer = bundle.run(options, runner=Programs(os.environ))
    assert [one.code for one in answer.findings] == ["BND004"]
    assert "edited since generation 1" in answer.findings[0].message
    applied(made, made.folder / "other")
    options = replace(
        options, output=str(made.folder / "d"), root=str(made.folder / "other"), paths=(another_lock(made, "o"),)
    )
    answer = bundle.run(options, runner=Programs(os.environ))
    assert "not applied as this lock renders them" in answer.findings[0].message
    with pytest.raises(WrongInput, match="nothing was applied"):
        made.create("c", backup=True, root=str(made.folder / "src"))


def test_the_restore_is_measured_and_held_against_the_objective(made: Site) -> None:
    path = made.create()
    easy = made.install(path, rto=3600.0)["rto"]
    assert (easy["met"], easy["objective_seconds"], easy["start_seconds"]) == (True, 3600, None)
    assert 0 < easy["restore_seconds"] < 60
    options = Options(
        action=Action.INSTALL, paths=(str(path),), store=str(made.folder / "s"), out=str(made.folder / "o"), rto=0.0001
    )
    answer = bundle.run(options, runner=Programs(os.environ))
    assert [(one.code, one.status.value) for one in answer.findings if one.code != "BND001"] == [("BND005", "fail")]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"action": Action.VERIFY, "tar": True, "paths": ("x",)}, "`--tar` is for `bundle create`"),
        ({"action": Action.CREATE, "out": "x"}, "`--out` is for `bundle install`"),
        ({"action": Action.VERIFY, "rto": 3.0, "paths": ("x",)}, "`--rto` is for `bundle install`"),
        ({"action": Action.INSTALL, "backup": True, "paths": ("x",)}, "`--backup` is for `bundle create`"),
        ({"action": Action.INSTALL}, "needs one PATH"),
        ({"action": Action.VERIFY, "paths": ("a", "b")}, "needs one PATH"),
        ({"action": Action.CREATE, "split": "4GiB"}, "goes with `--tar`"),
        ({"action": Action.INSTALL, "paths": ("x",), "rto": float("nan")}, "is no time"),
        ({"action": Action.INSTALL, "paths": ("x",), "public_key": "a", "allowed_signers": "b"}, "together"),
    ],
)
def test_options_that_do_not_go_together_are_told(options: dict[str, Any], said: str) -> None:
    with pytest.raises(WrongUsage, match=said):
        check(Options(**options), frozenset())


def test_what_the_environment_sets_for_another_action_is_passed_over_and_what_is_typed_is_not() -> None:
    options = Options(action=Action.VERIFY, paths=("x",), sign="key", store="/srv", root="/mnt")
    check(options, frozenset())
    with pytest.raises(WrongUsage, match="`--sign` is for `bundle create`"):
        check(options, frozenset({"sign"}))


def test_a_file_with_a_number_of_its_own_is_no_volume(made: Site) -> None:
    for year in ("2025", "2026"):
        made.create(f"bundle.{year}", tar=True, models=year == "2025")
    for year in ("2025", "2026"):
        assert verify(made.folder / f"bundle.{year}")["paths"] == [str(made.folder / f"bundle.{year}")]


@pytest.mark.parametrize("split", ["4G", "0GiB", "-1GiB", "x", "1KiB", "2KiB"])
def test_a_split_that_is_no_size_or_too_short_is_told(made: Site, split: str) -> None:
    with pytest.raises(WrongUsage, match=r"is no size|too short"):
        made.create(tar=True, split=split)
    assert not list(made.folder.glob("*bundle*"))


@pytest.mark.parametrize("path", ["nowhere", "file", "empty", "link", "\0"])
def test_what_is_no_bundle_is_told(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_bytes(b"x" * 2000)
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(WrongInput) as stop:
        verify(tmp_path / path)
    assert stop.value.message


def test_the_text_part_is_one_compressed_frame_and_the_models_are_stored_as_they_are(made: Site) -> None:
    path = made.create(tar=True)
    data = path.read_bytes()
    label = json.loads(data[8:LABEL_BYTES])
    packed = data[LABEL_BYTES : LABEL_BYTES + label["text_bytes"]]
    text = unpack(packed, limit=1 << 20, name="x")
    assert len(packed) < len(text) / 3
    assert label["total"] <= len(data) - len(packed)
    assert content(300_000)[:100_000] in data, "model bytes lie there unchanged"


def test_a_folder_that_is_the_place_for_the_rest_may_be_installed_in_place(made: Site) -> None:
    path = copied(made.create(), made.folder / "llmops-bundle")
    result = made.install(path, out=str(path))
    assert result["out"] == str(path)
    assert [one["name"] for one in result["models"]] == ["chat"]


def test_each_result_has_the_form_that_the_schema_says(made: Site) -> None:
    form: Any = schema.run(schema.Options(name="bundle")).result
    results = [made.created(), verify(made.folder / "bundle"), made.install(made.folder / "bundle", rto=60.0)]
    for result in (*results, dict(results[0]) | {"action": "unpack"}):
        document = {
            "schema": "llmops.bundle/1",
            "ok": True,
            "exit_code": 0,
            "result": result,
            "findings": [],
            "error": None,
        }
        wrong = [one.message for one in Draft202012Validator(form).iter_errors(document)]
        assert bool(wrong) is (result["action"] == "unpack"), wrong


def test_the_umask_of_who_makes_it_changes_nothing(made: Site) -> None:
    made.create("usual")
    before = os.umask(0o077)
    try:
        made.create("private")
    finally:
        os.umask(before)
    assert tree(made.folder / "usual") == tree(made.folder / "private")


def test_installed_from_inside_its_folder_the_bundle_stays_as_it_is(
    made: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made.create()
    before = tree(path)
    monkeypatch.chdir(path)
    for _ in range(2):
        result = made.install(Path(), out=None)
        assert result["out"] == str(path)
        assert result["next"][-1] == "llmops render --apply --lock locks/chat/llmops.lock"
    with pytest.raises(WrongUsage, match="inside the bundle"):
        made.install(Path(), out="rest")
    assert tree(path) == before


def test_errors_are_stops_with_a_way_out(made: Site) -> None:
    path = made.create()
    for options in (
        Options(action=Action.INSTALL, paths=(str(path),), out=str(made.folder / "no/where")),
        Options(action=Action.CREATE, paths=(made.lock,), store=made.store, output=str(made.folder / "no/where")),
        Options(action=Action.CREATE, paths=(str(made.folder / "no.lock"),), store=made.store),
    ):
        with pytest.raises(Stop) as stop:
            run(options)
        assert stop.value.hint
