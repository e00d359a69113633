"""Attention that chooses its cells, streams side by side, linear attention by matrices."""

from random import Random

from llama_cpp_draft import Draft, Numbers, expert_numbers

from families.delta import delta_net, delta_numbers
from families.kimi import delta_attention, kimi_keys, latent_layer
from families.latent import mla_numbers
from families.recurrent import hybrid, ssm_keys
from llmops.formats.gguf_values import Typed, ValueType

STREAMS = 4


def _indexer_keys(d: Draft, **more: int) -> None:
    for name, value in ({"head_count": d["ih"], "key_length": d["ik"], "top_k": d["top"]} | more).items():
        d.key(f"attention.indexer.{name}", value)


def indexer_numbers(rng: Random) -> Numbers:
    return {"ik": rng.choice((64, 128)), "ih": rng.choice((4, 16, 32)), "top": 512 * rng.randint(1, 4)}


def _expert_layer(d: Draft, at: int) -> None:
    """Dense layers first, then experts with a shared one."""
    d.norm("ffn_norm", d["E"])
    if at < d["lead"]:
        d.feed_forward()
        return
    d.vector("exp_probs_b", d["X"], tail=".bias")
    d.experts(shared=d["Fe"])


def _routing(d: Draft) -> None:
    d.expert_keys()
    d.key("leading_dense_block_count", d["lead"])
    d.key("expert_shared_count", 1)
    d.key("expert_gating_func", 2)
    d.key("expert_weights_scale", 2.5)
    d.key("expert_weights_norm", True)


