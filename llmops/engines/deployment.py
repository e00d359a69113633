"""From the lock to everything a template may read: paths of the target host, users, credentials, cards, addresses."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from llmops.domain.binding import Binding
from llmops.domain.deployment import Deployment, Edge, Site
from llmops.domain.engine import DeviceKind, EngineName
from llmops.domain.errors import WrongUsage
from llmops.domain.finding import Where
from llmops.domain.lock import Lock, LockedDeployment
from llmops.domain.places import (
    CONFIGURATION,
    NAME_LIMIT,
    STORE,
    TAKEN_NAMES,
    current_directory,
)
from llmops.domain.ports import every_port, has_gateway
from llmops.domain.visible import ORDER, VARIABLES, visible_cards
from llmops.engines.carried import CONTROL, checked_file_name, checked_program, plain, refused
from llmops.engines.container import container_of
from llmops.engines.edge import edge_of
from llmops.engines.gateway import gateway_site
from llmops.engines.hosted_api import hosted_api_of
from llmops.engines.launch import LAUNCHES, own_words
from llmops.engines.ollama import environment_of
from llmops.engines.together import together_bytes

RESTART_SECONDS = 5
RESTART_MAX_SECONDS = 120
START_LIMIT_BURST = 5
ENV = "/usr/bin/env"

DEVICE_NODES = {DeviceKind.CUDA: ("char-nvidia*",), DeviceKind.ROCM: ("/dev/kfd", "char-drm")}
"""What a unit may open for its cards, as DeviceAllow= takes it.

NVIDIA's drivers are all named so, also that of /dev/nvidia-caps, which a MIG instance is opened by (MIG user guide).
ROCm opens its compute node and the render nodes of all cards it may see, and passes by what the control group denies (Linux,
`kfd_devcgroup_check_permission`); render nodes are named by the order drivers came up in, so all of `drm` are allowed.
"""

DEVICE_GROUPS = {DeviceKind.ROCM: ("render",)}
"""Who may open them: ROCm's nodes are root:render 0660 (systemd, rules.d/50-udev-default.rules); NVIDIA's are for everyone."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_UUID = re.compile(r"[A-Za-z0-9/-]{1,80}")
_THREADS = re.compile(r"[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*")
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD")


def site(
    lock: Lock,
    *,
    systemd_version: int,
    engine_path: str | None = None,
    images: Mapping[EngineName, str] | None = None,
) -> Site:
    """Everything that is rendered from `lock`. Raises `WrongInput` with the field where a value could not be carried safely."""
    if not lock.deployments:
        raise refused("deployments", "there is none")
    _refuse_other_cards(lock)
    engines = {one.engine.name for one in lock.deployments.values()}
    if engine_path is not None and len(engines) > 1:
        raise WrongUsage("--engine-path with several engines in the lock", hint="leave it out, or split the profile")
    gateway = has_gateway(lock.serve, lock.targets)
    deployments = tuple(
        _deployment(
            name,
            one,
            engine_path=engine_path,
            image=(images or {}).get(one.engine.name),
            first=at == 0,
            fallbacks=_fallbacks(name, lock) if gateway else (),
            gateway_port=one.numbers.gateway_port.value if gateway else None,
        )
        for at, (name, one) in enumerate(lock.deployments.items())
    )
    edge = edge_of(lock)
    hosted_api = hosted_api_of(lock, gateway=gateway)
    _refuse_shared_ports(lock, edge)
    return Site(
        deployments=deployments,
        edge=edge,
        gateway=gateway_site(one.numbers for one in deployments) if gateway else None,
        targets=lock.targets,
        systemd_version=systemd_version,
        made_by=lock.made_by,
        memory_max_bytes=together_bytes(lock, gateway=gateway),
        hosted_api=hosted_api,
        swap=lock.host.swap,
    )


def _fallbacks(name: str, lock: Lock) -> tuple[str, ...]:
    """The deployments that answer for `name`. Raises `WrongInput` for one that is not there, or is the same."""
    key = f"deployments.{name}.fallback"
    chosen = lock.deployments[name].fallback
    for other in chosen:
        if other == name or other not in lock.deployments:
            raise refused(key, f"{other[:40]!r} is not another deployment")
    if len(set(chosen)) != len(chosen):
        raise refused(key, "a deployment is named twice")
    return chosen


