"""A host judged against a lock: every check of every deployment."""

from llmops.checks import lock_cards, lock_disk, lock_host, lock_memory, lock_swap
from llmops.checks.check import Judgement
from llmops.checks.lock_check import LockCheck, Wanted
from llmops.domain.host import HostFacts
from llmops.domain.needs import Needs
from llmops.domain.records import dataclass
from llmops.domain.references import References

LOCK_CHECKS: tuple[LockCheck, ...] = tuple(
    sorted(
        (*lock_cards.CHECKS, *lock_disk.CHECKS, *lock_memory.CHECKS, *lock_swap.CHECKS, *lock_host.CHECKS),
        key=lambda one: one.code,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one check says of one deployment; `name` None: of the host, for all of them."""

    check: LockCheck
    name: str | None
    judgement: Judgement


def judge_for(needs: Needs, host: HostFacts, references: References) -> tuple[Answer, ...]:
    """Each check of each deployment that it applies to."""
    answers: list[Answer] = []
    for at, (name, deployment) in enumerate(needs.lock.deployments.items()):
        wanted = Wanted(name=name, deployment=deployment, needs=needs, host=host, references=references)
        for check in LOCK_CHECKS:
            if check.of_host and at:
                continue
            judgement = check.judge(wanted)
            if judgement is not None:
                answers.append(Answer(check=check, name=None if check.of_host else name, judgement=judgement))
    return tuple(sorted(answers, key=lambda one: one.check.code))
