"""The sandbox of a unit: one row per directive, since which systemd it is known, and which engines live with it.

A directive newer than the host's systemd is left out: older ones print a warning for it and ignore it. `since` is from
systemd's NEWS. What each engine bears was tried with llama-server b11669 on systemd 252, 257 and 262; rows that only
weaken the sandbox for vLLM and SGLang follow their need of run-time code (Triton, torch.compile) and of `getifaddrs` (NCCL).
Ollama's llama-server bears what llama.cpp's does, also on CUDA and ROCm (nixpkgs, nixos/modules/services/misc/ollama.nix);
it reads /proc/meminfo. Memory nodes are set by systemd itself before the sandbox is closed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from llmops.domain.deployment import Deployment


def _every(_one: Deployment) -> bool:
    return True


def _compiled_before(one: Deployment) -> bool:
    return not one.compiles()


def _compiles(one: Deployment) -> bool:
    return one.compiles()


def _cpu_llama_cpp(one: Deployment) -> bool:
    return one.is_llama_cpp() and one.device_kind is None


def _not_cpu_llama_cpp(one: Deployment) -> bool:
    return not _cpu_llama_cpp(one)


def _gpu(one: Deployment) -> bool:
    return one.device_kind is not None


def _no_gpu(one: Deployment) -> bool:
    return one.device_kind is None


@dataclass(frozen=True, slots=True)
class Directive:
    """`key=value` of `[Service]`, known since systemd `since`, for the deployments `applies` says."""

    key: str
    value: str
    since: int = 0
    applies: Callable[[Deployment], bool] = _every

    def line(self) -> str:
        """As in the unit."""
        return f"{self.key}={self.value}"


DIRECTIVES: tuple[Directive, ...] = (
    Directive("CapabilityBoundingSet", ""),
    Directive("AmbientCapabilities", ""),
    Directive("NoNewPrivileges", "yes"),
    Directive("PrivateTmp", "yes"),
    Directive("PrivateUsers", "yes", 232),
    Directive("PrivateIPC", "yes", 248),
    Directive("PrivateMounts", "yes", 239),
    Directive("PrivateDevices", "yes", 209, _no_gpu),
    Directive("PrivateDevices", "no", 209, _gpu),
    Directive("DevicePolicy", "closed"),
    Directive("ProtectSystem", "strict", 232),
    Directive("ProtectHome", "yes"),
    Directive("ProtectProc", "invisible", 247),
    Directive("ProcSubset", "pid", 247, _cpu_llama_cpp),
    Directive("ProcSubset", "all", 247, _not_cpu_llama_cpp),
    Directive("ProtectClock", "yes", 245),
    Directive("ProtectControlGroups", "yes", 232),
    Directive("ProtectHostname", "yes", 242),
    Directive("ProtectKernelLogs", "yes", 244),
    Directive("ProtectKernelModules", "yes", 232),
    Directive("ProtectKernelTunables", "yes", 232),
    Directive("LockPersonality", "yes", 235),
    Directive("MemoryDenyWriteExecute", "yes", 231, _compiled_before),
    Directive("MemoryDenyWriteExecute", "no", 231, _compiles),
    Directive("RemoveIPC", "yes", 232),
    Directive("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX", 0, _compiled_before),
    Directive("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX AF_NETLINK", 0, _compiles),
    Directive("RestrictNamespaces", "yes", 233),
    Directive("RestrictRealtime", "yes", 231),
    Directive("RestrictSUIDSGID", "yes", 242),
    Directive("KeyringMode", "private", 235),
    Directive("SystemCallArchitectures", "native"),
    Directive("SystemCallFilter", "@system-service", 231),
    Directive("SystemCallFilter", "~@privileged", 231),
    Directive("SystemCallErrorNumber", "EPERM"),
    Directive("IPAddressDeny", "any", 235),
    Directive("IPAddressAllow", "localhost", 235),
)

RESTART_STEPS_SINCE = 254
"""RestartSteps= and RestartMaxDelaySec=: each without the other is ignored."""


NUMA_SINCE = 243
"""NUMAPolicy= and NUMAMask= (systemd NEWS); CPUAffinity= is older than all that is supported."""


def sandbox(deployment: Deployment, *, systemd_version: int) -> tuple[str, ...]:
    """The sandbox lines of one unit, and the devices it may open."""
    lines: list[str] = []
    for row in DIRECTIVES:
        if row.since <= systemd_version and row.applies(deployment):
            lines.append(row.line())
            lines += [f"DeviceAllow={node} rw" for node in deployment.device_nodes] if row.key == "DevicePolicy" else []
    return tuple(lines)
