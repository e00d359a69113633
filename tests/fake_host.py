"""Make a fake host for `doctor`: a root directory (proc, sys, dev, etc) and a bin directory with stand-in tools.

  fake_host.py DIR --state ok          then: PATH=DIR/bin:$PATH and read DIR/root/proc/meminfo instead of /proc/meminfo
  fake_host.py --list                  the states

States: ok (two GPUs, driver 570), mismatch (library newer than the kernel module), nouveau, no-module, xid79 (GPU lost),
xid48 (double-bit ECC error), throttled (PCIe x4 link, swap in use, swappiness 60), amd (rocm-smi), amd-low-power (a warning
line before the JSON), none (no GPU, no tools), hang (nvidia-smi never answers), noise (nvidia-smi prints junk).
The texts follow the formats of the real tools; the values are made up. Standard library only.
"""

# ruff: noqa: E501, T201, C901 - tables of what programs print, and a script of its own
from __future__ import annotations

import argparse
import json
from pathlib import Path

STATES = [
    "ok",
    "mismatch",
    "nouveau",
    "no-module",
    "xid79",
    "xid48",
    "throttled",
    "amd",
    "amd-low-power",
    "none",
    "hang",
    "noise",
]
DRIVER = "570.124.06"


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("dir", type=Path, nargs="?")
    p.add_argument("--state", choices=STATES, default="ok")
    p.add_argument("--gpus", type=int, default=2)
    p.add_argument("--list", action="store_true")
    a = p.parse_args()
    if a.list or a.dir is None:
        print(*STATES, sep="\n")
        return
    root, tools = a.dir / "root", a.dir / "bin"
    amd, nvidia = a.state.startswith("amd"), a.state not in ("none", "amd", "amd-low-power")
    loaded = nvidia and a.state not in ("nouveau", "no-module")

    def put(path: str, text: str) -> None:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def tool(name: str, stdout: str = "", code: int = 0, stderr: str = "", first: str = "") -> None:
        tools.mkdir(parents=True, exist_ok=True)
        (tools / f"{name}.out").write_text(stdout)
        (tools / f"{name}.err").write_text(stderr)
        (tools / name).write_text(
            f'#!/bin/sh\n{first}\nd=$(dirname "$0"); cat "$d/{name}.err" >&2; cat "$d/{name}.out"; exit {code}\n'
        )
        (tools / name).chmod(0o755)

    used = 3 << 20 if a.state == "throttled" else 0
    put(
        "proc/meminfo",
        f"MemTotal:       263842816 kB\nMemFree:        210123456 kB\nMemAvailable:   251234567 kB\nBuffers:          123456 kB\n"
        f"Cached:         40123456 kB\nSwapTotal:       8388604 kB\nSwapFree:        {8388604 - used} kB\nHugePages_Total:       0\nHugepagesize:       2048 kB\n",
    )
    put(
        "proc/swaps",
        "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
        + f"/swap.img                               file\t\t8388604\t\t{used}\t\t-2\n",
    )
    put(
        "proc/cpuinfo",
        "".join(
            f"processor\t: {i}\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 9354 32-Core Processor\nphysical id\t: 0\ncore id\t\t: {i // 2}\n"
            "flags\t\t: fpu sse4_2 avx avx2 f16c fma avx512f\n\n"
            for i in range(4)
        ),
    )
    put("proc/sys/vm/swappiness", "60\n" if a.state == "throttled" else "10\n")
    put("proc/sys/vm/overcommit_memory", "0\n")
    put("proc/sys/kernel/osrelease", "6.8.0-60-generic\n")
    put(
        "proc/modules",
        "".join(
            f"{m} 123456 0 - Live 0x0000000000000000\n"
            for m in (
                ["nvidia_uvm", "nvidia_drm", "nvidia_modeset", "nvidia"]
                if loaded
                else ["nouveau"]
                if a.state == "nouveau"
                else ["amdgpu"]
                if amd
                else []
            )
        ),
    )
    put("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n")
    put("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma misc\n")
    put(
        "etc/os-release",
        'NAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian\nPRETTY_NAME="Ubuntu 24.04.2 LTS"\n',
    )
    if loaded:
        put(
            "proc/driver/nvidia/version",
            f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {DRIVER}  Release Build  (builder@host)  Mon Feb 24 12:00:00 UTC 2025\n"
            "GCC version:  gcc version 13.3.0 (Ubuntu 13.3.0-6ubuntu2~24.04)\n",
        )
        put("sys/module/nvidia/version", DRIVER + "\n")
        for node in ["nvidiactl", "nvidia-uvm", *(f"nvidia{i}" for i in range(a.gpus))]:
            put(f"dev/{node}", "")
    lines = []
    for i in range(a.gpus if nvidia or amd else 0):
        bus = f"0000:{i + 1:02x}:00.0"
        vendor, device, text = (
            (
                "0x1002",
                "0x744c",
                "Advanced Micro Devices, Inc. [AMD/ATI] Navi 31 [Radeon RX 7900 XT/7900 XTX] [1002:744c] (rev c8)",
            )
            if amd
            else ("0x10de", "0x2684", "NVIDIA Corporation AD102 [GeForce RTX 4090] [10de:2684] (rev a1)")
        )
        width = 4 if a.state == "throttled" and i == 1 else 16
        for k, v in {
            "vendor": vendor,
            "device": device,
            "class": "0x030000",
            "numa_node": "0",
            "current_link_width": str(width),
            "max_link_width": "16",
            "current_link_speed": "2.5 GT/s PCIe",
            "max_link_speed": "16.0 GT/s PCIe",
        }.items():
            put(f"sys/bus/pci/devices/{bus}/{k}", v + "\n")
        lines.append(f"{bus[5:]} VGA compatible controller [0300]: {text}")
        if amd:
            put(f"sys/class/drm/card{i}/device/mem_info_vram_total", "25753026560\n")
            put(f"sys/class/drm/card{i}/device/mem_info_vram_used", "27262976\n")
    tool(
        "lspci",
        "00:00.0 Host bridge [0600]: Advanced Micro Devices, Inc. [AMD] Device [1022:14a4]\n" + "\n".join(lines) + "\n",
    )
    kernel = ["[    0.000000] Linux version 6.8.0-60-generic (buildd@host) (x86_64-linux-gnu-gcc-13)"]
    if loaded:
        kernel.append(
            f"[    9.123456] NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  {DRIVER}  Release Build"
        )
    if a.state == "mismatch":
        kernel.append(
            f"[86400.100000] NVRM: API mismatch: the client has the version 570.133.20, but\n               NVRM: this kernel module has the version {DRIVER}.  Please\n"
            "               NVRM: make sure that this kernel module and all NVIDIA driver\n               NVRM: components have the same version."
        )
    if a.state == "xid79":
        kernel.append(
            "[123456.789012] NVRM: Xid (PCI:0000:02:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
        )
    if a.state == "xid48":
        kernel.append(
            "[123456.789012] NVRM: Xid (PCI:0000:01:00): 48, pid=4242, name=llama-server, An uncorrectable double bit error (DBE) has been detected on GPU"
        )
    tool("dmesg", "\n".join(kernel) + "\n")
    if a.state == "mismatch":
        tool(
            "nvidia-smi",
            "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 570.133\n",
            18,
        )
    elif a.state in ("nouveau", "no-module"):
        tool(
            "nvidia-smi",
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\n\n",
            9,
        )
    elif a.state == "xid79":
        tool("nvidia-smi", "Unable to determine the device handle for GPU1: 0000:02:00.0: Unknown Error\n", 255)
    elif a.state == "hang":
        tool("nvidia-smi", first="sleep 3600")
    elif a.state == "noise":
        tool("nvidia-smi", "\x00\xff<?xml bad\n".encode("latin-1").decode("latin-1"))
    elif nvidia:
        # for --query-gpu=index,name,uuid,memory.total,memory.used,driver_version,compute_cap --format=csv,noheader,nounits
        tool(
            "nvidia-smi",
            "".join(
                f"{i}, NVIDIA GeForce RTX 4090, GPU-00000000-0000-4000-8000-{i:012x}, 24564, 1, {DRIVER}, 8.9\n"
                for i in range(a.gpus)
            ),
        )
    if amd:
        card = {
            "Card Series": "Radeon RX 7900 XTX",
            "Card Model": "0x744c",
            "Card Vendor": "Advanced Micro Devices, Inc. [AMD/ATI]",
            "GFX Version": "gfx1100",
            "VRAM Total Memory (B)": "25753026560",
            "VRAM Total Used Memory (B)": "27262976",
            "GPU use (%)": "0",
            "Temperature (Sensor edge) (C)": "41.0",
        }
        warning = (
            "WARNING: AMD GPU device(s) is/are in a low-power state. Check power control/runtime_status\n\n"
            if a.state == "amd-low-power"
            else ""
        )
        tool(
            "rocm-smi",
            warning
            + json.dumps({f"card{i}": card for i in range(a.gpus)} | {"system": {"Driver version": "6.12.12"}})
            + "\n",
        )
    print(f"root: {root}\nPATH: {tools}")


if __name__ == "__main__":
    main()
