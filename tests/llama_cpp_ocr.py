"""Header-only projectors of DeepSeek-OCR: an encoder of windows and one of patches, one behind the other."""

from llama_cpp_sketch import Sketch


def deepseekocr(s: Sketch) -> None:
    wide = s["W"]
    s.key("window_size", 14)
    s.key("sam.block_count", s["B"])
    s.key("sam.head_count", s["N"])
    s.key("sam.embedding_length", wide)
    head = wide // s["N"]
    s.vector("v.sam.pos_embd.weight", wide, 64, 64)
    s.vector("v.sam.patch_embd.weight", 16, 16, 3, wide, kind="F16")
    s.vector("v.sam.patch_embd.bias", wide)
    for at in range(s["B"]):
        name = f"v.sam.blk.{at}"
        s.matrix(f"{name}.attn.qkv", wide, 3 * wide)
        s.matrix(f"{name}.attn.out", wide, wide)
        s.norm(f"{name}.pre_ln", wide)
        s.norm(f"{name}.post_ln", wide)
        far = 127 if at in (2, 5, 8, 11) else 27
        s.vector(f"{name}.attn.pos_h.weight", head, far)
        s.vector(f"{name}.attn.pos_w.weight", head, far)
        s.matrix(f"{name}.mlp.lin1", wide, 4 * wide)
        s.matrix(f"{name}.mlp.lin2", 4 * wide, wide)
    s.vector("v.sam.neck.0.weight", 1, 1, wide, 256, kind="F16")
    s.norm("v.sam.neck.1", 256)
    s.vector("v.sam.neck.2.weight", 3, 3, 256, 256, kind="F16")
    s.norm("v.sam.neck.3", 256)
    s.vector("v.sam.net_2.weight", 3, 3, 256, 512, kind="F16")
    s.vector("v.sam.net_3.weight", 3, 3, 512, s["E"], kind="F16")
    s.vector("v.class_embd", s["E"])
    s.positions(257)
    s.norm("v.pre_ln", s["E"])
    s.blocks(fused=True)
    s.vector("v.image_newline", s["P"])
    s.vector("v.view_seperator", s["P"])
    s.matrix("mm.model.fc", 2 * s["E"], s["P"])
