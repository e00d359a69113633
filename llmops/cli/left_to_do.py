"""What is left to type after an apply: what a person starts for the first time, and what an image needs before it is booted."""

from pathlib import Path

from llmops.apply.root import Root
from llmops.cli.applying import Applied
from llmops.cli.booting import enabling, unlinking
from llmops.cli.rendering import Rendered
from llmops.domain.changes import ChangeSet
from llmops.domain.places import SWAP_UNIT
from llmops.domain.profile import SwapWish


def left_to_do(wanted: Rendered, current: ChangeSet, applied: Applied | None, *, root: str) -> tuple[str, ...]:
    """What is left to type: nothing that was done, and nothing for what runs already."""
    if root != "/":
        return (*unlinking(current, Root(Path(root))), *enabling(current, root))
    active = applied.active if applied is not None and applied.commands else frozenset[str]()
    touched = {change.target for change in current.changes if change.action.writes()}
    gateway = wanted.site.gateway
    units = [f"{one.unit}.service" for one in wanted.site.deployments] if touched & {"systemd", "env"} else []
    units += [f"{gateway.unit}.service"] if gateway is not None and "haproxy" in touched else []
    commands: list[str] = []
    if units and not active:
        commands.append("systemd-sysusers && systemd-tmpfiles --create /etc/tmpfiles.d/llmops.conf")
        commands.append("systemctl daemon-reload")
    idle = " ".join(unit for unit in units if unit not in active)
    commands += [f"systemctl enable {idle} && systemctl restart {idle}"] if idle else []
    if wanted.site.swap is SwapWish.FILE and "host-tuning" in touched and SWAP_UNIT not in active:
        commands.append(f"systemctl daemon-reload && systemctl enable --now {SWAP_UNIT}")
    if "nginx" in touched and "nginx.service" not in active:
        commands.append("nginx -t && systemctl reload-or-restart nginx")
    return tuple(commands)
