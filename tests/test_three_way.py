"""A person's edit of a rendered file: kept, merged or replaced, as asked, and never lost on any way there or back."""

import json
from functools import partial
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from killing import breaking, killed, taken_back
from rendering import NOW

from llmops.apply.owners import owners_of
from llmops.apply.reading import current_files, last_generation, rendered_texts
from llmops.apply.root import Root
from llmops.apply.transaction import apply
from llmops.apply.undoing import recover
from llmops.changes import change_set
from llmops.changes.diff import diff_text
from llmops.changes.drift import drift
from llmops.cli.past import changes_back_to, read_past
from llmops.domain.changes import Action, Change, ChangeSet, Local, WantedFile, Ways
from llmops.domain.errors import ApplyFailed

PATH = PurePosixPath("/etc/a.conf")
FIRST = "one\ntwo\nthree\nfour\nfive\n"
SECOND = "one\ntwo\nthree\nfour\nFIVE\n"
EDITED = "ONE\ntwo\nthree\nfour\nfive\n"
JOINED = "ONE\ntwo\nthree\nfour\nFIVE\n"
CLASHING = "one\ntwo\nthree\nfour\nmine\n"


class Host:
    """A root with one file of ours, which a person edits."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / "etc/a.conf"

    def changes(self, text: str | None, ways: Ways = Ways.REFUSE, *, secret: bool = False) -> ChangeSet:
        place = Root(self.root)
        recorded = last_generation(place)
        wanted = [
            WantedFile(path=PATH, target="env", content=text.encode(), mode=0o644, owner="root:root", secret=secret)
            for text in ([text] if text is not None else [])
        ]
        current = current_files(place, owners_of(place), wanted=wanted, recorded=recorded)
        last = rendered_texts(place, recorded.number) if recorded is not None else {}
        return change_set(current, wanted, recorded=recorded, targets=("env",), ways=ways, last=last)

    def render(self, text: str | None, ways: Ways = Ways.REFUSE) -> int | None:
        return apply(self.changes(text, ways), root=self.root, made_by="0.1.0", now=NOW).generation

    def edit(self, text: str) -> None:
        self.file.write_text(text)

    def back(self, number: int, ways: Ways = Ways.REFUSE) -> None:
        changes = changes_back_to(read_past(str(self.root), finish=taken_back), number, ways=ways)
        apply(changes, root=self.root, made_by="0.1.0", now=NOW)

    def state(self) -> str:
        """What `status` says of the file."""
        place = Root(self.root)
        recorded = last_generation(place)
        assert recorded is not None
        current = current_files(place, owners_of(place), wanted=(), recorded=recorded)
        rows = drift(recorded, current, foreign=(), outdated=frozenset())
        return rows[0].state.value if rows else ""

    def one(self, text: str | None, ways: Ways = Ways.REFUSE) -> Change:
        [change] = self.changes(text, ways).changes
        return change


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path)
    made.render(FIRST)
    return made


def test_an_edit_that_is_kept_stays_is_recorded_and_no_longer_in_the_way(host: Host) -> None:
    host.edit(EDITED)
    with pytest.raises(ApplyFailed, match="edited since it was written"):
        host.render(FIRST)
    assert host.render(FIRST, Ways.KEEP) == 2
    assert (host.file.read_text(), host.state()) == (EDITED, "kept")
    assert not host.changes(FIRST).has_work()
    assert host.render(FIRST) is None, "nothing is asked again while the same is rendered"


def test_a_kept_edit_is_in_the_way_again_when_something_else_is_rendered(host: Host) -> None:
    host.edit(EDITED)
    host.render(FIRST, Ways.KEEP)
    change = host.one(SECOND)
    assert (change.action, change.why) == (Action.CONFLICT, "kept with an edit, and rendered otherwise now")
    host.render(SECOND, Ways.MERGE)
    assert (host.file.read_text(), host.state()) == (JOINED, "kept")
    assert host.render(SECOND) is None


def test_edits_on_other_lines_are_merged(host: Host) -> None:
    host.edit(EDITED)
    assert "edit: merged\n" in diff_text(host.changes(SECOND, Ways.MERGE))
    assert host.render(SECOND, Ways.MERGE) == 2
    assert (host.file.read_text(), host.state()) == (JOINED, "kept")
    third = SECOND.replace("three", "THREE")
    host.render(third, Ways.MERGE)
    assert host.file.read_text() == JOINED.replace("three", "THREE"), (
        "what was rendered, not what lay there, is the base"
    )


def test_an_edit_that_stays_is_shown_against_what_is_rendered(host: Host) -> None:
    host.edit(EDITED)
    assert diff_text(host.changes(FIRST, Ways.KEEP)).splitlines() == [
        "diff keep /etc/a.conf",
        "edit: kept",
        "--- rendered/etc/a.conf",
        "+++ kept/etc/a.conf",
        "@@ -1,4 +1,4 @@",
        "-one",
        "+ONE",
        " two",
        " three",
        " four",
    ]


def test_an_edit_that_clashes_is_refused_with_both_sides(host: Host) -> None:
    host.edit(CLASHING)
    with pytest.raises(ApplyFailed, match="1 place edited here and rendered otherwise now"):
        host.render(SECOND, Ways.MERGE)
    assert host.file.read_text() == CLASHING
    assert diff_text(host.changes(SECOND, Ways.MERGE)).splitlines() == [
        "diff conflict /etc/a.conf",
        "conflict: 1 place edited here and rendered otherwise now",
        "@@ line 5 @@",
        "# rendered last",
        " five",
        "# on this host",
        "-mine",
        "# rendered now",
        "+FIVE",
    ]


def test_an_edit_that_says_what_is_rendered_now_is_no_edit_any_more(host: Host) -> None:
    host.edit(EDITED)
    host.render(FIRST, Ways.KEEP)
    assert host.render(EDITED) == 3
    assert host.state() == "clean"
    assert host.render(EDITED) is None


def test_a_secret_is_kept_or_replaced_never_merged(tmp_path: Path) -> None:
    host = Host(tmp_path)
    apply(host.changes(FIRST, secret=True), root=host.root, made_by="0.1.0", now=NOW)
    assert b"one" not in b"".join(path.read_bytes() for path in (tmp_path / "var").rglob("*") if path.is_file())
    host.edit(EDITED)
    [change] = host.changes(SECOND, Ways.MERGE, secret=True).changes
    assert (change.action, change.why) == (Action.CONFLICT, "a secret is never merged")
    [change] = host.changes(SECOND, Ways.KEEP, secret=True).changes
    assert (change.action, change.local) == (Action.KEEP, Local.KEPT)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a\0b"], ids=["not UTF-8", "a null byte"])
@pytest.mark.parametrize("ways", [Ways.KEEP, Ways.MERGE])
def test_what_no_check_can_read_is_neither_kept_nor_merged(host: Host, ways: Ways, content: bytes) -> None:
    host.file.write_bytes(content)
    assert host.one(SECOND, ways).action is Action.CONFLICT
    assert host.one(SECOND, Ways.OVERWRITE).action is Action.UPDATE


def test_a_file_that_never_was_ours_can_be_kept_but_not_merged(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.file.parent.mkdir()
    host.edit(EDITED)
    assert "nothing to merge with" in host.one(FIRST, Ways.MERGE).why
    assert host.render(FIRST, Ways.KEEP) == 1
    host.back(0)
    assert host.file.read_text() == EDITED, "it is not ours to take away"


def test_without_the_text_of_then_nothing_is_merged(host: Host) -> None:
    (host.root / "var/lib/llmops/generations/1/rendered.json").write_text("half a fi")
    host.edit(EDITED)
    assert "was not kept" in host.one(SECOND, Ways.MERGE).why
    assert host.one(FIRST, Ways.MERGE).local is Local.MERGED, "what is rendered now is what was rendered then"


def test_an_edit_of_what_is_no_longer_rendered_can_stay(host: Host) -> None:
    host.edit(EDITED)
    assert host.one(None, Ways.MERGE).action is Action.CONFLICT
    assert host.render(None, Ways.KEEP) == 2
    assert (host.file.read_text(), host.state()) == (EDITED, "kept")
    assert host.render(None) is None
    assert host.one(None, Ways.OVERWRITE).action is Action.DELETE


def test_a_mode_is_put_right_where_the_edit_stays(host: Host) -> None:
    host.edit(EDITED)
    host.file.chmod(0o666)
    host.render(FIRST, Ways.KEEP)
    assert (host.file.read_text(), host.file.stat().st_mode & 0o777) == (EDITED, 0o644)


def test_a_rollback_over_a_merge_gives_the_edit_back_and_says_so(host: Host) -> None:
    host.edit(EDITED)
    host.render(SECOND, Ways.MERGE)
    host.back(1)
    assert (host.file.read_text(), host.state()) == (EDITED, "edited")
    assert host.one(FIRST).action is Action.CONFLICT, "nobody decided on it at that time"
    assert host.one(SECOND, Ways.MERGE).after is not None
    host.back(2)
    assert (host.file.read_text(), host.state()) == (JOINED, "kept")


def test_a_rollback_over_an_overwritten_edit_gives_it_back_and_the_next_render_does_not_lose_it(host: Host) -> None:
    host.edit(EDITED)
    host.render(SECOND, Ways.OVERWRITE)
    assert (host.file.read_text(), host.state()) == (SECOND, "clean")
    host.back(1)
    assert (host.file.read_text(), host.state()) == (EDITED, "edited")
    with pytest.raises(ApplyFailed, match="edited since"):
        host.render(SECOND)


def test_a_file_that_was_not_ours_comes_back_as_not_ours(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.render(None)
    other = tmp_path / "etc/b.conf"
    wanted = WantedFile(path=PurePosixPath("/etc/b.conf"), target="b", content=b"b\n", mode=0o644, owner="root:root")
    apply(change_set({wanted.path: None}, [wanted], recorded=None, targets=("b",)), root=tmp_path, made_by="0", now=NOW)
    host.file.write_text(EDITED)
    host.render(FIRST, Ways.OVERWRITE)
    host.back(1)
    assert (host.file.read_text(), other.read_bytes()) == (EDITED, b"b\n")
    assert host.one(FIRST).why == "not written by llmops"
    record = last_generation(Root(tmp_path))
    assert record is not None
    assert [str(file.path) for file in record.files if file.is_ours()] == ["/etc/b.conf"]


@pytest.mark.parametrize("ways", [Ways.KEEP, Ways.MERGE])
def test_uninstall_does_not_take_an_edit_unless_it_may(host: Host, ways: Ways) -> None:
    host.edit(EDITED)
    host.render(SECOND, ways)
    kept = host.file.read_text()
    with pytest.raises(ApplyFailed, match="with an edit"):
        host.back(0)
    assert host.file.read_text() == kept
    host.back(0, Ways.KEEP)
    assert host.file.read_text() == kept
    host.back(0, Ways.OVERWRITE)
    assert not host.file.exists()


EDITS = st.sampled_from([FIRST, SECOND, EDITED, CLASHING, "mine\n"])
STEPS = st.lists(st.tuples(EDITS | st.none(), EDITS | st.none(), st.sampled_from([*Ways])), max_size=5)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_no_line_a_person_wrote_goes_unless_it_may_be_overwritten(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str | None, str | None, Ways]]
) -> None:
    """Edits and renderings in any order: what a person wrote is there, or in the copies, or `--overwrite` was said."""
    host = Host(tmp_path_factory.mktemp("host"))
    host.render(FIRST)
    for edit, rendered, ways in steps:
        if edit is not None and host.file.exists():
            host.edit(edit)
        before = host.file.read_text() if host.file.exists() else None
        known = last_generation(Root(host.root))
        assert known is not None
        change = next((one for one in host.changes(rendered, ways).changes), None)
        if change is None or change.action is Action.CONFLICT:
            continue
        host.render(rendered, ways)
        after = host.file.read_text() if host.file.exists() else None
        ours = {FIRST, SECOND} if before in (FIRST, SECOND) else set()
        mine = set((before or "").splitlines()) - set("".join(ours).splitlines()) - set((rendered or "").splitlines())
        written = rendered_texts(Root(host.root), known.number).get(PATH, b"").decode()
        mine -= set(written.splitlines())
        if ways is not Ways.OVERWRITE:
            assert mine <= set((after or "").splitlines()), (before, rendered, ways, after)
        assert host.render(rendered) is None or ways is Ways.REFUSE, "the same again is nothing to do"


@pytest.mark.parametrize("ways", [Ways.KEEP, Ways.MERGE])
def test_a_kill_at_any_step_keeps_the_edit_and_the_record_agrees(tmp_path: Path, ways: Ways) -> None:
    def ready(name: str) -> tuple[Host, ChangeSet]:
        root = tmp_path / name
        root.mkdir()
        made = Host(root)
        made.render(FIRST)
        made.edit(EDITED)
        return made, made.changes(SECOND, ways)

    counted, changes = ready("count")
    with breaking(0, lambda: None) as calls:
        apply(changes, root=counted.root, made_by="0.1.0", now=NOW)
    goal = counted.file.read_text()
    ends = set()
    for at in range(1, len(calls) + 1):
        host, changes = ready(f"at-{at}")
        killed(at, partial(apply, changes, root=host.root, made_by="0.1.0", now=NOW))
        recover(host.root)
        is_done = (host.root / "var/lib/llmops/generations/2").exists()
        assert host.file.read_text() == (goal if is_done else EDITED), f"step {at} of {len(calls)}"
        assert host.state() == ("kept" if is_done else "edited")
        assert host.render(SECOND, ways) == (None if is_done else 2)
        ends.add(is_done)
        audit = (host.root / "var/lib/llmops/generations/audit.jsonl").read_text().splitlines()
        assert [json.loads(line)["edits_kept"] for line in audit] == [0, 1]
    assert ends == {True, False}
    assert not list(tmp_path.rglob("*.llmops-new"))
