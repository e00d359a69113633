"""`llmops plan`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from llmops import __version__
from llmops.cli.answer import Answer, JsonOption, QuietOption, StrictOption, Style, VerboseOption, give
from llmops.cli.hardware import Hardware, hardware
from llmops.cli.opening import Opened, Sources, open_model
from llmops.domain.engine import Engine, EngineName, EngineSettings, FlashAttention, Wishes
from llmops.domain.errors import WrongUsage
from llmops.domain.finding import Finding, Status
from llmops.domain.forms import Json
from llmops.domain.lock import Lock, LockedDeployment, LockedDevice, LockedEngine
from llmops.domain.model import ModelRef, ModelShape
from llmops.domain.places import deployment_name
from llmops.domain.plan import Plan, Speed
from llmops.domain.profile import AllGpus, Auto, EngineChoice, Intent, Profile
from llmops.domain.programs import Runner
from llmops.domain.units import size_bytes
from llmops.engines import ENGINES
from llmops.formats.facts import facts_digest
from llmops.formats.lock import dump_lock
from llmops.formats.profile import parse_profile, profile_digest
from llmops.library import files
from llmops.probe.programs import Programs
from llmops.sizing.numbers import numbers
from llmops.sizing.search import search
from llmops.sizing.speed import speed
from llmops.views.plan import plan_result, show_plan
from llmops.views.screen import Screen, Tone, show_findings

PROFILE = "llmops.yaml"
FIRST_PORT = 8080


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One deployment's plan and what pins it: `pin` hashes local files, so it is called for a lock only."""

    name: str
    intent: Intent
    opened: Opened
    shape: ModelShape
    plan: Plan
    port: int


def run(options: Options, *, runner: Runner, sources: Sources) -> Answer:
    """Profile and host → the model's own headers → the search over the engine's ledger → plans, and the lock with `--out`."""
    profile = read_profile(options)
    place = chosen_cards(hardware(gpus=options.gpus, facts=options.facts or profile.host.facts, runner=runner), profile)
    planned = plan_all(profile, place, options, sources)
    findings = [finding for one in planned for finding in findings_of(one, profile)]
    if options.out is not None:
        files.write_atomically(Path(options.out), dump_lock(lock_of(profile, planned, place)))
    return Answer(
        result=result_of(planned),
        show=lambda to: _show(to, planned, findings, out=options.out),
        findings=tuple(findings),
        ok=all(one.plan.ledger.fits() for one in planned),
    )


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
    profile = parse_profile(files.read_text(Path(path)), file=path)
    if options.model is None:
        return profile
    if len(profile.deployments) != 1:
        raise WrongUsage("MODEL and a profile with several deployments", hint="name the model in the profile")
    return replace(
        profile, deployments={name: replace(one, model=options.model) for name, one in profile.deployments.items()}
    )


def chosen_cards(place: Hardware, profile: Profile) -> Hardware:
    """Only the cards the profile names, by index or UUID."""
    wanted = profile.host.gpus
    if isinstance(wanted, AllGpus) or not place.cards:
        return place
    by_name = {str(key): card for card in place.cards for key in (card.index, card.uuid) if key is not None}
    missing = [str(one) for one in wanted if str(one) not in by_name]
    if missing:
        known = ", ".join(by_name) or "none"
        raise WrongUsage(f"the profile names cards that are not here: {', '.join(missing)}", hint=f"known: {known}")
    return replace(place, cards=tuple(by_name[str(one)] for one in wanted))


def plan_all(profile: Profile, place: Hardware, options: Options, sources: Sources) -> list[Planned]:
    """One plan after the other in the profile's order; each later one finds what the earlier ones left free."""
    planned: list[Planned] = []
    for name, intent in profile.deployments.items():
        one = plan_one(name, intent, place, options, sources, port=options.port + len(planned))
        planned.append(one)
        place = _left_by(one.plan, place)
    return planned


def _left_by(plan: Plan, place: Hardware) -> Hardware:
    cards = list(place.cards)
    for at, row in zip(plan.cards, plan.ledger.devices, strict=True):
        cards[at] = replace(cards[at], free_bytes=max(0, cards[at].free_bytes - row.total_bytes()))
    memory = place.host.memory_bytes
    left = None if memory is None else max(0, memory - plan.ledger.host.total_bytes())
    return replace(place, cards=tuple(cards), host=replace(place.host, memory_bytes=left))


