"""Cases of the checks of engines, containers, CUDA and programs: one host each that is well, spoiled, unknown."""

from dataclasses import replace

import hosts
from hosts import LOST, gpu, host, nvidia, tool, with_tool
from spoiled_hosts import (
    GOOD,
    SPEC,
    WARN,
    Case,
    with_containers,
    with_engine,
)

from llmops.domain.gpu_software import (
    Cuda,
    Found,
    Python,
)
from llmops.domain.host import (
    Driver,
)
from llmops.domain.reading import Known

CASES = {
    "CUD001": Case(GOOD, host(cuda=Cuda(nvcc_on_path=Known("14.0"))), WARN, host(cuda=Cuda(nvcc_on_path=LOST))),
    "CTR001": Case(GOOD, with_containers(toolkit_version=Known(None)), WARN, with_containers(toolkit_version=LOST)),
    "CTR002": Case(GOOD, with_containers(toolkit_version=Known("1.17.7")), WARN, with_containers(toolkit_version=LOST)),
    "CTR003": Case(
        with_containers(cdi_specs=Known((SPEC,))),
        with_containers(cdi_specs=Known((replace(SPEC, missing=("/usr/lib/libcuda.so.570.1",)),))),
        WARN,
        with_containers(cdi_specs=LOST),
    ),
    "CTR004": Case(
        GOOD,
        with_containers(hosts.docker(runtimes=Known(("runc",)), cdi=hosts.NO)),
        WARN,
        with_containers(hosts.docker(answers=LOST)),
    ),
    "ENG004": Case(
        GOOD,
        host(
            engines=Known(
                (replace(hosts.ENGINES[0], name="vllm", found=Found.VENV, where="/opt/vllm", version=Known("0.33.0")),)
            ),
            nvidia=nvidia(gpu(), driver=Known(Driver(version="570.211.01", cuda=Known("12.8")))),
        ),
        WARN,
        host(nvidia=nvidia(gpu(), driver=LOST)),
    ),
    "ENG005": Case(GOOD, with_engine(backends=Known(("cpu",))), WARN, with_engine(backends=LOST)),
    "ENG006": Case(
        GOOD,
        host(pythons=Known((Python(path="/usr/bin/python3", version=Known("3.9.2"), venv=hosts.YES),))),
        WARN,
        host(pythons=LOST),
    ),
    "ENG001": Case(
        GOOD, host(tools=(), engines=Known(())), WARN, host(tools=with_tool(tool("llama-server")), engines=Known(()))
    ),
    "ENG002": Case(
        GOOD, host(tools=with_tool(tool("llama-server", "b4500"))), WARN, host(tools=with_tool(tool("llama-server")))
    ),
    "ENG003": Case(
        GOOD, host(tools=with_tool(tool("llama-server", "b9000"))), WARN, host(tools=with_tool(tool("llama-server")))
    ),
    "CON001": Case(GOOD, host(tools=with_tool(tool("nginx", path=None))), WARN, host(tools=with_tool(tool("nginx")))),
    "CON002": Case(GOOD, host(tools=with_tool(tool("systemd-analyze", path=None))), WARN, host(tools=())),
    "CON003": Case(
        GOOD,
        host(tools=(tool("docker compose", path=None), tool("docker-compose", "1.29.2"))),
        WARN,
        host(tools=with_tool(tool("docker compose"))),
    ),
}
