"""Every check by code, and what they come to together."""

from collections.abc import Sequence

from llmops.checks import (
    consumers,
    containers,
    disk,
    driver,
    driver_files,
    engines,
    gpu,
    health,
    links,
    memory,
    memory_tuning,
    network,
    other_cards,
    processor,
    surroundings,
    system,
)
from llmops.checks.check import Check, Judgement
from llmops.checks.for_lock import LOCK_CHECKS
from llmops.domain.finding import Finding, Status
from llmops.domain.host import HostFacts, Verdict
from llmops.domain.references import References

FAMILIES = {
    "SYS": "operating system",
    "CPU": "processor",
    "MEM": "memory",
    "DSK": "disks",
    "GPU": "cards and driver",
    "CUD": "CUDA beside the driver",
    "CTR": "containers and cards",
    "ENG": "engines",
    "CON": "programs that read rendered files",
    "NET": "ports, hub and proxies",
    "OPN": "what strangers reach",
    "DAT": "rows that checks rest on",
    "LCK": "what a lock needs",
}

FILES = (
    system, surroundings, processor, memory, memory_tuning, disk, driver, driver_files, gpu, health, links, other_cards,
    containers, engines, consumers, network,
)  # fmt: skip

CHECKS: tuple[Check, ...] = tuple(
    sorted(
        (check for family in FILES for check in family.CHECKS),
        key=lambda check: (list(FAMILIES).index(check.code[:3]), check.code),
    )
)


def selected(*, select: Sequence[str] = (), ignore: Sequence[str] = ()) -> tuple[Check, ...]:
    """The checks whose code begins with one of `select` (all, when empty) and with none of `ignore`."""
    return tuple(
        check
        for check in CHECKS
        if (not select or check.code.startswith(tuple(select)))
        and not (ignore and check.code.startswith(tuple(ignore)))
    )


def judge(
    facts: HostFacts, references: References, *, select: Sequence[str] = (), ignore: Sequence[str] = ()
) -> tuple[Finding, ...]:
    """One finding per check that applies to this host, in the order of the table."""
    return findings_of(judgements(facts, references, select=select, ignore=ignore))


def judgements(
    facts: HostFacts, references: References, *, select: Sequence[str] = (), ignore: Sequence[str] = ()
) -> tuple[tuple[Check, Judgement], ...]:
    """What each check that applies says, in the order of the table."""
    asked = [(check, check.ask(facts, references)) for check in selected(select=select, ignore=ignore)]
    return tuple((check, judgement) for check, judgement in asked if judgement is not None)


def findings_of(answers: Sequence[tuple[Check, Judgement]]) -> tuple[Finding, ...]:
    """The answers for people and programs."""
    findings: list[Finding] = []
    for check, judgement in answers:
        # the general fix is for what is wrong; where nothing is known, the reason in the message says what to do
        general = check.fix if judgement.status in (Status.WARN, Status.FAIL) else None
        fix = judgement.fix or general
        findings.append(Finding(code=check.code, status=judgement.status, message=judgement.message, fix=fix))
    return tuple(findings)


def verdict(findings: Sequence[Finding]) -> Verdict:
    """Ready or not: a failure makes it not ready, a warning or an unknown on which readiness hangs leaves it with warnings.

    Of the checks of a host only those of cards, driver and memory fail (a test holds them to it), and those of a lock.
    """
    deciding = {check.code for check in CHECKS if check.decides}
    deciding |= {check.code for check in LOCK_CHECKS if check.decides}
    if any(finding.status is Status.FAIL for finding in findings):
        return Verdict.NOT_READY
    if any(
        finding.status is Status.WARN or (finding.status is Status.SKIP and finding.code in deciding)
        for finding in findings
    ):
        return Verdict.READY_WITH_WARNINGS
    return Verdict.READY