def plan_one(name: str, intent: Intent, place: Hardware, options: Options, sources: Sources, *, port: int) -> Planned:
    """The first model of the wish that fits; when none does, the first one's plan with what is missing."""
    first: Planned | None = None
    for model in (intent.model,) if isinstance(intent.model, str) else intent.model:
        room = max(sum(card.free_bytes for card in place.cards), place.host.memory_bytes or 0)
        opened = open_model(
            model,
            engine=options.engine or intent.engine,
            quantization=options.quantization or intent.quantization,
            room_bytes=room,
            pinned=options.out is not None,
            sources=sources,
        )
        engine = ENGINES[opened.engine]
        plan = search(
            opened.shapes,
            model=opened.name,
            alias=name,
            wishes=wishes(options, intent),
            devices=place.cards,
            host=place.host,
            reserve_bytes=_reserve_bytes(options, intent),
            engine=engine,
            port=port,
            speed=lambda shape, settings: _speed(shape, settings, place),
        )
        plan = replace(plan, why=(*opened.notes, *place.notes, *plan.why))
        shape = next((one for one in opened.shapes if one.quantization == plan.quantization), opened.shapes[0])
        planned = Planned(name=name, intent=intent, opened=opened, shape=shape, plan=plan, port=port)
        if plan.ledger.fits():
            return planned
        first = first or planned
    if first is None:
        raise WrongUsage(f"the deployment `{name}` names no model")
    return first


def _speed(shape: ModelShape, settings: EngineSettings, place: Hardware) -> Speed:
    return speed(shape, settings, devices=place.cards, host=place.host, read_bytes_per_second=None)


def _reserve_bytes(options: Options, intent: Intent) -> int:
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


def findings_of(planned: Planned, profile: Profile) -> list[Finding]:
    """What a person should know of this plan before using it."""
    found: list[Finding] = []
    ledger = planned.plan.ledger
    if not ledger.fits():
        found.append(
            Finding(
                code="PLN001",
                status=Status.FAIL,
                message=f"`{planned.name}` does not fit",
                fix=_what_fits(planned.plan),
            )
        )
    found += [
        Finding(code="PLN002", status=Status.WARN, message=f"not sized: {words}") for words in planned.shape.not_sized
    ]
    if (
        not planned.shape.has_chat_template
        and planned.opened.engine is EngineName.LLAMA_CPP
        and planned.opened.has_header
    ):
        message = "the file has no chat template: the server falls back to ChatML, wrong for most models"
        found.append(Finding(code="PLN003", status=Status.WARN, message=message))
    unused = _unused(planned.intent, profile)
    if unused:
        message = f"read and kept in the profile, not used by this version's plan: {', '.join(unused)}"
        found.append(Finding(code="PLN004", status=Status.WARN, message=message))
    return found


def _what_fits(plan: Plan) -> str | None:
    fitting = next((one for one in plan.alternatives if one.fits), None)
    return fitting.why if fitting is not None else None


def _unused(intent: Intent, profile: Profile) -> list[str]:
    """Keys that are part of the profile but that nothing here reads yet, when they differ from their default."""
    default = Intent(model="")
    unused = [
        name
        for name in ("slo", "objective", "features", "fallback", "engine_args")
        if getattr(intent, name) != getattr(default, name)
    ]
    unused += [f"workload.{name}" for name in ("traces", "arrival_rps") if getattr(intent.workload, name) is not None]
    blank = Profile(deployments={})
    unused += [
        f"serve.{name}"
        for name in ("gateway", "fallback_api")
        if getattr(profile.serve, name) != getattr(blank.serve, name)
    ]
    unused += [name for name in ("observe", "change", "cost") if getattr(profile, name) != getattr(blank, name)]
    return unused


def result_of(planned: Sequence[Planned]) -> Json:
    """`result`: the plan and its ledger at the top when there is one deployment, else under their names."""
    each: dict[str, Json] = {one.name: plan_result(one.plan) for one in planned}
    deployments: dict[str, Json] = {"deployments": each}
    only = next(iter(each.values())) if len(each) == 1 else None
    return deployments | only if isinstance(only, dict) else deployments


def lock_of(profile: Profile, planned: Sequence[Planned], place: Hardware) -> Lock:
    """The hand-over to every later command."""
    return Lock(
        made_by=f"llmops {__version__}",
        profile_digest=profile_digest(profile),
        facts_digest=facts_digest(place.facts) if place.facts is not None else None,
        host=replace(profile.host, facts=None),
        serve=profile.serve,
        observe=profile.observe,
        targets=profile.targets,
        change=profile.change,
        deployments={one.name: _locked(one, profile, place) for one in planned},
    )


def _locked(planned: Planned, profile: Profile, place: Hardware) -> LockedDeployment:
    plan = planned.plan
    engine: Engine = ENGINES[planned.opened.engine]
    model: ModelRef = planned.opened.pin(plan.quantization)
    return LockedDeployment(
        model=model,
        quantization=plan.quantization,
        engine=LockedEngine(name=engine.NAME, build=engine.BUILD, versions=engine.VERSIONS),
        settings=plan.settings,
        argv=plan.argv,
        devices=tuple(
            LockedDevice(name=card.name, capacity_bytes=card.capacity_bytes, uuid=card.uuid, index=card.index)
            for card in (place.cards[at] for at in plan.cards)
        ),
        ledger=plan.ledger,
        speed=plan.speed,
        numbers=numbers(
            settings=plan.settings, ledger=plan.ledger, speed=plan.speed, serve=profile.serve, port=planned.port
        ),
        features=planned.intent.features,
        fallback=planned.intent.fallback,
    )


