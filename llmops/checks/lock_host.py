"""LCK: what a lock needs of the host beside cards, disk and memory: programs, ports, systemd."""

from collections.abc import Sequence

from llmops.checks.check import Judgement, fail, ok, together, unknown, warn
from llmops.checks.engine_lines import locked_engine_lines
from llmops.checks.install import commands, toolkit_lines
from llmops.checks.lock_check import LockCheck, Wanted, allows
from llmops.checks.surroundings import KERNEL_FLOOR
from llmops.domain.engine import EngineName
from llmops.domain.engine_matrix import numbers
from llmops.domain.engine_verdicts import TITLES
from llmops.domain.finding import Status
from llmops.domain.host import Listener
from llmops.domain.ports import Port, has_gateway, ports_around, ports_of
from llmops.domain.profile import Gateway
from llmops.domain.reading import Unknown, known

SYSTEMD_FLOOR = 247
"""LoadCredential=: the engine's key reaches it no other way (systemd, NEWS)."""

FIRST_LOGIN_UID = 1000
UNITS = ("systemd", "env")


def engine_is_installed(wanted: Wanted) -> Judgement | None:
    """In a version the lock allows, where units start it; the compose target brings its own."""
    if not wanted.has_target(*UNITS):
        return None
    engine = wanted.deployment.engine
    found = wanted.engine_versions()
    lines = locked_engine_lines(wanted.host, wanted.references, engine.name, engine.build)
    if not found:
        return fail(
            f"{TITLES[engine.name]} is not installed (the lock allows {engine.versions})",
            lines,
            script=commands(wanted.host, lines),
        )
    judgements: list[Judgement] = []
    for where, reading in found:
        if isinstance(reading, Unknown):
            judgements.append(unknown(reading, where))
        elif allows(engine.versions, reading.value):
            return ok(f"{where} {reading.value}")
        else:
            judgements.append(
                fail(
                    f"{where} is {reading.value}, the lock allows {engine.versions}",
                    f"install {engine.build}:\n{lines}",
                )
            )
    return together(judgements)


def engine_has_no_grave_hole(wanted: Wanted) -> Judgement | None:
    """No published hole of its version lets strangers do harm; lesser ones warn."""
    if not wanted.has_target(*UNITS) or not wanted.engine_versions():
        return None
    product, version = wanted.deployment.engine.name.value, wanted.version()
    rows = wanted.references.advisories.of(product, version)
    if not rows:
        return ok(f"{product} {version}: none known")
    fixed = wanted.references.advisories.safe_from(product, version)
    told = "; ".join(f"{row.ids[0]}, {row.what}" for row in rows[:3])
    fix = f"upgrade it to {fixed} or newer, and plan again" if fixed else "plan for another engine"
    return (fail if rows[0].severity is Status.FAIL else warn)(f"{product} {version} has published holes: {told}", fix)


def c_library_fits(wanted: Wanted) -> Judgement | None:
    """VLLM's wheels name the glibc they need."""
    if wanted.deployment.engine.name is not EngineName.VLLM or not wanted.has_target(*UNITS):
        return None
    row = next(
        (one for one in wanted.references.matrix.builds_of(EngineName.VLLM) if one.covers(wanted.version())), None
    )
    need = numbers(row.glibc or "") if row is not None else ()
    glibc = wanted.host.system.glibc
    if isinstance(glibc, Unknown):
        return unknown(glibc, "C library")
    if not need:
        return None
    if numbers(glibc.value or "") < need:
        have = f"glibc {glibc.value}" if glibc.value else "not glibc"
        return fail(
            f"the C library is {have}, the wheel needs glibc {row.glibc if row else ''}",
            "render with `--target compose`",
        )
    return ok(f"glibc {glibc.value}")


