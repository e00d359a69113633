"""Header-only models of llama.cpp's plain transformers, one description a family: which tensors its loader asks for.

Numbers beyond the widths: `qb` biases of queries, keys and values, `fused` one projection for the three, `ob` an output bias,
and of experts `gate`, `wnorm`, `wscale`, `groups`, `probs` as the keys of a file have them.
"""

from dataclasses import dataclass
from random import Random

from llama_cpp_draft import Draft, Numbers, dense_numbers, expert_numbers

MUST, MAY, NO = "must", "may", "no"


@dataclass(frozen=True, kw_only=True)
class Plain:
    """One family; `may` draws it at random."""

    epsilon: str = "attention.layer_norm_rms_epsilon"
    bare: bool = False
    norm_bias: bool = False
    before: tuple[str, ...] = ("attn_norm",)
    forward: tuple[str, ...] = ("ffn_norm",)
    inner: tuple[str, ...] = ()
    heads: str = NO
    head_matrix: bool = False
    qkv_bias: str = MAY
    fused: str = MAY
    output_bias: str = NO
    gate: bool = True
    forward_bias: str = NO
    joined_up: bool = False
    square: bool = True
    all_heads: bool = False
    tied: str = MAY
    final_norm: bool = True
    final_bias: bool = False
    logit_bias: bool = False
    window: tuple[int, ...] = ()
    window_key: bool = True
    positions: bool = False
    embedding_norm: bool = False
    sections: bool = False
    attention_gate: bool = False
    attention_factors: bool = False
    keys: tuple[tuple[str, float | bool | tuple[int, ...]], ...] = ()
    experts: bool = False
    expert_width: str = "Fe"
    expert_gate: bool = True
    shared: str = ""
    lead: bool = False
    reads: frozenset[str] = frozenset()
    probs: str = NO
    also_dense: bool = False
    bare_names: bool = False
    halved: bool = False
    layers: tuple[int, ...] = ()
    swin: str = NO


LN = "attention.layer_norm_epsilon"
ALL = frozenset({"gate", "wnorm", "wscale"})

