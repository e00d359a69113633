"""Facts made now: what a source does not tell says so, not that it was never looked at."""

import dataclasses
from typing import Any, TypeVar, cast

from llmops.domain.reading import NOT_ASKED, Known, Unknown

T = TypeVar("T")

NOT_TOLD = Unknown("not told by the source that was asked")


def told(value: T, *, otherwise: Unknown = NOT_TOLD) -> T:
    """The same value, every reading in it that was left at its default replaced by `otherwise`."""
    return cast("T", _told(value, otherwise))


def _told(value: Any, otherwise: Unknown) -> Any:  # noqa: ANN401 - any part of the facts
    if value is NOT_ASKED or value == NOT_ASKED:
        return otherwise
    if isinstance(value, Known):
        return Known(_told(value.value, otherwise))
    if isinstance(value, tuple):
        return tuple(_told(item, otherwise) for item in value)
    if isinstance(value, Unknown) or not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    changed = {field.name: _told(getattr(value, field.name), otherwise) for field in dataclasses.fields(value)}
    return dataclasses.replace(value, **changed)
