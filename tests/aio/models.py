"""Models of the tests in event loops."""

from __future__ import annotations

from typing import Any

from pynamodb.attributes import NumberAttribute, UnicodeAttribute, VersionAttribute
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex

from pynamodb_alternator import Model


class ByCity(GlobalSecondaryIndex["Member"]):
    class Meta:
        index_name = "by-city"
        projection = AllProjection()

    city = UnicodeAttribute(hash_key=True)


class Member(Model):
    class Meta:
        table_name = "members"
        billing_mode = "PAY_PER_REQUEST"
        key_route_affinity = "none"

    name = UnicodeAttribute(hash_key=True)
    city = UnicodeAttribute(default="Oslo")
    age = NumberAttribute(default=0)
    by_city = ByCity()


class Order(Model):
    class Meta:
        table_name = "orders"
        billing_mode = "PAY_PER_REQUEST"
        key_route_affinity = "none"

    user = UnicodeAttribute(hash_key=True)
    number = NumberAttribute(range_key=True)
    text = UnicodeAttribute(default="")
    version = VersionAttribute()


def orders(count: int, user: str = "alice") -> list[Order]:
    return [Order(user, number) for number in range(count)]


def numbers(items: list[Any]) -> list[int]:
    return [int(item.number) for item in items]
