"""SYS, NET, OPN: clock, kernel, limits, hub, proxies; what strangers reach; certificates."""

from llmops.checks.check import Check, Judgement, ok, unknown, warn
from llmops.domain.engine_matrix import numbers
from llmops.domain.exposure import ListeningEngine
from llmops.domain.host import HostFacts
from llmops.domain.reading import Unknown, known

KERNEL_FLOOR = (4, 18)
OPEN_FILES = 65536
"""What rendered units ask for: LimitNOFILE=."""

CERTIFICATE_DAYS = 30
OFF_SECONDS = 1.0
LOCAL_NAMES = ("localhost", "127.0.0.1")


def kernel_is_new_enough(host: HostFacts) -> Judgement:
    """4.18 or newer."""
    have = numbers(host.system.kernel)
    if len(have) < 2:
        return unknown(Unknown(f"not a version: `{host.system.kernel[:40]}`"), "kernel")
    if have[:2] < KERNEL_FLOOR:
        return warn(f"Linux {host.system.kernel} is older than 4.18: limits and sandbox of rendered units do not hold")
    return ok(f"Linux {host.system.kernel}")


def control_groups_are_version_2(host: HostFacts) -> Judgement:
    """No controller is bound to version 1."""
    version = host.surroundings.cgroup_version
    if isinstance(version, Unknown):
        return unknown(version, "control groups")
    if version.value is None:
        return warn("no control groups: the memory limits of units do not hold")
    if version.value == 1:
        return warn("control groups of version 1: MemorySwapMax= and OOMPolicy=kill of rendered units do nothing")
    return ok("control groups of version 2")


def the_clock_is_right(host: HostFacts) -> Judgement:
    """The kernel says it is synchronized."""
    clock = host.surroundings.clock
    if isinstance(clock.synchronized, Unknown):
        return unknown(clock.synchronized, "clock")
    if clock.synchronized.value:
        return ok("the clock is kept right")
    keeper = known(clock.kept_by)
    by = f"; {keeper} runs" if keeper else "; nothing keeps it"
    fix = (
        "apt-get install systemd-timesyncd"
        if not keeper
        else f"`systemctl status {keeper}` says why it does not follow"
    )
    return warn(f"the clock is not synchronized{by}", fix)


def enough_files_may_be_open(host: HostFacts) -> Judgement:
    """fs.nr_open is at least what units ask for."""
    files = host.surroundings.files
    if isinstance(files, Unknown):
        return unknown(files, "open files")
    most = files.value.most_per_process
    if isinstance(most, Unknown):
        return unknown(most, "fs.nr_open")
    if most.value < OPEN_FILES:
        return warn(f"fs.nr_open is {most.value}: a unit with LimitNOFILE={OPEN_FILES} does not start")
    return ok(f"a unit may open {min(most.value, 1 << 30)} files")


def the_hub_can_be_reached(host: HostFacts) -> Judgement:
    """Its name resolves, and it answers."""
    hub = host.surroundings.hub
    if isinstance(hub, Unknown):
        return unknown(hub, "model hub")
    if hub.value.status is not None:
        return ok(f"{hub.value.endpoint} answered in {hub.value.seconds:.1f} s")
    if isinstance(hub.value.resolves, Unknown):
        return unknown(hub.value.resolves, hub.value.endpoint)
    why = hub.value.trouble or "no answer"
    return warn(f"{hub.value.endpoint} cannot be reached: {why}")


def proxies_leave_this_host_out(host: HostFacts) -> Judgement | None:
    """Where a proxy is set, no_proxy names this host: else health checks of an engine go to the proxy."""
    proxies = host.surroundings.proxies
    if isinstance(proxies, Unknown):
        return unknown(proxies, "proxy variables")
    by_name = {one.name.lower(): one.value for one in proxies.value}
    if not any(name in by_name for name in ("http_proxy", "https_proxy", "all_proxy")):
        return ok("no proxy is set")
    spared = {word.strip() for word in by_name.get("no_proxy", "").split(",")}
    if "*" not in spared and not spared.intersection(LOCAL_NAMES):
        return warn(
            "a proxy is set, and no_proxy does not leave this host out: requests to a local engine go to the proxy"
        )
    return ok("a proxy is set, and leaves this host out")


