"""The lines that install what is missing: for this system, driver and card, on a host that is fresh."""

# ruff: noqa: ANN401 - a field is of that field's own type

import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import hosts
import pytest
from hosts import LOST, cpu, gpu, host, kernel_side, nvidia, system, without_nvml
from spoiled_hosts import finding, judge

from llmops.checks import judgements
from llmops.domain.finding import Status
from llmops.domain.gpu import Virtualization
from llmops.domain.gpu_software import AmdFiles, Containers, Cuda, CudaToolkit, Python
from llmops.domain.host import Container, Driver, HostFacts, NvidiaState
from llmops.domain.reading import Known
from llmops.views.fix_script import Step, fix_script

OLD = Known(Driver(version="580.95.05", cuda=LOST))
NO_CUDA = Cuda(nvcc_on_path=Known(None), toolkits=Known(()), libraries=Known(()))
NO_CARD: dict[str, Any] = {
    "nvidia": without_nvml(NvidiaState.LIBRARY_ABSENT),
    "kernel_side": Known(kernel_side(modules=(), nvidia_version=None)),
}


def bare(driver: str = "580.178.04", capability: str = "8.9", **changes: Any) -> HostFacts:
    """A host with a card, and nothing that serves."""
    cards = nvidia(gpu(compute_capability=Known(capability)), driver=Known(Driver(version=driver, cuda=LOST)))
    facts: dict[str, Any] = {"tools": (), "engines": Known(()), "nvidia": cards, "cuda": NO_CUDA, **changes}
    return host(**facts)


def with_amd(architecture: str, *, rocm: str | None) -> HostFacts:
    is_open: Known[bool | None] = Known(True)
    radeon = replace(gpu(vendor="amd"), architecture=Known(architecture))
    return bare(
        **NO_CARD,
        other_gpus=Known((radeon,)),
        amd=AmdFiles(kfd_usable=is_open, rocm_version=Known(rocm)),
    )


def with_containers(*engines: str) -> HostFacts:
    found = tuple(replace(hosts.docker(), name=name) for name in engines)
    return bare(containers=Containers(toolkit_version=Known(None), cdi_specs=Known(()), engines=Known(found)))


def engine_fix(facts: HostFacts) -> str:
    return finding("ENG001", facts).fix or ""


def lines_of(facts: HostFacts) -> Iterator[str]:
    """Every fix of a host, as a person reads it."""
    for one in judge(facts):
        if one.status in (Status.WARN, Status.FAIL) and one.fix is not None and "apt-get" in one.fix:
            yield one.fix


def script_of(facts: HostFacts) -> str:
    steps = [
        Step(code=check.code, status=one.status, message=one.message, fix=one.fix or check.fix, commands=one.script)
        for check, one in judgements(facts, hosts.references())
        if one.status in (Status.WARN, Status.FAIL)
    ]
    return fix_script(steps, host="a host")


ALL = {
    "a card": bare(),
    "ubuntu": bare(system=system(os_id="ubuntu", os_version="24.04")),
    "old card": bare(capability="6.1"),
    "arm64": bare(capability="12.1", cpu=Known(cpu(architecture="aarch64"))),
    "wsl": bare(system=system(os_id="ubuntu", os_version="24.04", is_wsl=True)),
    "no card": bare(**NO_CARD),
    "forky": bare(**NO_CARD, system=system(os_version="14", os_name="Debian GNU/Linux forky")),
    "amd": with_amd("gfx1100", rocm="7.2.0"),
    "amd without ROCm": with_amd("gfx1100", rocm=None),
    "docker": with_containers("docker"),
    "podman": with_containers("podman"),
    "no driver": bare(
        nvidia=without_nvml(NvidiaState.LIBRARY_ABSENT),
        kernel_side=Known(kernel_side(hosts.card(), nvidia_version=None, modules=())),
    ),
}


