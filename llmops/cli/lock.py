"""`llmops lock`."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from llmops.cli.answer import Answer, JsonOption, QuietOption, StrictOption, Style, VerboseOption, give
from llmops.cli.clashes import Clash
from llmops.cli.lock_place import place_of
from llmops.cli.locking import lock_of
from llmops.cli.opened import Sources
from llmops.cli.options import FactsOption
from llmops.cli.placing import plan_all
from llmops.cli.planning import PROFILE, chosen_cards, read_profile
from llmops.cli.planning import Options as PlanOptions
from llmops.domain.engine import Engine
from llmops.domain.errors import WrongUsage
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.forms import dump
from llmops.domain.lock import LOCK_SCHEMA, Lock, LockedDeployment
from llmops.domain.lock_difference import LockDifference
from llmops.domain.model import ModelRef, SourceKind
from llmops.domain.profile import Intent, Profile
from llmops.domain.programs import Runner
from llmops.domain.records import dataclass
from llmops.engines import ENGINES
from llmops.formats.facts import facts_digest
from llmops.formats.lock import parse_lock
from llmops.formats.lock_differences import differences
from llmops.formats.model_source import parse_model
from llmops.formats.profile import profile_digest
from llmops.library import files
from llmops.sizing.numbers import numbers
from llmops.views.lock import Checked, show_check
from llmops.views.screen import Screen, show_findings

LOCK = "llmops.lock"
FIX = "give what it was made of: `--profile FILE`, `--facts FILE` (`llmops doctor --json` of the host it is for)"
CLASHES = (Clash(option="--offline", others=("--facts",), why="plans nothing again", hint="leave out one of them"),)
_SCHEMA = re.compile(r"^schema:\s*[\"']?(llmops\.lock/[0-9]{1,6})", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`profile` None: `./llmops.yaml` where there is one. `facts` None: the profile's. `offline`: read no model's header."""

    check: bool = False
    lock: str = LOCK
    profile: str | None = None
    facts: str | None = None
    offline: bool = False


def run(options: Options, *, sources: Sources, runner: Runner | None = None) -> Answer:
    """Profile and catalogue → the plan again, for the same cards, model and commit → what the lock says otherwise."""
    if not options.check:
        raise WrongUsage(
            "what of the lock?", hint="`llmops lock --check`; `llmops plan MODEL --out llmops.lock` writes one"
        )
    text = files.read_text(Path(options.lock), hint="`llmops plan MODEL --out llmops.lock` writes one")
    lock = parse_lock(text, file=options.lock)
    found = _SCHEMA.search(text)
    written = found[1] if found is not None else LOCK_SCHEMA
    profile = _profile(options, lock)
    computed, unknown = _computed(options, lock, profile, sources, runner)
    rows = differences(lock, computed)
    findings = tuple(_findings(options, written, profile, rows, unknown))
    checked = Checked(
        lock=options.lock,
        written=written,
        newest=LOCK_SCHEMA,
        profile=(options.profile or PROFILE) if profile is not None else None,
        planned_again=not unknown,
        differences=rows,
    )

    def show(to: Screen) -> None:
        show_check(to, checked)
        show_findings(to, findings)

    return Answer(result=dump(checked), show=show, findings=findings, ok=not rows)


def _profile(options: Options, lock: Lock) -> Profile | None:
    """The profile's file, or the one that plain `plan MODEL` makes, where the lock is of that."""
    if options.profile is not None or Path(PROFILE).exists():
        return read_profile(PlanOptions(profile=options.profile or PROFILE))
    sources = {name: one.model.source for name, one in lock.deployments.items()}
    for typed in (sources, {name: f"./{one}" for name, one in sources.items()}):  # a lock has a local path's name alone
        plain = Profile(deployments={name: Intent(model=one) for name, one in typed.items()})
        if profile_digest(plain) == lock.profile_digest:
            return plain
    return None


def _computed(
    options: Options, lock: Lock, profile: Profile | None, sources: Sources, runner: Runner | None
) -> tuple[Lock, tuple[str, ...]]:
    """The lock as it would be written now, and why parts of it could not be computed again."""
    if profile is None:
        return _by_its_own_ledger(lock), ("no profile is here, and the lock was made with more than a MODEL",)
    by_profile = _by_its_own_ledger(_with_profile(lock, profile))
    if list(profile.deployments) != list(lock.deployments):
        return by_profile, ("its deployments are others than the profile's",)
    if options.offline:
        return by_profile, ("`--offline`: no model's header was read",)
    place = place_of(lock, options.facts or profile.host.facts, runner)
    if place is None:
        return by_profile, ("it was planned for another host than this one",)
    place = chosen_cards(place, profile) if place.facts is not None else place
    wish = PlanOptions(out=options.lock, port=min(one.numbers.engine_port.value for one in lock.deployments.values()))
    pinned = {name: _pinned(intent, lock.deployments[name].model) for name, intent in profile.deployments.items()}
    planned = plan_all(replace(profile, deployments=pinned), place, wish, sources).planned
    again = [replace(one, opened=replace(one.opened, pin=_held(lock.deployments[one.name].model))) for one in planned]
    computed = replace(lock_of(profile, again, place), facts_digest=lock.facts_digest)
    if place.facts is not None and facts_digest(place.facts) != lock.facts_digest:
        return computed, ("the facts are of another host than it was planned for",)
    return computed, ()


