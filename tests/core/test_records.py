"""Records behave as the standard library's frozen dataclasses with slots do: every claim is made of both."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from hostshell.core import records


class _Odd:
    """A class of another module's making that is below both."""

    __slots__ = ()


def _made(dataclass: Callable[..., Any], suffix: str) -> tuple[Any, Any]:
    @dataclass(frozen=True, slots=True)
    class Point(_Odd):
        """A point."""

        x: int
        y: int = 2
        tags: list[str] = dataclasses.field(default_factory=list, compare=False)
        secret: str = dataclasses.field(default="s", repr=False)

    @dataclass(frozen=True, slots=True)
    class Named(Point):
        """One with a name."""

        name: str = "n"

    for made in (Point, Named):
        made.__qualname__ = f"{made.__name__}{suffix}"
        globals()[made.__qualname__] = made
    return Point, Named


PAIRS = [_made(records.dataclass, "Ours"), _made(dataclasses.dataclass, "Theirs")]


@pytest.fixture(params=PAIRS, ids=["ours", "theirs"])
def pair(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    return request.param  # type: ignore[no-any-return]  # a pair of classes


def test_parameters_defaults_and_errors(pair: tuple[Any, Any]) -> None:
    point, named = pair
    assert (point(1).x, point(1).y, point(1, y=3).y, point(x=4).x) == (1, 2, 3, 4)
    assert named(1, 2, [], "s", "m").name == "m"
    assert point(1).tags is not point(1).tags
    for wrong in (lambda: point(), lambda: point(1, z=1), lambda: point(1, 2, [], "s", 5), lambda: point(1, x=1)):
        with pytest.raises(TypeError):
            wrong()


def test_equality_and_hash_go_by_class_and_by_the_fields_that_count(pair: tuple[Any, Any]) -> None:
    point, named = pair
    assert point(1, tags=["a"]) == point(1, tags=["b"])
    assert hash(point(1, tags=["a"])) == hash(point(1, tags=["b"]))
    assert point(1) != point(1, secret="t")
    assert point(1) != named(1)
    assert point(1) != (1, 2, [], "s")


def test_text_hides_what_is_hidden(pair: tuple[Any, Any]) -> None:
    point, _ = pair
    assert repr(point(1)) == f"{point.__qualname__}(x=1, y=2, tags=[])"


def test_nothing_can_be_changed(pair: tuple[Any, Any]) -> None:
    one = pair[1](1)
    for name in ("x", "name", "other"):
        with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):  # the library's slots confuse its own super
            setattr(one, name, 5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        del one.name
    assert not hasattr(one, "__dict__")


def test_copies_pickles_replacement_and_patterns(pair: tuple[Any, Any]) -> None:
    point, named = pair
    one = named(1, tags=["a"], secret="t", name="m")
    for same in (pickle.loads(pickle.dumps(one)), copy.copy(one), copy.deepcopy(one), dataclasses.replace(one)):
        assert same == one
        assert (same.tags, type(same)) == (["a"], named)
    assert dataclasses.replace(one, y=9).y == 9
    assert point.__match_args__ == ("x", "y", "tags", "secret")
    assert [field.name for field in dataclasses.fields(named)] == ["x", "y", "tags", "secret", "name"]
    assert named.__dataclass_params__.frozen


def test_what_is_not_just_frozen_and_slotted_is_made_by_the_library() -> None:
    @records.dataclass(frozen=True, slots=True)
    class Base:
        """A record."""

        a: int = 1

    @records.dataclass(frozen=True, slots=True, kw_only=True)
    class Below(Base):
        """Below one."""

        b: int = 2

    @records.dataclass(frozen=True, slots=True)
    class Again(Below):
        """Below that."""

        c: int = 3

        def __post_init__(self) -> None:
            assert self.a < 9

    @records.dataclass
    class Plain:
        """Nothing of it."""

        d: int = 4

    assert (Below(b=5), Again(7, 8, b=6).b, Plain(2).d) == (Below(1, b=5), 6, 2)
    with pytest.raises(AssertionError):
        Again(9)
