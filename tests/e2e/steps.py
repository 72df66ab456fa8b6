"""Steps of applications with PynamoDB, with and without mistakes. Each step finds the items of the steps before."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from pynamodb import attributes as attr
from pynamodb.connection.base import MetaTable
from pynamodb.expressions.operand import Path
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, KeysOnlyProjection, LocalSecondaryIndex
from pynamodb.transactions import TransactGet, TransactWrite

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
THINGS = {
    "TableName": "things",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": "id", "AttributeType": "S"},
        {"AttributeName": "at", "AttributeType": "N"},
    ],
}


class Colour(enum.Enum):
    RED = "red"


def application(model: Any, connection: Any, table_connection: Any, **settings: Any) -> Any:
    """An application whose models derive from `model`. `settings`: of its connections, and of its models' `Meta`."""

    class Common:
        billing_mode = "PAY_PER_REQUEST"

    for name, value in settings.items():
        setattr(Common, name, value)

    class ByNumber(GlobalSecondaryIndex[Any]):
        class Meta:
            index_name = "by_number"
            projection = AllProjection()

        number = attr.NumberAttribute(hash_key=True)

    class ByText(LocalSecondaryIndex[Any]):
        class Meta:
            index_name = "by_text"
            projection = KeysOnlyProjection()

        id = attr.UnicodeAttribute(hash_key=True)
        text = attr.UnicodeAttribute(range_key=True)

    class Inner(attr.MapAttribute[Any, Any]):
        name = attr.UnicodeAttribute(null=True)
        size = attr.NumberAttribute(default=3)

    class Thing(model):  # type: ignore[misc]
        class Meta(Common):
            table_name = "things"

        id = attr.UnicodeAttribute(hash_key=True)
        at = attr.NumberAttribute(range_key=True)
        number = attr.NumberAttribute(null=True)
        text = attr.UnicodeAttribute(null=True)
        binary = attr.BinaryAttribute(null=True, legacy_encoding=False)
        texts = attr.UnicodeSetAttribute(null=True)
        numbers = attr.NumberSetAttribute(null=True)
        list = attr.ListAttribute(null=True)
        map = attr.MapAttribute(null=True)
        inner = Inner(null=True)
        json = attr.JSONAttribute(null=True)
        day = attr.UTCDateTimeAttribute(null=True)
        flag = attr.BooleanAttribute(null=True)
        by_number = ByNumber()
        by_text = ByText()

    class Versioned(model):  # type: ignore[misc]
        class Meta(Common):
            table_name = "versioned"

        id = attr.UnicodeAttribute(hash_key=True)
        number = attr.NumberAttribute(default=0)
        version = attr.VersionAttribute()

    class Animal(model):  # type: ignore[misc]
        class Meta(Common):
            table_name = "animals"

        id = attr.UnicodeAttribute(hash_key=True)
        kind = attr.DiscriminatorAttribute()

    class Cat(Animal, discriminator="cat"):
        lives = attr.NumberAttribute(null=True)

    class Dog(Animal, discriminator="dog"):
        tricks = attr.ListAttribute(null=True)

    class Missing(model):  # type: ignore[misc]
        class Meta(Common):
            table_name = "missing"

        id = attr.UnicodeAttribute(hash_key=True)

    def full() -> Any:
        return Thing(
            *("a", 1),
            number=1.5,
            text="text",
            binary=b"bin",
            texts={"x", "y"},
            numbers={1, 2.5},
            list=[1, "a", None, {"k": [True]}],
            map={"a": 1, "b": "c"},
            inner=Inner(name="z"),
            json={"a": [1, None]},
            day=NOW,
            flag=True,
        )

    def update(*actions: Any, **others: Any) -> Any:
        thing = Thing.get("a", 1)
        return thing.update(actions=list(actions), **others), thing

    def write(of: Any, items: Iterable[Any]) -> None:
        with of.batch_write() as batch:
            for item in items:
                batch.save(item)

    table = table_connection("things", meta_table=MetaTable(THINGS), **settings)
    return SimpleNamespace(**locals(), connected=connection(**settings))


STEPS: dict[str, Callable[[Any], Any]] = {}
"""By a name for each; what they are called with is an `application`."""

