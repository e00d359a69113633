"""`memory_logs*`: what real servers printed at their start, a list of rows; MiB with the digits of the log.

A row says hyper-parameters, settings and buffers, never a tensor list: KV cache and recurrent state are compared to the printed
digit; where the model's published configuration gives its tensors and the build is one whose rules are modelled, the sum of the
device's logged buffers as well, its weights taken as logged (a header gives them to the byte).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from accuracy import vllm_logs
from accuracy.cases import UNREADABLE, Figure, Refusal, Report, Row
from accuracy.published import published
from accuracy.shapes import ledger_of, shape_of
from llmops.domain.engine import DeviceKind
from llmops.domain.errors import Stop
from llmops.domain.ledger import Ledger
from llmops.domain.tensor_types import TENSOR_TYPES
from llmops.domain.units import GIB, MIB
from llmops.formats.gguf_values import Writable

KIND = "memory_logs"
ENGINE, FORK, FITTED, LAYOUT = "another engine", "a fork", "fitted", "another build's layout"
LITTLE, NOTHING = "says too little", "no cache was logged"
OLD_BUILD, SPECULATION, UNSAID = "another build's compute", "speculation", "compute not decided by the row"
BACKEND = "another backend's compute"
DEVICE_TOTAL = "sum of the device's buffers"
RULES = {
    ENGINE: "rows of Ollama: another memory model, or an estimate that is not a measurement",
    FORK: "ik_llama.cpp, and cache types that only a fork has",
    FITTED: "a width was solved from the very number that would be compared (`check.kv.evidence` says `fitted`)",
    LAYOUT: "caches that are laid out differently today: latent attention with V beside the latent, windows at full length "
    "(before May 2025), DeepSeek-V4",
    LITTLE: "no number of layers, no cache widths or no context: no header can be made of it",
    NOTHING: "neither a KV cache nor a state was logged, only a compute buffer that is not compared",
    OLD_BUILD: "builds before b9849, and undated ones, allot logits for a whole batch on the card: the KV cache and state alone "
    "are compared",
    SPECULATION: "with speculation every slot keeps further states; the row does not hold its flags",
    BACKEND: "Vulkan, ROCm and others size their graphs by rules of their own; the ledger's are CUDA's and Metal's",
    UNSAID: "no tensors are known of the row's model, or it spreads over several devices",
}

FIRST_BUILD, FIRST_DAY = 9849, "2026-06-01"
"""The first build, and day of undated builds, whose compute buffers follow today's rules."""

FAMILY: dict[str, dict[str, Writable]] = {
    "lfm2": {"shortconv.l_cache": 3},
    "qwen3next": {"ssm.conv_kernel": 4, "ssm.inner_size": 4096, "ssm.state_size": 128, "ssm.group_count": 16},
}
"""What all published models of the architecture share and rows leave out (their public configurations)."""

HOSTS = re.compile(r"CPU.*|.*_Host|Host|AMX.*")
ROOM_BYTES = 4096 * GIB


def report(file: str, rows: Sequence[Mapping[str, Any]]) -> Report:
    """Every row of a file."""
    return Report(
        file=file,
        kind=KIND,
        rows=tuple(_read(at, row) for at, row in enumerate(rows)),
        rules=RULES | vllm_logs.RULES,
    )


def _read(at: int, row: Mapping[str, Any]) -> Row:
    """One row; what cannot be read is refused, whatever it is."""
    id_: str | int = at
    try:
        id_ = row.get("id", at)
        return _row(id_, row)
    except UNREADABLE:
        return Row(id=id_, refused=Refusal.INCOMPLETE)


def left_out(row: Mapping[str, Any]) -> str | None:
    """The rule by which a row cannot be a test, the first that applies."""
    hyper, settings, measured = row.get("hparams") or {}, row.get("settings") or {}, row.get("measured") or {}
    if row.get("engine") != "llama.cpp":
        return ENGINE
    kinds = {settings.get(key, "f16") for key in ("kv_type_k", "kv_type_v")}
    if str(row.get("engine_version", "")).startswith("ik_llama") or any(
        str(one).upper() not in TENSOR_TYPES for one in kinds
    ):
        return FORK
    check = row.get("check")
    evidence = check.get("kv", {}).get("evidence") if isinstance(check, dict) else None
    if evidence == "fitted":
        return FITTED
    if _other_layout(row, hyper, measured):
        return LAYOUT
    if _context(settings) is None or "n_layer" not in hyper or not (_widths(row["arch"], hyper) or published(row)):
        return LITTLE
    return None if _measured_caches(measured) or (published(row) and _is_today(row)) else NOTHING


