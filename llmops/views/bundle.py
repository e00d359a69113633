"""A bundle that was made, verified or installed."""

from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from llmops.domain.bundle import Bundle, Rto, Signature
from llmops.domain.durations import duration_text
from llmops.domain.records import dataclass
from llmops.domain.transfer import Fetched
from llmops.domain.units import size_text
from llmops.views.screen import Screen, Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What an installation did, and what to type next."""

    bundle: Bundle
    signature: Signature | None
    fetched: tuple[Fetched, ...]
    out: Path
    store: Path
    seconds: float
    rto: Rto | None
    next_commands: tuple[str, ...]


def show_created(
    to: Screen, bundle: Bundle, paths: Sequence[Path], *, written: int, signed: str | None, seconds: float
) -> None:
    """What is in it, and where it lies."""
    _show_content(to, bundle)
    how = f"signed ({signed})" if signed else "not signed"
    to.line(
        f"{size_text(written)} written in {duration_text(seconds)}, every model file verified again, {how}",
        tone=Tone.GOOD,
    )
    for path in paths[:3]:
        to.line(f"  {path}")
    if len(paths) > 3:
        to.line(f"  … {len(paths)} volumes in all; keep them in one folder")
    to.line(f"next, where it goes: llmops bundle install {quote(paths[0].name)}")


def show_verified(to: Screen, bundle: Bundle, signature: Signature | None) -> None:
    """All is as it was made."""
    _show_content(to, bundle)
    count = len(bundle.files)
    to.line(f"{count} files are bit for bit what the checksums say{_signed(signature)}", tone=Tone.GOOD)


def show_installed(to: Screen, done: Installed) -> None:
    """Models, the folder with the rest, the time, and the next commands."""
    for one in done.fetched:
        licence = f", licence {one.licence}" if one.licence else ""
        gated = f", gated ({one.gated}): its licence was accepted at the hub" if one.gated else ""
        count = f"{len(one.files)} file{'s'[: len(one.files) != 1]}"
        to.line(f"{one.name}  version {one.version[:24]}, {count}{licence}{gated}", tone=Tone.TITLE)
        to.line(f"  current: {one.current}")
    to.line(f"lock, rendered files and bill of materials: {done.out}")
    backup = done.bundle.backup
    if backup is not None:
        to.line(f"backup of generation {backup.generation}, applied {backup.applied_at}: {done.out / 'backup'}")
        to.line(
            f"  {len(backup.left_out)} secrets are not in it: the target makes its own at `render --apply`",
            tone=Tone.DIM,
        )
    to.line(
        f"installed in {duration_text(done.seconds)}, everything verified first{_signed(done.signature)}",
        tone=Tone.GOOD,
    )
    if done.rto is not None:
        _show_rto(to, done.rto)
    to.line("next:")
    for command in done.next_commands:
        to.verbatim(f"  {command}")


def _show_rto(to: Screen, rto: Rto) -> None:
    start = f" + about {rto.start_seconds:g} s until the engine has loaded" if rto.start_seconds is not None else ""
    verdict = "met" if rto.met else "missed"
    text = f"restored in {rto.restore_seconds:.1f} s{start}; the objective is {rto.objective_seconds:g} s: {verdict}"
    to.line(text, tone=Tone.GOOD if rto.met else Tone.BAD)


def _show_content(to: Screen, bundle: Bundle) -> None:
    blobs = [one for one in bundle.large() if one.is_blob()]
    wheels = [one for one in bundle.large() if not one.is_blob()]
    rows = [(f"lock `{one.name}`", ", ".join(one.deployments), "") for one in bundle.locks]
    rows.append(("model files", str(len(blobs)), size_text(sum(one.bytes for one in blobs))))
    if wheels:
        rows.append(("wheels", str(len(wheels)), size_text(sum(one.bytes for one in wheels))))
    if bundle.images:
        rows.append(("images, by digest", str(len(bundle.images)), ""))
    if bundle.backup is not None:
        rows.append((f"backup of generation {bundle.backup.generation}", f"{len(bundle.backup.files)} files", ""))
    text = bundle.small()
    rows.append(("text files", str(len(text)), size_text(sum(one.bytes for one in text))))
    to.table(("", "", ""), rows, right=(2,))


def _signed(signature: Signature | None) -> str:
    return f", signed by {signature.by} ({signature.kind})" if signature is not None and signature.checked else ""
