"""Sources of cards and of what serves them, read from what they printed: quoted and composed cases in tests/recorded/graphics."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from llmops.domain.forms import Json, dump
from llmops.domain.programs import Ran
from llmops.domain.reading import Known
from llmops.probe import amd, amd_programs, containers, driver_files, engines, intel, kernel_log, lspci, nvidia_smi
from llmops.probe.programs import Programs

RECORDED = Path(__file__).parent / "recorded" / "graphics"
NO_PROGRAMS = Programs({"PATH": "/nonexistent"})


def read_log(ran: Known[Ran]) -> Json:
    log = kernel_log.read_text(ran, what="dmesg")
    return {"xids": dump(kernel_log.read_xids(log)), "rejected": dump(kernel_log.read_rejected(log))}


def read_smi(ran: Known[Ran]) -> Json:
    source, gpus = nvidia_smi.read(ran)
    return {"source": dump(source), "gpus": without_unknown(dump(gpus))}


def read_services(ran: Known[Ran]) -> Json:
    names = (driver_files.FABRIC, driver_files.PERSISTENCE)
    return {name: dump(driver_files.read_service(ran, name)) for name in names}


def read_cdi(ran: Known[Ran]) -> Json:
    text = ran.value.stdout
    missing = containers.host_files(text)
    return dump(containers.read_spec(containers.SpecText(path="/etc/cdi/x", text=Known(text), missing=missing)))


def read_amd(root: Path) -> Json:
    gpus, files, sources = amd.read(amd.ask(root, NO_PROGRAMS))
    shown = without_unknown(dump(files))
    return {"gpus": without_unknown(dump(gpus)), "files": shown, "sources": [dump(one) for one in sources[:1]]}


PRINTED: dict[str, Callable[[Known[Ran]], Json]] = {
    "kernel_log": read_log,
    "nvidia_smi": read_smi,
    "rocm_smi": lambda ran: dump(amd_programs.read_rocm_smi(ran)),
    "amd_smi": lambda ran: dump(amd_programs.read_amd_smi(ran)),
    "lspci": lambda ran: dump(lspci.read(ran)),
    "cdi": read_cdi,
    "docker_info": lambda ran: dump(containers.read_docker(ran, None)),
    "systemctl_show": read_services,
    "images": lambda ran: dump(engines.read_images(ran)),
}
FILES: dict[str, Callable[[Path], Json]] = {
    "amd": read_amd,
    "intel": lambda root: without_unknown(dump(intel.read(intel.ask(root)))),
}


def without_unknown(data: Json) -> Json:
    """Only what is known: what one source cannot tell is no news of it. Memory stays, with its reason."""
    match data:
        case dict():
            kept = {key: without_unknown(item) for key, item in data.items() if not is_unknown(key, item)}
            return {key: item for key, item in kept.items() if item != {}}
        case list():
            return [without_unknown(item) for item in data]
        case _:
            return data


def is_unknown(key: str, item: Json) -> bool:
    return (
        isinstance(item, dict)
        and set(item) == {"unknown"}
        and key not in ("memory_bytes", "free_bytes", "architecture")
    )


def cases(source: str) -> list[str]:
    return sorted(folder.name for folder in (RECORDED / source).iterdir() if folder.is_dir())


def ran(folder: Path) -> Known[Ran]:
    def text(name: str) -> str:
        path = folder / name
        return path.read_text() if path.exists() else ""

    code = int(text("exit_code.txt") or 0)
    return Known(Ran(argv=("x",), exit_code=code, stdout=text("stdout.txt"), stderr=text("stderr.txt")))


def check(reading: Json, folder: Path) -> None:
    """The reading is the recorded one; `LLMOPS_RECORD=1` writes it, to be read by a person."""
    path = folder / "reading.json"
    if os.environ.get("LLMOPS_RECORD"):
        path.write_text(json.dumps(reading, indent=2) + "\n")
    assert reading == json.loads(path.read_text())


@pytest.mark.parametrize(("source", "case"), [(source, case) for source in PRINTED for case in cases(source)])
def test_what_a_program_printed_reads_as_it_was_understood(source: str, case: str) -> None:
    check(PRINTED[source](ran(RECORDED / source / case)), RECORDED / source / case)


@pytest.mark.parametrize(("source", "case"), [(source, case) for source in FILES for case in cases(source)])
def test_a_cards_files_read_as_they_were_understood(source: str, case: str) -> None:
    check(FILES[source](RECORDED / source / case / "root"), RECORDED / source / case)


def test_every_case_is_in_the_table_with_its_source() -> None:
    table = (RECORDED / "README.md").read_text()
    missing = [
        f"{source}/{case}"
        for source in (*PRINTED, *FILES)
        for case in cases(source)
        if f"`{source}/{case}`" not in table
    ]
    assert missing == []