def _other_layout(row: Mapping[str, Any], hyper: Mapping[str, Any], measured: Mapping[str, Any]) -> bool:
    latent_beside_v = "kv_lora_rank" in hyper and hyper.get("n_head_kv") == 1 and bool(measured.get("kv_v_mib"))
    whole_windows = row["arch"] == "gemma3" and "kv_parts_mib" not in measured and bool(measured.get("kv_self_mib"))
    return row["arch"] == "deepseek4" or latent_beside_v or whole_windows


def _context(settings: Mapping[str, Any]) -> int | None:
    context: int | None = settings.get("n_ctx", settings.get("n_ctx_inferred"))
    return context


def _measured_caches(measured: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Quantity → MiB and how finely it was printed: KV cache and state, or both together where the log says only that."""
    found = {}
    for quantity, keys in (
        ("KV cache", ("kv_self_mib", "kv_buffer_mib", "kv_parts_mib")),
        ("recurrent state", ("rs_self_mib", "rs_buffer_mib")),
        ("context", ("context_mib",)),
    ):
        key = next((one for one in keys if one in measured), None)
        if key is not None:
            parts = measured[key].values() if isinstance(measured[key], dict) else [measured[key]]
            found[quantity] = (sum(parts), sum(_resolution(one) for one in parts))
    return found


def _resolution(value: float) -> float:
    """Half of the last printed digit in MiB; a whole number of a memory breakdown is cut, not rounded."""
    return 1.0 if isinstance(value, int) else 0.005 + 1e-6


def _widths(architecture: str, hyper: Mapping[str, Any]) -> dict[str, Writable]:
    """Heads and lengths as a header says them; nothing where the row does not."""
    if "n_embd_k_full" in hyper:
        return {
            "attention.head_count_kv": 1, "attention.key_length": hyper["n_embd_k_full"],
            "attention.value_length": hyper["n_embd_k_full"], "attention.key_length_swa": hyper["n_embd_k_swa"],
            "attention.value_length_swa": hyper["n_embd_k_swa"],
        }  # fmt: skip
    if not {"n_head_kv", "head_dim_k", "head_dim_v"} <= hyper.keys():
        return {}
    widths: dict[str, Writable] = {
        "attention.head_count_kv": hyper["n_head_kv"], "attention.key_length": hyper["head_dim_k"],
        "attention.value_length": hyper["head_dim_v"],
    }  # fmt: skip
    if architecture == "deepseek2" and hyper["n_head_kv"] == 1:
        rank, rope = hyper["kv_lora_rank"], hyper["head_dim_k"] - hyper["kv_lora_rank"]
        widths |= {"attention.kv_lora_rank": rank, "rope.dimension_count": rope}
        widths |= {"attention.key_length_mla": 128 + rope, "attention.value_length_mla": 128}
    return widths


def keys_of(row: Mapping[str, Any]) -> dict[str, Writable]:
    """The header's keys: what the row says, and where nothing that is compared depends on it a stand-in."""
    hyper, architecture = row["hparams"], row["arch"]
    layers = hyper["n_layer"]
    widths = _widths(architecture, hyper)
    said = hyper.get("n_head_kv", 1)
    heads: int = hyper.get("n_head") or (max(said) if isinstance(said, list) else said)
    keys: dict[str, Writable] = {
        "block_count": hyper.get("n_layer_total", layers),
        "nextn_predict_layers": hyper.get("n_layer_total", layers) - layers,
        "context_length": hyper.get("n_ctx_train", _context(row["settings"])),
        "embedding_length": hyper.get("n_embd") or heads * hyper.get("head_dim_k", 128),
        "feed_forward_length": hyper.get("n_ff", 0),
        "attention.head_count": heads,
        "vocab_size": hyper.get("n_vocab", 32_000),
        **FAMILY.get(architecture, {}),
        **widths,
    }
    if hyper.get("n_expert"):
        keys |= {"expert_count": hyper["n_expert"], "expert_used_count": hyper["n_expert_used"]}
    if hyper.get("n_layer_swa"):
        period = layers // hyper["n_layer_full"]
        keys["attention.sliding_window"] = hyper["n_swa"]
        keys["attention.sliding_window_pattern"] = [at % period < period - 1 for at in range(layers)]
    if hyper.get("n_layer_attn"):
        keys["full_attention_interval"] = layers // hyper["n_layer_attn"]
    names = {
        "conv_kernel": "ssm_d_conv",
        "inner_size": "ssm_d_inner",
        "state_size": "ssm_d_state",
        "group_count": "ssm_n_group",
    }
    return keys | {f"ssm.{name}": hyper[key] for name, key in names.items() if key in hyper}


def flags_of(settings: Mapping[str, Any]) -> list[str]:
    """The command line a log stands for. `4 (auto)` slots are those of a line without `-np`."""
    slots = settings.get("n_seq_max", 1)
    unified = settings.get("kv_unified", False)
    flags = ["-c", str(_context(settings))]
    flags += ["-np", str(slots), "--kv-unified" if unified else "--no-kv-unified"] if isinstance(slots, int) else []
    for key, option in (("n_batch", "-b"), ("n_ubatch", "-ub"), ("kv_type_k", "-ctk"), ("kv_type_v", "-ctv")):
        if key in settings:
            flags += [option, str(settings[key]).lower()]
    attention = settings.get("flash_attn")
    if isinstance(attention, int):
        flags += ["-fa", "on" if attention else "off"]
    flags += ["--swa-full"] if settings.get("swa_full") else []
    flags += ["--no-kv-offload"] if settings.get("kv_offload") is False else []
    return [*flags, "-fit", "off"]


def _row(id_: str | int, row: Mapping[str, Any]) -> Row:
    if row.get("engine") == "vllm":
        return vllm_logs.row_of(id_, row)
    rule = left_out(row)
    if rule is not None:
        return Row(id=id_, left_out=rule)
    try:
        keys, tensors = published(row) or (keys_of(row), [])
        shape = shape_of(str(row.get("model", id_)), row["arch"], keys, tensors)
    except Stop:
        return Row(id=id_, refused=Refusal.HEADER)
    kind = DeviceKind.METAL if "Metal" in str(row["settings"].get("gpu")) else DeviceKind.CUDA
    try:
        said = ledger_of(shape, flags_of(row["settings"]), [ROOM_BYTES], kind)
    except Stop:
        return Row(id=id_, refused=Refusal.COMMAND_LINE)
    figures, skipped = _cache_figures(row, said)
    more, rule = _device_figures(row, said, is_known=bool(shape.tensors))
    return Row(id=id_, figures=(*figures, *more), skipped=skipped | ({DEVICE_TOTAL: rule} if rule else {}))


def _cache_figures(row: Mapping[str, Any], said: Ledger) -> tuple[tuple[Figure, ...], dict[str, str]]:
    kv = sum(card.causes.kv_cache_bytes for card in said.devices) + said.host.causes.kv_cache_bytes
    state = sum(card.causes.recurrent_state_bytes for card in said.devices) + said.host.causes.recurrent_state_bytes
    predicted = {"KV cache": kv, "recurrent state": state, "context": kv + state}
    figures, skipped = [], {}
    for quantity, (mib, resolution) in _measured_caches(row["measured"]).items():
        if quantity != "KV cache" and "spec" in row["settings"]:
            skipped[quantity] = SPECULATION
            continue
        figures.append(
            Figure(
                quantity=quantity,
                place="all",
                predicted=predicted[quantity],
                measured=mib * MIB,
                resolution=resolution * MIB,
            )
        )
    return tuple(figures), skipped


def _is_today(row: Mapping[str, Any]) -> bool:
    build = re.match(r"b(\d+)", str(row.get("engine_version", "")))
    return int(build[1]) >= FIRST_BUILD if build else str(row.get("date", "")) >= FIRST_DAY


def _device_figures(row: Mapping[str, Any], said: Ledger, *, is_known: bool) -> tuple[tuple[Figure, ...], str | None]:
    """The sum of the buffers a log has of one device, where all that decides them is known."""
    measured = row["measured"]
    compute = {name: mib for name, mib in measured.get("compute_buffer_mib", {}).items() if not HOSTS.fullmatch(name)}
    if not compute:
        return (), None
    if not _is_today(row):
        return (), OLD_BUILD
    if "spec" in row["settings"]:
        return (), SPECULATION
    if not all(name.startswith(("CUDA", "MTL", "Metal")) for name in compute):
        return (), BACKEND
    if len(compute) > 1 or not is_known:
        return (), UNSAID
    ((device, mib),) = compute.items()
    causes = said.devices[0].causes
    model = measured.get("model_buffer_mib", {}).get(device, 0)
    predicted, total, resolution = causes.compute_bytes + int(model * MIB), mib + model, _resolution(mib)
    caches = _measured_caches(measured)
    for quantity, own in (("KV cache", causes.kv_cache_bytes), ("recurrent state", causes.recurrent_state_bytes)):
        if quantity in caches:
            logged, step = caches[quantity]
            predicted, total, resolution = predicted + own, total + logged, resolution + step
    figure = Figure(
        quantity=DEVICE_TOTAL, place=device, predicted=predicted, measured=total * MIB, resolution=resolution * MIB
    )
    return (figure,), None
