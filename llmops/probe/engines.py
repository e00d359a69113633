"""Engines that are here: on the PATH, in virtual environments, as container images, and running.

Nothing is started that takes long: a Python engine's version stands in its package's metadata, with that of the torch
it was installed with. Command lines of processes are looked at, never kept: they may hold keys.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path

from llmops.domain.gpu_software import Found, FoundEngine
from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass
from llmops.probe.text import read_text
from llmops.probe.within import answer_of, beside

ANSWER_SECONDS = 5.0
IMAGES_SECONDS = 10.0
VENV_LIMIT = 200

PACKAGES = {"vllm": "vllm", "sglang": "sglang", "text_generation_server": "tgi", "llama_cpp_python": "llama.cpp"}
"""Distribution (as in the name of its metadata folder) → engine."""

VENV_PLACES = (
    "opt/*", "opt/*/*", "srv/*", "srv/*/*", "var/lib/*/venv", "root/*", "root/.*", "home/*/*", "home/*/.*",
    "root/.virtualenvs/*", "home/*/.virtualenvs/*", "home/*/.local/share/uv/tools/*", "root/.local/share/uv/tools/*",
    "home/*/.local/share/pipx/venvs/*", "root/.local/share/pipx/venvs/*", "home/*/.local/pipx/venvs/*", "opt/conda/envs/*",
    "home/*/miniconda3/envs/*", "home/*/anaconda3/envs/*", "home/*/miniforge3/envs/*", "root/miniconda3/envs/*",
)  # fmt: skip
"""Where people put virtual environments; the one that is active, and those of programs on the PATH, are looked at first."""

IMAGES = (
    (r"(?:^|/)vllm/vllm-openai(?:-[\w.]+)?$|(?:^|/)rocm/vllm(?:-dev)?$|(?:^|/)nvidia/vllm$", "vllm"),
    (r"(?:^|/)lmsysorg/sglang$", "sglang"),
    (r"(?:^|/)ollama/ollama$", "ollama"),
    (r"(?:^|/)(?:ggml-org|ggerganov)/llama\.cpp$", "llama.cpp"),
    (r"(?:^|/)huggingface/text-generation-inference$", "tgi"),
)

_PROCESSES = (
    (re.compile(r"(?:^|/)llama-server$"), "llama.cpp"),
    (re.compile(r"(?:^|/)ollama$"), "ollama"),
    (re.compile(r"(?:^|/)text-generation-(?:launcher|router)$"), "tgi"),
    (re.compile(r"(?:^|/)vllm$|^vllm\.entrypoints\."), "vllm"),
    (re.compile(r"(?:^|/)sglang$|^sglang\.launch_server$"), "sglang"),
)
"""A word among the first four of a command line, and the engine that it starts."""

PROGRAMS = (
    ("llama-server", "llama.cpp", r"(?:build |version: )(\d{3,6})\b"),
    ("ollama", "ollama", r"version is (\d+(?:\.\d+)+)"),
)
BACKENDS = ("cuda", "hip", "rocm", "vulkan", "sycl", "metal", "cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An engine's metadata in one environment: the folder, the texts of its own and of torch's METADATA, Python's version."""

    engine: str
    prefix: str
    metadata: Known[str] | Unknown
    torch: Known[str] | Unknown | None
    python: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """A program of its own: its answer to `--version`, and the names of the libraries beside it."""

    engine: str
    path: str
    ran: Known[Ran] | Unknown
    libraries: tuple[str, ...]
    pid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A running engine: the program of process `pid`, and the environment its Python lies in."""

    engine: str
    pid: int
    program: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginesText:
    """As read; `images` None: no container engine is installed."""

    packages: tuple[Package, ...]
    binaries: tuple[Binary, ...]
    processes: tuple[Process, ...]
    images: Known[Ran] | Unknown | None


def ask(root: Path, runner: Runner, environment: Mapping[str, str]) -> EnginesText:
    """Everything at the same time: Docker's daemon may be slow or gone."""
    images = beside(partial(_ask_images, runner, environment))
    binaries = [beside(partial(_ask_binary, runner, *row)) for row in PROGRAMS if runner.find(row[0]) is not None]
    packages = tuple(_packages(root, runner, environment))
    return EnginesText(
        packages=packages,
        binaries=tuple(answer_of(one) for one in binaries),
        processes=tuple(_processes(root)),
        images=answer_of(images),
    )


