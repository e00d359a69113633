"""Starts under settings that are legal and hostile: drawn at random for `scripts/measure-refused`.

`draw(rng)` gives a case (model in numbers, cards in MiB, flags), `files(case)` the keys and tensors of its files with the option
each is given by. Most of a line is of no consequence; what ends a start is mostly one option, or two that do not go together.
"""

from random import Random
from typing import Any

import llama_cpp_beside as beside
import llama_cpp_drafters as drafters
import llama_cpp_encoders as encoders
import llama_cpp_families as families
from llama_cpp_beside import Content

Case = dict[str, Any]

CARD_MIB = 4_000_000
KINDS = ("plain",) * 8 + ("encoder",) * 2 + ("projector", "tower", "drafts", "blocks", "adapters", "eagles")
TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
NAMES = (
    "ffn_down", "ffn_up", "ffn_gate", "attn", "attn_output", "attn_q", "attn_k", "attn_v", "norm", "exps", "ffn_.*_exps", "ssm",
    "output", "token_embd", r"ffn_(up|down)_exps\.weight", r"attn_(q|k|v)\.weight", "attn_qkv", "weight$", "bias", "shexp",
    "rope_freqs", "blk", "attn_kv_a", "attn_k_b", r"ffn_.*\.weight", ".",
)  # fmt: skip
ANY = (
    (0.06, ("--no-op-offload",)), (0.05, ("--no-host",)), (0.05, ("--no-repack",)), (0.05, ("--context-shift",)),
    (0.08, ("--ctx-checkpoints", "0 1 100 -1")), (0.05, ("--cache-reuse", "1 256")),
    (0.05, ("--rope-scaling", "none linear yarn")),
    (0.06, ("--spec-type", "ngram-simple ngram-map-k ngram-map-k4v ngram-mod ngram-cache draft-mtp draft-simple none")),
    (0.06, ("--spec-draft-n-max", "0 1 16 100 600")), (0.03, ("--yarn-orig-ctx", "4096")), (0.05, ("--keep", "-1 100")),
    (0.03, ("--kv-unified-per-slot", "0 100 4096")), (0.03, ("--moe-cache-mib", "0 64 1000")), (0.05, ("--no-cache-prompt",)),
    (0.03, ("-lzm", "on off auto")), (0.03, ("-t", "0 -1 1 2")), (0.02, ("--numa", "distribute isolate numactl")),
    (0.03, ("--image-max-tokens", "300")), (0.03, ("--no-mmproj-offload",)), (0.03, ("-cms", "0 1 100000 -1")),
    (0.02, ("--sleep-idle-seconds", "-1 0 5")), (0.02, ("--reasoning-budget", "-1 0 10")), (0.05, ("-bs",)),
)  # fmt: skip
"""Other options, each with its chance and the values it may get."""


def draw(rng: Random) -> Case:
    """One case of any kind."""
    kind = rng.choice(KINDS)
    if kind == "plain":
        family = rng.choice((*families.FAMILIES, *families.BOUNDED))
        case: Case = {"what": kind, "family": family, "numbers": families.draw(family, rng)}
    elif kind == "encoder":
        family = rng.choice(tuple(encoders.ENCODERS))
        case = {"what": kind, "family": family, "numbers": encoders.draw(family, rng)}
    else:
        case = beside.draw(kind, rng) if kind in ("projector", "tower") else drafters.draw(kind, rng)
    cards = [CARD_MIB] * rng.choice((0, 1, 1, 1, 2, 2, 3))
    layers = int(case["numbers"]["L"]) if kind not in ("projector", "tower") else 1
    flags = _flags(rng, layers, len(cards))
    while "-sm" in flags and "none" in flags and len(cards) > 1:  # what is moved to another card is another question
        flags = _flags(rng, layers, len(cards))
    if kind in ("drafts", "blocks", "eagles") and "--spec-type" not in flags:
        at = case["flags"].index("--spec-type") if "--spec-type" in case["flags"] else len(case["flags"])
        flags += case["flags"][at : at + 2]
    return case | {"flags": flags, "cards": cards}


def files(case: Case) -> list[tuple[str, Content, str]]:
    """Option, content and what stands behind the name of every file."""
    if case["what"] == "plain":
        known = encoders if case["family"] in encoders.ENCODERS else families
        return [("-m", known.build(case["family"], case["numbers"]), "")]
    if case["what"] in drafters.KINDS:
        return drafters.files(case)
    options = ("-m", beside.OPTIONS.get(case["what"], ""))
    return [(option, content, "") for option, content in zip(options, beside.files(case), strict=False)]


def _flags(rng: Random, layers: int, cards: int) -> list[str]:
    flags = [
        "-c",
        str(rng.choice((0, 1, rng.randint(1, 300), rng.randint(1, 5000), rng.randint(256, 9000), 4096, 40000))),
    ]
    slots = rng.choice((None, 1, 1, 1, 2, 3, 4, 5, 8, 13, 32, 64, 256))
    flags += [] if slots is None else ["-np", str(slots)]
    flags += [rng.choice(("-kvu", "-kvu", "-no-kvu"))] if rng.random() < 0.3 else []
    if rng.random() < 0.5:
        key = rng.choice(TYPES)
        flags += ["-ctk", key, "-ctv", key if rng.random() < 0.7 else rng.choice(TYPES)]
    flags += ["-fa", rng.choice(("on", "on", "on", "off", "auto"))] if rng.random() < 0.8 else []
    flags += ["-b", str(rng.choice((1, 2, 16, 31, 32, 100, 256, 777, 2048, 4096)))] if rng.random() < 0.4 else []
    flags += ["-ub", str(rng.choice((1, 2, 7, 32, 64, 100, 256, 500, 1000, 3000)))] if rng.random() < 0.5 else []
    flags += rng.choice((["--embedding"], ["--embedding"], ["--reranking"])) if rng.random() < 0.3 else []
    flags += ["--pooling", rng.choice(("none", "mean", "cls", "last", "rank"))] if rng.random() < 0.3 else []
    flags += ["--swa-full"] if rng.random() < 0.15 else []
    flags += ["--cache-ram", rng.choice(("0", "-1", "100"))] if rng.random() < 0.2 else []
    flags += ["-nkvo"] if rng.random() < 0.15 else []
    flags += ["-ngl", str(rng.randint(0, layers + 2))] if rng.random() < 0.2 else []
    flags += ["-sm", rng.choice(("none", "layer", "row", "tensor", "tensor"))] if cards and rng.random() < 0.4 else []
    if cards > 1 and rng.random() < 0.4:
        flags += ["-ts", ",".join(str(rng.randint(0, 3)) for _ in range(rng.randint(1, cards)))]
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 4, 8, 30))):
        flags += ["-ot", _moved(rng, layers, cards)]
    for chance, (name, *values) in ANY:
        if rng.random() < chance:
            flags += [name, *(rng.choice(one.split()) for one in values)]
    return flags


def _moved(rng: Random, layers: int, cards: int) -> str:
    name, place = rng.choice(NAMES), "CPU" if not cards or rng.random() < 0.6 else f"CUDA{rng.randrange(cards)}"
    if rng.random() < 0.7:
        blocks = sorted(rng.sample(range(layers), min(layers, rng.randint(1, 4))))
        name = rf"blk\.({'|'.join(map(str, blocks))})\..*{name}"
    return f"{name}={place}"
