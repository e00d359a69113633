"""CPU: what computes where no card does."""

from llmops.checks.check import Check, Judgement, ok, unknown, warn
from llmops.domain.host import HostFacts, NvidiaState
from llmops.domain.reading import Known, Unknown, known

WANTED = {"x86_64": ("avx2", "fma", "f16c"), "aarch64": ("asimd", "asimddp")}
"""Without these llama.cpp's CPU backend falls to scalar or SSE code (ggml/src/ggml-cpu)."""


def vector_extensions_are_there(host: HostFacts) -> Judgement:
    """AVX2 with FMA and F16C on x86-64, dot products on arm64."""
    if isinstance(host.cpu, Unknown):
        return unknown(host.cpu, "processor")
    cpu = host.cpu.value
    wanted = WANTED.get(cpu.architecture)
    if wanted is None:
        return unknown(Unknown(f"no engine build is known for {cpu.architecture}"), "vector extensions")
    if not cpu.vector_extensions:
        return unknown(Unknown("/proc/cpuinfo lists none"), "vector extensions")
    missing = [name for name in wanted if name not in cpu.vector_extensions]
    if missing:
        return warn(f"{cpu.model} lacks {', '.join(missing)}: inference on it is slow")
    return ok(" ".join(cpu.vector_extensions))


def node_to_bind(host: HostFacts) -> tuple[int, int] | None:
    """Of several nodes the first card's, else the one with most cores, and how many physical cores are its own.

    The kernel tells cores of the host and threads of a node: a node has its part of the cores by its part of the threads.
    """
    cores = known(host.cpu.value.physical_cores) if isinstance(host.cpu, Known) else None
    memory = known(host.memory)
    nodes = known(memory.numa_nodes) if memory is not None else None
    threads = {node.index: count for node in nodes or () if (count := node.thread_count())}
    if cores is None or len(threads) < 2:
        return None
    of_cards = [node for gpu in host.nvidia.gpus if (node := known(gpu.numa_node)) in threads and node is not None]
    node = of_cards[0] if of_cards else max(threads, key=lambda index: (threads[index], -index))
    return node, max(1, cores * threads[node] // sum(threads.values()))


def memory_is_near_every_core(host: HostFacts) -> Judgement:
    """One NUMA node, or cards that do the work."""
    if isinstance(host.cpu, Unknown):
        return unknown(host.cpu, "processor")
    nodes = host.cpu.value.numa_nodes
    if isinstance(nodes, Unknown):
        return unknown(nodes, "NUMA nodes")
    if nodes.value <= 1:
        return ok("one NUMA node")
    if host.nvidia.state is NvidiaState.READY:
        return ok(f"{nodes.value} NUMA nodes: of weight only for layers left to the CPU")
    nearest = node_to_bind(host)
    fix = None
    if nearest is not None:
        node, cores = nearest
        fix = (
            f"one node: `numactl --cpunodebind={node} --membind={node} llama-server --threads {cores} …` where the model fits "
            "in its memory; all of them: llama.cpp's `--numa distribute`"
        )
    return warn(f"{nodes.value} NUMA nodes: inference across them waits for far memory", fix)


def every_thread_may_be_used(host: HostFacts) -> Judgement:
    """No control group grants less time than there are threads."""
    if isinstance(host.cpu, Unknown):
        return unknown(host.cpu, "processor")
    quota, threads = host.cpu.value.quota_threads, host.cpu.value.threads
    if isinstance(quota, Unknown):
        return unknown(quota, "CPU limit")
    if quota.value is not None and quota.value < threads:
        return warn(
            f"a control group grants the time of {quota.value:g} of {threads} threads",
            f"start engines with `--threads {max(1, int(quota.value))}`, or lift the limit",
        )
    return ok(f"{threads} threads, no limit on their time")


def every_core_may_be_used(host: HostFacts) -> Judgement:
    """The threads that are usable reach every physical core: that many compute fastest, a second thread of a core only waits."""
    if isinstance(host.cpu, Unknown):
        return unknown(host.cpu, "processor")
    cpu = host.cpu.value
    if isinstance(cpu.physical_cores, Unknown):
        return unknown(cpu.physical_cores, "physical cores")
    cores = cpu.physical_cores.value
    if cpu.threads < cores:
        return warn(
            f"this process may use {cpu.threads} threads of {cores} cores (affinity or cpuset)",
            f"start engines with `--threads {cpu.threads}`, or lift the restriction: `taskset -pc $$`, `AllowedCPUs=`",
        )
    nearest = node_to_bind(host)
    if nearest is not None and host.nvidia.state is NvidiaState.READY:
        node, own = nearest
        near = any(gpu.numa_node == Known(node) for gpu in host.nvidia.gpus)
        whose = "where the first card is" if near else "the one with most cores"
        return ok(f"of {cores} cores, `--threads {own}` on node {node}, {whose}: `numactl --cpunodebind={node}`")
    return ok(f"{cores} cores: `--threads {cores}`")


CHECKS = (
    Check(
        code="CPU001",
        title="The processor has the vector extensions engines are built for",
        judge=vector_extensions_are_there,
        why="Layers on the CPU use them. Some virtual machines hide them although the processor has them.",
        fix="in a virtual machine choose the host's CPU model (`host-passthrough`); else plan for a card",
        source="llama.cpp, ggml/src/ggml-cpu/CMakeLists.txt",
    ),
    Check(
        code="CPU002",
        title="Memory is near every core",
        judge=memory_is_near_every_core,
        why="Weights are read once per token; from another socket's memory that is markedly slower.",
        fix="bind the engine to one node: `numactl --cpunodebind=0 --membind=0`, or llama.cpp's `--numa distribute`",
        source="llama.cpp, --numa; Linux, Documentation/admin-guide/mm/numa_memory_policy.rst",
    ),
    Check(
        code="CPU003",
        title="Every thread may be used",
        judge=every_thread_may_be_used,
        why="An engine starts as many threads as it sees; where their time is limited they wait for each other at every layer.",
        fix="set the engine's threads to what is granted, or lift the limit",
        source="Linux, Documentation/admin-guide/cgroup-v2.rst, cpu.max",
    ),
    Check(
        code="CPU004",
        title="Every physical core may be used",
        judge=every_core_may_be_used,
        why="Layers on the CPU run fastest with one thread a physical core, on the node their weights lie on. OMP_NUM_THREADS "
        "does not set llama.cpp's threads; `--threads` does.",
        fix="lift the affinity, or set `--threads` to what is there",
        source="llama.cpp, --threads; sched_getaffinity(2)",
    ),
)
