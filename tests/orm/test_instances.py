"""Items become the instances that PynamoDB makes of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pynamodb.models
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynamodb import attributes as attr

import pynamodb_alternator
from pynamodb_alternator.orm import instances
from pynamodb_alternator.orm.instances import loader_if_worthwhile, loader_of


def make(base: Any) -> Any:
    class Inner(attr.MapAttribute):
        text = attr.UnicodeAttribute(default="inner")

    class Item(base):  # type: ignore[misc]
        class Meta:
            table_name = "items"

        key = attr.UnicodeAttribute(hash_key=True)
        sort = attr.NumberAttribute(range_key=True, attr_name="s")
        blob = attr.BinaryAttribute(null=True, legacy_encoding=False)
        blobs = attr.BinarySetAttribute(null=True, legacy_encoding=False)
        flag = attr.BooleanAttribute(default=True)
        count = attr.NumberAttribute(default_for_new=5)
        made = attr.UnicodeAttribute(default=lambda: "made")
        nothing = attr.UnicodeAttribute(null=True, default=lambda: None)
        numbers = attr.NumberSetAttribute(null=True)
        names = attr.UnicodeSetAttribute(null=True)
        some = attr.ListAttribute(null=True)
        free = attr.MapAttribute(null=True)
        inner = Inner(null=True)
        when = attr.UTCDateTimeAttribute(null=True)
        json = attr.JSONAttribute(null=True)
        version = attr.VersionAttribute()
        dies = attr.TTLAttribute(null=True)

    return Item


STOCK, OURS = make(pynamodb.models.Model), make(pynamodb_alternator.Model)
texts = st.text(max_size=5)
numbers = st.integers().map(str) | st.floats(allow_nan=False, allow_infinity=False).map(str)
simple = st.one_of(
    texts.map(lambda value: {"S": value}),
    numbers.map(lambda value: {"N": value}),
    st.booleans().map(lambda value: {"BOOL": value}),
    st.just({"NULL": True}),
)
wrong = st.sampled_from([None, {}, {"NULL": True}, {"S": "x"}, {"N": "1"}, {"N": "no number"}, {"M": {}}, {"BOOL": 0}])
items = st.fixed_dictionaries(
    {},
    optional={
        "key": texts.map(lambda value: {"S": value}),
        "s": numbers.map(lambda value: {"N": value}),
        "sort": simple,
        "blob": st.binary(max_size=4).map(lambda value: {"B": value}),
        "blobs": st.lists(st.binary(max_size=4)).map(lambda value: {"BS": value}),
        "flag": st.booleans().map(lambda value: {"BOOL": value}) | wrong,
        "count": wrong,
        "made": texts.map(lambda value: {"S": value}) | wrong,
        "nothing": wrong,
        "numbers": st.lists(numbers).map(lambda value: {"NS": value}),
        "names": st.lists(texts).map(lambda value: {"SS": value}),
        "some": st.lists(simple, max_size=3).map(lambda value: {"L": value}),
        "free": st.dictionaries(texts, simple, max_size=3).map(lambda value: {"M": value}),
        "inner": st.fixed_dictionaries({}, optional={"text": simple}).map(lambda value: {"M": value}),
        "when": st.sampled_from([{"S": "2026-11-21T03:15:45.000000+0000"}, {"S": "yesterday"}]),
        "json": st.sampled_from([{"S": '{"a": 1}'}, {"S": "{"}]),
        "version": numbers.map(lambda value: {"N": value}),
        "dies": numbers.map(lambda value: {"N": value}),
        "unknown": simple,
    },
)


def values(container: Any) -> Any:
    """All values of an instance, maps included, in their order."""
    if isinstance(container, attr.AttributeContainer):
        return [(name, values(value)) for name, value in container.attribute_values.items()]
    return (
        [values(element) for element in container]
        if isinstance(container, list)
        else (type(container).__name__, container)
    )


def attempted(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return type(error), str(error)


def outcome(call: Callable[[], Any]) -> Any:
    return attempted(lambda: values(call()))


@settings(deadline=None, max_examples=200)
@given(items)
def test_instances_are_the_same(item: Any) -> None:
    assert loader_of(OURS) is not None
    assert outcome(lambda: OURS.from_raw_data(item)) == outcome(lambda: STOCK.from_raw_data(item))


def test_an_instance_behaves_as_one_of_pynamodb() -> None:
    loaded = OURS.from_raw_data({"key": {"S": "a"}, "s": {"N": "1"}, "inner": {"M": {}}})
    assert type(loaded) is OURS
    assert (loaded.key, loaded.sort, loaded.flag, loaded.count, loaded.made) == ("a", 1, True, None, "made")
    assert loaded.inner.text == "inner"
    loaded.count, loaded.version = 3, 1
    assert loaded.serialize()["count"] == {"N": "3"}
    assert OURS.from_raw_data({}).attribute_values == {"flag": True, "made": "made"}
    with pytest.raises(ValueError, match="no data"):
        OURS.from_raw_data(None)


def test_defaults_are_made_for_each() -> None:
    numbers = itertools.count()

    class Item(pynamodb_alternator.Model):
        class Meta:
            table_name = "items"

        key = attr.UnicodeAttribute(hash_key=True)
        number = attr.NumberAttribute(default=lambda: next(numbers))

    assert [Item.from_raw_data({"key": {"S": "a"}}).number for _ in range(3)] == [0, 1, 2]


def test_models_that_change_something_go_pynamodbs_way() -> None:
    class WithInit(OURS):  # type: ignore[misc,valid-type]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.seen = True

    class WithSet(OURS):  # type: ignore[misc,valid-type]
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value.upper() if name == "key" else value)

    class Shout(attr.UnicodeAttribute):
        def __set__(self, instance: Any, value: Any) -> None:
            super().__set__(instance, value and value.upper())

    class WithAttribute(OURS):  # type: ignore[misc,valid-type]
        name = Shout()

    class WithLength(OURS):  # type: ignore[misc,valid-type]
        def __len__(self) -> int:
            return 0

    class Animal(pynamodb_alternator.Model):
        class Meta:
            table_name = "animals"

        key = attr.UnicodeAttribute(hash_key=True)
        kind = attr.DiscriminatorAttribute()

    class Cat(Animal, discriminator="cat"):
        lives = attr.NumberAttribute(default=9)

    item = {"key": {"S": "a"}, "name": {"S": "b"}}
    assert WithInit.from_raw_data(item).seen
    assert WithSet.from_raw_data(item).key == "A"
    assert WithAttribute.from_raw_data(item).name == "B"
    cat = Animal.from_raw_data({"key": {"S": "tom"}, "kind": {"S": "cat"}})
    assert type(cat) is Cat
    assert cat.lives == 9
    assert [loader_of(model) for model in (WithInit, WithSet, WithLength)] == [None] * 3
    assert WithLength.from_raw_data(item).attribute_values == {}
    assert loader_of(WithAttribute) is not None
    # Each class has its own loader, whichever was used first.
    assert OURS.from_raw_data(item).key == "a"


# ---- several attributes of one attr_name -------------------------------------------------------------------------

SHAPES: dict[str, Callable[[], dict[str, Any]]] = {
    "a rename that keeps the old Python name": lambda: {
        "name": attr.UnicodeAttribute(attr_name="n", default="anon"),
        "nick": attr.UnicodeAttribute(attr_name="n", null=True),
    },
    "the default is of the second": lambda: {
        "name": attr.UnicodeAttribute(attr_name="n", null=True),
        "nick": attr.UnicodeAttribute(attr_name="n", default=lambda: "anon"),
    },
    "both have a default": lambda: {
        "name": attr.UnicodeAttribute(attr_name="n", default="first"),
        "nick": attr.UnicodeAttribute(attr_name="n", default="second"),
    },
    "one has the name of the wire": lambda: {
        "n": attr.UnicodeAttribute(default="anon"),
        "name": attr.UnicodeAttribute(attr_name="n", null=True),
    },
    "one has the name of the wire, and comes last": lambda: {
        "a": attr.UnicodeAttribute(attr_name="n", null=True),
        "n": attr.UnicodeAttribute(default="anon"),
    },
    "three of them": lambda: {
        "a": attr.UnicodeAttribute(attr_name="n", null=True),
        "b": attr.UnicodeAttribute(attr_name="n", default="anon"),
        "c": attr.UnicodeAttribute(attr_name="n", null=True),
    },
    "of different types": lambda: {
        "a": attr.NumberAttribute(attr_name="n", null=True),
        "b": attr.UnicodeAttribute(attr_name="n", null=True),
    },
    "names exchanged": lambda: {
        "n": attr.UnicodeAttribute(attr_name="name", null=True),
        "name": attr.UnicodeAttribute(attr_name="n", default="anon"),
    },
    "a chain": lambda: {
        "a": attr.UnicodeAttribute(attr_name="n", default="anon"),
        "n": attr.UnicodeAttribute(attr_name="m", default="other"),
        "m": attr.UnicodeAttribute(null=True),
    },
    "a version": lambda: {
        "count": attr.NumberAttribute(attr_name="n", null=True),
        "version": attr.VersionAttribute(attr_name="n"),
    },
    "a time to live": lambda: {
        "dies": attr.TTLAttribute(attr_name="n", null=True, default=60),
        "seconds": attr.NumberAttribute(attr_name="n", null=True),
    },
    "maps": lambda: {
        "a": attr.MapAttribute(attr_name="n", null=True),
        "b": attr.MapAttribute(attr_name="n", default=dict),
    },
}
ALIASED_ITEMS: list[dict[str, Any]] = [
    {},
    {"n": {"S": "bob"}},
    {"n": {"N": "5"}},
    {"n": {"M": {"x": {"S": "y"}}}},
    {"n": {"NULL": True}},
    {"n": {"S": "bob"}, "name": {"S": "wire"}, "m": {"S": "last"}},
]


def aliased(base: Any, shape: Callable[[], dict[str, Any]], *, inherited: bool) -> Any:
    """A model with the attributes of a shape; or one that adds the last of them to those of its base class."""
    attributes = list(shape().items())
    own = attributes[-1:] if inherited else attributes
    namespace = {"key": attr.UnicodeAttribute(hash_key=True), "Meta": type("Meta", (), {"table_name": "aliases"})}
    if inherited:
        base = type(base)("Base", (base,), {**namespace, **dict(attributes[:-1])})
        return type(base)("Item", (base,), dict(own))
    return type(base)("Item", (base,), {**namespace, **dict(own)})


@pytest.mark.parametrize("inherited", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_attributes_of_one_name_are_loaded_and_saved_as_by_pynamodb(
    shape: Callable[[], dict[str, Any]], inherited: bool
) -> None:
    ours, stock = (
        aliased(base, shape, inherited=inherited) for base in (pynamodb_alternator.Model, pynamodb.models.Model)
    )
    assert loader_of(ours) is not None

    def seen(model: Any, item: dict[str, Any]) -> Any:
        instance = model.from_raw_data({"key": {"S": "a"}, **item})
        read = [values(getattr(instance, name)) for name in model.get_attributes()]
        return read, values(instance), attempted(instance.serialize)

    for item in ALIASED_ITEMS:
        assert attempted(partial(seen, ours, item)) == attempted(partial(seen, stock, item))


def test_how_instances_are_made_is_found_out_once_for_each_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks at each attribute of the model: far more work than to make an instance."""
    asked: list[Any] = []

    class Counted(instances.ItemFunctions):
        def __init__(self, cls: Any) -> None:
            asked.append(cls)
            super().__init__(cls)

    monkeypatch.setattr(instances, "ItemFunctions", Counted)
    base = make(pynamodb_alternator.Model)
    derived = type(base)("Derived", (base,), {"more": attr.UnicodeAttribute(null=True)})
    odd = type(base)("Odd", (base,), {"__len__": lambda self: 1})
    for model in (base, derived, odd) * 3:
        assert model.from_raw_data({"key": {"S": "a"}, "more": {"S": "b"}}).key == "a"
    assert asked == [base, derived, odd]


