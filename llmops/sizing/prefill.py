"""How fast llama.cpp reads a prompt: the arithmetic rate of the card, bounded by its power, and attention.

Form and constants: the fit of speed.py over 317 public rows. A tensor core's peak and the card's power are two limits in
series: an 8B model in 16 bit takes 21 to 23 J for 512 tokens on every Ada card from 130 W to 320 W.
"""

from collections.abc import Sequence

from llmops.domain.engine import Device, DeviceKind, EngineSettings, FlashAttention
from llmops.domain.model import ModelShape
from llmops.sizing.traffic import Traffic, attention_cells, attention_flop

WATTS_PER_TFLOPS = ((10.0, 0.9867), (8.9, 0.8507), (8.6, 1.77), (8.0, 1.869), (7.0, 2.763))
"""W for each 10^12 FLOP/s of 16-bit tensor arithmetic, from this compute capability on: Blackwell, Ada and Hopper, GA10x, A100,
Volta and Turing."""
OLD_CARD_SHARE = 0.6082
"""Of the FP32 peak before tensor cores (twice that for 6.1, which multiplies bytes)."""
SHARE = {DeviceKind.METAL: 0.6535, DeviceKind.ROCM: 0.2822, DeviceKind.OTHER: 0.2822}
EXPERT_FACTOR, OTHER_EXPERT_FACTOR = 2.717, 1.207
QUANTIZED_FACTOR, K_FACTOR, METAL_K_FACTOR = 1.074, 1.206, 1.437
ATTENTION_SHARE = {DeviceKind.CUDA: 0.2676, DeviceKind.METAL: 0.3394, DeviceKind.ROCM: 0.1111, DeviceKind.OTHER: 0.1111}
CELL_BYTES_WITHOUT_FLASH = 36.25
LAYER_MILLISECONDS = 0.04713
HOP_LOSS = 0.06785


def milliseconds(
    shape: ModelShape,
    settings: EngineSettings,
    devices: Sequence[Device],
    traffic: Traffic,
    *,
    prompt_tokens: int,
    depth_tokens: int,
) -> float | None:
    """One prompt token among `prompt_tokens` behind `depth_tokens`; None where a rate of the card is not known."""
    device = devices[0]
    bandwidth, peak = device.bandwidth_gb_s, _peak(device)
    rate = _rate(device)
    if bandwidth is None or peak is None or rate is None:
        return None
    cuda = device.kind is DeviceKind.CUDA
    rows = min(settings.ubatch_tokens, prompt_tokens)
    flop = traffic.dense_flop + traffic.expert_flop * (EXPERT_FACTOR if cuda else OTHER_EXPERT_FACTOR)
    spent = flop / (rate * 1e9) * _type_factor(shape, device.kind)
    spent += shape.weights_bytes() / (bandwidth * 1e6 * rows) + LAYER_MILLISECONDS * len(shape.layers) / rows
    depth = prompt_tokens / 2 + depth_tokens
    if settings.flash_attention is FlashAttention.OFF:
        spent += CELL_BYTES_WITHOUT_FLASH * attention_cells(shape, depth) / (bandwidth * 1e6)
    else:
        spent += attention_flop(shape, depth) / (peak * 1e9 * ATTENTION_SHARE[device.kind])
    cards = len(devices)
    batches = -(-prompt_tokens // settings.ubatch_tokens)
    return spent * (batches + cards - 1) / (batches * cards) * (1 + HOP_LOSS * (cards - 1))


UNKNOWN_CAPABILITY = 8.9
"""Ada, where a card does not say: `is_taken_for_ada` tells."""


def is_taken_for_ada(device: Device) -> bool:
    """A CUDA card of unknown compute capability, whose power limit is guessed."""
    return device.kind is DeviceKind.CUDA and _said(device) is None


def _said(device: Device) -> float | None:
    try:
        return float(device.compute_capability or "")
    except ValueError:
        return None


def _capability(device: Device) -> float:
    said = _said(device)
    return UNKNOWN_CAPABILITY if said is None else said


def _peak(device: Device) -> float | None:
    if device.kind is DeviceKind.CUDA and _capability(device) < 7:
        return device.fp32_tflops
    return device.fp16_acc16_tflops or device.fp16_tflops


def _rate(device: Device) -> float | None:
    """10^12 FLOP a second."""
    peak = _peak(device)
    if peak is None:
        return None
    if device.kind is not DeviceKind.CUDA:
        return peak * SHARE[device.kind]
    capability = _capability(device)
    watts = next((one for least, one in WATTS_PER_TFLOPS if capability >= least), None)
    if watts is None:
        return peak * OLD_CARD_SHARE * (2 if capability == 6.1 else 1)
    return peak if device.power_watts is None else 1 / (1 / peak + watts / device.power_watts)


def _type_factor(shape: ModelShape, kind: DeviceKind) -> float:
    """Quantized kernels against 16 bit, by the type most of the weights have."""
    sizes: dict[str, int] = {}
    for tensor in shape.tensors:
        sizes[tensor.type] = sizes.get(tensor.type, 0) + tensor.data_bytes()
    main = max(sizes, key=lambda one: sizes[one], default="F16")
    if main in ("F32", "F16", "BF16"):
        return 1.0
    packed = main.endswith("_K") or main.startswith("IQ")
    if kind is DeviceKind.METAL:
        return METAL_K_FACTOR if packed else 1.0
    return (QUANTIZED_FACTOR if kind is DeviceKind.CUDA else 1.0) * (K_FACTOR if packed else 1.0)
