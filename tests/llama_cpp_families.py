"""Header-only models of many families, drawn at random: the keys and tensors llama.cpp b11669 demands of each.

`draw(family, rng)` gives the few numbers a model is made of, `build(family, numbers)` its keys and tensors from them. Names and
dimensions are those the loaders of b11669 ask for (src/models/*.cpp); widths are drawn, so no published model is meant.
"""

from collections.abc import Callable
from functools import partial
from random import Random

import llama_cpp_plain_families as plain
from families.delta import delta_numbers, qwen3next, qwen35, qwen35moe
from families.dense import (
    arcee,
    cohere2,
    command_r,
    ernie4_5,
    exaone4,
    glm4,
    granite,
    llama,
    minicpm,
    mistral3,
    olmo2,
    phi3,
    qwen2,
    qwen3,
    seed_oss,
    smollm3,
    starcoder2,
)
from families.experts import glm4moe, gpt_oss, llama4, minimax_m2, mixtral, olmoe, qwen2moe, qwen3moe
from families.gemma import gemma2, gemma3, gemma3n, gemma4, gemma4_moe, gemma4_numbers
from families.latent import deepseek2, deepseek32, glm_dsa, light_numbers, mla_numbers
from families.numbers import all_heads, maybe_dense, one_width, square, window
from families.recurrent import (
    falcon_h1,
    granitehybrid,
    hybrid,
    inner_of_two,
    jamba,
    lfm2,
    lfm2moe,
    mamba,
    mamba2,
    nemotron_h,
    nemotron_h_moe,
    state_only,
)
from families.routing import routing
from families.rwkv import rwkv7, rwkv_numbers
from llama_cpp_draft import Draft, Numbers, dense_numbers, expert_numbers, mixed, square_expert_numbers, square_numbers

from llmops.domain.model import Tensor
from llmops.formats.gguf_values import Writable

Draw = Callable[[Random], Numbers]
FAMILIES: dict[str, tuple[str, Callable[[Draft], None], Draw]] = {
    "llama": ("llama", llama, dense_numbers),
    "mixtral": ("llama", mixtral, expert_numbers),
    "mistral3": ("mistral3", mistral3, dense_numbers),
    "qwen2": ("qwen2", qwen2, square_numbers),
    "qwen3": ("qwen3", qwen3, dense_numbers),
    "qwen2moe": ("qwen2moe", qwen2moe, square_expert_numbers),
    "qwen3moe": ("qwen3moe", qwen3moe, expert_numbers),
    "gemma2": ("gemma2", gemma2, lambda rng: window(rng, dense_numbers(rng))),
    "gemma3": ("gemma3", gemma3, lambda rng: window(rng, dense_numbers(rng))),
    "gemma3n": ("gemma3n", gemma3n, lambda rng: window(rng, dense_numbers(rng)) | {"L": rng.choice((22, 25, 30))}),
    "gemma4": ("gemma4", gemma4, gemma4_numbers),
    "gemma4-moe": ("gemma4", gemma4_moe, lambda rng: expert_numbers(rng) | gemma4_numbers(rng)),
    "gpt-oss": ("gpt-oss", gpt_oss, lambda rng: window(rng, expert_numbers(rng))),
    "cohere2": ("cohere2", cohere2, lambda rng: window(rng, square_numbers(rng))),
    "command-r": ("command-r", command_r, square_numbers),
    "phi3": ("phi3", phi3, square_numbers),
    "deepseek2": ("deepseek2", deepseek2, light_numbers),
    "deepseek32": ("deepseek32", deepseek32, lambda rng: mla_numbers(rng) | {"qrank": 1536}),
    "glm-dsa": ("glm-dsa", glm_dsa, lambda rng: mla_numbers(rng) | {"qrank": 1536}),
    "glm4": ("glm4", glm4, dense_numbers),
    "glm4moe": ("glm4moe", glm4moe, lambda rng: routing(rng, expert_numbers(rng)) | {"head_norms": rng.randint(0, 1)}),
    "llama4": ("llama4", llama4, lambda rng: expert_numbers(rng) | {"step": rng.randint(1, 2), "u": 1}),
    "olmo2": ("olmo2", olmo2, lambda rng: square_numbers(rng) | {"W": rng.choice((0, 4096))}),
    "exaone4": ("exaone4", exaone4, lambda rng: square_numbers(rng) | {"L": rng.choice((6, 30, 64)), "W": 4096}),
    "granite": ("granite", granite, dense_numbers),
    "minicpm": ("minicpm", minicpm, dense_numbers),
    "arcee": ("arcee", arcee, dense_numbers),
    "ernie4_5": ("ernie4_5", ernie4_5, dense_numbers),
    "smollm3": ("smollm3", smollm3, dense_numbers),
    "seed_oss": ("seed_oss", seed_oss, dense_numbers),
    "starcoder2": ("starcoder2", starcoder2, square_numbers),
    "olmoe": ("olmoe", olmoe, lambda rng: all_heads(one_width(square_expert_numbers(rng)))),
    "minimax-m2": ("minimax-m2", minimax_m2, lambda rng: one_width(expert_numbers(rng))),
    "mamba": ("mamba", mamba, lambda rng: inner_of_two(state_only(rng)) | {"N": 16, "dt": 64}),
    "mamba2": ("mamba2", mamba2, lambda rng: inner_of_two(state_only(rng))),
    "jamba": ("jamba", jamba, lambda rng: inner_of_two(square(hybrid(rng))) | {"N": 16, "dt": 64}),
    "falcon-h1": ("falcon-h1", falcon_h1, hybrid),
    "granitehybrid": (
        "granitehybrid",
        granitehybrid,
        lambda rng: maybe_dense(rng, inner_of_two(one_width(hybrid(rng)))),
    ),
    "nemotron_h": ("nemotron_h", nemotron_h, hybrid),
    "lfm2": ("lfm2", lfm2, lambda rng: square(hybrid(rng)) | {"conv": 3}),
    "lfm2moe": ("lfm2moe", lfm2moe, lambda rng: square(hybrid(rng)) | {"conv": 3, "lead": rng.randint(0, 2)}),
    "nemotron_h_moe": ("nemotron_h_moe", nemotron_h_moe, lambda rng: routing(rng, hybrid(rng))),
    "qwen3next": ("qwen3next", qwen3next, lambda rng: hybrid(rng) | delta_numbers(rng)),
    "qwen35": ("qwen35", qwen35, lambda rng: hybrid(rng) | delta_numbers(rng)),
    "qwen35moe": ("qwen35moe", qwen35moe, lambda rng: hybrid(rng) | delta_numbers(rng)),
    "rwkv7": ("rwkv7", rwkv7, lambda rng: rwkv_numbers(rng)),
}


for _name in plain.PLAIN:
    FAMILIES[_name] = (_name, partial(plain.build, _name), partial(plain.draw, _name))


def draw(family: str, rng: Random) -> Numbers:
    """The numbers of one model of the family."""
    return FAMILIES[family][2](rng)


def build(family: str, numbers: Numbers) -> tuple[dict[str, Writable], tuple[Tensor, ...]]:
    """Keys and tensors of the model with these numbers; `mix` draws a type for each matrix."""
    architecture, write, _ = FAMILIES[family]
    draft = Draft(architecture, numbers)
    write(draft)
    tensors = mixed(draft.tensors, int(numbers["mix"])) if "mix" in numbers else tuple(draft.tensors)
    return draft.keys, tensors
