"""The files a command line loads beside its model, read from their headers: projector, draft model, adapters."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from llmops.cli.opened import Opened, gguf_shape
from llmops.domain.companions import Adapter, Projector
from llmops.domain.engine import EngineName
from llmops.domain.errors import Stop, WrongInput
from llmops.domain.file_names import part_names
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.model import Companions, ModelRef, ModelShape
from llmops.domain.profile import Auto
from llmops.formats import gguf
from llmops.hub.reader import local_reader

if TYPE_CHECKING:
    from llmops.domain.explained import Meaning

T = TypeVar("T")


def with_companions(opened: Opened | None, meaning: "Meaning") -> tuple[Opened | None, list[Finding]]:
    """The model's shapes with what is served beside them; a finding for each file that is not here or is none."""
    if meaning.engine is not EngineName.LLAMA_CPP:
        return opened, []
    from llmops.engines.llama_cpp_beside import beside

    named = beside({flag.name: flag for flag in meaning.flags}, meaning.written or meaning.flags)
    if not named.named():
        return opened, []
    missing: list[str] = []
    found = Companions(
        projector=_read(named.projector, "the projector", projector_at, missing),
        draft=_read(named.draft, "the draft model", draft_at, missing),
        adapters=_all(named.adapters, "the LoRA adapter", missing, idle=named.idle),
        control_vectors=_all(named.control_vectors, "the control vector", missing),
    )
    found = replace(found, missing=tuple(missing))
    findings = [
        Finding(
            code="EXP011",
            status=Status.SKIP,
            message=f"not counted: {words}",
            fix="leave room for it, or run this where the file is",
        )
        for words in missing
    ]
    if opened is None:
        return None, findings
    shapes = tuple(replace(shape, companions=found) for shape in opened.shapes)
    return replace(opened, shapes=shapes), findings


PREFERRED = ("F16", "BF16", "Q8_0", "F32")
"""Which projector is taken where several lie beside a model."""


def with_projector(opened: Opened, model: str, *, wanted: bool | Auto) -> Opened:
    """A model with the mmproj file beside it, where images are asked for; else a word about the file.

    Images are served when they are asked for: a projector takes memory on the first card, and its largest image more.
    """
    if opened.engine is not EngineName.LLAMA_CPP or wanted is False:
        return opened
    path = Path(model).expanduser()
    folder = path if path.is_dir() else path.parent
    here = sorted(folder.glob("*.gguf")) if path.exists() else []
    names = sorted(
        {one.name for one in here if "mmproj" in one.name.lower()} | {one.name for one in opened.projectors}, key=_rank
    )
    if wanted is not True:
        if not names:
            return opened
        note = f"text only: `{names[0]}` lies beside the model; `features: {{mmproj: true}}` serves images"
        return replace(opened, notes=(*opened.notes, note))
    if not names:
        message = "images are asked for (`features: {mmproj: true}`), and no mmproj file lies beside the model"
        raise WrongInput(message, hint="a local one goes into the same folder: mmproj-….gguf", where=Where(file=model))
    at_hub = next((one for one in opened.projectors if one.name == names[0]), None)
    if at_hub is not None and opened.read_projector is not None:
        read = opened.read_projector(at_hub)
    else:
        read = projector_at(folder / names[0])
    note = f"images by {names[0]}, counted with the largest image it takes"

    def pin(quantization: str | None) -> ModelRef:
        from llmops.hub.local import describe

        ref = opened.pin(quantization)
        beside = (at_hub,) if at_hub is not None else describe(folder / names[0]).files
        return replace(ref, files=(*ref.files, *(one for one in beside if one not in ref.files)))

    shapes = tuple(replace(shape, companions=Companions(projector=read)) for shape in opened.shapes)
    return replace(opened, shapes=shapes, notes=(*opened.notes, note), pin=pin)


def _rank(name: str) -> tuple[int, str]:
    upper = name.upper()
    return next((at for at, kind in enumerate(PREFERRED) if _has(upper, kind)), len(PREFERRED)), name


def _has(name: str, kind: str) -> bool:
    return kind in name and not (kind == "F16" and "BF16" in name)


def _all(
    names: tuple[str, ...], what: str, missing: list[str], *, idle: frozenset[str] = frozenset()
) -> tuple[Adapter, ...]:
    read = ((name, _read(name, what, adapter_at, missing)) for name in names)
    return tuple(replace(one, is_idle=name in idle) for name, one in read if one is not None)


def _read(name: str | None, what: str, read: Callable[[Path], T], missing: list[str]) -> T | None:
    if name is None:
        return None
    path = Path(name).expanduser()
    try:
        if path.is_file():
            return read(path)
        reason = "is not here"
    except Stop as stop:
        reason = stop.message
    missing.append(f"{what} `{ascii(name)[1:-1][:80]}`: {reason}")
    return None


def projector_at(path: Path) -> Projector:
    """The encoders of a projector file."""
    from llmops.formats.projector import projector

    with local_reader(path) as reader:
        return projector(gguf.read_header(reader.read, name=str(path), file_bytes=reader.bytes), name=path.name)


def adapter_at(path: Path) -> Adapter:
    """The tensors of a LoRA adapter or a control vector."""
    from llmops.formats.projector import adapter

    with local_reader(path) as reader:
        return adapter(gguf.read_header(reader.read, name=str(path), file_bytes=reader.bytes), name=path.name)


def draft_at(path: Path) -> ModelShape:
    """The shape of a draft model, from all its parts."""
    with ExitStack() as stack:
        parts = [path.with_name(part) for part in part_names(path.name)]
        readers = [(str(part), stack.enter_context(local_reader(part))) for part in parts]
        return gguf_shape(readers, name=path.name, is_draft=True)
