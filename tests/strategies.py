"""Hypothesis strategies for domain types, made from the types' own fields: a new field is covered when it is written."""

import importlib
import pkgutil
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import date, datetime
from enum import Enum
from pathlib import PurePosixPath
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import llmops.domain
from llmops.domain.forms import Json
from llmops.domain.lock import LOCK_SCHEMA, Lock, LockedDeployment
from llmops.domain.model import Digest, DigestAlgorithm, ModelFile, ModelRef, ModelShape
from llmops.domain.numbers import Number, Numbers
from llmops.domain.profile import (
    KNOWN_TARGETS,
    PROFILE_SCHEMA,
    AllGpus,
    ChangePolicy,
    FallbackApi,
    HostWish,
    Intent,
    Limits,
    Profile,
    Queue,
    RateLimit,
    Serve,
    TlsFiles,
    Workload,
)
from llmops.domain.reading import Known, Unknown

Key = type[Any] | tuple[type[Any], str]
Overrides = Mapping[Key, SearchStrategy[Any]]

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PRINTED = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\ufeff"), max_size=12)
"""Text without control characters: what profile and lock may hold."""

WHOLE = st.integers(-(1 << 62), 1 << 62)
SIZE = st.integers(0, 1 << 60)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
AMOUNT = st.floats(min_value=0, allow_nan=False, allow_infinity=False)


def domain_types() -> dict[str, type[Any]]:
    """Every dataclass of the domain that has a JSON form, by name.

    All but readings (which have one as fields only), and what no document shows: the bytes of files, what holds the day
    of today, and models, which may hold the model that drafts for them.
    """
    found: dict[str, type[Any]] = {}
    for module in pkgutil.iter_modules(llmops.domain.__path__):
        for name, kind in vars(importlib.import_module(f"llmops.domain.{module.name}")).items():
            if not isinstance(kind, type) or kind.__module__ != f"llmops.domain.{module.name}":
                continue
            if _is_record(kind) and kind not in (Known, Unknown) and not _is_never_shown(kind):
                assert name not in found, f"two domain types are called {name}: a schema tells them apart by name"
                found[name] = kind
    return found


def _is_record(kind: type[Any]) -> bool:
    return is_dataclass(kind)


def _is_never_shown(kind: Any) -> bool:  # noqa: ANN401 - a type form
    if kind in (bytes, date, datetime, ModelShape):
        return True
    if get_args(kind):
        return any(_is_never_shown(one) for one in get_args(kind))
    if isinstance(kind, type) and _is_record(kind):
        return any(_is_never_shown(one) for one in get_type_hints(kind).values())
    return False


def of(kind: Any, overrides: Overrides | None = None) -> SearchStrategy[Any]:  # noqa: ANN401 - a type form
    """Values of any type that has a JSON form."""
    chosen = overrides or {}
    if isinstance(kind, type) and kind in chosen:
        return chosen[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return st.one_of([of(member, chosen) for member in arguments])
    if origin is tuple:
        return _tuples(arguments, chosen)
    if origin is frozenset:
        return st.frozensets(of(arguments[0], chosen), max_size=3)
    if origin is not None and issubclass(origin, Mapping):
        return st.dictionaries(of(str, chosen), of(arguments[1], chosen), max_size=3)
    if origin is Known:
        return st.builds(Known, of(arguments[0], chosen))
    return _plain(kind, chosen)


def _tuples(arguments: tuple[Any, ...], overrides: Overrides) -> SearchStrategy[Any]:
    if len(arguments) == 2 and arguments[1] is ...:
        return st.lists(of(arguments[0], overrides), max_size=3).map(tuple)
    return st.tuples(*[of(one, overrides) for one in arguments])


def _plain(kind: Any, overrides: Overrides) -> SearchStrategy[Any]:  # noqa: ANN401 - a type form
    simple: dict[Any, SearchStrategy[Any]] = {
        bool: st.booleans(),
        int: WHOLE,
        float: FINITE,
        str: TEXT,
        type(None): st.none(),
        PurePosixPath: TEXT.map(PurePosixPath),
        Unknown: st.builds(Unknown, overrides.get(str, TEXT)),
    }
    if kind in simple:
        return simple[kind]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    if not isinstance(kind, type) or not _is_record(kind):
        raise TypeError(f"no strategy for {kind}")
    hints, names = get_type_hints(kind), [one.name for one in fields(kind)]
    chosen = {name: overrides[kind, name] for name in names if (kind, name) in overrides}
    return st.builds(kind, **{name: of(hints[name], overrides) for name in names if name not in chosen}, **chosen)


JSON: SearchStrategy[Json] = st.recursive(
    st.one_of(st.none(), st.booleans(), WHOLE, FINITE, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=12,
)
DOCUMENTS: SearchStrategy[dict[str, Json]] = st.dictionaries(TEXT, JSON, max_size=6)

_HEX = "0123456789abcdef"
NAMES = st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,22}[a-z0-9])?", fullmatch=True)
DIGESTS = st.one_of(
    st.builds(Digest, algorithm=st.just(DigestAlgorithm.SHA256), value=st.text(_HEX, min_size=64, max_size=64)),
    st.builds(Digest, algorithm=st.just(DigestAlgorithm.GIT_SHA1), value=st.text(_HEX, min_size=40, max_size=40)),
)
FILE_NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,30}(?:/[A-Za-z0-9_][A-Za-z0-9_.-]{0,20})?", fullmatch=True)
POSITIVE = st.integers(1, 1 << 40)
SECONDS = st.floats(min_value=0.001, max_value=1e9)

