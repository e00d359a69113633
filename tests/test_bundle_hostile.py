"""Bundles that somebody tampered with, or that a stick damaged: said clearly, exit code 3, and nothing of them is visible."""

import fcntl
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard
from bundling import Site, copied, site, verify, visible
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.bundle.archive import TOP, body_bytes, header, member, members
from llmops.bundle.staging import staged
from llmops.bundle.volumes import TEXT_LIMIT, Volume, parse_label
from llmops.domain.bundle import BundleFile
from llmops.domain.errors import OutsideWorld, Stop, WrongInput

SIZE = 200_000


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = site(tmp_path_factory.mktemp("hostile") / "site", size=SIZE)
    made.create("folder")
    made.create("file", tar=True)
    made.create("parts", tar=True, split="64KiB")
    return made


def refused(made: Site, path: Path, said: str, tmp_path: Path) -> None:
    """Neither verified nor installed, and the target has nothing to show for it."""
    with pytest.raises(WrongInput, match=said) as stop:
        verify(path)
    assert stop.value.exit_code == 3
    assert stop.value.hint
    target = replace(made, folder=tmp_path)
    with pytest.raises(WrongInput):
        target.install(path)
    assert visible(tmp_path / "target/store") == []
    assert not [one for one in (tmp_path / "target").iterdir() if one.name != "store"]


def again(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest and make the checksums say so, too."""
    manifest = json.loads((folder / "bundle.json").read_text())
    change(manifest)
    (folder / "bundle.json").write_text(json.dumps(manifest))
    sums = {line[66:]: line[:64] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    sums = {one["path"]: one["sha256"] for one in manifest["files"] if "sha256" in one} | {
        "bundle.json": hashlib.sha256((folder / "bundle.json").read_bytes()).hexdigest()
    }
    (folder / "SHA256SUMS").write_text("".join(f"{value}  {name}\n" for name, value in sorted(sums.items())))


def blob_of(folder: Path) -> Path:
    return max((folder / "blobs/sha256").iterdir(), key=lambda one: one.stat().st_size)


def flip(path: Path, at: int = 1000) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def becomes(path: Path, kind: str) -> None:
    """Something else in a file's place; what was there is gone."""
    if path.exists():
        path.unlink()
    path.parent.mkdir(exist_ok=True)
    match kind:
        case "link":
            path.symlink_to("/etc/passwd")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case _:
            path.touch()


def link_to_aside(folder: Path) -> None:
    """A link where a folder was, to that very folder."""
    folder.rename(folder.parents[1] / "moved")
    folder.symlink_to(folder.parents[1] / "moved")


def deepen(folder: Path) -> None:
    """Empty directories in each other: a thousand and more were too many for Python's stack. Made from the inside."""
    at = os.open(folder, os.O_RDONLY)
    for _ in range(600):
        os.mkdir("d", dir_fd=at)
        inner = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)


FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit in a model": (lambda f: flip(blob_of(f)), "is not what SHA256SUMS says"),
    "a flipped bit in a lock": (lambda f: flip(f / "locks/chat/llmops.lock"), "is not what SHA256SUMS says"),
    "a flipped bit in the manifest": (lambda f: flip(f / "bundle.json", 20), "is not what SHA256SUMS says"),
    "a missing model": (lambda f: blob_of(f).unlink(), "files are missing"),
    "a missing lock": (lambda f: (f / "locks/chat/llmops.lock").unlink(), "files are missing"),
    "no checksums": (lambda f: (f / "SHA256SUMS").unlink(), "not a bundle"),
    "no manifest": (lambda f: (f / "bundle.json").unlink(), "not a bundle"),
    "a shorter model": (lambda f: os.truncate(blob_of(f), 5), "its manifest says another length"),
    "a file that nobody vouches for": (lambda f: becomes(f / "wheels/evil.whl", "file"), "not part of this"),
    "directories without end": (deepen, "not part of this"),
    "a link in place of a model": (lambda f: becomes(blob_of(f), "link"), "symbolic link"),
    "a link in place of a lock": (lambda f: becomes(f / "locks/chat/llmops.lock", "link"), "symbolic link"),
    "a link in place of a folder": (lambda f: link_to_aside(f / "locks"), "not part of this bundle|symbolic link"),
    "a pipe in place of a lock": (lambda f: becomes(f / "locks/chat/llmops.lock", "pipe"), "a pipe"),
    "a pipe as the checksums": (lambda f: becomes(f / "SHA256SUMS", "pipe"), "a pipe"),
    "a folder in place of the manifest": (lambda f: becomes(f / "bundle.json", "folder"), "a directory"),
    "checksums that are no text": (lambda f: (f / "SHA256SUMS").write_bytes(b"\xff\xfe"), "not text"),
    "checksums of a path that leaves": (
        lambda f: (f / "SHA256SUMS").write_text(f"{'a' * 64}  ../../etc/cron.d/x\n"),
        "leaves its folder",
    ),
    "checksums of an absolute path": (lambda f: (f / "SHA256SUMS").write_text(f"{'a' * 64}  /etc/passwd\n"), "leaves its"),
    "a path twice": (
        lambda f: (f / "SHA256SUMS").write_text(2 * (f / "SHA256SUMS").read_text()),
        "listed twice",
    ),
    "checksums of a terabyte": (lambda f: os.truncate(f / "SHA256SUMS", 1 << 40), "more than 64 MiB"),
    "a manifest that lies about a size": (
        lambda f: again(f, lambda m: m["files"][0].update(bytes=m["files"][0]["bytes"] + 1)),
        "its manifest says another length",
    ),
    "a manifest with a size below nothing": (lambda f: again(f, lambda m: m["files"][0].update(bytes=-1)), "cannot have -1"),
    "a manifest of another version": (lambda f: again(f, lambda m: m.update(schema="llmops.bundle/9")), "not llmops.bundle/1"),
    "a manifest without a lock": (lambda f: again(f, lambda m: m.update(locks=[])), "no lock"),
    "a manifest whose lock lies elsewhere": (
        lambda f: again(f, lambda m: m["locks"][0].update(path="../../llmops.lock")),
        "is not in the bundle",
    ),
    "a manifest with other deployments": (
        lambda f: again(f, lambda m: m["locks"][0].update(deployments=["mail"])),
        "other deployments",
    ),
    "a manifest that two names of one case": (
        lambda f: again(f, lambda m: m["files"].insert(0, m["files"][0] | {"path": m["files"][0]["path"].upper()})),
        "where case does not count",
    ),
    "a manifest that is a list": (lambda f: (f / "bundle.json").write_text("[]"), "is not what SHA256SUMS says"),
    "a blob under another's name": (
        lambda f: again(f, lambda m: next(one for one in m["files"] if "blobs" in one["path"]).update(sha256="a" * 64)),
        "not named by its sha256",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_with(name: str, shared: Site, tmp_path: Path) -> None:
    change, said = FOLDERS[name]
    path = copied(shared.folder / "folder", tmp_path / "bundle")
    change(path)
    refused(shared, path, said, tmp_path)


def test_a_stage_that_another_user_made_in_a_shared_folder_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tmp_path.chmod(0o1777)
    (tmp_path / ".bundle.part").mkdir()
    with staged(tmp_path / "bundle", 1):
        pass
    (tmp_path / ".bundle.part").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(OutsideWorld, match="another user made this"), staged(tmp_path / "bundle", 1):
        pass
    tmp_path.chmod(0o755)  # a stick may say that all is another's
    with staged(tmp_path / "bundle", 1):
        pass


def test_a_stage_that_goes_while_it_is_locked_is_made_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    locked: list[int] = []

    def lock(descriptor: int, how: int) -> None:
        flock(descriptor, how)
        if not locked:
            (tmp_path / ".bundle.part").rmdir()  # as a run does that ends just then
        locked.append(descriptor)

    flock = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", lock)
    with staged(tmp_path / "bundle", 1) as stage:
        assert stage.is_dir()
    assert len(locked) == 2
    assert not any(tmp_path.iterdir())


def parts_of(made: Site, to: Path) -> list[Path]:
    to.mkdir()
    return [Path(shutil.copy(one, to)) for one in sorted(made.folder.glob("parts.0*"))]


def swap(one: Path, other: Path) -> None:
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)


