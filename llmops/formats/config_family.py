"""What one `model_type` implies and its files leave out."""

from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One `model_type`. `architecture` is its GGUF word; `defaults` names the row of `config_defaults.py` it uses.

    `norms` a layer of the hidden width; `head_norms`: head, full or flag:KEY (head where the file's KEY is not false).
    `qkv_bias`, `output_bias`, `mlp_bias`: yes, no or the name of the key that says so;
    `biases` names one key for the first two. `windows` names the rule by which layers
    slide, `kinds` the one by which they are something else than attention (see `layer_kinds.py`); `recurrence` is what the
    others are. `correction`: routers have a bias for balance, yes, no or the key that says so. `positions`: the key that says how
    many learned positions there are, `KEY:2` two more than that.
    """

    architecture: str
    defaults: str = ""
    norms: int = 2
    norm_bias: bool = False
    final_norm: bool = True
    head_norms: str = ""
    biases: str = ""
    qkv_bias: str = "no"
    output_bias: str = "no"
    mlp_bias: str = "no"
    head_bias: str = "no"
    is_fused: bool = False
    is_gated: bool = True
    gate: str = ""
    has_sinks: bool = False
    windows: str = ""
    kinds: str = ""
    recurrence: str = ""
    correction: str = "no"
    router_bias: bool = False
    expert_bias: bool = False
    has_shared_gate: bool = False
    tied: bool = False
    not_sized: str = ""
    is_encoder: bool = False
    positions: str = ""
    embedding_norm: bool = False