def _refuse_other_cards(lock: Lock) -> None:
    """Cards whose devices and variables no template knows."""
    for name, one in lock.deployments.items():
        other = next((card for card in one.devices if card.kind not in DEVICE_NODES), None)
        if other is not None:
            message = f"`{name}` is planned for {other.name}: files are rendered for NVIDIA's and AMD's cards, or without a card"
            hint = "`llmops plan MODEL --gpu none --out llmops.lock` plans for the processor alone"
            raise WrongUsage(message, hint=hint, where=Where(key=f"deployments.{name}.devices"))


def _deployment(
    name: str,
    locked: LockedDeployment,
    *,
    engine_path: str | None,
    image: str | None,
    first: bool,
    fallbacks: tuple[str, ...],
    gateway_port: int | None,
) -> Deployment:
    field = f"deployments.{name}"
    if not _NAME.fullmatch(name) or len(name) > NAME_LIMIT:
        raise refused(field, f"a deployment's name is a-z, 0-9 and `-`, at most {NAME_LIMIT} long")
    if name in TAKEN_NAMES:
        raise refused(field, f"`llmops-{name}` belongs to the files around the deployments: take another name")
    engine, launch = locked.engine.name, LAUNCHES[locked.engine.name]
    program = (launch.program or "") if engine_path is None else checked_program(engine_path)
    directory = current_directory(STORE, name)
    files = _model_files(locked, directory, field)
    model = directory if launch.takes_directory else files[0]
    argv = _resolved(_with_projector(locked, files, field), model, field)
    nodes, groups, kind = _devices(locked)
    numbers = locked.numbers
    return Deployment(
        name=name,
        unit=f"llmops-{name}",
        user=f"llmops-{name}",
        engine=engine,
        engine_build=plain(locked.engine.build, f"{field}.engine.build"),
        program=program,
        argv=_command(locked, argv, program),
        has_key=launch.has_key,
        environment=_environment(locked),
        host_environment=_visible_cards(locked, field),
        model_path=model,
        model_directory=directory,
        model_files=files,
        served_name=locked.served_name() or name,
        port=numbers.engine_port.value,
        gateway_port=gateway_port,
        fallbacks=fallbacks,
        starts_after=tuple(f"llmops-{other}.service" for other in locked.starts_after),
        role=locked.role(),
        health_path=launch.health_path,
        device_kind=kind,
        device_nodes=nodes,
        device_groups=groups,
        binding=_binding(locked, field),
        gpu_count=len(locked.devices),
        gpu_indices=tuple(one.index for one in locked.devices if one.index is not None),
        gpu_uuids=tuple(one.uuid for one in locked.devices if one.uuid is not None),
        numbers=numbers,
        start_limit_seconds=START_LIMIT_BURST * (numbers.start_timeout_seconds.value + RESTART_MAX_SECONDS),
        start_limit_burst=START_LIMIT_BURST,
        restart_seconds=RESTART_SECONDS,
        restart_max_seconds=RESTART_MAX_SECONDS,
        route="" if first else f"/{name}",
        environment_file=CONFIGURATION / f"{name}.env",
        key_file=CONFIGURATION / "secrets" / f"{name}.engine-key",
        edge_key_file=PurePosixPath(f"/etc/nginx/llmops/engine-{name}.conf"),
        metrics_key_file=PurePosixPath(f"/etc/prometheus/llmops-{name}.key"),
        container=container_of(name, locked, argv, files=files, image=image),
    )


def _devices(locked: LockedDeployment) -> tuple[tuple[str, ...], tuple[str, ...], DeviceKind | None]:
    """Nodes and groups of the cards, and their kind: of one maker, since no engine joins two."""
    if not locked.devices:
        return (), (), None
    kind = locked.devices[0].kind
    return DEVICE_NODES[kind], DEVICE_GROUPS.get(kind, ()), kind


def _binding(locked: LockedDeployment, field: str) -> Binding | None:
    bound = locked.binding
    if bound is not None and not all(_THREADS.fullmatch(text) for text in (bound.nodes, bound.threads or "0")):
        raise refused(f"{field}.binding", "processors and memory nodes are lists such as `0-15,32-47`")
    return bound


def _command(locked: LockedDeployment, argv: Sequence[str], program: str) -> tuple[str, ...]:
    """Ollama's variables stand in the command itself, so that no file of variables wins over the plan."""
    words = own_words(LAUNCHES[locked.engine.name], argv)
    if locked.engine.name is EngineName.OLLAMA:
        return (ENV, *(f"{name}={value}" for name, value in environment_of(argv).items()), program, *words)
    return (program, *argv[1:])