_WITHOUT_A_TABLE: dict[str, Callable[[Any], Any]] = {
    "exists": lambda a: a.Missing.exists(),
    "describe": lambda a: a.Missing.describe_table(),
    "get": lambda a: a.Missing.get("a"),
    "save": lambda a: a.Missing("a").save(),
    "query": lambda a: list(a.Missing.query("a")),
    "scan": lambda a: list(a.Missing.scan()),
    "delete": lambda a: a.Missing("a").delete(),
    "update": lambda a: a.Missing("a").update(actions=[a.Missing.id.set("x")]),
    "delete the table": lambda a: a.Missing.delete_table(),
    "count": lambda a: a.Missing.count(),
    "batch get": lambda a: list(a.Missing.batch_get(["a"])),
    "batch write": lambda a: a.write(a.Missing, [a.Missing("a")]),
    "create": lambda a: [of.create_table(wait=True) for of in (a.Thing, a.Versioned, a.Animal)] and None,
    "create again": lambda a: a.Thing.create_table(wait=True),
    "exists now": lambda a: a.Thing.exists(),
}
_SAVED = {
    "no partition key": lambda a: a.Thing(None, 1),
    "no sort key": lambda a: a.Thing("a"),
    "an empty key": lambda a: a.Thing("", 1),
    "a key that is a number": lambda a: a.Thing(5, 1),
    "an unknown attribute": lambda a: a.Thing("a", 1, nothing=1),
    "three keys": lambda a: a.Thing("w", 1, 2),
    "an enum": lambda a: a.Thing("e", 1, text=Colour.RED),
    "a UUID": lambda a: a.Thing("e", 1, text=uuid.UUID(int=1)),
    "bytes as text": lambda a: a.Thing("e", 1, text=b"x"),
    "text as bytes": lambda a: a.Thing("e", 1, binary="x"),
    "a number as text": lambda a: a.Thing("e", 1, text=5),
    "text as a number": lambda a: a.Thing("e", 1, number="x"),
    "not a number": lambda a: a.Thing("e", 1, number=float("nan")),
    "infinity": lambda a: a.Thing("e", 1, number=float("inf")),
    "a decimal": lambda a: a.Thing("e", 1, number=decimal.Decimal("1.5")),
    "a large number": lambda a: a.Thing("e", 1, number=10**40),
    "true as a number": lambda a: a.Thing("e", 1, number=True),
    "an empty set": lambda a: a.Thing("e", 2, texts=set()),
    "a list as a set": lambda a: a.Thing("e", 3, texts=["a"]),
    "sets in a list": lambda a: a.Thing("e", 4, list=[{1}, {"a"}]),
    "an object in a list": lambda a: a.Thing("e", 4, list=[object()]),
    "dicts in a map": lambda a: a.Thing("e", 5, map={"x": {"y": [1, {"z": b"q"}]}}),
    "an empty text": lambda a: a.Thing("e", 6, text=""),
    "JSON that is none": lambda a: a.Thing("e", 7, json={"a": object()}),
    "a date without a zone": lambda a: a.Thing("e", 8, day=datetime.datetime(2026, 1, 1)),
    "a text as a date": lambda a: a.Thing("e", 8, day="2026"),
    "unicode": lambda a: a.Thing("ü€😀", 1, text="\x00\u2028\ud7ff"),
    "a key of 3,000 bytes": lambda a: a.Thing("e" * 3000, 9),
}
_ITEMS: dict[str, Callable[[Any], Any]] = {
    "save": lambda a: a.full().save(),
    "get": lambda a: a.Thing.get("a", 1),
    "get consistently": lambda a: a.Thing.get("a", 1, consistent_read=True),
    "get attributes": lambda a: a.Thing.get("a", 1, attributes_to_get=["id", "at", "number"]),
    "get attributes without keys": lambda a: a.Thing.get("a", 1, attributes_to_get=["number", "inner"]),
    "get what is not there": lambda a: a.Thing.get("zz", 1),
    "get without a sort key": lambda a: a.Thing.get("a"),
    "get a number": lambda a: a.Thing.get(5, 1),
    "get a text as sort key": lambda a: a.Thing.get("a", "x"),
    "get bytes": lambda a: a.Thing.get(b"a", 1),
    "save on a condition": lambda a: a.full().save(a.Thing.number == 1.5),
    "save on a wrong condition": lambda a: a.full().save(a.Thing.id.does_not_exist()),
    "save on a long condition": lambda a: a.full().save(
        (a.Thing.number == 1) & (a.Thing.text == "x") | ~a.Thing.texts.contains("x")
    ),
    **{f"save {what}": lambda a, make=make: make(a).save() for what, make in _SAVED.items()},
    "get what was saved": lambda a: list(a.Thing.query("e")),
    "get unicode": lambda a: a.Thing.get("ü€😀", 1),
    "refresh what is not there": lambda a: a.Thing("gone", 1).refresh(),
    "to a dict": lambda a: a.full().to_simple_dict(),
}
_UPDATES: dict[str, Callable[[Any], Any]] = {
    "a number": lambda a: a.update(a.Thing.number.set(5)),
    "much": lambda a: a.update(
        a.Thing.number.add(1),
        a.Thing.text.remove(),
        a.Thing.texts.delete({"x"}),
        a.Thing.list.set(a.Thing.list.append([1])),
    ),
    "if it is not there": lambda a: a.update(a.Thing.text.set(a.Thing.text | "new")),
    "the front of a list": lambda a: a.update(a.Thing.list.set(a.Thing.list.prepend([0]))),
    "by a difference": lambda a: a.update(a.Thing.number.set(a.Thing.number - 2)),
    "inside a map": lambda a: a.update(a.Thing.map["q"].set("w")),
    "inside a typed map": lambda a: a.update(a.Thing.inner.name.set("new")),
    "inside a list": lambda a: a.update(a.Thing.list[0].set("zero")),
    "nothing": lambda a: a.update(),
    "on a condition": lambda a: a.update(a.Thing.number.set(1), condition=a.Thing.number < 99),
    "on a wrong condition": lambda a: a.update(a.Thing.number.set(1), condition=a.Thing.number == 99),
    "a number by a text": lambda a: a.update(a.Thing.number.set("x")),
    "a text by bytes": lambda a: a.update(a.Thing.text.set(b"x")),
    "a text by an enum": lambda a: a.update(a.Thing.text.set(Colour.RED)),
    "the key": lambda a: a.update(a.Thing.id.set("x")),
    "by None": lambda a: a.update(a.Thing.text.set(None)),
    "a text by a sum": lambda a: a.update(a.Thing.text.add(1)),
    "one attribute twice": lambda a: a.update(a.Thing.number.set(1), a.Thing.number.set(2)),
    "what is not there": lambda a: a.Thing("new", 1).update(actions=[a.Thing.number.set(5)]),
}


