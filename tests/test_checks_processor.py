"""How many threads an engine is told to start: the physical cores of the node that its card or its weights are on."""

from dataclasses import replace

import hosts
import pytest
from hosts import cpu, gpu, host, kernel_side, memory, nvidia
from spoiled_hosts import finding

from llmops.domain.finding import Status
from llmops.domain.host import HostFacts, NvidiaState
from llmops.domain.host_memory import NumaNode
from llmops.domain.reading import Known
from llmops.domain.units import GIB


def with_nodes(*threads: str, cores: int, card_at: int | None = None) -> HostFacts:
    nodes = tuple(
        NumaNode(index=at, total_bytes=64 * GIB, free_bytes=60 * GIB, threads=one) for at, one in enumerate(threads)
    )
    facts = host(
        cpu=Known(cpu(physical_cores=Known(cores), numa_nodes=Known(sum(bool(one) for one in threads)))),
        memory=Known(memory(numa_nodes=Known(nodes))),
    )
    if card_at is not None:
        return replace(facts, nvidia=nvidia(gpu(numa_node=Known(card_at))))
    none = hosts.without_nvml(NvidiaState.LIBRARY_ABSENT)
    return replace(facts, nvidia=none, kernel_side=Known(kernel_side(modules=(), nvidia_version=None)))


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (
            with_nodes("0-15,32-47", "16-31,48-63", cores=32, card_at=1),
            "`--threads 16` on node 1, where the first card is",
        ),
        (
            with_nodes("0-15,32-47", "16-31,48-63", cores=32, card_at=0),
            "`--threads 16` on node 0, where the first card is",
        ),
        (with_nodes("0-47", "48-63", cores=32, card_at=1), "`--threads 8` on node 1"),  # nodes of unlike size
        (with_nodes("0-31", "32-63", "", cores=64, card_at=2), "`--threads 32` on node 0, the one with most cores"),
        (with_nodes("0-63", cores=32, card_at=0), "32 cores: `--threads 32`"),
    ],
)
def test_threads_are_the_physical_cores_of_the_cards_node(facts: HostFacts, words: str) -> None:
    found = finding("CPU004", facts)
    assert found.status is Status.OK
    assert words in found.message


def test_a_host_of_several_nodes_without_a_card_is_told_the_line_for_one_of_them() -> None:
    found = finding("CPU002", with_nodes("0-15", "16-63", cores=32))
    assert found.status is Status.WARN
    assert "numactl --cpunodebind=1 --membind=1 llama-server --threads 24" in (found.fix or "")


def test_where_the_nodes_are_not_told_no_node_is_named() -> None:
    facts = replace(with_nodes("0-15", "16-63", cores=32), memory=Known(memory()))
    fix = finding("CPU002", facts).fix or ""
    assert "--threads" not in fix
    assert "`--threads 32`" in finding("CPU004", facts).message
