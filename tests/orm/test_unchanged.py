"""What is patched after the first load holds, and no longer than it is patched: models behave as PynamoDB's do."""

from __future__ import annotations

import json
import linecache
import pickle
import traceback
from collections.abc import Callable
from copy import copy, deepcopy
from datetime import datetime
from typing import Any
from unittest import mock

import pynamodb.models
import pytest
from pynamodb import attributes as attr

import pynamodb_alternator
from pynamodb_alternator.orm.instances import functions_of, loader_of, serializer_of

from .test_shapes import outcome

BASES = (pynamodb.models.Model, pynamodb_alternator.Model)


class Secret(attr.UnicodeAttribute):
    def serialize(self, value: str) -> str:
        return f"encrypted {value}"

    def deserialize(self, value: str) -> str:
        return f"decrypted {value}"


class Inner(attr.MapAttribute):
    text = attr.UnicodeAttribute(null=True, default="inner")
    number = attr.NumberAttribute(null=True)


def make(base: Any) -> Any:
    class Parent(base):  # type: ignore[misc]
        class Meta:
            table_name = "items"

        key = attr.UnicodeAttribute(hash_key=True)
        number = attr.NumberAttribute(null=True, default=1)

    class Item(Parent):
        secret = Secret(null=True)
        made = attr.UTCDateTimeAttribute(null=True, default=lambda: datetime(2026, 1, 2))
        names = attr.UnicodeSetAttribute(null=True)
        inner = Inner(null=True)
        maps = attr.ListAttribute(of=Inner, null=True)
        some = attr.ListAttribute(null=True)
        free = attr.MapAttribute(null=True)
        notes = attr.JSONAttribute(null=True)
        text = attr.UnicodeAttribute(null=True)

    return Item


RAW: dict[str, Any] = {
    "key": {"S": "a"},
    "secret": {"S": "x"},
    "names": {"SS": ["n"]},
    "made": {"S": "2026-11-21T03:15:45.000000+0000"},
    "inner": {"M": {"number": {"N": "3"}}},
    "maps": {"L": [{"M": {"text": {"S": "t"}}}]},
    "some": {"L": [{"S": "s"}, {"N": "1"}]},
    "free": {"M": {"a": {"BOOL": True}}},
    "notes": {"S": "[1]"},
    "text": {"S": "text"},
}
BARE: dict[str, Any] = {"key": {"S": "a"}}


def replaced(owner: Any, name: str, new: Any) -> Any:
    return mock.patch.object(owner, name, new)


def added(owner: Any, name: str, new: Any) -> Any:
    return mock.patch.object(owner, name, new, create=True)