def read(text: EnginesText) -> tuple[FoundEngine, ...]:
    """Every engine found; an environment or program that also runs is named twice, the second time with its process."""
    installed = [_package(one) for one in text.packages] + [_binary(one) for one in text.binaries]
    running = [_process(one, installed) for one in text.processes]
    return (*installed, *read_images(text.images), *running)


def read_images(ran: Known[Ran] | Unknown | None) -> tuple[FoundEngine, ...]:
    """Images of `docker image ls` (a line of JSON each) that are an engine's, by name and tag."""
    if ran is None or isinstance(ran, Unknown):
        return ()
    found: list[FoundEngine] = []
    for line in ran.value.stdout.split("\n"):
        try:
            row = json.loads(line)
            name, tag = str(row["Repository"]), str(row["Tag"])
        except (ValueError, RecursionError, KeyError, TypeError):
            continue
        engine = next((word for pattern, word in IMAGES if re.search(pattern, name)), None)
        if engine is not None:
            found.append(
                FoundEngine(
                    name=engine,
                    found=Found.IMAGE,
                    where=f"{name}:{tag}"[:200],
                    version=read_tag(tag),
                    build=Known(read_flavour(tag)),
                )
            )
    return tuple(found)


def read_tag(tag: str) -> Known[str] | Unknown:
    """`0.33.0` of `v0.33.0-cu130`, `b11669` of `server-cuda-b11669`; `latest` says nothing."""
    match = re.search(r"(?:^|-)(b\d{4,6})(?:-|$)", tag) or re.match(
        r"v?(\d+\.\d+(?:\.\d+)?(?:(?:rc|post)\d+)?)(?:-|$)", tag
    )
    return Known(match[1]) if match is not None else Unknown(f"the tag `{tag[:60]}` names no version")


def read_flavour(text: str) -> str | None:
    """What a tag or version says it was built for: `cu130`, `rocm`, `cuda`, `cpu`."""
    match = re.search(r"(cu\d{2,3}|rocm[\d.]*|cuda\d*|vulkan|xpu|cpu)(?:$|[^a-z])", text.lower())
    return match[1] if match is not None else None


def read_backends(libraries: tuple[str, ...]) -> tuple[str, ...]:
    """`cuda` of `libggml-cuda.so` and the like; an empty answer where nothing lies beside the program."""
    found = {match[1] for name in libraries if (match := re.match(r"libggml-([a-z]+)", name))}
    return tuple(word for word in BACKENDS if word in found)


def read_process(words: list[str]) -> str | None:
    """The engine that a command line starts, by its first words; a shell or an editor that only names one is none."""
    for word in words[:4]:
        for pattern, engine in _PROCESSES:
            if pattern.search(word):
                return engine
    return None


def _package(one: Package) -> FoundEngine:
    version = _field(one.metadata, "Version")
    torch: Known[str | None] | Unknown = Known(None)
    if one.torch is not None:
        said = _field(one.torch, "Version")
        torch = Known(said.value) if isinstance(said, Known) else said
    flavour = read_flavour(version.value) if isinstance(version, Known) else None
    if flavour is None and isinstance(torch, Known) and torch.value is not None and "+" in torch.value:
        flavour = read_flavour(torch.value)
    return FoundEngine(
        name=one.engine,
        found=Found.VENV,
        where=one.prefix,
        version=version,
        build=Known(flavour),
        python_version=Known(one.python),
        torch_version=torch,
    )


def _binary(one: Binary) -> FoundEngine:
    pattern = next(pattern for _, engine, pattern in PROGRAMS if engine == one.engine)
    version: Known[str] | Unknown
    if isinstance(one.ran, Unknown):
        version = one.ran
    else:
        match = re.search(pattern, f"{one.ran.value.stdout}\n{one.ran.value.stderr}", re.ASCII)
        prefix = "b" if one.engine == "llama.cpp" else ""
        version = Known(prefix + match[1]) if match is not None else Unknown(f"`{one.path} --version` names none")
    backends = read_backends(one.libraries)
    return FoundEngine(
        name=one.engine,
        found=Found.PATH,
        where=one.path,
        version=version,
        backends=Known(backends) if backends else Unknown("no libraries of backends beside the program"),
    )


def _process(one: Process, installed: list[FoundEngine]) -> FoundEngine:
    same = [found for found in installed if one.program == found.where or one.program.startswith(found.where + "/")]
    return FoundEngine(
        name=one.engine,
        found=Found.PROCESS,
        where=one.program,
        version=same[0].version if same else Unknown("the process's program lies in none of the places looked at"),
        build=same[0].build if same else Unknown("not known"),
        pid=one.pid,
    )


