"""A box for tests, made by hand of domain types: a workstation with one RTX 4090, as `doctor` reads it."""

from llmops.domain.host import (
    Container,
    Cpu,
    Disk,
    Driver,
    Gpu,
    HostFacts,
    Listener,
    Memory,
    Nvidia,
    NvidiaState,
    System,
    Tool,
)
from llmops.domain.reading import Known, Unknown
from llmops.domain.units import GIB, MIB

GPU = Gpu(
    index=0,
    vendor="nvidia",
    name=Known("NVIDIA GeForce RTX 4090"),
    uuid=Known("GPU-5d6a1c2e-8f0b-4c1d-9e77-3a1b2c3d4e5f"),
    memory_bytes=Known(24564 * MIB),
    free_bytes=Known(23000 * MIB),
    reserved_bytes=Known(400 * MIB),
    compute_capability=Known("8.9"),
    mig_enabled=Known(False),
    ecc_errors=Unknown("not supported"),
    temperature_celsius=Known(41),
    processes=Known(()),
)
MEMORY = Memory(total_bytes=64 * GIB, available_bytes=60 * GIB, limit_bytes=Known(None), swaps=Known(()))
FACTS = HostFacts(
    system=System(
        os_id="debian",
        os_version="12",
        os_name="Debian GNU/Linux 12 (bookworm)",
        kernel="6.1.0-40-amd64",
        systemd_version=Known(252),
        systemd_is_running=True,
        container=Known(Container.NONE),
        is_wsl=False,
        is_root=False,
        python_version="3.11.2",
    ),
    cpu=Known(
        Cpu(
            model="AMD Ryzen 9 7950X",
            architecture="x86_64",
            physical_cores=Known(16),
            threads=32,
            numa_nodes=Known(1),
            vector_extensions=("avx2", "avx512f"),
        )
    ),
    memory=Known(MEMORY),
    disks=Known(
        (
            Disk(
                path="/var/lib/llmops",
                mount="/",
                filesystem="ext4",
                total_bytes=900 * GIB,
                free_bytes=500 * GIB,
                free_inodes=10,
                read_only=False,
            ),
        )
    ),
    nvidia=Nvidia(
        state=NvidiaState.READY,
        detail="",
        driver=Known(Driver(version="570.86.15", cuda=Known("12.8"))),
        gpus=(GPU,),
    ),
    tools=(Tool(name="nginx", path="/usr/sbin/nginx", version=Known("1.22.1")),),
    listeners=Known((Listener(address="127.0.0.1", port=22, program=Unknown("not root")),)),
)
