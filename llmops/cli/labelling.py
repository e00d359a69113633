"""SELinux labels of what an apply writes: asked for before, said where they could not be set."""

import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

from llmops.apply.labels import Labels, labels_of
from llmops.apply.root import Root
from llmops.domain.changes import ChangeSet
from llmops.domain.finding import Finding, Status
from llmops.domain.programs import Runner

AUTORELABEL = PurePosixPath("/.autorelabel")
"""Its being there has the next boot set every label (selinux-autorelabel.service)."""


def labels_for(changes: ChangeSet, place: Root, runner: Runner) -> Labels:
    """The labels of what is written."""
    written = [one.path for one in changes.changes if one.action.writes() and one.after is not None]
    return labels_of(written, root=place, runner=runner)


def label_findings(labels: Labels, unlabelled: Sequence[PurePosixPath], place: Root) -> list[Finding]:
    """That SELinux' labels are not what its policy says, and what sets them."""
    if not labels.problem and not unlabelled:
        return []
    count = f"{len(unlabelled)} {'file' if len(unlabelled) == 1 else 'files'}"
    why = labels.problem or f"the file system or the kernel refused those of {count}"
    directories = " ".join(sorted({shlex.quote(str(path.parent)) for path in unlabelled})) or "/etc /usr/lib/llmops"
    fix = f"restorecon -R -v {directories}" if place.is_host else f"touch {shlex.quote(place.shown(AUTORELABEL))}"
    text = f"SELinux is on, but its labels were not set: {why}"
    return [Finding(code="RND017", status=Status.WARN, message=text, fix=fix)]
