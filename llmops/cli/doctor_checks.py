"""`llmops doctor --list` and `--explain`: the checks themselves, no host asked."""

from collections.abc import Sequence
from difflib import get_close_matches

from llmops.checks import CHECKS, FAMILIES, LOCK_CHECKS, Check, LockCheck
from llmops.cli.answer import Answer
from llmops.domain.errors import WrongUsage
from llmops.domain.finding import Status
from llmops.domain.forms import Json
from llmops.views.screen import Screen, Tone

EVERY: tuple[Check | LockCheck, ...] = (*CHECKS, *LOCK_CHECKS)
FIX_OF_A_LOCK = "each finding says its own"


def chosen(select: Sequence[str], ignore: Sequence[str]) -> tuple[Check | LockCheck, ...]:
    """The checks whose code begins with one of `select` (all, when empty) and with none of `ignore`."""
    return tuple(one for one in EVERY if is_chosen(one.code, select, ignore))


def is_chosen(code: str, select: Sequence[str], ignore: Sequence[str]) -> bool:
    """Whether a code is asked for."""
    return (not select or code.startswith(tuple(select))) and not (bool(ignore) and code.startswith(tuple(ignore)))


def listing(select: Sequence[str], ignore: Sequence[str]) -> Answer:
    """Every check: code, the worst it says, and the fact that should hold."""
    checks = chosen(select, ignore)
    return Answer(
        result={"checks": [_row(check) for check in checks]},
        show=lambda to: to.table(("", "", ""), [(one.code, _worst(one).value, one.title) for one in checks]),
    )


def explanation(code: str) -> Answer:
    """One check: what should hold, why, how bad it is where it does not, what to do, and what the rule rests on."""
    check = next((one for one in EVERY if one.code == code.strip().upper()), None)
    if check is None:
        raise WrongUsage(f"no check `{code}`", hint=codes_like(code))

    def show(to: Screen) -> None:
        to.line(f"{check.code}  {check.title}", tone=Tone.TITLE)
        to.line(f"why: {check.why}")
        to.line(f"fix: {_fix(check)}")
        to.line(f"at worst: {_worst(check).value}; family: {FAMILIES[check.code[:3]]}; source: {check.source}")
        if check.decides:
            to.line(
                "Readiness hangs on it: where it cannot be known, the host is at best ready with warnings.",
                tone=Tone.DIM,
            )

    return Answer(result=_row(check), show=show)


def refuse_unknown_prefixes(prefixes: Sequence[str]) -> None:
    """A prefix that no code has is a typing error, not an empty choice."""
    for prefix in prefixes:
        if not any(check.code.startswith(prefix) for check in EVERY):
            raise WrongUsage(f"no check begins with `{prefix}`", hint=codes_like(prefix))


def codes_like(text: str) -> str:
    """The nearest codes, or the families."""
    codes = [check.code for check in EVERY]
    near = get_close_matches(text.upper(), codes, n=3, cutoff=0.5)
    families = ", ".join(dict.fromkeys(code[:3] for code in codes))
    return f"did you mean {', '.join(near)}? `llmops doctor --list` has all" if near else f"families: {families}"


def _worst(check: Check | LockCheck) -> Status:
    return check.worst if isinstance(check, Check) else Status.FAIL


def _fix(check: Check | LockCheck) -> str:
    return check.fix if isinstance(check, Check) else FIX_OF_A_LOCK


def _row(check: Check | LockCheck) -> Json:
    return {
        "code": check.code,
        "title": check.title,
        "why": check.why,
        "fix": _fix(check),
        "family": FAMILIES[check.code[:3]],
        "worst": _worst(check).value,
        "source": check.source,
    }
