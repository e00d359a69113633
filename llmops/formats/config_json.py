"""A model's shape from its config.json, as a directory or repository of safetensors has it.

The keys are translated to their GGUF names, so that the same rules give the layers. Windows follow what the model's own
GGUF conversion would say: where llama.cpp ignores one (mistral, phi3) the layer counts as full, which is never too little.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from llmops.domain.ledger import Confidence
from llmops.domain.model import ModelShape, Tensor
from llmops.formats.config_families import FAMILIES, Family
from llmops.formats.config_quantization import Quantization, quantization
from llmops.formats.config_tensors import Width, worked_out_tensors
from llmops.formats.gguf_values import GgufValue
from llmops.formats.json_text import Value, json_object
from llmops.formats.layers import EXPERTS_LIMIT, LAYERS_LIMIT, FeedForward, Stack, stack
from llmops.formats.model_keys import ModelKeys
from llmops.formats.refusal import refusal

CONFIG_LIMIT_BYTES = 1 << 20
_DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32", "half": "F16"}


def model_shape(config: bytes, *, name: str, tensors: Sequence[Tensor] | None) -> ModelShape:
    """The shape; `tensors` from the safetensors headers, None: worked out from the shape (then not `exact`).

    Raises `WrongInput` for a file that is no config.json and for a `model_type` that is not covered.
    """
    if len(config) > CONFIG_LIMIT_BYTES:
        raise refusal(name, "too large for a model's config.json")
    outer = json_object(config, name=name, what="a model's config.json")
    nested = outer.get("text_config", outer.get("llm_config"))
    inner = nested if isinstance(nested, Mapping) else outer
    family, model_type = _family(inner, outer, name)
    keys = ModelKeys(
        _numbers({**family.defaults, **{k: v for k, v in inner.items() if v is not None}}), file=name, prefix=""
    )
    built = _stack(keys, inner, family, model_type, name)
    how = quantization(inner) or quantization(outer)
    dtype = _dtype(inner) or _dtype(outer)
    hidden, vocabulary = keys.integer("hidden_size", least=1), keys.integer("vocab_size", least=1)
    layers = built.layers
    if tensors is None:
        width = Width(
            family=family,
            hidden=hidden,
            vocabulary=vocabulary,
            tied=_tied(inner, outer, family),
            dtype=dtype or "BF16",
            how=how,
            attention_bias=inner.get("attention_bias") is True,
            mlp_bias=inner.get("mlp_bias") is True,
            head_norms=inner.get("use_qk_norm") is not False,
            shared_width=_shared_width(keys),
            query_rank=keys.integer("q_lora_rank", 0) if built.latent is not None else 0,
            latent=built.latent,
        )
        tensors = worked_out_tensors(width, layers)
        confidence, missing = _confidence(how, dtype, has_tower="vision_config" in outer)
    else:
        confidence, missing = Confidence.EXACT, ()
    return ModelShape(
        architecture=family.architecture,
        name=_title(outer, name),
        layers=layers,
        embedding_length=hidden,
        vocabulary=vocabulary,
        context_length=keys.integer("max_position_embeddings", least=1),
        window_tokens=built.window_tokens,
        latent=built.latent,
        tensors=tuple(tensors),
        tensors_confidence=confidence,
        quantization=how.method if how is not None else dtype or "BF16",
        mtp_layers=keys.integer("num_nextn_predict_layers", 0, most=LAYERS_LIMIT),
        not_sized=missing,
    )


def _family(inner: Mapping[str, Value], outer: Mapping[str, Value], name: str) -> tuple[Family, str]:
    for table in (inner, outer):
        model_type = table.get("model_type")
        if isinstance(model_type, str) and model_type in FAMILIES:
            return FAMILIES[model_type], model_type
    said = inner.get("model_type", outer.get("model_type"))
    if not isinstance(said, str):
        raise refusal(name, "it has no model_type", key="model_type", hint="give the config.json of a language model")
    near = get_close_matches(said, FAMILIES, n=1)
    known = f"did you mean {near[0]}? known: " if near else "known: "
    message = f"sizing from config.json does not cover the model_type {ascii(said)[:60]}"
    hint = f"a GGUF file of this model can be sized by its header; {known}{', '.join(FAMILIES)}"
    raise refusal(name, message, key="model_type", hint=hint)


def _numbers(config: Mapping[str, Value]) -> dict[str, GgufValue]:
    """The values a shape can be made of; lists of numbers and of texts as tuples."""
    numbers: dict[str, GgufValue] = {}
    for key, value in config.items():
        if isinstance(value, bool | int | float | str):
            numbers[key] = value
        elif isinstance(value, list):
            items = tuple(item for item in value if isinstance(item, bool | int | float | str))
            if len(items) == len(value):
                numbers[key] = items
    return numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class _Experts:
    count: int
    used: int
    width: int


def _stack(keys: ModelKeys, config: Mapping[str, Value], family: Family, model_type: str, name: str) -> Stack:
    layers = keys.integer("num_hidden_layers", least=1, most=LAYERS_LIMIT)
    hidden, heads = keys.integer("hidden_size", least=1), keys.integer("num_attention_heads", least=1)
    experts = _experts(keys)
    values: dict[str, GgufValue] = {
        "embedding_length": hidden,
        "attention.head_count": heads,
        "attention.head_count_kv": keys.integer("num_key_value_heads", heads),
        "attention.sliding_window": keys.integer("sliding_window", 0),
        "expert_used_count": experts.used,
    }
    if keys.has("head_dim"):
        values |= dict.fromkeys(("attention.key_length", "attention.value_length"), keys.integer("head_dim", least=1))
    if keys.integer("kv_lora_rank", 0):
        values |= _latent_values(keys)
    values |= _pattern(config, keys, layers, name)
    translated = ModelKeys(values, file=name, prefix="")
    forwards = _feed_forwards(keys, config, experts, layers=layers, model_type=model_type)
    return stack(family.architecture, translated, layers=layers, feed_forwards=forwards)


def _latent_values(keys: ModelKeys) -> dict[str, GgufValue]:
    rank, rope = keys.integer("kv_lora_rank"), keys.integer("qk_rope_head_dim")
    return {
        "attention.head_count_kv": 1,
        "attention.kv_lora_rank": rank,
        "rope.dimension_count": rope,
        "attention.key_length": rank + rope,
        "attention.value_length": rank,
        "attention.key_length_mla": keys.integer("qk_nope_head_dim") + rope,
        "attention.value_length_mla": keys.integer("v_head_dim"),
    }


def _pattern(config: Mapping[str, Value], keys: ModelKeys, layers: int, name: str) -> dict[str, GgufValue]:
    """Which layers slide, where the file says it: `layer_types`, else `sliding_window_pattern`."""
    kinds = config.get("layer_types")
    if isinstance(kinds, list):
        if len(kinds) < layers:
            raise refusal(name, f"layer_types has {len(kinds)} entries for {layers} layers", key="layer_types")
        return {"attention.sliding_window_pattern": tuple(kind == "sliding_attention" for kind in kinds[:layers])}
    if keys.has("sliding_window_pattern"):
        return {"attention.sliding_window_pattern": keys.integer("sliding_window_pattern")}
    return {}


def _experts(keys: ModelKeys) -> _Experts:
    names = ("num_experts", "num_local_experts", "n_routed_experts")
    count = next((keys.integer(key, most=EXPERTS_LIMIT) for key in names if keys.has(key)), 0)
    used = keys.integer("num_experts_per_tok", keys.integer("experts_per_token", 0))
    width = keys.integer("moe_intermediate_size", keys.integer("intermediate_size", 0))
    return _Experts(count=count, used=used, width=width)


def _feed_forwards(
    keys: ModelKeys, config: Mapping[str, Value], experts: _Experts, *, layers: int, model_type: str
) -> tuple[FeedForward, ...]:
    """Which layers have experts: DeepSeek's lead layers are dense, Qwen's may be named one by one."""
    dense = keys.integer("intermediate_size", 0)
    lead, period = keys.integer("first_k_dense_replace", 0), keys.integer("moe_layer_freq", 1, least=1)
    step = keys.integer("decoder_sparse_step", 1, least=1) if model_type.endswith("_moe") else 1
    listed = config.get("mlp_only_layers")
    only_dense = set(listed) if isinstance(listed, list) and all(isinstance(item, int) for item in listed) else set()
    return tuple(
        FeedForward(experts=experts.count, expert_width=experts.width)
        if experts.count and at >= lead and at % period == 0 and (at + 1) % step == 0 and at not in only_dense
        else FeedForward(dense=dense)
        for at in range(layers)
    )


def _shared_width(keys: ModelKeys) -> int:
    said = keys.integer("shared_expert_intermediate_size", 0)
    return said or keys.integer("n_shared_experts", 0) * keys.integer("moe_intermediate_size", 0)


def _tied(inner: Mapping[str, Value], outer: Mapping[str, Value], family: Family) -> bool:
    for table in (inner, outer):
        said = table.get("tie_word_embeddings")
        if isinstance(said, bool):
            return said
    return family.tied


def _dtype(config: Mapping[str, Value]) -> str | None:
    said = config.get("torch_dtype") or config.get("dtype")
    return _DTYPES.get(said.removeprefix("torch.")) if isinstance(said, str) else None


def _confidence(how: Quantization | None, dtype: str | None, *, has_tower: bool) -> tuple[Confidence, tuple[str, ...]]:
    """How far worked-out tensors can be trusted, and what they leave out."""
    missing: list[str] = []
    if has_tower:
        missing.append("the weights of its vision tower")
    if how is not None and how.stored is None:
        missing.append(f"how {how.method} stores its weights: they are counted unquantized")
    is_low = bool(missing) or dtype is None or how is not None
    return (Confidence.LOW if is_low else Confidence.CALIBRATED), tuple(missing)


def _title(config: Mapping[str, Value], name: str) -> str:
    said = config.get("_name_or_path")
    return said if isinstance(said, str) and said.isprintable() and said.strip() else name
