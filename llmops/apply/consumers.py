"""Rendered files, staged in a temporary tree and read by the programs they are for, before anything is live.

Nothing of the host is touched: certificates, keys, users, the engines' programs and the listening address are stood in
for, no root is needed, and the tree goes when the check ends.
"""

import os
import re
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath

from llmops.apply.certificate import make_ca, make_leaf
from llmops.domain.consumers import Consumed
from llmops.domain.deployment import RenderedFile, Site
from llmops.domain.finding import Status
from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import Known, Unknown
from llmops.domain.records import dataclass

TIMEOUT_SECONDS = 20.0
STAND_IN_IMAGE = f"stand-in@sha256:{'0' * 64}"
COMPOSE_STAND_INS = {
    "LLMOPS_IMAGE": ("the image's digest", STAND_IN_IMAGE),
    "LLMOPS_RENDER_GID": ("the number of the group `render`", "105"),
}
"""Variables a compose file asks for: what each is, and what stands in for it."""

JS_MODULE = "ngx_http_js_module.so"
MODULE_PLACES = (
    "/usr/lib/nginx/modules",
    "/usr/lib/x86_64-linux-gnu/nginx/modules",
    "/usr/lib64/nginx/modules",
    "/usr/share/nginx/modules",
)
COMPOSE_PLUGINS = (
    "/usr/libexec/docker/cli-plugins/docker-compose",
    "/usr/lib/docker/cli-plugins/docker-compose",
    "/usr/local/lib/docker/cli-plugins/docker-compose",
)
UNITS = PurePosixPath("/etc/systemd/system")
ROTATIONS = PurePosixPath("/etc/logrotate.d")
BASE_UNITS = ("sysinit.target", "basic.target", "shutdown.target", "multi-user.target", "network-online.target")
SAID_LIMIT = 600

