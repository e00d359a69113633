"""GPU: cards of other makers than NVIDIA, as far as engines use them."""

from llmops.checks.check import Check, Judgement, ok, unknown, warn
from llmops.domain.host import Gpu, HostFacts
from llmops.domain.reading import Unknown, known


def _named(gpu: Gpu) -> str:
    return known(gpu.name) or f"{gpu.vendor} #{gpu.index}"


def _amd(host: HostFacts) -> list[Gpu]:
    return [gpu for gpu in known(host.other_gpus) or () if gpu.vendor == "amd"]


def amd_cards_can_be_opened(host: HostFacts) -> Judgement | None:
    """/dev/kfd is there and open to this user."""
    if not _amd(host):
        return None
    usable = host.amd.kfd_usable
    if isinstance(usable, Unknown):
        return unknown(usable, "/dev/kfd")
    if usable.value is None:
        return warn(
            "no /dev/kfd: ROCm reaches no card (Vulkan still does)",
            "load the driver: `modprobe amdgpu`; in a container hand in `--device /dev/kfd --device /dev/dri`",
        )
    if not usable.value:
        return warn("/dev/kfd is closed to this user", "`usermod -aG render,video USER`, then log in again")
    return ok("/dev/kfd is open")


def rocm_is_installed(host: HostFacts) -> Judgement | None:
    """Where an AMD card is: llama.cpp's and vLLM's ROCm builds need it, a Vulkan build does not."""
    if not _amd(host):
        return None
    rocm = host.amd.rocm_version
    if isinstance(rocm, Unknown):
        return unknown(rocm, "ROCm")
    if rocm.value is None:
        return warn("ROCm is not installed: llama.cpp on Vulkan, or an engine's own ROCm image, remain")
    return ok(f"ROCm {rocm.value}")


def memory_of_other_cards_is_known(host: HostFacts) -> Judgement | None:
    """Of each card of another maker that could serve: without it nothing can be planned for it."""
    others = known(host.other_gpus)
    if not others:
        return None
    for gpu in others:
        if isinstance(gpu.memory_bytes, Unknown):
            return unknown(gpu.memory_bytes, _named(gpu))
    return ok("; ".join(dict.fromkeys(_named(gpu) for gpu in others)))


CHECKS = (
    Check(
        code="GPU028",
        title="AMD cards can be opened",
        judge=amd_cards_can_be_opened,
        why="ROCm computes through /dev/kfd, which belongs to the group `render`.",
        fix="usermod -aG render,video USER",
        source="ROCm installation guide; Linux, drivers/gpu/drm/amd/amdkfd",
    ),
    Check(
        code="GPU029",
        title="ROCm is installed for AMD cards",
        judge=rocm_is_installed,
        why="The fast builds for AMD cards are linked against it.",
        fix="ROCm's own packages for this system (rocm.docs.amd.com), or a Vulkan build: `cmake … -DGGML_VULKAN=ON`",
        source="llama.cpp, docs/build.md; vLLM, ROCm image",
    ),
    Check(
        code="GPU030",
        title="The memory of other makers' cards is known",
        judge=memory_of_other_cards_is_known,
        why="Nothing can be planned for a card whose memory cannot be read; `--gpu SIZE` says it by hand.",
        fix="llmops plan MODEL --gpu 16GiB",
        source="/sys/class/drm/card*/device/mem_info_vram_total",
    ),
)
