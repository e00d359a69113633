"""Locks rendered with the shipped templates, as the command does it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import locks

from llmops.domain.deployment import RenderedFile, Site
from llmops.domain.lock import Lock, LockedDeployment
from llmops.domain.numbers import Number
from llmops.domain.profile import FallbackApi, HostWish, Serve, SwapWish
from llmops.engines.deployment import site
from llmops.formats.target import parse_target
from llmops.library import shipped
from llmops.render import render

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
EVERY_TARGET = ("systemd", "env", "compose", "nginx", "haproxy", "prometheus", "host-tuning")


def three_models() -> dict[str, LockedDeployment]:
    """Chat and embeddings on one card, and a small one on the processor that stands in for the first."""
    embed = locks.vllm_gpu(alias="embed", port=8081)
    return {
        "chat": replace(locks.llama_gpu(), fallback=("small",)),
        "embed": replace(
            embed,
            settings=replace(embed.settings, embeddings=True),
            argv=(*embed.argv, "--runner", "pooling", "--convert", "embed"),
            features=replace(embed.features, embeddings=True),
            starts_after=("chat",),
        ),
        "small": locks.llama_cpu(alias="small", port=8082),
    }


WITHOUT_UNITS = tuple(target for target in EVERY_TARGET if target != "systemd")


def on_amd(deployment: LockedDeployment) -> LockedDeployment:
    """The same deployment on a card of AMD's."""
    return replace(deployment, devices=locks.amd_gpu().devices[:1])


CASES: dict[str, Lock] = {
    "llama_cpp_cpu": locks.lock({"chat": locks.llama_cpu()}, targets=EVERY_TARGET),
    "llama_cpp_gpu": locks.lock(
        {"chat": locks.llama_gpu()},
        targets=EVERY_TARGET,
        serve=Serve(listen="0.0.0.0:443", hostname="llm.example.internal"),
    ),
    "vllm_gpu": locks.lock({"chat": locks.vllm_gpu()}, targets=EVERY_TARGET),
    "llama_cpp_amd": locks.lock({"chat": locks.bound(locks.amd_gpu())}, targets=EVERY_TARGET),
    "vllm_amd": locks.lock({"chat": on_amd(locks.vllm_gpu())}, targets=EVERY_TARGET),
    "ollama_gpu": locks.lock({"chat": locks.ollama_gpu()}, targets=EVERY_TARGET),
    "sglang_gpu": locks.lock({"chat": locks.sglang_gpu()}, targets=EVERY_TARGET),
    "three_models": locks.lock(three_models(), targets=EVERY_TARGET),
    "tgi_gpu": locks.lock({"chat": locks.tgi_gpu()}, targets=WITHOUT_UNITS),
    "fallback_api": locks.lock(
        {"chat": locks.llama_cpu()},
        targets=EVERY_TARGET,
        host=HostWish(swap=SwapWish.FILE),
        serve=Serve(
            fallback_api=FallbackApi(
                url="https://api.example/v1", model="big", key_credential="outside", ca="/etc/ssl/api.crt"
            ),
            client_ca="/etc/ssl/clients.crt",
        ),
    ),
}
"""Every engine, on the processor, on NVIDIA's cards and on AMD's;

In `llama_cpp_amd` bound to a memory node; `fallback_api` has what edge and gateway can have beside, and a swap file.
"""


def site_of(lock: Lock, *, systemd_version: int = 252) -> Site:
    """The site of a lock on a target with this systemd."""
    return site(lock, systemd_version=systemd_version, engine_path=None)


def rendered(
    lock: Lock, *, systemd_version: int = 252, targets: Sequence[str] | None = None
) -> tuple[RenderedFile, ...]:
    """Every file of the lock's targets."""
    templates = shipped.tree("templates")
    names = targets if targets is not None else lock.targets
    chosen = [parse_target(templates[f"{name}/target.yaml"], file=f"{name}/target.yaml") for name in names]
    return render(site_of(lock, systemd_version=systemd_version), targets=chosen, templates=templates)


def text_of(files: Sequence[RenderedFile], path: str) -> str:
    """The text of one path."""
    return next(file.text for file in files if str(file.path) == path)


def with_number(deployment: LockedDeployment, name: str, value: int) -> LockedDeployment:
    """The deployment with one derived figure changed."""
    return replace(deployment, numbers=replace(deployment.numbers, **{name: Number(value=value, rule="test")}))
