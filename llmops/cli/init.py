"""`llmops init`."""

from pathlib import Path
from typing import Annotated

import typer

from llmops.cli.answer import Answer, JsonOption, QuietOption, Style, VerboseOption, give
from llmops.domain.errors import WrongUsage
from llmops.domain.forms import Json, dump
from llmops.domain.records import dataclass
from llmops.formats.profile import nearest, parse_profile, with_model
from llmops.library import files, shipped
from llmops.views.catalog import show_init

DEFAULT = "chat"
SUFFIX = ".yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Which shipped profile, the model to put into it (None: its own), and where to write it."""

    profile: str = DEFAULT
    model: str | None = None
    out: str = "llmops.yaml"


def run(options: Options) -> Answer:
    """A shipped profile → the user's file, with its comments; what is there already stays."""
    known = profile_names()
    if options.profile not in known:
        raise WrongUsage(f"no profile `{options.profile}`", hint=nearest(options.profile, known))
    text = shipped.text("profiles", options.profile + SUFFIX)
    if options.model is not None:
        text = with_model(text, options.model, file=options.profile + SUFFIX)
    profile = parse_profile(text, file=options.profile + SUFFIX)
    hint = f"`llmops init {options.profile} --out other.yaml` writes it elsewhere"
    files.write_new(Path(options.out), text, hint=hint)
    models: dict[str, Json] = {name: dump(intent.model) for name, intent in profile.deployments.items()}
    result: dict[str, Json] = {"path": options.out, "profile": options.profile, "models": models}
    return Answer(result=result, show=lambda to: show_init(options.out, options.profile, profile, to))


def profile_names() -> list[str]:
    """The shipped profiles."""
    return sorted(name.removesuffix(SUFFIX) for name in shipped.names("profiles"))


def command(
    profile: Annotated[str, typer.Argument(help="A shipped profile; `llmops catalog profiles` lists them.")] = DEFAULT,
    *,
    model: Annotated[str | None, typer.Option("--model", help="MODEL to put into it.", envvar="LLMOPS_MODEL")] = None,
    out: Annotated[str, typer.Option("--out", help="The file to write.", envvar="LLMOPS_PROFILE")] = "llmops.yaml",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> int:
    """Write `llmops.yaml`, the intent, from a shipped profile."""
    answer = run(Options(profile=profile, model=model, out=out))
    return give("init", answer, Style(json=as_json, quiet=quiet, verbose=verbose))