@pytest.mark.parametrize("name", ALL)
def test_lines_are_sound_shell_and_the_package_lists_are_read_before_the_first_package(name: str) -> None:
    found = list(lines_of(ALL[name]))
    assert found
    for fix in found:
        lines = [line for line in fix.splitlines() if not line.startswith(("#", "upgrade "))]
        assert subprocess.run(["sh", "-n"], input="\n".join(lines), text=True, check=False, timeout=30).returncode == 0
        first = next(at for at, line in enumerate(lines) if line.startswith("apt-get install"))
        assert "apt-get update" in lines[:first], fix


@pytest.mark.parametrize("name", ALL)
def test_after_every_new_archive_the_script_reads_the_package_lists_again(name: str) -> None:
    lines = script_of(ALL[name]).splitlines()
    for at, line in enumerate(lines):
        if line.startswith("dpkg -i ") or "/etc/apt/sources.list.d/" in line:
            assert lines[at + 1] == "apt-get update"


def test_two_archives_in_one_script_are_both_read() -> None:
    script = script_of(with_containers("docker"))
    assert "cuda-keyring" in script
    assert "nvidia-container-toolkit.list" in script
    assert script.count("apt-get update") == 4  # before and after each


@pytest.mark.parametrize(
    ("driver", "capability", "wheel"),
    [
        ("580.178.04", "9.0", "vllm==0.33.0"),
        ("570.124.06", "9.0", "vllm==0.19.1"),
        ("570.124.06", "12.0", "vllm==0.19.1"),
        ("550.90.07", "9.0", "vllm==0.19.1"),
        ("550.90.07", "10.0", None),
        ("580.178.04", "6.1", None),
        ("470.256.02", "8.0", None),
    ],
)
def test_a_missing_engines_fix_is_for_this_driver_and_card(driver: str, capability: str, wheel: str | None) -> None:
    fix = engine_fix(bare(driver, capability))
    assert "-DGGML_CUDA=ON" in fix
    assert (wheel in fix) if wheel is not None else ("vllm==" not in fix)


@pytest.mark.parametrize(
    ("driver", "capability", "toolkit"),
    [
        ("580.178.04", "8.9", "cuda-toolkit-13-0"),
        ("580.178.04", "12.1", "cuda-toolkit-13-0"),
        ("580.178.04", "6.1", "cuda-toolkit-12-9"),  # CUDA 13 has no Pascal
        ("580.178.04", "7.0", "cuda-toolkit-12-9"),
        ("570.211.01", "12.0", "cuda-toolkit-12-9"),
        ("535.274.02", "8.6", "cuda-toolkit-12-9"),  # any CUDA 12 runs on it
        ("470.256.02", "8.6", None),
    ],
)
def test_cudas_compiler_is_one_that_driver_and_card_take(driver: str, capability: str, toolkit: str | None) -> None:
    found = re.findall(r"cuda-toolkit-\S+", engine_fix(bare(driver, capability)))
    assert found == ([toolkit] if toolkit is not None else [])


def test_a_compiler_that_is_here_is_taken_where_it_knows_the_card() -> None:
    on_path = replace(NO_CUDA, nvcc_on_path=Known("12.8"))
    assert "cuda-toolkit" not in engine_fix(bare(cuda=on_path))
    assert "cuda-toolkit-13-0" in engine_fix(bare(capability="12.1", cuda=on_path))
    beside = CudaToolkit(path="/usr/local/cuda-13.0", version=Known("13.0.88"), nvcc=True)
    fix = engine_fix(bare(cuda=replace(NO_CUDA, toolkits=Known((beside,)))))
    assert "-DCMAKE_CUDA_COMPILER=/usr/local/cuda-13.0/bin/nvcc" in fix
    assert "cuda-keyring" not in fix


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("a card", "debian12/x86_64"),
        ("ubuntu", "ubuntu2404/x86_64"),
        ("arm64", "debian12/sbsa"),
        ("wsl", "wsl-ubuntu/x86_64"),
    ],
)
def test_nvidias_archive_is_that_of_the_system(name: str, place: str) -> None:
    assert f"/cuda/repos/{place}/cuda-keyring_1.1-1_all.deb" in engine_fix(ALL[name])


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"system": system(is_wsl=True)}, "Windows"),
        ({"system": system(os_id="ubuntu", os_version="24.04", is_wsl=True)}, "Windows"),
        ({"system": system(container=Known(Container.DOCKER))}, "container's host"),
        ({"nvidia": nvidia(gpu(virtualization=Known(Virtualization.VGPU)), driver=OLD)}, "hypervisor"),
    ],
)
def test_a_driver_that_another_system_hands_in_is_not_installed_here(changes: dict[str, Any], word: str) -> None:
    facts = bare("580.95.05", **changes)
    fix = finding("GPU008", facts).fix or ""
    assert word in fix
    assert "nvidia-open" not in script_of(facts)
    assert "nvidia-headless" not in script_of(facts)
    assert "nvidia-open" in (finding("GPU008", bare("580.95.05")).fix or "")


