"""What a llama-server command line means: its parser's rules and defaults, b11434 and b11669.

`-np` unset is 4 slots that share one pool; given, each slot has its own part unless `-kvu`. An option given twice: the last
counts. Underscores in long options are dashes. There is no `--option=value`. Source: llama.cpp common/arg.cpp, tools/server.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from llmops.domain.engine import EngineName, EngineSettings, FlagRow, FlashAttention
from llmops.domain.errors import WrongInput
from llmops.domain.finding import Where
from llmops.domain.units import MIB
from llmops.engines.llama_cpp_context import SEQUENCES_LIMIT
from llmops.engines.llama_cpp_flags import FLAGS, TWO_VALUES

CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
LOAD_MODES = ("auto", "none", "mmap", "mlock", "mmap+mlock", "dio")
SPLIT_MODES = ("none", "layer", "row", "tensor")
AUTO_SLOTS = 4
DEFAULT_CACHE_RAM_MIB = 8192
EVERY_LAYER = 1 << 16


def arguments(argv: Sequence[str]) -> dict[str, str]:
    """Options by long name with their value; a switch has `on` or `off`. The program's name may come first."""
    words = list(argv[1:] if argv and not argv[0].startswith("-") else argv)
    found: dict[str, str] = {}
    while words:
        word = words.pop(0)
        row = _row(word)
        if not row.value:
            found[row.name] = "off" if _spelling(word) in row.negated else "on"
            continue
        for _ in range(2 if row.name in TWO_VALUES else 1):
            if not words:
                raise WrongInput(f"`{word}` needs a value", where=_where(word))
            found[row.name] = words.pop(0)
    return found


def _spelling(word: str) -> str:
    return word.replace("_", "-") if word.startswith("--") else word


def _where(word: str) -> Where:
    return Where(file="llama-server", key=word)


def _row(word: str) -> FlagRow:
    row = FLAGS.get(_spelling(word))
    if row is None:
        name, equals, value = word.partition("=")
        if equals and _spelling(name) in FLAGS:
            raise WrongInput(f"llama-server has no `{name}=…` form", hint=f"`{name} {value}`", where=_where(word))
        near = get_close_matches(_spelling(word), FLAGS, n=1)
        hint = f"did you mean `{near[0]}`?" if near else "`llama-server --help` lists the options"
        raise WrongInput(f"llama-server does not know `{word}` and would not start", hint=hint, where=_where(word))
    if row.removed is not None:
        hint = f"today: `{row.removed}`" if row.removed else "leave it out: nothing replaced it"
        raise WrongInput(f"llama-server no longer has `{word}` and would not start", hint=hint, where=_where(word))
    return row


def settings_of(argv: Sequence[str]) -> EngineSettings:
    """The effective settings. Raises `WrongInput` for what the parser of the build refuses."""
    given = arguments(argv)
    slots = _number(given, "--parallel", -1)
    if slots != -1 and not 1 <= slots <= SEQUENCES_LIMIT:
        raise WrongInput(f"`-np {slots}` is not within 1 to {SEQUENCES_LIMIT}", where=_where("--parallel"))
    unified = given.get("--kv-unified", "on" if slots == -1 or "--kv-unified-per-slot" in given else "off") == "on"
    slots = AUTO_SLOTS if slots == -1 else slots
    per_slot = _number(given, "--kv-unified-per-slot", 0)
    cache_ram = _number(given, "--cache-ram", DEFAULT_CACHE_RAM_MIB)
    layers = _layers(given)
    mode = _choice(given, "--load-mode", "auto", LOAD_MODES)
    return EngineSettings(
        engine=EngineName.LLAMA_CPP,
        context_size=_number(given, "--ctx-size", per_slot * slots),
        parallel=slots,
        kv_unified=unified,
        kv_cache_type_k=_choice(given, "--cache-type-k", "f16", CACHE_TYPES),
        kv_cache_type_v=_choice(given, "--cache-type-v", "f16", CACHE_TYPES),
        batch_tokens=_number(given, "--batch-size", 2048),
        ubatch_tokens=_number(given, "--ubatch-size", 512),
        flash_attention=FlashAttention(_choice(given, "--flash-attn", "auto", tuple(FlashAttention))),
        gpu_layers=layers,
        tensor_split=_split(given),
        cache_ram_bytes=(DEFAULT_CACHE_RAM_MIB if cache_ram < 0 else cache_ram) * MIB,
        use_gpu=given.get("--device") != "none",
        kv_offload=given.get("--kv-offload", "on") == "on",
        cpu_moe_layers=EVERY_LAYER if "--cpu-moe" in given else _number(given, "--n-cpu-moe", 0),
        swa_full=given.get("--swa-full", "off") == "on",
        load_mode="mmap" if mode == "auto" else mode,
        split_mode=_choice(given, "--split-mode", "layer", SPLIT_MODES),
    )


def _number(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name)
    if text is None:
        return default
    if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) is None:
        raise WrongInput(f"`{name}` takes a whole number, not `{text[:40]}`", where=_where(name))
    return int(text)


def _choice(given: Mapping[str, str], name: str, default: str, choices: Sequence[str]) -> str:
    text = given.get(name, default)
    if text not in choices:
        hint = f"one of {', '.join(str(one) for one in choices)}"
        raise WrongInput(f"`{name}` does not take `{text[:40]}`", hint=hint, where=_where(name))
    return text


def _layers(given: Mapping[str, str]) -> int | None:
    """`-ngl`: unset, `auto`, `all` and -1 are all layers and the output."""
    if given.get("--gpu-layers", "auto") in ("auto", "all"):
        return None
    layers = _number(given, "--gpu-layers", -1)
    return None if layers < 0 else layers


def _split(given: Mapping[str, str]) -> tuple[float, ...]:
    text = given.get("--tensor-split", "")
    try:
        parts = tuple(float(part) for part in re.split(r"[,/]+", text) if part)
    except ValueError:
        raise WrongInput(f"`-ts` takes numbers, not `{text[:40]}`", where=_where("--tensor-split")) from None
    if any(not 0 <= part < float("inf") for part in parts):
        raise WrongInput(f"`-ts {text[:40]}` has a part below zero or without bound", where=_where("--tensor-split"))
    return parts if any(parts) else ()