EnvProblems = Callable[[str], Sequence[str]]
"""What is wrong with the text of a .env file, in words; empty when its three readers agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a consumer is asked with: its files, the paths of all that is rendered, the site, a stage of its own, the runner."""

    files: tuple[RenderedFile, ...]
    rendered: frozenset[PurePosixPath]
    site: Site
    stage: Path
    runner: Runner
    env_problems: EnvProblems
    is_there: Callable[[str], bool]
    now: datetime


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a consumer said; `said` empty: nothing to complain about."""

    status: Status
    said: str = ""
    stood_in: tuple[str, ...] = ()


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


def _write(stage: Path, path: PurePosixPath | str, text: str, *, mode: int = 0o644) -> Path:
    place = stage / str(path).lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")
    place.chmod(mode)
    return place


def _missing(ran: Known[Ran] | Unknown) -> Verdict:
    return Verdict(status=Status.SKIP, said=ran.reason if isinstance(ran, Unknown) else "not installed")


def _judged(ran: Known[Ran] | Unknown, complains: Callable[[Ran], bool], stood_in: Sequence[str] = ()) -> Verdict:
    if isinstance(ran, Unknown):
        return _missing(ran)
    said = (ran.value.stderr + ran.value.stdout).strip()
    if ran.value.exit_code != 0 or complains(ran.value):
        return Verdict(status=Status.FAIL, said=said or f"exit code {ran.value.exit_code}", stood_in=tuple(stood_in))
    return Verdict(status=Status.OK, stood_in=tuple(stood_in))


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
        _write(asked.stage, file.path, file.text, mode=file.mode)
    for name in BASE_UNITS:
        _write(asked.stage, f"usr/lib/systemd/system/{name}", f"[Unit]\nDescription=stand-in for {name}\n")
    programs = sorted(_programs(asked) - {str(file.path) for file in asked.files})
    for program in programs:
        _write(asked.stage, program, "#!/bin/sh\n", mode=0o755)
    ran = asked.runner.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=yes", f"--root={asked.stage}", *map(str, units)],
        timeout_seconds=TIMEOUT_SECONDS,
    )
    made = {str(path) for path in asked.rendered}
    absent = [program for program in programs if program not in made and not asked.is_there(program)]
    return _judged(ran, lambda done: bool(done.stderr.strip()), absent)


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


def _nginx(asked: Check) -> Verdict:
    """`nginx -t` on a whole configuration that includes the site. A `[warn]` is a refusal too: nginx exits 0 on it."""
    nginx = asked.runner.find("nginx")
    if nginx is None:
        return Verdict(status=Status.SKIP, said="`nginx` is not installed")
    module = next(
        (f"{place}/{JS_MODULE}" for place in MODULE_PLACES if os.access(f"{place}/{JS_MODULE}", os.R_OK)), None
    )
    if module is None:
        return Verdict(status=Status.SKIP, said=f"nginx's {JS_MODULE} is not installed (libnginx-mod-http-js)")
    stood_in = _stage_nginx(asked, module)
    ran = asked.runner.run(
        [nginx, "-t", "-e", "stderr", "-p", str(asked.stage), "-c", str(asked.stage / "nginx.conf")],
        timeout_seconds=TIMEOUT_SECONDS,
    )
    return _judged(ran, lambda done: "[warn]" in done.stderr or "[emerg]" in done.stderr, stood_in)


def _stage_nginx(asked: Check, module: str) -> tuple[str, ...]:
    """The site's files with paths moved into the stage and the address replaced by a socket; gives what the target lacks.

    Keys, and a certificate of ours, are made when the files are applied, and never lie in a stage.
    """
    edge, stage = asked.site.edge, asked.stage
    absent: dict[str, str] = {"/etc/nginx/llmops/keys.map": f'{"0" * 64} "stand-in";\n'}
    for deployment in asked.site.deployments:
        absent[str(deployment.edge_key_file)] = 'proxy_set_header Authorization "Bearer stand-in";\n'
    ca = make_ca(edge.hostname, now=asked.now)
    leaf = make_leaf(ca, edge.hostname, now=asked.now)
    absent[str(edge.certificate)] = leaf.certificate.decode()
    absent[str(edge.certificate_key)] = leaf.key.decode()
    for path, text in absent.items():
        _write(stage, path, text, mode=0o600)
    for file in asked.files:
        _write(stage, file.path, _moved(file.text, asked), mode=file.mode)
    temporary = "".join(
        f"    {kind}_temp_path {_quoted(stage / 'temporary')};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (stage / "var/log/nginx").mkdir(parents=True)
    _write(
        stage,
        "nginx.conf",
        f"load_module {_quoted(Path(module))};\npid {_quoted(stage / 'nginx.pid')};\nevents {{}}\n"
        f"http {{\n{temporary}    access_log off;\n    include {_quoted(stage / 'etc/nginx/conf.d/*.conf')};\n}}\n",
    )
    own = () if edge.self_signed else (str(edge.certificate), str(edge.certificate_key))
    return tuple(path for path in own if not asked.is_there(path))


def _moved(text: str, asked: Check) -> str:
    edge, stage = asked.site.edge, asked.stage
    moved = re.sub(r"(?<![\w.])/(etc/nginx/llmops|var/log/nginx)/?(?=[\w;])", rf"{stage}/\1/", text)
    moved = moved.replace("js_path /etc/nginx/llmops;", f"js_path {stage}/etc/nginx/llmops;")
    for path in (edge.certificate, edge.certificate_key):
        moved = moved.replace(f'"{path}"', f'"{stage}{path}"')
    return moved.replace(f"listen {edge.listen()} ", f"listen unix:{stage}/edge.sock ")


def _quoted(path: Path) -> str:
    return f'"{path}"'


def _haproxy(asked: Check) -> Verdict:
    """`haproxy -c -dW`: a warning is a refusal too. An unset variable is read as empty, without a word: all are set here."""
    haproxy = asked.runner.find("haproxy")
    if haproxy is None:
        return Verdict(status=Status.SKIP, said="`haproxy` is not installed")
    verdict = Verdict(status=Status.OK)
    for file in asked.files:
        if file.path.suffix != ".cfg":
            continue
        place = _write(asked.stage, file.path, file.text)
        ran = asked.runner.run(
            [haproxy, "-c", "-dW", "-f", str(place)],
            timeout_seconds=TIMEOUT_SECONDS,
            environment={one.key_variable(): "stand-in" for one in asked.site.deployments},
        )
        verdict = _judged(ran, lambda done: bool(done.stderr.strip()))
        if verdict.status is not Status.OK:
            return verdict
    return verdict


def _prometheus(asked: Check) -> Verdict:
    """`promtool check config`, which reads the rules too; the engines' keys are stood in for."""
    promtool = asked.runner.find("promtool")
    if promtool is None:
        return Verdict(status=Status.SKIP, said="`promtool` is not installed")
    for one in asked.site.deployments:
        _write(asked.stage, one.metrics_key_file, "stand-in\n", mode=0o600)
    places = [
        _write(asked.stage, file.path, file.text.replace(" /etc/prometheus/", f" {asked.stage}/etc/prometheus/"))
        for file in asked.files
    ]
    configuration = next(place for place in places if place.name == "llmops.yml")
    ran = asked.runner.run([promtool, "check", "config", str(configuration)], timeout_seconds=TIMEOUT_SECONDS)
    return _judged(ran, lambda done: "FAILED" in done.stdout)


