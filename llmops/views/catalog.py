"""What is known, as tables; and the profile that was written."""

from collections.abc import Sequence

from llmops.domain.catalogue import GpuRow, ModelRow
from llmops.domain.engine_matrix import BuildRow, FeatureRow
from llmops.domain.profile import Profile
from llmops.domain.units import size_text
from llmops.views.screen import Screen, Tone


def show_models(rows: Sequence[ModelRow], known: int, to: Screen, *, near: Sequence[str] = ()) -> None:
    """A model a row; parameters are of the text model."""
    if not rows:
        _nothing(known, "models", near, to)
        return
    cells = [
        (
            row.id,
            _count(row.parameters),
            _count(row.parameters_active) if row.parameters_active != row.parameters else "",
            f"{row.context_length}" if row.context_length else "?",
            f"{row.licence or '?'}{' (gated)' if row.gated else ''}",
            row.repository,
        )
        for row in rows
    ]
    head = ("model", "parameters", "active", "context", "licence", "repository")
    to.table(head, cells, right=(1, 2, 3), first_left_out=("repository", "active", "licence", "context"))
    _foot(len(rows), known, "models", to)


def show_gpus(rows: Sequence[GpuRow], known: int, to: Screen, *, near: Sequence[str] = ()) -> None:
    """A card a row; `~` marks a memory size that was not read from a driver."""
    if not rows:
        _nothing(known, "cards", near, to)
        return
    cells = [
        (
            row.name,
            _memory(row),
            f"{row.bandwidth_gb_s:g}" if row.bandwidth_gb_s is not None else "?",
            f"{row.fp16_tflops:g}" if row.fp16_tflops is not None else "?",
            row.compute_capability or "",
            ", ".join(row.aliases),
        )
        for row in rows
    ]
    head = ("card", "memory", "GB/s", "FP16 TFLOPS", "capability", "also")
    to.table(head, cells, right=(1, 2, 3), first_left_out=("also", "FP16 TFLOPS", "capability", "GB/s"))
    _foot(len(rows), known, "cards", to)
    if any(row.memory_bytes is not None and not row.memory_measured for row in rows):
        to.line("~ not read from a driver: a sibling card's memory, or the nominal size", tone=Tone.DIM)


def show_profiles(rows: Sequence[tuple[str, str]], to: Screen) -> None:
    """A shipped profile a row, with its first line."""
    if not rows:
        to.line("no profile holds these words: `llmops catalog profiles` lists all")
        return
    to.table(("profile", "what for"), rows)
    to.line("`llmops init PROFILE` writes one as llmops.yaml", tone=Tone.DIM)


def show_engines(
    as_of: str,
    engines: Sequence[tuple[str, ...]],
    builds: Sequence[tuple[BuildRow, str]],
    features: Sequence[FeatureRow],
    to: Screen,
) -> None:
    """The build the memory was worked out for; every published build with the driver and cards it runs on; its kernels."""
    if not engines:
        to.line("no engine and nothing it has kernels for holds these words: `llmops catalog engines` lists all")
        return
    to.table(("engine", "sized as", "versions of a plan"), engines)
    to.line()
    cells = [
        (
            f"{row.engine.value} {_versions(row)}",
            row.cuda,
            driver,
            f"{row.least_capability()}{f' to {row.only_to}' if row.only_to else ''}",
            row.install.replace("{version}", row.newest),
        )
        for row, driver in builds
    ]
    to.table(("build", "CUDA", "driver from", "cards from", "how to get it"), cells)
    if features:
        to.line()
        kernels = [
            (
                row.engine.value,
                row.title,
                _existence(row) if row.capability is None and row.last is not None else row.capability or "any",
                row.capability_fast or "",
                row.instead,
            )
            for row in features
        ]
        to.table(("engine", "what", "cards from", "fast from", "else"), kernels)
    to.line()
    more = (
        "" if features else "; `llmops catalog engines vllm` shows also which weights and caches it runs on which card"
    )
    to.line(f"as of {as_of}; sources with --json{more}", tone=Tone.DIM)


def _versions(row: BuildRow) -> str:
    return row.newest if row.first == row.newest else f"{row.first} to {row.newest}"


def _existence(row: FeatureRow) -> str:
    return "none" if row.last == "0" else f"to {row.last} only"


def show_sizes(model: str, rows: Sequence[tuple[str, int, int, int, float, str]], to: Screen) -> None:
    """A file type a row: size, the range it lies in, bits for a parameter."""
    cells = [
        (kind, size_text(value), f"{size_text(low)} to {size_text(high)}", f"{bits:.2f}")
        for kind, value, low, high, bits, _ in rows
    ]
    to.line(f"GGUF files of {model}, worked out from its shape", tone=Tone.TITLE)
    head = ("quantization", "file", "within", "bits a parameter")
    to.table(head, cells, right=(1, 2, 3), first_left_out=("bits a parameter",))
    for basis in dict.fromkeys(row[5] for row in rows):
        to.line(basis, tone=Tone.DIM)


def show_check(rows: Sequence[tuple[str, tuple[str, ...]]], to: Screen) -> None:
    """A row each: fine, or what is wrong with it."""
    for name, problems in rows:
        if not problems:
            to.line(f"{name}: can be added", tone=Tone.GOOD)
            continue
        to.line(f"{name}:", tone=Tone.BAD)
        for problem in problems:
            to.line(f"  - {problem}")


def show_init(path: str, name: str, profile: Profile, to: Screen) -> None:
    """What was written, and what is next."""
    to.line(f"wrote {path} from the profile `{name}`", tone=Tone.GOOD)
    for deployment, intent in profile.deployments.items():
        models = (intent.model,) if isinstance(intent.model, str) else intent.model
        to.line(f"  {deployment}: {', '.join(models)}")
    option = "" if path == "llmops.yaml" else f" --profile {path}"
    to.line(f"next: `llmops plan{option}`, then `llmops plan{option} --out llmops.lock`")


def _memory(row: GpuRow) -> str:
    if row.memory_bytes is None:
        return "shared"
    return f"{'' if row.memory_measured else '~'}{size_text(row.memory_bytes)}"


def _count(parameters: int) -> str:
    """`8.19 B`, `596 M`: in 10^9 and 10^6."""
    if parameters >= 10**9:
        return f"{parameters / 10**9:.2f} B"
    return f"{parameters / 10**6:.0f} M"


def _nothing(known: int, what: str, near: Sequence[str], to: Screen) -> None:
    """No row is what was asked: what it may have meant."""
    to.line(f"0 of {known} {what}")
    if near:
        to.line(f"did you mean: {', '.join(near)}")


def _foot(shown: int, known: int, what: str, to: Screen) -> None:
    to.line(f"{shown} of {known} {what}" if shown != known else f"{known} {what}", tone=Tone.DIM)
