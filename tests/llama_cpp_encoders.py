"""Header-only encoders, drawn at random: the keys and tensors llama.cpp b11669 demands of each embedding and reranking family.

`draw(family, rng)` and `build(family, numbers)` as in `llama_cpp_families`.
"""

from collections.abc import Callable
from random import Random

from llama_cpp_draft import QUANTIZATIONS, Draft, Numbers

from llmops.domain.model import Tensor
from llmops.formats.gguf_values import Writable


def _numbers(rng: Random) -> Numbers:
    length = rng.choice((32, 64, 64, 96, 128))
    heads = rng.choice((2, 4, 6, 8, 12))
    return {
        "type": rng.choice(QUANTIZATIONS),
        "L": rng.randint(2, 12),
        "E": length * heads,
        "V": rng.choice((5000, 30522, 100352)),
        "H": heads,
        "G": heads,
        "D": length,
        "F": rng.choice((1, 2, 3, 4)) * length * heads,
        "C": rng.choice((512, 2048, 8192)),
        "labels": rng.choice((0, 0, 1)),
    }


def _common(d: Draft, *, epsilon: str = "attention.layer_norm_epsilon", pooling: int = 2) -> None:
    d.common(epsilon=epsilon)
    d.key("context_length", d["C"])
    d.key("attention.causal", False)
    d.key("pooling_type", 4 if d["labels"] else pooling)
    d.keys["tokenizer.ggml.token_type_count"] = 2


def _labels(d: Draft) -> None:
    """A reranker's head."""
    if d["labels"]:
        d.layer = -1
        d.matrix("cls", d["E"], d["E"])
        d.vector("cls", d["E"], tail=".bias")
        d.matrix("cls.output", d["E"], 1)
        d.vector("cls.output", 1, tail=".bias")


def bert(d: Draft) -> None:
    """Norms behind attention and feed-forward, learned positions, biases everywhere."""
    _common(d)
    d.matrix("token_embd", d["E"], d["V"])
    d.vector("token_types", d["E"], 2)
    d.vector("position_embd", d["E"], d["C"])
    d.norm("token_embd_norm", d["E"], bias=True)
    for at in d.blocks():
        d.at(at)
        d.attention(bias=True, output_bias=True)
        d.norm("attn_output_norm", d["E"], bias=True)
        d.feed_forward(gate=False, bias=True)
        d.norm("layer_output_norm", d["E"], bias=True)
    _labels(d)


def nomic_bert(d: Draft) -> None:
    """Rotation instead of positions, fused queries, a gate."""
    _rotated(d, gate=True)


def nomic_bert_moe(d: Draft) -> None:
    """Experts in every second layer, without a gate; biases."""
    _common(d)
    d.key("expert_count", d["X"])
    d.key("expert_used_count", d["u"])
    d.key("moe_every_n_layers", 2)
    d.matrix("token_embd", d["E"], d["V"])
    d.vector("token_types", d["E"], 2)
    d.norm("token_embd_norm", d["E"], bias=True)
    for at in d.blocks():
        d.at(at)
        d.matrix("attn_qkv", d["E"], 3 * d["E"])
        d.vector("attn_qkv", 3 * d["E"], tail=".bias")
        d.matrix("attn_output", d["E"], d["E"])
        d.vector("attn_output", d["E"], tail=".bias")
        d.norm("attn_output_norm", d["E"], bias=True)
        if at % 2:
            d.vector("ffn_gate_inp", d["E"], d["X"])
            d.matrix("ffn_up_exps", d["E"], d["F"], d["X"])
            d.matrix("ffn_down_exps", d["F"], d["E"], d["X"])
        else:
            d.feed_forward(gate=False, bias=True)
        d.norm("layer_output_norm", d["E"], bias=True)


def jina_bert_v3(d: Draft) -> None:
    """The same without a gate."""
    _rotated(d, gate=False)


def _rotated(d: Draft, *, gate: bool) -> None:
    _common(d)
    d.matrix("token_embd", d["E"], d["V"])
    d.vector("token_types", d["E"], 2)
    d.norm("token_embd_norm", d["E"], bias=True)
    for at in d.blocks():
        d.at(at)
        d.matrix("attn_qkv", d["E"], 3 * d["E"])
        d.matrix("attn_output", d["E"], d["E"])
        d.norm("attn_output_norm", d["E"], bias=True)
        d.feed_forward(gate=gate)
        d.norm("layer_output_norm", d["E"], bias=True)


