"""What the hub says of a repository, and every way it can refuse."""

from pathlib import Path

import hub_models
import pytest
from fake_hub import FakeHub
from hub_models import CONFIG, GGUF, QUICK, REPOSITORY, git_sha1, repository, sha256

from llmops.domain.errors import OutsideWorld, Stop, WrongInput, WrongUsage
from llmops.hub.account import checked_endpoint, checked_token
from llmops.hub.repository import list_files

CANARY = "hf_canaryCANARYcanary"


def test_a_listing_has_commit_sizes_sha256_of_large_and_git_sha1_of_small_files(tmp_path: Path) -> None:
    files = repository(tmp_path)
    with FakeHub(tmp_path) as hub:
        ref = list_files(hub_models.source(), endpoint=hub.url, patience=QUICK)
        assert ref.commit == hub.commit(REPOSITORY)
    by_name = {one.name: one for one in ref.files}
    assert set(by_name) == set(files)
    assert by_name[GGUF].digest == sha256(files[GGUF])
    assert by_name[CONFIG].digest == git_sha1(files[CONFIG])
    assert by_name[GGUF].bytes == 300_000


def test_the_licence_of_the_model_card_is_recorded(tmp_path: Path) -> None:
    repository(tmp_path)
    cards = {
        "apache-2.0": {"cardData": {"license": "apache-2.0"}},
        "llama3.1": {"cardData": {"license": "other", "license_name": "llama3.1"}},
        "mit": {"tags": ["gguf", "license:mit"]},
        "mit, bsd": {"cardData": {"license": ["mit", "bsd"]}},
        "?]0;x?": {"cardData": {"license": "\x1b]0;x\x07"}},
    }
    for licence, card in cards.items():
        with FakeHub(tmp_path, change=lambda body, card=card: {**body, **card}) as hub:  # type: ignore[misc]
            assert list_files(hub_models.source(), endpoint=hub.url, patience=QUICK).licence == licence


@pytest.mark.parametrize(
    ("fault", "message", "hint"),
    [
        ("status:401", "private or does not exist", "HF_TOKEN"),
        ("status:403", "private or does not exist", "HF_TOKEN"),
        ("status:404", "not on this hub", "HF_TOKEN"),
        ("status:503", "not able to answer (HTTP 503) (tried 3 times)", "try again later"),
        ("429:7200", "limits the rate of requests", "try again later"),
        ("html", "captive portal", "curl"),
        ("gated", "is gated", "accept the licence at http://127.0.0.1:"),
    ],
)
def test_a_refusal_says_what_it_means_and_what_to_do(tmp_path: Path, fault: str, message: str, hint: str) -> None:
    repository(tmp_path)
    with FakeHub(tmp_path, faults={"api": fault}) as hub, pytest.raises(OutsideWorld) as stop:
        list_files(hub_models.source(), endpoint=hub.url, patience=QUICK)
    assert message in stop.value.message
    assert hint in (stop.value.hint or "")


def test_a_refusal_with_a_token_speaks_of_the_token_and_never_shows_it(tmp_path: Path) -> None:
    repository(tmp_path)
    for fault in ("status:403", "gated", "status:401"):
        with FakeHub(tmp_path, faults={"api": fault}) as hub, pytest.raises(OutsideWorld) as stop:
            list_files(hub_models.source(), endpoint=hub.url, token=CANARY, patience=QUICK)
        shown = f"{stop.value.message} {stop.value.hint} {stop.value.where} {stop.value!r} {stop.value.__cause__!r}"
        assert CANARY not in shown
        assert hub.requests[-1]["auth"] is True


def test_a_fault_that_passes_is_not_noticed(tmp_path: Path) -> None:
    repository(tmp_path)
    with FakeHub(tmp_path, faults={"api": "status:503*2"}) as hub:
        assert list_files(hub_models.source(), endpoint=hub.url, patience=QUICK).commit


def test_no_hub_at_all_is_the_outside_world() -> None:
    with pytest.raises(OutsideWorld, match="cannot be reached"):
        list_files(hub_models.source(), endpoint="http://127.0.0.1:1", patience=QUICK)


