"""Cases of the checks of cards and driver: one host each that is well, spoiled, unknown."""

import hosts
from hosts import LOST, card, gpu, host, kernel_side, nvidia
from spoiled_hosts import (
    FAIL,
    FAULTY,
    GOOD,
    LICENSED,
    WARN,
    XID_79,
    Case,
    cards_unknown,
    linked,
    seen,
    switched,
    with_files,
    with_gpu,
    with_other,
)

from llmops.domain.finding import Status
from llmops.domain.gpu import (
    ClockReason,
    ComputeMode,
    Fabric,
    FabricState,
    GpuSource,
    PcieLink,
    Power,
    Virtualization,
)
from llmops.domain.gpu_software import (
    DeviceNode,
)
from llmops.domain.host import (
    Driver,
    NvidiaState,
    RowRemapping,
)
from llmops.domain.reading import Known, Unknown
from llmops.domain.units import GIB

CASES = {
    "GPU001": Case(GOOD, FAULTY[NvidiaState.VERSION_MISMATCH], FAIL, None),
    "GPU002": Case(GOOD, with_gpu(fault="GPU is lost", memory_bytes=LOST), FAIL, None),
    "GPU003": Case(GOOD, GOOD, Status.OK, cards_unknown({"memory_bytes": LOST})),
    "GPU004": Case(
        GOOD, with_gpu(mig_enabled=Known(True), memory_bytes=LOST), FAIL, cards_unknown({"mig_enabled": LOST})
    ),
    "GPU005": Case(GOOD, with_gpu(free_bytes=Known(4 * GIB)), WARN, cards_unknown({"free_bytes": LOST})),
    "GPU006": Case(GOOD, with_gpu(temperature_celsius=Known(91)), WARN, cards_unknown({"temperature_celsius": LOST})),
    "GPU007": Case(GOOD, with_gpu(ecc_errors=Known(3)), FAIL, cards_unknown({"ecc_errors": LOST})),
    "GPU008": Case(
        GOOD,
        host(nvidia=nvidia(gpu(), driver=Known(Driver(version="550.90.07", cuda=LOST)))),
        WARN,
        host(nvidia=nvidia(gpu(), driver=LOST)),
    ),
    "GPU009": Case(
        GOOD,
        host(kernel_side=Known(kernel_side(card(), nvidia_version="570.124.06"))),
        WARN,
        host(kernel_side=LOST),
    ),
    "GPU010": Case(
        GOOD,
        with_gpu(row_remapping=Known(RowRemapping(pending=True, failed=True))),
        FAIL,
        cards_unknown({"row_remapping": LOST}),
    ),
    "GPU011": Case(GOOD, with_gpu(compute_capability=Known("6.1")), WARN, cards_unknown({"compute_capability": LOST})),
    "GPU012": Case(GOOD, host(xids=Known((XID_79,))), FAIL, host(xids=LOST)),
    "GPU013": Case(
        GOOD,
        with_gpu(pcie=PcieLink(width=Known(4), width_maximum=Known(16))),
        WARN,
        cards_unknown({"pcie": PcieLink()}),
    ),
    "GPU014": Case(
        GOOD,
        with_gpu(clock_reasons=Known((ClockReason.HARDWARE_THERMAL,))),
        WARN,
        cards_unknown({"clock_reasons": LOST}),
    ),
    "GPU015": Case(
        GOOD,
        host(
            nvidia=nvidia(gpu(persistence_mode=hosts.NO)),
            driver_files=hosts.driver_files(persistence_daemon=Known(None)),
        ),
        WARN,
        host(nvidia=nvidia(gpu(persistence_mode=LOST)), driver_files=hosts.driver_files(persistence_daemon=LOST)),
    ),
    "GPU016": Case(
        switched(),
        switched("failed", fabric=Known(Fabric(state=FabricState.IN_PROGRESS))),
        FAIL,
        host(
            nvidia=nvidia(gpu(fabric=Known(Fabric(state=FabricState.COMPLETED, error=0))), gpu(index=1, fabric=LOST)),
            driver_files=hosts.driver_files(fabric_manager=LOST),
        ),
    ),
    "GPU017": Case(
        linked(True, True), linked(True, False), WARN, host(nvidia=nvidia(gpu(), gpu(index=1, nvlinks=LOST)))
    ),
    "GPU018": Case(
        with_gpu(**LICENSED),
        with_gpu(virtualization=Known(Virtualization.VGPU), vgpu_licensed=hosts.NO),
        FAIL,
        with_gpu(virtualization=Known(Virtualization.VGPU), vgpu_licensed=LOST),
    ),
    "GPU019": Case(
        GOOD, with_gpu(compute_mode=Known(ComputeMode.PROHIBITED)), FAIL, cards_unknown({"compute_mode": LOST})
    ),
    "GPU020": Case(
        with_gpu(retired_pages_pending=hosts.NO, row_remapping=Unknown("the card remaps no rows")),
        with_gpu(retired_pages_pending=hosts.YES),
        WARN,
        with_gpu(retired_pages_pending=LOST, row_remapping=Unknown("the card remaps no rows")),
    ),
    "GPU021": Case(
        GOOD,
        host(
            nvidia=hosts.without_nvml(NvidiaState.DRIVER_NOT_LOADED),
            driver_files=hosts.driver_files(
                module_for_this_kernel=Known(None), other_kernels=Known(("6.1.0-37-amd64",))
            ),
        ),
        FAIL,
        with_files(module_for_this_kernel=LOST),
    ),
    "GPU022": Case(
        GOOD,
        host(
            nvidia=hosts.without_nvml(NvidiaState.DRIVER_NOT_LOADED),
            driver_files=hosts.driver_files(secure_boot=hosts.YES, module_is_signed=hosts.NO),
        ),
        FAIL,
        with_files(secure_boot=hosts.YES, module_is_signed=LOST),
    ),
    "GPU023": Case(GOOD, with_files(library_version=Known("580.95.05")), FAIL, with_files(library_version=LOST)),
    "GPU024": Case(
        GOOD,
        with_files(device_nodes=Known((DeviceNode(path="/dev/nvidia0", mode="0666", group="root", usable=True),))),
        WARN,
        with_files(device_nodes=LOST),
    ),
    "GPU025": Case(
        GOOD,
        host(
            nvidia=nvidia(
                gpu(compute_capability=Known("12.0")), driver=Known(Driver(version="550.90.07", cuda=Known("12.4")))
            )
        ),
        WARN,
        cards_unknown({"compute_capability": LOST}),
    ),
    "GPU026": Case(
        host(gpu_sources=(seen("nvidia-smi", driver="580.178.04"), seen("lspci"))),
        host(gpu_sources=(seen("nvidia-smi"), seen("lspci", cards=2))),
        WARN,
        host(gpu_sources=(GpuSource(name="nvidia-smi", cards=LOST),)),
    ),
    "GPU027": Case(
        GOOD,
        with_gpu(power=Power(limit_watts=Known(200.0), default_limit_watts=Known(350.0))),
        WARN,
        cards_unknown({"power": Power()}),
    ),
    "GPU028": Case(with_other(), with_other(kfd_usable=hosts.NO), WARN, with_other(kfd_usable=LOST)),
    "GPU029": Case(with_other(), with_other(rocm_version=Known(None)), WARN, with_other(rocm_version=LOST)),
    "GPU030": Case(with_other(), with_other(), Status.OK, with_other(memory_bytes=LOST)),
}