def minimax_m3(d: Draft) -> None:
    """Grouped heads; where a layer has experts, blocks of cells are chosen for each group."""
    d.common()
    _routing(d)
    d.key("rope.dimension_count", d["D"] // 2)
    _indexer_keys(d, block_size=128, local_blocks=1)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.attention(head_norms=True)
        if at >= d["lead"]:
            _own_indexer(d)
        _expert_layer(d, at)
    d.ends(tied=False)


def _own_indexer(d: Draft) -> None:
    d.matrix("indexer.q_proj", d["E"], d["ih"] * d["ik"])
    d.matrix("indexer.k_proj", d["E"], d["ik"])
    d.norm("indexer.q_norm", d["ik"])
    d.norm("indexer.k_norm", d["ik"])


def minimax_m3_numbers(rng: Random) -> Numbers:
    numbers = expert_numbers(rng) | {"lead": rng.randint(0, 3)} | indexer_numbers(rng)
    return numbers | {"ih": numbers["G"], "top": 16, "tied": 0}


def minimax_01(d: Draft) -> None:
    """Seven layers of linear attention with a state, then one that sees all; experts everywhere."""
    d.common()
    d.expert_keys()
    d.key("residual_scale", 3.5)
    width = d["H"] * d["D"]
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        if (at + 1) % 8:
            d.norm("attn_norm_2", width)
            d.matrix("attn_qkv", d["E"], 3 * width)
            d.matrix("attn_gate", d["E"], width)
            d.matrix("attn_output", width, d["E"])
        else:
            d.attention()
        d.norm("ffn_norm", d["E"])
        d.experts()
    d.ends()


def minimax_01_numbers(rng: Random) -> Numbers:
    numbers = expert_numbers(rng)
    return numbers | {"F": numbers["Fe"], "L": rng.choice((8, 9, 16)), "H": min(int(numbers["H"]), 16), "G": 1}


def dots3note(d: Draft) -> None:
    """Latent attention of two ranks: layers with a window, and layers with an indexer."""
    d.common()
    _routing(d)
    rank, rope, nope, value, heads = d["rank"], d["rope"], d["nope"], d["value"], d["H"]
    slides = tuple(at % 4 != 3 for at in d.blocks())
    d.key("attention.head_count_kv", 1)
    for tail, wide in (("", rank), ("_swa", rank // 2)):
        d.key(f"attention.key_length{tail}", wide + rope)
        d.key(f"attention.value_length{tail}", wide)
        d.key(f"attention.kv_lora_rank{tail}", wide)
        d.key(f"attention.key_length_mla{tail}", nope + rope)
        d.key(f"attention.value_length_mla{tail}", value)
    d.key("attention.q_lora_rank", d["qrank"])
    d.key("rope.dimension_count", rope)
    d.key("rope.dimension_count_swa", rope)
    d.key("rope.freq_base_swa", 10000.0)
    d.key("attention.sliding_window", d["W"])
    d.key("attention.sliding_window_pattern", slides)
    _indexer_keys(d)
    d.key("attention.indexer.types", tuple(not one for one in slides))
    for at in d.blocks():
        d.at(at)
        wide = rank // 2 if slides[at] else rank
        d.norm("attn_norm", d["E"])
        d.matrix("attn_q_a", d["E"], d["qrank"])
        d.norm("attn_q_a_norm", d["qrank"])
        d.matrix("attn_q_b", d["qrank"], heads * (nope + rope))
        d.matrix("attn_kv_a_mqa", d["E"], wide + rope)
        d.norm("attn_kv_a_norm", wide)
        d.norm("attn_k_norm", rope)
        d.matrix("attn_k_b", nope, wide, heads)
        d.matrix("attn_v_b", wide, value, heads)
        d.matrix("attn_output", heads * value, d["E"])
        d.matrix("attn_gate", d["E"], heads)
        if not slides[at]:
            _latent_indexer(d)
        _expert_layer(d, at)
    d.ends()


def _latent_indexer(d: Draft) -> None:
    d.norm("indexer.k_norm", d["ik"], bias=True)
    d.matrix("indexer.proj", d["E"], d["ih"])
    d.matrix("indexer.attn_k", d["E"], d["ik"])
    d.matrix("indexer.attn_q_b", d["qrank"], d["ih"] * d["ik"])


def dots3note_numbers(rng: Random) -> Numbers:
    return (
        mla_numbers(rng)
        | indexer_numbers(rng)
        | {"W": rng.choice((128, 512, 4096)), "L": rng.randint(4, 10), "tied": 0}
    )


def glm5_next(d: Draft) -> None:
    """Delta attention, and latent attention with an indexer of pooled keys; four streams side by side."""
    is_full = kimi_keys(d)
    d.key("attention.q_lora_rank", d["qrank"])
    d.key("leading_dense_block_count", d["lead"])
    d.key("attention.layer_norm_epsilon", 1e-5)
    d.key("expert_gating_func", 2)
    _indexer_keys(d, kpool=4)
    _stream_keys(d)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        _streams(d)
        if is_full[at]:
            latent_layer(d)
            _latent_indexer(d)
            d.matrix("indexer_compressor_gate", d["E"], d["ik"])
            d.vector("indexer_compressor_ape", d["ik"], 4)
        else:
            delta_attention(d, flat=True)
        _expert_layer(d, at)
    d.ends(tied=False)


def _stream_keys(d: Draft) -> None:
    d.key("hyper_connection.count", STREAMS)
    d.key("hyper_connection.sinkhorn_iterations", 20)
    d.key("hyper_connection.epsilon", 1e-6)


def _streams(d: Draft) -> None:
    mixes = (2 + STREAMS) * STREAMS
    for name in ("hc_attn", "hc_ffn"):
        d.matrix(f"{name}_fn", STREAMS * d["E"], mixes)
        d.vector(f"{name}_base", mixes)
        d.vector(f"{name}_scale", 3)


def glm5_next_numbers(rng: Random) -> Numbers:
    numbers = mla_numbers(rng) | indexer_numbers(rng)
    return numbers | {
        "kda": rng.choice((64, 128)),
        "conv": 4,
        "H": rng.choice((8, 16)),
        "L": rng.randint(4, 9),
        "rope": 0,
    }


def qwen4exp(d: Draft) -> None:
    """Qwen's delta nets and gated attention with an indexer; four streams mixed by matrices of low rank."""
    d.common()
    ssm_keys(d)
    d.key("rope.dimension_count", d["D"] // 4)
    d.key("rope.dimension_sections", (11, 11, 10, 0))
    d.expert_keys()
    d.key("expert_shared_feed_forward_length", d["Fe"])
    _indexer_keys(d)
    d.key("hyper_connection.count", STREAMS)
    d.key("hyper_connection.low_rank", d["low"])
    wide = STREAMS * d["E"]
    for at in d.blocks():
        d.at(at)
        for name in ("hc_attn", "hc_ffn"):
            d.norm(f"{name}_norm", wide)
            d.matrix(f"{name}_down", wide, d["low"])
            d.matrix(f"{name}_up", d["low"], wide)
            d.matrix(f"{name}_inject", wide, STREAMS)
        if (at + 1) % 4:
            delta_net(d, joined=False)
        else:
            d.matrix("attn_q", d["E"], 2 * d["H"] * d["D"])
            d.matrix("attn_k", d["E"], d["G"] * d["D"])
            d.matrix("attn_v", d["E"], d["G"] * d["D"])
            d.matrix("attn_output", d["H"] * d["D"], d["E"])
            d.norm("attn_q_norm", d["D"])
            d.norm("attn_k_norm", d["D"])
            _own_indexer(d)
        d.experts(shared=d["Fe"], shared_gate=True)
    d.layer = -1
    d.matrix("token_embd", d["E"], d["V"])
    d.norm("output_hc_norm", wide)
    d.matrix("output_hc_down", wide, d["low"])
    d.matrix("output_hc_up", d["low"], wide)
    d.matrix("output", d["E"], d["V"])


def qwen4exp_ngrams(d: Draft) -> None:
    """The same with a table of n-grams, which one layer adds; its convolution keeps rows of all streams."""
    qwen4exp(d)
    heads, rows = 4, 20011
    d.key("ple.layers", Typed(ValueType.U32, (1,)))
    d.key("ple.ngram_size", 3)
    d.key("ple.heads_per_ngram", 2)
    d.key("ple.conv_kernel", 4)
    d.key("ple.eos_token_id", 1)
    d.key("ple.layer_multipliers", Typed(ValueType.U64, (31, 37, 41)))
    d.key("ple.head_offsets", Typed(ValueType.U64, tuple(rows * at for at in range(heads))))
    d.key("ple.head_vocab_sizes", Typed(ValueType.U64, (rows,) * heads))
    d.key("embedding_length_per_layer_input", d["E"] // heads)
    if d["pooled"]:
        d.key("attention.compress_ratios", tuple(0 if (at + 1) % 4 else 4 for at in d.blocks()))
    wide = STREAMS * d["E"]
    d.matrix("per_layer_token_embd", d["E"] // heads, rows * heads)
    d.at(1)
    d.matrix("ple_key", d["E"], wide)
    d.matrix("ple_value", d["E"], d["E"])
    for name in ("key", "query", "conv"):
        d.norm(f"ple_norm_{name}", wide)
    d.vector("ple_conv1d", 4, wide)


def qwen4exp_numbers(rng: Random) -> Numbers:
    numbers = hybrid(rng) | delta_numbers(rng) | {"low": rng.choice((64, 128)), "pooled": rng.randint(0, 1), "tied": 0}
    return numbers | {"L": rng.randint(4, 10)} | indexer_numbers(rng)


def hy_v4(d: Draft) -> None:
    """Latent attention with sinks and a gate an element, four streams; some layers choose by an earlier layer's indexer."""
    d.common()
    _routing(d)
    rank, rope, nope, value = d["rank"], d["rope"], d["nope"], d["value"]
    has_own = tuple(at % 3 == 0 for at in d.blocks())
    d.key("attention.head_count_kv", 1)
    d.key("attention.key_length", rank + rope)
    d.key("attention.value_length", rank)
    d.key("attention.key_length_mla", nope + rope)
    d.key("attention.value_length_mla", value)
    d.key("attention.kv_lora_rank", rank)
    d.key("attention.q_lora_rank", d["qrank"])
    d.key("rope.dimension_count", rope)
    d.key("hyper_connection.count", STREAMS)
    d.key("hyper_connection.epsilon", 1e-6)
    d.key("hyper_connection.magnitude", 2.0)
    if d["indexed"]:
        _indexer_keys(d)
        d.key("attention.indexer.types", has_own)
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.vector("attn_sinks", d["H"])
        latent_layer(d)
        d.matrix("attn_gate", d["E"], d["H"] * value)
        if d["indexed"] and has_own[at]:
            _latent_indexer(d)
        for name in ("hc_attn", "hc_ffn"):
            d.matrix(f"{name}_fn", STREAMS * d["E"], 2 * STREAMS)
            d.vector(f"{name}_base", 2 * STREAMS)
            d.vector(f"{name}_scale", 2)
        _expert_layer(d, at)
    d.ends(tied=False)
    _stream_ends(d)


def _stream_ends(d: Draft) -> None:
    d.matrix("output_hc_fn", STREAMS * d["E"], STREAMS)
    d.vector("output_hc_base", STREAMS)
    d.vector("output_hc_scale", 1)


def hy_v4_numbers(rng: Random) -> Numbers:
    return (
        mla_numbers(rng) | indexer_numbers(rng) | {"ik": 128, "indexed": rng.randint(0, 3), "H": rng.choice((16, 32))}
    )


def deepseek4(d: Draft) -> None:
    """A window in every layer, and cells compressed by 4 (chosen by an indexer) or by 128; four streams."""
    d.common()
    d.expert_keys()
    wide, groups, low = d["D"], 4, 256
    ratios = tuple((0, 4, 128)[(at + d["shift"]) % 3] for at in d.blocks())
    d.key("attention.head_count_kv", 1)
    d.key("rope.dimension_count", 64)
    d.key("attention.q_lora_rank", d["qrank"])
    d.key("attention.sliding_window", d["W"])
    d.key("expert_shared_count", 1)
    d.key("expert_weights_scale", 1.5)
    d.key("expert_weights_norm", True)
    d.key("expert_gating_func", 4)
    d.key("swiglu_clamp_exp", 10.0)
    _indexer_keys(d)
    d.key("attention.output_group_count", groups)
    d.key("attention.output_lora_rank", low)
    d.key("attention.compress_rope_freq_base", 160000.0)
    d.key("attention.compress_ratios", ratios)
    _stream_keys(d)
    d.key("hash_layer_count", d["hashed"])
    for at in d.blocks():
        d.at(at)
        d.norm("attn_norm", d["E"])
        d.vector("attn_sinks", d["H"])
        d.matrix("attn_q_a", d["E"], d["qrank"])
        d.norm("attn_q_a_norm", d["qrank"])
        d.matrix("attn_q_b", d["qrank"], d["H"] * wide)
        d.matrix("attn_kv", d["E"], wide)
        d.norm("attn_kv_a_norm", wide)
        d.matrix("attn_output_a", d["H"] * wide // groups, low * groups)
        d.matrix("attn_output_b", groups * low, d["E"])
        _streams(d)
        if ratios[at]:
            _compressor(d, "attn", wide, ratios[at])
        if ratios[at] == 4:
            d.matrix("indexer.proj", d["E"], d["ih"])
            d.matrix("indexer.attn_q_b", d["qrank"], d["ih"] * d["ik"])
            _compressor(d, "indexer", d["ik"], 4)
        d.norm("ffn_norm", d["E"])
        d.experts(shared=d["Fe"])
        if at >= d["hashed"]:
            d.vector("exp_probs_b", d["X"], tail=".bias")
        else:
            d.table("ffn_gate_tid2eid", d["u"], d["V"])
    d.ends(tied=False)
    _stream_ends(d)


def _compressor(d: Draft, name: str, wide: int, ratio: int) -> None:
    twice = 2 if ratio == 4 else 1
    d.matrix(f"{name}_compressor_kv", d["E"], twice * wide)
    d.matrix(f"{name}_compressor_gate", d["E"], twice * wide)
    d.vector(f"{name}_compressor_ape", twice * wide, ratio)
    d.norm(f"{name}_compressor_norm", wide)


def deepseek4_numbers(rng: Random) -> Numbers:
    numbers = expert_numbers(rng) | indexer_numbers(rng)
    return (
        numbers
        | {"D": 512, "G": 1, "H": rng.choice((8, 16)), "qrank": 768, "W": rng.choice((128, 512)), "tied": 0}
        | {"shift": rng.randint(0, 2), "hashed": rng.randint(0, 2)}
    )