def _held(model: ModelRef) -> Callable[[str | None], ModelRef]:
    return lambda _quantization: model


def _pinned(intent: Intent, locked: ModelRef) -> Intent:
    """The same wish at the commit of the lock: that a repository went on is no drift of the lock."""
    if locked.kind not in (SourceKind.HUB, SourceKind.CATALOGUE) or locked.repository is None or not locked.commit:
        return intent
    source = parse_model(locked.source, exists=lambda _: False, is_catalogue=lambda name: "/" not in name)
    text = f"hf:{locked.repository}@{locked.commit}" + (f":{source.selector}" if source.selector else "")
    models = (intent.model,) if isinstance(intent.model, str) else intent.model
    return replace(intent, model=tuple(text if one == locked.source else one for one in models))


def _with_profile(lock: Lock, profile: Profile) -> Lock:
    """What a lock takes over from the profile word for word."""
    return replace(
        lock,
        profile_digest=profile_digest(profile),
        host=replace(profile.host, facts=None),
        serve=profile.serve,
        observe=profile.observe,
        targets=profile.targets,
        change=profile.change,
        deployments={
            name: replace(
                one,
                features=profile.deployments[name].features,
                fallback=profile.deployments[name].fallback,
                slo=profile.deployments[name].slo,
            )
            for name, one in lock.deployments.items()
            if name in profile.deployments
        },
    )


def _by_its_own_ledger(lock: Lock) -> Lock:
    """Engines by this version, and every number from the lock's own settings, ledger and speed."""
    return replace(lock, deployments={name: _numbered(one, lock) for name, one in lock.deployments.items()})


def _numbered(one: LockedDeployment, lock: Lock) -> LockedDeployment:
    engine: Engine = ENGINES[one.engine.name]
    return replace(
        one,
        engine=replace(one.engine, build=engine.BUILD, versions=engine.VERSIONS),
        numbers=numbers(
            settings=one.settings,
            ledger=one.ledger,
            speed=one.speed,
            serve=lock.serve,
            port=one.numbers.engine_port.value,
        ),
    )


def _findings(
    options: Options,
    written: str,
    profile: Profile | None,
    rows: Sequence[LockDifference],
    unknown: Sequence[str],
) -> list[Finding]:
    where = Where(file=options.lock)
    found = []
    if rows:
        count = "1 value of the lock does" if len(rows) == 1 else f"{len(rows)} values of the lock do"
        message = f"{count} not follow from the profile and this version's catalogue"
        fix = f"`llmops plan --out {options.lock}` decides again; what was typed beside it belongs into the profile"
        found.append(Finding(code="LOCK001", status=Status.FAIL, message=message, fix=fix, where=where))
    if written != LOCK_SCHEMA:
        message = f"written as {written}, read as {LOCK_SCHEMA}: what it lacks was filled in by rule"
        fix = f"`llmops plan --out {options.lock}` writes the newest"
        found.append(Finding(code="LOCK002", status=Status.WARN, message=message, fix=fix, where=where))
    for reason in unknown:
        what = "settings, ledger and speed" if profile is not None else "settings, ledger, speed and wishes"
        message = f"{what} were not all computed again: {reason}"
        # as it was asked for, or a gate that holds nothing against the lock: `--strict` ends with 1 there
        asked = options.offline
        status = Status.SKIP if asked else Status.WARN
        found.append(Finding(code="LOCK003", status=status, message=message, fix=None if asked else FIX, where=where))
    return found


def command(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 where the lock does not follow from profile and catalogue.")
    ] = False,
    lock: Annotated[str, typer.Option(help="The lock.", envvar="LLMOPS_LOCK")] = LOCK,
    profile: Annotated[
        str | None, typer.Option(help="The intent (default ./llmops.yaml).", envvar="LLMOPS_PROFILE")
    ] = None,
    facts: FactsOption = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Read no model's header: compare what needs none.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    strict: StrictOption = False,
) -> int:
    """Say whether the lock still follows from the profile and the catalogue (for CI)."""
    options = Options(check=check, lock=lock, profile=profile, facts=facts, offline=offline)
    answer = run(options, sources=Sources())
    return give("lock", answer, Style(json=as_json, quiet=quiet, verbose=verbose, strict=strict))
