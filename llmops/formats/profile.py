"""The profile, `llmops.yaml`: read with every mistake named by line and key, written as small as the wish is."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from typing import cast

from llmops.domain.errors import WrongUsage
from llmops.domain.forms import Json, KeyPath, dump
from llmops.domain.hosted_api import CREDENTIAL, api_place
from llmops.domain.places import NAME_LIMIT, TAKEN_NAMES
from llmops.domain.profile import (
    KNOWN_TARGETS,
    PROFILE_SCHEMA,
    AllGpus,
    Auto,
    FallbackApi,
    Intent,
    Profile,
    Serve,
    TlsFiles,
    Workload,
)
from llmops.domain.units import size_bytes
from llmops.formats.listen import address_and_port, freeze_window, is_host
from llmops.formats.plain_data import Migrations, Wrong
from llmops.formats.versioned import parse_versioned
from llmops.formats.yaml_text import read_yaml
from llmops.formats.yaml_writing import quoted, write_yaml

MIGRATIONS: Migrations = {}
"""None yet: `llmops.profile/1` is the first version."""

_MODEL_LINE = re.compile(r"""(\s*model:\s*)("[^"]*"|'[^']*'|[^\s"'\[{][^\s#]*)(\s+#.*)?""")

MOST_WAITING = 10_000
"""With the slots this is what one key may have open at once; nginx's `limit_conn` ends at 65,535."""

LONGEST_WAIT_SECONDS = 86_400

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", re.ASCII)


def parse_profile(text: str, *, file: str) -> Profile:
    """The intent. Raises `WrongInput` with line and key, and "did you mean" for a misspelt word."""
    hint = "`llmops schema profile` says what it may hold; `llmops init --out example.yaml` writes one"
    return parse_versioned(
        Profile, text, file=file, newest=PROFILE_SCHEMA, migrations=MIGRATIONS, check=_check, hint=hint
    )


def dump_profile(profile: Profile) -> str:
    """The file's text: what equals its default is left out."""
    data: dict[str, Json] = {"schema": profile.schema}
    return write_yaml(data | cast("dict[str, Json]", _said(profile)))


def with_model(text: str, model: str, *, file: str) -> str:
    """A profile's text with another model for its only deployment; comments and everything else stay as they are."""
    document = read_yaml(text, file=file)
    names = list(parse_profile(text, file=file).deployments)
    if len(names) != 1:
        hint = f"write the profile without it, then edit the models of {' and '.join(names)}"
        raise WrongUsage("one model for a profile of several deployments", hint=hint)
    path: KeyPath = ("deployments", names[0], "model")
    lines = text.splitlines(keepends=True)
    at = (document.line(path) or 1) - 1
    changed = _MODEL_LINE.sub(lambda found: f"{found[1]}{quoted(model)}{found[3] or ''}", lines[at], count=1)
    made = "".join([*lines[:at], changed, *lines[at + 1 :]])
    if parse_profile(made, file=file).deployments[names[0]].model != model:
        raise document.wrong("the model cannot be replaced on this line", path, hint="edit the file")
    return made