PLAIN: dict[str, Plain] = {
    "exaone": Plain(attention_factors=True),
    "ernie4_5-moe": Plain(experts=True, shared="Fe", lead=True, probs=MAY, keys=(("interleave_moe_layer_step", 1),)),
    "internlm2": Plain(tied=NO),
    "xverse": Plain(tied=NO),
    "nanbeige": Plain(attention_factors=True),
    "deci": Plain(attention_factors=True, output_bias=MAY),
    "qwen2vl": Plain(sections=True),
    "qwen3vl": Plain(sections=True, heads=MUST),
    "qwen3vlmoe": Plain(sections=True, heads=MUST, experts=True),
    "paddleocr": Plain(sections=True, output_bias=MAY),
    "chatglm": Plain(joined_up=True),
    "pangu-embedded": Plain(output_bias=MUST, attention_factors=True),
    "baichuan": Plain(tied=NO, layers=(32, 40, 6)),
    "refact": Plain(),
    "qwen": Plain(fused=MUST, qkv_bias=MUST, all_heads=True, tied=NO, halved=True),
    "codeshell": Plain(
        epsilon=LN,
        norm_bias=True,
        final_bias=True,
        gate=False,
        output_bias=MUST,
        forward_bias=MUST,
        tied=NO,
    ),
    "openelm": Plain(heads=MUST, fused=MUST, qkv_bias=NO, tied=MUST),
    "bitnet": Plain(inner=("attn_sub_norm",), fused=NO, qkv_bias=NO, tied=MUST),
    "apertus": Plain(
        heads=MUST,
        gate=False,
        attention_factors=True,
        tied=NO,
        keys=tuple((f"xielu.{name}", 0.5) for name in ("alpha_n", "alpha_p", "beta", "eps")),
    ),
    "granitemoe": Plain(
        experts=True,
        expert_width="F",
        shared="Fe",
        attention_factors=True,
        keys=(("logit_scale", 8.0), ("residual_scale", 0.2), ("embedding_scale", 12.0), ("attention.scale", 0.1)),
    ),
    "hunyuan-dense": Plain(heads=MUST),
    "hunyuan-moe": Plain(heads=MUST, experts=True, expert_width="F", shared="Fe"),
    "hunyuan_vl": Plain(heads=MUST, sections=True),
    "maincoder": Plain(heads=MUST),
    "gemma": Plain(square=False, tied=MUST),
    "phimoe": Plain(
        norm_bias=True, output_bias=MUST, experts=True, expert_width="F", tied=NO, final_bias=True, logit_bias=True
    ),
    "bailingmoe": Plain(experts=True, shared="Fe", reads=frozenset({"wnorm", "wscale"}), tied=NO),
    "bailingmoe2": Plain(
        experts=True, heads=MUST, fused=MUST, qkv_bias=NO, shared="Fe", lead=True, reads=ALL, probs=MAY, tied=NO
    ),
    "deepseek": Plain(experts=True, shared="Fe", lead=True, reads=frozenset({"wscale"})),
    "dots1": Plain(
        experts=True, heads=MUST, all_heads=True, fused=NO, shared="Fe", lead=True, reads=ALL, probs=MAY, tied=NO
    ),
    "exaone-moe": Plain(
        experts=True,
        heads=MUST,
        shared="Fe",
        lead=True,
        reads=ALL,
        probs=MAY,
        window=(128, 512),
        attention_factors=True,
        tied=NO,
    ),
    "mellum": Plain(experts=True, heads=MUST, reads=frozenset({"gate", "wnorm"}), window=(0, 1024), tied=NO),
    "arctic": Plain(experts=True, expert_width="F", also_dense=True),
    "smallthinker": Plain(experts=True, reads=frozenset({"gate"}), window=(0, 4096)),
    "afmoe": Plain(
        experts=True,
        heads=MUST,
        before=("attn_norm", "post_attention_norm"),
        forward=("ffn_norm", "post_ffw_norm"),
        attention_gate=True,
        shared="Fe",
        lead=True,
        reads=ALL,
        probs=MUST,
        window=(512, 2048),
        square=False,
    ),
    "grok": Plain(
        experts=True, before=("attn_norm", "attn_output_norm"), forward=("ffn_norm", "post_ffw_norm"), expert_gate=False
    ),
    "plamo3": Plain(
        heads=MUST,
        before=("attn_norm", "post_attention_norm"),
        forward=("ffn_norm", "post_ffw_norm"),
        fused=MUST,
        qkv_bias=NO,
        joined_up=True,
        bare_names=True,
        window=(0, 2048),
    ),
    "hy_v3": Plain(experts=True, heads=MUST, shared="Fe", lead=True, reads=ALL, probs=MAY),
    "chameleon": Plain(heads=MUST, head_matrix=True, qkv_bias=NO, fused=NO, swin=MAY),
    "dream": Plain(fused=NO),
    "llada": Plain(fused=NO, qkv_bias=NO),
    "llada-moe": Plain(experts=True, heads=MUST, fused=NO, qkv_bias=NO, tied=NO),
    "rnd1": Plain(experts=True, heads=MUST, fused=NO, qkv_bias=NO, tied=NO),
    "orion": Plain(epsilon=LN, norm_bias=True, tied=NO, final_bias=True),
    "nemotron": Plain(
        epsilon=LN, norm_bias=True, tied=NO, final_bias=True, gate=False, output_bias=MAY, forward_bias=MAY
    ),
    "jais2": Plain(epsilon=LN, norm_bias=True, final_bias=True, gate=False, output_bias=MUST, forward_bias=MUST),
    "olmo": Plain(epsilon=LN, bare=True, final_norm=False, keys=(("attention.clamp_kqv", 8.0),)),
    "jais": Plain(
        epsilon=LN,
        norm_bias=True,
        tied=NO,
        final_bias=True,
        output_bias=MUST,
        forward_bias=MUST,
        fused=MUST,
        qkv_bias=MUST,
        keys=(("attention.max_alibi_bias", 8.0),),
    ),
    "gpt2": Plain(
        epsilon=LN,
        norm_bias=True,
        final_bias=True,
        gate=False,
        output_bias=MUST,
        forward_bias=MUST,
        fused=MUST,
        qkv_bias=MUST,
        positions=True,
    ),
    "starcoder": Plain(
        epsilon=LN,
        norm_bias=True,
        final_bias=True,
        gate=False,
        output_bias=MUST,
        forward_bias=MUST,
        fused=MUST,
        qkv_bias=MUST,
        positions=True,
    ),
    "mpt": Plain(epsilon=LN, gate=False, fused=MUST, qkv_bias=NO, keys=(("attention.max_alibi_bias", 8.0),)),
    "bloom": Plain(
        epsilon=LN,
        norm_bias=True,
        final_bias=True,
        gate=False,
        output_bias=MUST,
        forward_bias=MUST,
        fused=MUST,
        qkv_bias=MUST,
        embedding_norm=True,
    ),
    "dbrx": Plain(
        epsilon=LN,
        experts=True,
        expert_width="F",
        forward=("attn_output_norm",),
        fused=MUST,
        qkv_bias=NO,
        tied=NO,
        keys=(("attention.clamp_kqv", 8.0),),
    ),
    "cohere2moe": Plain(
        epsilon=LN,
        experts=True,
        shared="Fe",
        lead=True,
        reads=ALL,
        forward=(),
        window=(512, 4096),
        keys=(("logit_scale", 0.25),),
    ),
    "falcon": Plain(
        epsilon=LN,
        norm_bias=True,
        final_bias=True,
        gate=False,
        fused=MUST,
        qkv_bias=NO,
        forward=(),
    ),
    "plamo": Plain(forward=(), tied=NO),
    "phi2": Plain(
        epsilon=LN,
        norm_bias=True,
        final_bias=True,
        logit_bias=True,
        gate=False,
        output_bias=MUST,
        forward_bias=MUST,
        forward=(),
        tied=NO,
    ),
    "gptneox": Plain(
        epsilon=LN,
        norm_bias=True,
        final_bias=True,
        gate=False,
        output_bias=MUST,
        forward_bias=MUST,
        fused=MUST,
        qkv_bias=MUST,
        tied=NO,
        keys=(("use_parallel_residual", True),),
    ),
    "stablelm": Plain(epsilon=LN, norm_bias=True, final_bias=True, tied=NO, forward=()),
}