def jina_bert_v2(d: Draft) -> None:
    """ALiBi and a gated feed-forward."""
    _common(d)
    d.matrix("token_embd", d["E"], d["V"])
    d.vector("token_types", d["E"], 2)
    d.norm("token_embd_norm", d["E"], bias=True)
    for at in d.blocks():
        d.at(at)
        d.attention(bias=True, output_bias=True)
        d.norm("attn_output_norm", d["E"], bias=True)
        d.matrix("ffn_up", d["E"], d["F"])
        d.matrix("ffn_gate", d["E"], d["F"])
        d.matrix("ffn_down", d["F"], d["E"])
        d.vector("ffn_down", d["E"], tail=".bias")
        d.norm("layer_output_norm", d["E"], bias=True)
    _labels(d)


def gemma_embedding(d: Draft) -> None:
    """gemma3's blocks without causality."""
    _common(d, epsilon="attention.layer_norm_rms_epsilon", pooling=1)
    d.key("attention.sliding_window", 512)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention(head_norms=True)
        d.norm("post_attention_norm", d["E"])
        d.norm("ffn_norm", d["E"])
        d.feed_forward()
        d.norm("post_ffw_norm", d["E"])
    d.ends(tied=True)


def gemma_embedding2(d: Draft) -> None:
    """gemma4's blocks without causality; small embeddings from the stream alone, a matrix behind the last norm."""
    _common(d, epsilon="attention.layer_norm_rms_epsilon", pooling=1)
    d.key("attention.sliding_window", 512)
    if d["period"]:
        d.key("attention.sliding_window_pattern", tuple((at + 1) % d["period"] != 0 for at in d.blocks()))
    small = d["small"]
    d.key("embedding_length_per_layer_input", small)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention(head_norms=True)
        d.norm("post_attention_norm", d["E"])
        d.norm("ffn_norm", d["E"])
        d.feed_forward()
        d.norm("post_ffw_norm", d["E"])
        d.matrix("inp_gate", d["E"], small)
        d.matrix("proj", small, d["E"])
        d.norm("post_norm", d["E"])
        d.vector("layer_output_scale", 1)
    d.ends(tied=True)
    d.matrix("output", d["E"], d["E"])
    d.matrix("per_layer_model_proj", d["E"], small * d["L"])
    d.norm("per_layer_proj_norm", small)


def modern_bert(d: Draft) -> None:
    _common(d)
    d.key("attention.sliding_window", 128)
    d.key("rope.freq_base_swa", 10000.0)
    d.matrix("token_embd", d["E"], d["V"])
    d.norm("token_embd_norm", d["E"])
    for at in d.blocks():
        d.at(at)
        if at:
            d.norm("attn_norm", d["E"])
        d.matrix("attn_qkv", d["E"], 3 * d["E"])
        d.matrix("attn_output", d["E"], d["E"])
        d.norm("ffn_norm", d["E"])
        d.matrix("ffn_up", d["E"], 2 * d["F"])
        d.matrix("ffn_down", d["F"], d["E"])
    d.layer = -1
    d.norm("output_norm", d["E"])
    _labels(d)


def eurobert(d: Draft) -> None:
    _common(d, epsilon="attention.layer_norm_rms_epsilon")
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention()
        d.norm("ffn_norm", d["E"])
        d.feed_forward()
    d.ends(tied=True)


def neo_bert(d: Draft) -> None:
    _common(d, epsilon="attention.layer_norm_rms_epsilon")
    d.matrix("token_embd", d["E"], d["V"])
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.matrix("attn_qkv", d["E"], 3 * d["E"])
        d.matrix("attn_output", d["E"], d["E"])
        d.norm("ffn_norm", d["E"])
        d.matrix("ffn_up", d["E"], 2 * d["F"])
        d.matrix("ffn_down", d["F"], d["E"])
    d.layer = -1
    d.norm("enc.output_norm", d["E"])
    _labels(d)


