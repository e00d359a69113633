"""`docker-compose config` on rendered files; what a person has to tell it is stood in for."""

import re

from llmops.apply.asking import TIMEOUT_SECONDS, Check, Verdict, judged, write
from llmops.domain.finding import Status
from llmops.domain.programs import Runner
from llmops.domain.reading import Known

STAND_IN_IMAGE = f"stand-in@sha256:{'0' * 64}"
COMPOSE_STAND_INS = {
    "LLMOPS_IMAGE": ("the image's digest", STAND_IN_IMAGE),
    "LLMOPS_RENDER_GID": ("the number of the group `render`", "105"),
}
"""Variables a compose file asks for: what each is, and what stands in for it."""

COMPOSE_PLUGINS = (
    "/usr/libexec/docker/cli-plugins/docker-compose",
    "/usr/lib/docker/cli-plugins/docker-compose",
    "/usr/local/lib/docker/cli-plugins/docker-compose",
)


def compose(asked: Check) -> Verdict:
    """`config -q` for each file, no daemon needed; a warning is a refusal too."""
    command = _compose_command(asked.runner)
    if command is None:
        return Verdict(status=Status.SKIP, said="neither `docker-compose` (2) nor `docker compose` is installed")
    stood_in: tuple[str, ...] = ()
    for file in asked.files:
        place = write(asked.stage, file.path, file.text.replace("/etc/llmops/", f"{asked.stage}/etc/llmops/"))
        for deployment in asked.site.deployments:
            write(asked.stage, deployment.environment_file, "")
            write(asked.stage, deployment.container.key_file, "stand-in\n")
        asked_for = {name: one for name, one in COMPOSE_STAND_INS.items() if f"${{{name}:?" in file.text}
        stood_in = tuple(f"{what} ({name})" for name, (what, _) in asked_for.items()) or stood_in
        ran = asked.runner.run(
            [*command, "--project-directory", str(place.parent), "-f", str(place), "config", "-q"],
            timeout_seconds=TIMEOUT_SECONDS,
            environment={name: value for name, (_, value) in asked_for.items()},
        )
        verdict = judged(ran, lambda done: "level=warning" in done.stderr, stood_in)
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
