"""Where `pull` fetches from: mirrors, proxies, hubs with an authority of their own, Ollama's registry, plain addresses."""

import hashlib
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fake_hub import FakeHub
from hub_models import CONFIG, GGUF, REPOSITORY, content, repository
from pulling import CANARY, document, environment, run

MODEL = f"hf:{REPOSITORY}"
SIZE = 300_000


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    repository(tmp_path / "hub")
    with FakeHub(tmp_path / "hub") as server:
        yield server


def auth_seen(hub: FakeHub) -> bool:
    return any(one["auth"] for one in hub.requests)


def pulled(
    tmp_path: Path, *arguments: str, hub_url: str, code: int = 0, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A pull's document; its store is `tmp_path / "store"`."""
    whole = environment(hub_url, tmp_path / "store", **(env or {}))
    ran = run(["pull", *arguments, "--json"], env=whole, cwd=tmp_path)
    assert ran.returncode == code, ran.stderr
    return document(ran)


def test_a_hub_that_cannot_be_reached_gives_way_to_a_mirror_that_never_sees_the_token(
    tmp_path: Path, hub: FakeHub
) -> None:
    env = environment("http://127.0.0.1:1", tmp_path / "store", LLMOPS_MIRRORS=f"http://127.0.0.1:2 {hub.url}")
    ran = run(["pull", MODEL], env=env, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "127.0.0.1:1 cannot be reached" in ran.stderr
    assert not auth_seen(hub)


def test_a_file_that_one_server_spoils_comes_from_the_next(tmp_path: Path, hub: FakeHub) -> None:
    hub.faults = {"*.gguf": "wrong:1000"}
    with FakeHub(tmp_path / "hub") as mirror:
        told = pulled(tmp_path, MODEL, "--mirror", mirror.url, hub_url=hub.url)
        assert told["result"]["bytes_transferred"] == 2 * SIZE
        assert not auth_seen(mirror)
        assert auth_seen(hub)


def test_a_file_half_fetched_from_one_server_is_completed_by_the_next(tmp_path: Path, hub: FakeHub) -> None:
    hub.faults = {"*.gguf": "truncate:100000*1,truncate:0"}
    with FakeHub(tmp_path / "hub") as mirror:
        told = pulled(tmp_path, MODEL, "--mirror", mirror.url, hub_url=hub.url)
    assert told["result"]["bytes_transferred"] == SIZE


def test_when_no_mirror_does_better_the_first_refusal_is_told(tmp_path: Path, hub: FakeHub) -> None:
    hub.faults = {"api": "gated"}
    error = pulled(tmp_path, MODEL, "--mirror", "http://127.0.0.1:1", hub_url=hub.url, code=4)["error"]
    assert "is gated" in error["message"]
    assert "mirrors did better" in error["hint"]


def test_a_hub_that_is_down_is_named_while_it_is_waited_for(tmp_path: Path) -> None:
    ran = run(["pull", MODEL], env=environment("http://127.0.0.1:1", tmp_path / "store"), cwd=tmp_path)
    assert ran.returncode == 4
    assert "127.0.0.1:1 cannot be reached (ConnectError): tried again in 0.5 s" in ran.stderr
    assert len(ran.stderr.splitlines()) < 8


def test_a_hub_that_says_nothing_is_named_while_it_is_waited_for(tmp_path: Path) -> None:
    import socket

    from pulling import start, until

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = start(["pull", MODEL], env=environment(url, tmp_path / "store"), cwd=tmp_path)
        assert process.stderr is not None
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.append(process.stderr.readline()))  # type: ignore[union-attr]
        reader.start()
        until(lambda: bool(lines), seconds=10)
        process.kill()
        process.communicate()
    assert lines == [f"waiting for {url.removeprefix('http://')} …\n"]


@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_token_in_a_file_of_its_own_opens_a_private_repository(tmp_path: Path, hub: FakeHub, how: str) -> None:
    hub.token = "hf_otherCANARYcanary"
    (tmp_path / "token").write_text(f"{hub.token}\n")
    path = str(tmp_path / "token")
    env = environment(hub.url, tmp_path / "store", **({"LLMOPS_TOKEN_FILE": path} if how == "variable" else {}))
    words = ["--token-file", path] if how == "option" else []
    ran = run(["pull", MODEL, *words, "--verbose"], env=env, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert hub.token not in ran.stdout + ran.stderr


def test_the_login_of_the_hubs_own_client_opens_a_private_repository(tmp_path: Path, hub: FakeHub) -> None:
    env = environment(hub.url, tmp_path / "store")
    hub.token = env.pop("HF_TOKEN")
    assert run(["pull", MODEL], env=env, cwd=tmp_path).returncode == 4
    Path(env["HF_HOME"]).mkdir(parents=True)
    (Path(env["HF_HOME"]) / "token").write_text(hub.token)
    assert run(["pull", MODEL], env=env, cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("text", "code", "said"), [(None, 3, "no such file"), ("", 3, "empty"), (f"{CANARY}\nand more", 2, "no token has")]
)
def test_a_token_file_that_holds_none_is_refused_without_showing_it(
    tmp_path: Path, text: str | None, code: int, said: str
) -> None:
    if text is not None:
        (tmp_path / "token").write_text(text)
    env = environment("http://127.0.0.1:1", tmp_path / "store")
    ran = run(["pull", MODEL, "--token-file", "token"], env=env, cwd=tmp_path)
    assert ran.returncode == code
    assert said in ran.stderr


def test_gating_is_shown_and_recorded(tmp_path: Path) -> None:
    repository(tmp_path / "hub")
    gated = lambda body: {**body, "gated": "manual", "cardData": {"license": "llama3.1"}}  # noqa: E731
    with FakeHub(tmp_path / "hub", change=gated) as hub:
        env = environment(hub.url, tmp_path / "store")
        assert "licence llama3.1, gated (manual)" in run(["pull", MODEL], env=env, cwd=tmp_path).stdout
        told = pulled(tmp_path, MODEL, hub_url=hub.url)["result"]
    assert (told["licence"], told["gated"]) == ("llama3.1", "manual")


def test_files_are_chosen_by_name_or_pattern_and_nothing_else_comes(tmp_path: Path, hub: FakeHub) -> None:
    def names(*arguments: str) -> list[str]:
        return [one["name"] for one in pulled(tmp_path, *arguments, hub_url=hub.url)["result"]["files"]]

    assert names(f"{MODEL}:*.json") == [CONFIG]
    assert names(f"{MODEL}:config.json") == [CONFIG]
    assert names(f"{MODEL}:*") == ["README.md", CONFIG, GGUF]
    error = pulled(tmp_path, f"{MODEL}:*.safetensors", hub_url=hub.url, code=2)["error"]
    assert "Q4_K_M" in error["hint"]


def test_a_pickle_is_refused_with_the_reason_unless_it_is_allowed(tmp_path: Path) -> None:
    folder = tmp_path / "hub" / REPOSITORY
    folder.mkdir(parents=True)
    for name in ("config.json", "pytorch_model.bin", "training_args.bin", "tokenizer.json"):
        (folder / name).write_bytes(name.encode() * 200)
    with FakeHub(tmp_path / "hub") as hub:
        for selector in ("", ":pytorch_model.bin", ":*.bin"):
            error = pulled(tmp_path, f"{MODEL}{selector}", hub_url=hub.url, code=3)["error"]
            assert "pickle" in error["message"] + error["hint"]
        told = pulled(tmp_path, MODEL, "--allow-pickle", hub_url=hub.url)["result"]
    assert [one["name"] for one in told["files"]] == ["config.json", "pytorch_model.bin", "tokenizer.json"]


def test_a_file_at_an_address_is_held_against_the_given_sha256(tmp_path: Path, hub: FakeHub) -> None:
    url, right = f"{hub.url}/cdn/{REPOSITORY}/{GGUF}", hashlib.sha256(content(SIZE)).hexdigest()
    told = pulled(tmp_path, url, "--sha256", right, hub_url="http://127.0.0.1:1")["result"]
    assert Path(told["files"][0]["path"]).read_bytes() == content(SIZE)
    assert not auth_seen(hub)
    wrong = "0" * 64
    error = pulled(tmp_path, url, "--sha256", wrong, hub_url="http://127.0.0.1:1", code=4)["error"]
    assert f"{wrong} was expected" in error["message"]
    for arguments in ((url,), (url, "--sha256", "abc"), (MODEL, "--sha256", right)):
        assert pulled(tmp_path, *arguments, hub_url=hub.url, code=2)["error"]["hint"]


class Registry(BaseHTTPRequestHandler):
    """Ollama's registry with one model, as the real one answers: blobs behind a redirect."""

    model, licence = content(SIZE, seed=5), b"\n  Apache License\n  Version 2.0, January 2004\nmore\n"

    def log_message(self, *_: object) -> None:
        pass

    @classmethod
    def manifest(cls) -> bytes:
        kind = "application/vnd.ollama.image."
        layers = [(kind + "model", cls.model), (kind + "license", cls.licence), (kind + "template", b"{{ .Prompt }}")]
        rows = [
            {"mediaType": one, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}
            for one, data in layers
        ]
        return json.dumps({"schemaVersion": 2, "layers": rows}).encode()

    def do_GET(self) -> None:
        blobs = {hashlib.sha256(one).hexdigest(): one for one in (self.model, self.licence)}
        digest = self.path.rpartition(":")[2]
        if self.path == "/v2/library/qwen3/manifests/0.6b":
            return self.give(200, self.manifest())
        if self.path.startswith("/v2/library/qwen3/blobs/") and digest in blobs:
            self.send_response(307)
            self.send_header(
                "Location", f"http://localhost:{self.headers['Host'].rpartition(':')[2]}/data/sha256:{digest}"
            )
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if self.path.startswith("/data/"):
            start, _, end = self.headers["Range"].removeprefix("bytes=").partition("-")
            whole, first = blobs[digest], int(start)
            data = whole[first : int(end) + 1 if end else None]
            return self.give(206, data, f"bytes {first}-{first + len(data) - 1}/{len(whole)}")
        return self.give(404, b"{}")

    def give(self, status: int, body: bytes, span: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if span:
            self.send_header("Content-Range", span)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def registry() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("typed", ["qwen3:0.6b", "ollama:qwen3:0.6b", "https://ollama.com/library/qwen3:0.6b"])
def test_a_name_of_the_ollama_library_is_its_gguf_file_by_the_manifest(
    tmp_path: Path, registry: str, typed: str
) -> None:
    told = pulled(tmp_path, typed, hub_url="http://127.0.0.1:1", env={"LLMOPS_OLLAMA_REGISTRY": registry})["result"]
    assert [one["name"] for one in told["files"]] == ["qwen3-0.6b.gguf"]
    assert Path(told["files"][0]["path"]).read_bytes() == Registry.model
    assert told["commit"] == hashlib.sha256(Registry.manifest()).hexdigest()
    assert told["licence"] == "Apache License Version 2.0, January 2004"


def test_a_name_the_ollama_library_has_not_says_where_to_look(tmp_path: Path, registry: str) -> None:
    error = pulled(tmp_path, "qwen3:7b", hub_url="http://x", code=4, env={"LLMOPS_OLLAMA_REGISTRY": registry})["error"]
    assert "has no `qwen3:7b`" in error["message"]
    assert "ollama.com/library/qwen3/tags" in error["hint"]


class Proxy(BaseHTTPRequestHandler):
    """A plain proxy: what is asked of `hub.test` comes from the hub behind it."""

    behind = 0
    seen: ClassVar[list[str]] = []

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.seen.append(self.path.partition("?")[0])
        inner = HTTPConnection("127.0.0.1", self.behind)
        inner.request("GET", self.path.removeprefix("http://hub.test"), headers=dict(self.headers))
        answer = inner.getresponse()
        body = answer.read()
        inner.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name not in ("Server", "Date"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def test_a_proxy_is_used_for_listing_and_content(tmp_path: Path, hub: FakeHub) -> None:
    hub.faults = {"*.gguf": "samehost"}
    Proxy.behind = hub.port
    Proxy.seen.clear()
    hub.cdn = "http://hub.test/cdn"
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        through = {"http_proxy": f"http://127.0.0.1:{proxy.server_address[1]}", "no_proxy": ""}
        threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
        told = pulled(tmp_path, MODEL, hub_url="http://hub.test", env=through)
        proxy.shutdown()
    assert told["result"]["bytes_transferred"] == SIZE
    assert {path.split("/")[3] for path in Proxy.seen} == {"api", "org", "cdn"}


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that no system trusts, with its key."""
    path = tmp_path / "own.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=own", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", path, "-out", tmp_path / "c"],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + (tmp_path / "c").read_text())
    return path


@pytest.mark.consumer("openssl")
def test_an_authority_of_ones_own_is_trusted_when_it_is_named_and_only_then(
    tmp_path: Path, hub: FakeHub, authority: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    hub.server.socket = context.wrap_socket(hub.server.socket, server_side=True)
    hub.cdn = f"https://localhost:{hub.port}/cdn"
    url = f"https://127.0.0.1:{hub.port}"
    error = pulled(tmp_path, MODEL, hub_url=url, code=4)["error"]
    assert "not trusted" in error["message"]
    assert "--ca FILE" in error["hint"]
    own = str(authority)
    ways: tuple[tuple[str, str], ...] = (("REQUESTS_CA_BUNDLE", own), ("SSL_CERT_FILE", own), ("LLMOPS_CA", "own.pem"))
    for at, (variable, path) in enumerate(ways):
        told = pulled(tmp_path, MODEL, "--store", f"store{at}", hub_url=url, env={"SSL_CERT_FILE": "", variable: path})
        assert told["result"]["bytes_transferred"] == SIZE
    (tmp_path / "none.pem").write_text("no certificate")
    assert "PEM" in pulled(tmp_path, MODEL, "--ca", "none.pem", hub_url=url, code=3)["error"]["message"]


def test_the_hubs_own_client_may_carry_and_what_it_brings_is_hashed(tmp_path: Path, hub: FakeHub) -> None:
    env = environment(hub.url, tmp_path / "store", HF_HUB_DISABLE_XET="1")
    ran = run(["pull", MODEL, "--xet"], env=env, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "untested" in ran.stderr
    assert (tmp_path / "store/models/model-gguf/current" / GGUF).read_bytes() == content(SIZE)
    assert [one.name for one in (tmp_path / "store/incoming").iterdir()] == ["landing"]
    hub.faults = {"*.gguf": "wrong:1000"}
    ran = run(["pull", MODEL, "--xet", "--store", "other"], env=env, cwd=tmp_path)
    assert (ran.returncode, "wrong bytes were served" in ran.stderr) == (4, True)
    assert list((tmp_path / "other/blobs/sha256").iterdir()) == []