def ports_are_free(wanted: Wanted) -> Judgement | None:
    """Of engine, gateway, edge and what they tell each other: free, or held by this deployment's own programs."""
    if isinstance(wanted.host.listeners, Unknown):
        return unknown(wanted.host.listeners, "ports")
    lock = wanted.needs.lock
    ports = (
        *ports_of(wanted.name, wanted.deployment, gateway=has_gateway(lock.serve, lock.targets)),
        *ports_around(lock.serve, lock.targets, edge_port=wanted.needs.edge_port),
    )
    return together([_port(one, wanted.host.listeners.value) for one in ports])


def _port(opened: Port, listeners: Sequence[Listener]) -> Judgement:
    part, port, program = opened.part, opened.number, opened.program
    taken = [one for one in listeners if one.port == port]
    others = [one for one in taken if one.user != opened.user and (not program or known(one.program) != program)]
    if taken and not others:
        return ok(f"the {part}'s port {port} is held by itself")
    if others:
        name = next((known(one.program) for one in others if known(one.program)), None) or others[0].user
        return fail(
            f"the {part}'s port {port} is taken by {name or 'a program that may not be looked at'}",
            f"`ss -ltnp 'sport = :{port}'` shows it; stop it, or change the profile and plan again",
        )
    return ok(f"the {part}'s port {port} is free")


def systemd_starts_the_units(wanted: Wanted) -> Judgement | None:
    """It runs the host, knows credentials, and every directive of the sandbox (older ones leave some out: a warning)."""
    if not wanted.has_target("systemd"):
        return None
    system = wanted.host.system
    if not system.systemd_is_running:
        return fail("systemd does not run this host: the units cannot be started", "render with `--target compose`")
    if isinstance(system.systemd_version, Unknown):
        return unknown(system.systemd_version, "systemd's version")
    have = system.systemd_version.value
    if have < SYSTEMD_FLOOR:
        return fail(f"systemd {have} is older than {SYSTEMD_FLOOR}: it has no credentials", "upgrade the distribution")
    lost = sorted({row.key for row in wanted.needs.directives if row.since > have})
    if lost:
        return warn(
            f"systemd {have} does not know {', '.join(lost)}: units are rendered without", "upgrade the distribution"
        )
    return ok(f"systemd {have} knows every directive of the units")


def kernel_keeps_the_limits(wanted: Wanted) -> Judgement | None:
    """4.18 or newer, with control groups of version 2 (warned of)."""
    have = numbers(wanted.host.system.kernel)
    if len(have) < 2:
        return unknown(Unknown(f"not a version: `{wanted.host.system.kernel[:40]}`"), "kernel")
    if have[:2] < KERNEL_FLOOR:
        return fail(f"Linux {wanted.host.system.kernel} is older than 4.18", "upgrade the distribution")
    return ok(f"Linux {wanted.host.system.kernel}")


PROGRAMS = {"nginx": "nginx", "haproxy": "haproxy", "compose": "docker"}
PACKAGES = {"nginx": "nginx libnginx-mod-http-js", "haproxy": "haproxy"}


def programs_of_the_targets_are_here(wanted: Wanted) -> Judgement | None:
    """nginx, HAProxy, docker: those whose files the lock renders."""
    judgements: list[Judgement] = []
    for target, program in PROGRAMS.items():
        if not wanted.has_target(target) or (target == "haproxy" and wanted.needs.lock.serve.gateway is Gateway.NONE):
            continue
        tool = next((one for one in wanted.host.tools if one.name == program), None)
        if tool is None:
            judgements.append(unknown(Unknown("these facts do not say whether it was looked for"), program))
        elif tool.path is None:
            packages = PACKAGES.get(target)
            fix = (
                f"apt-get install -y {packages}"
                if packages
                else "docker's own packages: docs.docker.com/engine/install"
            )
            script = (f"apt-get install -y {packages}",) if packages else ()
            judgements.append(fail(f"{program} is not installed, and the lock renders `{target}`", fix, script=script))
        else:
            judgements.append(ok(program))
    judgements += _nginx_modules(wanted)
    return together(judgements)


