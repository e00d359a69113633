"""Keys and certificates: made once, kept afterwards, in files of their own and nowhere else."""

import hashlib
import re
import socket
import ssl
import stat
import threading
from datetime import UTC, timedelta
from pathlib import Path

import locks
import pytest
from cryptography import x509
from rendering import CASES, NOW, site_of

from llmops.apply.certificate import Pair, look, make_ca, make_leaf
from llmops.apply.root import Root
from llmops.apply.secrets import secret_files
from llmops.domain.changes import WantedFile
from llmops.domain.deployment import Site
from llmops.domain.errors import OutsideWorld, WrongInput
from llmops.domain.profile import Serve, TlsFiles

TARGETS = ("systemd", "compose", "nginx")


def _made(root: Path, site: Site, *, make: bool = True, targets: tuple[str, ...] = TARGETS) -> dict[str, WantedFile]:
    files = secret_files(site, root=Root(root), targets=targets, make=make, now=NOW)
    return {str(file.path): file for file in files}


def _write(root: Path, files: dict[str, WantedFile]) -> None:
    for path, file in files.items():
        if file.content is not None:
            place = root / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.content)


def _content(file: WantedFile) -> str:
    assert file.content is not None
    return file.content.decode()


def test_every_secret_has_its_own_file_mode_and_owner(tmp_path: Path) -> None:
    made = _made(tmp_path, site_of(CASES["llama_cpp_cpu"]))
    assert {path: (f"{file.mode:04o}", file.owner, file.secret) for path, file in made.items()} == {
        "/etc/llmops/secrets/chat.engine-key": ("0600", "root:root", True),
        "/etc/llmops/compose/chat/engine-key": ("0440", "root:10001", True),
        "/etc/nginx/llmops/engine-chat.conf": ("0600", "root:root", True),
        "/etc/llmops/secrets/api-key.default": ("0600", "root:root", True),
        "/etc/nginx/llmops/keys.map": ("0600", "root:root", True),
        "/etc/nginx/llmops/tls.crt": ("0644", "root:root", False),
        "/etc/nginx/llmops/tls.key": ("0600", "root:root", True),
        "/etc/llmops/ca.crt": ("0644", "root:root", False),
        "/etc/llmops/secrets/ca.key": ("0600", "root:root", True),
    }


def test_the_gateway_holds_a_hash_and_the_engine_a_key_of_its_own(tmp_path: Path) -> None:
    made = _made(tmp_path, site_of(CASES["llama_cpp_cpu"]))
    client = _content(made["/etc/llmops/secrets/api-key.default"]).strip()
    engine = _content(made["/etc/llmops/secrets/chat.engine-key"]).strip()
    assert client != engine
    assert re.fullmatch(r"sk-[A-Za-z0-9_-]{43}", client)
    keys_map = _content(made["/etc/nginx/llmops/keys.map"])
    assert keys_map == f'{hashlib.sha256(client.encode()).hexdigest()} "default";\n'
    assert client not in keys_map
    assert _content(made["/etc/llmops/compose/chat/engine-key"]).strip() == engine
    assert f'"Bearer {engine}"' in _content(made["/etc/nginx/llmops/engine-chat.conf"])


def test_two_hosts_get_different_secrets(tmp_path: Path) -> None:
    site = site_of(CASES["llama_cpp_cpu"])
    one, other = _made(tmp_path, site), _made(tmp_path, site)
    assert all(one[path].content != other[path].content for path in one)


def test_what_was_made_is_kept(tmp_path: Path) -> None:
    site = site_of(CASES["llama_cpp_cpu"])
    first = _made(tmp_path, site)
    _write(tmp_path, first)
    again = _made(tmp_path, site)
    assert all(file.content is None or file.content == first[path].content for path, file in again.items())
    assert set(first) - set(again) == {"/etc/llmops/secrets/api-key.default"}, "the map decides; the plain key may go"


def test_a_diff_makes_nothing(tmp_path: Path) -> None:
    files = _made(tmp_path, site_of(CASES["llama_cpp_cpu"]), make=False)
    assert all(file.content is None for file in files.values())


def test_files_that_repeat_the_engines_key_follow_it(tmp_path: Path) -> None:
    site = site_of(CASES["llama_cpp_cpu"])
    _write(tmp_path, _made(tmp_path, site))
    (tmp_path / "etc/llmops/secrets/chat.engine-key").write_text("a-new-key-of-32-characters-000000\n")
    again = _made(tmp_path, site)
    assert "a-new-key-of-32-characters-000000" in _content(again["/etc/nginx/llmops/engine-chat.conf"])
    assert "a-new-key-of-32-characters-000000" in _content(again["/etc/llmops/compose/chat/engine-key"])