def test_vllm_gets_a_compiler_and_a_python_that_it_is_made_for() -> None:
    assert "apt-get install -y python3-venv python3-dev gcc" in engine_fix(bare())
    old = Known((Python(path="/usr/bin/python3", version=Known("3.10.12"), venv=hosts.YES),))
    assert "uv venv --python 3.12" in engine_fix(bare(pythons=old))
    assert "uv venv" not in engine_fix(bare("570.124.06", pythons=old))  # 0.19.1 takes 3.10


def test_without_a_card_the_fix_builds_for_the_cpu_with_its_threads() -> None:
    fix = engine_fix(ALL["no card"])
    assert "CUDA" not in fix
    assert "-j 64" in fix
    assert "llama.cpp-tools" in engine_fix(ALL["forky"])


def test_a_card_whose_driver_is_missing_gets_no_build_for_the_cpu() -> None:
    found = finding("ENG001", ALL["no driver"])
    assert "GPU001" in (found.fix or "")
    assert "cmake" not in script_of(ALL["no driver"])


def test_amds_cards_get_the_rocm_builds_by_name() -> None:
    fix = engine_fix(ALL["amd"])
    assert "-DGGML_HIP=ON -DGPU_TARGETS='gfx1100'" in fix
    assert "docker pull vllm/vllm-openai-rocm:v0.33.0" in fix
    assert "OLLAMA_VERSION=" in fix
    assert "vllm" not in engine_fix(with_amd("gfx1032", rocm="7.2.0"))


def test_without_rocm_amds_cards_get_vulkan() -> None:
    fix = engine_fix(ALL["amd without ROCm"])
    assert "-DGGML_VULKAN=ON" in fix
    assert "spirv-headers" in fix
    assert "hipconfig" not in fix
    assert '-DVulkan_INCLUDE_DIR="$PWD/Vulkan-Headers/include"' in fix  # Debian 12's own are too old
    newer = replace(with_amd("gfx1100", rocm=None), system=system(os_version="13"))
    assert "Vulkan-Headers" not in engine_fix(newer)


def test_ollamas_installer_finds_what_it_needs_and_takes_one_version() -> None:
    fix = engine_fix(bare())
    assert "zstd\ncurl -fsSL -o ollama-install.sh https://ollama.com/install.sh\n" in fix
    assert "\nOLLAMA_VERSION=0.40.0 sh ollama-install.sh" in fix


def test_no_download_goes_into_a_pipe_that_would_hide_its_failure() -> None:
    """gpg alone refuses an empty key; a shell is content with nothing."""
    for facts in ALL.values():
        for fix in lines_of(facts):
            assert not re.search(r"curl [^\n]*\|(?! *gpg)", fix), fix


def test_the_toolkit_is_told_to_the_container_engine_that_is_here() -> None:
    docker, podman = (finding("CTR001", ALL[name]).fix or "" for name in ("docker", "podman"))
    assert "systemctl restart docker" in docker
    assert "cdi generate" not in docker
    assert "systemctl restart docker" not in podman
    assert "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml" in podman
