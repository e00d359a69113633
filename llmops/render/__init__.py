"""Templates to files: Jinja over a `Site`, with strict names and no arithmetic."""

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from llmops.domain.deployment import Deployment, Per, RenderedFile, Site, Target, TargetFile, When
from llmops.domain.errors import WrongInput, WrongUsage
from llmops.domain.finding import Where
from llmops.domain.profile import SwapWish
from llmops.render.directives import NUMA_SINCE, RESTART_STEPS_SINCE, sandbox
from llmops.render.quoting import (
    compose_list,
    compose_string,
    dotenv_value,
    nginx_string,
    systemd_command,
    systemd_environment,
    systemd_word,
)

if TYPE_CHECKING:
    from jinja2 import Environment

UNITS = "systemd"


def render(site: Site, *, targets: Sequence[Target], templates: Mapping[str, str]) -> tuple[RenderedFile, ...]:
    """Every file of `targets`, sorted by path. `templates` is keyed `<target>/<template>`."""
    _refuse_without_unit(site, targets)
    environment = _environment(templates)
    files: list[RenderedFile] = []
    for target in targets:
        for row in target.files:
            files += _rows(environment, site, target, row)
    seen: dict[PurePosixPath, str] = {}
    for file in files:
        if file.path in seen:
            raise WrongInput(f"{file.path} comes from both `{seen[file.path]}` and `{file.target}`")
        seen[file.path] = file.target
    return tuple(sorted(files, key=lambda file: file.path))


def _refuse_without_unit(site: Site, targets: Sequence[Target]) -> None:
    """An engine that is no program of the host has no unit."""
    if any(target.name == UNITS for target in targets):
        for one in site.deployments:
            if not one.program:
                message = (
                    f"`{one.name}` is planned for {one.engine.value}, which is served from its image: it has no unit"
                )
                hint = "`llmops render --target compose --target env` gives its container, with nginx and haproxy in front of it"
                raise WrongUsage(message, hint=hint)


def _rows(environment: "Environment", site: Site, target: Target, row: TargetFile) -> tuple[RenderedFile, ...]:
    if row.per is Per.SITE:
        chosen: list[Deployment | None] = (
            [None] if any(_is_wanted(row.when, site, one) for one in site.deployments) else []
        )
    else:
        chosen = [one for one in site.deployments if _is_wanted(row.when, site, one)]
    return tuple(_file(environment, site, target, row, one) for one in chosen)


def _is_wanted(when: When, site: Site, deployment: Deployment) -> bool:
    match when:
        case When.ALWAYS:
            return True
        case When.AUDIT_LOG | When.HOSTED_API | When.ZRAM | When.SWAP_FILE:
            return _site_has(when, site)
        case When.GATEWAY:
            return deployment.gateway_port is not None
        case When.GPU:
            return deployment.device_kind is not None
        case When.NVIDIA:
            return deployment.uses_nvidia()
        case When.KEY:
            return deployment.has_key
        case When.LLAMA_CPP | When.VLLM | When.OLLAMA:
            return when.value == deployment.engine.value


def _site_has(when: When, site: Site) -> bool:
    return {
        When.AUDIT_LOG: site.edge.audit_log,
        When.HOSTED_API: site.hosted_api is not None,
        When.ZRAM: site.swap is SwapWish.ZRAM,
        When.SWAP_FILE: site.swap is SwapWish.FILE,
    }[when]


def _file(
    environment: "Environment",
    site: Site,
    target: Target,
    row: TargetFile,
    deployment: Deployment | None,
) -> RenderedFile:
    from jinja2 import TemplateError

    name = f"{target.name}/{row.template}"
    known: dict[str, object] = {"site": site}
    if deployment is not None:
        restart_steps = site.systemd_version >= RESTART_STEPS_SINCE
        numa = site.systemd_version >= NUMA_SINCE
        lines = sandbox(deployment, systemd_version=site.systemd_version)
        known |= {"deployment": deployment, "sandbox": lines, "restart_steps": restart_steps, "numa": numa}
    try:
        text = environment.get_template(name).render(known)
        path = environment.from_string(row.path).render(known)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        where = Where(file=f"templates/{name}", line=line)
        raise WrongInput(f"template: {error.message or type(error).__name__}", where=where) from None
    return RenderedFile(
        path=_checked(path, name), target=target.name, text=text, mode=int(row.mode, 8), owner=row.owner
    )


def _checked(path: str, name: str) -> PurePosixPath:
    checked = PurePosixPath(path)
    if not checked.is_absolute() or ".." in checked.parts or str(checked) != path:
        raise WrongInput(f"the target path `{path}` is not absolute and plain", where=Where(file=f"templates/{name}"))
    return checked


def _environment(templates: Mapping[str, str]) -> "Environment":
    from jinja2 import DictLoader, Environment, StrictUndefined

    environment = Environment(
        loader=DictLoader(dict(templates)),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - no HTML; each consumer has its own quoting filter
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.clear()
    environment.filters.update(
        systemd_command=lambda words: systemd_command([str(word) for word in words]),
        systemd_word=systemd_word,
        systemd_environment=lambda pair: systemd_environment(*pair),
        dotenv=dotenv_value,
        json=lambda text: json.dumps(str(text)),
        nginx=lambda text: nginx_string(str(text)),
        compose=compose_string,
        compose_list=compose_list,
        join=lambda words, between: between.join(str(word) for word in words),
    )
    return environment
