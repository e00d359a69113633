"""CTR: how a container gets a card; CUD: CUDA beside the driver; DAT: how old the rows are that all this rests on."""

from llmops.checks.check import Check, Judgement, ok, together, unknown, warn
from llmops.checks.install import TOOLKIT, commands, toolkit_lines
from llmops.domain.engine_matrix import numbers
from llmops.domain.finding import Status
from llmops.domain.gpu_software import CdiSpec
from llmops.domain.host import HostFacts
from llmops.domain.reading import Unknown, known
from llmops.domain.references import OLD_DAYS, References


def _has_engine(host: HostFacts) -> bool:
    engines = known(host.containers.engines)
    return bool(engines)


def the_toolkit_is_installed(host: HostFacts, references: References) -> Judgement | None:
    """Where there are NVIDIA cards and a container engine."""
    if not host.nvidia.gpus or not _has_engine(host):
        return None
    toolkit = host.containers.toolkit_version
    if isinstance(toolkit, Unknown):
        return unknown(toolkit, "container toolkit")
    if toolkit.value is None:
        lines = toolkit_lines(host, references)
        return warn("no container toolkit: containers get no card", lines, script=commands(host, lines))
    return ok(f"container toolkit {toolkit.value}")


def the_toolkit_has_no_known_hole(host: HostFacts, references: References) -> Judgement | None:
    """Its hooks run as root on the host, with what a container says."""
    toolkit = host.containers.toolkit_version
    if isinstance(toolkit, Unknown):
        return unknown(toolkit, "container toolkit") if host.nvidia.gpus and _has_engine(host) else None
    if toolkit.value is None:
        return None
    if not numbers(toolkit.value):
        return unknown(Unknown(f"not a version: `{toolkit.value[:40]}`"), "container toolkit")
    rows = references.advisories.of(TOOLKIT, toolkit.value)
    if rows:
        told = "; ".join(f"{row.ids[0]}, {row.what}" for row in rows)
        worst = "a container can become root on the host: " if rows[0].severity is Status.FAIL else ""
        lines = toolkit_lines(host, references)
        message = f"container toolkit {toolkit.value} has published holes ({worst}{told})"
        return warn(message, lines, script=commands(host, lines))
    return ok(f"container toolkit {toolkit.value}: none known")


def device_specifications_are_current(host: HostFacts) -> Judgement | None:
    """Every file that a CDI specification names is there, and it is of the driver that runs."""
    specs = host.containers.cdi_specs
    if not host.nvidia.gpus or not _has_engine(host):
        return None
    if isinstance(specs, Unknown):
        return unknown(specs, "CDI specifications")
    ours = [spec for spec in specs.value if spec.kind.startswith("nvidia.com/")]
    driver = known(host.nvidia.driver)
    return together([_spec(spec, driver.version if driver is not None else None) for spec in ours]) or ok(
        "none: `--gpus` is used"
    )


def _spec(spec: CdiSpec, driver: str | None) -> Judgement:
    fix = f"`nvidia-ctk cdi generate --output={spec.path}`"
    script = (f"nvidia-ctk cdi generate --output={spec.path}",)
    if spec.missing:
        more = f" and {len(spec.missing) - 1} more" if len(spec.missing) > 1 else ""
        return warn(
            f"{spec.path} names {spec.missing[0]}{more}, which is not there: no container starts with it",
            fix,
            script=script,
        )
    if spec.library_version is not None and driver is not None and spec.library_version != driver:
        return warn(f"{spec.path} is of driver {spec.library_version}, {driver} runs", fix, script=script)
    if spec.library_version is not None and driver is None:
        return unknown(Unknown("the driver's version is not known"), spec.path)
    return ok(f"{spec.path} has {len(spec.devices)} devices")


def a_container_engine_hands_on_cards(host: HostFacts) -> Judgement | None:
    """Docker or Podman answers this user, and knows NVIDIA's runtime or CDI."""
    engines = host.containers.engines
    if not host.nvidia.gpus:
        return None
    if isinstance(engines, Unknown):
        return unknown(engines, "container engines")
    if not engines.value:
        return None
    judgements: list[Judgement] = []
    for one in engines.value:
        if isinstance(one.answers, Unknown):
            judgements.append(unknown(one.answers, one.name))
        elif not one.answers.value:
            judgements.append(
                warn(
                    f"{one.name} does not answer this user",
                    f"`systemctl status {one.name}`; `usermod -aG {one.name} USER`",
                )
            )
        elif "nvidia" in (known(one.runtimes) or ()) or known(one.cdi):
            judgements.append(ok(one.name))
        elif isinstance(one.runtimes, Unknown) or isinstance(one.cdi, Unknown):
            reason = one.runtimes if isinstance(one.runtimes, Unknown) else one.cdi
            judgements.append(
                unknown(reason if isinstance(reason, Unknown) else Unknown(""), f"runtimes of {one.name}")
            )
        else:
            judgements.append(
                warn(
                    f"{one.name} has neither NVIDIA's runtime nor CDI: `--gpus all` fails",
                    f"`nvidia-ctk runtime configure --runtime={one.name} && systemctl restart {one.name}`",
                    script=(f"nvidia-ctk runtime configure --runtime={one.name}", f"systemctl restart {one.name}"),
                )
            )
    return together(judgements)


