"""The real programs that read what llmops writes: how each is found and which Debian packages bring it.

The tests ask `missing()`; `scripts/test` asks this file as a program, so that what is installed and what is asked for cannot
differ: `python3 tests/consumers.py packages` prints the packages of what is missing, `missing` the sentences for a person.
Standard library only: it runs before anything is installed.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Consumer(NamedTuple):
    """One program. `packages` empty: not a package of Debian 12, `how` says what brings it; `files`: one must be there too.

    `tool`: a file below the tools directory that must be there as well.
    """

    name: str
    program: str
    packages: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    how: str = ""
    tool: str = ""

    def advice(self) -> str:
        """What to type to get it on Debian 12."""
        return self.how or f"apt-get install {' '.join(self.packages)}"


CONSUMERS: dict[str, Consumer] = {
    one.name: one
    for one in (
        Consumer("nginx", "nginx", ("nginx-light",)),
        Consumer(
            "nginx-njs",
            "nginx",
            ("nginx-light", "libnginx-mod-http-js"),
            (
                "/usr/lib/nginx/modules/ngx_http_js_module.so",
                "/usr/lib/x86_64-linux-gnu/nginx/modules/ngx_http_js_module.so",
            ),
        ),
        Consumer("haproxy", "haproxy", ("haproxy",)),
        Consumer("promtool", "promtool", ("prometheus",)),
        Consumer("logrotate", "logrotate", ("logrotate",)),
        Consumer("fio", "fio", ("fio",)),
        Consumer("sysctl", "sysctl", ("procps",)),
        Consumer("mkswap", "mkswap", ("util-linux",)),
        Consumer("systemd-analyze", "systemd-analyze", ("systemd",)),
        Consumer("systemd-analyze-trixie", "systemd-analyze-trixie", how="scripts/get-systemd .cache/tools"),
        Consumer("systemd-analyze-forky", "systemd-analyze-forky", how="scripts/get-systemd .cache/tools"),
        Consumer("openssl", "openssl", ("openssl",)),
        Consumer("curl", "curl", ("curl", "ca-certificates")),
        Consumer("cc", "cc", ("gcc", "libc6-dev")),
        Consumer("git", "git", ("git",)),
        Consumer("matchpathcon", "matchpathcon", ("selinux-utils",)),
        Consumer("faketime", "faketime", ("faketime",)),
        Consumer("shellcheck", "shellcheck", ("shellcheck",)),
        Consumer("minisign", "minisign", ("minisign",)),
        Consumer("ssh-keygen", "ssh-keygen", ("openssh-client",)),
        Consumer("zstd", "zstd", ("zstd", "tar")),
        Consumer("openai-node", "openai-node", how="scripts/get-openai-node .cache/tools (node 20 or newer, npm)"),
        Consumer("mmdebstrap", "mmdebstrap", ("mmdebstrap",)),
        Consumer("box", "unshare", how="scripts/get-box .cache/tools (as root)", tool="box/.ready"),
        Consumer("docker-compose", "docker-compose", how="scripts/get-docker-compose .cache/tools"),
        Consumer("llama-server", "llama-server", how="scripts/get-llama-server .cache/tools"),
    )
}


def tools_directory(environment: Mapping[str, str]) -> Path:
    """Where `scripts/test` puts the programs that are no packages of Debian 12; their `bin` holds them."""
    return Path(environment.get("LLMOPS_TEST_TOOLS") or ROOT / ".cache" / "tools").absolute()


def search_path(environment: Mapping[str, str]) -> str:
    """The PATH to look along: the tools directory, then what is set, then where Debian keeps servers."""
    given = environment.get("PATH", os.defpath)
    return os.pathsep.join([str(tools_directory(environment) / "bin"), given, "/usr/sbin", "/sbin"])


def find(name: str, environment: Mapping[str, str]) -> Path | None:
    """The program of consumer `name`, or None. Raises KeyError for a name that is not in the table."""
    consumer = CONSUMERS[name]
    program = shutil.which(consumer.program, path=search_path(environment))
    if program is None or (consumer.files and not any(Path(file).exists() for file in consumer.files)):
        return None
    if consumer.tool and not (tools_directory(environment) / consumer.tool).exists():
        return None
    return Path(program)


def missing(environment: Mapping[str, str]) -> tuple[Consumer, ...]:
    """The consumers that are not here."""
    return tuple(one for one in CONSUMERS.values() if find(one.name, environment) is None)


def main(arguments: list[str]) -> int:
    """`packages` or `missing`."""
    absent = missing(os.environ)
    if arguments == ["packages"]:
        for package in sorted({package for one in absent for package in one.packages}):
            print(package)
    elif arguments == ["missing"]:
        for one in absent:
            print(f"{one.name}: {one.advice()}")
    else:
        print("usage: consumers.py packages|missing", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
