"""The dated rows that checks look things up in, from where they lie, and the day."""

import datetime
from collections.abc import Mapping
from pathlib import Path

from llmops.cli.engine_rows import engine_rows
from llmops.domain.errors import WrongInput
from llmops.domain.references import Edition, References
from llmops.formats.advisories import advisories
from llmops.library.reference_data import HOST_DIRECTORY, read

ADVISORIES = "advisories.json"


def references(environment: Mapping[str, str], *, host_directory: Path = HOST_DIRECTORY) -> References:
    """Both sets of rows. Raises `WrongInput` for a file of the host's own that is not one."""
    matrix, matrix_place = engine_rows(environment, host_directory=host_directory)
    advisories_text, advisories_place = read(ADVISORIES, environment=environment, host_directory=host_directory)
    holes = advisories(advisories_text, file=advisories_place)
    return References(
        matrix=matrix,
        advisories=holes,
        editions=(
            Edition(name="engine matrix", as_of=matrix.as_of, place=matrix_place),
            Edition(name="advisories", as_of=holes.as_of, place=advisories_place),
        ),
        today=today(environment),
    )


def today(environment: Mapping[str, str]) -> datetime.date:
    """The day; `SOURCE_DATE_EPOCH` (seconds since 1970) says another one, for answers that are the same every day."""
    given = environment.get("SOURCE_DATE_EPOCH", "")
    if not given:
        return datetime.datetime.now(datetime.UTC).date()
    try:
        return datetime.datetime.fromtimestamp(int(given), datetime.UTC).date()
    except (ValueError, OverflowError, OSError):
        raise WrongInput(
            f"SOURCE_DATE_EPOCH is no number of seconds: `{given[:40]}`", hint="unset SOURCE_DATE_EPOCH"
        ) from None
