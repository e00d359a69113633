"""Do what makes changed files count; the first required command that fails ends it."""

from collections.abc import Callable, Sequence

from llmops.domain.effects import Effect
from llmops.domain.programs import Runner
from llmops.domain.reading import Known
from llmops.domain.records import dataclass

SAID_LIMIT = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was done, what of it failed without harm, and the words of what ended it (empty: nothing did)."""

    commands: tuple[str, ...]
    warnings: tuple[str, ...]
    failed: str = ""


def take_effect(effects: Sequence[Effect], *, runner: Runner, ended: Callable[[int], None] = lambda _: None) -> Done:
    """Run them in order; `ended` is told how many have ended, after each."""
    commands: list[str] = []
    warnings: list[str] = []
    for effect in effects:
        ran = runner.run(effect.argv, timeout_seconds=effect.timeout_seconds)
        commands.append(effect.text())
        if isinstance(ran, Known) and ran.value.exit_code in (0, *effect.also_fine):
            ended(len(commands))
            continue
        said = (ran.value.stderr or ran.value.stdout) if isinstance(ran, Known) else ran.reason
        words = f"`{effect.text()}` ({effect.why}): {said.strip()[:SAID_LIMIT] or 'failed without a word'}"
        if effect.required:
            return Done(commands=tuple(commands), warnings=tuple(warnings), failed=words)
        warnings.append(words)
        ended(len(commands))
    return Done(commands=tuple(commands), warnings=tuple(warnings))