def llama_embed(d: Draft) -> None:
    """Llama's blocks, dense or with experts, without a cache."""
    _common(d, epsilon="attention.layer_norm_rms_epsilon", pooling=1)
    if d["X"]:
        d.key("expert_count", d["X"])
        d.key("expert_used_count", d["u"])
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention()
        d.norm("ffn_norm", d["E"])
        if d["X"]:
            d.experts()
        else:
            d.feed_forward()
    d.ends()
    if d["factors"]:
        d.vector("rope_freqs", d["D"] // 2)


def t5encoder(d: Draft) -> None:
    """T5's encoder: a bias by distance, which the first block has for all where the others have none."""
    _common(d, epsilon="attention.layer_norm_rms_epsilon", pooling=d["pooling"])
    d.key("attention.relative_buckets_count", 32)
    for at in d.blocks():
        name, wide = f"enc.blk.{at}", d["H"] * d["D"]
        d.norm(f"{name}.attn_norm", d["E"])
        if at == 0 or d["own"]:
            d.matrix(f"{name}.attn_rel_b", d["H"], 32)
        for part in ("q", "k", "v"):
            d.matrix(f"{name}.attn_{part}", d["E"], wide)
        d.matrix(f"{name}.attn_o", wide, d["E"])
        d.norm(f"{name}.ffn_norm", d["E"])
        for part in ("gate", "up") if d["gated"] else ("up",):
            d.matrix(f"{name}.ffn_{part}", d["E"], d["F"])
        d.matrix(f"{name}.ffn_down", d["F"], d["E"])
    d.matrix("token_embd", d["E"], d["V"])
    d.norm("enc.output_norm", d["E"])
    if not d["tied"]:
        d.matrix("output", d["E"], d["V"])


ENCODERS: dict[str, tuple[str, Callable[[Draft], None]]] = {
    "bert": ("bert", bert),
    "nomic-bert": ("nomic-bert", nomic_bert),
    "nomic-bert-moe": ("nomic-bert-moe", nomic_bert_moe),
    "jina-bert-v2": ("jina-bert-v2", jina_bert_v2),
    "jina-bert-v3": ("jina-bert-v3", jina_bert_v3),
    "gemma-embedding": ("gemma-embedding", gemma_embedding),
    "gemma-embedding2": ("gemma-embedding2", gemma_embedding2),
    "modern-bert": ("modern-bert", modern_bert),
    "eurobert": ("eurobert", eurobert),
    "neo-bert": ("neo-bert", neo_bert),
    "llama-embed": ("llama-embed", llama_embed),
    "t5encoder": ("t5encoder", t5encoder),
}


RANKING = frozenset({"bert", "modern-bert", "neo-bert"})
"""Families whose loader takes a reranker's head."""


def draw(family: str, rng: Random) -> Numbers:
    """The numbers of one encoder of the family."""
    numbers = _numbers(rng)
    if family == "nomic-bert-moe":
        numbers |= {"X": rng.choice((4, 8)), "u": rng.choice((1, 2))}
    if family == "gemma-embedding2":
        numbers |= {"small": 64 * rng.randint(1, 4), "period": rng.choice((0, 2, 6)), "G": rng.choice((1, 2))}
        numbers |= {"G": int(numbers["G"]) if int(numbers["H"]) % int(numbers["G"]) == 0 else 1}
    if family == "llama-embed":
        experts = rng.choice((0, 0, 4, 8))
        numbers |= {"X": experts, "u": 2 if experts else 0, "Fe": numbers["F"], "tied": rng.randint(0, 1)}
        numbers |= {"factors": rng.randint(0, 1)}
    if family == "t5encoder":
        numbers |= {name: rng.randint(0, 1) for name in ("own", "gated", "tied")} | {"pooling": rng.choice((0, 1))}
    return numbers if family in RANKING else numbers | {"labels": 0}


def build(family: str, numbers: Numbers) -> tuple[dict[str, Writable], tuple[Tensor, ...]]:
    """Keys and tensors of the encoder with these numbers."""
    architecture, write = ENCODERS[family]
    draft = Draft(architecture, numbers)
    write(draft)
    return draft.keys, tuple(draft.tensors)