def _go_on(a: Any) -> Any:
    pages = a.Thing.query("k0", limit=5, page_size=2)
    first = list(pages)
    return first, pages.last_evaluated_key, list(a.Thing.query("k0", last_evaluated_key=pages.last_evaluated_key))


_MANY: dict[str, Callable[[Any], Any]] = {
    "delete on a wrong condition": lambda a: a.Thing.get("a", 1).delete(a.Thing.number == 12345),
    "delete": lambda a: a.Thing.get("a", 1).delete(),
    "delete what is not there": lambda a: a.Thing("a", 1).delete(),
    "fill": lambda a: a.write(
        a.Thing, [a.Thing(f"k{i % 3}", i, number=i % 4, text=f"t{i}", list=[i]) for i in range(60)]
    ),
    "query": lambda a: list(a.Thing.query("k0")),
    "query backwards": lambda a: list(a.Thing.query("k0", scan_index_forward=False, limit=3)),
    "query between": lambda a: list(a.Thing.query("k0", a.Thing.at.between(3, 20))),
    "query and filter": lambda a: list(a.Thing.query("k0", filter_condition=a.Thing.number.is_in(1, 2))),
    "query by another attribute": lambda a: list(a.Thing.query("k0", a.Thing.number < 9)),
    "query and filter by a key": lambda a: list(a.Thing.query("k0", filter_condition=a.Thing.at == 1)),
    "query and filter by an enum": lambda a: list(a.Thing.query("k0", filter_condition=a.Thing.text == Colour.RED)),
    "query page by page": lambda a: list(a.Thing.query("k0", page_size=4)),
    "query, and go on": _go_on,
    "query attributes": lambda a: list(a.Thing.query("k0", attributes_to_get=["at", "text"], limit=2)),
    "query at a rate": lambda a: len(list(a.Thing.query("k0", rate_limit=1000.0))),
    "query None": lambda a: list(a.Thing.query(None)),
    "query an index": lambda a: sorted(thing.at for thing in a.Thing.by_number.query(2)),
    "query a local index": lambda a: list(a.Thing.by_text.query("k0", a.Thing.text.startswith("t1"))),
    "query an index consistently": lambda a: list(a.Thing.by_number.query(2, consistent_read=True)),
    "scan an index": lambda a: len(list(a.Thing.by_number.scan())),
    "count an index": lambda a: a.Thing.by_number.count(2, filter_condition=a.Thing.text == "t2"),
    "scan": lambda a: sorted((thing.id, thing.at) for thing in a.Thing.scan(a.Thing.number > 2)),
    "scan in segments": lambda a: sorted(
        thing.at for segment in range(3) for thing in a.Thing.scan(segment=segment, total_segments=3)
    ),
    "scan a segment that does not exist": lambda a: list(a.Thing.scan(segment=5, total_segments=3)),
    "scan an index that does not exist": lambda a: list(a.Thing.scan(index_name="nope")),
    "scan some": lambda a: len(list(a.Thing.scan(limit=7, page_size=3))),
    "count": lambda a: a.Thing.count("k0", a.Thing.at > 10, a.Thing.number == 1),
    "count without a key, and filter": lambda a: a.Thing.count(filter_condition=a.Thing.number == 1),
    "batch get": lambda a: sorted(thing.at for thing in a.Thing.batch_get([(f"k{i % 3}", i) for i in range(130)])),
    "batch get the same": lambda a: list(a.Thing.batch_get([("k0", 0), ("k0", 0)])),
    "batch get nothing": lambda a: list(a.Thing.batch_get([])),
    "batch get without sort keys": lambda a: list(a.Thing.batch_get(["k0"])),
    "batch write the same": lambda a: a.write(a.Thing, [a.Thing("d", 1), a.Thing("d", 1)]),
    "batch write bytes as text": lambda a: a.write(a.Thing, [a.Thing("d", 1, text=b"x")]),
}


