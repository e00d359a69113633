"""Every check by code, and what they come to together."""

from collections.abc import Sequence

from llmops.checks import consumers, disk, driver, engines, gpu, memory, network, processor, system
from llmops.checks.check import Check
from llmops.domain.finding import Finding, Status
from llmops.domain.host import HostFacts, Verdict

FAMILIES = {
    "SYS": "operating system",
    "CPU": "processor",
    "MEM": "memory",
    "DSK": "disks",
    "GPU": "cards and driver",
    "ENG": "engines",
    "CON": "programs that read rendered files",
    "NET": "ports",
}

CHECKS: tuple[Check, ...] = tuple(
    sorted(
        (
            check
            for family in (system, processor, memory, disk, driver, gpu, engines, consumers, network)
            for check in family.CHECKS
        ),
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


def judge(facts: HostFacts, *, select: Sequence[str] = (), ignore: Sequence[str] = ()) -> tuple[Finding, ...]:
    """One finding per check that applies to this host, in the order of the table."""
    findings: list[Finding] = []
    for check in selected(select=select, ignore=ignore):
        judgement = check.judge(facts)
        if judgement is None:
            continue
        # the general fix is for what is wrong; where nothing is known, the reason in the message says what to do
        general = check.fix if judgement.status in (Status.WARN, Status.FAIL) else None
        fix = judgement.fix or general
        findings.append(Finding(code=check.code, status=judgement.status, message=judgement.message, fix=fix))
    return tuple(findings)


def verdict(findings: Sequence[Finding]) -> Verdict:
    """Ready or not: a failure makes it not ready, a warning or an unknown on which readiness hangs leaves it with warnings.

    Only checks of cards, driver and memory fail (a test holds them to it).
    """
    deciding = {check.code for check in CHECKS if check.decides}
    if any(finding.status is Status.FAIL for finding in findings):
        return Verdict.NOT_READY
    if any(
        finding.status is Status.WARN or (finding.status is Status.SKIP and finding.code in deciding)
        for finding in findings
    ):
        return Verdict.READY_WITH_WARNINGS
    return Verdict.READY