def _model_files(locked: LockedDeployment, directory: PurePosixPath, field: str) -> tuple[PurePosixPath, ...]:
    """The file to open first (of a split GGUF its first part, the engine finds the others beside it), then the projector."""
    key = f"{field}.model.files"
    if not locked.model.files:
        raise refused(key, "the lock names no file")
    names = [checked_file_name(one.name, key) for one in locked.model.files]
    projectors = [name for name in names if "mmproj" in PurePosixPath(name).name.lower()]
    models = [name for name in names if name not in projectors] or names
    if locked.engine.name is EngineName.OLLAMA and len(models) > 1:
        raise refused(key, "Ollama takes a model of one GGUF file: `llama-gguf-split --merge` joins the parts")
    return tuple(directory / name for name in (models[0], *projectors))


def _with_projector(locked: LockedDeployment, files: Sequence[PurePosixPath], field: str) -> tuple[str, ...]:
    """`{projector}` replaced by the mmproj file of the lock, which lies beside the model."""
    if not any("{projector}" in word for word in locked.argv):
        return locked.argv
    if len(files) != 2:
        raise refused(f"{field}.argv", "`{projector}` needs one mmproj file among the model's files")
    return tuple(word.replace("{projector}", str(files[1])) for word in locked.argv)


def _resolved(argv: tuple[str, ...], model: PurePosixPath, field: str) -> tuple[str, ...]:
    """`{model}` replaced; `{credentials}` stays. No word may carry a control character, none may be a key."""
    if not argv:
        raise refused(f"{field}.argv", "it is empty")
    for at, word in enumerate(argv):
        if CONTROL.search(word):
            raise refused(f"{field}.argv[{at}]", "a control character")
        if word in ("--api-key", "--ssl-keyfile-password") or word.startswith("--api-key="):
            raise refused(f"{field}.argv[{at}]", f"`{word}` puts a key where every local user can read it")
    if not any("{model}" in word for word in argv) and argv[-2:] != ("ollama", "serve"):
        raise refused(f"{field}.argv", "`{model}` is not in it: the model's place on the target could not be written")
    return tuple(word.replace("{model}", str(model)) for word in argv)


def _environment(locked: LockedDeployment) -> tuple[tuple[str, str], ...]:
    """Settings without secrets. A CUDA build without planned cards must not take one for large batches."""
    values: dict[str, str] = {}
    if not locked.devices:
        values["CUDA_VISIBLE_DEVICES"] = ""
    elif locked.devices[0].kind is DeviceKind.CUDA:
        values |= dict([ORDER])
    if locked.engine.name.takes_pool():
        values |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    if locked.engine.name is EngineName.VLLM:
        values["VLLM_NO_USAGE_STATS"] = "1"
    if locked.engine.name is EngineName.OLLAMA:  # its command line says which cards
        values.pop("CUDA_VISIBLE_DEVICES", None)
    for name in values:
        if _SECRET_NAME.search(name):
            raise refused(f"environment.{name}", "a secret has no place in the environment")
    return tuple(values.items())


def _visible_cards(locked: LockedDeployment, field: str) -> tuple[tuple[str, str], ...]:
    """The cards by UUID where all are known, else by number (PCI bus order), else whatever the host has."""
    for one in locked.devices:
        if one.uuid is not None and not _UUID.fullmatch(one.uuid):
            raise refused(f"{field}.devices", f"{one.uuid[:60]!r} is not a card's UUID")
    if not locked.devices or locked.devices[0].kind not in VARIABLES:
        return ()
    kind = locked.devices[0].kind
    variables = visible_cards([one.uuid for one in locked.devices], [one.index for one in locked.devices], kind=kind)
    return tuple(pair for pair in variables if pair != ORDER)  # the order is said in `_environment`


def _refuse_shared_ports(lock: Lock, edge: Edge) -> None:
    seen: dict[int, str] = {}
    for port in every_port(lock.serve, lock.targets, lock.deployments, edge_port=edge.port):
        if not 0 < port.number < 65536:
            raise refused(port.field, f"{port.number} is not a port")
        if port.number in seen:
            raise refused(port.field, f"port {port.number} is also {seen[port.number]}")
        seen[port.number] = port.field