def _nginx_modules(wanted: Wanted) -> list[Judgement]:
    if not wanted.has_target("nginx"):
        return []
    server = next((one for one in known(wanted.host.surroundings.web_servers) or () if one.name == "nginx"), None)
    if server is None or isinstance(server.modules, Unknown):
        return []
    if not any("js" in name.split("_") for name in server.modules.value):
        package = "libnginx-mod-http-js"
        return [
            fail(
                "nginx has no JavaScript module, which checks keys at the edge",
                f"apt-get install -y {package}",
                script=(f"apt-get install -y {package}",),
            )
        ]
    return [ok("nginx with its JavaScript module")]


def containers_get_the_cards(wanted: Wanted) -> Judgement | None:
    """Where the compose target serves on cards: NVIDIA's container toolkit, without a grave hole."""
    if not wanted.has_target("compose") or not wanted.deployment.devices:
        return None
    toolkit = wanted.host.containers.toolkit_version
    if isinstance(toolkit, Unknown):
        return unknown(toolkit, "container toolkit")
    lines = toolkit_lines(wanted.host, wanted.references)
    if toolkit.value is None:
        return fail("no container toolkit: containers get no card", lines, script=commands(wanted.host, lines))
    rows = wanted.references.advisories.of("nvidia-container-toolkit", toolkit.value)
    if rows and rows[0].severity is Status.FAIL:
        return fail(
            f"container toolkit {toolkit.value}: {rows[0].ids[0]}, {rows[0].what}",
            lines,
            script=commands(wanted.host, lines),
        )
    return ok(f"container toolkit {toolkit.value}")


def its_user_is_its_own(wanted: Wanted) -> Judgement | None:
    """No login of a person has the name of its system user."""
    if not wanted.has_target("systemd"):
        return None
    accounts = wanted.host.surroundings.accounts
    if isinstance(accounts, Unknown):
        return unknown(accounts, "users")
    account = next((one for one in accounts.value if one.name == wanted.user()), None)
    if account is not None and account.uid is not None and (account.uid >= FIRST_LOGIN_UID or account.uid == 0):
        return fail(
            f"the user {account.name} exists with the number {account.uid}: a person's, not a system user's",
            f"rename it (`usermod -l`), or call the deployment otherwise than `{wanted.name}`",
        )
    return ok(f"{wanted.user()} is free, or a system user")


CHECKS = (
    LockCheck(code="LCK010", title="The engine is installed in an allowed version", judge=engine_is_installed, decides=True,
              why="The ledger holds for the versions the lock names.", source="the lock's engine"),
    LockCheck(code="LCK011", title="The engine has no grave hole", judge=engine_has_no_grave_hole,
              why="It reads what strangers send.", source="the advisories"),
    LockCheck(code="LCK012", title="The C library fits the engine's wheel", judge=c_library_fits,
              why="A wheel for a newer glibc does not install.", source="the engine matrix: names of the wheels"),
    LockCheck(code="LCK013", title="The ports are free", judge=ports_are_free, decides=True,
              why="The second program on a port does not start.", source="/proc/net/tcp"),
    LockCheck(code="LCK014", title="systemd starts the units", judge=systemd_starts_the_units, of_host=True, decides=True,
              why="Credentials and sandbox of a unit are systemd's.", source="systemd NEWS; render's own directives"),
    LockCheck(code="LCK015", title="The kernel keeps the limits", judge=kernel_keeps_the_limits, of_host=True,
              why="Memory limits need control groups of version 2.", source="Linux 4.15, cgroup v2"),
    LockCheck(code="LCK016", title="The targets' programs are here", judge=programs_of_the_targets_are_here, of_host=True,
              why="Files without their reader serve nobody.", source="the lock's targets"),
    LockCheck(code="LCK017", title="Containers get the cards", judge=containers_get_the_cards,
              why="Docker hands a card on through NVIDIA's toolkit only.", source="the advisories; NVIDIA container toolkit"),
    LockCheck(code="LCK018", title="The deployment's user is its own", judge=its_user_is_its_own,
              why="Its credentials and files belong to that user.", source="sysusers.d(5)"),
)  # fmt: skip
