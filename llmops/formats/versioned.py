"""A YAML file of ours: its schema's version, its form and its own rules, every mistake with line, key and a way out."""

from collections.abc import Callable
from typing import TypeVar

from llmops.domain.errors import WrongInput
from llmops.formats.plain_data import Migrations, Wrong, current, refuse_unsound
from llmops.formats.yaml_text import read_form, read_yaml

T = TypeVar("T")


def parse_versioned(
    kind: type[T],
    text: str,
    *,
    file: str,
    newest: str,
    migrations: Migrations,
    check: Callable[[T, Wrong], None],
    hint: str,
) -> T:
    """The value a file holds, migrated to `newest`. Raises `WrongInput`; `hint` stands where a mistake has none of its own."""
    try:
        document = read_yaml(text, file=file)
        data = current(document.data, newest=newest, migrations=migrations, wrong=document.wrong)
        refuse_unsound(data, document.wrong)
        value = read_form(kind, document, data)
        check(value, document.wrong)
    except WrongInput as stop:
        if stop.hint is None:
            stop.hint = hint
        raise
    return value