def the_compiler_is_served_by_the_driver(host: HostFacts) -> Judgement | None:
    """What `nvcc` builds runs here: its CUDA has no greater major version than the driver serves."""
    if not host.nvidia.gpus:
        return None
    nvcc = host.cuda.nvcc_on_path
    if isinstance(nvcc, Unknown):
        return unknown(nvcc, "nvcc")
    if nvcc.value is None:
        return None
    if isinstance(host.nvidia.driver, Unknown):
        return unknown(host.nvidia.driver, "driver")
    serves = host.nvidia.driver.value.cuda
    if isinstance(serves, Unknown):
        return unknown(serves, "the driver's CUDA")
    if not numbers(nvcc.value) or not numbers(serves.value):
        return unknown(Unknown(f"not a version: `{nvcc.value[:20]}`"), "nvcc")
    if numbers(nvcc.value)[0] > numbers(serves.value)[0]:
        return warn(
            f"nvcc is of CUDA {nvcc.value}, the driver serves CUDA {serves.value}: what it builds does not start here",
            f"build with a CUDA {numbers(serves.value)[0]} toolkit, or upgrade the driver",
        )
    return ok(f"nvcc {nvcc.value}, the driver serves CUDA up to {serves.value}")


def the_rows_are_fresh(host: HostFacts, references: References) -> Judgement:  # noqa: ARG001 - every lookup takes a host
    """Matrix and advisories were looked at within half a year."""
    judgements: list[Judgement] = []
    for edition in references.editions:
        days = edition.age_days(references.today)
        named = f"{edition.name} of {edition.as_of}"
        if days is None:
            judgements.append(unknown(Unknown(f"not before today ({references.today})"), named))
        elif days > OLD_DAYS:
            judgements.append(warn(f"{named} ({edition.place}) is {days} days old: newer holes are not known here"))
        else:
            judgements.append(ok(f"{named} ({edition.place}), {days} days old"))
    return together(judgements) or unknown(Unknown("none were read"), "rows")


CHECKS = (
    Check(
        code="CTR001",
        title="NVIDIA's container toolkit is installed",
        lookup=the_toolkit_is_installed,
        why="Docker and Podman hand a card into a container by its hooks or its device specifications.",
        fix="install nvidia-container-toolkit",
        source="NVIDIA container toolkit, installation guide",
    ),
    Check(
        code="CTR002",
        title="The container toolkit has no published hole",
        lookup=the_toolkit_has_no_known_hole,
        why="Its holes let an image take over the host.",
        fix="upgrade nvidia-container-toolkit",
        source="NVIDIA product security bulletins of July 2025 and June 2026",
    ),
    Check(
        code="CTR003",
        title="Container device specifications are of this driver",
        judge=device_specifications_are_current,
        why="They name the driver's files one by one; after an upgrade of the driver these are gone.",
        fix="nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
        source="Container Device Interface; `nvidia-ctk cdi list`",
    ),
    Check(
        code="CTR004",
        title="A container engine hands on the cards",
        judge=a_container_engine_hands_on_cards,
        why="The compose target asks it for them.",
        fix="nvidia-ctk runtime configure --runtime=docker && systemctl restart docker",
        source="docker info, Runtimes; CDI from Docker 28.2 on",
    ),
    Check(
        code="CUD001",
        title="What nvcc builds runs on this driver",
        judge=the_compiler_is_served_by_the_driver,
        why='A program built on a greater CUDA than the driver serves ends with "driver version is insufficient".',
        fix="build with an older toolkit, or upgrade the driver",
        source="NVIDIA CUDA compatibility guide; `cuda_version` is no field of `nvidia-smi --query-gpu`",
    ),
    Check(
        code="DAT001",
        title="The engine matrix and the advisories are fresh",
        lookup=the_rows_are_fresh,
        why='"No hole is known" is true of the day the rows were last looked at.',
        fix="upgrade llmops, or put newer advisories.json and engines.json into /etc/llmops/data (or $LLMOPS_DATA)",
        source="the files' own `as_of`",
    ),
)
