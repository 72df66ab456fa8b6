"""Values of the wrong type: what PynamoDB's attributes and botocore's serializer refuse, is refused in their words."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import uuid
from collections.abc import Callable
from typing import Any

import pynamodb.models
import pytest
from botocore.serialize import create_serializer
from pynamodb import attributes as attr

from pynamodb_alternator import Cluster, Model
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.transport._session import client_session
from pynamodb_alternator.transport.serialization import dumps

SERVICE = client_session().get_service_model("dynamodb")
STOCK = create_serializer("json", include_validation=False)


class Colour(enum.Enum):
    RED = "red"


class Word(str, enum.Enum):  # noqa: UP042 - what applications have
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


class Name(str):
    __slots__ = ()


ID = uuid.UUID(int=1)
KINDS: dict[str, Callable[..., Any]] = {
    "unicode": attr.UnicodeAttribute,
    "number": attr.NumberAttribute,
    "binary": lambda **k: attr.BinaryAttribute(legacy_encoding=False, **k),
    "boolean": attr.BooleanAttribute,
    "unicode set": attr.UnicodeSetAttribute,
    "number set": attr.NumberSetAttribute,
    "binary set": lambda **k: attr.BinarySetAttribute(legacy_encoding=False, **k),
    "list": attr.ListAttribute,
    "list of unicode": lambda **k: attr.ListAttribute(of=attr.UnicodeAttribute, **k),
    "map": attr.MapAttribute,
    "json": attr.JSONAttribute,
    "time": attr.UTCDateTimeAttribute,
    "ttl": attr.TTLAttribute,
    "version": attr.VersionAttribute,
}
VALUES: list[Any] = [
    *("text", b"bytes", bytearray(b"x"), memoryview(b"x"), 1, 1.5, float("nan"), True, None, object(), (1, 2)),
    *(Colour.RED, Word.RED, Number.ONE, Name("x"), ID, decimal.Decimal("1.5")),
    *(datetime.datetime(2026, 1, 2, 3, 4, 5), datetime.date(2026, 1, 2)),
    *([], [b"x"], [1, "a"], [Colour.RED], [Word.RED], [ID]),
    *({}, {"a": 1}, {"a": b"x"}, {"a": Colour.RED}, {"a": Word.RED}, {"a": ID}),
    *(set(), {"a"}, {1}, {b"x"}, {Colour.RED}, {Word.RED}, {ID}, frozenset({"a"})),
]


def made(base: Any, kind: str) -> Any:
    class Thing(base):  # type: ignore[misc]
        class Meta:
            table_name = "things"
            region = "us-east-1"

        id = attr.UnicodeAttribute(hash_key=True)
        value = KINDS[kind](null=True)

    return Thing


MODELS = {(base, kind): made(base, kind) for base in (Model, pynamodb.models.Model) for kind in KINDS}


def ours(operation: str, parameters: Any) -> bytes:
    return dumps(parameters, SERVICE.operation_model(operation))


def stock(operation: str, parameters: Any) -> bytes:
    body: bytes = STOCK.serialize_to_request(parameters, SERVICE.operation_model(operation))["body"]
    return body


def end(work: Callable[[], bytes]) -> Any:
    try:
        return json.loads(work())
    except Exception as error:
        return type(error), str(error)


def body_of(base: Any, kind: str, value: Any, write: Any) -> bytes:
    thing = MODELS[base, kind]("a")
    thing.value = value
    written: bytes = write("PutItem", {"TableName": "things", "Item": thing.serialize()})
    return written


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_an_attribute_ends_as_with_pynamodb(kind: str, value: Any) -> None:
    expected = end(lambda: body_of(pynamodb.models.Model, kind, value, stock))
    assert str(end(lambda: body_of(Model, kind, value, ours))) == str(expected)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("place", ["S", "N", "SS", "in a list", "in a map", "beside bytes"])
def test_a_value_of_a_request_ends_as_with_botocore(place: str, value: Any) -> None:
    if place == "SS" and isinstance(value, set | frozenset):
        value = list(value)
    wire: Any = {
        "in a list": {"L": [{"S": value}]},
        "in a map": {"M": {"a": {"S": value}}},
        "beside bytes": {"M": {"a": {"S": value}, "b": {"B": b"x"}}},
    }.get(place, {place: [value] if place == "SS" else value})
    for operation, parameters in (
        ("GetItem", {"TableName": "things", "Key": {"id": wire}}),
        ("BatchWriteItem", {"RequestItems": {"things": [{"PutRequest": {"Item": {"id": wire}}}]}}),
        ("Query", {"TableName": "things", "ExpressionAttributeValues": {":0": wire}}),
    ):
        expected = end(lambda: stock(operation, parameters))  # noqa: B023
        got = end(lambda: ours(operation, parameters))  # noqa: B023
        assert str(got) == str(expected)


@pytest.fixture(scope="module")
def cluster() -> Any:
    with LocalCluster(nodes=1) as local, Cluster(local.url) as cluster:
        yield cluster


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"bytes", "Object of type bytes is not JSON serializable"),
        (Colour.RED, "Object of type Colour is not JSON serializable"),
        (ID, "Object of type UUID is not JSON serializable"),
    ],
)
def test_a_request_of_a_model_ends_so(cluster: Cluster, value: Any, says: str) -> None:
    thing = made(Model, "unicode")
    thing.Meta.cluster = cluster
    if not thing.exists():
        thing.create_table(billing_mode="PAY_PER_REQUEST")
    with pytest.raises(TypeError, match=says) as caught:
        thing("a", value=value).save()
    assert "Invalid type for parameter Item.value.S" in caught.value.__notes__[0]
    with pytest.raises(TypeError, match=says):
        thing.get(value)
    with pytest.raises(TypeError, match=says):
        list(thing.query("a", filter_condition=thing.value == value))
    with pytest.raises(TypeError, match=says), thing.batch_write() as batch:
        batch.save(thing("b", value=value))