def spoilt(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("patched")


def constantly(value: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: value


class Clock(datetime):
    pass


PATCHES: dict[str, Callable[[Any], Any]] = {
    "an application's deserialize": lambda item: replaced(Secret, "deserialize", constantly("fake")),
    "an application's serialize": lambda item: replaced(Secret, "serialize", constantly("fake")),
    "get_value of an application's attribute": lambda item: added(Secret, "get_value", constantly("fake")),
    "its descriptor": lambda item: added(Secret, "__set__", lambda self, instance, value: None),
    "its __get__": lambda item: added(Secret, "__get__", constantly("got")),
    "a default that is called": lambda item: replaced(item.made, "default", constantly(datetime(2027, 1, 1))),
    "a default": lambda item: replaced(item.number, "default", 2),
    "a default that is equal": lambda item: replaced(item.number, "default", True),
    "no default any more": lambda item: replaced(item.number, "default", None),
    "a new default": lambda item: replaced(item.text, "default", "new"),
    "a new default of an application's attribute": lambda item: replaced(item.secret, "default", "new"),
    "deserialize of one attribute": lambda item: added(item.text, "deserialize", constantly("fake")),
    "serialize of one attribute": lambda item: added(item.text, "serialize", constantly("fake")),
    "whether an attribute may be null": lambda item: replaced(item.text, "null", False),
    "the name of an application's attribute": lambda item: replaced(item.secret, "attr_path", ["other"]),
    "the name of an attribute": lambda item: replaced(item.text, "attr_path", ["other"]),
    "the type of an attribute": lambda item: added(item.text, "attr_type", "N"),
    "PynamoDB's attribute": lambda item: added(attr.UnicodeAttribute, "deserialize", constantly("fake")),
    "PynamoDB's attribute, saving": lambda item: added(attr.UnicodeAttribute, "serialize", constantly("fake")),
    "PynamoDB's number": lambda item: replaced(attr.NumberAttribute, "deserialize", constantly(7)),
    "PynamoDB's base of all attributes": lambda item: replaced(attr.Attribute, "get_value", constantly("fake")),
    "PynamoDB's descriptor": lambda item: replaced(attr.Attribute, "__set__", lambda self, instance, value: None),
    "PynamoDB's time": lambda item: replaced(
        attr.UTCDateTimeAttribute, "_fast_parse_utc_date_string", staticmethod(constantly("now"))
    ),
    "the clock": lambda item: replaced(attr, "datetime", Clock),
    "json.loads": lambda item: replaced(json, "loads", constantly("loaded")),
    "json.dumps": lambda item: replaced(json, "dumps", constantly("dumped")),
    "what a raw map is loaded by": lambda item: mock.patch.dict(attr.DESERIALIZE_CLASS_MAP, {"S": Secret()}),
    "what a raw map is saved by": lambda item: mock.patch.dict(attr.SERIALIZE_CLASS_MAP, {str: Secret()}),
    "the model's __init__": lambda item: added(item, "__init__", spoilt),
    "the parent's __init__": lambda item: added(item.__mro__[1], "__init__", spoilt),
    "__setattr__": lambda item: added(item, "__setattr__", spoilt),
    "__len__": lambda item: added(item, "__len__", constantly(0)),
    "_set_defaults": lambda item: added(item, "_set_defaults", spoilt),
    "PynamoDB's _set_defaults": lambda item: replaced(attr.AttributeContainer, "_set_defaults", spoilt),
    "PynamoDB's __init__": lambda item: replaced(attr.AttributeContainer, "__init__", spoilt),
    "PynamoDB's _container_deserialize": lambda item: replaced(
        attr.AttributeContainer, "_container_deserialize", lambda self, attribute_values: None
    ),
    "get_attributes": lambda item: added(
        item, "get_attributes", classmethod(lambda cls: {"key": cls._attributes["key"]})
    ),
    "get_attributes as a mock": lambda item: added(item, "get_attributes", mock.Mock(return_value={})),
    "_get_discriminator_class": lambda item: added(item, "_get_discriminator_class", classmethod(constantly(int))),
    "an attribute's descriptor": lambda item: replaced(item, "text", "fake"),
    "a parent's descriptor": lambda item: added(item, "number", property(constantly(5), lambda self, value: None)),
    "the attributes": lambda item: mock.patch.dict(item._attributes, {"more": attr.UnicodeAttribute(attr_name="text")}),
    "a map's __init__": lambda item: added(Inner, "__init__", spoilt),
    "a map's validate": lambda item: added(Inner, "validate", constantly(False)),
    "a map's default": lambda item: replaced(Inner.text, "default", "other"),
    "a map's deserialize": lambda item: added(Inner, "deserialize", constantly(None)),
    "a map's descriptor": lambda item: replaced(Inner, "text", "fake"),
    "PynamoDB's map": lambda item: replaced(attr.MapAttribute, "validate", constantly(False)),
}


def seen(item: Any, instance: Any) -> Any:
    return [
        outcome(lambda: item.from_raw_data(deepcopy(RAW))),
        outcome(lambda: item.from_raw_data(deepcopy(BARE))),
        outcome(instance.serialize),
        outcome(lambda: item.from_raw_data({"key": {"S": "a"}}).serialize()),
    ]


@pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES)
def test_what_is_patched_after_the_first_load_holds(patch: Callable[[Any], Any]) -> None:
    before, during, after = [], [], []
    for base in BASES:
        item = make(base)
        instance = item.from_raw_data(deepcopy(RAW))
        before.append(seen(item, instance))
        with patch(item):
            during.append(seen(item, instance))
        after.append(seen(item, instance))
    assert before[0] == before[1] == after[0] == after[1]
    assert during[0] == during[1]


@pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES)
def test_what_was_patched_at_the_first_load_ends(patch: Callable[[Any], Any]) -> None:
    during, after = [], []
    for base in BASES:
        item = make(base)
        instance = item("a", text="text")
        with patch(item):
            during.append(seen(item, instance))
        after.append(seen(item, instance))
    assert during[0] == during[1]
    assert after[0] == after[1]


