"""What systemd says of units: loaded, running, enabled, and whether it has read their files since they changed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from llmops.domain.drift import UnitState
from llmops.domain.programs import Runner
from llmops.domain.reading import Known

PROPERTIES = ("Id", "ActiveState", "UnitFileState", "NeedDaemonReload", "ActiveEnterTimestamp")


def unit_states(
    names: Sequence[str], changed: Mapping[str, datetime | None], *, runner: Runner
) -> tuple[UnitState, ...]:
    """The state of each unit; none where systemd cannot be asked. `changed`: when its file was last written by us."""
    if not names or runner.find("systemctl") is None:
        return ()
    argv = ["systemctl", "show", "--timestamp=unix", f"--property={','.join(PROPERTIES)}", *names]
    ran = runner.run(argv, timeout_seconds=10)
    if not isinstance(ran, Known) or ran.value.exit_code != 0:
        return ()
    return read_unit_states(ran.value.stdout, changed)


def read_unit_states(text: str, changed: Mapping[str, datetime | None]) -> tuple[UnitState, ...]:
    """Blocks of `NAME=VALUE` as `systemctl show` prints them, one a unit, parted by an empty line."""
    return tuple(_state(_values(block), changed) for block in text.strip().split("\n\n") if block.strip())


def _values(block: str) -> dict[str, str]:
    return {name: value for line in block.splitlines() for name, equals, value in [line.partition("=")] if equals}


def _state(values: Mapping[str, str], changed: Mapping[str, datetime | None]) -> UnitState:
    name = values.get("Id", "")
    last = changed.get(name)
    since = _time(values.get("ActiveEnterTimestamp", ""))
    active = values.get("ActiveState", "")
    return UnitState(
        name=name,
        active=active or "unknown",
        enabled=values.get("UnitFileState", "") or "not enabled",
        needs_reload=values.get("NeedDaemonReload") == "yes",
        runs_older=active == "active" and last is not None and since is not None and since < last,
    )


def _time(text: str) -> datetime | None:
    digits = text.removeprefix("@")
    return datetime.fromtimestamp(int(digits), UTC) if digits.isdecimal() else None
