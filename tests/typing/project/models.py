"""Models of a user's application: a base class, settings in `Meta`, an index, nested attributes, None."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import assert_type

from pynamodb.attributes import (
    BooleanAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
)
from pynamodb.exceptions import PutError
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.pagination import ResultIterator
from pynamodb.transactions import TransactWrite

from pynamodb_alternator import AlternatorConnection, Hedge, KeyRouteAffinity, Model, TableConnection
from pynamodb_alternator.errors import OutcomeUnknownError


class Stored(Model):
    """What all models of the application have."""

    class Meta:
        connection_class = AlternatorConnection
        cluster = "default"
        key_route_affinity = KeyRouteAffinity.RMW
        hedge = Hedge(after=0.05)

    changed = UTCDateTimeAttribute(default=lambda: datetime.now(UTC))

    def touch(self) -> None:
        self.changed = datetime.now(UTC)
        self.save()


class Address(MapAttribute[str, object]):
    street = UnicodeAttribute()
    city = UnicodeAttribute(null=True)


class ByCity(GlobalSecondaryIndex["User"]):
    class Meta:
        index_name = "by-city"
        projection = AllProjection()

    city = UnicodeAttribute(hash_key=True)


class User(Stored):
    class Meta(Stored.Meta):
        table_name = "users"
        write_isolation = "only_rmw_uses_lwt"
        silent_writes = "raise"
        token_aware = True

    name = UnicodeAttribute(hash_key=True)
    city = UnicodeAttribute(null=True)
    visits = NumberAttribute(default=0)
    active = BooleanAttribute(default=True)
    address = Address(null=True)  # type: ignore[no-untyped-call]  # of PynamoDB
    orders: ListAttribute[str] = ListAttribute(default=list)

    by_city = ByCity()


def visit(name: str) -> float:
    user = User.get(name)
    assert_type(user, User)
    assert_type(user.name, str)
    assert_type(user.changed, datetime)
    assert_type(user.address.street, str)
    user.update(actions=[User.visits.add(1), User.active.set(True)], condition=User.name.exists())
    return user.visits


def users_of(city: str) -> Iterator[User]:
    results = User.by_city.query(city, filter_condition=User.visits > 3)
    assert_type(results, ResultIterator[User])
    assert_type(User.query("alice"), ResultIterator[User])
    assert_type(User.scan(limit=3), ResultIterator[User])
    yield from User.batch_get(["alice", "bob"])
    yield from results


def move_all(users: list[User], city: str) -> list[object]:
    with User.batch_write() as batch:
        for user in users:
            user.city = city
            batch.save(user)
    return list(batch.failed_operations)


def register(name: str) -> str | None:
    try:
        User(name, visits=1).save(condition=User.name.does_not_exist())
    except PutError as error:
        if isinstance(error.cause, OutcomeUnknownError):
            assert_type(error.cause.may_still_execute, bool)
            assert_type(error.cause.nodes_tried, tuple[str, ...])
            return error.cause.node
        raise
    return User.alternator_write_isolation()


def without_models(name: str) -> int:
    table = TableConnection("users", region="eu-west-1", cluster="default", hedge=False)
    assert_type(table.connection, AlternatorConnection)
    with TransactWrite(connection=table.connection) as transaction:
        transaction.save(User(name))
    assert_type(User.count(), int)
    return User.count()
