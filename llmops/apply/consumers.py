"""Rendered files, staged in a temporary tree and read by the programs they are for, before anything is live.

Nothing of the host is touched: certificates, keys, users, the engines' programs and the listening address are stood in
for, no root is needed, and the tree goes when the check ends.
"""

import re
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath

from llmops.apply.asking import TIMEOUT_SECONDS, Check, EnvProblems, Verdict, judged, write
from llmops.apply.certificate import make_ca
from llmops.apply.compose_check import compose
from llmops.apply.nginx_check import nginx
from llmops.domain.consumers import Consumed
from llmops.domain.deployment import RenderedFile, Site
from llmops.domain.finding import Status
from llmops.domain.programs import Runner
from llmops.domain.reading import Known
from llmops.domain.records import dataclass

UNITS = PurePosixPath("/etc/systemd/system")
ROTATIONS = PurePosixPath("/etc/logrotate.d")
BASE_UNITS = ("sysinit.target", "basic.target", "shutdown.target", "multi-user.target", "network-online.target")
SAID_LIMIT = 600


@dataclass(frozen=True, slots=True)
class Consumer:
    """One row: the target, its program and Debian package, and how to get and how to ask it."""

    target: str
    program: str
    package: str
    install: str
    ask: Callable[[Check], "Verdict"]
    place: PurePosixPath | None = None

    def reads(self, file: RenderedFile) -> bool:
        """The files of its target, or of its place in any target; systemd reads both."""
        return file.path.parent == self.place or (file.target == self.target and self.ask is not _logrotate)


def check(
    files: Sequence[RenderedFile],
    *,
    site: Site,
    runner: Runner,
    env_problems: EnvProblems,
    is_there: Callable[[str], bool],
    now: datetime,
) -> tuple[Consumed, ...]:
    """Every target among `files`, read by its consumer. A consumer that is not here is a skip, never a pass.

    `is_there` says whether a path is on the target: what is not is stood in for, and named.
    """
    consumed: list[Consumed] = []
    for consumer in CONSUMERS:
        mine = tuple(file for file in files if consumer.reads(file))
        if not mine:
            continue
        with tempfile.TemporaryDirectory(prefix="llmops-check-") as directory:
            stage = Path(directory)
            verdict = consumer.ask(
                Check(
                    files=mine,
                    rendered=frozenset(file.path for file in files),
                    site=site,
                    stage=stage,
                    runner=runner,
                    env_problems=env_problems,
                    is_there=is_there,
                    now=now,
                )
            )
        consumed.append(
            Consumed(
                target=consumer.target,
                program=consumer.program,
                package=consumer.package,
                install=consumer.install,
                status=verdict.status,
                said=verdict.said.replace(str(stage), "").strip()[:SAID_LIMIT],
                stood_in=verdict.stood_in,
            )
        )
    return tuple(consumed)


def _systemd(asked: Check) -> Verdict:
    """`verify` in a root of its own, with the engines' programs stood in for; any word on stderr is a refusal.

    Without `--recursive-errors=yes` unknown keys and bad values exit 0. `--root` is known from systemd 250 on.
    """
    if asked.runner.find("systemd-analyze") is None:
        return Verdict(status=Status.SKIP, said="`systemd-analyze` is not installed")
    version = _systemd_version(asked.runner)
    if version is None or version < 250:
        return Verdict(
            status=Status.SKIP, said=f"systemd-analyze {version or 'of unknown version'} cannot check another root"
        )
    if version < asked.site.systemd_version:
        return Verdict(
            status=Status.SKIP,
            said=f"rendered for systemd {asked.site.systemd_version}; this host's {version} does not know its directives",
        )
    units = [file.path for file in asked.files if file.path.parent == UNITS]
    for file in asked.files:
        write(asked.stage, file.path, file.text, mode=file.mode)
    for name in BASE_UNITS:
        write(asked.stage, f"usr/lib/systemd/system/{name}", f"[Unit]\nDescription=stand-in for {name}\n")
    programs = sorted(_programs(asked) - {str(file.path) for file in asked.files})
    for program in programs:
        write(asked.stage, program, "#!/bin/sh\n", mode=0o755)
    ran = asked.runner.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=yes", f"--root={asked.stage}", *map(str, units)],
        timeout_seconds=TIMEOUT_SECONDS,
    )
    made = {str(path) for path in asked.rendered}
    absent = [program for program in programs if program not in made and not asked.is_there(program)]
    return judged(ran, lambda done: bool(done.stderr.strip()), absent)


def _systemd_version(runner: Runner) -> int | None:
    ran = runner.run(["systemd-analyze", "--version"], timeout_seconds=TIMEOUT_SECONDS)
    found = re.match(r"systemd (\d+)", ran.value.stdout) if isinstance(ran, Known) else None
    return int(found[1]) if found is not None else None


