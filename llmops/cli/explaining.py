"""From what a command line means to a ledger: the model it serves, the cards it runs on, and what `plan` would do instead."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from llmops.cli.hardware import Hardware
from llmops.cli.opened import Opened, Sources
from llmops.cli.opening import model_row, open_model
from llmops.domain.engine import Device, EngineName, Wishes
from llmops.domain.errors import Stop, WrongInput, WrongUsage
from llmops.domain.explained import EngineProcess, Meaning
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.ledger import Ledger
from llmops.domain.lock import LockedDeployment, LockedDevice
from llmops.domain.model import ModelRef, ModelShape, SourceKind
from llmops.domain.plan import Plan
from llmops.domain.profile import EngineChoice
from llmops.domain.records import dataclass
from llmops.domain.tensor_types import FILE_TYPES
from llmops.domain.units import size_text
from llmops.engines import ENGINES
from llmops.engines.explainers import EXPLAINERS
from llmops.engines.llama_cpp_flags import FLAGS
from llmops.formats.lock import parse_lock
from llmops.library import files
from llmops.sizing.search import search
from llmops.sizing.speed import speed
from llmops.views.explain import Proposal

LLAMA_CPP_FIRST = "Q4_K_M"
"""What `-hf org/repo` takes when no quantization is named and there is one."""

LEFT_OUT = frozenset(
    {"--model", "--alias", "--host", "--port", "--timeout", "--threads", "--threads-http", "--log-jsonl", "--hf-repo"}
)
"""Options of a plan's command line that say nothing about memory or doors."""

EVERY_LAYER = ("auto", "all", "-1", "99", "999")
"""How command lines spell all layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is weighed, for every quantization the same."""

    meaning: Meaning
    place: Hardware
    reserve_bytes: int
    sources: Sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """One shape and its ledger; None where the engine cannot run on what is there."""

    shape: ModelShape
    ledger: Ledger | None


def open_named(question: Question, *, stand_in: str | None, quantization: str | None) -> Opened | None:
    """The file of the command line when it is here, else the stand-in, else its repository. None: nothing to open."""
    named = question.meaning.model
    wanted = quantization or _label(named.file) or "auto"
    if named.file is not None and Path(named.file).expanduser().exists():
        return _opened(question, str(Path(named.file).expanduser()), "auto")
    if stand_in is not None:
        return _opened(question, stand_in, _served_format(question.meaning, stand_in) if wanted == "auto" else wanted)
    if named.repository is None:
        return None
    if wanted == "auto" and question.meaning.engine is EngineName.LLAMA_CPP and named.repository.count(":") == 1:
        try:
            return _opened(question, named.repository, LLAMA_CPP_FIRST)
        except WrongUsage:  # no such quantization there: the server takes another one
            return _opened(question, named.repository, "auto")
    return _opened(question, named.repository, wanted)


def _served_format(meaning: Meaning, stand_in: str) -> str:
    """The format of the repository that a line of vLLM's kind names, or of its `--quantization`, for a catalogue's model."""
    row = model_row(stand_in) if meaning.engine.takes_pool() and "/" not in stand_in else None
    if row is None:
        return "auto"
    from llmops.formats.row_formats import named_format

    said = (meaning.model.file, meaning.value("--quantization"), meaning.value("--quantize"))
    return next((found for one in said if one and (found := named_format(row, one))), "auto")


def _opened(question: Question, text: str, quantization: str) -> Opened:
    """A catalogue's name stands for the files of the line's engine; a path or a repository says itself what it is."""
    engine, choice = question.meaning.engine, EngineChoice.AUTO
    is_name = "/" not in text and ":" not in text and not Path(text).exists()
    if engine is EngineName.OLLAMA or (engine.takes_pool() and is_name and _is_format(quantization)):
        choice = EngineChoice(engine.value)
    return open_model(
        text,
        engine=choice,
        quantization=quantization,
        rooms_bytes=question.place.rooms_bytes(),
        pinned=False,
        sources=replace(question.sources, config_changes=question.meaning.config_changes),
    )


def _is_format(quantization: str) -> bool:
    """Whether it is one that safetensors come in, or any."""
    from llmops.formats.row_formats import BY_NAME

    return quantization == "auto" or quantization.upper() in BY_NAME


