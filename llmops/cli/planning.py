"""From a profile and a host to plans and a lock: what `plan` and `quickstart` share."""

from dataclasses import replace
from pathlib import Path

from llmops.cli.hardware import Hardware
from llmops.cli.opened import Opened
from llmops.domain.engine import Device, EngineName, FlashAttention, Wishes
from llmops.domain.errors import WrongUsage
from llmops.domain.explained import OwnParameters
from llmops.domain.finding import Finding
from llmops.domain.model import ModelShape
from llmops.domain.places import deployment_name
from llmops.domain.plan import Plan
from llmops.domain.profile import AllGpus, Auto, EngineChoice, Intent, Profile
from llmops.domain.records import dataclass
from llmops.domain.units import size_bytes
from llmops.library import files
from llmops.sizing.findings import findings, unused
from llmops.views.ledger import what_is_missing
from llmops.views.plan import way_out

PROFILE = "llmops.yaml"
FIRST_PORT = 8080
SIZING = (
    *("quantization", "context", "parallel", "kv_cache_type", "kv_unified", "batch", "ubatch", "flash_attention"),
    *("gpu_layers", "tensor_parallel", "gpu_memory_utilization", "gpu_memory_reserve"),
)
"""Options that force a setting the planner would choose."""

LLAMA_CPP_ONLY = ("kv_unified", "ubatch", "flash_attention", "gpu_layers")
POOL_ONLY = ("tensor_parallel", "gpu_memory_utilization")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for; None: the profile's word, else the planner's choice."""

    model: str | None = None
    profile: str | None = None
    gpus: tuple[str, ...] = ()
    facts: str | None = None
    out: str | None = None
    engine: EngineChoice | None = None
    quantization: str | None = None
    context: int | None = None
    parallel: int | None = None
    kv_cache_type: str | None = None
    kv_unified: bool = False
    batch: int | None = None
    ubatch: int | None = None
    flash_attention: FlashAttention | None = None
    gpu_layers: int | None = None
    tensor_parallel: int | None = None
    gpu_memory_utilization: float | None = None
    gpu_memory_reserve: str | None = None
    port: int = FIRST_PORT

    def forces_a_setting(self) -> bool:
        """Whether anything that sizes was typed: the ledger is then for exactly that, and locked also where it does not fit."""
        blank = Options()
        return any(getattr(self, name) != getattr(blank, name) for name in SIZING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One deployment's plan and what pins it: `pin` hashes local files, so it is called for a lock only.

    `starts_after`: deployments on the same cards that have to be up first.
    """

    name: str
    intent: Intent
    opened: Opened
    shape: ModelShape
    plan: Plan
    port: int
    starts_after: tuple[str, ...] = ()


def read_profile(options: Options) -> Profile:
    """The profile file, or one made of the MODEL on the command line."""
    if options.model is not None and options.profile is None:
        return Profile(deployments={deployment_name(options.model): Intent(model=options.model)})
    path = options.profile or PROFILE
    if options.profile is None and not Path(path).exists():
        raise WrongUsage(
            "no MODEL given, and no `llmops.yaml` here",
            hint="`llmops plan qwen3-8b` sizes a model; `llmops init` writes a profile",
        )
    from llmops.formats.profile import parse_profile

    profile = parse_profile(files.read_text(Path(path), hint="`llmops init` writes one"), file=path)
    if options.model is None:
        return profile
    if len(profile.deployments) != 1:
        raise WrongUsage("MODEL and a profile with several deployments", hint="name the model in the profile")
    return replace(
        profile, deployments={name: replace(one, model=options.model) for name, one in profile.deployments.items()}
    )


def said_by_profile(options: Options, profile: Profile) -> dict[str, str]:
    """By option, what the profile's file says of it and where that is: for options that were not given."""
    if options.model is not None and options.profile is None:
        return {}
    blank = Intent(model="")
    found: dict[str, list[str]] = {}
    for name, intent in profile.deployments.items():
        for option, said, default in (
            ("model", intent.model, blank.model),
            ("engine", intent.engine, blank.engine),
            ("quantization", intent.quantization, blank.quantization),
            ("context", intent.workload.context_tokens, blank.workload.context_tokens),
            ("parallel", intent.workload.parallel, blank.workload.parallel),
            ("kv_cache_type", intent.limits.kv_cache_type, blank.limits.kv_cache_type),
            ("gpu_memory_reserve", intent.limits.gpu_memory_reserve, blank.limits.gpu_memory_reserve),
        ):
            if said != default and getattr(options, option) is None:
                text = ", ".join(said) if isinstance(said, tuple) else str(said)
                found.setdefault(option, []).append(text if len(profile.deployments) == 1 else f"{text} for `{name}`")
    return {option: f"{'; '.join(texts)} (profile {options.profile or PROFILE})" for option, texts in found.items()}