def draw(name: str, rng: Random) -> Numbers:
    """The numbers of one model of the family."""
    row = PLAIN[name]
    numbers = expert_numbers(rng) if row.experts else dense_numbers(rng)
    if row.all_heads:
        numbers |= {"G": numbers["H"]}
    if row.square:
        numbers |= {"E": int(numbers["H"]) * int(numbers["D"])}
    if row.layers:
        numbers |= {"L": rng.choice(row.layers)}
    if row.swin != NO:
        numbers |= {"swin": rng.randint(0, 1)}
    if row.window:
        numbers |= {"W": rng.choice(row.window)}
    for short, said in (("qb", row.qkv_bias), ("fused", row.fused), ("ob", row.output_bias), ("fb", row.forward_bias)):
        numbers |= {short: rng.randint(0, 1) if said == MAY else int(said == MUST)}
    numbers |= {"tied": int(row.tied == MUST) if row.tied != MAY else rng.randint(0, 1)}
    if row.experts:
        numbers |= {
            "lead": rng.randint(0, 2) if row.lead else 0,
            "probs": int(row.probs == MUST or (row.probs == MAY and rng.random() < 0.5)),
        }
        numbers |= {
            key: value for key, value in _routing(rng, int(numbers["X"])).items() if key in row.reads | {"groups"}
        }
    return numbers


