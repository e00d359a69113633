"""What llama-server's options say of the files beside the model: who drafts, how images run, which adapters. Build b11669.

Source: llama.cpp common/arg.cpp, common/speculative.cpp, tools/server/server-context.cpp; the rows with logits were read from
the log of b11669 (`n_outputs_max`) for every kind.
"""

from collections.abc import Mapping, Sequence

from llmops.domain.engine import Images, Speculation
from llmops.domain.explained import GivenFlag
from llmops.domain.records import dataclass
from llmops.engines.llama_cpp_arguments import whole_number
from llmops.engines.llama_cpp_overrides import EVERY_BLOCK

DRAFT_TOKENS = 3
NGRAM_TOKENS = 48
NGRAM_MOD_TOKENS = 64
NGRAM_CACHE_TOKENS = 8
"""`ngram-cache` has no option of its own for it."""
IMAGE_BATCH_TOKENS = 1024

KINDS = (
    "none", "draft-simple", "draft-eagle3", "draft-mtp", "draft-dflash", "draft-dspark", "ngram-simple", "ngram-map-k",
    "ngram-map-k4v", "ngram-mod", "ngram-cache",
)  # fmt: skip
"""What `--spec-type` takes, several with commas between."""

_NGRAMS = {
    "ngram-simple": ("--spec-ngram-simple-size-m", NGRAM_TOKENS),
    "ngram-map-k": ("--spec-ngram-map-k-size-m", NGRAM_TOKENS),
    "ngram-map-k4v": ("--spec-ngram-map-k4v-size-m", NGRAM_TOKENS),
    "ngram-mod": ("--spec-ngram-mod-n-max", NGRAM_MOD_TOKENS),
}

Given = Mapping[str, GivenFlag]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """The files beside the model as the command line names them; paths of the host, or repositories of the hub.

    `idle`: the adapters whose scale is 0.
    """

    projector: str | None = None
    draft: str | None = None
    adapters: tuple[str, ...] = ()
    idle: frozenset[str] = frozenset()
    control_vectors: tuple[str, ...] = ()

    def named(self) -> tuple[str, ...]:
        """Every one of them."""
        return (*([self.projector] if self.projector else []), *([self.draft] if self.draft else []), *self.adapters,
                *self.control_vectors)  # fmt: skip


def beside(given: Given, written: Sequence[GivenFlag]) -> Beside:
    """`--lora` and its like may be given often and hold several names each; a scale behind the last colon is none of a name."""
    adapters: list[str] = []
    vectors: list[str] = []
    idle: set[str] = set()
    for flag in written:
        names = [name for name in flag.value.split(",") if name]
        if flag.name in ("--lora-scaled", "--control-vector-scaled"):
            parts = [name.rpartition(":") for name in names]
            names = [name or scale for name, _, scale in parts]
            idle |= {name for name, _, scale in parts if _is_zero(scale)}
        if flag.name in ("--lora", "--lora-scaled"):
            adapters += names
        elif flag.name in ("--control-vector", "--control-vector-scaled"):
            vectors += names
    return Beside(
        projector=_text(given, "--mmproj") or None,
        draft=_text(given, "--spec-draft-model") or None,
        adapters=tuple(adapters),
        idle=frozenset(idle),
        control_vectors=tuple(vectors),
    )


def _is_zero(scale: str) -> bool:
    try:
        return float(scale) == 0
    except ValueError:
        return False


def speculation(given: Given, *, ubatch_tokens: int) -> Speculation | None:
    """None where nothing drafts and no draft model is loaded. `-md` alone loads the model; only `--spec-type` has it asked."""
    text = _text(given, "--spec-type", "none")
    kinds = tuple(kind for kind in text.split(",") if kind and kind != "none" and kind in KINDS)
    if _text(given, "--spec-default") == "on" and "ngram-mod" not in kinds:
        kinds = (*kinds, "ngram-mod")
    has_model = "--spec-draft-model" in given or "--spec-draft-hf" in given
    if not kinds and not has_model:
        return None
    drafted = max(_number(given, "--spec-draft-n-max", DRAFT_TOKENS), 0)
    layers = _text(given, "--spec-draft-ngl", "auto")
    number = None if layers in ("auto", "all") else whole_number(layers)
    experts = EVERY_BLOCK if _text(given, "--spec-draft-cpu-moe") == "on" else 0
    return Speculation(
        kinds=kinds,
        tokens=max((_tokens(given, kind, drafted) for kind in kinds), default=0),
        draft_tokens=drafted if any(kind.startswith("draft") for kind in kinds) else 0,
        kv_cache_type_k=_text(given, "--spec-draft-type-k", "f16"),
        kv_cache_type_v=_text(given, "--spec-draft-type-v", "f16"),
        ubatch_tokens=_number(given, "--spec-draft-n-ubatch", 0) or ubatch_tokens,
        gpu_layers=None if number is None or number[0] < 0 else number[0],
        use_gpu=(_text(given, "--spec-draft-device") or _text(given, "--device")) != "none",
        cpu_moe_layers=experts or max(_number(given, "--spec-draft-n-cpu-moe", 0), 0),
        backend_sampling=_text(given, "--spec-draft-backend-sampling", "on") == "on",
    )


def _tokens(given: Given, kind: str, drafted: int) -> int:
    if kind == "ngram-cache":
        return NGRAM_CACHE_TOKENS
    if kind in _NGRAMS:
        name, default = _NGRAMS[kind]
        return max(_number(given, name, default), 0)
    return drafted


def images(given: Given) -> Images:
    """How a projector would run; `--device none` holds for it, too, unless it has a device of its own."""
    device = _text(given, "--mmproj-device") or _text(given, "--device")
    return Images(
        offload=_text(given, "--mmproj-offload", "on") == "on" and device != "none",
        minimum_tokens=_positive(given, "--image-min-tokens"),
        maximum_tokens=_positive(given, "--image-max-tokens"),
        batch_tokens=max(_number(given, "--mtmd-batch-max-tokens", IMAGE_BATCH_TOKENS), 1),
    )


def _text(given: Given, name: str, default: str = "") -> str:
    flag = given.get(name)
    return default if flag is None else flag.value


def _number(given: Given, name: str, default: int) -> int:
    read = whole_number(_text(given, name, str(default)))
    return default if read is None else read[0]


def _positive(given: Given, name: str) -> int | None:
    value = _number(given, name, 0)
    return value if value > 0 else None