def chosen_cards(place: Hardware, profile: Profile) -> Hardware:
    """Only the cards the profile names, by index (of a card in MIG mode all its instances) or UUID."""
    wanted = profile.host.gpus
    if isinstance(wanted, AllGpus) or not place.cards:
        return place
    by_name: dict[str, list[Device]] = {}
    for card in place.cards:
        for key in (card.index, card.uuid):
            if key is not None:
                by_name.setdefault(str(key), []).append(card)
    missing = [str(one) for one in wanted if str(one) not in by_name]
    if missing:
        known = ", ".join(by_name) or "none"
        raise WrongUsage(f"the profile names cards that are not here: {', '.join(missing)}", hint=f"known: {known}")
    named = [card for one in wanted for card in by_name[str(one)]]
    return replace(place, cards=tuple(card for at, card in enumerate(named) if card not in named[:at]))


def refuse_without_effect(options: Options, engines: set[EngineName]) -> None:
    """A typed setting that none of the engines has would be passed over in silence. Raises `WrongUsage`."""
    blank = Options()
    known = {
        *(LLAMA_CPP_ONLY if any(one.runs_llama_cpp() for one in engines) else ()),
        *(POOL_ONLY if any(one.takes_pool() for one in engines) else ()),
    }
    for name in (*LLAMA_CPP_ONLY, *POOL_ONLY):
        if name not in known and getattr(options, name) != getattr(blank, name):
            others = "llama.cpp" if name in LLAMA_CPP_ONLY else "vllm, sglang or tgi"
            raise WrongUsage(
                f"`--{name.replace('_', '-')}` means nothing to {' and '.join(sorted(engines))}",
                hint=f"leave it out, or `--engine` {others}",
            )


def reserve_bytes_of(options: Options, intent: Intent) -> int:
    """What is left free on each card."""
    text = options.gpu_memory_reserve or intent.limits.gpu_memory_reserve
    reserve = size_bytes(text)
    if reserve is None:
        raise WrongUsage(f"`{text}` is not a size", hint="write it with its unit: 1GiB, 512MiB")
    return reserve


def wishes(options: Options, intent: Intent) -> Wishes:
    """The command line's word before the profile's; what was typed is forced, what the profile says too."""
    workload = intent.workload
    context = None if isinstance(workload.context_tokens, Auto) else workload.context_tokens
    if context is None and workload.prompt_tokens_p95 is not None and workload.output_tokens_p95 is not None:
        context = workload.prompt_tokens_p95 + workload.output_tokens_p95
    parallel = None if isinstance(workload.parallel, Auto) else workload.parallel
    return Wishes(
        context_tokens=options.context or context,
        parallel=options.parallel or parallel,
        kv_cache_types=(options.kv_cache_type,) if options.kv_cache_type else intent.limits.kv_cache_type,
        kv_unified=options.kv_unified,
        batch_tokens=options.batch,
        ubatch_tokens=options.ubatch,
        flash_attention=options.flash_attention,
        gpu_layers=options.gpu_layers,
        tensor_parallel=options.tensor_parallel,
        gpu_memory_utilization=options.gpu_memory_utilization,
        forced=frozenset(name for name in ("context", "parallel", "gpu_layers") if getattr(options, name) is not None),
    )


def with_own(asked: Wishes, own: OwnParameters) -> Wishes:
    """A model's own parameters go before what a plan can write into its server's variables, so it is planned with them."""
    return replace(
        asked,
        context_tokens=own.context_tokens or asked.context_tokens,
        batch_tokens=own.batch_tokens or asked.batch_tokens,
        gpu_layers=own.gpu_layers if own.gpu_layers is not None and own.gpu_layers >= 0 else asked.gpu_layers,
    )


def findings_of(planned: Planned, profile: Profile) -> list[Finding]:
    """What a person should know of this plan before using it."""
    plan, opened = planned.plan, planned.opened
    of_plan = findings(
        planned.name,
        plan,
        shape=planned.shape,
        is_header=opened.has_header and opened.engine is EngineName.LLAMA_CPP,
        missing=tuple(what_is_missing(plan.ledger)),
        way_out=way_out(plan),
    )
    return [*of_plan, *unused(planned.intent, profile)]