def test_the_first_item_that_comes_alone_is_left_to_pynamodb() -> None:
    item = make(pynamodb_alternator.Model)
    derived = type(item)("Derived", (item,), {})
    assert [loader_if_worthwhile(model) for model in (item, derived)] == [None, None]
    for model in (item, derived):
        assert loader_if_worthwhile(model) is loader_of(model) is not None


def test_what_a_page_was_loaded_with_loads_an_item_that_comes_alone() -> None:
    item = make(pynamodb_alternator.Model)
    assert loader_of(item) is loader_if_worthwhile(item) is not None


@pytest.mark.parametrize("base", [pynamodb.models.Model, pynamodb_alternator.Model])
def test_a_mixin_that_pynamodb_initialises_is_initialised(base: Any) -> None:
    """PynamoDB's `__init__` goes on to the classes behind it, for new instances and for loaded ones."""

    class Audited(attr.AttributeContainer):
        def __init__(self, **values: Any) -> None:
            super().__init__(**values)
            self.changes: list[str] = []

    item = type(base)(
        "Item",
        (base, Audited),
        {"key": attr.UnicodeAttribute(hash_key=True), "Meta": type("Meta", (), {"table_name": "audited"})},
    )
    assert item("a").changes == []
    assert item.from_raw_data({"key": {"S": "a"}}).changes == []


