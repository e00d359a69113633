"""The embedded hub speaks as the real one does, to our transfer and to the hub's own client."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from hub_models import QUICK, content, sha256

from llmops.domain.model import ModelSource, SourceKind
from llmops.hub.fetch import fetch
from llmops.hub.loopback import LoopbackHub
from llmops.hub.reading import open_file
from llmops.hub.repository import list_files
from llmops.hub.store import Store

NAME = "llmops/tiny-GGUF"
FILES = {"tiny-F16.gguf": content(250_000), "folder/notes äö.txt": b"small"}
SOURCE = ModelSource(typed=f"hf:{NAME}", kind=SourceKind.HUB, repository=NAME)


def test_a_model_is_listed_read_and_pulled_from_it(tmp_path: Path) -> None:
    with LoopbackHub(FILES, NAME, licence="cc0-1.0") as hub:
        ref = list_files(SOURCE, endpoint=hub.url, patience=QUICK)
        assert (ref.licence, ref.commit) == ("cc0-1.0", hub.commit)
        gguf = next(one for one in ref.files if one.name == "tiny-F16.gguf")
        assert gguf.digest == sha256(FILES["tiny-F16.gguf"])
        assert open_file(ref, gguf, endpoint=hub.url, token=None).read(100, 50) == FILES["tiny-F16.gguf"][100:150]
        fetched = fetch(ref, store=Store(tmp_path), name="tiny", endpoint=hub.url, token=None, patience=QUICK)
    assert {one.name: Path(one.path).read_bytes() for one in fetched.files} == FILES


def test_the_commit_follows_from_the_content() -> None:
    with LoopbackHub(FILES, NAME) as one, LoopbackHub(FILES, NAME) as two, LoopbackHub({"a": b""}, NAME) as other:
        assert one.commit == two.commit != other.commit


def test_content_needs_the_signature_and_nothing_else_is_served() -> None:
    with LoopbackHub(FILES, NAME) as hub:
        signed = hub.signed_url("tiny-F16.gguf")
        with urllib.request.urlopen(signed, timeout=5) as answer:
            assert answer.read() == FILES["tiny-F16.gguf"]
        refused = {
            signed.replace("Signature=", "Signature=0"): 403,
            signed.replace("Expires=", "Expires=1"): 403,
            signed.partition("?")[0]: 403,
            f"{hub.url}/content/../../etc/passwd": 404,
            f"{hub.url}/api/models/other/name": 404,
            f"{hub.url}/{NAME}/resolve/main/none.gguf": 404,
            f"{hub.url}/{NAME}/resolve/v9/tiny-F16.gguf": 404,
        }
        for url, status in refused.items():
            with pytest.raises(urllib.error.HTTPError) as stop:
                urllib.request.urlopen(url, timeout=5)
            assert stop.value.code == status, url
            stop.value.close()


@pytest.mark.parametrize(
    ("wanted", "status", "got"),
    [
        ("bytes=10-19", 206, slice(10, 20)),
        ("bytes=249990-", 206, slice(249_990, None)),
        ("bytes=-7", 206, slice(-7, None)),
        ("bytes=249999-900000", 206, slice(249_999, None)),
        ("lines=1-2", 200, slice(None)),
        ("bytes=x-", 200, slice(None)),
    ],
)
def test_ranges_are_answered_as_rfc_9110_says(wanted: str, status: int, got: slice) -> None:
    with LoopbackHub(FILES, NAME) as hub:
        request = urllib.request.Request(hub.signed_url("tiny-F16.gguf"), headers={"Range": wanted})
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert (answer.status, answer.read()) == (status, FILES["tiny-F16.gguf"][got])


def test_a_range_beyond_the_end_is_not_satisfiable() -> None:
    with LoopbackHub(FILES, NAME) as hub:
        request = urllib.request.Request(hub.signed_url("tiny-F16.gguf"), headers={"Range": "bytes=250000-"})
        with pytest.raises(urllib.error.HTTPError) as stop:
            urllib.request.urlopen(request, timeout=5)
        assert (stop.value.code, stop.value.headers["Content-Range"]) == (416, "bytes */250000")
        stop.value.close()


def test_the_hubs_own_client_downloads_from_it(tmp_path: Path) -> None:
    code = (
        f"import huggingface_hub as h; print(h.hf_hub_download({NAME!r}, 'tiny-F16.gguf', cache_dir={str(tmp_path)!r}))"
    )
    with LoopbackHub(FILES, NAME) as hub:
        environment = {
            **os.environ,
            "HF_ENDPOINT": hub.url,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HOME": str(tmp_path / "home"),
        }
        ran = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    assert ran.returncode == 0, ran.stderr
    assert Path(ran.stdout.strip()).read_bytes() == FILES["tiny-F16.gguf"]
