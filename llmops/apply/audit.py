"""One line for each apply that changed something: who, when, what, why, and a digest over what is there since."""

import getpass
import hashlib
import json
import os
from collections.abc import Mapping

from llmops.apply.root import Root
from llmops.domain.changes import GENERATIONS, Generation

AUDIT = GENERATIONS / "audit.jsonl"


def who(environment: Mapping[str, str]) -> str:
    """The person behind the run: who called sudo or doas, else the user of the process."""
    person = environment.get("SUDO_USER") or environment.get("DOAS_USER")
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{person} as {user}" if person and person != user else user


def audit_line(generation: Generation) -> str:
    """The line of one generation, JSON. The digest is SHA-256 over `sha256  path` of every file that is ours, by path."""
    ours = sorted((str(file.path), file.sha256) for file in generation.files if file.is_ours())
    digest = hashlib.sha256("".join(f"{sha256}  {path}\n" for path, sha256 in ours).encode()).hexdigest()
    changed = sum(file.action.writes() for file in generation.files)
    return json.dumps(
        {
            "time": generation.applied_at,
            "who": generation.who,
            "what": generation.what,
            "reason": generation.reason,
            "generation": generation.number,
            "files_changed": changed,
            "edits_kept": sum(file.local.is_settled() for file in generation.files),
            "sha256": digest,
            "llmops": generation.made_by,
        },
        ensure_ascii=False,
    )


def is_behind(root: Root) -> bool:
    """Whether a generation has no line yet."""
    found = root.read(AUDIT)
    lines = found.content.count(b"\n") if found is not None else 0
    return sum(name.isdecimal() for name in root.names(GENERATIONS)) > lines


def complete(root: Root, generations: tuple[Generation, ...]) -> None:
    """Add the lines the audit lacks: a run that was killed between its last step and its line is made good by the next."""
    found = root.read(AUDIT)
    lines = found.content.decode("utf-8", "replace").splitlines() if found is not None else []
    missing = [audit_line(one) for one in generations[len(lines) :]]
    if missing:
        text = "".join(f"{line}\n" for line in (*lines, *missing))
        root.stage(AUDIT, text.encode(), mode=0o600, owner=None)
        root.switch(AUDIT)
