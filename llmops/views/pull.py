"""What `pull` brought and where it lies."""

from collections.abc import Sequence

from llmops.domain.forms import Json
from llmops.domain.transfer import Fetched
from llmops.domain.units import size_text
from llmops.views.screen import Screen, Tone


def pull_result(pulled: Sequence[Fetched], *, lock_gained: Sequence[str]) -> Json:
    """`result` of `pull`: files and bytes of all deployments; what one has by itself at the top where there is one."""
    one = pulled[0] if len(pulled) == 1 else None
    files: list[Json] = [row for each in pulled for row in _files(each)]
    return {
        "commit": one.commit if one else None,
        "licence": one.licence if one else None,
        "gated": one.gated if one else None,
        "directory": str(one.directory) if one else None,
        "files": files,
        "bytes_transferred": sum(each.transferred_bytes for each in pulled),
        "lock_updated": list[Json](lock_gained),
        "deployments": {each.name: _deployment(each) for each in pulled},
    }


def _deployment(fetched: Fetched) -> Json:
    return {
        "commit": fetched.commit,
        "licence": fetched.licence,
        "gated": fetched.gated,
        "directory": str(fetched.directory),
        "current": str(fetched.current),
        "files": list[Json](_files(fetched)),
        "bytes_transferred": fetched.transferred_bytes,
        "unlinked": list[Json](fetched.unlinked),
    }


def _files(fetched: Fetched) -> list[Json]:
    return [
        {
            "name": one.name,
            "bytes": one.bytes,
            "digest": {"algorithm": "sha256", "value": one.sha256},
            "path": str(one.path),
        }
        for one in fetched.files
    ]


def show_pull(to: Screen, pulled: Sequence[Fetched], *, lock: str | None, lock_gained: Sequence[str]) -> None:
    """A table of the verified files, where they are, and what came over the network."""
    for one in pulled:
        _show_model(to, one)
    transferred = sum(one.transferred_bytes for one in pulled)
    count = sum(len(one.files) for one in pulled)
    files = "1 file" if count == 1 else f"{count} files"
    how = f"{size_text(transferred)} transferred" if transferred else "nothing had to be transferred"
    to.line(f"{files} verified, {how}", tone=Tone.GOOD)
    if lock_gained:
        to.line(f"{lock}: the sha256 of {_some(lock_gained)} is now in the lock")


def _show_model(to: Screen, fetched: Fetched) -> None:
    commit = f" at commit {fetched.commit[:12]}" if fetched.commit else ""
    licence = f", licence {fetched.licence}" if fetched.licence else ""
    gated = f", gated ({fetched.gated}): its licence was accepted at the hub" if fetched.gated else ""
    to.line(f"{fetched.name}{commit}{licence}{gated}", tone=Tone.TITLE)
    rows = [(one.name, size_text(one.bytes), one.sha256[:16] + "…") for one in fetched.files]
    to.table(("file", "size", "sha256"), rows, right=(1,))
    to.line(f"in {fetched.directory}")
    to.line(f"current: {fetched.current}")
    if fetched.unlinked:
        to.line(f"no longer in this folder (kept in the store): {_some(fetched.unlinked)}", tone=Tone.DIM)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f"`{name}`" for name in names[:3]) + more
