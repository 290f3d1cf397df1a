"""`dataclass` as the standard library has it, made in a tenth of the time where a class is frozen and has slots.

The library compiles six methods for each class, half a millisecond; with a hundred classes that was a third of what a
start cost. Here one method is compiled, when the first object is made, and the others are shared. Must not know what
is recorded.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls=None, /, **options):
        """As `dataclasses.dataclass`, which it calls for all that is not just frozen and slotted."""
        if cls is None:
            return lambda cls: dataclass(cls, **options)
        if options != {"frozen": True, "slots": True}:
            return dataclasses.dataclass(cls, **options)
        return _record(cls)


def _record(cls: type) -> type:
    own = vars(cls)
    # one below another is told that both are frozen, which the library insists on; else it compiles nothing here
    below = any(dataclasses.is_dataclass(base) for base in cls.__mro__[1:])
    made: Any = dataclasses.dataclass(cls, init=False, repr=False, eq=False, slots=True, frozen=below)
    made.__dataclass_params__.frozen = True
    fields = dataclasses.fields(made)
    compared = [field.name for field in fields if field.compare]
    hashed = [field.name for field in fields if (field.compare if field.hash is None else field.hash)]
    compared_by, hashed_by = _getter(compared), _getter(hashed)

    def __init__(self: Any, *values: Any, **named: Any) -> None:
        made.__init__ = _compiled(made)
        made.__init__(self, *values, **named)

    def __eq__(self: Any, other: object) -> Any:
        return compared_by(self) == compared_by(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: Any) -> int:
        return hash(hashed_by(self))

    if "__init__" not in own:
        made.__init__ = __init__
    if own.get("__hash__") is None:
        made.__hash__ = __hash__
    if "__eq__" not in own:
        made.__eq__ = __eq__
    if "__repr__" not in own:
        made.__repr__ = _repr
    made.__setattr__, made.__delattr__ = _set, _delete
    made.__getstate__, made.__setstate__ = _state, _restore
    return made  # type: ignore[no-any-return]  # it is a class


def _getter(names: list[str]) -> Any:
    return attrgetter(*names) if names else lambda _: ()


def _compiled(made: Any) -> Any:
    """The constructor, with the parameters that the fields say."""
    known: dict[str, Any] = {"_set": object.__setattr__, "_none": dataclasses.MISSING}
    positional: list[str] = []
    named: list[str] = []
    lines: list[str] = []
    for field in dataclasses.fields(made):
        name, value, parameter = field.name, field.name, field.name
        if field.default is not dataclasses.MISSING:
            known[f"_of_{name}"] = field.default
            parameter = f"{name}=_of_{name}"
        elif field.default_factory is not dataclasses.MISSING:
            known[f"_make_{name}"] = field.default_factory
            parameter, value = f"{name}=_none", f"_make_{name}() if {name} is _none else {name}"
        if not field.init:
            raise TypeError(f"{made.__qualname__}.{name}: a field that is no parameter wants dataclasses.dataclass")
        (named if field.kw_only else positional).append(parameter)
        lines.append(f"_set(self, {name!r}, {value})")
    if hasattr(made, "__post_init__"):
        lines.append("self.__post_init__()")
    parameters = ", ".join(["self", *positional, *(["*", *named] if named else [])])
    exec(f"def __init__({parameters}):\n " + "\n ".join(lines or ["pass"]), known)  # noqa: S102  # names of fields
    return known["__init__"]


def _repr(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _set(_self: object, name: str, _value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _delete(_self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _restore(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
