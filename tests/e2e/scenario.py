"""Everything that PynamoDB offers, done once, with an account of what came of it.

The account holds no reference to connections, so that the one of stock PynamoDB and ours can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from pynamodb.attributes import (
    BinaryAttribute,
    BinarySetAttribute,
    BooleanAttribute,
    JSONAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    NumberSetAttribute,
    TTLAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
    UTCDateTimeAttribute,
    VersionAttribute,
)
from pynamodb.exceptions import DoesNotExist, PynamoDBException
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, LocalSecondaryIndex

Account = list[tuple[str, Any]]


class Address(MapAttribute[Any, Any]):
    street = UnicodeAttribute()
    number = NumberAttribute(null=True)


def make_models(base: type[Any], settings: dict[str, Any], prefix: str) -> tuple[type[Any], type[Any]]:
    """Two models on `base`, whose Meta has `settings`, in tables whose names begin with `prefix`."""

    class ByCity(GlobalSecondaryIndex[Any]):
        class Meta:
            index_name = "by-city"
            projection = AllProjection()

        city = UnicodeAttribute(hash_key=True)
        age = NumberAttribute(range_key=True)

    class ByAge(LocalSecondaryIndex[Any]):
        class Meta:
            index_name = "by-age"
            projection = AllProjection()

        name = UnicodeAttribute(hash_key=True)
        age = NumberAttribute(range_key=True)

    class Person(base):  # type: ignore[misc]
        class Meta:
            table_name = f"{prefix}-people"
            billing_mode = "PAY_PER_REQUEST"

        name = UnicodeAttribute(hash_key=True)
        kind = UnicodeAttribute(range_key=True)
        age = NumberAttribute(default=0)
        city = UnicodeAttribute(null=True)
        picture = BinaryAttribute(null=True, legacy_encoding=False)
        pictures = BinarySetAttribute(null=True, legacy_encoding=False)
        member = BooleanAttribute(null=True)
        tags = UnicodeSetAttribute(null=True)
        lucky = NumberSetAttribute(null=True)
        facts = JSONAttribute(null=True)
        history = ListAttribute[Any](null=True)
        address = Address(null=True)
        born = UTCDateTimeAttribute(null=True)
        by_city = ByCity()
        by_age = ByAge()

    class Document(base):  # type: ignore[misc]
        class Meta:
            table_name = f"{prefix}-documents"
            billing_mode = "PAY_PER_REQUEST"

        id = UnicodeAttribute(hash_key=True)
        text = UnicodeAttribute(null=True)
        version = VersionAttribute()
        expires = TTLAttribute(null=True)

    for model in (Person, Document):
        for name, value in settings.items():
            setattr(model.Meta, name, value)
    return Person, Document


def run(person: type[Any], document: type[Any]) -> Account:
    """Use both models for everything, and tell what came of it."""
    account: Account = []

    def note(what: str, result: Any) -> None:
        account.append((what, result))

    def attempt(what: str, action: Callable[[], Any]) -> None:
        try:
            note(what, _plain(action()))
        except (PynamoDBException, DoesNotExist) as error:
            cause = getattr(error, "cause", None)
            note(
                what,
                (
                    type(error).__name__,
                    type(cause).__name__,
                    getattr(error, "cause_response_code", None),
                    getattr(error, "cause_response_message", None),
                ),
            )

    for model in (person, document):
        attempt("exists before", model.exists)
        attempt("create", lambda model=model: model.create_table(wait=True))
        attempt("exists", model.exists)
        attempt("create again", lambda model=model: model.create_table(wait=True))
        attempt("keys", lambda model=model: model.describe_table()["KeySchema"])

    full = person(
        "Ada", "scientist", age=36, city="London", picture=b"\x00\xff\x10", pictures={b"\x01", b"\x02\x03"},
        member=True, tags={"a", "ü", "日本"}, lucky={1, 2.5, -7}, facts={"x": [1, None, "y"]},
        history=[1, "two", {"three": [b"\x00"]}, None], address=Address(street="St James's Sq", number=12),
        born=datetime(1815, 12, 10, tzinfo=UTC),
    )  # fmt: skip
    attempt("save", full.save)
    attempt("get", lambda: person.get("Ada", "scientist", consistent_read=True).attribute_values)
    attempt("get some", lambda: person.get("Ada", "scientist", attributes_to_get=["age", "city"]).attribute_values)
    attempt("get missing", lambda: person.get("Nobody", "nothing"))
    attempt("save with a condition that fails", lambda: person("Ada", "scientist").save(person.name.does_not_exist()))
    attempt(
        "save with a condition", lambda: person("Ada", "writer", age=20, city="Paris").save(person.age.does_not_exist())
    )

    ada = person.get("Ada", "scientist")
    attempt("update set", lambda: ada.update(actions=[person.age.set(37), person.city.set("Bath")]))
    attempt("update add", lambda: ada.update(actions=[person.age.add(1), person.tags.add({"new"})]))
    attempt("update delete", lambda: ada.update(actions=[person.tags.delete({"a"}), person.member.remove()]))
    attempt("update list", lambda: ada.update(actions=[person.history.set(person.history.append([5]))]))
    attempt("update nested", lambda: ada.update(actions=[person.address.street.set("elsewhere")]))
    attempt("update if absent", lambda: ada.update(actions=[person.facts.set(person.facts | {"z": 1})]))
    attempt("update with a condition that fails", lambda: ada.update([person.age.set(1)], condition=person.age == 99))
    attempt("after updates", lambda: ada.attribute_values)
    attempt("refresh", lambda: (ada.refresh(consistent_read=True), ada.attribute_values)[1])

    def batch() -> None:
        with person.batch_write() as batch:
            for number in range(60):
                batch.save(person(f"P{number % 5}", f"k{number:02}", age=number, city=("Rome", "Oslo")[number % 2]))

    attempt("batch write", batch)
    attempt("batch get", lambda: sorted(
        (p.name, p.kind, p.age) for p in person.batch_get([(f"P{n % 5}", f"k{n:02}") for n in range(60)])
    ))  # fmt: skip
    attempt("batch get missing", lambda: list(person.batch_get([("No", "one")])))
    attempt("query", lambda: [(p.kind, p.age) for p in person.query("P1")])
    attempt("query range", lambda: [p.kind for p in person.query("P1", person.kind.between("k10", "k30"))])
    attempt("query filter", lambda: [p.kind for p in person.query("P2", filter_condition=person.age > 30)])
    attempt("query backwards", lambda: [p.kind for p in person.query("P1", scan_index_forward=False, limit=3)])

    def pages() -> list[Any]:
        kinds, last = [], None
        while True:
            results = person.query("P1", page_size=5, limit=5, last_evaluated_key=last)
            kinds.append([p.kind for p in results])
            last = results.last_evaluated_key
            if last is None:
                return kinds

    attempt("query by pages", pages)
    attempt("count", lambda: (person.count("P1"), person.count("P1", person.kind > "k30"), person.count("Nobody")))
    attempt("index query", lambda: [(p.name, p.age) for p in person.by_city.query("Rome", person.age > 50)])
    attempt("index count", lambda: person.by_city.count("Oslo"))
    attempt("local index", lambda: [p.age for p in person.by_age.query("P3", person.age >= 20)])
    attempt("index scan", lambda: sorted(p.kind for p in person.by_city.scan(person.age < 4)))
    attempt("scan", lambda: sorted((p.name, p.kind) for p in person.scan()))
    attempt(
        "scan filter", lambda: sorted(p.kind for p in person.scan(person.city == "Oslo", attributes_to_get=["kind"]))
    )
    attempt("scan segments", lambda: sorted(p.kind for n in (0, 1) for p in person.scan(segment=n, total_segments=2)))
    attempt("scan by pages", lambda: sorted((p.name, p.kind) for p in person.scan(page_size=7)))

    note_one = document("d1", text="first")
    attempt("version save", lambda: (note_one.save(), note_one.version)[1])
    attempt("version save again", lambda: (note_one.save(), note_one.version)[1])
    stale = document.get("d1")
    attempt("version update", lambda: (note_one.update([document.text.set("second")]), note_one.version)[1])
    attempt("version conflict", stale.save)
    attempt("version delete conflict", stale.delete)
    attempt("ttl", lambda: document("d2", expires=datetime(2030, 1, 1, tzinfo=UTC)).save())
    attempt("ttl back", lambda: document.get("d2").expires)
    attempt("ttl relative", lambda: document("d3", expires=timedelta(days=1)).save())

    attempt("delete with a condition that fails", lambda: ada.delete(person.age == 1))
    attempt("delete", ada.delete)
    attempt("gone", lambda: person.get("Ada", "scientist"))

    def batch_delete() -> None:
        with person.batch_write() as batch:
            for item in person.query("P1"):
                batch.delete(item)

    attempt("batch delete", batch_delete)
    attempt("count after", lambda: person.count("P1"))
    for model in (person, document):
        attempt("delete table", lambda model=model: bool(model.delete_table()))
        attempt("exists after", model.exists)
    attempt("get from no table", lambda: document.get("d1"))
    attempt("save to no table", lambda: document("d1").save())
    attempt("scan no table", lambda: list(document.scan()))
    return account


def _plain(value: Any) -> Any:
    """The value in a form that compares by content."""
    if isinstance(value, MapAttribute):
        return _plain(value.attribute_values)
    if isinstance(value, dict):
        if "TableStatus" in value or "Attributes" in value or "ConsumedCapacity" in value:
            return sorted(value)
        return {key: _plain(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(element) for element in value]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if isinstance(value, datetime):
        return value.isoformat()
    return value
