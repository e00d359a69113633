"""`llmops schema`."""

import json
from typing import Annotated

import typer

from llmops.cli.answer import JsonOption
from llmops.domain.errors import WrongUsage
from llmops.domain.forms import schema
from llmops.domain.host import HostFacts
from llmops.domain.lock import Lock
from llmops.domain.profile import Profile

FILES: dict[str, type[object]] = {"profile": Profile, "lock": Lock, "facts": HostFacts}


def command(
    name: Annotated[str, typer.Argument(help="profile, lock, facts, or a command's name.")],
    *,
    as_json: JsonOption = False,  # noqa: ARG001 - the schema is JSON either way
) -> None:
    """Print the JSON Schema of a command's document or of a file."""
    if name not in FILES:
        raise WrongUsage(f"no schema `{name}`", hint=f"known: {', '.join(FILES)}")
    typer.echo(json.dumps(schema(FILES[name], title=f"llmops.{name}/1"), indent=2))
