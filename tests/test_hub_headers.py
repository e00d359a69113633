"""Headers of models at the hub: few requests, few bytes, the parts of a split one at the same time."""

from pathlib import Path
from threading import Barrier

import pytest
from fake_hub import FakeHub

from llmops.cli.opened import Sources
from llmops.cli.opening import open_model
from llmops.domain.errors import WrongInput
from llmops.domain.model import ModelRef, ModelShape, Tensor
from llmops.domain.profile import EngineChoice
from llmops.domain.units import MIB
from llmops.formats.gguf_values import Typed, ValueType, Writable
from llmops.formats.gguf_writer import gguf_bytes
from llmops.hub.headers import read_headers

REPOSITORY = "org/model-GGUF"
PARTS = 3
KEYS: dict[str, Writable] = {
    "general.architecture": "llama", "general.file_type": 0, "llama.context_length": 4096, "llama.embedding_length": 64,
    "llama.block_count": PARTS, "llama.attention.head_count": 4, "tokenizer.ggml.model": "gpt2",
}  # fmt: skip


def tokenizer(tokens: int) -> dict[str, Writable]:
    return {
        "tokenizer.ggml.tokens": [f"token{at:06}" for at in range(tokens)],
        "tokenizer.ggml.token_type": [1] * tokens,
        "tokenizer.ggml.merges": [f"to ken{at:06}" for at in range(2 * tokens)],
    }


def split_model(tokens: int) -> dict[str, bytes]:
    """Three files: the tokenizer in the first, one block in each."""
    files = {}
    for part in range(PARTS):
        own: dict[str, Writable] = {
            "split.no": Typed(ValueType.U16, part), "split.count": Typed(ValueType.U16, PARTS),
            "split.tensors.count": Typed(ValueType.I32, PARTS),
        }  # fmt: skip
        tensor = Tensor(f"blk.{part}.attn_q.weight", (64, 64 * 512), "F32")
        keys = {**(KEYS | tokenizer(tokens) if part == 0 else {}), **own}
        files[f"model-{part + 1:05d}-of-{PARTS:05d}.gguf"] = gguf_bytes(keys, [(tensor, bytes(tensor.data_bytes()))])
    return files


def published(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = root / REPOSITORY / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def opened(hub: FakeHub) -> tuple[ModelShape, ModelRef]:
    sources = Sources(endpoint=lambda: hub.url, token=lambda: None)
    found = open_model(
        f"hf:{REPOSITORY}",
        engine=EngineChoice.AUTO,
        quantization="auto",
        rooms_bytes=(1 << 40,),
        pinned=True,
        sources=sources,
    )
    return found.shapes[0], found.pin(found.shapes[0].quantization)


def fetched(hub: FakeHub) -> dict[str, list[int]]:
    """File → bytes sent by each request for a range of its content."""
    seen: dict[str, list[int]] = {}
    for one in hub.requests:
        path = str(one["path"]).partition("?")[0]
        if one.get("sent") and path.endswith(".gguf"):
            assert one["range"]
            seen.setdefault(path.rsplit("/", 1)[-1], []).append(int(str(one["sent"])))
    return seen


@pytest.mark.parametrize(("tokens", "ranges"), [(1000, 1), (100_000, 2)])
def test_a_split_model_costs_two_ranges_a_part_at_most(tmp_path: Path, tokens: int, ranges: int) -> None:
    files = split_model(tokens)
    published(tmp_path, files)
    with FakeHub(tmp_path) as hub:
        shape, pinned = opened(hub)
        asked = fetched(hub)
    assert len(shape.tensors) == PARTS
    assert {name: len(sizes) for name, sizes in asked.items()} == dict.fromkeys(files, 1) | {next(iter(files)): ranges}
    assert all(asked[name] == [256 << 10] for name in list(files)[1:])
    assert sum(sum(sizes) for sizes in asked.values()) <= 32 * MIB
    assert len(pinned.commit or "") == 40
    assert [one.name for one in pinned.files] == sorted(files)
    assert all(one.digest is not None for one in pinned.files)


def test_a_single_file_with_a_long_tokenizer_costs_three_ranges_at_most(tmp_path: Path) -> None:
    tensor = Tensor("token_embd.weight", (64, 64 * 512), "F32")
    published(
        tmp_path, {"model-F32.gguf": gguf_bytes(KEYS | tokenizer(250_000), [(tensor, bytes(tensor.data_bytes()))])}
    )
    with FakeHub(tmp_path) as hub:
        opened(hub)
        (sizes,) = fetched(hub).values()
    assert len(sizes) <= 3
    assert sum(sizes) <= 32 * MIB


def test_a_hub_that_ignores_ranges_is_not_read_to_the_end(tmp_path: Path) -> None:
    tensor = Tensor("token_embd.weight", (4096, 4096), "F32")
    published(tmp_path, {"model-F32.gguf": gguf_bytes(KEYS, [(tensor, bytes(tensor.data_bytes()))])})
    with FakeHub(tmp_path, faults={"*.gguf": "norange,slow:60000000"}) as hub:
        shape, _ = opened(hub)
        assert shape.weights_bytes() == 64 * MIB
        assert sum(sum(sizes) for sizes in fetched(hub).values()) < 32 * MIB


class Waiting:
    """A file whose reading ends only when all others are being read as well."""

    bytes = 3
    requests = 0

    def __init__(self, barrier: Barrier) -> None:
        self._barrier = barrier

    def read(self, offset: int, length: int) -> "Content":
        self._barrier.wait(timeout=10)
        return b"abc"[offset : offset + length]


Content = bytes


def test_the_parts_are_read_at_the_same_time_and_come_in_order() -> None:
    barrier = Barrier(4)
    readers = [(str(at), Waiting(barrier)) for at in range(4)]
    assert read_headers(readers, lambda name, reader: name + reader.read(0, 3).decode()) == (
        "0abc",
        "1abc",
        "2abc",
        "3abc",
    )


def test_one_file_is_read_where_the_caller_is_and_errors_of_any_are_raised() -> None:
    def parse(name: str, _reader: object) -> str:
        if name == "2":
            raise WrongInput("not this one")
        return name

    assert read_headers([("1", Waiting(Barrier(1)))], parse) == ("1",)
    with pytest.raises(WrongInput, match="not this one"):
        read_headers([(str(at), Waiting(Barrier(1))) for at in range(4)], parse)