def _logrotate(asked: Check) -> Verdict:
    """`logrotate -d`: what is wrong is said, the exit code is 0 all the same. It reads no file that others may write."""
    logrotate = asked.runner.find("logrotate")
    if logrotate is None:
        return Verdict(status=Status.SKIP, said="`logrotate` is not installed")
    for file in asked.files:
        place = _write(asked.stage, file.path, file.text)
        state = asked.stage / "state"
        ran = asked.runner.run([logrotate, "-d", "-s", str(state), str(place)], timeout_seconds=TIMEOUT_SECONDS)
        verdict = _judged(ran, lambda done: "error:" in done.stderr)
        if verdict.status is not Status.OK:
            return verdict
    return Verdict(status=Status.OK)


def _compose(asked: Check) -> Verdict:
    """`config -q` for each file, no daemon needed; a warning is a refusal too."""
    command = _compose_command(asked.runner)
    if command is None:
        return Verdict(status=Status.SKIP, said="neither `docker-compose` (2) nor `docker compose` is installed")
    stood_in: tuple[str, ...] = ()
    for file in asked.files:
        place = _write(asked.stage, file.path, file.text.replace("/etc/llmops/", f"{asked.stage}/etc/llmops/"))
        for deployment in asked.site.deployments:
            _write(asked.stage, deployment.environment_file, "")
            _write(asked.stage, deployment.container.key_file, "stand-in\n")
        asked_for = {name: one for name, one in COMPOSE_STAND_INS.items() if f"${{{name}:?" in file.text}
        stood_in = tuple(f"{what} ({name})" for name, (what, _) in asked_for.items()) or stood_in
        ran = asked.runner.run(
            [*command, "--project-directory", str(place.parent), "-f", str(place), "config", "-q"],
            timeout_seconds=TIMEOUT_SECONDS,
            environment={name: value for name, (_, value) in asked_for.items()},
        )
        verdict = _judged(ran, lambda done: "level=warning" in done.stderr, stood_in)
        if verdict.status is not Status.OK:
            return verdict
    return Verdict(status=Status.OK, stood_in=stood_in)


def _compose_command(runner: Runner) -> tuple[str, ...] | None:
    """Compose 2: `docker-compose`, a plugin of docker, or the plugin's own file. The Python version 1 is passed by."""
    candidates = [("docker-compose",), ("docker", "compose"), *((plugin,) for plugin in COMPOSE_PLUGINS)]
    for command in candidates:
        if runner.find(command[0]) is None:
            continue
        ran = runner.run([*command, "version", "--short"], timeout_seconds=TIMEOUT_SECONDS)
        if (
            isinstance(ran, Known)
            and ran.value.exit_code == 0
            and re.match(r"v?([2-9]|\d\d)", ran.value.stdout.strip())
        ):
            return command
    return None


def _env(asked: Check) -> Verdict:
    """No program checks an EnvironmentFile=: systemd is silent about a line it drops. Our own three-way reader does."""
    problems = [f"{file.path}: {problem}" for file in asked.files for problem in asked.env_problems(file.text)]
    return Verdict(status=Status.FAIL if problems else Status.OK, said="; ".join(problems))


CONSUMERS: tuple[Consumer, ...] = (
    Consumer("systemd", "systemd-analyze verify", "systemd", "sudo apt-get install systemd", _systemd, UNITS),
    Consumer(
        "nginx", "nginx -t", "nginx, libnginx-mod-http-js", "sudo apt-get install nginx libnginx-mod-http-js", _nginx
    ),
    Consumer("nginx", "logrotate -d", "logrotate", "sudo apt-get install logrotate", _logrotate, ROTATIONS),
    Consumer("haproxy", "haproxy -c", "haproxy", "sudo apt-get install haproxy", _haproxy),
    Consumer("prometheus", "promtool check config", "prometheus", "sudo apt-get install prometheus", _prometheus),
    Consumer(
        "compose",
        "docker-compose config -q",
        "docker-compose",
        "`sudo apt-get install docker-compose` on Debian 13 or newer (12 has version 1), else Docker's docker-compose-plugin",
        _compose,
    ),
    Consumer("env", "llmops' own reader (no checker exists)", "", "", _env),
)
