"""ENG: the programs that serve a model."""

from llmops.checks.check import Check, Judgement, ok, together, unknown, warn
from llmops.checks.engine_lines import engine_commands, engine_lines
from llmops.checks.install import cards_of
from llmops.checks.llama_cpp_lines import LLAMA_CPP_BUILD
from llmops.domain.advisories import Advisory
from llmops.domain.engine import EngineName
from llmops.domain.engine_matrix import numbers
from llmops.domain.engine_verdicts import TITLES, judge
from llmops.domain.finding import Status
from llmops.domain.gpu_software import Found, FoundEngine, Python
from llmops.domain.host import HostFacts, NvidiaState, Tool
from llmops.domain.reading import Known, Unknown, known
from llmops.domain.references import References

PRODUCTS = {"llama-server": "llama.cpp", "vllm": "vllm", "sglang": "sglang", "ollama": "ollama"}
"""A program's name, and its engine's."""

SHOWN_HOLES = 3


def an_engine_is_installed(host: HostFacts, references: References) -> Judgement:
    """At least one, on the PATH or elsewhere, and it says its version."""
    found = [tool for tool in host.tools if tool.name in PRODUCTS and tool.path is not None]
    others = [one for one in known(host.engines) or () if one.found is not Found.PATH]
    if not found and not others:
        names = ", ".join(PRODUCTS)
        return warn(
            f"no engine found ({names})", engine_lines(host, references), script=engine_commands(host, references)
        )
    able = [_named(tool) for tool in found if isinstance(tool.version, Known)]
    able += [f"{one.name} {one.version.value} ({one.found.value})" for one in others if isinstance(one.version, Known)]
    if able:
        return ok(", ".join(dict.fromkeys(able)))
    if found:
        return unknown(_reason(found[0]), f"{found[0].path}")
    return unknown(others[0].version if isinstance(others[0].version, Unknown) else Unknown(""), others[0].where)


def llama_server_is_the_build_ledgers_were_checked_on(host: HostFacts) -> Judgement | None:
    """b11669."""
    tool = _installed(host, "llama-server")
    if tool is None:
        return None
    if isinstance(tool.version, Unknown):
        return unknown(tool.version, "llama-server")
    build = numbers(tool.version.value)
    if not build:
        return unknown(Unknown(f"not a build: `{tool.version.value}`"), "llama-server")
    if build != (LLAMA_CPP_BUILD,):
        return warn(f"llama-server {tool.version.value}: memory is computed as b{LLAMA_CPP_BUILD} takes it")
    return ok(f"llama-server {tool.version.value}")


def engines_have_no_known_hole(host: HostFacts, references: References) -> Judgement | None:
    """None of the versions found has a published hole of its server."""
    judgements = [
        _holes(title, product, reading, references)
        for title, product, reading in sorted(_versions(host), key=lambda one: one[0])
    ]
    if judgements and isinstance(host.engines, Unknown):
        judgements.append(unknown(host.engines, "engines beside the PATH"))
    return together(judgements)


def _holes(title: str, product: str, reading: Known[str] | Unknown, references: References) -> Judgement:
    if isinstance(reading, Unknown):
        return unknown(reading, title)
    if not numbers(reading.value):
        return unknown(Unknown(f"not a version: `{reading.value}`"), title)
    rows = references.advisories.of(product, reading.value)
    if rows:
        fixed = references.advisories.safe_from(product, reading.value)
        more = f" and {len(rows) - SHOWN_HOLES} more" if len(rows) > SHOWN_HOLES else ""
        worst = "strangers can do harm: " if rows[0].severity is Status.FAIL else ""
        told = "; ".join(f"{row.ids[0]}, {row.what}" for row in rows[:SHOWN_HOLES])
        return warn(
            f"{title} {reading.value} has published security holes ({worst}{told}{more})",
            f"upgrade it to {fixed} or newer" if fixed else None,
        )
    aside = references.advisories.aside(product, reading.value)
    return ok(f"{title} {reading.value}: none known{_aside(aside)}")


