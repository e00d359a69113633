"""A model described in a measured file → a GGUF file that is only a header → its shape, as a user's file is read."""

from collections.abc import Mapping, Sequence

from llmops.domain.engine import Device, DeviceKind, EngineName, HostDevice
from llmops.domain.errors import WrongInput
from llmops.domain.explained import EngineProcess
from llmops.domain.finding import Status
from llmops.domain.ledger import Ledger
from llmops.domain.model import ModelShape, Tensor
from llmops.domain.units import padded
from llmops.engines.explainers import EXPLAINERS
from llmops.formats.gguf import read_header
from llmops.formats.gguf_shape import model_shape
from llmops.formats.gguf_values import Writable
from llmops.formats.gguf_writer import header_bytes


def shape_of(
    name: str, architecture: str, keys: Mapping[str, Writable], tensors: Sequence[tuple[str, tuple[int, ...], str]] = ()
) -> ModelShape:
    """Through the bytes of a header; `keys` are without the architecture's prefix. Raises `WrongInput`."""
    table = [Tensor(*one) for one in tensors]
    own: dict[str, Writable] = {f"{architecture}.{key}": value for key, value in keys.items()}
    raw = header_bytes({"general.architecture": architecture, "general.name": name, **own}, table)
    size = len(raw) + sum(padded(one.data_bytes(), 32) for one in table)

    def read(offset: int, length: int) -> bytes:
        end = min(offset + length, size)
        stored = raw[offset:end]
        return stored + bytes(max(0, end - offset - len(stored)))

    file = f"{name.replace('/', '-')}.gguf"
    return model_shape([read_header(read, name=file, file_bytes=size)], name=file)


def ledger_of(shape: ModelShape, flags: Sequence[str], cards_bytes: Sequence[int], kind: DeviceKind) -> Ledger:
    """What `explain` says of this llama-server on these cards: the command line as typed, through the engine's own parser.

    Raises `WrongInput` where a word of the line would end the start.
    """
    engine = EXPLAINERS[EngineName.LLAMA_CPP]
    cards = tuple(
        Device(name=f"card {at}", kind=kind, capacity_bytes=size, free_bytes=size, overhead_bytes=0)
        for at, size in enumerate(cards_bytes)
    )
    argv = ("llama-server", "-m", "model.gguf", *flags)
    meaning = engine.meaning(EngineProcess(engine=EngineName.LLAMA_CPP, argv=argv, environment={}))
    for finding in meaning.findings:
        if finding.status is Status.FAIL:
            raise WrongInput(finding.message, hint=finding.fix, where=finding.where)
    host = HostDevice(memory_bytes=None, physical_cores=None)
    made = engine.ledger(meaning, shape=shape, devices=cards, host=host, reserve_bytes=0)
    if made is None:
        raise WrongInput("the line has no ledger")
    return made