def _programs(asked: Check) -> set[str]:
    """The engines, and what else units call by its absolute path."""
    programs = {one.program for one in asked.site.deployments if one.program}
    for file in asked.files:
        programs |= set(re.findall(r"^Exec\w+=(/[\w./+-]+)", file.text, flags=re.MULTILINE))
    return programs


def _haproxy(asked: Check) -> Verdict:
    """`haproxy -c -dW`: a warning is a refusal too. An unset variable is read as empty, without a word: all are set here."""
    haproxy = asked.runner.find("haproxy")
    if haproxy is None:
        return Verdict(status=Status.SKIP, said="`haproxy` is not installed")
    verdict = Verdict(status=Status.OK)
    for file in asked.files:
        if file.path.suffix == ".lua":
            write(asked.stage, file.path, file.text)
    for file in asked.files:
        if file.path.suffix != ".cfg":
            continue
        text, absent = _with_api_stood_in(file.text.replace(" /etc/llmops/", f" {asked.stage}/etc/llmops/"), asked)
        place = write(asked.stage, file.path, text)
        ran = asked.runner.run(
            [haproxy, "-c", "-dW", "-f", str(place)],
            timeout_seconds=TIMEOUT_SECONDS,
            environment={one.key_variable(): "stand-in" for one in asked.site.deployments},
        )
        verdict = judged(ran, lambda done: bool(done.stderr.strip()), absent)
        if verdict.status is not Status.OK:
            return verdict
    return verdict


def _with_api_stood_in(text: str, asked: Check) -> tuple[str, tuple[str, ...]]:
    """No name is looked up while checking, and a CA of the API's own is replaced; gives what the target lacks of it."""
    text = text.replace(" init-addr last,libc,none", " init-addr none")
    api = asked.site.hosted_api
    if api is None or api.ca is None:
        return text, ()
    stand_in = make_ca(api.host, now=asked.now).certificate.decode()
    place = write(asked.stage, f"stand-in{api.ca}", stand_in)
    return text.replace(f" ca-file {api.ca} ", f" ca-file {place} "), () if asked.is_there(str(api.ca)) else (
        str(api.ca),
    )


def _prometheus(asked: Check) -> Verdict:
    """`promtool check config`, which reads the rules too; the engines' keys are stood in for."""
    promtool = asked.runner.find("promtool")
    if promtool is None:
        return Verdict(status=Status.SKIP, said="`promtool` is not installed")
    for one in asked.site.deployments:
        write(asked.stage, one.metrics_key_file, "stand-in\n", mode=0o600)
    places = [
        write(asked.stage, file.path, file.text.replace(" /etc/prometheus/", f" {asked.stage}/etc/prometheus/"))
        for file in asked.files
    ]
    configuration = next(place for place in places if place.name == "llmops.yml")
    ran = asked.runner.run([promtool, "check", "config", str(configuration)], timeout_seconds=TIMEOUT_SECONDS)
    return judged(ran, lambda done: "FAILED" in done.stdout)


def _logrotate(asked: Check) -> Verdict:
    """`logrotate -d`: what is wrong is said, the exit code is 0 all the same. It reads no file that others may write."""
    logrotate = asked.runner.find("logrotate")
    if logrotate is None:
        return Verdict(status=Status.SKIP, said="`logrotate` is not installed")
    for file in asked.files:
        place = write(asked.stage, file.path, file.text)
        state = asked.stage / "state"
        ran = asked.runner.run([logrotate, "-d", "-s", str(state), str(place)], timeout_seconds=TIMEOUT_SECONDS)
        verdict = judged(ran, lambda done: "error:" in done.stderr)
        if verdict.status is not Status.OK:
            return verdict
    return Verdict(status=Status.OK)


def _env(asked: Check) -> Verdict:
    """No program checks an EnvironmentFile=: systemd is silent about a line it drops. Our own three-way reader does."""
    problems = [f"{file.path}: {problem}" for file in asked.files for problem in asked.env_problems(file.text)]
    return Verdict(status=Status.FAIL if problems else Status.OK, said="; ".join(problems))


CONSUMERS: tuple[Consumer, ...] = (
    Consumer("systemd", "systemd-analyze verify", "systemd", "sudo apt-get install systemd", _systemd, UNITS),
    Consumer(
        "nginx", "nginx -t", "nginx, libnginx-mod-http-js", "sudo apt-get install nginx libnginx-mod-http-js", nginx
    ),
    Consumer("nginx", "logrotate -d", "logrotate", "sudo apt-get install logrotate", _logrotate, ROTATIONS),
    Consumer("haproxy", "haproxy -c", "haproxy", "sudo apt-get install haproxy", _haproxy),
    Consumer("prometheus", "promtool check config", "prometheus", "sudo apt-get install prometheus", _prometheus),
    Consumer(
        "compose",
        "docker-compose config -q",
        "docker-compose",
        "`sudo apt-get install docker-compose` on Debian 13 or newer (12 has version 1), else Docker's docker-compose-plugin",
        compose,
    ),
    Consumer("env", "llmops' own reader (no checker exists)", "", "", _env),
)
