"""Our dataclasses do what the standard library's do, and compile nothing before it is used."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from dataclasses import KW_ONLY, FrozenInstanceError, field
from types import FunctionType
from typing import Any

import pytest

from pynamodb_alternator import _dataclass

Decorator = Callable[..., Any]


def shapes(dataclass: Decorator) -> dict[str, type[Any]]:
    """The same classes, made by one or the other."""

    @dataclass(frozen=True, slots=True)
    class Point:
        """Has a docstring."""

        x: int
        y: int = 2
        tags: list[str] = field(default_factory=list, compare=False)
        _: KW_ONLY
        secret: str = field(default="s", repr=False)

    @dataclass(frozen=True, slots=True)
    class Point3(Point):
        z: int = 3
        w: int = field(kw_only=True, hash=False)

    @dataclass(frozen=True, kw_only=True)
    class Event:
        name: str

    @dataclass(frozen=True, kw_only=True)
    class Happened(Event):
        what: str = "x"
        when: float

    @dataclass(frozen=True, slots=True)
    class Made:
        first: str
        second: str = field(init=False)
        third: str = field(init=False, default="3")
        fourth: dict[str, int] = field(init=False, default_factory=dict)

        def __post_init__(self) -> None:
            object.__setattr__(self, "second", self.first * 2)

        def __hash__(self) -> int:
            return 7

        def __eq__(self, other: object) -> bool:
            return type(other) is type(self)

        def __repr__(self) -> str:
            return "mine"

    @dataclass(frozen=True, slots=True)
    class EqualInAnotherWay:
        a: int

        def __eq__(self, other: object) -> bool:
            return True

    @dataclass(slots=True)
    class Changing:
        a: int
        b: list[int] = field(default_factory=list)

    @dataclass(slots=True, eq=False)
    class Itself:
        a: int = 1

    @dataclass(frozen=True, slots=True, repr=False)
    class Empty:
        pass

    return {name: kind for name, kind in locals().items() if isinstance(kind, type)}


OURS, STOCK = shapes(_dataclass.dataclass), shapes(dataclasses.dataclass)
ARGUMENTS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "Point": ((1,), {"secret": "t"}),
    "Point3": ((1, 5), {"w": 4}),
    "Event": ((), {"name": "n"}),
    "Happened": ((), {"name": "n", "when": 1.5}),
    "Made": (("one",), {}),
    "EqualInAnotherWay": ((1,), {}),
    "Changing": ((1,), {}),
    "Itself": ((), {}),
    "Empty": ((), {}),
}
EACH = pytest.mark.parametrize("name", ARGUMENTS)


def pair(name: str) -> tuple[Any, Any]:
    positional, named = ARGUMENTS[name]
    return OURS[name](*positional, **named), STOCK[name](*positional, **named)


def refusal(call: Callable[[], Any]) -> str | None:
    try:
        call()
    except FrozenInstanceError as error:
        return str(error)
    except (TypeError, AttributeError) as error:
        # Python 3.11 stumbles over a slot that there is not, where later versions refuse it.
        return "refused" if "super(" in str(error) else str(error)
    return None


def test_all_shapes_are_looked_at() -> None:
    assert OURS.keys() == STOCK.keys() == ARGUMENTS.keys()


@EACH
def test_it_is_the_same_to_dataclasses(name: str) -> None:
    ours, stock = pair(name)
    assert dataclasses.is_dataclass(ours)
    for one, other in zip(dataclasses.fields(ours), dataclasses.fields(stock), strict=True):
        assert repr(one) == repr(other)
    assert dataclasses.asdict(ours) == dataclasses.asdict(stock)
    assert OURS[name].__match_args__ == STOCK[name].__match_args__
    assert str(inspect.signature(OURS[name])) == str(inspect.signature(STOCK[name]))
    assert getattr(OURS[name], "__slots__", None) == getattr(STOCK[name], "__slots__", None)
    assert hasattr(ours, "__dict__") is hasattr(stock, "__dict__")


@EACH
def test_its_values_are_the_same(name: str) -> None:
    ours, stock = pair(name)
    names = [each.name for each in dataclasses.fields(stock)]
    assert [getattr(ours, each) for each in names] == [getattr(stock, each) for each in names]
    if name != "Empty":  # has the repr of any object
        assert repr(ours) == repr(stock)
    again, stock_again = pair(name)
    assert (ours == again, ours != again) == (stock == stock_again, stock != stock_again)
    assert (ours == stock) is (name == "EqualInAnotherWay")
    can_be_hashed = STOCK[name].__hash__ is not None
    assert (OURS[name].__hash__ is not None) is can_be_hashed
    if can_be_hashed:
        assert (hash(ours) == hash(again)) is (hash(stock) == hash(stock_again))


@EACH
def test_it_refuses_what_the_other_refuses(name: str) -> None:
    ours, stock = pair(name)
    for refused in (
        lambda made: setattr(made, "a", 1),
        lambda made: setattr(made, "x", 1),
        lambda made: setattr(made, "name", 1),
        lambda made: setattr(made, "others", 1),
        lambda made: delattr(made, "x"),
        lambda made: type(made)(1, 2, 3, 4, 5, 6),
        lambda made: type(made)(unknown=1),
        lambda made: type(made)(),
    ):
        told = refusal(lambda refused=refused: refused(ours))  # type: ignore[misc]
        expected = refusal(lambda refused=refused: refused(stock))  # type: ignore[misc]
        assert told == expected or (told and expected == "refused")


@EACH
def test_copies(name: str) -> None:
    ours, _ = pair(name)
    for made in (copy.copy(ours), copy.deepcopy(ours)):
        assert type(made) is OURS[name]
        assert dataclasses.asdict(made) == dataclasses.asdict(ours)


@_dataclass.dataclass(frozen=True, slots=True)
class Kept:
    a: int
    b: tuple[int, ...] = ()


def test_pickles() -> None:
    assert pickle.loads(pickle.dumps(Kept(1, (2,)))) == Kept(1, (2,))
    assert {Kept(1): "found"}[Kept(1)] == "found"
    assert Kept(1) != Kept(2)
    assert dataclasses.replace(Kept(1), b=(3,)) == Kept(1, (3,))
    match Kept(1, (2,)):
        case Kept(a, b):
            assert (a, b) == (1, (2,))


def test_classes_may_derive_from_it() -> None:
    """Users may do that with events and settings, by the standard library's decorator and by none."""

    @dataclasses.dataclass(frozen=True)
    class Derived(OURS["Point"]):  # type: ignore[misc]
        more: int = 5

    derived: Any = Derived(1, more=6)
    assert (derived.x, derived.y, derived.more) == (1, 2, 6)
    with pytest.raises(FrozenInstanceError):
        derived.more = 7
    with pytest.raises(TypeError, match="non-frozen"):
        dataclasses.dataclass(type("Thawed", (OURS["Point"],), {"__annotations__": {"more": int}}))

    class Plain(OURS["Point"]):  # type: ignore[misc]
        def __init__(self, x: int) -> None:
            super().__init__(x, y=8)
            self.other = 9

    plain: Any = Plain(1)
    assert (plain.y, plain.other) == (8, 9)
    del plain.other
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'x'"):
        plain.x = 2


def test_the_constructor_is_compiled_when_it_is_first_used() -> None:
    made = shapes(_dataclass.dataclass)["Point"]
    assert type(vars(made)["__init__"]) is not FunctionType
    assert made(1) == made(1)
    assert type(vars(made)["__init__"]) is FunctionType
    assert made.__init__.__qualname__.endswith("Point.__init__")
