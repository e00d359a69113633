"""What serves the cards: engines, Pythons, CUDA, container tools, the driver's files."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.domain.gpu_software import Found, FoundEngine
from llmops.domain.host import Nvidia, NvidiaState
from llmops.domain.programs import Ran
from llmops.domain.reading import NOT_ASKED, Known, Unknown, known
from llmops.probe import (
    amd_programs,
    apple,
    containers,
    cuda,
    cuda_child,
    driver_files,
    engines,
    kernel_log,
    lspci,
    nvidia_smi,
    pythons,
    tegra,
)
from llmops.probe.programs import Programs
from llmops.probe.told import NOT_TOLD, told


def ran(stdout: str = "", *, stderr: str = "", exit_code: int = 0) -> Known[Ran]:
    return Known(Ran(argv=("x",), exit_code=exit_code, stdout=stdout, stderr=stderr))


def put(path: Path, text: str, *, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def environment_with(prefix: Path, packages: dict[str, str]) -> None:
    put(prefix / "pyvenv.cfg", "home = /usr/bin\n")
    for name, version in packages.items():
        info = prefix / f"lib/python3.12/site-packages/{name}-{version}.dist-info"
        put(info / "METADATA", f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n")


def found(root: Path, folder: Path | None = None) -> tuple[FoundEngine, ...]:
    runner = Programs({"PATH": str(folder or "/nonexistent")})
    return engines.read(engines.ask(root, runner, {}))


def test_a_virtual_environment_tells_engine_torch_and_cuda_without_starting_anything(tmp_path: Path) -> None:
    environment_with(tmp_path / "opt/vllm", {"vllm": "0.33.0", "torch": "2.14.0+cu130"})
    (one,) = found(tmp_path)
    assert (one.name, one.found, one.where) == ("vllm", Found.VENV, "/opt/vllm")
    assert (one.version, one.torch_version) == (Known("0.33.0"), Known("2.14.0+cu130"))
    assert (one.build, one.python_version) == (Known("cu130"), Known("3.12"))


def test_an_environment_inside_a_project_is_found_once(tmp_path: Path) -> None:
    environment_with(tmp_path / "home/me/serve/.venv", {"sglang": "0.5.23"})
    (tmp_path / "home/me/serve/.venv/lib64").symlink_to("lib")
    assert [(one.name, one.where) for one in found(tmp_path)] == [("sglang", "/home/me/serve/.venv")]


def test_a_build_of_rocm_is_told_from_one_of_cuda(tmp_path: Path) -> None:
    environment_with(tmp_path / "opt/a", {"vllm": "0.33.0+rocm72"})
    environment_with(tmp_path / "opt/b", {"vllm": "0.33.0"})
    assert [one.build for one in found(tmp_path)] == [Known("rocm72"), Known(None)]


def test_llama_server_names_its_build_and_its_backends(tmp_path: Path) -> None:
    put(tmp_path / "bin/llama-server", "#!/bin/sh\necho 'version: 0.7.0 (build 11669, commit x)' >&2\n", mode=0o755)
    put(tmp_path / "bin/libggml-cuda.so", "")
    put(tmp_path / "bin/libggml-cpu-haswell.so", "")
    (one,) = found(tmp_path / "root", tmp_path / "bin")
    assert (one.name, one.found, one.version) == ("llama.cpp", Found.PATH, Known("b11669"))
    assert one.backends == Known(("cuda", "cpu"))


def test_a_process_is_known_by_its_environment_and_its_key_is_not_kept(tmp_path: Path) -> None:
    environment_with(tmp_path / "opt/vllm", {"vllm": "0.33.0"})
    words = ["/opt/vllm/bin/python3", "/opt/vllm/bin/vllm", "serve", "org/model", "--api-key", "sk-secret"]
    put(tmp_path / "proc/4242/cmdline", "\0".join(words) + "\0")
    process = found(tmp_path)[-1]
    assert (process.found, process.pid, process.version) == (Found.PROCESS, 4242, Known("0.33.0"))
    assert "secret" not in repr(found(tmp_path))


@pytest.mark.parametrize(
    ("words", "engine"),
    [
        (["/usr/bin/llama-server", "-m", "x.gguf"], "llama.cpp"),
        (["python3", "-m", "vllm.entrypoints.openai.api_server"], "vllm"),
        (["python3", "-m", "sglang.launch_server"], "sglang"),
        (["/usr/local/bin/ollama", "serve"], "ollama"),
        (["text-generation-launcher"], "tgi"),
        (["vim", "vllm.py"], None),
        (["bash", "-c", "echo llama-server is not here"], None),
    ],
)
def test_a_running_engine_is_told_by_what_it_starts(words: list[str], engine: str | None) -> None:
    assert engines.read_process(words) == engine


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        ("v0.33.0", "0.33.0"),
        ("0.5.23-cu129", "0.5.23"),
        ("server-cuda-b11669", "b11669"),
        ("latest", None),
        ("full", None),
    ],
)
def test_a_tag_names_a_version_or_none(tag: str, version: str | None) -> None:
    assert known(engines.read_tag(tag)) == version


def test_pythons_are_found_with_whether_they_make_environments(tmp_path: Path) -> None:
    for name, modules in (("python3.12", ("venv", "ensurepip")), ("python3.11", ("venv",))):
        put(tmp_path / f"usr/bin/{name}", f"#!/bin/sh\necho Python {name[6:]}.2\n", mode=0o755)
        put(tmp_path / f"usr/lib/{name}/os.py", "")
        for module in modules:
            put(tmp_path / f"usr/lib/{name}/{module}/__init__.py", "")
    read = pythons.read(pythons.ask(tmp_path, Programs({"PATH": "/nonexistent"})))
    assert [(one.version, one.venv) for one in read if str(tmp_path) in one.path] == [
        (Known("3.11.2"), Known(False)),
        (Known("3.12.2"), Known(True)),
    ]


def test_toolkits_are_counted_once_and_read_from_their_own_files(tmp_path: Path) -> None:
    version = {"cuda": {"name": "CUDA SDK", "version": "13.0.2"}, "nvcc": {"version": "13.0.88"}}
    put(tmp_path / "usr/local/cuda-13.0/version.json", json.dumps(version))
    put(tmp_path / "usr/local/cuda-13.0/bin/nvcc", "")
    put(tmp_path / "usr/local/cuda-10.2/version.txt", "CUDA Version 10.2.89\n")
    (tmp_path / "usr/local/cuda").symlink_to("cuda-13.0")
    text = cuda.ask(tmp_path, Programs({"PATH": "/usr/bin:/bin"}), {"PATH": "/usr/bin:/bin"})
    toolkits = known(cuda.read(text).toolkits) or ()
    assert {(one.path, known(one.version), one.nvcc) for one in toolkits} == {
        ("/usr/local/cuda-13.0", "13.0.2", True),
        ("/usr/local/cuda-10.2", "10.2.89", False),
    }


def test_a_library_that_ends_the_process_leaves_those_before_it() -> None:
    line = json.dumps({"name": "cudnn", "path": "libcudnn.so.9", "version": "9.10.2"})
    read = cuda.read_libraries(ran(line + "\n", exit_code=-11))
    assert [(one.name, one.version) for one in known(read) or ()] == [("cudnn", Known("9.10.2"))]
    assert isinstance(cuda.read_libraries(ran("", exit_code=-11)), Unknown)


@pytest.mark.parametrize(
    ("name", "number", "version"),
    [
        ("cudnn", 91002, "9.10.2"),
        ("cudnn", 8907, "8.9.7"),
        ("nccl", 22705, "2.27.5"),
        ("cudart", 13000, "13.0"),
        ("cudnn", 0, None),
    ],
)
def test_libraries_write_their_version_as_a_number(name: str, number: int, version: str | None) -> None:
    assert cuda_child.words(name, number) == version


def test_nvcc_and_the_container_toolkit_name_their_versions() -> None:
    nvcc = "nvcc: NVIDIA (R) Cuda compiler driver\nCuda compilation tools, release 13.0, V13.0.88\n"
    assert cuda.read_nvcc(ran(nvcc)) == Known("13.0")
    assert containers.read_toolkit(ran("NVIDIA Container Toolkit CLI version 1.17.8\ncommit: x\n")) == Known("1.17.8")
    assert containers.read_toolkit(ran("cli-version: 1.14.3\nlib-version: 1.14.3\n")) == Known("1.14.3")
    assert containers.read_podman(ran("podman version 4.3.1\n")).cdi == Known(True)
    assert containers.read_podman(ran("podman version 3.4.4\n")).cdi == Known(False)


def test_a_specification_names_the_files_that_are_gone(tmp_path: Path) -> None:
    text = "kind: nvidia.com/gpu\ncontainerEdits:\n  mounts:\n  - hostPath: /usr/lib/libcuda.so.535.1\n"
    put(tmp_path / "etc/cdi/nvidia.yaml", text)
    specs = known(containers.read(containers.ask(tmp_path, Programs({"PATH": "/nonexistent"}), {})).cdi_specs) or ()
    assert [(one.path, one.missing) for one in specs] == [("/etc/cdi/nvidia.yaml", ("/usr/lib/libcuda.so.535.1",))]


def driver(root: Path, **files: str) -> driver_files.DriverText:
    for name, text in files.items():
        put(root / name, text)
    return driver_files.ask(root, Programs({"PATH": "/nonexistent"}))


def test_a_module_that_is_built_for_another_kernel_only_is_seen(tmp_path: Path) -> None:
    put(tmp_path / "proc/sys/kernel/osrelease", "6.8.0-61-generic\n")
    put(tmp_path / "lib/modules/6.8.0-61-generic/modules.dep", "kernel/fs/ext4/ext4.ko.zst:\n")
    put(tmp_path / "lib/modules/6.8.0-60-generic/modules.dep", "updates/dkms/nvidia.ko.zst: updates/dkms/x.ko\n")
    read = driver_files.read(driver(tmp_path))
    assert read.module_for_this_kernel == Known(None)
    assert read.other_kernels == Known(("6.8.0-60-generic",))


def test_a_module_without_modinfo_is_there_with_no_version(tmp_path: Path) -> None:
    put(tmp_path / "proc/sys/kernel/osrelease", "6.1.0\n")
    put(tmp_path / "lib/modules/6.1.0/modules.dep", "kernel/nvidia-580/nvidia.ko: \n")
    assert driver_files.read(driver(tmp_path)).module_for_this_kernel == Known("")


@pytest.mark.parametrize(
    ("variable", "mokutil", "is_on"),
    [
        (Known(b"\x06\0\0\0\x01"), Unknown("x"), Known(True)),
        (Known(b"\x06\0\0\0\0"), Unknown("x"), Known(False)),
        (Known(None), Unknown("x"), Known(False)),
        (Unknown("hidden"), ran("SecureBoot enabled\n"), Known(True)),
        (Unknown("hidden"), ran("", stderr="EFI variables are not supported on this system\n"), Known(False)),
        (Unknown("hidden"), Unknown("x"), Unknown("hidden")),
    ],
)
def test_secure_boot_is_read_from_the_firmware_or_mokutil(
    variable: Known[bytes | None] | Unknown, mokutil: Known[Ran] | Unknown, is_on: Known[bool] | Unknown
) -> None:
    assert driver_files.read_secure_boot(variable, mokutil) == is_on


@pytest.mark.parametrize(
    ("modprobe", "command_line", "is_blocked"),
    [
        ("blacklist nouveau\noptions nouveau modeset=0\n", "", True),
        ("# blacklist nouveau\n", "", False),
        ("", "quiet rd.driver.blacklist=nouveau,x", True),
        ("", "quiet splash", False),
    ],
)
def test_nouveau_is_kept_out_by_a_file_or_at_boot(modprobe: str, command_line: str, is_blocked: bool) -> None:
    assert driver_files.blocks_nouveau(modprobe, command_line) is is_blocked


def test_the_librarys_version_is_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "usr/lib/x86_64-linux-gnu"
    put(folder / "libnvidia-ml.so.570.124.06", "")
    (folder / "libnvidia-ml.so.1").symlink_to("libnvidia-ml.so.570.124.06")
    assert driver_files.read(driver(tmp_path)).library_version == Known("570.124.06")
    assert driver_files.read_library(()) == Known(None)
    assert isinstance(driver_files.read_library(("libnvidia-ml.so.1.0", "libnvidia-ml.so.2.0")), Unknown)


SYSCTL = (
    "hw.memsize: 68719476736\nmachdep.cpu.brand_string: Apple M3 Max\niogpu.wired_limit_mb: 0\nhw.pagesize: 16384\n"
)


def test_a_mac_is_one_chip_with_the_hosts_memory_as_far_as_metal_may_hold_it() -> None:
    (chip,) = apple.read(apple.AppleText(sysctl=ran(SYSCTL), profiler=Unknown("x")))
    assert (known(chip.name), chip.vendor, chip.unified_memory) == ("Apple M3 Max", "apple", True)
    assert known(chip.memory_bytes) == 48 << 30
    assert known(chip.shared_bytes) == 64 << 30


def test_a_limit_that_was_set_is_the_limit() -> None:
    (chip,) = apple.read(
        apple.AppleText(sysctl=ran(SYSCTL.replace("limit_mb: 0", "limit_mb: 57344")), profiler=Unknown("x"))
    )
    assert known(chip.memory_bytes) == 56 << 30


def test_an_intel_mac_has_no_chip_to_plan_for() -> None:
    text = SYSCTL.replace("Apple M3 Max", "Intel(R) Core(TM) i9")
    profiler = ran(json.dumps({"SPDisplaysDataType": [{"sppci_model": "AMD Radeon Pro 5500M"}]}))
    assert apple.read(apple.AppleText(sysctl=ran(text), profiler=profiler)) == ()


def jetson(root: Path, *, node: bool = True) -> Nvidia:
    put(root / "proc/device-tree/model", "NVIDIA Jetson AGX Orin Developer Kit\0")
    put(root / "proc/device-tree/compatible", "nvidia,p3737-0000+p3701-0000\0nvidia,p3701-0000\0nvidia,tegra234\0")
    put(
        root / "etc/nv_tegra_release", "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64\n"
    )
    if node:
        put(root / "dev/nvhost-gpu", "")
    absent = Nvidia(state=NvidiaState.LIBRARY_ABSENT, detail="x", driver=Unknown("x"), gpus=())
    return tegra.read(tegra.ask(root), absent)


def test_a_jetson_without_nvml_is_one_card_that_shares_the_hosts_memory(tmp_path: Path) -> None:
    read = jetson(tmp_path)
    (gpu,) = read.gpus
    assert (read.state, known(gpu.name)) == (NvidiaState.READY, "NVIDIA Jetson AGX Orin Developer Kit")
    assert (known(gpu.compute_capability), gpu.unified_memory) == ("8.7", True)
    assert isinstance(read.driver, Known)
    assert read.driver.value.version == "35.4.1"


def test_a_jetson_whose_driver_is_not_there_is_not_ready(tmp_path: Path) -> None:
    assert jetson(tmp_path, node=False).state is NvidiaState.DRIVER_NOT_LOADED


def test_another_board_is_no_jetson(tmp_path: Path) -> None:
    put(tmp_path / "proc/device-tree/compatible", "raspberrypi,5-model-b\0brcm,bcm2712\0")
    assert tegra.ask(tmp_path) is None


def test_what_is_not_told_says_so() -> None:
    assert told(Known((NOT_ASKED, Known(1)))) == Known((NOT_TOLD, Known(1)))


ANY = st.text(st.sampled_from("abc0123456789AF:.,-=\"' \t\n()[]{}/\\\0\ud800é²"), max_size=200)


@given(ANY, ANY)
def test_no_text_makes_a_reader_raise(one: str, two: str) -> None:
    """Law: for any text there is a reading or an unknown."""
    answer = ran(one, stderr=two)
    log = kernel_log.read_text(answer, what="dmesg")
    kernel_log.read_xids(log)
    kernel_log.read_rejected(Known(one))
    nvidia_smi.read(answer)
    lspci.read(answer)
    amd_programs.read_amd_smi(answer)
    amd_programs.read_rocm_smi(answer)
    engines.read_images(answer)
    engines.read_tag(one)
    engines.read_process(one.split())
    containers.read_docker(answer, answer)
    containers.read_podman(answer)
    containers.read_toolkit(answer)
    containers.read_spec(containers.SpecText(path="x", text=Known(one), missing=()))
    cuda.read_libraries(answer)
    cuda.read_nvcc(answer)
    cuda.read_toolkit(cuda.ToolkitText(path=one, version_json=one, version_txt=two, nvcc=False))
    driver_files.read_service(answer, driver_files.FABRIC)
    driver_files.read_library((one, two))
    driver_files.blocks_nouveau(one, two)
    apple.read(apple.AppleText(sysctl=answer, profiler=answer))
    pythons.read_version(answer)
