"""vLLM's server: command line, what one means, and its memory, first depth.

The API key is never an argument: the environment variable `VLLM_API_KEY` carries it, set by what starts the server.
"""

import re
from collections.abc import Sequence
from difflib import get_close_matches

from llmops.domain.engine import Device, EngineName, EngineSettings, FlagRow, HostDevice
from llmops.domain.errors import WrongInput
from llmops.domain.finding import Where
from llmops.domain.ledger import Ledger
from llmops.domain.model import ModelShape
from llmops.engines import vllm_memory
from llmops.engines.vllm_flags import FLAGS, LISTS

NAME = EngineName.VLLM
BUILD = vllm_memory.BUILD
VERSIONS = ">= 0.20, < 0.34"

DEFAULT_SEQUENCES = 256
DEFAULT_BATCH_TOKENS = 2048
"""On cards below 70 GiB; larger ones default to more, so a locked command line states both."""

_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def argv(settings: EngineSettings, *, alias: str, port: int, threads: int | None) -> tuple[str, ...]:  # noqa: ARG001
    """The locked command line; `{model}` is the model's directory."""
    return (
        *("vllm", "serve", "{model}", "--served-model-name", alias),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--max-model-len", str(settings.context_size), "--max-num-seqs", str(settings.parallel)),
        *("--max-num-batched-tokens", str(settings.batch_tokens)),
        *("--gpu-memory-utilization", f"{settings.gpu_memory_utilization or vllm_memory.DEFAULT_UTILIZATION!r}"),
        *("--tensor-parallel-size", str(settings.tensor_parallel)),
        *("--kv-cache-dtype", settings.kv_cache_type_k),
    )


def settings(argv: Sequence[str]) -> EngineSettings:
    """The settings a `vllm serve` command line means, defaults of 0.33 on a card below 70 GiB resolved."""
    given = _arguments(argv)
    kind = given.get("--kv-cache-dtype", "auto")
    length = given.get("--max-model-len", "0")
    return EngineSettings(
        engine=EngineName.VLLM,
        context_size=0 if length in ("auto", "-1") else _number("--max-model-len", length),
        parallel=max(_number("--max-num-seqs", given.get("--max-num-seqs", str(DEFAULT_SEQUENCES))), 1),
        kv_unified=True,
        kv_cache_type_k=kind,
        kv_cache_type_v=kind,
        batch_tokens=_number(
            "--max-num-batched-tokens", given.get("--max-num-batched-tokens", str(DEFAULT_BATCH_TOKENS))
        ),
        tensor_parallel=max(_number("--tensor-parallel-size", given.get("--tensor-parallel-size", "1")), 1),
        gpu_memory_utilization=_share(given.get("--gpu-memory-utilization")),
    )


def ledger(
    *, shape: ModelShape, settings: EngineSettings, devices: Sequence[Device], host: HostDevice, reserve_bytes: int
) -> Ledger:
    """The memory of exactly these settings on these devices, whether it fits or not."""
    return vllm_memory.ledger(shape=shape, settings=settings, devices=devices, host=host, reserve_bytes=reserve_bytes)


def _arguments(argv: Sequence[str]) -> dict[str, str]:
    """Options by long name; underscores are dashes, `--x=y` is a value, words before the first option are the model."""
    words = [word for word in argv if word not in ("vllm", "serve")]
    found: dict[str, str] = {}
    at = 0
    while at < len(words):
        word, equals, value = words[at].partition("=")
        at += 1
        if not word.startswith("-"):
            continue
        row = _row(word)
        if not row.value:
            found[row.name] = "off" if _is_negated(row, word) else value or "on"
        elif equals:
            found[row.name] = value
        else:
            if at >= len(words):
                raise WrongInput(f"`{word}` needs a value", where=Where(file="vllm serve", key=word))
            found[row.name] = words[at]
            at += 1
            while row.name in LISTS and at < len(words) and not words[at].startswith("-"):
                at += 1
    return found


def _spelling(word: str) -> str:
    return word.replace("_", "-") if word.startswith("--") else word


def _is_negated(row: FlagRow, word: str) -> bool:
    return _spelling(word) in row.negated or (_spelling(word).startswith("--no-") and row.name != _spelling(word))


def _switched_off(name: str) -> FlagRow | None:
    """`--no-x` of a switch `--x`: understood by every version, listed by none."""
    row = FLAGS.get("--" + name.removeprefix("--no-")) if name.startswith("--no-") else None
    return None if row is None or row.value else row


def _row(word: str) -> FlagRow:
    where = Where(file="vllm serve", key=word)
    name = _spelling(word).split(".", 1)[0]
    row = FLAGS.get(name) or _switched_off(name)
    if row is None:
        near = get_close_matches(name, FLAGS, n=1)
        hint = f"did you mean `{near[0]}`?" if near else "`vllm serve --help=all` lists the options"
        raise WrongInput(f"vLLM {BUILD} does not know `{word}` and would not start", hint=hint, where=where)
    if row.removed is not None:
        raise WrongInput(
            f"vLLM no longer has `{word}` and would not start", hint=row.removed or "leave it out", where=where
        )
    return row


def _number(name: str, text: str) -> int:
    """Whole numbers as vLLM reads them: `8192`, `8k` = 8000, `8K` = 8192."""
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)([kmgKMG]?)", text, re.ASCII)
    if match is None:
        raise WrongInput(f"`{name}` takes a whole number, not `{text[:40]}`", where=Where(file="vllm serve", key=name))
    return int(float(match[1]) * _FACTORS[match[2]])


def _share(text: str | None) -> float:
    if text is None:
        return vllm_memory.DEFAULT_UTILIZATION
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        where = Where(file="vllm serve", key="--gpu-memory-utilization")
        raise WrongInput(f"`--gpu-memory-utilization` is above 0 and at most 1, not `{text[:40]}`", where=where)
    return share
