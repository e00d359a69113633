"""ENG: the programs that serve a model."""

from llmops.checks.check import Check, Judgement, ok, unknown, warn
from llmops.checks.gpu import version
from llmops.domain.host import HostFacts, Tool
from llmops.domain.reading import Known, Unknown, known

ENGINES = ("llama-server", "vllm", "sglang", "ollama")

LLAMA_CPP_BUILD = 11669
"""The build llama.cpp's memory model was checked on."""

SAFE_FROM: dict[str, tuple[tuple[int, ...], str]] = {
    "llama-server": ((11393,), "b11393"),
    "vllm": ((0, 33, 0), "0.33.0"),
    "sglang": ((0, 5, 21), "0.5.21"),
    "ollama": ((0, 35, 0), "0.35.0"),
}
"""First versions without the holes of the server that are published (CVE records, PyPA advisory database, OSV; early November
2026, not complete). llama.cpp's of rpc-server, fixed in b11865, is left out: nothing rendered here starts that."""

VLLM_NEWEST = ("0.33.0", (580,), "R580 or newer")
VLLM_LAST_CUDA_12 = ("0.19.1", (525, 60, 13), "CUDA 12 drivers")
"""The wheel on the index and the driver its CUDA asks for (package metadata of each release; CUDA minor-version rules)."""

BLACKWELL_DRIVER = (570,)
VLLM_CAPABILITY = (7, 5)


def an_engine_is_installed(host: HostFacts) -> Judgement:
    """At least one, and it says its version."""
    found = [tool for tool in host.tools if tool.name in ENGINES and tool.path is not None]
    if not found:
        return warn(f"no engine found ({', '.join(ENGINES)})", install_lines(host))
    able = [tool for tool in found if isinstance(tool.version, Known)]
    if able:
        return ok(", ".join(_named(tool) for tool in able))
    return unknown(_reason(found[0]), f"{found[0].path}")


def llama_server_is_the_build_ledgers_were_checked_on(host: HostFacts) -> Judgement | None:
    """b11669."""
    tool = _installed(host, "llama-server")
    if tool is None:
        return None
    if isinstance(tool.version, Unknown):
        return unknown(tool.version, "llama-server")
    build = _numbers(tool.version.value)
    if build is None:
        return unknown(Unknown(f"not a build: `{tool.version.value}`"), "llama-server")
    if build != (LLAMA_CPP_BUILD,):
        return warn(f"llama-server {tool.version.value}: memory is computed as b{LLAMA_CPP_BUILD} takes it")
    return ok(f"llama-server {tool.version.value}")


def engines_have_no_known_hole(host: HostFacts) -> Judgement | None:
    """Each is at or after the first version without published holes of its server."""
    found = [tool for name in SAFE_FROM if (tool := _installed(host, name)) is not None]
    if not found:
        return None
    old: list[str] = []
    unsure: list[Judgement] = []
    for tool in found:
        numbers = _numbers(known(tool.version) or "")
        least, text = SAFE_FROM[tool.name]
        if numbers is None:
            unsure.append(unknown(_reason(tool), tool.name))
        elif numbers < least:
            old.append(f"{_named(tool)} has published security holes, fixed in {text}")
    if old:
        return warn("; ".join(old))
    return unsure[0] if unsure else ok("no published hole is known of the versions found")


def install_lines(host: HostFacts) -> str:
    """Commands that install an engine here: llama.cpp for this system and card, and vLLM where driver and card allow it."""
    if host.nvidia.state.is_fault():
        return "first see to the driver (GPU001): which engine to install depends on the card"
    lines = list(_llama_cpp_lines(host))
    vllm = _vllm_version(host)
    if vllm is not None:
        wheel, drivers = vllm
        lines += [
            f"# vLLM, the wheel for {drivers}:",
            "python3 -m venv /opt/vllm",
            f"/opt/vllm/bin/pip install vllm=={wheel}",
            "ln -s /opt/vllm/bin/vllm /usr/local/bin/vllm",
        ]
    return "\n".join(lines)


