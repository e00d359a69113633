"""Signatures of bundles: minisign and ssh-keygen read what we write, we read what they write, and nothing else passes."""

import base64
import os
import subprocess
from pathlib import Path

import pytest
from bundling import Site, copied, run, site, verify, visible

from llmops.bundle import minisign
from llmops.cli import bundle
from llmops.cli.bundle_options import Action, Options
from llmops.domain.errors import OutsideWorld, WrongInput, WrongUsage
from llmops.probe.programs import Programs

PASSPHRASE = "canary of a passphrase"
LOCKED_KEY = """\
untrusted comment: minisign encrypted secret key
RWRTY0Iye1aOoyJX5F7AmZlqkFHM1XTUEU9AmbkbFYj+s2TgXoQAAAgAAAAAAAAAAAEAAAAAOzMixH0LsAgLdIaBCNz8KOKzVmDGnBzMB6b5z6Y5FCnUjh9KAeQ6/3qaIIvKQURZnAs44l6L9VhL0KugX/sXoYjLXqbwZOMHbifxvXsnd04M4EZSlKpisir8zH5Grj3DJgDcB3XZTZg=
"""
LOCKED_PUBLIC_KEY = """\
untrusted comment: minisign public key 1F87A0A0C2CD3358
RWRYM83CoKCHHx8iWbQc3PRcfJLFkrDWfbKn3/CsInCTwJuT12IiQi3P
"""
"""A pair by minisign 0.11 with that passphrase, locked again for 16 MiB of memory: its own default takes 1 GiB for seconds."""


@pytest.fixture
def made(tmp_path: Path) -> Site:
    return site(tmp_path / "site", size=20_000)


def minisign_pair(folder: Path, name: str = "key") -> tuple[Path, Path]:
    """A secret key and its public one, by the real program."""
    secret, public = folder / name, folder / f"{name}.pub"
    argv = ["minisign", "-G", "-W", "-f", "-s", str(secret), "-p", str(public)]
    subprocess.run(argv, check=True, capture_output=True)
    return secret, public


def ssh_key(folder: Path, name: str = "id", *, passphrase: str = "") -> tuple[Path, Path]:
    """A key, and the allowed signers that it makes."""
    key, signers = folder / name, folder / f"{name}.signers"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "", "-f", str(key)], check=True)
    signers.write_text(f'ops@example.org namespaces="llmops-bundle" {key.with_suffix(".pub").read_text()}')
    return key, signers


@pytest.mark.consumer("minisign")
def test_minisign_verifies_our_signature_and_we_verify_it_against_its_public_key(made: Site) -> None:
    secret, public = minisign_pair(made.folder)
    result = made.created(sign=str(secret))
    path = Path(result["paths"][0])
    subprocess.run(["minisign", "-Vm", "SHA256SUMS", "-p", str(public)], cwd=path, check=True, capture_output=True)
    text = public.read_text().splitlines()[1]
    for key in (str(public), text):
        assert verify(path, public_key=key)["signature"]["checked"]
    assert made.install(path, public_key=text)["signature"]["kind"] == "minisign"
    again = made.create("again", sign=str(secret))
    assert (again / "SHA256SUMS.minisig").read_bytes() == (path / "SHA256SUMS.minisig").read_bytes()


@pytest.mark.consumer("minisign")
def test_a_signature_that_minisign_made_by_hand_counts_in_a_folder_and_in_a_file(made: Site) -> None:
    secret, public = minisign_pair(made.folder)
    path = made.create()
    subprocess.run(["minisign", "-Sm", "SHA256SUMS", "-s", str(secret)], cwd=path, check=True, capture_output=True)
    assert verify(path, public_key=str(public))["signature"]["checked"]
    subprocess.run(
        ["minisign", "-S", "-l", "-m", "SHA256SUMS", "-s", str(secret)], cwd=path, check=True, capture_output=True
    )
    assert verify(path, public_key=str(public))["signature"]["checked"], "the older kind"
    one_file = made.create("b.tar.zst", tar=True, sign=str(secret))
    assert (
        verify(one_file, public_key=str(public))["signature"]["by"]
        == verify(path, public_key=str(public))["signature"]["by"]
    )


@pytest.mark.consumer("minisign")
def test_a_passphrase_comes_from_a_file_or_a_person_and_never_from_the_command_line(made: Site) -> None:
    secret, public = made.folder / "key", made.folder / "key.pub"
    secret.write_text(LOCKED_KEY)
    public.write_text(LOCKED_PUBLIC_KEY)
    (made.folder / "pass").write_text(f"{PASSPHRASE}\n")
    path = made.create(sign=str(secret), passphrase_file=str(made.folder / "pass"))
    subprocess.run(["minisign", "-Vm", "SHA256SUMS", "-p", str(public)], cwd=path, check=True, capture_output=True)
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return "wrong"

    options = Options(
        action=Action.CREATE, paths=(made.lock,), store=made.store, output=str(made.folder / "x"), sign=str(secret)
    )
    with pytest.raises(WrongInput, match="wrong passphrase"):
        bundle.run(options, runner=Programs(os.environ), ask=ask)
    assert asked == [f"passphrase of {secret}: "]
    with pytest.raises(WrongUsage, match="needs its passphrase"):
        run(options)
    assert not (made.folder / "x").exists()
    argv = ["minisign", "-S", "-s", str(secret), "-m", "SHA256SUMS", "-x", "theirs", "-t", _comment(path)]
    subprocess.run(argv, input=f"{PASSPHRASE}\n", text=True, cwd=path, check=True, capture_output=True)
    ours, theirs = ((path / name).read_text().splitlines()[1:] for name in ("SHA256SUMS.minisig", "theirs"))
    assert ours == theirs, "Ed25519 is deterministic: the real program makes the same signature"
    assert PASSPHRASE.encode() not in b"".join(one.read_bytes() for one in path.rglob("*") if one.is_file())


