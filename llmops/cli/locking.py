"""From plans to the lock, the hand-over to every later command."""

from collections.abc import Sequence
from dataclasses import replace

from llmops import __version__
from llmops.cli.hardware import Hardware
from llmops.cli.planning import Planned
from llmops.domain.engine import Engine
from llmops.domain.lock import Lock, LockedDeployment, LockedDevice, LockedEngine
from llmops.domain.model import ModelRef
from llmops.domain.profile import Profile
from llmops.engines import ENGINES
from llmops.formats.facts import facts_digest
from llmops.formats.profile import profile_digest
from llmops.sizing.numbers import numbers


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
            LockedDevice(
                name=card.name, kind=card.kind, capacity_bytes=card.capacity_bytes, uuid=card.uuid, index=card.index
            )
            for card in (place.cards[at] for at in plan.cards)
        ),
        ledger=plan.ledger,
        speed=plan.speed,
        numbers=numbers(
            settings=plan.settings, ledger=plan.ledger, speed=plan.speed, serve=profile.serve, port=planned.port
        ),
        features=planned.intent.features,
        fallback=planned.intent.fallback,
        slo=planned.intent.slo,
        binding=plan.binding,
        starts_after=planned.starts_after,
    )
