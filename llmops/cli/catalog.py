"""`llmops catalog`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import typer

from llmops.cli.answer import Answer, JsonOption, QuietOption, Style, VerboseOption, give
from llmops.domain.catalogue import GpuRow, ModelRow
from llmops.domain.errors import WrongUsage
from llmops.domain.forms import Json, dump
from llmops.domain.profile import Profile
from llmops.formats import catalogue
from llmops.formats.profile import nearest, parse_profile
from llmops.library import shipped
from llmops.views.catalog import show_engines, show_gpus, show_models, show_profiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Which list, and words that each shown row holds somewhere in its names (case does not matter)."""

    what: str
    words: tuple[str, ...] = ()


def run(options: Options) -> Answer:
    """A shipped list → the rows that hold every word."""
    if options.what not in LISTS:
        raise WrongUsage(f"no list `{options.what}`", hint=nearest(options.what, LISTS))
    return LISTS[options.what](tuple(word.casefold() for word in options.words))


def command(
    what: Annotated[str, typer.Argument(help="models, gpus, profiles or engines.")],
    words: Annotated[list[str] | None, typer.Argument(help="Only rows whose names hold all of these words.")] = None,
    *,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> int:
    """List what is known: models, gpus, profiles, engines."""
    answer = run(Options(what=what, words=tuple(words or ())))
    return give("catalog", answer, Style(json=as_json, quiet=quiet, verbose=verbose))


def _holds(words: tuple[str, ...], *texts: str | None) -> bool:
    text = " ".join(one for one in texts if one).casefold()
    return all(word in text for word in words)


def _models(words: tuple[str, ...]) -> Answer:
    every = catalogue.models(shipped.text("catalogue", "models.json"))
    rows = tuple(row for row in every if _holds(words, *_model_names(row)))
    return _answer("models", [dump(row) for row in rows], lambda to: show_models(rows, len(every), to))


def _model_names(row: ModelRow) -> tuple[str | None, ...]:
    return (row.id, *row.aliases, row.repository, row.family, row.gguf_architecture, row.licence)


def _gpus(words: tuple[str, ...]) -> Answer:
    every = catalogue.gpus(shipped.text("catalogue", "gpus.json"))
    rows = tuple(row for row in every if _holds(words, *_gpu_names(row)))
    return _answer("gpus", [dump(row) for row in rows], lambda to: show_gpus(rows, len(every), to))


def _gpu_names(row: GpuRow) -> tuple[str | None, ...]:
    return (row.name, *row.aliases, row.vendor, row.architecture, row.compute_capability)


def _profiles(words: tuple[str, ...]) -> Answer:
    every: list[tuple[str, str, Profile]] = []
    for name in sorted(file.removesuffix(".yaml") for file in shipped.names("profiles")):
        text = shipped.text("profiles", f"{name}.yaml")
        first = text.partition("\n")[0].lstrip("# ")
        every.append((name, first, parse_profile(text, file=f"{name}.yaml")))
    rows = [row for row in every if _holds(words, row[0], row[1])]
    result: list[Json] = [{"name": name, "summary": first, "profile": dump(one)} for name, first, one in rows]
    return _answer("profiles", result, lambda to: show_profiles([(name, first) for name, first, _ in rows], to))


def _engines(words: tuple[str, ...]) -> Answer:
    from llmops.engines import ENGINES

    rows = [(one.NAME.value, one.BUILD, one.VERSIONS) for one in ENGINES.values() if _holds(words, one.NAME.value)]
    result: list[Json] = [{"name": name, "build": build, "versions": versions} for name, build, versions in rows]
    return _answer("engines", result, lambda to: show_engines(rows, to))


def _answer(what: str, rows: list[Json], show: Callable[..., None]) -> Answer:
    return Answer(result={what: rows}, show=show)


LISTS: dict[str, Callable[[tuple[str, ...]], Answer]] = {
    "models": _models,
    "gpus": _gpus,
    "profiles": _profiles,
    "engines": _engines,
}
