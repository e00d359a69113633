"""Whole hosts made of files and stand-in programs: what the sources say of the cards, together."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmops.domain.engine import DeviceKind
from llmops.domain.host import HostFacts
from llmops.domain.reading import Known, Unknown, known
from llmops.formats import catalogue, devices
from llmops.library import shipped
from llmops.probe import engines, examine, graphics, nvidia_smi
from llmops.probe.programs import Programs

HERE = Path(__file__).parent
ROWS = catalogue.gpus(shipped.text("catalogue", "gpus.json"))


def host(state: str, folder: Path) -> HostFacts:
    """The facts of a fake host; no library of NVML is in sight."""
    command = [sys.executable, str(HERE / "fake_host.py"), str(folder), "--state", state]
    subprocess.run(command, check=True, capture_output=True)
    environment = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "HOME": str(folder)}
    runner = Programs(environment)
    return examine(
        root=folder / "root", runner=runner, disk_paths=(), environment=environment | {"LD_LIBRARY_PATH": ""}
    )


def source(facts: HostFacts, name: str) -> object:
    return next(one.cards for one in facts.gpu_sources if one.name == name)


pytestmark = pytest.mark.skipif(
    any((Path(place) / "libnvidia-ml.so.1").exists() for place in ("/usr/lib/x86_64-linux-gnu", "/usr/lib64")),
    reason="this machine has NVIDIA's library: its cards would be seen",
)


def test_nvidia_smi_stands_in_where_nvml_cannot_be_asked(tmp_path: Path) -> None:
    facts = host("ok", tmp_path)
    assert [known(gpu.name) for gpu in facts.nvidia.gpus] == ["NVIDIA GeForce RTX 4090"] * 2
    assert [known(gpu.memory_bytes) for gpu in facts.nvidia.gpus] == [24564 << 20] * 2
    assert not isinstance(facts.nvidia.driver, Unknown)
    assert facts.nvidia.driver.value.version == "570.124.06"
    assert facts.driver_files.open_module == Known(True)
    cards, _ = devices.from_facts(facts, ROWS)
    assert [card.kind for card in cards] == [DeviceKind.CUDA] * 2


@pytest.mark.parametrize("state", ["mismatch", "nouveau", "noise"])
def test_a_driver_that_does_not_answer_shows_no_card_and_says_why(state: str, tmp_path: Path) -> None:
    facts = host(state, tmp_path)
    assert facts.nvidia.gpus == ()
    cards = source(facts, "nvidia-smi")
    assert isinstance(cards, Unknown)
    assert "said" in cards.reason
    for name in ("sysfs", "lspci"):
        shown = source(facts, name)
        assert isinstance(shown, Known)
        assert [card.address for card in shown.value] == ["0000:01:00.0", "0000:02:00.0"]


def test_the_kernels_log_tells_of_a_lost_card(tmp_path: Path) -> None:
    xids = host("xid79", tmp_path).xids
    assert isinstance(xids, Known)
    assert [(one.address, one.code) for one in xids.value] == [("0000:02:00.0", 79)]


def test_the_kernels_log_tells_of_a_double_bit_error(tmp_path: Path) -> None:
    xids = host("xid48", tmp_path).xids
    assert isinstance(xids, Known)
    assert [(one.address, one.code, one.count) for one in xids.value] == [("0000:01:00.0", 48, 1)]


@pytest.mark.parametrize("state", ["amd", "amd-low-power"])
def test_cards_of_amd_are_read_and_planned_for(state: str, tmp_path: Path) -> None:
    facts = host(state, tmp_path)
    gpus = known(facts.other_gpus) or ()
    assert [(gpu.vendor, known(gpu.name), known(gpu.memory_bytes)) for gpu in gpus] == [
        ("amd", "Radeon RX 7900 XTX", 25753026560)
    ] * 2
    cards, _ = devices.from_facts(facts, ROWS)
    assert [card.kind for card in cards] == [DeviceKind.ROCM] * 2
    assert cards[0].free_bytes == 25753026560 - 27262976
    assert cards[0].bandwidth_gb_s == 960
    assert devices.left_out(facts) == ()


def test_a_host_without_a_card_has_none_of_any_maker(tmp_path: Path) -> None:
    facts = host("none", tmp_path)
    assert (facts.nvidia.gpus, facts.other_gpus) == ((), Known(()))
    assert devices.from_facts(facts, ROWS)[0] == ()


def test_a_program_that_never_answers_is_given_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia_smi, "ANSWER_SECONDS", 0.5)
    start = time.monotonic()
    facts = host("hang", tmp_path)
    assert time.monotonic() - start < 10
    assert source(facts, "nvidia-smi") == Unknown("`nvidia-smi` did not answer within 0.5 s")


def test_a_search_that_hangs_is_given_up_on_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home directory on a network disk whose server is gone."""
    monkeypatch.setattr(graphics, "LIMIT_SECONDS", 0.3)
    monkeypatch.setattr(engines, "ask", lambda *_: time.sleep(60))
    facts = host("none", tmp_path)
    assert facts.engines == Unknown("the search for engines did not answer in time")


def test_nothing_here_says_it_was_never_looked_at(tmp_path: Path) -> None:
    """Facts made now have a reason of their own for all that is not known of cards and software."""
    facts = host("amd", tmp_path)
    for part in (
        facts.nvidia,
        facts.other_gpus,
        facts.gpu_sources,
        facts.driver_files,
        facts.amd,
        facts.cuda,
        facts.engines,
    ):
        assert "before this was looked at" not in repr(part)


def test_sources_that_answer_hold_nothing_up() -> None:
    start = time.monotonic()
    examine(runner=Programs(os.environ), disk_paths=(), environment=os.environ)
    assert time.monotonic() - start < 6.0  # alone it takes 0.3 s; this suite shares its cores with others
