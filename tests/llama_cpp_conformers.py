"""Header-only encoders of sound with convolutions between their blocks (conformers), as `llama_cpp_sounds` writes the others."""

from collections.abc import Callable
from random import Random

from llama_cpp_draft import Numbers
from llama_cpp_sketch import Sketch, some_numbers


def granite_speech(s: Sketch) -> None:
    """Blocks that attend within chunks, then queries that read windows of rows."""
    wide, head = s["E"], s["E"] // s["H"]
    s.key("num_mel_bins", 160)
    s.key("chunk_size", s["chunk"])
    s.key("conv_kernel_size", 15)
    s.key("max_pos_emb", 512)
    s.key("projector.window_size", 15)
    s.key("projector.downsample_rate", 5)
    s.key("projector.head_count", s["Q"])
    s.matrix("a.input_projection", 160, wide)
    s.matrix("a.enc_ctc_out", wide, s["V"])
    s.matrix("a.enc_ctc_out_mid", s["V"], wide)
    for at in range(s["L"]):
        name = f"a.blk.{at}"
        for part in ("ln1", "ln2", "ffn_norm", "ffn_norm_1", "norm_conv"):
            s.norm(f"{name}.{part}", wide)
        for part in ("attn_q", "attn_k", "attn_v"):
            s.matrix(f"{name}.{part}", wide, wide, bias=False)
        s.matrix(f"{name}.attn_out", wide, wide)
        s.vector(f"{name}.attn_rel_pos_emb", head, 1025, kind="F16")
        for tail in ("", "_1"):
            s.matrix(f"{name}.ffn_up{tail}", wide, s["F"])
            s.matrix(f"{name}.ffn_down{tail}", s["F"], wide)
        s.matrix(f"{name}.conv_pw1", wide, 4 * wide)
        s.vector(f"{name}.conv_dw.weight", 15, 2 * wide)
        s.norm(f"{name}.conv_norm", 2 * wide)
        s.matrix(f"{name}.conv_pw2", 2 * wide, wide)
    s.vector("a.proj_query", wide, 3, 1)
    s.norm("a.proj_norm", wide)
    for at in (0, 1):  # b11669 demands both
        name = f"a.proj_blk.{at}"
        for kind in ("self_attn", "cross_attn"):
            for part in ("q", "k", "v", "out"):
                s.matrix(f"{name}.{kind}_{part}", wide, wide)
            s.norm(f"{name}.{kind}_norm", wide)
        s.matrix(f"{name}.ffn_up", wide, s["F"])
        s.matrix(f"{name}.ffn_down", s["F"], wide)
        s.norm(f"{name}.ffn_norm", wide)
    s.matrix("a.proj_linear", wide, s["P"])


def lfm2a(s: Sketch) -> None:
    """Three foldings of eight frames into one row, then blocks with positions relative to each other."""
    wide, head, fold = s["E"], s["E"] // s["H"], s["C"]
    s.key("num_mel_bins", 128)
    s.vector("a.position_embd.weight", s["P"], 1500)
    s.vector("a.conv1d.0.weight", 3, 3, 1, fold, kind="F16")
    for at in (2, 5):
        s.vector(f"a.conv1d.{at}.weight", 3, 3, 1, fold)
        s.vector(f"a.conv1d.{at + 1}.weight", 1, 1, fold, fold, kind="F16")
        s.vector(f"a.conv1d.{at + 1}.bias", 1, 1, fold)
        s.vector(f"a.conv1d.{at}.bias", 1, 1, fold)
    s.vector("a.conv1d.0.bias", 1, 1, fold)
    s.matrix("a.pre_encode.out", fold * 16, wide)
    for at in range(s["L"]):
        name = f"a.blk.{at}"
        for part in ("ln1", "ln2", "ffn_norm", "ffn_norm_1", "norm_conv", "conv_norm"):
            s.norm(f"{name}.{part}", wide)
        for part in ("attn_q", "attn_k", "attn_v", "attn_out", "conv_pw2"):
            s.matrix(f"{name}.{part}", wide, wide)
        for tail in ("", "_1"):
            s.matrix(f"{name}.ffn_up{tail}", wide, s["F"])
            s.matrix(f"{name}.ffn_down{tail}", s["F"], wide)
        s.matrix(f"{name}.linear_pos", wide, wide, bias=False)
        s.vector(f"{name}.pos_bias_u", head, s["H"])
        s.vector(f"{name}.pos_bias_v", head, s["H"])
        s.matrix(f"{name}.conv_pw1", wide, 2 * wide)
        s.vector(f"{name}.conv_dw.weight", 9, wide)
        s.vector(f"{name}.conv_dw.bias", wide)
    s.norm("mm.a.mlp.0", wide)
    s.matrix("mm.a.mlp.1", wide, s["P"])
    s.matrix("mm.a.mlp.3", s["P"], s["P"])


def _granite(rng: Random) -> Numbers:
    numbers = some_numbers(rng, lengths=(64,))
    more = {"chunk": rng.choice((100, 128, 200)), "Q": int(numbers["H"]), "V": rng.choice((64, 352))}
    return numbers | more


def _lfm2(rng: Random) -> Numbers:
    return some_numbers(rng, lengths=(64,)) | {"H": 8, "E": 512, "C": rng.choice((128, 256))}


CONFORMERS: dict[str, tuple[str, Callable[[Sketch], None], Callable[[Random], Numbers]]] = {
    "granite_speech": ("granite_speech", granite_speech, _granite),
    "lfm2a": ("lfm2a", lfm2a, _lfm2),
}
"""By family: the name in `clip.projector_type`, what writes it, what draws its numbers."""