NO_KEYS = (
    *("", "\n", "short\n", "# a comment of good length\n", "two words of good length\n", "a-good-key-0123456789\r\n"),
    *("a-good-key-0123456789\nanother\n", 'x";deny all;#0123456789\n'),
)


@pytest.mark.parametrize("text", NO_KEYS)
def test_an_engine_key_that_would_leave_the_engine_open_is_refused(tmp_path: Path, text: str) -> None:
    key = tmp_path / "etc/llmops/secrets/chat.engine-key"
    key.parent.mkdir(parents=True)
    key.write_bytes(text.encode())
    with pytest.raises(WrongInput, match="engine's key") as refused:
        _made(tmp_path, site_of(CASES["llama_cpp_cpu"]))
    assert text.strip() == "" or text.strip() not in str(refused.value.message)


def test_certificates_of_the_operator_are_left_to_the_operator(tmp_path: Path) -> None:
    tls = TlsFiles(certificate="/etc/ssl/llm.crt", key="/etc/ssl/llm.key")
    made = _made(tmp_path, site_of(locks.lock(serve=Serve(tls=tls))))
    assert not any(path.endswith((".crt", "tls.key", "ca.key")) for path in made)


def test_a_renewed_certificate_is_signed_by_the_same_ca(tmp_path: Path) -> None:
    site = site_of(CASES["llama_cpp_cpu"])
    first = _made(tmp_path, site)
    _write(tmp_path, first)
    for name in ("tls.crt", "tls.key"):
        (tmp_path / "etc/nginx/llmops" / name).unlink()
    renewed = _made(tmp_path, site)
    assert renewed["/etc/llmops/ca.crt"].content == first["/etc/llmops/ca.crt"].content
    leaf = x509.load_pem_x509_certificate(_content(renewed["/etc/nginx/llmops/tls.crt"]).encode())
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(_content(first["/etc/llmops/ca.crt"]).encode()))


def test_without_the_cas_key_no_second_ca_is_made_behind_its_back(tmp_path: Path) -> None:
    site = site_of(CASES["llama_cpp_cpu"])
    _write(tmp_path, _made(tmp_path, site))
    for name in ("nginx/llmops/tls.crt", "llmops/secrets/ca.key"):
        (tmp_path / "etc" / name).unlink()
    with pytest.raises(OutsideWorld, match="CA's key is not here"):
        _made(tmp_path, site)


def _handshake(ca: bytes, leaf: Pair, name: str, tmp_path: Path) -> str:
    """The verified subject of a real handshake for `name`."""
    (tmp_path / "leaf.crt").write_bytes(leaf.certificate)
    (tmp_path / "leaf.key").write_bytes(leaf.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "leaf.crt", tmp_path / "leaf.key")
    client = ssl.create_default_context(cadata=ca.decode())
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    theirs.settimeout(5)

    def serve() -> None:
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except (OSError, ssl.SSLError):
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=name) as tls:
            found = tls.getpeercert()
            assert found is not None
            return str(found["subjectAltName"])
    finally:
        ours.close()
        thread.join(5)


@pytest.mark.parametrize("name", ["localhost", "llm.example.internal", "10.0.0.5", "::1"])
def test_a_client_that_trusts_the_ca_verifies_the_edge(name: str, tmp_path: Path) -> None:
    from datetime import datetime

    now = datetime.now(UTC)
    ca = make_ca(name, now=now)
    assert _handshake(ca.certificate, make_leaf(ca, name, now=now), name, tmp_path) != "()"


def test_the_cas_key_signs_no_other_name(tmp_path: Path) -> None:
    from datetime import datetime

    now = datetime.now(UTC)
    ca = make_ca("llm.example.internal", now=now)
    forged = make_leaf(ca, "bank.example", now=now)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
        _handshake(ca.certificate, forged, "bank.example", tmp_path)


def test_a_certificate_says_its_name_and_day() -> None:
    leaf = make_leaf(make_ca("localhost", now=NOW), "localhost", now=NOW)
    seen = look(leaf.certificate)
    assert seen is not None
    assert seen.names == ("localhost",)
    assert timedelta(days=396) < seen.expires - NOW <= timedelta(days=397)
    assert look(b"no certificate") is None


def test_secret_directories_are_private(tmp_path: Path) -> None:
    from pathlib import PurePosixPath

    root = Root(tmp_path)
    for directory in root.missing_directories(PurePosixPath("/etc/llmops/secrets")):
        root.make_directory(directory)
    assert stat.S_IMODE((tmp_path / "etc/llmops/secrets").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "etc/llmops").stat().st_mode) == 0o755
