"""Models of a user's application in an event loop: `Model.aio` and `aio.run` have the types of the models."""

from __future__ import annotations

from typing import Any, assert_type

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import DoesNotExist
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.pagination import ResultIterator

from pynamodb_alternator import Model, aio


class ByCity(GlobalSecondaryIndex["Person"]):
    class Meta:
        projection = AllProjection()

    city = UnicodeAttribute(hash_key=True)


class Person(Model):
    class Meta:
        table_name = "people"

    name = UnicodeAttribute(hash_key=True)
    city = UnicodeAttribute(null=True)
    visits = NumberAttribute(default=0)
    by_city = ByCity()


class Member(Person):
    number = NumberAttribute()


def rename(person: Person, new: str, *, keep: bool = False) -> Person:
    if not keep:
        person.delete()
    person.name = new
    person.save()
    return person


async def person_and_member() -> None:
    await Person.aio.create_table(wait=True)
    person = await Person.aio.get("alice", consistent_read=True)
    assert_type(person, Person)
    assert_type(await Member.aio.get("bob"), Member)
    assert_type(await person.aio.save(Person.name.does_not_exist()), dict[str, Any])
    await person.aio.update([Person.visits.add(1)], Person.city == "Oslo")
    await person.aio.refresh()
    await person.aio.delete(add_version_condition=False)
    assert_type(await Person.aio.exists(), bool)
    assert_type(await Person.aio.alternator_write_isolation("always"), str | None)
    try:
        await Person.aio.get("nobody")
    except DoesNotExist as error:
        print(error)


async def many() -> list[str]:
    results = Person.aio.query("alice", Person.visits > 1, limit=10, prefetch=1)
    names = [person.name async for person in results]
    assert_type(results.last_evaluated_key, dict[str, dict[str, Any]] | None)
    assert_type(results.total_count, int)
    assert_type(await Person.aio.scan(Person.visits > 1).all(), list[Person])
    async for member in Member.aio.batch_get(["a", "b"], consistent_read=True):
        assert_type(member, Member)
    async with Person.aio.batch_write() as batch:
        await batch.save(Person("alice"))
        await batch.delete(Person("bob"))
    assert_type(batch.pending_operations, list[dict[str, Any]])
    index = Person.aio.index(Person.by_city)
    assert_type(await index.query("Oslo", prefetch=1).all(), list[Person])
    assert_type(await index.count("Oslo") + await Person.aio.count("alice"), int)
    return names


async def ordinary_code(person: Person) -> None:
    assert_type(await aio.run(Person.get, "alice"), Person)
    assert_type(await aio.run(rename, person, "bob", keep=True), Person)
    results: ResultIterator[Person] = Person.query("alice")
    assert_type(await aio.run(list, results), list[Person])
    assert_type(aio.get_cluster("analytics"), aio.AsyncCluster)
    client = await aio.get_client()
    print(await client.list_tables())
