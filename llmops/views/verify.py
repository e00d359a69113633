"""What re-hashing found."""

from collections.abc import Mapping, Sequence

from llmops.domain.forms import Json
from llmops.domain.transfer import FileCheck, FileStatus
from llmops.views.screen import Screen, Tone

TONES = {
    FileStatus.OK: Tone.GOOD,
    FileStatus.MISSING: Tone.BAD,
    FileStatus.CHANGED: Tone.BAD,
    FileStatus.EXTRA: Tone.WARN,
}


def verify_result(checks: Mapping[str, Sequence[FileCheck]], *, quick: bool, repaired: Sequence[str]) -> Json:
    """`result` of `verify`: every file of every deployment; `repaired` is what was brought again."""
    return {
        "quick": quick,
        "repaired": list[Json](repaired),
        "files": [
            {
                "name": one.name,
                "path": str(one.path),
                "status": one.status.value,
                "deployment": deployment,
                "why": one.why,
            }
            for deployment, files in checks.items()
            for one in files
        ],
    }


def show_verify(to: Screen, checks: Mapping[str, Sequence[FileCheck]], *, quick: bool, repaired: Sequence[str]) -> None:
    """Each file with its status, the reason below where something differs, and one line that sums it up."""
    every = [one for files in checks.values() for one in files]
    for deployment, files in checks.items():
        to.line(deployment, tone=Tone.TITLE)
        for one in files:
            to.line(f"  {one.status.value:<8}{one.name}", tone=TONES[one.status])
            if one.why is not None:
                to.line(f"          {one.why}", tone=Tone.DIM)
    counts = {status: sum(one.status is status for one in every) for status in FileStatus}
    if repaired:
        to.line(f"brought again and verified on the way: {', '.join(repaired)}")
    if counts[FileStatus.OK] == len(every) and quick:
        to.line(f"{len(every)} of {len(every)} files have the length, time stamp and header of what the lock says")
        to.line("quick: not every byte was read; `llmops verify` reads them all", tone=Tone.WARN)
        return
    if counts[FileStatus.OK] == len(every):
        to.line(f"{len(every)} of {len(every)} files are bit for bit what the lock says", tone=Tone.GOOD)
        return
    text = ", ".join(f"{count} {status.value}" for status, count in counts.items() if count)
    to.line(f"the files differ from the lock: {text}", tone=Tone.BAD)
