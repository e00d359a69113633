"""A MODEL as typed → its shapes, read from headers only, and what would pin it. Joins the hub, local files and the catalogue."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from llmops.domain.catalogue import ModelRow
from llmops.domain.engine import EngineName
from llmops.domain.errors import OutsideWorld, WrongInput, WrongUsage
from llmops.domain.file_names import part_names
from llmops.domain.finding import Where
from llmops.domain.model import ModelRef, ModelShape, ModelSource, SourceKind, Tensor
from llmops.domain.profile import EngineChoice
from llmops.domain.units import size_text
from llmops.formats import catalogue, config_json, gguf, safetensors
from llmops.formats.gguf_shape import model_shape
from llmops.formats.model_source import parse_model
from llmops.hub import account, select
from llmops.hub.headers import read_headers
from llmops.hub.local import describe
from llmops.hub.reading import Reader, local_reader, open_file, remote_reader
from llmops.hub.repository import list_files
from llmops.hub.transport import Patience
from llmops.library import shipped
from llmops.sizing.ladder import QUALITY, rungs
from llmops.sizing.quantized import quantized

HASTE = Patience(attempts=4, first_wait_seconds=0.4, stall_seconds=15.0)
"""Someone waits for a plan, and little is asked: an unreachable hub is told after some three seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where models are looked for: the hub's address, and who asks it. The token is asked for when it is needed."""

    endpoint: Callable[[], str] = account.hub_endpoint
    token: Callable[[], str | None] = field(default=account.hub_token, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A model ready to be sized: one shape per quantization, the preferred one first.

    `pin` gives the files of a quantization with their digests (local files are hashed then, not before).
    """

    name: str
    engine: EngineName
    shapes: tuple[ModelShape, ...]
    notes: tuple[str, ...] = ()
    has_header: bool = True
    pin: Callable[[str | None], ModelRef]


def model_rows() -> tuple[ModelRow, ...]:
    """The catalogue's models."""
    return catalogue.models(shipped.text("catalogue", "models.json"))


def open_model(
    text: str, *, engine: EngineChoice, quantization: str, rooms_bytes: Sequence[int], pinned: bool, sources: Sources
) -> Opened:
    """Read what is needed to size MODEL, and no weight. `rooms_bytes`, the memories there are, choose what to try.

    `pinned` asks for files with digests: a catalogue id is then taken from its GGUF repository at the hub.
    """
    rows = model_rows()
    source = parse_model(
        text,
        exists=lambda path: Path(path).exists(),
        is_catalogue=lambda name: catalogue.find_model(rows, name) is not None,
        near=lambda name: catalogue.near_models(rows, name),
    )
    wanted = source.selector or (None if quantization == "auto" else quantization)
    match source.kind:
        case SourceKind.LOCAL:
            return _local(Path(source.path or text), engine)
        case SourceKind.HUB:
            return _hub(source, engine, wanted, rooms_bytes, sources)
        case SourceKind.URL:
            return _url(source, engine, sources)
        case SourceKind.CATALOGUE:
            row = catalogue.find_model(rows, source.path or text)
            if row is None:
                raise WrongUsage(f"no model `{text}` in the catalogue", hint="`llmops catalog models` lists them")
            return _catalogue(source, row, engine, wanted, rooms_bytes, sources, pinned=pinned)
        case SourceKind.OLLAMA:
            hint = "give the GGUF file itself: `hf:org/repo:QUANT` or a local path"
            raise WrongUsage(f"`{text}` is a name of the Ollama library, which this version does not read", hint=hint)


def engine_for(choice: EngineChoice, natural: EngineName, *, what: str) -> EngineName:
    """The engine wished for, if it serves this kind of file."""
    if choice is EngineChoice.AUTO or choice.value == natural.value:
        return natural
    if choice in (EngineChoice.LLAMA_CPP, EngineChoice.VLLM):
        raise WrongUsage(f"{choice.value} is not planned for {what}", hint=f"`--engine {natural.value}` serves it")
    raise WrongUsage(f"{choice.value} cannot be planned by this version", hint=f"`--engine {natural.value}` can")


def gguf_shape(readers: Sequence[tuple[str, Reader]], *, name: str) -> ModelShape:
    """The shape from the headers of all parts, which are read at the same time."""
    headers = read_headers(
        readers, lambda part, reader: gguf.read_header(reader.read, name=part, file_bytes=reader.bytes)
    )
    return model_shape(headers, name=name)


def _local(path: Path, choice: EngineChoice) -> Opened:
    if path.is_dir():
        return _directory(path, choice)
    engine = engine_for(choice, EngineName.LLAMA_CPP, what="a GGUF file")
    return _local_gguf(path, engine)


def _local_gguf(path: Path, engine: EngineName) -> Opened:
    parts = [path.with_name(part) for part in part_names(path.name)]
    missing = [part for part in parts if not part.exists()]
    if missing:
        raise WrongInput(
            f"`{path.name}` is one of {len(parts)} parts: `{missing[0].name}` is not beside it",
            where=Where(file=str(missing[0])),
        )
    with ExitStack() as stack:
        readers = [(str(part), stack.enter_context(local_reader(part))) for part in parts]
        shape = gguf_shape(readers, name=parts[0].name)
        total = sum(reader.bytes for _, reader in readers)
    note = f"sized from the header of {parts[0].name} ({size_text(total)} in {len(parts)} file{'s'[: len(parts) > 1]})"
    return Opened(
        name=parts[0].name, engine=engine, shapes=(shape,), notes=(note,), pin=lambda _quantization: describe(parts[0])
    )


def _directory(path: Path, choice: EngineChoice) -> Opened:
    models = sorted(
        one for one in path.glob("*.gguf") if part_names(one.name)[0] == one.name and "mmproj" not in one.name.lower()
    )
    if len(models) == 1:
        return _local_gguf(models[0], engine_for(choice, EngineName.LLAMA_CPP, what="a GGUF file"))
    if models:
        raise WrongUsage(
            f"`{path}` holds {len(models)} models", hint=f"name one: {', '.join(str(one) for one in models[:20])}"
        )
    config = path / "config.json"
    if not config.exists():
        hint = "name a model's directory, a .gguf file, or `hf:org/repo:QUANT`"
        raise WrongInput(
            "neither a GGUF file nor a `config.json` in this directory", hint=hint, where=Where(file=str(path))
        )
    engine = engine_for(choice, EngineName.VLLM, what="a directory with a `config.json`")
    with ExitStack() as stack:
        weights = [(str(one), stack.enter_context(local_reader(one))) for one in sorted(path.glob("*.safetensors"))]
        tensors = _tensors(weights)
        data = stack.enter_context(local_reader(config))
        shape = config_json.model_shape(data.read(0, data.bytes), name=path.name, tensors=tensors)
    note = "sized from the headers of its safetensors" if tensors else "no weights here: sized from `config.json` alone"
    return Opened(
        name=path.name,
        engine=engine,
        shapes=(shape,),
        notes=(note,),
        has_header=False,
        pin=lambda _quantization: describe(path),
    )


def _tensors(weights: Sequence[tuple[str, Reader]]) -> tuple[Tensor, ...] | None:
    shards = read_headers(
        weights, lambda name, reader: safetensors.read_header(reader.read, name=name, file_bytes=reader.bytes)
    )
    return tuple(tensor for shard in shards for tensor in shard) or None


def _hub(
    source: ModelSource, choice: EngineChoice, wanted: str | None, rooms_bytes: Sequence[int], sources: Sources
) -> Opened:
    endpoint, token = sources.endpoint(), sources.token()
    ref = list_files(source, endpoint=endpoint, token=token, patience=HASTE)
    models = select.candidates(ref)
    if not models and wanted is None:
        return _hub_safetensors(ref, choice, endpoint, token)
    engine = engine_for(choice, EngineName.LLAMA_CPP, what="a repository of GGUF files")
    sizes = {label: sum(one.bytes for one in files) for label, files in models.items()}
    chosen = (
        [select.selected(ref, selector=wanted).files]
        if wanted
        else [models[one] for one in rungs(sizes, rooms_bytes=rooms_bytes)]
    )
    shapes, by_quantization = [], {}
    for files in chosen:
        readers = [(one.name, open_file(ref, one, endpoint=endpoint, token=token, patience=HASTE)) for one in files]
        shape = gguf_shape(readers, name=files[0].name)
        label = next((key for key, those in models.items() if those == files), shape.quantization)
        shapes.append(replace(shape, quantization=label))
        by_quantization[label] = replace(ref, files=files)
    note = f"sized from headers at {ref.repository} commit {(ref.commit or '')[:12]}"
    if wanted is None and len(models) > len(chosen):
        note += f"; {len(models)} quantizations there, tried: {', '.join(str(one.quantization) for one in shapes)}"
    return Opened(
        name=ref.repository or source.typed,
        engine=engine,
        shapes=tuple(shapes),
        notes=(note,),
        pin=by_quantization.__getitem__,
    )


def _hub_safetensors(ref: ModelRef, choice: EngineChoice, endpoint: str, token: str | None) -> Opened:
    engine = engine_for(choice, EngineName.VLLM, what="a repository of safetensors")
    files = select.safetensors_files(ref)
    by_name = {one.name: open_file(ref, one, endpoint=endpoint, token=token, patience=HASTE) for one in files}
    config = by_name["config.json"]
    tensors = _tensors([(name, reader) for name, reader in by_name.items() if name.endswith(".safetensors")])
    shape = config_json.model_shape(config.read(0, config.bytes), name=ref.repository or ref.source, tensors=tensors)
    note = f"sized from headers at {ref.repository} commit {(ref.commit or '')[:12]}"
    pinned = replace(ref, files=files)
    return Opened(
        name=ref.repository or ref.source, engine=engine, shapes=(shape,), notes=(note,), has_header=False,
        pin=lambda _quantization: pinned,
    )  # fmt: skip


def _url(source: ModelSource, choice: EngineChoice, sources: Sources) -> Opened:
    engine = engine_for(choice, EngineName.LLAMA_CPP, what="a GGUF file")
    url = source.path or source.typed
    name = url.rsplit("/", 1)[-1].split("?", 1)[0]
    if len(part_names(name)) > 1:
        raise WrongUsage("a split file by its address is not read", hint="give the repository: `hf:org/repo:QUANT`")
    shape = gguf_shape(
        [(url, remote_reader(url, endpoint=sources.endpoint(), repository="", patience=HASTE))], name=name
    )

    def refuse(_quantization: str | None) -> ModelRef:
        raise WrongUsage(
            "an address alone has no digest to pin", hint="download it and plan the file, or give `hf:org/repo:QUANT`"
        )

    return Opened(name=name, engine=engine, shapes=(shape,), notes=(f"sized from the header at {url}",), pin=refuse)


def _catalogue(
    source: ModelSource,
    row: ModelRow,
    choice: EngineChoice,
    wanted: str | None,
    rooms_bytes: Sequence[int],
    sources: Sources,
    *,
    pinned: bool,
) -> Opened:
    """By the catalogue's shape and the quantizers' rules; with `pinned`, by the headers of the row's GGUF repository."""
    engine = engine_for(choice, EngineName.LLAMA_CPP, what="a catalogue model without its files")
    if pinned:
        return _catalogue_at_hub(source, row, choice, wanted, rooms_bytes, sources)
    shapes = tuple(
        shape
        for name in ((wanted.upper(),) if wanted else QUALITY)
        if (shape := quantized(row, quantization=name)) is not None
    )
    if not shapes:
        where = row.gguf_repositories[0] if row.gguf_repositories else None
        hint = (
            f"`llmops plan hf:{where}` reads the files' own headers" if where else "plan a local file, or `hf:org/repo`"
        )
        what = f"at `{wanted}`" if wanted else "from the catalogue alone"
        raise WrongUsage(f"`{row.id}` cannot be sized {what}", hint=hint)
    note = f"sized from the catalogue's shape and the quantization's rules, not from a file; `--out` reads {_repository_of(row)}"
    return Opened(name=row.id, engine=engine, shapes=shapes, notes=(note,), has_header=False, pin=_never)


def _repository_of(row: ModelRow) -> str:
    return (
        f"the headers of {row.gguf_repositories[0]}"
        if row.gguf_repositories
        else "headers, but no GGUF repository is known"
    )


def _catalogue_at_hub(
    source: ModelSource,
    row: ModelRow,
    choice: EngineChoice,
    wanted: str | None,
    rooms_bytes: Sequence[int],
    sources: Sources,
) -> Opened:
    if not row.gguf_repositories:
        raise WrongUsage(
            f"no GGUF repository of `{row.id}` is known", hint="give one: `llmops plan hf:org/repo --out …`"
        )
    at_hub = replace(source, kind=SourceKind.HUB, repository=row.gguf_repositories[0], selector=None)
    try:
        return _hub(at_hub, choice, wanted, rooms_bytes, sources)
    except OutsideWorld as stop:
        needs = f"`--out` needs the files' digests from {row.gguf_repositories[0]}"
        hint = f"{needs}; {stop.hint or 'without it no network is needed'}"
        raise OutsideWorld(stop.message, hint=hint, where=stop.where) from stop


def _never(_quantization: str | None) -> ModelRef:
    raise OutsideWorld("nothing is pinned: no file was read")
