"""Settings that move tensors, spread over unlike cards, and cut the context oddly: drawn at random for `scripts/measure`."""

from random import Random

PAIRS = (("f16", "f16"),) * 10 + (("q8_0", "q8_0"),) * 5 + (("q4_0", "q4_0"), ("bf16", "bf16"), ("q8_0", "f16"))
NAMES = (
    "ffn_down", "ffn_up", "ffn_gate", "attn", "attn_output", "attn_q", "attn_k", "norm", "exps", "ffn_.*_exps", "ssm", "output",
    "token_embd", r"^output\.", r"ffn_(up|down)_exps\.weight", r"attn_(q|k|v)\.weight", "weight$", "shexp", "rope_freqs",
)  # fmt: skip


def placement(rng: Random, layers: int, *, has_experts: bool) -> tuple[list[int], list[str]]:
    """The sizes of the cards in MiB, and the flags."""
    flags = _context(rng)
    key, value = rng.choice(PAIRS)
    flags += [] if key == value == "f16" else ["-ctk", key, "-ctv", value]
    flags += ["-fa", "on" if value.startswith("q") or rng.random() < 0.85 else "off"]
    count = rng.choice((1, 1, 1, 2, 2, 3, 4))
    cards = [rng.choice((3_000_000, 4_000_000, 5_000_000)) for _ in range(count)]
    if rng.random() < 0.06:
        return [], [*flags, "--device", "none"]
    used = list(range(count))
    if count > 1 and rng.random() < 0.25:
        used = rng.sample(used, rng.randint(1, count))
        flags += ["--device", ",".join(f"CUDA{at}" for at in used)]
    if len(used) > 1:
        flags += _split(rng, len(used))
    if rng.random() < 0.3:
        flags += ["-ngl", str(rng.randint(0, layers + 2))]
    if rng.random() < 0.7:
        for _ in range(rng.choice((1, 1, 2))):
            flags += _moved(rng, layers, used, has_experts=has_experts)
    flags += ["-nkvo"] if rng.random() < 0.12 else []
    flags += ["--no-op-offload"] if rng.random() < 0.1 else []
    flags += ["--no-host"] if rng.random() < 0.06 else []
    flags += ["--no-repack"] if rng.random() < 0.06 else []
    return cards, flags


def _context(rng: Random) -> list[str]:
    """Any length, also the trained one (0) and beyond it, with up to 64 slots, one pool or many, batches of any two sizes."""
    size = rng.choice(
        (0, rng.randint(1, 600), rng.randint(600, 20_000), rng.randint(600, 20_000), rng.randint(20_000, 300_000))
    )
    flags = ["-c", str(size)]
    slots = rng.choice((None, 1, 1, 2, 3, 5, 7, 8, 13, 16, 31, 64))
    flags += [] if slots is None else ["-np", str(slots)]
    flags += ["-kvu"] if slots is not None and rng.random() < 0.4 else []
    if rng.random() < 0.5:
        flags += ["-b", str(rng.choice((64, 100, 256, 512, 777, 1024, 2048, 4096)))]
    if rng.random() < 0.5:
        flags += ["-ub", str(rng.choice((1, 32, 64, 100, 256, 500, 1000, 1024, 2048, 3000)))]
    return [*flags, *(["--swa-full"] if rng.random() < 0.06 else [])]


def _split(rng: Random, count: int) -> list[str]:
    """One card alone, shares with zeros, too few shares, or as much as each has free."""
    kind = rng.random()
    if kind < 0.15:
        return ["-sm", "none", "-mg", str(rng.randrange(count))]
    if kind < 0.35:
        return []
    parts = [str(rng.randint(0, 3)) for _ in range(count if kind < 0.9 else rng.randint(1, count))]
    return ["-ts", ",".join(parts)]


def _moved(rng: Random, layers: int, used: list[int], *, has_experts: bool) -> list[str]:
    kind = rng.random()
    if kind < 0.2:
        return ["-ncmoe" if has_experts else "-ncffn", str(rng.randint(0, layers))]
    if kind < 0.25:
        return ["-cmoe"]
    if kind < 0.3:
        return ["-ncffn", str(rng.randint(0, layers))]
    buffer = "CPU" if rng.random() < 0.7 else f"CUDA{rng.choice(used)}"
    name = rng.choice(NAMES)
    if rng.random() < 0.5 and not name.startswith(("output", "token", "^", "rope")):
        some = sorted(rng.sample(range(layers), min(layers, rng.randint(1, 4))))
        name = rf"blk\.({'|'.join(map(str, some))})\..*{name}"
    return ["-ot", f"{name}={buffer}"]
