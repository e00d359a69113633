"""What a command learned of a model in the store, kept beside it for `models`: by which lock it came, what was measured."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from llmops.domain.errors import OutsideWorld, WrongInput
from llmops.domain.model import ModelRef
from llmops.domain.places import model_version
from llmops.domain.stored import ByLock, Measured, MeasuredBy
from llmops.hub.store import Store, now_text

WAIT_SECONDS = 2.0
"""A record is not worth waiting longer for another run."""


def by_lock(path: Path, text: str) -> ByLock:
    """The lock at `path`, whose text this is."""
    return ByLock(path=str(path.absolute()), sha256=hashlib.sha256(text.encode()).hexdigest())


def measured(by: MeasuredBy, *, ok: bool, figures: Mapping[str, float]) -> Measured:
    """A result of just now; figures to four digits, since nothing here is known better."""
    rounded = {name: value if isinstance(value, int) else float(f"{value:.4g}") for name, value in figures.items()}
    return Measured(by=by, at=now_text(), ok=ok, figures=rounded)


def transfer_figures(size: int, seconds: float) -> dict[str, float]:
    """How much, how long, and how fast where that can be said."""
    rate = {"bytes_per_second": int(size / seconds)} if seconds > 0 else {}
    return {"bytes": size, "seconds": seconds, **rate}


def note(store: Store, name: str, ref: ModelRef, *, lock: ByLock | None = None, result: Measured | None = None) -> None:
    """Keep it where the store has this version and may be written to; a command does not fail for its own diary."""
    if not store.record_path(name, model_version(ref)).is_file():
        return
    with suppress(OutsideWorld, WrongInput):
        patient = Store(store.root, wait_seconds=WAIT_SECONDS)
        patient.note(name, model_version(ref), lock=lock, measured=result)
