"""From the measured disk to the seconds of loading, and to the time a service is given to start."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import workstation

from llmops.domain.forms import dump, load
from llmops.domain.host import HostFacts
from llmops.domain.reading import Known, Unknown, known
from llmops.domain.storage import DiskSpeed
from llmops.formats.devices import read_bytes_per_second
from llmops.formats.facts import facts_digest


def speed(median: int) -> DiskSpeed:
    return DiskSpeed(
        median_bytes_per_second=median,
        low_bytes_per_second=median // 2,
        high_bytes_per_second=median * 2,
        rounds=5,
        read_bytes=1 << 30,
        file_bytes=1 << 28,
        block_bytes=4 << 20,
        requests=4,
    )


def measured(*speeds: int | None) -> HostFacts:
    """The workstation, its first disk once for each speed; None: not measured."""
    (first, *_) = known(workstation.FACTS.disks) or ()
    disks = tuple(
        replace(first, path=f"/disk{at}", speed=Unknown("no space") if one is None else Known(speed(one)))
        for at, one in enumerate(speeds)
    )
    return replace(workstation.FACTS, disks=Known(disks))


def plan(facts: HostFacts, folder: Path) -> dict[str, Any]:
    (folder / "facts.json").write_text(json.dumps(dump(facts)))
    done = subprocess.run(
        [sys.executable, "-m", "llmops", "plan", "qwen3-8b", "--facts", "facts.json", "--json"],
        cwd=folder, capture_output=True, check=True, timeout=60, env={**os.environ},
    )  # fmt: skip
    document: dict[str, Any] = json.loads(done.stdout)
    found: dict[str, Any] = document["result"]["plan"]["speed"]["load_seconds"]
    return found


def test_the_first_measured_disk_counts() -> None:
    assert read_bytes_per_second(measured(None, 300_000_000, 900_000_000)) == 3e8
    assert read_bytes_per_second(measured(None)) is None
    assert read_bytes_per_second(replace(workstation.FACTS, disks=Unknown("no permission"))) is None


def test_a_facts_file_carries_the_figure_and_its_digest_does_not_hang_on_it() -> None:
    facts = measured(500_000_000)
    assert load(HostFacts, dump(facts)) == facts
    assert facts_digest(facts) == facts_digest(measured(2_000_000_000)) == facts_digest(measured(None))


def test_a_plan_takes_as_long_to_load_as_the_disk_of_the_facts_does(tmp_path: Path) -> None:
    slow, fast = plan(measured(200_000_000), tmp_path), plan(measured(2_000_000_000), tmp_path)
    assert "measured 200 MB/s" in slow["basis"]
    # the fixed part of a start is the same, so what differs is the weights: ten times as long
    fixed = (10 * fast["value"] - slow["value"]) / 9
    assert slow["value"] - fixed == pytest.approx(10 * (fast["value"] - fixed))
    assert "assumed" in plan(measured(None), tmp_path)["basis"]


def test_the_time_a_service_is_given_to_start_follows_the_measured_disk() -> None:
    from test_sizing_numbers import estimate, of

    from llmops.domain.plan import Speed

    quick, slow = (of(speed=Speed(load_seconds=estimate(seconds))).start_timeout_seconds for seconds in (5.0, 200.0))
    assert (quick.value, slow.value) == (120, 660)
    assert "loading: " in slow.rule