def test_a_loopback_hub_is_not_asked_through_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository(tmp_path)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with FakeHub(tmp_path) as hub:
        assert list_files(hub_models.source(), endpoint=hub.url, patience=QUICK).commit


def test_an_unknown_revision_says_so(tmp_path: Path) -> None:
    repository(tmp_path)
    with FakeHub(tmp_path) as hub, pytest.raises(OutsideWorld, match="this revision is not there"):
        list_files(hub_models.source(revision="v9"), endpoint=hub.url, patience=QUICK)


@pytest.mark.parametrize(
    "name",
    ["../evil.gguf", "/etc/evil.gguf", "a\\b.gguf", "a\nb.gguf", "a//b.gguf", "C:evil.gguf", "a/../../b", "x" * 300],
)
def test_a_file_name_that_leaves_its_folder_is_a_wrong_input(tmp_path: Path, name: str) -> None:
    repository(tmp_path)
    row = {"rfilename": name, "size": 1, "blobId": "0" * 40}
    with (
        FakeHub(tmp_path, change=lambda body: {**body, "siblings": [row]}) as hub,
        pytest.raises(WrongInput, match="refused"),
    ):
        list_files(hub_models.source(), endpoint=hub.url, patience=QUICK)


def test_names_that_differ_by_case_only_are_a_wrong_input(tmp_path: Path) -> None:
    repository(tmp_path)
    (tmp_path / REPOSITORY / "MODEL-Q4_K_M.gguf").write_bytes(b"x")
    with FakeHub(tmp_path) as hub, pytest.raises(WrongInput, match="would be one file"):
        list_files(hub_models.source(), endpoint=hub.url, patience=QUICK)


@pytest.mark.parametrize(
    "change", [{"sha": None}, {"sha": "main"}, {"siblings": [{"rfilename": "a"}]}, {"siblings": "no"}]
)
def test_a_listing_that_pins_nothing_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    repository(tmp_path)
    with FakeHub(tmp_path, change=lambda body: {**body, **change}) as hub, pytest.raises(Stop) as stop:
        list_files(hub_models.source(), endpoint=hub.url, patience=QUICK)
    assert stop.value.exit_code in (2, 4)


def test_a_renamed_repository_is_known_by_its_present_name_and_a_hostile_one_is_not_believed(tmp_path: Path) -> None:
    repository(tmp_path)
    for told, taken in (("org/new-name", "org/new-name"), ("../../etc", REPOSITORY), (3, REPOSITORY)):
        with FakeHub(tmp_path, change=lambda body, told=told: {**body, "id": told}) as hub:  # type: ignore[misc]
            assert list_files(hub_models.source(), endpoint=hub.url, patience=QUICK).repository == taken


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x\u202efugg.gguf", "as another name"),
        ("a\u2067b.gguf", "as another name"),
        ("a\x9bb.gguf", "control characters"),
    ],
)
def test_a_file_name_that_a_terminal_shows_as_another_is_refused_with_a_way_out(
    name: str, reason: str, tmp_path: Path
) -> None:
    repository(tmp_path)
    with (
        FakeHub(tmp_path, change=lambda body: {**body, "siblings": [{"rfilename": name, "size": 1}]}) as hub,
        pytest.raises(WrongInput, match=reason) as stop,
    ):
        list_files(hub_models.source(), endpoint=hub.url, patience=QUICK)
    assert name not in stop.value.message
    assert "another place" in (stop.value.hint or "")


def test_a_bad_name_address_or_token_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(WrongUsage):
        list_files(hub_models.source(name="a b/c"), endpoint="http://127.0.0.1:1", patience=QUICK)
    for endpoint in ("ftp://x", "huggingface.co", "https://user:secret@host", "http://[", "https://h?x=1"):
        with pytest.raises(WrongUsage) as stop:
            checked_endpoint(endpoint)
        assert "secret" not in f"{stop.value.message}{stop.value.hint}"
    with pytest.raises(WrongUsage) as refused:
        checked_token(f"{CANARY}\r\nX: y")
    assert CANARY not in f"{refused.value!r} {refused.value.hint}"
