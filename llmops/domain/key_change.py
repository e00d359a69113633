"""What a command line says of a model's metadata instead of the file: `--override-kv KEY=TYPE:VALUE`."""

from llmops.domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """One key and its new value, of the type the line names: `int`, `float`, `bool` or `str`."""

    key: str
    value: bool | int | float | str

    def type_name(self) -> str:
        """As the line spells it."""
        return type(self.value).__name__