PARTS: dict[str, tuple[Callable[[list[Path]], object], str]] = {
    "the first volume missing": (lambda p: p[0].unlink(), "volume 1 of 4 is missing"),
    "a volume missing in the middle": (lambda p: p[1].unlink(), "volume 2 of 4 is missing"),
    "the last volume missing": (lambda p: p[-1].unlink(), "volume 4 of 4 is missing"),
    "two volumes swapped": (lambda p: swap(p[1], p[2]), "volume 2 of 4 is missing before this one"),
    "a volume twice": (lambda p: shutil.copy(p[1], p[2]), "this is volume 2 of 4, where volume 3"),
    "a volume too many": (lambda p: shutil.copy(p[1], p[1].with_name("parts.005")), "this is volume 2 of 4"),
    "a volume cut short": (lambda p: os.truncate(p[1], 30_000), "volume 2 of 4 is cut short: 30000 of 65536"),
    "a volume that goes on": (lambda p: os.truncate(p[3], 70_000), "volume 4 of 4 is too long"),
    "an empty volume": (lambda p: os.truncate(p[2], 0), "not a bundle"),
    "a volume that is no file": (lambda p: becomes(p[2], "folder"), "not a regular file"),
    "a volume that is a pipe": (lambda p: becomes(p[2], "pipe"), "not a regular file"),
    "a damaged label": (lambda p: flip(p[1], 100), "(?s)."),
    "a damaged byte of a model": (lambda p: flip(p[1], 40_000), "is not what SHA256SUMS says"),
    "a damaged block mark": (lambda p: flip(p[1], 512 + 6), "marks are damaged"),
    "a damaged text part": (lambda p: flip(p[0], 700), "(?s)."),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_volumes_with(name: str, shared: Site, tmp_path: Path) -> None:
    change, said = PARTS[name]
    parts = parts_of(shared, tmp_path / "stick")
    change(parts)
    refused(shared, tmp_path / "stick" / "parts", said, tmp_path)


def test_a_later_volume_alone_says_which_one_is_missing(shared: Site, tmp_path: Path) -> None:
    parts = parts_of(shared, tmp_path / "stick")
    parts[0].unlink()
    for one in parts[1:]:
        refused(shared, one, "volume 1 of 4 is missing", tmp_path)


def test_a_volume_of_another_bundle_is_told_from_ours(shared: Site, tmp_path: Path) -> None:
    parts = parts_of(shared, tmp_path / "stick")
    other = site(tmp_path / "other", size=SIZE + 1)
    other.create("parts", tar=True, split="64KiB")
    shutil.copy(other.folder / "parts.003", parts[2])
    refused(shared, tmp_path / "stick/parts", "a volume of another bundle than parts.001", tmp_path)


def archive(text: bytes, body: bytes = bytes(1024)) -> bytes:
    """A file with this text part; the rest is stored as the format has it."""
    from llmops.bundle.stored_zstd import marks

    packed = zstandard.ZstdCompressor(level=1).compress(text)
    volume = Volume(bundle="a" * 64, number=1, of=1, text_bytes=len(packed), start=0, length=len(body), total=len(body))
    return volume.label() + packed + marks(0, len(body)) + body


def info(kind: bytes, name: str = f"{TOP}/x", **fields: Any) -> bytes:  # noqa: ANN401
    """A member as Python's tarfile writes it."""
    one = tarfile.TarInfo(name)
    one.type, one.mode, one.mtime = kind, 0o644, 1
    for key, value in fields.items():
        setattr(one, key, value)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(one, io.BytesIO(bytes(one.size)))
    return out.getvalue()[: 512 + (one.size + 511) // 512 * 512]


MEMBERS: dict[str, tuple[bytes, str]] = {
    "a symbolic link": (info(tarfile.SYMTYPE, linkname="/etc/passwd"), "is a symbolic link"),
    "a hard link": (info(tarfile.LNKTYPE, linkname="/etc/passwd"), "is a hard link"),
    "a device": (info(tarfile.CHRTYPE, devmajor=1, devminor=3), "is a device"),
    "a pipe": (info(tarfile.FIFOTYPE), "is a pipe"),
    "a sparse file": (info(tarfile.GNUTYPE_SPARSE), "is a sparse file"),
    "an extended header": (info(tarfile.XHDTYPE), "is an extended header"),
    "a long name": (info(tarfile.GNUTYPE_LONGNAME), "is a long name"),
    "a path that leaves": (info(tarfile.REGTYPE, name=f"{TOP}/../../etc/cron.d/x"), "leaves its folder"),
    "an absolute path": (info(tarfile.REGTYPE, name="/etc/cron.d/x"), "leaves its folder"),
    "a path elsewhere": (info(tarfile.REGTYPE, name="elsewhere/x"), "is not below its folder"),
    "a file with a set-user-id bit": (info(tarfile.REGTYPE, mode=0o4755), "not the header this program writes"),
    "a file of another owner": (info(tarfile.REGTYPE, uid=1000), "not the header this program writes"),
    "a file twice": (member("x", b"1") * 2, "holds a file twice"),
    "two names of one case": (member("x", b"1") + member("X", b"2"), "where case does not count"),
    "a folder that is a file": (member("x", b"1") + member("x/y", b"2"), "where case does not count"),
    "a file cut short": (member("x", b"1" * 600)[:-512], "is cut short"),
    "no header at all": (b"\0" * 512, "(?s)."),
    "half a header": (member("x", b"")[:300], "(?s)."),
    "a length below nothing": (header("x", 0)[:124] + b"-0000000001\0" + header("x", 0)[136:], "not the header"),
    "a file of exabytes": (header("x", 1 << 62), "is cut short"),
    "nothing": (b"", "not a bundle"),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_an_archive_with(name: str, shared: Site, tmp_path: Path) -> None:
    text, said = MEMBERS[name]
    (tmp_path / "file").write_bytes(archive(text))
    refused(shared, tmp_path / "file", said, tmp_path)


def test_text_that_unpacks_to_gigabytes_is_refused_in_little_memory(shared: Site, tmp_path: Path) -> None:
    bombs = {
        "said": zstandard.ZstdCompressor(level=3).compress(bytes(512 << 20)),
        "unsaid": zstandard.ZstdCompressor(level=3, write_content_size=False).compress(bytes(256 << 20)),
    }
    for name, packed in bombs.items():
        volume = Volume(bundle="a" * 64, number=1, of=1, text_bytes=len(packed), start=0, length=0, total=0)
        (tmp_path / name).write_bytes(volume.label() + packed)
        ran = subprocess.run(
            ["sh", "-c", 'ulimit -v 1200000; exec "$0" -m llmops bundle verify "$1" --jobs 1', sys.executable, tmp_path / name],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (ran.returncode, "unpacks to more than 64 MiB" in ran.stderr) == (3, True), ran.stderr
    assert TEXT_LIMIT == 64 << 20


def test_a_file_that_another_program_packed_is_refused_with_the_way_out(shared: Site, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "plain.tar", "w") as tar:
        tar.add(shared.folder / "folder", arcname=TOP)
    (tmp_path / "packed.tar.zst").write_bytes(
        zstandard.ZstdCompressor().compress((tmp_path / "plain.tar").read_bytes())
    )
    for name in ("plain.tar", "packed.tar.zst"):
        with pytest.raises(WrongInput, match="not a bundle") as stop:
            verify(tmp_path / name)
        assert "tar -xf FILE" in (stop.value.hint or "")


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=700), at=st.integers(0, 511))
def test_any_bytes_as_a_label_or_as_members_end_in_a_refusal(data: bytes, at: int) -> None:
    good = Volume(bundle="a" * 64, number=1, of=1, text_bytes=9, start=0, length=1, total=1).label()
    for raw in (data, good[:at] + data, data + good):
        with suppress(WrongInput):
            assert parse_label(raw, name="x").label() == raw[:512]
    for raw in (data, member("x", b"1") + data, member("x", b"1")[:at] + data):
        with suppress(WrongInput):
            found = dict(members(raw, name="x"))
            assert b"".join(member(name, content) for name, content in found.items()) == raw


def test_each_of_sixty_random_changes_of_a_file_is_found(shared: Site, tmp_path: Path) -> None:
    """Bits, stretches of zeros, cuts and swaps; what is in the padding between files is not content, and is zero."""
    chance = random.Random(11)
    right = (shared.folder / "file").read_bytes()
    place = tmp_path / "file"
    for number in range(60):
        data = bytearray(right)
        at = chance.randrange(len(data) - 3000)
        if number % 3 == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif number % 3 == 1:
            data[at : at + 600] = bytes(600)
        else:
            del data[at : at + chance.randrange(1, 2000)]
        if data == right:
            continue
        place.write_bytes(data)
        with pytest.raises(Stop) as stop:
            verify(place)
        assert stop.value.exit_code in (3, 4)


def test_pickles_are_taken_only_when_that_is_said(tmp_path: Path) -> None:
    made = site(tmp_path / "site", files={"pytorch_model.bin": b"not quite a pickle"}, allow_pickle=True)
    path = made.create()
    with pytest.raises(Stop, match="pickle"):
        made.install(path)
    assert visible(tmp_path / "site/target/store") == []
    assert made.install(path, allow_pickle=True)["models"]


def test_lengths_beyond_eight_gibibytes_are_written_as_tar_reads_them() -> None:
    for size in (0, 1, 8**11 - 1, 8**11, 700 << 30):
        assert tarfile.TarInfo.frombuf(header("blobs/sha256/x", size), "utf-8", "strict").size == size
    large = (BundleFile(path="blobs/sha256/x", bytes=513, sha256="a" * 64),)
    assert body_bytes(large) == 512 + 1024 + 1024
    long_name = "wheels/" + "a" * 90 + "/" + "b" * 90
    assert tarfile.TarInfo.frombuf(header(long_name, 5), "utf-8", "strict").name == f"{TOP}/{long_name}"