def no_engine_is_open_to_strangers(host: HostFacts) -> Judgement:
    """None listens beyond this host and answers without a key."""
    engines = host.exposure.engines
    if isinstance(engines, Unknown):
        return unknown(engines, "listening engines")
    outside = [one for one in engines.value if not one.loopback]
    open_ = [one for one in outside if known(one.keyless)]
    if open_:
        where = "; ".join(
            f"{_program(one)} on {'every interface' if one.everywhere else one.address}, port {one.port}"
            f"{', serves ' + one.models[0] if one.models else ''}"
            for one in open_
        )
        walls = [one.tool.value for one in known(host.surroundings.firewalls) or () if known(one.active)]
        behind = f" (a firewall is on: {', '.join(walls)})" if walls else ""
        return warn(f"anyone who reaches this host may use it without a key{behind}: {where}")
    unsure = next((one for one in outside if isinstance(one.keyless, Unknown)), None)
    if unsure is not None and isinstance(unsure.keyless, Unknown):
        return unknown(unsure.keyless, f"engine on port {unsure.port}")
    return ok("no engine answers strangers without a key")


def _program(engine: ListeningEngine) -> str:
    name = known(engine.program)
    return name or "an engine"


def certificates_last(host: HostFacts) -> Judgement | None:
    """Each for thirty days more."""
    certificates = host.exposure.certificates
    if isinstance(certificates, Unknown):
        return unknown(certificates, "certificates")
    late = [one for one in certificates.value if one.days_left < CERTIFICATE_DAYS]
    if late:
        return warn(
            "; ".join(
                f"{one.path} (of {one.used_by}) "
                + (f"ends in {one.days_left} days" if one.days_left >= 0 else f"has ended on {one.not_after}")
                for one in late
            )
        )
    unread = host.exposure.unread_certificates
    if unread:
        return unknown(Unknown(unread[0].reason), unread[0].path)
    count = len(certificates.value)
    return ok(f"{count} certificate{'s' if count != 1 else ''} last" if count else "no certificate is shown to clients")


CHECKS = (
    Check(
        code="SYS007",
        title="The kernel is new enough",
        judge=kernel_is_new_enough,
        why="Version 2 of control groups is whole from 4.15 on; no supported distribution is older than 4.18.",
        fix="upgrade the distribution",
        source="Linux 4.15, cgroup v2 cpu controller; RHEL 8 has 4.18",
    ),
    Check(
        code="SYS008",
        title="Control groups are version 2",
        judge=control_groups_are_version_2,
        why="Rendered units keep an engine from swapping and from taking the host down; both need version 2.",
        fix="boot without `systemd.unified_cgroup_hierarchy=0` and `cgroup_enable`-options of version 1",
        source="systemd.resource-control(5), MemorySwapMax=, OOMPolicy=",
    ),
    Check(
        code="SYS009",
        title="The clock is right",
        judge=the_clock_is_right,
        why="Certificates, keys with an end and the hub's TLS fail on a wrong clock, and logs of several hosts do not match.",
        fix="timedatectl set-ntp true",
        source="adjtimex(2), STA_UNSYNC",
    ),
    Check(
        code="SYS010",
        title="Enough files may be open",
        judge=enough_files_may_be_open,
        why="Each client is a file. A unit that asks for more than the kernel grants does not start.",
        fix="sysctl -w fs.nr_open=1048576",
        source="systemd.exec(5), LimitNOFILE=; Linux, Documentation/admin-guide/sysctl/fs.rst",
    ),
    Check(
        code="NET003",
        title="The model hub can be reached",
        judge=the_hub_can_be_reached,
        why="`pull` fetches from there. A host without it takes models from a mirror or a bundle.",
        fix="set HTTPS_PROXY or HF_ENDPOINT (a mirror)",
        source="a request for the hub's front page",
    ),
    Check(
        code="NET004",
        title="A proxy leaves this host out",
        judge=proxies_leave_this_host_out,
        why="Health checks and smoke tests go to 127.0.0.1; through a proxy they fail, or succeed with its error page.",
        fix="export no_proxy=localhost,127.0.0.1",
        source="curl(1), NO_PROXY",
    ),
    Check(
        code="OPN001",
        title="No engine is open to strangers",
        judge=no_engine_is_open_to_strangers,
        why="vLLM listens on every interface by itself; scanners find such ports within hours and use them, or worse.",
        fix="start it with `--host 127.0.0.1` behind the rendered edge, which asks for a key",
        source="vLLM 0.33, --host; Ollama, OLLAMA_HOST",
    ),
    Check(
        code="OPN002",
        title="Certificates last another month",
        judge=certificates_last,
        why="Clients refuse an ended certificate, at night as a rule.",
        fix="renew it; one that llmops made: `llmops render --apply --renew-certificate`",
        source="RFC 5280, notAfter",
    ),
)