def profile_digest(profile: Profile) -> str:
    """`sha256:` over what the profile says, whatever its layout, comments and spelt-out defaults."""
    text = json.dumps({"schema": profile.schema, "said": _said(profile)}, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _said(value: object) -> Json:
    """The JSON form without the fields that equal their default."""
    if isinstance(value, Mapping):
        return {str(key): _said(item) for key, item in value.items()}
    if not is_dataclass(value) or isinstance(value, type):
        return dump(value)
    form: dict[str, Json] = {}
    for field in fields(value):
        one = getattr(value, field.name)
        made = field.default_factory() if field.default_factory is not MISSING else field.default
        if made is MISSING or one != made or type(one) is not type(made):
            form[field.name.rstrip("_")] = _said(one)
    return form


def check_name(name: str, path: KeyPath, wrong: Wrong) -> None:
    """Refuse a deployment's name that cannot be a unit's, a user's and a folder's name."""
    if not _NAME.fullmatch(name) or len(name) > NAME_LIMIT:
        hint = f"lower-case letters, digits and inner dashes, at most {NAME_LIMIT} characters"
        raise wrong(f"`{name[:40]}` cannot be a deployment's name", path, hint=hint)
    if name in TAKEN_NAMES:
        hint = f"another name, such as `{name}-model`: `llmops-{name}` belongs to the files around the deployments"
        raise wrong(f"`{name}` cannot be a deployment's name", path, hint=hint)


def _check(profile: Profile, wrong: Wrong) -> None:
    if not profile.deployments:
        hint = 'at least one: `deployments: {chat: {model: "hf:org/name-GGUF"}}`'
        raise wrong("no deployment", ("deployments",), hint=hint)
    for name, intent in profile.deployments.items():
        path: KeyPath = ("deployments", name)
        check_name(name, path, wrong)
        _check_intent(name, intent, profile, path, wrong)
    _check_gpus(profile, wrong)
    check_serve(profile.serve, wrong)
    _check_targets(profile.targets, wrong)
    check_freeze(profile.change.freeze, wrong)
    _positive(profile.observe.retention_days, ("observe", "retention_days"), wrong)


def _check_intent(name: str, intent: Intent, profile: Profile, path: KeyPath, wrong: Wrong) -> None:
    models = (intent.model,) if isinstance(intent.model, str) else intent.model
    if not models or not all(one.strip() for one in models):
        raise wrong("no model is named", (*path, "model"), hint="`llmops catalog models` lists what is known by name")
    _check_workload(intent.workload, (*path, "workload"), wrong)
    for field in fields(intent.slo):
        _positive(getattr(intent.slo, field.name), (*path, "slo", field.name), wrong)
    if not intent.limits.kv_cache_type:
        raise wrong("no kind of KV cache is allowed", (*path, "limits", "kv_cache_type"), hint="`[f16, q8_0]`")
    if size_bytes(intent.limits.gpu_memory_reserve) is None:
        raise wrong(
            f"`{intent.limits.gpu_memory_reserve[:40]}` is not a size",
            (*path, "limits", "gpu_memory_reserve"),
            hint="a number and a unit, as `1GiB` or `512MiB`",
        )
    for at, other in enumerate(intent.fallback):
        here: KeyPath = (*path, "fallback", at)
        if other == name:
            raise wrong("a deployment cannot be its own fallback", here)
        if other not in profile.deployments:
            raise wrong(f"no deployment is called `{other[:40]}`", here, hint=nearest(other, profile.deployments))


def _check_workload(workload: Workload, path: KeyPath, wrong: Wrong) -> None:
    for field in fields(workload):
        value = getattr(workload, field.name)
        if isinstance(value, int | float):
            _positive(value, (*path, field.name), wrong)
    prompt, output = workload.prompt_tokens_p95, workload.output_tokens_p95
    if (prompt is None) != (output is None):
        missing = "prompt_tokens_p95" if prompt is None else "output_tokens_p95"
        raise wrong(f"`{missing}` is missing: prompt and output are given together", path)
    if prompt is not None and workload.context_tokens is not Auto.AUTO:
        raise wrong("either `context_tokens`, or prompt and output; not both", (*path, "context_tokens"))


def _check_gpus(profile: Profile, wrong: Wrong) -> None:
    gpus = profile.host.gpus
    if isinstance(gpus, AllGpus):
        return
    for at, gpu in enumerate(gpus):
        path: KeyPath = ("host", "gpus", at)
        if isinstance(gpu, int) and gpu < 0:
            raise wrong(f"no card has the number {gpu}", path)
        if isinstance(gpu, str) and not re.fullmatch(r"(GPU|MIG)-[0-9A-Za-z/-]{4,80}", gpu):
            raise wrong(f"`{gpu[:40]}` is not a card's UUID", path, hint="as `nvidia-smi -L` prints: GPU-…")
        if gpu in gpus[:at]:
            raise wrong(f"the card {gpu} is listed twice", path)


def check_serve(serve: Serve, wrong: Wrong) -> None:
    """Refuse an edge that could not be written into a proxy's configuration."""
    if address_and_port(serve.listen) is None:
        hint = "an address and a port, as `127.0.0.1:8443` or `[::1]:8443`"
        raise wrong(f"`{serve.listen[:60]}` cannot be listened on", ("serve", "listen"), hint=hint)
    if not is_host(serve.hostname):
        raise wrong(f"`{serve.hostname[:60]}` is not a host name", ("serve", "hostname"))
    if isinstance(serve.tls, TlsFiles):
        _full_path(serve.tls.certificate, ("serve", "tls", "certificate"), wrong)
        _full_path(serve.tls.key, ("serve", "tls", "key"), wrong)
    if serve.client_ca is not None:
        _full_path(serve.client_ca, ("serve", "client_ca"), wrong)
    _positive(serve.rate_limit.requests_per_minute, ("serve", "rate_limit", "requests_per_minute"), wrong)
    _not_negative(serve.rate_limit.burst, ("serve", "rate_limit", "burst"), wrong)
    _not_negative(serve.queue.max_waiting, ("serve", "queue", "max_waiting"), wrong)
    _at_most(serve.queue.max_waiting, MOST_WAITING, ("serve", "queue", "max_waiting"), wrong)
    if isinstance(serve.queue.timeout_seconds, int):
        _positive(serve.queue.timeout_seconds, ("serve", "queue", "timeout_seconds"), wrong)
        _at_most(serve.queue.timeout_seconds, LONGEST_WAIT_SECONDS, ("serve", "queue", "timeout_seconds"), wrong)
    if serve.fallback_api is not None:
        _check_fallback_api(serve.fallback_api, ("serve", "fallback_api"), wrong)


def _check_fallback_api(api: FallbackApi, path: KeyPath, wrong: Wrong) -> None:
    if api_place(api.url) is None:
        hint = "as `https://host/v1`: what is asked of it, and its key, never go in the clear"
        raise wrong(f"`{api.url[:60]}` is not the address of an API", (*path, "url"), hint=hint)
    if not 0 < len(api.model) <= 200 or not api.model.isprintable():
        raise wrong(f"{api.model[:60]!r} cannot be a model's name", (*path, "model"))
    if not CREDENTIAL.fullmatch(api.key_credential):
        hint = "a short name, never the key itself, which lies in /etc/llmops/secrets/fallback-api.NAME"
        raise wrong("not a credential's name", (*path, "key_credential"), hint=hint)
    if api.ca is not None:
        _full_path(api.ca, (*path, "ca"), wrong)


def _full_path(text: str, path: KeyPath, wrong: Wrong) -> None:
    if not re.fullmatch(r"/[^\s;{}\"'$\\]+", text):
        raise wrong(f"`{text[:60]}` is not a full path without blanks and quotes", path)


def _check_targets(targets: tuple[str, ...], wrong: Wrong) -> None:
    for at, target in enumerate(targets):
        if target not in KNOWN_TARGETS:
            raise wrong(f"no target `{target[:40]}`", ("targets", at), hint=nearest(target, KNOWN_TARGETS))
        if target in targets[:at]:
            raise wrong(f"the target `{target}` is listed twice", ("targets", at))


def check_freeze(windows: tuple[str, ...], wrong: Wrong) -> None:
    """Refuse windows that are no two days in order."""
    for at, window in enumerate(windows):
        if freeze_window(window) is None:
            hint = "first and last day, as `2026-12-20/2027-01-03`"
            raise wrong(f"`{window[:40]}` is not a span of days", ("change", "freeze", at), hint=hint)


def _positive(value: float | None, path: KeyPath, wrong: Wrong) -> None:
    if value is not None and value <= 0:
        raise wrong(f"expected more than 0, found {value}", path)


def _not_negative(value: int | Auto, path: KeyPath, wrong: Wrong) -> None:
    if isinstance(value, int) and value < 0:
        raise wrong(f"expected 0 or more, found {value}", path)


def _at_most(value: int | Auto, most: int, path: KeyPath, wrong: Wrong) -> None:
    if isinstance(value, int) and value > most:
        raise wrong(f"expected at most {most}, found {value}", path)


def nearest(word: str, known: Iterable[str]) -> str:
    """The nearest known word as a question, or all that are known."""
    choices = sorted(known)
    near = get_close_matches(word[:60], choices, n=1)
    return f"did you mean `{near[0]}`?" if near else f"known: {', '.join(choices)}"