def test_the_patches_do_something() -> None:
    same = []
    for name, patch in PATCHES.items():
        item = make(pynamodb.models.Model)
        instance = item.from_raw_data(deepcopy(RAW))
        before = seen(item, instance)
        with patch(item):
            if seen(item, instance) == before:
                same.append(name)
    assert same == []


def test_functions_are_made_once_and_again_after_a_patch() -> None:
    item = make(pynamodb_alternator.Model)
    first = functions_of(item)
    assert functions_of(item) is first
    assert first.load is first.load is not None
    with mock.patch.object(item.text, "default", "new"):
        assert functions_of(item) is not first
    # Derived classes have their own.
    derived = type(item)("Derived", (item,), {})
    assert functions_of(derived) is functions_of(derived) is not functions_of(item)


def test_tracebacks_show_the_generated_lines() -> None:
    item = make(pynamodb_alternator.Model)
    with pytest.raises(attr.AttributeDeserializationError) as caught:
        item.from_raw_data({"key": {"N": "1"}})
    shown = "".join(traceback.format_exception(caught.value))
    assert f"pynamodb_alternator loader of {__name__}.make.<locals>.Item" in shown
    assert "key_attribute.deserialize(key_attribute.get_value(wire))" in shown
    linecache.checkcache()
    assert "key_attribute.deserialize" in "".join(traceback.format_exception(caught.value))
    with pytest.raises(ValueError, match="Attribute 'key' cannot be None") as caught_saving:
        item().serialize()
    assert "add_value(wire, key_attribute, 'key'" in "".join(traceback.format_exception(caught_saving.value))


def test_two_classes_of_one_name_show_their_own_lines() -> None:
    def named(attribute: str) -> Any:
        space = {"key": attr.UnicodeAttribute(hash_key=True), attribute: attr.NumberAttribute()}
        base: Any = pynamodb_alternator.Model
        return type(base)("Same", (base,), space)

    for name in ("first", "second", "first"):
        with pytest.raises(attr.AttributeDeserializationError) as caught:
            named(name).from_raw_data({name: {"S": "1"}})
        assert f"{name}_attribute.get_value(wire)" in "".join(traceback.format_exception(caught.value))


class Kept(pynamodb_alternator.Model):
    class Meta:
        table_name = "kept"

    key = attr.UnicodeAttribute(hash_key=True)
    inner = Inner(null=True)
    free = attr.MapAttribute(null=True)


def test_instances_are_copied_pickled_and_compared_as_usual() -> None:
    loaded = Kept.from_raw_data({"key": {"S": "a"}, "inner": {"M": {}}, "free": {"M": {"x": {"N": "1"}}}})
    assert repr(loaded) == "Kept(free=MapAttribute(x=1), inner=Inner(text='inner'), key='a')"
    for again in (copy(loaded), deepcopy(loaded)):
        assert outcome(lambda: again) == outcome(lambda: loaded)  # noqa: B023
        assert again != loaded
    assert loaded == loaded
    # Maps look their state up in themselves while they are unpickled: PynamoDB's never could be.
    simple = Kept.from_raw_data({"key": {"S": "a"}})
    assert outcome(lambda: pickle.loads(pickle.dumps(simple))) == outcome(lambda: simple)


def test_a_model_whose_metaclass_makes_its_instances_goes_pynamodbs_way() -> None:
    class Counting(type(pynamodb_alternator.Model)):  # type: ignore[misc]
        made = 0

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            Counting.made += 1
            return super().__call__(*args, **kwargs)

    class Item(pynamodb_alternator.Model, metaclass=Counting):
        key = attr.UnicodeAttribute(hash_key=True)

    Item.from_raw_data({"key": {"S": "a"}})
    assert Counting.made == 1
    assert loader_of(Item) is None
    assert serializer_of(Item) is None


def test_a_strange_name_of_a_class_or_attribute_is_no_code() -> None:
    base: Any = pynamodb_alternator.Model
    names = ["class", "values", "with space", "quote'", "новый", "get", "None"]
    space: dict[str, Any] = {name: attr.UnicodeAttribute(null=True) for name in names}
    for title in ("values", "type", "set", "a b", "class", "value_0", "wire_1"):
        item = type(base)(title, (base,), {**space, "key": attr.UnicodeAttribute(hash_key=True)})
        loaded = item.from_raw_data({name: {"S": name} for name in names})
        assert loaded.attribute_values == {name: name for name in names}
        assert loaded.serialize(null_check=False) == {name: {"S": name} for name in names}
