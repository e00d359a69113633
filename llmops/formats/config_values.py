"""The values of a config.json, each checked when asked for: what the file says, else what its class puts in.

A key that is there as null is not filled in by the class.
"""

from collections.abc import Mapping

from llmops.domain.errors import WrongInput
from llmops.formats.json_text import Value
from llmops.formats.refusal import refusal

WIDTH_LIMIT = 1 << 28
"""More than any width, head count or length of a real model."""

LONG_NUMBER = 10**30
"""Longer ones are not printed."""

LENGTH_LIMIT = 1 << 40


class ConfigValues:
    """`defaults` are the class's, for keys that the file leaves out."""

    __slots__ = ("_defaults", "_values", "file")

    def __init__(self, values: Mapping[str, Value], defaults: Mapping[str, Value], *, file: str) -> None:
        self._values = values
        self._defaults = defaults
        self.file = file

    def has(self, key: str) -> bool:
        """Whether the file itself says it, null not counted."""
        return self._values.get(key) is not None

    def value(self, *keys: str) -> Value:
        """The first of these keys that the file says, else the first that its class fills in; None without either."""
        for key in keys:
            if self._values.get(key) is not None:
                return self._values[key]
        if any(key in self._values for key in keys):
            return None
        return next((self._defaults[key] for key in keys if key in self._defaults), None)

    def integer(self, *keys: str, default: int | None = None, least: int = 0, most: int = WIDTH_LIMIT) -> int:
        """A whole number; without a default it must be there."""
        value = self.value(*keys)
        if value is None:
            if default is None:
                hint = "it is not a whole model's config.json, or of a form that is newer than this program"
                raise self.wrong(keys[0], "is missing", hint=hint)
            return default
        return self._bounded(keys[0], value, least=least, most=most)

    def flag(self, *keys: str, default: bool = False) -> bool:
        """A yes or no; anything else counts as not said."""
        value = self.value(*keys)
        return value if isinstance(value, bool) else default

    def text(self, key: str) -> str | None:
        """A text."""
        value = self.value(key)
        return value if isinstance(value, str) else None

    def table(self, key: str) -> Mapping[str, Value]:
        """An object; empty where there is none."""
        value = self.value(key)
        return value if isinstance(value, Mapping) else {}

    def listed(self, key: str) -> tuple[Value, ...] | None:
        """A list, whatever is in it."""
        value = self.value(key)
        return tuple(value) if isinstance(value, list) else None

    def texts(self, key: str, count: int) -> tuple[str, ...] | None:
        """One text a layer; None where there is no list."""
        items = self.listed(key)
        if items is None:
            return None
        self._check_length(key, len(items), count)
        if not all(isinstance(item, str) for item in items[:count]):
            raise self.wrong(key, "is not a list of texts")
        return tuple(str(item) for item in items[:count])

    def integers(self, key: str, count: int) -> tuple[int, ...] | None:
        """One whole number a layer; None where there is no list."""
        items = self.listed(key)
        if items is None:
            return None
        self._check_length(key, len(items), count)
        return tuple(self._bounded(key, item, least=0, most=WIDTH_LIMIT) for item in items[:count])

    def per_layer(self, *keys: str, count: int, default: int | None = None) -> tuple[int, ...]:
        """One whole number a layer: a list, or one number for all."""
        for key in keys:
            if isinstance(self.value(key), list):
                return self.integers(key, count) or ()
        return (self.integer(*keys, default=default),) * count

    def indices(self, key: str) -> frozenset[int] | None:
        """A list of layer numbers; None where there is no list of numbers."""
        items = self.listed(key)
        if items is None:
            return None
        return frozenset(item for item in items if isinstance(item, int) and not isinstance(item, bool))

    def inside(self, key: str) -> "ConfigValues":
        """The object of this name as values of its own, without defaults."""
        return ConfigValues(self.table(key), {}, file=self.file)

    def wrong(self, key: str, message: str, *, hint: str | None = None) -> WrongInput:
        """The refusal of a key."""
        return refusal(self.file, f"{key} {message}", hint=hint, key=key)

    def _check_length(self, key: str, length: int, count: int) -> None:
        if length < count:
            raise self.wrong(key, f"has {length} entries for {count} layers")

    def _bounded(self, key: str, value: Value, *, least: int, most: int) -> int:
        if isinstance(value, list) and value and all(item == value[0] for item in value):
            value = value[0]
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(key, f"is not a whole number: {ascii(value)[:60]}")
        if not least <= value <= most:
            digits = str(value) if abs(value) < LONG_NUMBER else f"a number of {len(str(abs(value)))} digits"
            raise self.wrong(key, f"is {digits}, not between {least} and {most}")
        return value
