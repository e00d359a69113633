"""Addresses on the PCI bus: NVML, nvidia-smi, the kernel's log, lspci and sysfs each write them in their own way."""

import re

_ADDRESS = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([0-9a-f]{2})(?:\.([0-7]))?", re.ASCII | re.IGNORECASE)


def address(text: str) -> str | None:
    """`0000:01:00.0` as in sysfs, of `00000000:01:00.0`, `0000:01:00`, `01:00.0` and the like; None of anything else."""
    match = _ADDRESS.fullmatch(text.strip())
    if match is None:
        return None
    domain, bus, device, function = match.groups()
    return f"{int(domain or '0', 16):04x}:{bus.lower()}:{device.lower()}.{function or '0'}"
