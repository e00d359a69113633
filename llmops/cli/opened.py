"""A model that was opened, whoever opened it: where it is looked for, what is known of it, its shape from its headers."""

from collections.abc import Callable, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from llmops.domain.companions import Projector
from llmops.domain.engine import EngineName
from llmops.domain.errors import Impossible
from llmops.domain.explained import OwnParameters
from llmops.domain.key_change import KeyChange
from llmops.domain.model import ModelFile, ModelRef, ModelShape
from llmops.domain.profile import EngineChoice
from llmops.domain.records import dataclass
from llmops.formats import gguf
from llmops.formats.gguf_shape import model_shape
from llmops.hub import account
from llmops.hub.headers import read_headers
from llmops.hub.reader import PIECE_BYTES, LocalReader, Reader

if TYPE_CHECKING:
    from llmops.domain.catalogue import ModelRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where models are looked for: the hub's address, and who asks it. The token is asked for when it is needed.

    `changes`: what a command line says of a GGUF file's metadata instead of the file, `config_changes` of a config.json (JSON).
    """

    endpoint: Callable[[], str] = account.hub_endpoint
    token: Callable[[], str | None] = field(default=account.hub_token, repr=False)
    changes: tuple[KeyChange, ...] = ()
    config_changes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A model ready to be sized: one shape per quantization, the preferred one first.

    `pin` gives the files of a quantization with their digests (local files are hashed then, not before). `projectors` are
    mmproj files of the same repository, which `read_projector` reads. `row`: the catalogue's shape was sized, no file.
    `own`: what a model of an Ollama store says of its loading. `folder`: where the files lie on this machine, as typed.
    """

    name: str
    engine: EngineName
    shapes: tuple[ModelShape, ...]
    notes: tuple[str, ...] = ()
    has_header: bool = True
    pin: Callable[[str | None], ModelRef]
    row: "ModelRow | None" = None
    projectors: tuple[ModelFile, ...] = ()
    read_projector: Callable[[ModelFile], Projector] | None = None
    own: OwnParameters = OwnParameters()
    folder: Path | None = None


def engine_for(choice: EngineChoice, natural: EngineName, *, what: str) -> EngineName:
    """The engine wished for, if it serves this kind of file."""
    if choice is EngineChoice.AUTO or choice.value == natural.value:
        return natural
    if choice is EngineChoice.OLLAMA and natural is EngineName.LLAMA_CPP:
        return EngineName.OLLAMA  # the same files
    if choice in (EngineChoice.SGLANG, EngineChoice.TGI) and natural is EngineName.VLLM:
        return EngineName(choice.value)  # the same files
    raise Impossible(f"{choice.value} is not planned for {what}", hint=f"`--engine {natural.value}` serves it")


def gguf_shape(
    readers: Sequence[tuple[str, Reader]],
    *,
    name: str,
    changes: Sequence[KeyChange] = (),
    notes: list[str] | None = None,
    is_draft: bool = False,
) -> ModelShape:
    """The shape from the headers of all parts, which are read at the same time; `notes` gets what came of the changes."""
    headers = read_headers(
        readers,
        lambda part, reader: gguf.read_header(
            reader.read,
            name=part,
            file_bytes=reader.bytes,
            piece_bytes=PIECE_BYTES if isinstance(reader, LocalReader) else None,
        ),
    )
    if changes:
        from llmops.formats.gguf_changes import changed

        first, said = changed(headers[0], changes, name=name)
        headers = (first, *headers[1:])
        if notes is not None:
            notes.extend(one for one in said if one not in notes)
    return model_shape(headers, name=name, is_draft=is_draft)
