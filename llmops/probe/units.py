"""What systemd says of units: loaded, running, enabled, and whether it has read their files since they changed."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from llmops.domain.drift import Changed, UnitState
from llmops.domain.programs import Runner
from llmops.domain.reading import Known
from llmops.probe.workers import loaded_at

PROPERTIES = (
    "Id",
    "ActiveState",
    "UnitFileState",
    "NeedDaemonReload",
    "MainPID",
    "ActiveEnterTimestamp",
    "StateChangeTimestamp",
)
TOLERANCE = timedelta(seconds=2)
"""systemd tells whole seconds, a file's time comes from a clock that ticks 100 to 1000 times in one."""

Loaded = Callable[[int], datetime | None]
"""By a service's main process, when it read its configuration; None where that is not known."""


def unit_states(names: Sequence[str], changed: Mapping[str, Changed], *, runner: Runner) -> tuple[UnitState, ...]:
    """The state of each unit; none where systemd cannot be asked. `changed`: when the files that it reads were."""
    if not names or runner.find("systemctl") is None:
        return ()
    argv = ["systemctl", "show", "--timestamp=unix", f"--property={','.join(PROPERTIES)}", *names]
    ran = runner.run(argv, timeout_seconds=10)
    if not isinstance(ran, Known) or ran.value.exit_code != 0:
        return ()
    return read_unit_states(ran.value.stdout, changed, loaded=loaded_at)


def read_unit_states(text: str, changed: Mapping[str, Changed], *, loaded: Loaded) -> tuple[UnitState, ...]:
    """Blocks of `NAME=VALUE` as `systemctl show` prints them, one a unit, parted by an empty line."""
    return tuple(_state(_values(block), changed, loaded) for block in text.strip().split("\n\n") if block.strip())


def _values(block: str) -> dict[str, str]:
    return {name: value for line in block.splitlines() for name, equals, value in [line.partition("=")] if equals}


def _state(values: Mapping[str, str], changed: Mapping[str, Changed], loaded: Loaded) -> UnitState:
    name = values.get("Id", "")
    last = changed.get(name, Changed())
    active = values.get("ActiveState", "")
    runs = active == "active"
    since = _time(values.get("ActiveEnterTimestamp", "")) if runs else None
    read = _read(values, loaded) if runs and last.on_reload is not None else None
    return UnitState(
        name=name,
        active=active or "unknown",
        enabled=values.get("UnitFileState", "") or "not enabled",
        needs_reload=values.get("NeedDaemonReload") == "yes",
        runs_older=_is_older(since, last.at_start),
        config_older=_is_older(read, last.on_reload),
    )


def _read(values: Mapping[str, str], loaded: Loaded) -> datetime | None:
    """When it read its configuration: by its workers, else by the last change of its state, which a reload is."""
    main = values.get("MainPID", "")
    by_workers = loaded(int(main)) if main.isdecimal() else None
    return by_workers or _time(values.get("StateChangeTimestamp", "")) or _time(values.get("ActiveEnterTimestamp", ""))


def _is_older(memory: datetime | None, disk: datetime | None) -> bool:
    return memory is not None and disk is not None and memory + TOLERANCE < disk


def _time(text: str) -> datetime | None:
    digits = text.removeprefix("@")
    return datetime.fromtimestamp(int(digits), UTC) if digits.isdecimal() else None