def _label(file: str | None) -> str | None:
    """The quantization in a file's name, as its parts spell it (`Qwen3-8B-Q4_K_M.gguf`)."""
    if file is None or not file.lower().endswith(".gguf"):
        return None
    known = {label.upper() for label in FILE_TYPES.values()}
    parts = re.split(r"[-.]", file.rsplit("/", 1)[-1].upper())
    return next((part for part in reversed(parts) if part in known), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """A lock's deployment that stands in: its model as MODEL, and the cards it is for."""

    model: str
    devices: tuple[LockedDevice, ...]

    def cards(self, place: Hardware) -> Hardware:
        """The lock's cards among those of the place, where every one is found; else all of them."""
        left = list(place.cards)
        chosen: list[Device] = []
        for wanted in self.devices:
            card = next((one for one in left if _is_card(one, wanted)), None)
            if card is None:
                return place
            left.remove(card)
            chosen.append(card)
        return replace(place, cards=tuple(chosen)) if chosen else place


def _is_card(card: Device, wanted: LockedDevice) -> bool:
    if wanted.uuid is not None or wanted.index is not None:
        return (card.uuid, card.index) == (wanted.uuid, wanted.index)
    return (card.name, card.capacity_bytes) == (wanted.name, wanted.capacity_bytes)


def locked(path: str, meaning: Meaning) -> Locked:
    """The deployment of a lock that the command line is, or the only one."""
    lock = parse_lock(files.read_text(Path(path)), file=path)
    name, deployment = _deployment(lock.deployments, meaning, path)
    return Locked(model=_lock_model(path, name, deployment.model), devices=deployment.devices)


def _lock_model(path: str, name: str, ref: ModelRef) -> str:
    """Its repository and file at the pinned commit, or the local file it was made from, here or beside the lock."""
    first = ref.files[0].name if ref.files else None
    if ref.kind in (SourceKind.HUB, SourceKind.CATALOGUE) and ref.repository is not None:
        commit = f"@{ref.commit}" if ref.commit else ""
        selector = f":{first}" if first is not None and first.endswith(".gguf") else ""
        return f"hf:{ref.repository}{commit}{selector}"
    if ref.kind is SourceKind.URL:
        return ref.source
    for candidate in (Path(ref.source), Path(path).parent / (first or "")):
        if first is not None and candidate.is_file():
            return str(candidate.absolute())  # a path, whatever the catalogue has of that name
    message = f"the model of `{name}` was a local file, `{first}`, which is not here"
    raise WrongInput(message, hint="`--model MODEL` names where it is", where=Where(file=path))


def _deployment(
    deployments: Mapping[str, LockedDeployment], meaning: Meaning, path: str
) -> tuple[str, LockedDeployment]:
    alias = meaning.value("--alias") or meaning.value("--served-model-name")
    matching = {name: one for name, one in deployments.items() if one.served_name() == alias or name == alias}
    table = matching if len(matching) == 1 else deployments
    if len(table) != 1:
        names = ", ".join(deployments)
        raise WrongUsage(
            f"{path} has several deployments: {names}", hint="`--alias NAME` in the command line says which"
        )
    return next(iter(table.items()))


def shape_that_fits(question: Question, opened: Opened) -> Weighed:
    """The first quantization whose ledger fits this line; the last one when none does.

    A line of vLLM's kind serves one repository, whatever would fit: the model's own format is weighed where none is told.
    """
    weighed = [Weighed(shape=shape, ledger=_ledger(question, shape)) for shape in opened.shapes[:1]]
    for shape in () if question.meaning.engine.takes_pool() else opened.shapes[1:]:
        last = weighed[-1].ledger
        if last is None or last.fits():
            break
        weighed.append(Weighed(shape=shape, ledger=_ledger(question, shape)))
    return weighed[-1]


def _ledger(question: Question, shape: ModelShape) -> Ledger | None:
    return EXPLAINERS[question.meaning.engine].ledger(
        question.meaning,
        shape=shape,
        devices=question.place.cards,
        host=question.place.host,
        reserve_bytes=question.reserve_bytes,
    )


def sized_from(opened: Opened) -> tuple[str, ...]:
    """What the ledger rests on; an option of `plan` has no place here."""
    return tuple(note.partition("; `--out`")[0] for note in opened.notes)


def assumed(opened: Opened, shape: ModelShape, meaning: Meaning) -> list[Finding]:
    """What the model that was weighed may not have in common with the one that runs."""
    found: list[Finding] = []
    if len(opened.shapes) > 1:
        message = f"the line does not say which quantization `{opened.name}` has: {shape.quantization} is weighed"
        found.append(Finding(code="EXP013", status=Status.WARN, message=message, fix="`--quantization TYPE`"))
    file = meaning.model.file
    is_here = file is not None and Path(file).expanduser().exists()
    both = (opened.engine, meaning.engine)
    is_served = all(one.runs_llama_cpp() for one in both) or all(one.takes_pool() for one in both)
    if opened.engine is not meaning.engine and not is_served:
        message = f"`{opened.name}` is a model for {opened.engine.value}, the line is {meaning.engine.value}'s"
        status, fix = (
            (Status.FAIL, "serve what this engine reads")
            if is_here
            else (Status.WARN, "`--model` names what is served")
        )
        found.append(Finding(code="EXP014", status=status, message=message, fix=fix))
    elif is_here and file is not None and Path(file).expanduser().is_dir() and meaning.engine is EngineName.LLAMA_CPP:
        message = f"`{file[:120]}` is a directory: the server would not start"
        found.append(
            Finding(code="EXP014", status=Status.FAIL, message=message, fix=f"`-m` with the file: `{opened.name}`")
        )
    if meaning.config_changes and opened.row is not None:
        message = "not counted: changes of the model's config.json, which the catalogue does not have"
        found.append(
            Finding(code="EXP011", status=Status.SKIP, message=message, fix="`--model DIR` with its config.json")
        )
    found += [
        Finding(code="EXP011", status=Status.SKIP, message=f"not sized: {words}", fix="leave room for it")
        for words in shape.not_sized
    ]
    return found


def proposal(question: Question, opened: Opened, weighed: Weighed) -> Proposal | None:
    """What `plan` would make of the same wish: as many tokens a request and requests where that fits, else what does."""
    meaning = question.meaning
    if (
        meaning.engine is not EngineName.LLAMA_CPP
        or opened.engine is not EngineName.LLAMA_CPP
        or weighed.ledger is None
    ):
        return None
    settings = meaning.settings
    kind = settings.kv_cache_type_k
    tokens = EXPLAINERS[meaning.engine].request_tokens(meaning, weighed.shape)
    forced = frozenset({"context", "parallel"})
    for wishes in (
        Wishes(context_tokens=tokens, parallel=settings.parallel, kv_cache_types=(kind,), forced=forced),
        Wishes(),
    ):
        plan = _planned(question, opened, weighed.shape, wishes)
        if plan is not None and plan.ledger.fits():
            return _proposal(meaning, plan, opened)
    return None


def _planned(question: Question, opened: Opened, shape: ModelShape, wishes: Wishes) -> Plan | None:
    place = question.place
    try:
        return search(
            (shape,),
            model=opened.name,
            alias=question.meaning.value("--alias") or "chat",
            wishes=wishes,
            devices=place.cards,
            host=place.host,
            reserve_bytes=question.reserve_bytes,
            engine=ENGINES[EngineName.LLAMA_CPP],
            port=8080,
            speed=lambda one, made: speed(
                one, made, devices=place.cards, host=place.host, read_bytes_per_second=None
            ),
        )  # fmt: skip
    except Stop:  # a wish no plan can hold: there is nothing to compare with
        return None


def _proposal(meaning: Meaning, plan: Plan, opened: Opened) -> Proposal:
    """The options a plan's line gives differently, or that are missing here."""
    planned = EXPLAINERS[EngineName.LLAMA_CPP].meaning(EngineProcess(engine=EngineName.LLAMA_CPP, argv=plan.argv[1:]))
    mine = {flag.name: flag.value for flag in meaning.flags}
    changes = [
        flag.written if not FLAGS[flag.name].value else f"{flag.written} {flag.value}"
        for flag in planned.flags
        if flag.name not in LEFT_OUT and mine.get(flag.name) != flag.value
    ]
    if mine.get("--gpu-layers", "auto") in EVERY_LAYER:
        changes = [change for change in changes if change != "-ngl all"]
    settings = plan.settings
    options = f"--context {settings.request_tokens()} --parallel {settings.parallel} --kv-cache-type {settings.kv_cache_type_k}"
    return Proposal(
        options=options,
        changes=tuple(changes),
        fix=f"`llmops plan {_named(meaning, opened)} {options}` fits, with {_spare(plan)} to spare",
    )


def _named(meaning: Meaning, opened: Opened) -> str:
    file = meaning.model.file
    if file is not None and Path(file).exists():
        return file
    return meaning.model.repository or opened.name


def _spare(plan: Plan) -> str:
    return size_text(plan.ledger.spare_bytes())
