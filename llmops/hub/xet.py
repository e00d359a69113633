"""The hub's own client as the carrier, for Xet storage: what it brings is hashed afterwards like any other file.

Not tested against a real Xet server; against a hub without one the client falls back to plain HTTP, which is tested.
"""

import os
import shutil
from pathlib import Path

from llmops.domain.errors import OutsideWorld, WrongInput
from llmops.domain.model import Digest, ModelFile, ModelRef, SourceKind
from llmops.domain.transfer import Fetched, Progress, silent
from llmops.hub.account import no_telemetry
from llmops.hub.adopt import bring_from
from llmops.hub.crew import Halt
from llmops.hub.disk import disk_errors
from llmops.hub.fetch import JOBS, Arrived, bytes_to_bring, land
from llmops.hub.store import Store
from llmops.hub.transport import AGAIN, Notice, unsaid

UNTESTED = "Xet: the hub's own client fetches, which does not resume; untested with real Xet storage, hashed afterwards"


def fetch_by_client(
    ref: ModelRef,
    *,
    store: Store,
    name: str,
    endpoint: str,
    token: str | None,
    progress: Progress = silent,
    jobs: int = JOBS,
    notice: Notice = unsaid,
) -> Fetched:
    """As `fetch`, through `hf_hub_download`; each file needs its room twice where the file system has no clones."""
    if ref.kind is not SourceKind.HUB or ref.repository is None or ref.commit is None:
        raise WrongInput(f"`{ref.source}` is not pinned to a commit of a repository on the hub")
    notice(UNTESTED)

    def bring(file: ModelFile, digest: Digest, halt: Halt) -> Arrived:
        folder = store.incoming / f"client-{digest.value}"
        try:
            path = _downloaded(ref, file, folder, endpoint=endpoint, token=token)
            halt.check()
            arrived = bring_from(path, file, digest, store, progress, halt)
        except WrongInput as stop:  # not the user's file: what was served is wrong
            text = f"wrong bytes were served for `{file.name}`; they were thrown away"
            raise OutsideWorld(text, hint=stop.hint) from stop
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return Arrived(sha256=arrived.sha256, transferred_bytes=file.bytes)

    needed = 2 * bytes_to_bring(ref, store=store, name=name)
    return land(ref, store=store, name=name, bring=bring, needed_bytes=needed, progress=progress, jobs=jobs)


def _downloaded(ref: ModelRef, file: ModelFile, folder: Path, *, endpoint: str, token: str | None) -> Path:
    no_telemetry()
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    network_error: type[Exception] = HfHubHTTPError.__mro__[1]  # httpx.HTTPError or httpx2.HTTPError
    try:
        with disk_errors(folder):
            folder.mkdir(exist_ok=True)
        return Path(
            hf_hub_download(
                ref.repository or "",
                file.name,
                revision=ref.commit,
                local_dir=folder,
                endpoint=endpoint,
                token=token or False,
                library_name="llmops",
            )
        )
    except (network_error, OSError, ValueError, RuntimeError) as error:
        text = f"the hub's own client did not bring `{file.name}` ({type(error).__name__})"
        raise OutsideWorld(text, hint=f"without `--xet` it goes over plain HTTP; {AGAIN}") from None
