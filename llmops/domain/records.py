"""`dataclass(frozen=True, slots=True, kw_only=True)`, cheap to define: the same classes as the standard library's.

The standard library writes six methods of a class as text and compiles them while the class is defined, and a plan loads a
hundred classes, of many no instance. Here five of them are closures over the fields' names, and `__init__`, the only one that
needs a text, is compiled by the first instance. Any other kind of dataclass is the standard library's own.

Why not a library: to define 111 frozen classes of seven fields takes 6 ms so, 46 with the standard library, 43 with attrs 26.1
(and 12 more to import it), which compiles as well, and 1 with msgspec 0.22 (3 more to import it), which is compiled for each
platform and no dataclass: `replace` and `fields` would be its own for all callers (Python 3.11, processor time, a busy machine).
"""

import dataclasses
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")
Method = Callable[..., Any]
__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass  # type checkers know this one by its name
else:

    def dataclass(*, frozen: bool = False, slots: bool = False, kw_only: bool = False) -> Callable[[type[T]], type[T]]:
        """As `dataclasses.dataclass` of the same arguments."""
        if frozen and slots and kw_only:
            return _record
        return dataclasses.dataclass(frozen=frozen, slots=slots, kw_only=kw_only)


OWN = frozenset(
    {"__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__", "__getstate__", "__setstate__"}
)
"""A class that has one of these is left to the standard library, which knows what to do with each."""


def _record(plain: type[T]) -> type[T]:
    if OWN & plain.__dict__.keys() or any(dataclasses.is_dataclass(base) for base in plain.__mro__[1:]):
        return dataclasses.dataclass(frozen=True, slots=True, kw_only=True)(plain)
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True, kw_only=True)(plain)
    fields = dataclasses.fields(made)
    if any("InitVar" in str(made.__dataclass_fields__[name].type) for name in _besides(made, fields)):
        raise TypeError(f"{plain.__qualname__} has an InitVar: take `dataclasses.dataclass`")
    for flag in ("init", "repr", "eq", "frozen"):
        setattr(made.__dataclass_params__, flag, True)  # a class that inherits from this one is held to it
    made.__init__ = _init_at_first_use(made, fields)
    made.__repr__ = _repr(fields)
    made.__eq__, made.__hash__ = _equality(fields)
    made.__setattr__, made.__delattr__ = _refusals(made, fields)
    made.__getstate__, made.__setstate__ = _states(fields)
    return made  # type: ignore[no-any-return]  # `dataclass` with slots gives another class of the same type


def _besides(made: Any, fields: Sequence[dataclasses.Field[Any]]) -> set[str]:  # noqa: ANN401 - any dataclass
    return set(made.__dataclass_fields__) - {field.name for field in fields}


def _init_at_first_use(made: Any, fields: Sequence[dataclasses.Field[Any]]) -> Method:  # noqa: ANN401 - any dataclass
    def __init__(self: Any, **values: Any) -> None:  # noqa: ANN401, N807
        made.__init__ = _init(made, fields)
        made.__init__(self, **values)

    return __init__


def _init(made: Any, fields: Sequence[dataclasses.Field[Any]]) -> Method:  # noqa: ANN401 - any dataclass
    scope: dict[str, Any] = {"_set": object.__setattr__, "_ABSENT": object()}
    parameters: list[str] = []
    lines: list[str] = []
    for field in fields:
        name, value = field.name, field.name
        if not field.init:
            raise TypeError(f"{made.__qualname__}.{name} has init=False: take `dataclasses.dataclass`")
        if field.default is not dataclasses.MISSING:
            scope[f"_default_{name}"] = field.default
            parameters.append(f"{name}=_default_{name}")
        elif field.default_factory is not dataclasses.MISSING:
            scope[f"_factory_{name}"] = field.default_factory
            parameters.append(f"{name}=_ABSENT")
            value = f"_factory_{name}() if {name} is _ABSENT else {name}"
        else:
            parameters.append(name)
        lines.append(f" _set(self, {name!r}, {value})")
    if hasattr(made, "__post_init__"):
        lines.append(" self.__post_init__()")
    text = f"def __init__(self{', *' if parameters else ''}, {', '.join(parameters)}):\n" + (
        "\n".join(lines) or " pass"
    )
    exec(text, scope)  # noqa: S102 - names of fields and nothing else
    method: Method = scope["__init__"]
    method.__qualname__ = f"{made.__qualname__}.__init__"
    method.__module__ = made.__module__
    return method


def _values(names: Sequence[str]) -> Callable[[object], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda one: tuple(getattr(one, name) for name in names)


def _equality(fields: Sequence[dataclasses.Field[Any]]) -> tuple[Method, Method]:
    compared = _values([field.name for field in fields if field.compare])
    hashed = _values([field.name for field in fields if (field.compare if field.hash is None else field.hash)])

    def __eq__(self: Any, other: Any) -> Any:  # noqa: ANN401, N807
        return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: Any) -> int:  # noqa: ANN401, N807
        return hash(hashed(self))

    return __eq__, __hash__


def _repr(fields: Sequence[dataclasses.Field[Any]]) -> Method:
    names = [field.name for field in fields if field.repr]

    def __repr__(self: Any) -> str:  # noqa: ANN401, N807
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return __repr__


def _refusals(made: Any, fields: Sequence[dataclasses.Field[Any]]) -> tuple[Method, Method]:  # noqa: ANN401
    names = frozenset(field.name for field in fields)

    def __setattr__(self: Any, name: str, value: Any) -> None:  # noqa: ANN401, N807
        if type(self) is made or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(made, self).__setattr__(name, value)

    def __delattr__(self: Any, name: str) -> None:  # noqa: ANN401, N807
        if type(self) is made or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(made, self).__delattr__(name)

    return __setattr__, __delattr__


def _states(fields: Sequence[dataclasses.Field[Any]]) -> tuple[Method, Method]:
    names = [field.name for field in fields]

    def __getstate__(self: Any) -> list[Any]:  # noqa: ANN401, N807
        return [getattr(self, name) for name in names]

    def __setstate__(self: Any, state: list[Any]) -> None:  # noqa: ANN401, N807
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    return __getstate__, __setstate__