def _aside(rows: tuple[Advisory, ...]) -> str:
    return f" but {rows[0].ids[0]} of its {rows[0].component}, which is never started here" if rows else ""


def _versions(host: HostFacts) -> set[tuple[str, str, Known[str] | Unknown]]:
    """Engines by name, product and version: those on the PATH, and those found elsewhere."""
    tools = [tool for name in PRODUCTS if (tool := _installed(host, name)) is not None]
    found: set[tuple[str, str, Known[str] | Unknown]] = {
        (tool.name, PRODUCTS[tool.name], tool.version) for tool in tools
    }
    told = {(product, known(reading)) for _, product, reading in found}
    for one in known(host.engines) or ():
        if one.found is not Found.PATH and (one.name, known(one.version)) not in told:
            found.add((f"{one.name} ({one.where})", one.name, one.version))
    return found


def engines_run_on_this_driver_and_card(host: HostFacts, references: References) -> Judgement | None:
    """As the matrix has it: code for each card in the build, and a driver that is new enough for its CUDA."""
    cards, driver = cards_of(host), known(host.nvidia.driver)
    versions = [
        (title, product, reading) for title, product, reading in sorted(_versions(host), key=lambda one: one[0])
    ]
    if not cards or not versions:
        return None
    if isinstance(host.nvidia.driver, Unknown) or driver is None:
        return unknown(Unknown("the driver's version is not known"), "engines")
    judgements: list[Judgement] = []
    for title, product, reading in versions:
        if isinstance(reading, Unknown):
            judgements.append(unknown(reading, title))
            continue
        said = judge(references.matrix, EngineName(product), reading.value, driver=driver.version, cards=cards)
        bad = [one for one in said if one.status is Status.FAIL]
        judgements += [warn(one.message, one.fix) for one in bad] or [ok(f"{title} {reading.value}")]
    if isinstance(host.engines, Unknown):
        judgements.append(unknown(host.engines, "engines beside the PATH"))
    unsure = [card.name for card in cards if card.capability is None]
    if unsure:
        judgements.append(unknown(Unknown("its compute capability is not known"), unsure[0]))
    return together(judgements)


def engines_have_code_for_cards(host: HostFacts) -> Judgement | None:
    """A llama.cpp or Ollama on a host with cards has a backend for them: without one it runs on the CPU, without a word."""
    engines = [
        one for one in known(host.engines) or () if one.name in ("llama.cpp", "ollama") and one.found is not Found.IMAGE
    ]
    wanted = _wanted_backends(host)
    if not wanted or not engines:
        return None
    return together([_backend(one, wanted) for one in engines])


def _backend(engine: FoundEngine, wanted: tuple[str, ...]) -> Judgement:
    if isinstance(engine.backends, Unknown):
        return unknown(engine.backends, engine.where)
    have = engine.backends.value
    if not have:
        return unknown(Unknown("its files do not tell"), f"backends of {engine.where}")
    able = [name for name in have if name in wanted]
    if able:
        return ok(f"{engine.where} has {', '.join(able)}")
    return warn(
        f"{engine.where} has no code for the cards here ({', '.join(have)} only): it runs on the CPU, without a word",
        f"install a build with {wanted[0]}: `cmake … -DGGML_{'CUDA' if wanted[0] == 'cuda' else wanted[0].upper()}=ON`",
    )


def _wanted_backends(host: HostFacts) -> tuple[str, ...]:
    if host.nvidia.state is NvidiaState.READY:
        return ("cuda", "vulkan")
    if any(gpu.vendor == "amd" for gpu in known(host.other_gpus) or ()):
        return ("rocm", "hip", "vulkan")
    return ()