def _twice(a: Any) -> Any:
    item = a.Versioned("a")
    return item.save(), item.version, item.save(), item.version


def _stale(a: Any, do: Callable[[Any], Any]) -> Any:
    item = a.Versioned.get("a")
    item.version = 99
    return do(item)


def _transact(a: Any, value: Any) -> None:
    with TransactWrite(connection=a.connected) as transaction:
        transaction.save(a.Versioned("x", number=value))


def _transact_get(a: Any) -> Any:
    with TransactGet(connection=a.connected) as transaction:
        future = transaction.get(a.Versioned, "x")
    return future.get()


_OTHERS: dict[str, Callable[[Any], Any]] = {
    "save versions": _twice,
    "save without a version": lambda a: a.Versioned("a").save(),
    "save a stale version": lambda a: _stale(a, lambda item: item.save()),
    "delete a stale version": lambda a: _stale(a, lambda item: item.delete()),
    "update a version": lambda a: a.Versioned.get("a").update(actions=[a.Versioned.number.add(1)]),
    "save any version": lambda a: a.Versioned("a").save(add_version_condition=False),
    "save kinds": lambda a: (a.Cat("1", lives=9).save(), a.Dog("2", tricks=["sit"]).save()),
    "get kinds": lambda a: [a.Animal.get("1"), a.Animal.get("2"), a.Cat.get("1")],
    "get another kind": lambda a: a.Cat.get("2"),
    "scan kinds": lambda a: [list(a.Cat.scan()), sorted(type(animal).__name__ for animal in a.Animal.scan())],
    "a transaction with bytes as a number": lambda a: _transact(a, b"x"),
    "a transaction": lambda a: _transact(a, 1),
    "a transaction that reads": _transact_get,
    "put": lambda a: a.table.put_item("t", "1", attributes={"x": {"S": "a"}}),
    "get what was put": lambda a: a.table.get_item("t", "1"),
    "update what was put": lambda a: a.table.update_item(
        "t", "1", actions=[Path("y").set({"N": "5"})], return_values="ALL_NEW"
    ),
    "query what was put": lambda a: a.table.query("t"),
    "put with a number for a text": lambda a: a.table.put_item("t", 1),
    "put on a wrong condition": lambda a: a.table.put_item("t", "1", condition=Path("id").does_not_exist()),
    "put with a wrong word": lambda a: a.table.put_item("t", "1", return_values="NOPE"),
    "delete what was put": lambda a: a.table.delete_item("t", "1", return_values="ALL_OLD"),
    "list tables": lambda a: a.connected.list_tables(limit=2),
    "list no tables": lambda a: a.connected.list_tables(limit=0),
    "describe what is not there": lambda a: a.connected.describe_table("nope"),
    "delete what is not there": lambda a: a.connected.delete_table("nope"),
    "create without a schema": lambda a: a.connected.create_table("x"),
    "get without a schema": lambda a: type(a.connected)(**a.settings).get_item("things", "a", 1),
    "count all": lambda a: a.Thing.count(),
    "delete the tables": lambda a: [of.delete_table() for of in (a.Thing, a.Versioned, a.Animal)] and None,
    "exists": lambda a: a.Thing.exists(),
}
for _title, _steps in (
    *(("no table", _WITHOUT_A_TABLE), ("an item", _ITEMS), ("update", _UPDATES), ("many", _MANY), ("others", _OTHERS)),
):
    STEPS.update({f"{_title}: {name}": step for name, step in _steps.items()})