def _show(to: Screen, planned: Sequence[Planned], findings: Sequence[Finding], *, out: str | None) -> None:
    for one in planned:
        if len(planned) > 1:
            to.line(one.name, tone=Tone.TITLE)
        show_plan(one.plan, to)
    if findings:
        to.line()
        show_findings(to, findings)
    to.line()
    if out is not None:
        to.line(f"wrote {out}; next: `llmops pull --lock {out}`", tone=Tone.GOOD)
    elif all(one.plan.ledger.fits() for one in planned):
        to.line("nothing was written; `--out llmops.lock` pins this plan")


def command(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Catalogue id, hf:org/repo[@rev][:QUANT or file], local .gguf or directory; default: the profile's."
        ),
    ] = None,
    *,
    profile: Annotated[
        str | None, typer.Option(help="The intent (default ./llmops.yaml).", envvar="LLMOPS_PROFILE")
    ] = None,
    gpu: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME[:COUNT], a size such as 24GB, or none; repeatable. Default: this host.", envvar="LLMOPS_GPU"
        ),
    ] = None,
    facts: Annotated[
        str | None, typer.Option(help="Plan for the host of this facts file.", envvar="LLMOPS_FACTS")
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="Write the lock here (files are hashed now).", envvar="LLMOPS_OUT")
    ] = None,
    engine: Annotated[EngineChoice | None, typer.Option(help="Which server.", envvar="LLMOPS_ENGINE")] = None,
    quantization: Annotated[str | None, typer.Option(help="Such as Q4_K_M.", envvar="LLMOPS_QUANTIZATION")] = None,
    context: Annotated[
        int | None, typer.Option(min=1, help="Tokens one request may use, prompt and answer.", envvar="LLMOPS_CONTEXT")
    ] = None,
    parallel: Annotated[
        int | None, typer.Option(min=1, max=256, help="Requests in flight.", envvar="LLMOPS_PARALLEL")
    ] = None,
    kv_cache_type: Annotated[str | None, typer.Option(help="f16, q8_0 …", envvar="LLMOPS_KV_CACHE_TYPE")] = None,
    kv_unified: Annotated[
        bool, typer.Option("--kv-unified", help="One pool that all slots share (llama.cpp).")
    ] = False,
    batch: Annotated[int | None, typer.Option(min=1, help="Tokens per batch.", envvar="LLMOPS_BATCH")] = None,
    ubatch: Annotated[
        int | None, typer.Option(min=1, help="Tokens per graph (llama.cpp).", envvar="LLMOPS_UBATCH")
    ] = None,
    flash_attention: Annotated[
        FlashAttention | None, typer.Option(help="Flash attention (llama.cpp).", envvar="LLMOPS_FLASH_ATTENTION")
    ] = None,
    gpu_layers: Annotated[
        int | None, typer.Option(min=0, help="Layers on the cards (llama.cpp).", envvar="LLMOPS_GPU_LAYERS")
    ] = None,
    tensor_parallel: Annotated[
        int | None, typer.Option(min=1, help="Cards that share each layer (vLLM).", envvar="LLMOPS_TENSOR_PARALLEL")
    ] = None,
    gpu_memory_utilization: Annotated[
        float | None,
        typer.Option(min=0.01, max=1.0, help="Share of the card vLLM takes.", envvar="LLMOPS_GPU_MEMORY_UTILIZATION"),
    ] = None,
    gpu_memory_reserve: Annotated[
        str | None, typer.Option(help="Left free on each card, such as 1GiB.", envvar="LLMOPS_GPU_MEMORY_RESERVE")
    ] = None,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="The engine's port on loopback.", envvar="LLMOPS_PORT")
    ] = FIRST_PORT,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    strict: StrictOption = False,
) -> int:
    """Size a model for this host: what fits, with which settings, byte by byte."""
    options = Options(
        model=model,
        profile=profile,
        gpus=tuple(gpu or ()),
        facts=facts,
        out=out,
        engine=engine,
        quantization=quantization,
        context=context,
        parallel=parallel,
        kv_cache_type=kv_cache_type,
        kv_unified=kv_unified,
        batch=batch,
        ubatch=ubatch,
        flash_attention=flash_attention,
        gpu_layers=gpu_layers,
        tensor_parallel=tensor_parallel,
        gpu_memory_utilization=gpu_memory_utilization,
        gpu_memory_reserve=gpu_memory_reserve,
        port=port,
    )
    answer = run(options, runner=Programs(os.environ), sources=Sources())
    return give("plan", answer, Style(json=as_json, quiet=quiet, verbose=verbose, strict=strict))
