"""Apple's chips, to the depth of name and memory: `sysctl` and `system_profiler` of macOS."""

import json
import re

from llmops.domain.host import Gpu
from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass
from llmops.probe.text import whole_number

ANSWER_SECONDS = 15.0
"""`system_profiler` takes seconds."""

NAMES = ("hw.memsize", "machdep.cpu.brand_string", "iogpu.wired_limit_mb", "vm.page_free_count", "hw.pagesize")

SMALL_SHARE, LARGE_SHARE = 2 / 3, 3 / 4
LARGE_BYTES = 36 << 30
"""What Metal may hold by default (recommendedMaxWorkingSetSize): two thirds up to 36 GiB of memory, three quarters above.

Source: what users of llama.cpp see printed at its start; Apple documents only that there is a limit.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppleText:
    """As printed."""

    sysctl: Known[Ran] | Unknown
    profiler: Known[Ran] | Unknown


def ask(runner: Runner) -> AppleText:
    """On macOS only."""
    return AppleText(
        sysctl=runner.run(("sysctl", *NAMES), timeout_seconds=5),
        profiler=runner.run(("system_profiler", "SPDisplaysDataType", "-json"), timeout_seconds=ANSWER_SECONDS),
    )


def read(text: AppleText) -> tuple[Gpu, ...]:
    """One chip whose memory is the host's, as much of it as Metal may hold; none where it is not Apple's."""
    values = read_sysctl(text.sysctl)
    brand, total = values.get("machdep.cpu.brand_string", ""), whole_number(values.get("hw.memsize"))
    name = brand if brand.startswith("Apple") else read_chip(text.profiler)
    if not name:
        return ()
    no = Unknown("not told by macOS")
    limit = (whole_number(values.get("iogpu.wired_limit_mb")) or 0) << 20
    usable = (limit or default_limit_bytes(total)) if total else None
    return (
        Gpu(
            index=0,
            vendor="apple",
            name=Known(name),
            uuid=no,
            memory_bytes=Known(min(usable, total)) if usable and total else no,
            free_bytes=Known(min(usable, total)) if usable and total else no,
            reserved_bytes=no,
            compute_capability=Unknown("a chip of Apple has none"),
            mig_enabled=Known(False),  # noqa: FBT003 - a reading, not a switch
            ecc_errors=no,
            temperature_celsius=no,
            processes=no,
            unified_memory=True,
            row_remapping=no,
            shared_bytes=Known(total) if total else no,
        ),
    )


def default_limit_bytes(total: int) -> int:
    """What Metal may hold where no limit was set."""
    return int(total * (LARGE_SHARE if total > LARGE_BYTES else SMALL_SHARE))


def read_sysctl(ran: Known[Ran] | Unknown) -> dict[str, str]:
    """`name: value` lines; a name the kernel lacks is only missing."""
    if isinstance(ran, Unknown):
        return {}
    pairs = (line.partition(": ") for line in ran.value.stdout.split("\n"))
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}


def read_chip(ran: Known[Ran] | Unknown) -> str | None:
    """The chip of `system_profiler SPDisplaysDataType -json`, if it is Apple's."""
    if isinstance(ran, Unknown):
        return None
    try:
        data = json.loads(ran.value.stdout)
        rows = data["SPDisplaysDataType"]
        names = [str(row.get("sppci_model") or row.get("_name") or "") for row in rows]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    return next((name for name in names if re.match(r"Apple M\d", name)), None)
