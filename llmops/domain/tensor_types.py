"""How numbers are stored: whole blocks of whole bytes, never rounded bits per weight.

Source: llama.cpp b11434, ggml/include/ggml.h, ggml/src/ggml.c and include/llama.h (values printed by the built library).
The dtypes of safetensors (0.8.0, safetensors/src/tensor.rs) that ggml has no type for follow after them.
"""

from typing import NamedTuple


class TensorType(NamedTuple):
    """One storage type; `number` is ggml's, None for a type that only safetensors has."""

    name: str
    number: int | None
    block_elements: int
    block_bytes: int
    quantized: bool

    def row_bytes(self, elements: int) -> int:
        """Bytes of `elements` numbers: `ggml_row_size`, also where a view holds a part of a block."""
        return elements * self.block_bytes // self.block_elements


TENSOR_TYPES: dict[str, TensorType] = {
    row.name: row
    for row in (
        TensorType("F32", 0, 1, 4, False),
        TensorType("F16", 1, 1, 2, False),
        TensorType("Q4_0", 2, 32, 18, True),
        TensorType("Q4_1", 3, 32, 20, True),
        TensorType("Q5_0", 6, 32, 22, True),
        TensorType("Q5_1", 7, 32, 24, True),
        TensorType("Q8_0", 8, 32, 34, True),
        TensorType("Q8_1", 9, 32, 36, True),
        TensorType("Q2_K", 10, 256, 84, True),
        TensorType("Q3_K", 11, 256, 110, True),
        TensorType("Q4_K", 12, 256, 144, True),
        TensorType("Q5_K", 13, 256, 176, True),
        TensorType("Q6_K", 14, 256, 210, True),
        TensorType("Q8_K", 15, 256, 292, True),
        TensorType("IQ2_XXS", 16, 256, 66, True),
        TensorType("IQ2_XS", 17, 256, 74, True),
        TensorType("IQ3_XXS", 18, 256, 98, True),
        TensorType("IQ1_S", 19, 256, 50, True),
        TensorType("IQ4_NL", 20, 32, 18, True),
        TensorType("IQ3_S", 21, 256, 110, True),
        TensorType("IQ2_S", 22, 256, 82, True),
        TensorType("IQ4_XS", 23, 256, 136, True),
        TensorType("I8", 24, 1, 1, False),
        TensorType("I16", 25, 1, 2, False),
        TensorType("I32", 26, 1, 4, False),
        TensorType("I64", 27, 1, 8, False),
        TensorType("F64", 28, 1, 8, False),
        TensorType("IQ1_M", 29, 256, 56, True),
        TensorType("BF16", 30, 1, 2, False),
        TensorType("TQ1_0", 34, 256, 54, True),
        TensorType("TQ2_0", 35, 256, 66, True),
        TensorType("MXFP4", 39, 32, 17, True),
        TensorType("NVFP4", 40, 64, 36, True),
        TensorType("Q1_0", 41, 128, 18, True),
        TensorType("Q2_0", 42, 64, 18, True),
        TensorType("U8", None, 1, 1, False),
        TensorType("U16", None, 1, 2, False),
        TensorType("U32", None, 1, 4, False),
        TensorType("U64", None, 1, 8, False),
        TensorType("BOOL", None, 1, 1, False),
        TensorType("F8_E4M3", None, 1, 1, True),
        TensorType("F8_E5M2", None, 1, 1, True),
        TensorType("F8_E8M0", None, 1, 1, True),
        TensorType("F8_E4M3FNUZ", None, 1, 1, True),
        TensorType("F8_E5M2FNUZ", None, 1, 1, True),
        TensorType("F6_E2M3", None, 4, 3, True),
        TensorType("F6_E3M2", None, 4, 3, True),
        TensorType("F4", None, 2, 1, True),
        TensorType("C64", None, 1, 8, False),
    )
}

GGML_TYPES: dict[int, TensorType] = {row.number: row for row in TENSOR_TYPES.values() if row.number is not None}

FILE_TYPES: dict[int, str] = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4_MOE",
    39: "NVFP4",
    40: "Q1_0",
    41: "Q2_0",
    1024: "GUESSED",
}
"""`general.file_type` (llama_ftype): a label only, the tensor list is the truth."""
