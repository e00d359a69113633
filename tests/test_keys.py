"""Who may ask the edge: keys are made, shown once, kept as hashes, and taken away again."""

import hashlib
import os
import re
import stat
from dataclasses import replace
from io import StringIO
from pathlib import Path

import locks
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rendering import NOW

from llmops.cli import keys, render, status, uninstall
from llmops.cli.keys import Action
from llmops.domain.errors import ApplyFailed, OutsideWorld, WrongInput, WrongUsage
from llmops.domain.keys import HashedKey
from llmops.formats.keys_map import dump_keys, parse_keys
from llmops.formats.lock import dump_lock
from llmops.probe.programs import Programs
from llmops.views.screen import PlainScreen

MAP = "etc/nginx/llmops/keys.map"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place, lock = tmp_path / "root", tmp_path / "llmops.lock"
    place.mkdir()
    lock.write_text(dump_lock(locks.lock(targets=("systemd", "nginx"))))
    options = render.Options(lock=str(lock), root=str(place), apply=True)
    assert render.run(options, runner=Programs(os.environ), now=NOW).ok
    return place


def _do(
    root: Path, action: Action, name: str | None = None, *, digest: str | None = None, shows: bool = False
) -> dict[str, object]:
    options = keys.Options(action=action, tenant=name, digest=digest, root=str(root), shows=shows)
    result = keys.run(options, runner=Programs(os.environ)).result
    assert isinstance(result, dict)
    return dict(result)


def _tenants(root: Path) -> list[str]:
    return [key.tenant for key in parse_keys((root / MAP).read_text(), file=MAP)]


def test_a_new_key_is_in_a_file_of_its_own_and_hashed_in_the_map(root: Path) -> None:
    answer = _do(root, Action.ADD, "team-a")
    file = Path(str(answer["key_file"]))
    assert file == root / "etc/llmops/secrets/api-key.team-a"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    plain = file.read_text().strip()
    assert re.fullmatch(r"sk-[A-Za-z0-9_-]{43}", plain)
    text = (root / MAP).read_text()
    assert f'{hashlib.sha256(plain.encode()).hexdigest()} "team-a";\n' in text
    assert plain not in text
    assert stat.S_IMODE((root / MAP).stat().st_mode) == 0o600


def test_on_a_terminal_the_key_is_shown_and_kept_nowhere(root: Path) -> None:
    class Told:
        text = ""

        def line(self, text: str = "", **_: object) -> None:
            self.text += text + "\n"

        def verbatim(self, text: str, **_: object) -> None:
            self.text += text

        def table(self, *_: object, **__: object) -> None:
            raise AssertionError

    options = keys.Options(action=Action.ADD, tenant="me", root=str(root), shows=True)
    answer = keys.run(options, runner=Programs(os.environ))
    told = Told()
    answer.show(told)
    found = re.search(r"^sk-\S+$", told.text, flags=re.MULTILINE)
    assert found is not None
    assert found[0] not in str(answer.result)
    assert not any(found[0].encode() in path.read_bytes() for path in root.rglob("*") if path.is_file())


def test_rotation_leaves_the_older_key_until_it_is_revoked(root: Path) -> None:
    _do(root, Action.ADD, "team-a")
    (root / "etc/llmops/secrets/api-key.team-a").unlink()
    [old] = [key for key in parse_keys((root / MAP).read_text(), file=MAP) if key.tenant == "team-a"]
    _do(root, Action.ROTATE, "team-a")
    assert _tenants(root).count("team-a") == 2
    _do(root, Action.REVOKE, "team-a", digest=old.short())
    kept = parse_keys((root / MAP).read_text(), file=MAP)
    assert old not in kept
    assert _tenants(root) == ["default", "team-a"]


def test_revoking_takes_every_key_of_a_name(root: Path) -> None:
    _do(root, Action.ADD, "team-a")
    _do(root, Action.REVOKE, "team-a")
    assert _tenants(root) == ["default"]


def test_keys_are_no_drift_outlive_an_apply_and_go_with_an_uninstall(root: Path) -> None:
    _do(root, Action.ADD, "team-a")
    (root / "etc/llmops/secrets/api-key.team-a").unlink()
    lock = str(root.parent / "llmops.lock")
    assert status.run(status.Options(root=str(root), lock=lock), runner=Programs(os.environ)).ok
    again = render.run(render.Options(lock=lock, root=str(root), apply=True), runner=Programs(os.environ), now=NOW)
    assert isinstance(again.result, dict)
    assert again.result["generation"] is None
    assert _tenants(root) == ["default", "team-a"]
    uninstall.run(uninstall.Options(root=str(root)), now=NOW)
    assert list(root.rglob("*")) == []