_SERVE: dict[Key, SearchStrategy[Any]] = {
    str: PRINTED,
    int: SIZE,
    (Serve, "listen"): st.sampled_from(["127.0.0.1:8443", "[::1]:443", "0.0.0.0:1", "llm.example:65535"]),
    (Serve, "hostname"): st.sampled_from(["localhost", "llm.example.internal", "10.0.0.1", "a"]),
    (Serve, "fallback_api"): st.sampled_from(
        [
            None,
            FallbackApi(
                url="https://api.example:8443/openai/v1", model='a "b" ü', key_credential="openai", ca="/etc/a.crt"
            ),
        ]
    ),
    (Serve, "client_ca"): st.sampled_from([None, "/etc/ssl/clients.crt"]),
    (TlsFiles, "certificate"): st.just("/etc/ssl/a.pem"),
    (TlsFiles, "key"): st.just("/etc/ssl/a.key"),
    (RateLimit, "requests_per_minute"): POSITIVE,
    (Queue, "timeout_seconds"): st.integers(1, 86_400),
    (Queue, "max_waiting"): st.integers(0, 10_000),
    (ChangePolicy, "freeze"): st.sampled_from([(), ("2026-12-20/2027-01-03",)]),
    (HostWish, "gpus"): st.sampled_from([AllGpus.ALL, (), (0, 1), ("GPU-5d6a1c2e-8f0b-4c1d-9e77-3a1b2c3d4e5f",)]),
}


def _numbers(port: int) -> SearchStrategy[Numbers]:
    some: dict[Key, SearchStrategy[Any]] = {
        (Numbers, one.name): st.builds(Number, value=st.integers(1, 65_535), rule=PRINTED) for one in fields(Numbers)
    }
    overrides = {**_SERVE, **some, (Numbers, "engine_port"): st.builds(Number, value=st.just(port), rule=PRINTED)}
    return of(Numbers, overrides)


@st.composite
def locks(draw: st.DrawFn) -> Lock:
    """Locks as a plan could have made them: safe names, digests of the right length, one port each."""
    names = draw(st.lists(NAMES, min_size=1, max_size=2, unique=True))
    files = st.lists(
        of(ModelFile, {**_SERVE, ModelFile: st.builds(ModelFile, name=FILE_NAMES, bytes=SIZE, digest=DIGESTS)})
    )
    deployments: dict[str, LockedDeployment] = {}
    for at, name in enumerate(names):
        overrides: dict[Key, SearchStrategy[Any]] = {
            **_SERVE,
            (ModelRef, "repository"): st.sampled_from([None, "Qwen/Qwen3-8B-GGUF", "gpt2"]),
            (ModelRef, "commit"): st.sampled_from([None, "90862c4b9d2787eaed51d12237eafdfe7c5f6077"]),
            (ModelRef, "files"): files.map(lambda some: tuple({one.name: one for one in some}.values())),
            (LockedDeployment, "argv"): st.lists(PRINTED, max_size=5).map(lambda words: ("llama-server", *words)),
            (LockedDeployment, "numbers"): _numbers(8080 + at),
            (LockedDeployment, "fallback"): st.just(()),
            (LockedDeployment, "starts_after"): st.just(()),
        }
        made = draw(of(LockedDeployment, overrides))
        deployments[name] = _one_engine(made)
    chosen: dict[Key, SearchStrategy[Any]] = {
        **_SERVE,
        (Lock, "schema"): st.just(LOCK_SCHEMA),
        (Lock, "deployments"): st.just(deployments),
    }
    lock: Lock = draw(of(Lock, chosen))
    return lock


def _one_engine(made: LockedDeployment) -> LockedDeployment:
    """The settings' engine is the deployment's, with at least one slot."""
    settings = replace(made.settings, engine=made.engine.name, parallel=max(1, made.settings.parallel))
    return replace(made, settings=settings)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """Profiles a person could keep."""
    names = draw(st.lists(NAMES, min_size=1, max_size=2, unique=True))
    overrides: dict[Key, SearchStrategy[Any]] = {
        **_SERVE,
        float: SECONDS,
        (Intent, "model"): st.sampled_from(["hf:org/name:Q4_K_M", ("qwen3-8b", "./a b.gguf")]),
        (Intent, "fallback"): st.sampled_from([(), (names[0],)]) if len(names) > 1 else st.just(()),
        (Workload, "context_tokens"): POSITIVE,
        (Workload, "prompt_tokens_p95"): st.none(),
        (Workload, "output_tokens_p95"): st.none(),
        (Workload, "parallel"): POSITIVE,
        (Limits, "kv_cache_type"): st.just(("f16",)),
        (Limits, "gpu_memory_reserve"): st.sampled_from(["1GiB", "512 MiB", "1.5GB"]),
        (Profile, "schema"): st.just(PROFILE_SCHEMA),
        (Profile, "targets"): st.lists(st.sampled_from(KNOWN_TARGETS), unique=True).map(tuple),
    }
    first = {**overrides, (Intent, "fallback"): st.just(())}
    intents = {name: draw(of(Intent, overrides if at else first)) for at, name in enumerate(names)}
    profile: Profile = draw(of(Profile, {**overrides, int: POSITIVE, (Profile, "deployments"): st.just(intents)}))
    return profile
