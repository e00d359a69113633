"""Single values of a quantization config, whatever is there."""

from collections.abc import Mapping

from llmops.formats.json_text import Value

MOST = 65_536


def whole(table: Mapping[str, Value], key: str, default: int, *, negative: int | None = None) -> int:
    """A number from 1 to 65536, else the default; `negative` stands for -1 (one group for all)."""
    value = table.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        return default
    if value < 0 and negative is not None:
        return negative
    return value if 0 < value <= MOST else default


def flag(table: Mapping[str, Value], key: str, *, default: bool) -> bool:
    """A yes or no, else the default."""
    value = table.get(key)
    return value if isinstance(value, bool) else default


def texts(value: Value) -> tuple[str, ...]:
    """The texts of a list."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