def _routing(rng: Random, count: int) -> Numbers:
    groups = rng.choice([0, 0, 0, 0, *(one for one in (2, 4) if count % one == 0 and count // one > 1)])
    return {"gate": rng.choice((1, 2)), "wnorm": rng.randint(0, 1), "wscale": rng.choice((1, 25)), "groups": groups}


def build(name: str, d: Draft) -> None:
    """Keys and tensors of a model."""
    row = PLAIN[name]
    d.common(epsilon=row.epsilon)
    for key, value in row.keys:
        if key.startswith("xielu"):
            d.keys[key] = (0.5,) * d["L"]
        else:
            d.key(key, value)
    if row.halved:
        d.key("feed_forward_length", 2 * d["F"])
    if row.swin != NO:
        d.key("swin_norm", bool(d["swin"]))
    if row.sections:
        d.key("rope.dimension_sections", (11, 11, 10, 0))
        if "deep" in d.numbers:
            d.key("n_deepstack_layers", d["deep"])
    if row.window and d["W"]:
        d.key("attention.sliding_window", d["W"])
    if row.experts:
        _expert_keys(row, d)
    for at in d.blocks():
        d.at(at)
        _block(row, d, at)
    d.layer = -1
    _ends(row, d)


def _expert_keys(row: Plain, d: Draft) -> None:
    d.expert_keys()
    d.key("leading_dense_block_count", d["lead"])
    d.key("expert_shared_count", 1)
    d.key("expert_gating_func", int(d.numbers.get("gate", 2)))
    d.key("expert_weights_scale", int(d.numbers.get("wscale", 1)) / (10 if d.numbers.get("wscale", 1) != 1 else 1))
    if "wnorm" in d.numbers:
        d.key("expert_weights_norm", bool(d["wnorm"]))
    if d.numbers.get("groups"):
        d.key("expert_group_count", d["groups"])
        d.key("expert_group_used_count", max(d["groups"] // 2, 1))
    if row.shared:
        d.key("expert_shared_feed_forward_length", d["Fe"])


def _norms(row: Plain, d: Draft, names: tuple[str, ...]) -> None:
    for name in names:
        if not row.bare:
            d.vector(name, d["E"], tail="" if row.bare_names and name.startswith("post") else ".weight")
            if row.norm_bias:
                d.vector(name, d["E"], tail=".bias")


def _block(row: Plain, d: Draft, at: int) -> None:
    heads, groups, width = d["H"], d["G"], d["D"]
    _norms(row, d, row.before)
    if d["fused"]:
        d.matrix("attn_qkv", d["E"], (heads + 2 * groups) * width)
        if d["qb"]:
            d.vector("attn_qkv", (heads + 2 * groups) * width, tail=".bias")
        d.matrix("attn_output", heads * width, d["E"])
    else:
        d.attention(bias=bool(d["qb"]))
    if d["ob"]:
        d.vector("attn_output", d["E"], tail=".bias")
    if row.heads == MUST:
        for name, count in (("attn_q_norm", heads), ("attn_k_norm", groups)):
            d.vector(name, *((width, count) if row.head_matrix else (width,)))
    for name in row.inner:
        d.norm(name, heads * width)
    if row.attention_gate:
        d.matrix("attn_gate", d["E"], heads * width)
    _norms(row, d, row.forward)
    if row.experts and at >= d["lead"]:
        _expert_block(row, d)
    else:
        _dense(row, d, d["F"])


def _dense(row: Plain, d: Draft, width: int) -> None:
    if row.joined_up:
        d.matrix("ffn_up", d["E"], 2 * width)
        d.matrix("ffn_down", width, d["E"])
        return
    d.feed_forward(width, gate=row.gate, bias=bool(d["fb"]))
    if row.gate and d["fb"]:
        d.vector("ffn_gate", width, tail=".bias")
    if row.inner:
        d.norm("ffn_sub_norm", width)


def _expert_block(row: Plain, d: Draft) -> None:
    wide = d["F"] if row.expert_width == "F" else d["Fe"]
    kept = d.numbers
    d.numbers = d.numbers | {"Fe": wide}
    d.experts(gate=row.expert_gate)
    d.numbers = kept
    if row.shared:
        for name, dims in (("gate", (d["E"], d["Fe"])), ("up", (d["E"], d["Fe"])), ("down", (d["Fe"], d["E"]))):
            d.matrix(f"ffn_{name}_shexp", *dims)
    if d["probs"]:
        d.vector("exp_probs_b", d["X"], tail="" if d.architecture == "hy_v3" else ".bias")
    if row.also_dense:
        d.norm("ffn_norm_exps", d["E"])
        d.feed_forward(d["E"])


def _ends(row: Plain, d: Draft) -> None:
    d.matrix("token_embd", d["E"], d["V"])
    if row.positions:
        d.vector("position_embd", d["E"], 131072)
    if row.embedding_norm:
        d.norm("token_embd_norm", d["E"], bias=True)
    if row.final_norm:
        d.norm("output_norm", d["E"], bias=row.final_bias)
    if not d["tied"]:
        d.matrix("output", d["E"], d["V"])
    if row.logit_bias:
        d.vector("output", d["V"], tail=".bias")
    if row.attention_factors:
        d.vector("rope_freqs", d["D"] // 2)
