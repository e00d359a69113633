"""Whether the deployments that stand in for others can: the findings of `fallback`."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from llmops.domain.finding import Finding, Status, Where
from llmops.domain.plan import Plan

CYCLE, OTHER_KIND, SMALLER, SAME_CARD = "PLN011", "PLN012", "PLN013", "PLN014"


class Server(NamedTuple):
    """One deployment: its plan, whether it makes embeddings, and who stands in for it."""

    plan: Plan
    embeds: bool
    fallback: Sequence[str]


def fallback_findings(servers: Mapping[str, Server], *, cards: int) -> tuple[Finding, ...]:
    """Of all deployments; `cards` is how many the host has."""
    found: list[Finding] = []
    for name, server in servers.items():
        for at, other in enumerate(server.fallback):
            if other in servers:
                found += _of_one(name, other, servers, Where(key=f"deployments.{name}.fallback[{at}]"), cards=cards)
    return (*found, *_cycles(servers))


def _of_one(name: str, other: str, servers: Mapping[str, Server], where: Where, *, cards: int) -> list[Finding]:
    mine, theirs = servers[name], servers[other]
    if mine.embeds or theirs.embeds:
        if mine.embeds and theirs.embeds:
            text = f"`{other}` stands in for `{name}`: vectors of two models cannot be compared, nor stored beside each other"
        elif theirs.embeds:
            text = f"`{other}` makes embeddings: it cannot answer for `{name}`"
        else:
            text = f"`{name}` makes embeddings: `{other}` cannot answer for it"
        return [_finding(OTHER_KIND, Status.FAIL, text, f"take `{other}` out of `fallback`", where)]
    found = []
    asked, held = mine.plan.settings.request_tokens(), theirs.plan.settings.request_tokens()
    if held < asked:
        text = f"`{other}` stands in for `{name}` with requests of {held} tokens, not {asked}: longer ones are refused"
        fix = f"`workload: {{context_tokens: {asked}}}` for `{other}`, where it fits"
        found.append(_finding(SMALLER, Status.WARN, text, fix, where))
    if cards > 1 and set(mine.plan.cards) & set(theirs.plan.cards):
        text = f"`{other}` stands in for `{name}` on the same card: when the card fails, both do"
        found.append(_finding(SAME_CARD, Status.WARN, text, "smaller models, so that each has a card", where))
    return found


def _cycles(servers: Mapping[str, Server]) -> list[Finding]:
    """Each circle once, by its first deployment in the profile."""
    found, seen = [], set[frozenset[str]]()
    for name in servers:
        circle = _way_back(name, servers)
        if circle and frozenset(circle) not in seen:
            seen.add(frozenset(circle))
            way = " → ".join((*circle, name))
            text = f"fallbacks go in a circle: {way}; a request goes round once and is then refused"
            fix = f"`{name}` is enough at one end: take it out of the `fallback` of `{circle[-1]}`"
            found.append(_finding(CYCLE, Status.WARN, text, fix, Where(key=f"deployments.{circle[-1]}.fallback")))
    return found


def _way_back(name: str, servers: Mapping[str, Server]) -> tuple[str, ...]:
    """The shortest way from a deployment to itself; empty where there is none."""
    ways: list[tuple[str, ...]] = [(name,)]
    reached = set[str]()
    while ways:
        way = ways.pop(0)
        for other in servers[way[-1]].fallback:
            if other == name:
                return way
            if other in servers and other not in reached:
                reached.add(other)
                ways.append((*way, other))
    return ()


def _finding(code: str, status: Status, message: str, fix: str, where: Where) -> Finding:
    return Finding(code=code, status=status, message=message, fix=fix, where=where)
