"""`llmops plan`."""

import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated

import typer

from llmops.cli.answer import Answer, JsonOption, QuietOption, StrictOption, Style, VerboseOption, give
from llmops.cli.completing import gpu_names, model_names
from llmops.cli.hardware import hardware
from llmops.cli.opened import Sources
from llmops.cli.options import FactsOption, GpuOption, QuantizationOption, ReserveOption
from llmops.cli.placing import plan_all
from llmops.cli.planning import (
    FIRST_PORT,
    Options,
    Planned,
    chosen_cards,
    findings_of,
    read_profile,
    said_by_profile,
)
from llmops.cli.possible import IMPOSSIBLE, of_plan
from llmops.domain.engine import Device, FlashAttention
from llmops.domain.finding import Finding, Status
from llmops.domain.forms import Json
from llmops.domain.profile import EngineChoice
from llmops.domain.programs import Runner
from llmops.library import files
from llmops.sizing.fallbacks import OTHER_KIND, Server, fallback_findings
from llmops.sizing.findings import DOES_NOT_FIT
from llmops.views.plan import plan_result, show_plan
from llmops.views.plan_together import show_together, together_result
from llmops.views.screen import Screen, Tone, show_findings

NOT_LOCKED = "the plan does not fit; a setting that is typed (`--context 8192`) is locked also when it does not"


OBSTACLES = {IMPOSSIBLE: "this engine cannot run it here", OTHER_KIND: "a fallback cannot answer"}


def run(options: Options, *, runner: Runner | None = None, sources: Sources) -> Answer:
    """Profile and host → the model's own headers → the search over the engine's ledger → plans, and the lock with `--out`."""
    profile = read_profile(options)
    place = chosen_cards(hardware(gpus=options.gpus, facts=options.facts or profile.host.facts, runner=runner), profile)
    placed = plan_all(profile, place, options, sources)
    planned = placed.planned
    # What is true of the whole profile is found once for each deployment.
    findings = list(dict.fromkeys(finding for one in planned for finding in findings_of(one, profile)))
    findings += [*placed.findings, *_of_fallbacks(planned, cards=len(place.cards))]
    refused = set[str]()
    for one in planned:
        found = of_plan(one.shape, one.plan.settings, place, one.plan.cards)
        refused |= {one.name} if _obstacle(found) is not None else set()
        findings += found
    fits = all(one.plan.ledger.fits() for one in planned)
    possible = _obstacle(findings) is None
    locks = options.out is not None and possible and (fits or options.forces_a_setting())
    if options.out is not None and locks:
        from llmops.cli.locking import lock_of
        from llmops.formats.lock import dump_lock

        files.write_atomically(Path(options.out), dump_lock(lock_of(profile, planned, place)))
    return Answer(
        result=result_of(planned, place.cards),
        show=lambda to: _show(to, planned, findings, place.cards, refused=refused, out=options.out, locks=locks),
        findings=tuple(findings),
        ok=fits and possible,
        elsewhere=said_by_profile(options, profile),
    )


def _obstacle(findings: Sequence[Finding]) -> Finding | None:
    """What no other size of the plan would mend."""
    return next((one for one in findings if one.code in OBSTACLES and one.status is Status.FAIL), None)


def _of_fallbacks(planned: Sequence[Planned], *, cards: int) -> tuple[Finding, ...]:
    servers = {
        one.name: Server(plan=one.plan, embeds=one.intent.features.embeddings, fallback=one.intent.fallback)
        for one in planned
    }
    return fallback_findings(servers, cards=cards)


def result_of(planned: Sequence[Planned], cards: Sequence[Device]) -> Json:
    """`result`: the plan and its ledger at the top when there is one deployment, else under their names, and their sum."""
    each: dict[str, Json] = {one.name: plan_result(one.plan) for one in planned}
    deployments: dict[str, Json] = {"deployments": each}
    only = next(iter(each.values())) if len(each) == 1 else None
    if isinstance(only, dict):
        return deployments | only
    after = {one.name: one.starts_after for one in planned}
    return deployments | {"together": together_result({one.name: one.plan for one in planned}, cards, after)}


