"""The model of its own that drafts tokens for another one, opened by its headers as a model is."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from llmops.cli.opened import Opened, Sources
from llmops.cli.opening import model_rows, open_model
from llmops.domain.errors import Stop
from llmops.domain.explained import Meaning
from llmops.domain.finding import Finding, Status
from llmops.domain.model import Companions, ModelShape
from llmops.domain.profile import EngineChoice


def with_draft(
    opened: Opened | None, meaning: Meaning, *, rooms_bytes: Sequence[int], sources: Sources
) -> tuple[Opened | None, list[Finding]]:
    """The model's shapes with its drafter's; a finding where that cannot be read."""
    named = meaning.draft
    if opened is None or not named.file:
        return opened, []
    path = Path(named.file).expanduser()
    text = str(path) if path.exists() or named.repository is None else named.repository
    try:
        read = open_model(
            text,
            engine=EngineChoice(meaning.engine.value),
            quantization="auto",
            rooms_bytes=rooms_bytes,
            pinned=False,
            sources=sources,
        )
    except Stop as stop:
        shape = _from_catalogue(named.repository)
        if shape is None:
            message = f"the drafter `{ascii(named.file)[1:-1][:80]}` was not read: {stop.message}"
            fix = "leave room for it, or run this where its files are"
            return opened, [Finding(code="EXP011", status=Status.SKIP, message=message, fix=fix)]
        note = f"the drafter is sized from the catalogue: {stop.message}"
    else:
        shape, note = read.shapes[0], f"the drafter: {'; '.join(read.notes) or read.name}"
    shapes = tuple(replace(one, companions=Companions(draft=shape)) for one in opened.shapes)
    return replace(opened, shapes=shapes, notes=(*opened.notes, note)), []


def _from_catalogue(repository: str | None) -> ModelShape | None:
    """A drafter that is a model of the catalogue, in its own repository's format."""
    from llmops.cli.opening_config import vllm_shapes
    from llmops.formats.row_formats import named_format

    name = (repository or "").removeprefix("hf:").lower()
    row = next((one for one in model_rows() if one.repository and one.repository.lower() == name), None)
    return vllm_shapes(row, named_format(row, name))[0] if row is not None else None