def a_python_can_hold_vllm(host: HostFacts, references: References) -> Judgement | None:
    """Where a card could serve with vLLM: a Python of its wheels, that can make virtual environments."""
    if host.nvidia.state is not NvidiaState.READY:
        return None
    if isinstance(host.pythons, Unknown):
        return unknown(host.pythons, "Python")
    rows = references.matrix.builds_of(EngineName.VLLM)
    floor, _, ceiling = (rows[0].python or "").partition("-")
    if not numbers(floor):
        return unknown(Unknown("the engine matrix names none"), "Python of vLLM")
    fitting = [
        one
        for one in host.pythons.value
        if (have := _version(one)[:2]) >= numbers(floor) and (not numbers(ceiling) or have <= numbers(ceiling))
    ]
    able = [one for one in fitting if known(one.venv)]
    if able:
        return ok(f"{able[0].path}, Python {'.'.join(map(str, _version(able[0])))}")
    unsaid = next((one for one in host.pythons.value if isinstance(one.version, Unknown)), None)
    if not fitting and unsaid is not None:
        return unknown(Unknown("it does not say its version"), unsaid.path)
    if any(isinstance(one.venv, Unknown) for one in fitting):
        return unknown(Unknown("it is not known whether it can make virtual environments"), fitting[0].path)
    if fitting:
        return warn(f"{fitting[0].path} cannot make virtual environments", "apt-get install python3-venv")
    return warn(
        f"no Python {rows[0].python} for {TITLES[EngineName.VLLM]}'s wheels",
        "`apt-get install python3.12-venv`, or run vLLM from its image",
    )


def _version(python: Python) -> tuple[int, ...]:
    text = known(python.version)
    return numbers(text or "")


def _installed(host: HostFacts, name: str) -> Tool | None:
    return next((tool for tool in host.tools if tool.name == name and tool.path is not None), None)


def _named(tool: Tool) -> str:
    """`llama-server b11669`."""
    return f"{tool.name} {tool.version.value}" if isinstance(tool.version, Known) else tool.name


def _reason(tool: Tool) -> Unknown:
    return tool.version if isinstance(tool.version, Unknown) else Unknown(f"not a version: `{tool.version.value}`")


CHECKS = (
    Check(
        code="ENG001",
        title="An engine is installed",
        lookup=an_engine_is_installed,
        why="A deployment starts an engine that is on the host, or a container image that brings one.",
        fix="install llama.cpp or vLLM, or render with `--target compose`",
        source="systemd.exec(5): a unit starts what is installed",
    ),
    Check(
        code="ENG002",
        title="llama-server is the build its memory was computed for",
        judge=llama_server_is_the_build_ledgers_were_checked_on,
        why="Buffer sizes change between builds; a plan's bytes hold for the build it names.",
        fix=f"install build b{LLAMA_CPP_BUILD}, or leave a reserve: `limits: {{gpu_memory_reserve: 1GiB}}`",
        source="measured on llama-server b11669 (docs/accuracy.md)",
    ),
    Check(
        code="ENG003",
        title="The engines have no published security hole",
        lookup=engines_have_no_known_hole,
        why="An engine reads what strangers send. The list is dated and not complete: `llmops doctor` says how old it is.",
        fix="upgrade the engine",
        source="the advisories' own sources: CVE records, PyPA advisory database, OSV",
    ),
    Check(
        code="ENG004",
        title="The engines run on this driver and these cards",
        lookup=engines_run_on_this_driver_and_card,
        why="A wheel is built on one CUDA, which needs a certain driver, and has machine code for certain cards only.",
        fix="install the version that the matrix allows here",
        source="the engine matrix: package metadata and machine code of each release",
    ),
    Check(
        code="ENG005",
        title="The engines have code for the cards",
        judge=engines_have_code_for_cards,
        why="llama.cpp and Ollama fall back to the CPU without an error; only the speed tells.",
        fix="install a build for the cards that are here",
        source="llama.cpp, docs/build.md: backends are libraries beside the program",
    ),
    Check(
        code="ENG006",
        title="A Python for vLLM is there",
        lookup=a_python_can_hold_vllm,
        why="vLLM's wheels are for certain Pythons; in a virtual environment of its own no other package changes its libraries.",
        fix="apt-get install python3-venv",
        source="the engine matrix: Requires-Python of each release",
    ),
)
