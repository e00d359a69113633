"""From the lock to everything a template may read: paths of the target host, users, credentials, cards, addresses."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from llmops.domain.deployment import Container, Deployment, Edge, GatewaySite, Site
from llmops.domain.engine import EngineName
from llmops.domain.errors import WrongInput, WrongUsage
from llmops.domain.finding import Where
from llmops.domain.lock import Lock, LockedDeployment
from llmops.domain.places import CONFIGURATION, NAME_LIMIT, STORE, current_directory
from llmops.domain.profile import Gateway, SelfSigned, Serve, TlsFiles
from llmops.domain.visible import ORDER, visible_cards

PROGRAMS = {EngineName.LLAMA_CPP: "/usr/bin/llama-server", EngineName.VLLM: "/opt/llmops/vllm/bin/vllm"}
"""Where the engines lie on the target: Debian's package, and the virtual environment of llmops."""

HEALTH_PATH = "/health"
"""llama-server and vLLM answer it without a key: 200 when the model can be asked, 503 while it loads."""

GATEWAY_METRICS_PORT = 8405
GATEWAY_CONNECTIONS = 2048
GATEWAY_LAST_SECONDS = 10
GATEWAY_TARGET = "haproxy"
CONTAINER_USER_ID = 10001
CONTAINER_SECRETS = "/run/secrets"
RESTART_SECONDS = 5
RESTART_MAX_SECONDS = 120
START_LIMIT_BURST = 5

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_PATH = re.compile(r"/[A-Za-z0-9._/@+-]+")
_PROGRAM = re.compile(r"/[^\x00-\x1f\"'\\$%;{}#]+")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}")
_UUID = re.compile(r"[A-Za-z0-9/-]{1,80}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
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
        raise _refused("deployments", "there is none")
    _refuse_unrendered(lock)
    engines = {one.engine.name for one in lock.deployments.values()}
    if engine_path is not None and len(engines) > 1:
        raise WrongUsage("--engine-path with several engines in the lock", hint="leave it out, or split the profile")
    gateway = lock.serve.gateway is Gateway.HAPROXY and GATEWAY_TARGET in lock.targets
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
    edge = _edge(lock, max(one.numbers.body_limit_bytes.value for one in deployments))
    _refuse_shared_ports(deployments, edge)
    return Site(
        deployments=deployments,
        edge=edge,
        gateway=_gateway(deployments) if gateway else None,
        targets=lock.targets,
        systemd_version=systemd_version,
        made_by=lock.made_by,
    )


def _gateway(deployments: Sequence[Deployment]) -> GatewaySite:
    drain = max(one.numbers.stop_timeout_seconds.value for one in deployments)
    return GatewaySite(
        unit="llmops-gateway",
        user="llmops-gateway",
        metrics_port=GATEWAY_METRICS_PORT,
        connections=GATEWAY_CONNECTIONS,
        drain_seconds=drain,
        stop_timeout_seconds=drain + GATEWAY_LAST_SECONDS,
    )


def _fallbacks(name: str, lock: Lock) -> tuple[str, ...]:
    """The deployments that answer for `name`. Raises `WrongInput` for one that is not there, or is the same."""
    key = f"deployments.{name}.fallback"
    chosen = lock.deployments[name].fallback
    for other in chosen:
        if other == name or other not in lock.deployments:
            raise _refused(key, f"{other[:40]!r} is not another deployment")
    if len(set(chosen)) != len(chosen):
        raise _refused(key, "a deployment is named twice")
    return chosen


def _refuse_unrendered(lock: Lock) -> None:
    """Engines that are planned and explained, and have no template yet."""
    for name, one in lock.deployments.items():
        if one.engine.name not in PROGRAMS:
            engine = one.engine.name.value
            message = f"`{name}` is planned for {engine}, and this version has no template of its unit and its model store yet"
            other = (
                "vllm` plans the same files for vLLM"
                if one.engine.name.takes_pool()
                else "llama.cpp` plans the same file"
            )
            hint = f"`--engine {other}, which is rendered; or put the lock's `argv` into a unit of your own"
            raise WrongUsage(message, hint=hint)


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
        raise _refused(field, f"a deployment's name is a-z, 0-9 and `-`, at most {NAME_LIMIT} long")
    engine = locked.engine.name
    program = PROGRAMS[engine] if engine_path is None else _checked_program(engine_path)
    directory = current_directory(STORE, name)
    model = directory if engine is EngineName.VLLM else directory / _first_file(locked, field)
    argv = _resolved(_with_projector(locked, directory, field), model, field)
    numbers = locked.numbers
    return Deployment(
        name=name,
        unit=f"llmops-{name}",
        user=f"llmops-{name}",
        engine=engine,
        engine_build=_plain(locked.engine.build, f"{field}.engine.build"),
        program=program,
        argv=(program, *argv[1:]),
        environment=_environment(locked),
        host_environment=_visible_cards(locked, field),
        model_path=model,
        model_directory=directory,
        served_name=locked.served_name() or name,
        port=numbers.engine_port.value,
        gateway_port=gateway_port,
        fallbacks=fallbacks,
        health_path=HEALTH_PATH,
        uses_gpu=bool(locked.devices),
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
        container=_container(name, locked, argv, image),
    )


def _first_file(locked: LockedDeployment, field: str) -> str:
    """The file to open first: of a split GGUF its first part; the engine finds the others beside it."""
    key = f"{field}.model.files"
    if not locked.model.files:
        raise _refused(key, "the lock names no file")
    name = locked.model.files[0].name
    parts = PurePosixPath(name).parts
    if _CONTROL.search(name) or name.startswith("/") or ".." in parts or not parts:
        raise _refused(key, f"the file name {name[:60]!r} cannot be written into a unit")
    return name


def _with_projector(locked: LockedDeployment, directory: PurePosixPath, field: str) -> tuple[str, ...]:
    """`{projector}` replaced by the mmproj file of the lock, which lies beside the model."""
    if not any("{projector}" in word for word in locked.argv):
        return locked.argv
    names = [one.name for one in locked.model.files if "mmproj" in PurePosixPath(one.name).name.lower()]
    if (
        len(names) != 1
        or _CONTROL.search(names[0])
        or names[0].startswith("/")
        or ".." in PurePosixPath(names[0]).parts
    ):
        raise _refused(f"{field}.argv", "`{projector}` needs one mmproj file among the model's files")
    return tuple(word.replace("{projector}", str(directory / names[0])) for word in locked.argv)


def _resolved(argv: Sequence[str], model: PurePosixPath, field: str) -> tuple[str, ...]:
    """`{model}` replaced; `{credentials}` stays. No word may carry a control character, none may be a key."""
    if not argv:
        raise _refused(f"{field}.argv", "it is empty")
    for at, word in enumerate(argv):
        if _CONTROL.search(word):
            raise _refused(f"{field}.argv[{at}]", "a control character")
        if word in ("--api-key", "--ssl-keyfile-password") or word.startswith("--api-key="):
            raise _refused(f"{field}.argv[{at}]", f"`{word}` puts a key where every local user can read it")
    if not any("{model}" in word for word in argv):
        raise _refused(f"{field}.argv", "`{model}` is not in it: the model's place on the target could not be written")
    return tuple(word.replace("{model}", str(model)) for word in argv)


def _environment(locked: LockedDeployment) -> tuple[tuple[str, str], ...]:
    """Settings without secrets. A CUDA build without planned cards must not take one for large batches."""
    values: dict[str, str] = {}
    values |= {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"} if locked.devices else {"CUDA_VISIBLE_DEVICES": ""}
    if locked.engine.name is EngineName.VLLM:
        values |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    for name in values:
        if _SECRET_NAME.search(name):
            raise _refused(f"environment.{name}", "a secret has no place in the environment")
    return tuple(values.items())


def _visible_cards(locked: LockedDeployment, field: str) -> tuple[tuple[str, str], ...]:
    """The cards by UUID where all are known, else by number (PCI bus order), else whatever the host has."""
    for one in locked.devices:
        if one.uuid is not None and not _UUID.fullmatch(one.uuid):
            raise _refused(f"{field}.devices", f"{one.uuid[:60]!r} is not a card's UUID")
    variables = visible_cards([one.uuid for one in locked.devices], [one.index for one in locked.devices])
    return tuple(pair for pair in variables if pair != ORDER)  # the order is said in `_environment`


def _container(name: str, locked: LockedDeployment, argv: Sequence[str], image: str | None) -> Container:
    """The container listens on its own interface (the port is published on the host's loopback only).

    vLLM's key comes from the secret through the environment of the process itself: in argv `ps` would show it.
    """
    if image is not None and not _IMAGE.fullmatch(image):
        raise WrongUsage(f"`{image[:120]}` is not an image by digest", hint="--image NAME@sha256:<64 hex digits>")
    words = list(argv)
    if "--host" in words[:-1]:
        words[words.index("--host") + 1] = "0.0.0.0"  # noqa: S104 - inside the container's own network
    words = [word.replace("{credentials}", CONTAINER_SECRETS) for word in words]
    health = f"http://127.0.0.1:{locked.numbers.engine_port.value}{HEALTH_PATH}"
    vllm = locked.engine.name is EngineName.VLLM
    key = f"{CONTAINER_SECRETS}/engine-key"
    start = f'test -s {key} || exit 78; VLLM_API_KEY="$(cat {key})" exec vllm serve "$@"'
    fetch = f"import urllib.request as u; u.urlopen({health!r}, timeout=3)"
    return Container(
        image=image,
        entrypoint=("/bin/sh", "-c", start, "--") if vllm else (),
        argv=tuple(words[2:] if vllm and words[1:2] == ["serve"] else words[1:]),
        health=("CMD", "python3", "-c", fetch) if vllm else ("CMD", "curl", "-fsS", "-m", "3", health),
        key_file=CONFIGURATION / "compose" / name / "engine-key",
        user_id=CONTAINER_USER_ID,
    )


def _edge(lock: Lock, body_limit_bytes: int) -> Edge:
    address, port = _listen(lock.serve)
    hostname = lock.serve.hostname
    is_address = _is_address(hostname)
    if not is_address and (len(hostname) > 253 or not all(_LABEL.fullmatch(part) for part in hostname.split("."))):
        raise _refused("serve.hostname", f"{hostname[:80]!r} is neither a host name nor an address")
    certificate, key = _certificate(lock.serve.tls)
    return Edge(
        address=address,
        port=port,
        hostname=hostname,
        hostname_is_address=is_address,
        certificate=certificate,
        certificate_key=key,
        self_signed=isinstance(lock.serve.tls, SelfSigned),
        audit_log=lock.observe.audit_log,
        retention_days=lock.observe.retention_days,
        body_limit_bytes=body_limit_bytes,
    )


def _listen(serve: Serve) -> tuple[str, int]:
    address, _, port = serve.listen.rpartition(":")
    bare = "127.0.0.1" if address == "localhost" else address.removeprefix("[").removesuffix("]")
    if not _is_address(bare) or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise _refused(
            "serve.listen", f"{serve.listen[:80]!r} is not ADDRESS:PORT, such as 127.0.0.1:8443 or [::]:8443"
        )
    return bare, int(port)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _certificate(tls: SelfSigned | TlsFiles) -> tuple[PurePosixPath, PurePosixPath]:
    if isinstance(tls, TlsFiles):
        return (
            PurePosixPath(checked_path(tls.certificate, "serve.tls.certificate")),
            PurePosixPath(checked_path(tls.key, "serve.tls.key")),
        )
    return PurePosixPath("/etc/nginx/llmops/tls.crt"), PurePosixPath("/etc/nginx/llmops/tls.key")


def _refuse_shared_ports(deployments: Sequence[Deployment], edge: Edge) -> None:
    seen = {edge.port: "serve.listen"}
    if any(one.gateway_port is not None for one in deployments):
        seen[GATEWAY_METRICS_PORT] = "the gateway's metrics"
    for one in deployments:
        for name, port in (("engine_port", one.port), ("gateway_port", one.gateway_port)):
            if port is None:
                continue
            field = f"deployments.{one.name}.numbers.{name}"
            if not 0 < port < 65536:
                raise _refused(field, f"{port} is not a port")
            if port in seen:
                raise _refused(field, f"port {port} is also {seen[port]}")
            seen[port] = field


def checked_path(text: str, field: str) -> str:
    """An absolute path that means the same to every consumer, unquoted: no blank, quote, `$`, `%` or control character."""
    if not _PATH.fullmatch(text) or ".." in PurePosixPath(text).parts:
        raise _refused(field, f"{text[:80]!r} is not an absolute path of letters, digits and . _ @ + - /")
    return text


def _checked_program(text: str) -> str:
    """A program's path may hold blanks and any letter; each consumer quotes it."""
    if not _PROGRAM.fullmatch(text) or ".." in PurePosixPath(text).parts or _CONTROL.search(text):
        raise _refused("--engine-path", f"{text[:80]!r} is not an absolute path without quotes, `$`, `%` or `\\`")
    return text


def _plain(text: str, field: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._+ <>=,-]{0,80}", text):
        raise _refused(field, f"{text[:60]!r} has characters a comment cannot carry")
    return text


def _refused(field: str, why: str) -> WrongInput:
    return WrongInput(why, where=Where(key=field), hint="change it in the profile and run `llmops plan --out` again")