def _show(
    to: Screen,
    planned: Sequence[Planned],
    findings: Sequence[Finding],
    cards: Sequence[Device],
    *,
    refused: Collection[str],
    out: str | None,
    locks: bool,
) -> None:
    for one in planned:
        if len(planned) > 1:
            to.line(one.name, tone=Tone.TITLE)
        show_plan(one.plan, to, starts=one.name not in refused)
        if len(planned) > 1:
            to.line()
    if len(planned) > 1:
        show_together({one.name: one.plan for one in planned}, cards, to)
    beside = [finding for finding in findings if finding.code != DOES_NOT_FIT]  # that is said under each plan
    if beside:
        to.line()
        show_findings(to, beside)
    to.line()
    fits = all(one.plan.ledger.fits() for one in planned)
    obstacle = _obstacle(findings)
    if obstacle is not None:
        to.line(f"nothing was written: {OBSTACLES[obstacle.code]}", tone=Tone.WARN)
    elif out is not None and fits:
        to.line(f"wrote {out}; next: `{_next(planned, Path(out))}`", tone=Tone.GOOD)
    elif locks:
        to.line(f"wrote {out}, of a plan that does not fit", tone=Tone.WARN)
    elif out is not None:
        to.line(f"{out} was not written: {NOT_LOCKED}", tone=Tone.WARN)
    else:
        to.line("nothing was written; `--out llmops.lock` pins this plan" if fits else "nothing was written")


def _next(planned: Sequence[Planned], out: Path) -> str:
    """The pull that will find the files: a local model's folder is not in the lock, so it is typed where it is elsewhere."""
    beside = out.absolute().parent.resolve()
    local = [(one.opened.folder, one.opened.name) for one in planned if one.opened.folder is not None]
    elsewhere = [folder for folder, name in local if folder.resolve() not in (beside, beside / name)]
    origin = ("--from", str(elsewhere[0])) if elsewhere else ()
    return shlex.join(("llmops", "pull", "--lock", str(out), *origin))


def command(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Catalogue id, hf:org/repo[@rev][:QUANT or file], local .gguf or directory; default: the profile's.",
            autocompletion=model_names,
        ),
    ] = None,
    *,
    profile: Annotated[
        str | None, typer.Option(help="The intent (default ./llmops.yaml).", envvar="LLMOPS_PROFILE")
    ] = None,
    gpu: GpuOption = None,
    facts: FactsOption = None,
    out: Annotated[
        str | None, typer.Option(help="Write the lock here (files are hashed now).", envvar="LLMOPS_OUT")
    ] = None,
    engine: Annotated[EngineChoice | None, typer.Option(help="Which server.", envvar="LLMOPS_ENGINE")] = None,
    quantization: QuantizationOption = None,
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
    gpu_memory_reserve: ReserveOption = None,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="The engine's port on loopback.", envvar="LLMOPS_PORT")
    ] = FIRST_PORT,
    models_for: Annotated[
        list[str] | None,
        typer.Option(
            help="What of the catalogue fits on this card (NAME[:COUNT] or a size; repeatable).",
            autocompletion=gpu_names,
        ),
    ] = None,
    gpus_for: Annotated[
        str | None,
        typer.Option(help="Which cards hold this model of the catalogue.", autocompletion=model_names),
    ] = None,
    search: Annotated[
        list[str] | None, typer.Option(help="With the two above: only names that hold this word; repeatable.")
    ] = None,
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
    if models_for or gpus_for is not None or search:
        from llmops.cli import plan_wide

        wide = plan_wide.asked(
            options, models_for=tuple(models_for or ()), gpus_for=gpus_for, words=tuple(search or ())
        )
        answer = plan_wide.run(wide)
    else:
        answer = run(options, sources=Sources())
    return give("plan", answer, Style(json=as_json, quiet=quiet, verbose=verbose, strict=strict))