def _field(text: Known[str] | Unknown, name: str) -> Known[str] | Unknown:
    if isinstance(text, Unknown):
        return text
    match = re.search(rf"^{name}: (\S{{1,60}})$", text.value, re.MULTILINE)
    return Known(match[1]) if match is not None else Unknown(f"the package's metadata has no `{name}`")


def _ask_images(runner: Runner, environment: Mapping[str, str]) -> Known[Ran] | Unknown | None:
    if runner.find("docker") is None:
        return None
    argv = ("docker", "image", "ls", "--format", "{{json .}}")
    return runner.run(argv, timeout_seconds=IMAGES_SECONDS, environment=environment)


def _ask_binary(runner: Runner, program: str, engine: str, _: str) -> Binary:
    path = str(runner.find(program))
    libraries = []
    real = Path(path).resolve()
    for folder in (real.parent, real.parent.parent / "lib", real.parent.parent / "lib/ollama"):
        libraries += [one.name for one in sorted(folder.glob("libggml-*"))] + [
            one.name for one in sorted(folder.glob("*/libggml-*"))
        ]
    return Binary(
        engine=engine,
        path=path,
        ran=runner.run((path, "--version"), timeout_seconds=ANSWER_SECONDS),
        libraries=tuple(dict.fromkeys(libraries)),
    )


def _packages(root: Path, runner: Runner, environment: Mapping[str, str]) -> Iterator[Package]:
    """The engines of every environment, each environment once."""
    seen: set[Path] = set()
    for prefix in _prefixes(root, runner, environment):
        try:
            real = prefix.resolve()
            if real in seen:
                continue
            seen.add(real)
            folders = sorted(prefix.glob("lib*/python3*/*-packages"))
        except OSError:
            continue
        for folder in folders:
            if folder.resolve() in seen:  # lib64 is a link to lib
                continue
            seen.add(folder.resolve())
            yield from _engines_of(folder, prefix, root)


def _engines_of(folder: Path, prefix: Path, root: Path) -> Iterator[Package]:
    for name, engine in PACKAGES.items():
        for info in sorted(folder.glob(f"{name}-*.dist-info"))[:1]:
            torch = next(iter(sorted(folder.glob("torch-*.dist-info"))), None)
            shown = "/" + str(prefix.relative_to(root)) if prefix.is_relative_to(root) else str(prefix)
            yield Package(
                engine=engine,
                prefix=shown,
                metadata=read_text(info / "METADATA"),
                torch=read_text(torch / "METADATA") if torch is not None else None,
                python=folder.parent.name.removeprefix("python"),
            )


def _prefixes(root: Path, runner: Runner, environment: Mapping[str, str]) -> Iterator[Path]:
    """The active environment, those of programs on the PATH, then the places where people put them."""
    active = environment.get("VIRTUAL_ENV", "")
    if active.startswith("/"):
        yield Path(active)
    for program in ("vllm", "sglang", "text-generation-server"):
        path = runner.find(program)
        if path is not None:
            yield Path(path).parent.parent
            yield Path(path).resolve().parent.parent
    yield root / "usr"
    yield root / "usr/local"
    yield from islice((found for place in VENV_PLACES for found in _environments(root, place)), VENV_LIMIT)


def _environments(root: Path, place: str) -> Iterator[Path]:
    try:
        for folder in sorted(root.glob(place)):
            candidates = (folder, folder / ".venv", folder / "venv")
            yield from (one for one in candidates if (one / "pyvenv.cfg").exists() or (one / "conda-meta").exists())
    except OSError:
        return


def _processes(root: Path) -> Iterator[Process]:
    for folder in sorted((root / "proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        text = read_text(folder / "cmdline")
        if isinstance(text, Unknown) or not text.value:
            continue
        words = text.value.split("\0")
        engine = read_process(words)
        if engine is None:
            continue
        try:
            program = str((folder / "exe").readlink())
        except OSError:
            program = words[0] if words[0].startswith("/") else ""
        # Python's own program is the system's: the environment is where its script lies
        script = next(
            (word for word in words[:3] if word.startswith("/") and "/bin/" in word and "python" not in word), ""
        )
        yield Process(engine=engine, pid=int(folder.name), program=(script or program)[:200])
