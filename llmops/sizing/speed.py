"""How fast one request alone would run: estimates from bandwidth and arithmetic rate, always marked `low`.

Forms and constants: a fit over 318 public llama.cpp decode rows and 317 prefill rows (soft-L1 on log time, builds of 2024 to
2026, llama-bench), and 283 vLLM and other server rows. Held-out graphics cards: decode median error 5 %, nine in ten within
25 %; prefill median 14 %, nine in ten within 50 %. Partial offload and CPUs were not part of it: their range is a factor of 2.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llmops.domain.engine import Device, DeviceKind, EngineName, EngineSettings, HostDevice
from llmops.domain.ledger import Confidence
from llmops.domain.model import Attention, Layer, ModelShape, Tensor
from llmops.domain.plan import Estimate, Speed
from llmops.domain.tensor_types import TENSOR_TYPES

DEPTH_TOKENS = 4096
"""Tokens already in the cache when decode is estimated, or half the context where that is less."""

HBM_NAMES = (
    "A30",
    "A100",
    "V100",
    "H100",
    "H200",
    "B100",
    "B200",
    "B300",
    "GH200",
    "GB200",
    "GB300",
    "INSTINCT",
    "MI3",
)
WEIGHTS_SHARE = {DeviceKind.CUDA: 0.913, DeviceKind.ROCM: 0.8037, DeviceKind.METAL: 0.9147, DeviceKind.OTHER: 0.8514}
HBM_FACTOR = 0.6594
CACHE_SHARE = {DeviceKind.CUDA: 0.8134, DeviceKind.ROCM: 0.5165, DeviceKind.METAL: 0.3945, DeviceKind.OTHER: 0.6476}
LATENT_CACHE_FACTOR = 1.537
LAYER_MILLISECONDS = {
    DeviceKind.CUDA: 0.0503,
    DeviceKind.ROCM: 0.1107,
    DeviceKind.METAL: 0.137,
    DeviceKind.OTHER: 0.03152,
}
MOE_LAYER_FACTOR = 1.439
HOP_MILLISECONDS = 0.4325
FLOP_PER_BYTE_K, FLOP_PER_BYTE_IQ, FLOP_PER_BYTE_MXFP4, FLOP_PER_BYTE_LEGACY = 5.464, 13.34, 7.366, 0.3398
FP32_SHARE = 0.25
"""The fp32 rate where only the dense fp16 tensor rate is known."""

PREFILL_SHARE = 0.5
PREFILL_EXPERT_FACTOR = 2.717
PREFILL_LAYER_MILLISECONDS = 0.04713
CPU_BANDWIDTH_SHARE = 0.6

VLLM_WEIGHTS_SHARE, VLLM_LAYER_MILLISECONDS, VLLM_PREFILL_SHARE = 0.7719, 0.03839, 0.5965
VLLM_START_SECONDS = 65.0
LLAMA_CPP_START_SECONDS = 3.0

ASSUMED_READ_BYTES_PER_SECOND = 500e6
READ_RANGE = (150e6, 3e9)
"""Where the disk was not measured: a SATA SSD; from a hard disk to an NVMe drive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What one token costs: bytes read of the weights (all, and of those in RAM), FLOP to unpack them, FLOP of a prompt token."""

    weights_bytes: float
    host_bytes: float
    unpack_flop: float
    prompt_flop: float


def speed(
    shape: ModelShape,
    settings: EngineSettings,
    *,
    devices: Sequence[Device],
    host: HostDevice,
    read_bytes_per_second: float | None,
) -> Speed:
    """Decode and prefill of one request alone, and loading. None where a rate of the device is not known."""
    used = _used(devices, settings)
    return Speed(
        decode_tokens_per_second=_decode(shape, settings, used, host),
        prefill_tokens_per_second=_prefill(shape, settings, used),
        load_seconds=_load(shape, settings, read_bytes_per_second),
    )


def _used(devices: Sequence[Device], settings: EngineSettings) -> tuple[Device, ...]:
    """The first of the cards when one is enough, the slowest of all deciding where several are used."""
    if not settings.use_gpu:
        return ()
    if settings.engine is EngineName.VLLM:
        return tuple(devices[: settings.tensor_parallel])
    count = 1 if settings.split_mode == "none" else len(settings.tensor_split) or len(devices)
    return tuple(devices[:count])


def _traffic(shape: ModelShape, settings: EngineSettings, *, on_cards: bool) -> Traffic:
    read = in_ram = unpack = flop = 0.0
    first = _first_card_layer(shape, settings) if on_cards else len(shape.layers)
    for tensor in shape.tensors:
        layer = _layer_number(tensor.name)
        share = _share_read(tensor, layer, shape)
        count = share * tensor.data_bytes()
        read += count
        unpack += count * _flop_per_byte(tensor.type)
        experts = "_exps." in tensor.name
        if layer is not None and (layer < first or (experts and layer < settings.cpu_moe_layers)):
            in_ram += count
        if layer is not None and len(tensor.dims) > 1:
            flop += 2 * share * tensor.elements() * (PREFILL_EXPERT_FACTOR if experts else 1)
    return Traffic(weights_bytes=read, host_bytes=in_ram, unpack_flop=unpack, prompt_flop=flop)


def _first_card_layer(shape: ModelShape, settings: EngineSettings) -> int:
    return 0 if settings.gpu_layers is None else max(len(shape.layers) + 1 - settings.gpu_layers, 0)


def _layer_number(name: str) -> int | None:
    parts = name.split(".")
    numbers = [int(part) for part in parts[:4] if part.isdigit()]
    return numbers[0] if numbers else None


def _share_read(tensor: Tensor, layer: int | None, shape: ModelShape) -> float:
    """One row of an untied input table, the used experts of all, nothing of blocks that are not loaded, else everything."""
    if layer is None:
        is_input = tensor.name.startswith(("token_embd", "model.embed_tokens", "per_layer_token_embd"))
        return 0.0 if is_input and not shape.has_tied_output() else 1.0
    if layer >= len(shape.layers):
        return 0.0
    one = shape.layers[layer]
    if one.experts and ("_exps." in tensor.name or ".experts." in tensor.name):
        return one.experts_used / one.experts
    return 1.0


def _flop_per_byte(kind: str) -> float:
    if kind.startswith("IQ"):
        return FLOP_PER_BYTE_IQ
    if kind.endswith("_K"):
        return FLOP_PER_BYTE_K
    if kind == "MXFP4":
        return FLOP_PER_BYTE_MXFP4
    if not TENSOR_TYPES[kind].quantized:
        return 0.0
    return FLOP_PER_BYTE_LEGACY / 2 if kind == "Q8_0" else FLOP_PER_BYTE_LEGACY


def _cache_bytes(shape: ModelShape, settings: EngineSettings, depth: int) -> float:
    def one(layer: Layer) -> float:
        if layer.attention is Attention.NONE:
            return 0.0
        tokens = depth
        if layer.attention in (Attention.SLIDING, Attention.CHUNKED) and shape.window_tokens:
            tokens = min(depth, shape.window_tokens)
        return tokens * (
            layer.key_width() * _element_bytes(settings.kv_cache_type_k)
            + layer.value_width() * _element_bytes(settings.kv_cache_type_v)
        )

    return sum(one(layer) for layer in shape.layers)


def _element_bytes(kind: str) -> float:
    row = TENSOR_TYPES.get(kind.upper())
    if row is None:  # vLLM's names: auto and bfloat16 are 2 bytes, the fp8 kinds one
        return 1.0 if kind.startswith(("fp8", "int8")) else 2.0
    return row.block_bytes / row.block_elements


def _decode(
    shape: ModelShape, settings: EngineSettings, devices: Sequence[Device], host: HostDevice
) -> Estimate | None:
    traffic = _traffic(shape, settings, on_cards=bool(devices))
    depth = min(DEPTH_TOKENS, (settings.request_tokens() or shape.context_length) // 2)
    cache = _cache_bytes(shape, settings, depth) * (LATENT_CACHE_FACTOR if shape.latent else 1)
    basis = f"bytes read per token over bandwidth, {depth} tokens in the cache"
    if not devices:
        if host.bandwidth_gb_s is None:
            return None
        seconds = (traffic.weights_bytes + cache) / (host.bandwidth_gb_s * 1e9 * CPU_BANDWIDTH_SHARE)
        return _estimate(1 / seconds, factor=2.0, basis=f"{basis}, CPU at 60 % of the memory's rate: not calibrated")
    slowest = _slowest(devices, lambda one: one.bandwidth_gb_s)
    if slowest is None:
        return None
    milliseconds = _card_milliseconds(shape, settings, devices, slowest, traffic, cache)
    if not traffic.host_bytes:
        return _estimate(1e3 / milliseconds, factor=1.33, basis=basis)
    if host.bandwidth_gb_s is None:
        return None
    milliseconds += traffic.host_bytes / (host.bandwidth_gb_s * 1e6 * CPU_BANDWIDTH_SHARE)
    return _estimate(
        1e3 / milliseconds, factor=2.0, basis=f"{basis}, part of the weights read from RAM: not calibrated"
    )


def _slowest(devices: Sequence[Device], rate: Callable[[Device], float | None]) -> float | None:
    rates = [rate(device) for device in devices]
    known = [one for one in rates if one]
    return min(known) if len(known) == len(rates) else None


def _card_milliseconds(
    shape: ModelShape,
    settings: EngineSettings,
    devices: Sequence[Device],
    bandwidth_gb_s: float,
    traffic: Traffic,
    cache_bytes: float,
) -> float:
    device = devices[0]
    layers = len(shape.layers)
    rate = bandwidth_gb_s * 1e6  # bytes a millisecond
    if settings.engine is EngineName.VLLM:
        read = (traffic.weights_bytes / VLLM_WEIGHTS_SHARE + cache_bytes) / (rate * len(devices))
        return read + layers * VLLM_LAYER_MILLISECONDS
    share = WEIGHTS_SHARE[device.kind]
    if any(name in device.name.upper() for name in HBM_NAMES):
        share *= HBM_FACTOR
    on_card = traffic.weights_bytes - traffic.host_bytes
    milliseconds = on_card / (rate * share) + cache_bytes / (rate * CACHE_SHARE[device.kind])
    if device.fp16_tflops:
        milliseconds += traffic.unpack_flop / (device.fp16_tflops * FP32_SHARE * 1e9)
    moe = MOE_LAYER_FACTOR if any(layer.experts for layer in shape.layers) else 1.0
    milliseconds += layers * LAYER_MILLISECONDS[device.kind] * moe
    return milliseconds + HOP_MILLISECONDS * (len(devices) - 1)


def _prefill(shape: ModelShape, settings: EngineSettings, devices: Sequence[Device]) -> Estimate | None:
    tflops = _slowest(devices, lambda one: one.fp16_tflops) if devices else None
    bandwidth = _slowest(devices, lambda one: one.bandwidth_gb_s) if devices else None
    if tflops is None or bandwidth is None:
        return None
    traffic = _traffic(shape, settings, on_cards=True)
    is_vllm = settings.engine is EngineName.VLLM
    share = VLLM_PREFILL_SHARE if is_vllm else PREFILL_SHARE
    rows = settings.batch_tokens if is_vllm else settings.ubatch_tokens
    milliseconds = traffic.prompt_flop / (tflops * 1e9 * share)
    milliseconds += (shape.weights_bytes() / (bandwidth * 1e6) + len(shape.layers) * PREFILL_LAYER_MILLISECONDS) / rows
    basis = f"arithmetic at {share:.0%} of the dense fp16 rate, batches of {rows} tokens"
    if traffic.host_bytes:
        return _estimate(
            1e3 / milliseconds / 3, factor=4.0, basis=f"{basis}, a third of it with weights copied from RAM"
        )
    return _estimate(1e3 / milliseconds, factor=2.0, basis=basis)


def _load(shape: ModelShape, settings: EngineSettings, read_bytes_per_second: float | None) -> Estimate:
    size = shape.weights_bytes()
    fixed = VLLM_START_SECONDS if settings.engine is EngineName.VLLM else LLAMA_CPP_START_SECONDS
    if read_bytes_per_second:
        seconds = size / read_bytes_per_second + fixed
        basis = f"weights at the measured {read_bytes_per_second / 1e6:.0f} MB/s, {fixed:.0f} s to start"
        return Estimate(value=seconds, low=fixed / 2, high=2 * seconds, confidence=Confidence.LOW, basis=basis)
    slow, fast = READ_RANGE
    return Estimate(
        value=size / ASSUMED_READ_BYTES_PER_SECOND + fixed,
        low=size / fast + fixed / 2,
        high=size / slow + 2 * fixed,
        confidence=Confidence.LOW,
        basis=f"weights at an assumed 500 MB/s (150 MB/s to 3 GB/s): the disk was not measured; {fixed:.0f} s to start",
    )


def _estimate(value: float, *, factor: float, basis: str) -> Estimate:
    return Estimate(value=value, low=value / factor, high=value * factor, confidence=Confidence.LOW, basis=basis)
