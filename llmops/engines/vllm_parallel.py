"""Buffers for reductions that vLLM 0.33 takes on each of several tensor-parallel ranks, beyond NCCL's.

Source: vLLM 0.33, config/vllm.py (`enable_allreduce_rms_fusion`: -O2 on Hopper and data-center Blackwell), compilation/passes/
fusion/allreduce_rms_fusion.py (sizes), distributed/device_communicators/flashinfer_all_reduce.py; FlashInfer, comm/trtllm_ar.py
(`trtllm_create_ipc_workspace_for_all_reduce_fusion`: a buffer and three to swap, each as large as all ranks' messages).
"""

from fractions import Fraction

from llmops.domain.engine import Device, EngineSettings, PoolSettings
from llmops.domain.model import ModelShape
from llmops.domain.units import MIB

MESSAGE_MIB: dict[str, dict[int, Fraction]] = {
    "9.0": {2: Fraction(64), 4: Fraction(2), 8: Fraction(1, 2)},
    "10.0": {2: Fraction(64), 4: Fraction(32), 8: Fraction(1), 16: Fraction(64)},
    "10.3": {2: Fraction(64), 4: Fraction(64), 8: Fraction(4), 16: Fraction(64)},
}
"""The largest message that is reduced and normalized in one kernel, by compute capability and ranks."""

BUFFERS = 4


def fused_bytes(shape: ModelShape, settings: EngineSettings, device: Device | None) -> int:
    """FlashInfer's workspace on one rank: whole tokens, at most a step of them; none without compilation."""
    told, ranks = settings.pool or PoolSettings(), settings.tensor_parallel
    capability = (device.compute_capability if device is not None else None) or ""
    message = MESSAGE_MIB.get(capability, {}).get(ranks)
    if message is None or told.eager or not told.fused_all_reduce:
        return 0
    token = 2 * shape.embedding_length
    tokens = min(int(message * MIB) // max(token, 1), settings.batch_tokens)
    return BUFFERS * ranks * tokens * token