@pytest.mark.parametrize("base", [pynamodb.models.Model, pynamodb_alternator.Model])
def test_what_is_changed_after_the_first_load_holds(base: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mocks of an application's tests, whatever was loaded before them."""

    class Secret(attr.UnicodeAttribute):
        def deserialize(self, value: str) -> str:
            return f"decrypted {value}"

    item = type(base)(
        "Item",
        (base,),
        {
            "key": attr.UnicodeAttribute(hash_key=True),
            "secret": Secret(),
            "made": attr.UnicodeAttribute(default=lambda: "now"),
            "kind": attr.UnicodeAttribute(null=True),
            "Meta": type("Meta", (), {"table_name": "secrets"}),
        },
    )
    raw = {"key": {"S": "a"}, "secret": {"S": "x"}}
    loaded = item.from_raw_data(raw)
    assert (loaded.secret, loaded.made, loaded.kind) == ("decrypted x", "now", None)
    monkeypatch.setattr(Secret, "deserialize", lambda self, value: "fake")
    monkeypatch.setattr(item.made, "default", lambda: "frozen")
    monkeypatch.setattr(item.kind, "default", "usual")
    loaded = item.from_raw_data(raw)
    assert (loaded.secret, loaded.made, loaded.kind) == ("fake", "frozen", "usual")


@pytest.mark.parametrize("name", ["_recipe", "_item_loader", "_defaults"])
def test_attributes_of_a_model_may_have_names_of_ours(name: str) -> None:
    namespace = {"key": attr.UnicodeAttribute(hash_key=True), "Meta": type("Meta", (), {"table_name": "names"})}
    base: Any = pynamodb_alternator.Model
    item = type(base)("Item", (base,), {**namespace, name: attr.UnicodeAttribute(null=True)})
    assert getattr(item.from_raw_data({"key": {"S": "a"}, name: {"S": "b"}}), name) == "b"
