"""What a deployment meets on a host beside its hardware: clock, hub, proxies, firewall, accounts, limits, web servers."""

from dataclasses import field
from enum import StrEnum

from llmops.domain.reading import NOT_ASKED, Known, Unknown
from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Whether the kernel's clock is kept right, and how far off it may be; `kept_by` is the daemon that runs, if one is seen."""

    synchronized: Known[bool] | Unknown = NOT_ASKED
    error_seconds: Known[float] | Unknown = NOT_ASKED
    kept_by: Known[str | None] | Unknown = NOT_ASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """The model hub as this host sees it: `status` is its answer's, None where none came, and `trouble` says why."""

    endpoint: str
    resolves: Known[bool] | Unknown
    status: int | None
    seconds: float
    trouble: str | None = None
    through_proxy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyVariable:
    """A proxy named in the environment; user and password are never kept, only that there were some."""

    name: str
    value: str
    has_credentials: bool


class FirewallTool(StrEnum):
    """Who rules."""

    NFTABLES = "nftables"
    IPTABLES = "iptables"
    UFW = "ufw"
    FIREWALLD = "firewalld"


@dataclass(frozen=True, slots=True, kw_only=True)
class Firewall:
    """One firewall: whether it is on, what becomes of packets no rule names ("accept", "drop"), how many rules it has."""

    tool: FirewallTool
    active: Known[bool] | Unknown
    input_policy: Known[str | None] | Unknown = NOT_ASKED
    rules: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user of this host that a deployment runs as, or would: None of `uid` means that there is none of the name."""

    name: str
    uid: int | None
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group that opens devices or sockets; None of `gid` means that there is none."""

    name: str
    gid: int | None
    members: tuple[str, ...] = ()
    has_this_user: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLimits:
    """Open files: this process's limits, the most a unit may ask for (`fs.nr_open`), the host's (`fs.file-max`)."""

    soft: int
    hard: int
    most_per_process: Known[int] | Unknown = NOT_ASKED
    most_of_host: Known[int] | Unknown = NOT_ASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServer:
    """nginx or HAProxy as it was built: modules by their configure names or files ("http_ssl", "http_js"), TLS library."""

    name: str
    path: str
    version: Known[str] | Unknown
    modules: Known[tuple[str, ...]] | Unknown
    tls: Known[str | None] | Unknown = NOT_ASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """All of it. `cgroup_version` is 1 where any controller is bound to version 1, None without control groups."""

    cgroup_version: Known[int | None] | Unknown = NOT_ASKED
    clock: Clock = field(default_factory=Clock)
    hub: Known[Hub] | Unknown = NOT_ASKED
    proxies: Known[tuple[ProxyVariable, ...]] | Unknown = NOT_ASKED
    firewalls: Known[tuple[Firewall, ...]] | Unknown = NOT_ASKED
    accounts: Known[tuple[Account, ...]] | Unknown = NOT_ASKED
    groups: Known[tuple[Group, ...]] | Unknown = NOT_ASKED
    files: Known[FileLimits] | Unknown = NOT_ASKED
    web_servers: Known[tuple[WebServer, ...]] | Unknown = NOT_ASKED
