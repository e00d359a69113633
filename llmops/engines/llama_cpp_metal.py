"""What a tensor of the graph takes in a Metal buffer: some operations keep scratch behind their result.

Source: llama.cpp ggml/src/ggml-metal/ggml-metal.cpp `get_alloc_size` and ggml-metal-ops.cpp `extra_pad`, `extra_blk`, `extra_tmp`
of flash attention, `extra_tpe`, `extra_ids` of a product with chosen experts. Six logged starts of Gemma 4 12B
(M1 Max, b10950) lie 0.2 to 0.8 % above this, which a margin covers; no Metal card was at hand to ask.
"""

from llmops.domain.tensor_types import TENSOR_TYPES
from llmops.domain.units import padded
from llmops.engines.llama_cpp_graph import Node

CELLS_A_GROUP, ROWS_A_GROUP, WORKGROUPS, FEW_ROWS = 64, 8, 32, 32


def metal_bytes(node: Node) -> int:
    """The result, and the scratch of its operation."""
    match node.op:
        case "flash":
            return node.size + _flash_scratch_bytes(node)
        case "mul_mat_id":
            experts, tokens = node.sources[0].dims[2], node.sources[2].dims[1]
            return node.size + 4 * experts * (1 + tokens)
        case "argsort":
            return 2 * node.size
        case "top_k":
            logits = node.sources[0].dims
            return 2 * 4 * logits[0] * logits[1] * logits[2] * logits[3]
        case _:
            return node.size


def _flash_scratch_bytes(node: Node) -> int:
    """Room for the last cells, for a map of the mask's blocks, and for what 32 groups of threads find for up to 32 rows.

    Later builds copy a quantized K and V to f16 there as well: counted, so that the sum is never under.
    """
    query, keys, values = node.sources[:3]
    rows, heads, streams = query.dims[1], query.dims[2], query.dims[3]
    pad = sum(TENSOR_TYPES[one.kind].row_bytes(one.dims[0]) * one.dims[2] ** 2 * one.dims[3] for one in (keys, values))
    pad, blocks = CELLS_A_GROUP * pad, 0
    for mask in node.sources[3:4]:  # an encoder of images has none
        pad += CELLS_A_GROUP * 2 * mask.dims[1] * mask.dims[2] * mask.dims[3]
        blocks = -(-mask.dims[0] // CELLS_A_GROUP) * -(-rows // ROWS_A_GROUP) * mask.dims[2] * mask.dims[3]
    found = 4 * min(rows, FEW_ROWS) * heads * streams * WORKGROUPS * (values.dims[0] + 2)
    copies = sum(
        2 * one.dims[0] * one.dims[1] * one.dims[2] * one.dims[3] for one in (keys, values) if one.kind != "F16"
    )
    return pad + padded(blocks, 32) + found + copies