WRONG = {
    "no name": (Action.ADD, None, "whose key"),
    "twice": (Action.ADD, "default", "has a key"),
    "nobody's": (Action.REVOKE, "nobody", "has no key"),
    "rotated from nothing": (Action.ROTATE, "nobody", "has no key"),
    "a name with a quote": (Action.ADD, 'a";', "no name for a key"),
    "a path": (Action.ADD, "../../etc/shadow", "no name for a key"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_makes_no_sense_changes_nothing(root: Path, case: str) -> None:
    action, name, words = WRONG[case]
    before = (root / MAP).read_bytes()
    with pytest.raises(WrongUsage, match=words):
        _do(root, action, name)
    assert (root / MAP).read_bytes() == before


@pytest.mark.parametrize("digest", ["", "a", "not-hex!"])
def test_a_digest_that_says_too_little_revokes_nothing(root: Path, digest: str) -> None:
    _do(root, Action.ADD, "team-a")
    with pytest.raises(WrongUsage, match="first 8 digits"):
        _do(root, Action.REVOKE, "team-a", digest=digest)
    assert _tenants(root) == ["default", "team-a"]


def test_an_interrupted_takeover_leaves_no_key_that_nobody_was_shown(root: Path) -> None:
    from llmops.apply.keys import change_map

    def interrupted() -> str:
        raise KeyboardInterrupt

    before = (root / MAP).read_bytes()
    with pytest.raises(KeyboardInterrupt):
        change_map(root, lambda text: text + "x", plain=None, take_over=interrupted)
    assert (root / MAP).read_bytes() == before


def test_status_tells_of_a_map_that_nginx_would_not_read(root: Path) -> None:
    with (root / MAP).open("a") as file:
        file.write("garbage {\n")
    lock = str(root.parent / "llmops.lock")
    answer = status.run(status.Options(root=str(root), lock=lock), runner=Programs(os.environ))
    assert "RND015" in [one.code for one in answer.findings]


def test_a_key_that_was_not_handed_on_is_not_overwritten(root: Path) -> None:
    _do(root, Action.ADD, "team-a")
    _do(root, Action.REVOKE, "team-a")
    before = (root / MAP).read_bytes()
    with pytest.raises(OutsideWorld, match="is there already"):
        _do(root, Action.ADD, "team-a")
    assert (root / MAP).read_bytes() == before


def test_without_an_edge_there_are_no_keys(tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match="no edge here"):
        _do(tmp_path, Action.LIST)


def test_a_map_that_nginx_would_refuse_is_said_with_its_line(root: Path) -> None:
    with (root / MAP).open("a") as file:
        file.write("default 1;\n")
    with pytest.raises(WrongInput) as refused:
        _do(root, Action.LIST)
    assert refused.value.where is not None
    assert refused.value.where.line == 2


def test_a_map_the_edge_does_not_take_is_put_back(root: Path) -> None:
    from llmops.apply.keys import change_map

    before = (root / MAP).read_bytes()
    with pytest.raises(ApplyFailed, match="no such worker"):
        change_map(root, lambda text: text + "x", plain=None, take_over=lambda: "no such worker")
    assert (root / MAP).read_bytes() == before


@given(
    st.lists(
        st.builds(
            lambda digest, tenant: HashedKey(sha256=digest, tenant=tenant),
            st.binary(min_size=32, max_size=32).map(bytes.hex),
            st.from_regex(r"[A-Za-z0-9._@-]{1,64}", fullmatch=True),
        ),
        max_size=5,
    )
)
def test_a_written_map_reads_back_the_same(made: list[HashedKey]) -> None:
    assert parse_keys(dump_keys(tuple(made)), file="keys.map") == tuple(made)


def test_commands_that_are_printed_are_for_the_same_root(root: Path) -> None:
    place = root.parent / "a root"
    root.rename(place)
    said: list[str] = []
    for action, name, digest in (
        (Action.LIST, "x", None),
        (Action.ADD, "default", None),
        (Action.ADD, None, None),
        (Action.ADD, "default", "0123abcd"),
        (Action.ROTATE, "nobody", None),
        (Action.REVOKE, "default", "no"),
    ):
        with pytest.raises(WrongUsage) as stop:
            _do(place, action, name, digest=digest)
        said.append(f"{stop.value.message} {stop.value.hint}")
    (place / "etc/llmops/secrets/api-key.default").unlink()
    options = keys.Options(action=Action.ROTATE, tenant="default", root=str(place))
    printed = StringIO()
    to = PlainScreen(printed)
    keys.run(options, runner=Programs(os.environ)).show(to)
    _do(place, Action.REVOKE, "default")
    keys.run(replace(options, action=Action.LIST, tenant=None), runner=Programs(os.environ)).show(to)
    commands = re.findall(r"llmops keys [^`\n]+", "\n".join([*said, printed.getvalue()]))
    assert len(commands) > 7
    assert [one for one in commands if not one.endswith(f"--root '{place}'")] == []