def _llama_cpp_lines(host: HostFacts) -> tuple[str, ...]:
    """Debian has llama.cpp as a package from forky on; elsewhere it is built, for the cards that are here."""
    system = host.system
    if system.os_id == "debian" and not host.nvidia.gpus and _is_forky(system.os_version, system.os_name):
        return ("# llama.cpp for the CPU:", "apt-get install llama.cpp-tools")
    cards = ("-DGGML_CUDA=ON ", "CUDA (needs the CUDA toolkit's nvcc)") if host.nvidia.gpus else ("", "the CPU")
    threads = host.cpu.value.threads if isinstance(host.cpu, Known) else 2
    return (
        f"# llama.cpp for {cards[1]}:",
        "apt-get install git build-essential cmake",
        f"git clone --depth 1 --branch b{LLAMA_CPP_BUILD} https://github.com/ggml-org/llama.cpp",
        # one file without libraries of its own, so that it can be copied to where the unit finds it
        f"cmake -S llama.cpp -B llama.cpp/build {cards[0]}-DBUILD_SHARED_LIBS=OFF",
        f"cmake --build llama.cpp/build --target llama-server -j {threads}",
        "install llama.cpp/build/bin/llama-server /usr/local/bin/",
    )


def _is_forky(os_version: str, os_name: str) -> bool:
    numbers = version(os_version)
    return "forky" in os_name or (numbers is not None and numbers >= (14,))


def _vllm_version(host: HostFacts) -> tuple[str, str] | None:
    """The newest wheel for this driver and all of its cards, and which drivers that is for; None where none runs."""
    driver = known(host.nvidia.driver)
    have = version(driver.version) if driver is not None else None
    capabilities = [version(known(gpu.compute_capability) or "") for gpu in host.nvidia.gpus]
    if have is None or not capabilities or any(one is None or one < VLLM_CAPABILITY for one in capabilities):
        return None
    for wheel, least, drivers in (VLLM_NEWEST, VLLM_LAST_CUDA_12):
        if have >= least:
            is_blackwell = any(one is not None and one >= (10, 0) for one in capabilities)
            return None if is_blackwell and have < BLACKWELL_DRIVER else (wheel, drivers)
    return None


def _installed(host: HostFacts, name: str) -> Tool | None:
    return next((tool for tool in host.tools if tool.name == name and tool.path is not None), None)


def _numbers(text: str) -> tuple[int, ...] | None:
    """`b11669` or `0.33.0` as numbers; what follows them (`0.33.0+cu129`, `0.5.23rc1`) is left out."""
    plain = text.removeprefix("b").split("+", 1)[0].split("rc", 1)[0]
    return version(plain)


def _named(tool: Tool) -> str:
    """`llama-server b11669`."""
    return f"{tool.name} {tool.version.value}" if isinstance(tool.version, Known) else tool.name


def _reason(tool: Tool) -> Unknown:
    return tool.version if isinstance(tool.version, Unknown) else Unknown(f"not a version: `{tool.version.value}`")


CHECKS = (
    Check(
        code="ENG001",
        title="An engine is installed",
        judge=an_engine_is_installed,
        why="A deployment starts an engine that is on the host, or a container image that brings one.",
        fix="install llama.cpp or vLLM, or render with `--target compose`",
    ),
    Check(
        code="ENG002",
        title="llama-server is the build its memory was computed for",
        judge=llama_server_is_the_build_ledgers_were_checked_on,
        why="Buffer sizes change between builds; a plan's bytes hold for the build it names.",
        fix=f"install build b{LLAMA_CPP_BUILD}, or leave a reserve: `limits: {{gpu_memory_reserve: 1GiB}}`",
    ),
    Check(
        code="ENG003",
        title="The engines have no published security hole",
        judge=engines_have_no_known_hole,
        why="An engine reads what strangers send. As of early November 2026, from public advisories, not complete.",
        fix="upgrade the engine",
    ),
)