def _comment(path: Path) -> str:
    return (path / "SHA256SUMS.minisig").read_text().splitlines()[2].removeprefix("trusted comment: ")


@pytest.mark.consumer("ssh-keygen")
def test_ssh_keygen_verifies_our_signature_and_installing_demands_an_allowed_signer(made: Site) -> None:
    key, signers = ssh_key(made.folder)
    path = made.create(sign=str(key))
    argv = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", "ops@example.org", "-n", "llmops-bundle", "-s"]
    with (path / "SHA256SUMS").open("rb") as content:
        subprocess.run([*argv, str(path / "SHA256SUMS.sig")], stdin=content, check=True, capture_output=True)
    for identity in (None, "ops@example.org"):
        assert verify(path, allowed_signers=str(signers), identity=identity)["signature"]["by"] == "ops@example.org"
    with pytest.raises(WrongInput, match="is not by `someone@else`"):
        verify(path, allowed_signers=str(signers), identity="someone@else")
    _, others = ssh_key(made.folder, "other")
    with pytest.raises(WrongInput, match="nobody in"):
        made.install(path, allowed_signers=str(others))
    assert visible(made.folder / "target/store") == []


@pytest.mark.consumer("ssh-keygen")
def test_a_signature_for_another_purpose_does_not_count(made: Site) -> None:
    key, signers = ssh_key(made.folder)
    signers.write_text(signers.read_text().replace(' namespaces="llmops-bundle"', ""))
    path = made.create()
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", "git", path / "SHA256SUMS"], check=True)
    with pytest.raises(WrongInput, match=r"is not by|nobody in"):
        verify(path, allowed_signers=str(signers))


@pytest.mark.consumer("ssh-keygen")
def test_an_ssh_key_with_a_passphrase_is_left_to_the_agent(made: Site) -> None:
    key, signers = ssh_key(made.folder, passphrase=PASSPHRASE)
    with pytest.raises(OutsideWorld, match="could not sign") as stop:
        made.create(sign=str(key))
    assert "ssh-add" in (stop.value.hint or "")
    assert not (made.folder / "bundle").exists()
    assert signers.exists()


@pytest.mark.consumer("minisign")
def test_unsigned_otherwise_signed_and_changed_bundles_are_refused_when_a_key_is_given(made: Site) -> None:
    secret, public = minisign_pair(made.folder)
    _, other = minisign_pair(made.folder, "other")
    plain, signed = made.create("plain"), made.create("signed", sign=str(secret))
    with pytest.raises(WrongInput, match="it is not signed"):
        made.install(plain, public_key=str(public))
    with pytest.raises(WrongInput, match="signed by another key"):
        made.install(signed, public_key=str(other))
    with pytest.raises(WrongInput, match="it is not signed") as stop:
        made.install(signed, allowed_signers=str(public))
    assert "of the other kind" in (stop.value.hint or "")
    for change in ("SHA256SUMS", "SHA256SUMS.minisig"):
        broken = copied(signed, made.folder / f"broken-{change}")
        lines = (broken / change).read_text().splitlines()
        if change == "SHA256SUMS":
            lines[0] = ("1" if lines[0][0] == "0" else "0") + lines[0][1:]
        else:
            lines[2] += " and more"
        (broken / change).write_text("\n".join(lines) + "\n")
        with pytest.raises(WrongInput, match="signature is wrong"):
            made.install(broken, public_key=str(public))
    assert visible(made.folder / "target/store") == []
    assert not (made.folder / "target/out").exists()


@pytest.mark.parametrize("text", ["", "x", "RW" + "A" * 54 + "!", base64.b64encode(b"Ex" + bytes(40)).decode(), "\0"])
def test_what_is_no_public_key_is_told(text: str) -> None:
    with pytest.raises(WrongInput, match="not a minisign public key"):
        minisign.read_public_key(text, name="key")


@pytest.mark.consumer("minisign")
def test_signatures_of_any_bytes_are_told_from_real_ones(made: Site) -> None:
    secret, public = minisign_pair(made.folder)
    key = minisign.read_public_key(public.read_text(), name="key")
    right = minisign.sign(b"text", secret_key=secret.read_bytes(), passphrase=None, comment="c", name="key")
    assert minisign.verify(b"text", right, key=key, name="x") == "c"
    lines = right.split(b"\n")
    swapped = b"\n".join([lines[0], lines[3], lines[2], lines[1]])
    commented = right.replace(b"trusted comment: c", b"trusted comment: d")
    for wrong in (b"", b"\n\n\n\n", right[:-30], commented, swapped, right + b"more\n", right.replace(b"\n", b"")):
        with pytest.raises(WrongInput):
            minisign.verify(b"text", wrong, key=key, name="x")
    with pytest.raises(WrongInput):
        minisign.verify(b"Text", right, key=key, name="x")


def test_a_key_that_takes_more_memory_than_there_is_is_refused_in_words() -> None:
    comment, line = LOCKED_KEY.splitlines()
    raw = base64.b64decode(line)
    wanting = raw[:38] + (1 << 63).to_bytes(8, "little") + raw[46:]  # so many operations that they run side by side
    secret = f"{comment}\n{base64.b64encode(wanting).decode()}\n".encode()
    with pytest.raises(OutsideWorld, match="not enough memory") as stop:
        minisign.sign(b"text", secret_key=secret, passphrase=PASSPHRASE.encode(), comment="", name="key")
    assert stop.value.hint
