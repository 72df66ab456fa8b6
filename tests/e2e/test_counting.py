"""`Model.count()` without a key, which Alternator's DescribeTable cannot tell."""

from __future__ import annotations

import logging
from typing import Any

import pynamodb.models
import pytest
from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.connection import Connection
from pynamodb.exceptions import ScanError, TableDoesNotExist
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex

import pynamodb_alternator
from pynamodb_alternator import AlternatorConnection, Cluster, Model
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.orm._pynamodb import connection_of

from .support import forget, received

SAYS = "count() without a key reads all of the table"


def made(base: Any, **settings: Any) -> Any:
    class ByValue(GlobalSecondaryIndex[Any]):
        class Meta:
            index_name = "by_value"
            projection = AllProjection()

        value = NumberAttribute(hash_key=True)

    class Thing(base):  # type: ignore[misc]
        class Meta:
            table_name = "things"
            billing_mode = "PAY_PER_REQUEST"

        key = UnicodeAttribute(hash_key=True)
        order = NumberAttribute(range_key=True)
        value = NumberAttribute(null=True)
        text = UnicodeAttribute(null=True)
        by_value = ByValue()

    for name, value in settings.items():
        setattr(Thing.Meta, name, value)
    return Thing


def fill(thing: Any, items: int, *, size: int = 1) -> None:
    thing.create_table()
    with thing.batch_write() as batch:
        for number in range(items):
            # Some are not in the index.
            value = 7 if number % 2 else None
            batch.save(thing(f"k{number % 3}", number, value=value, text="x" * size))


class Recording(AlternatorConnection):
    """Keeps what its requests ask for."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.requests: list[tuple[str, dict[str, Any]]] = []

    def _make_api_call(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        self.requests.append((operation_name, dict(operation_kwargs)))
        return super()._make_api_call(operation_name, operation_kwargs)


def requests_of(thing: Any) -> list[tuple[str, dict[str, Any]]]:
    """What its connection has sent since it was asked last."""
    requests: list[tuple[str, dict[str, Any]]] = connection_of(thing).connection.requests  # type: ignore[attr-defined]
    sent = list(requests)
    requests.clear()
    return sent


def test_a_table_is_counted_by_a_scan_page_by_page(cluster: Cluster) -> None:
    thing = made(Model, cluster=cluster, connection_class=Recording)
    fill(thing, 12, size=300_000)
    requests_of(thing)
    assert thing.count() == 12
    operations, scans = zip(*requests_of(thing), strict=True)
    assert set(operations) == {"Scan"}
    assert len(scans) > 2  # pages of a megabyte
    assert {scan["Select"] for scan in scans} == {"COUNT"}
    assert ["ExclusiveStartKey" in scan for scan in scans] == [False] + [True] * (len(scans) - 1)


def test_arguments_of_the_count_apply_to_the_scan(cluster: Cluster) -> None:
    thing = made(Model, cluster=cluster, connection_class=Recording)
    fill(thing, 10)
    requests_of(thing)
    assert thing.count(consistent_read=True, rate_limit=1000.0) == 10
    assert thing.count(index_name="by_value") == 5
    assert thing.by_value.count(None) == 5
    whole, of_index, same = (scan for _, scan in requests_of(thing))
    plain = {"TableName": "things", "Select": "COUNT", "ReturnConsumedCapacity": "TOTAL"}
    assert whole == {**plain, "ConsistentRead": True}
    assert of_index == same == {**plain, "IndexName": "by_value"}
    assert thing.count(limit=4) == 10  # as with a key, PynamoDB's `limit` is that of a page here
    assert {scan["Limit"] for _, scan in requests_of(thing)} == {4}
    assert thing.count(limit=0) == 0


def test_a_key_or_a_filter_is_pynamodbs_own(local: LocalCluster, cluster: Cluster) -> None:
    thing = made(Model, cluster=cluster)
    fill(thing, 10)
    forget(local)
    assert thing.count("k0") == 4
    assert thing.count("k0", thing.order > 3, thing.value == 7) == 1
    assert thing.by_value.count(7) == 5
    assert not received(local, "Scan")
    with pytest.raises(ValueError, match="hash_key must be given"):
        thing.count(filter_condition=thing.value == 7)


def test_the_count_is_logged_once_for_each_table(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    first, second = made(Model, cluster=cluster), made(Model, cluster=cluster, table_name="others")
    fill(first, 1)
    fill(second, 2)
    with caplog.at_level(logging.WARNING, "pynamodb_alternator"):
        assert [model.count() for model in (first, second, first, made(Model, cluster=cluster))] == [1, 2, 1, 1]
    said = [record.getMessage() for record in caplog.records if SAYS in record.getMessage()]
    assert [message.split(",")[0].split()[-1] for message in said] == ["things", "others"]


def test_an_error_is_pynamodbs(local: LocalCluster, cluster: Cluster) -> None:
    with pytest.raises(TableDoesNotExist, match=r"Table does not exist: `.*things"):
        made(Model, cluster=cluster).count()
    for node in local.nodes:
        node.fail_with("AccessDeniedException", operation="Scan")
    with pytest.raises(ScanError, match="things") as caught:
        made(Model, cluster=cluster).count()
    assert caught.value.cause_response_code == "AccessDeniedException"


def test_plain_models_count_so_while_the_patch_holds(local: LocalCluster, cluster: Cluster) -> None:
    thing = made(pynamodb.models.Model, cluster=cluster, connection_class=AlternatorConnection)
    with_own = made(pynamodb.models.Model, connection_class=Described, table_name="described")
    before = vars(pynamodb.models.Model)["count"]
    pynamodb_alternator.install()
    fill(thing, 3)
    assert thing.count() == 3
    assert with_own.count() == 17
    pynamodb_alternator.uninstall()
    assert vars(pynamodb.models.Model)["count"] is before


def test_a_connection_that_is_not_ours_says_what_it_says() -> None:
    assert made(Model, connection_class=Described).count() == 17


class Described(Connection):
    """A stock connection whose server tells the number of items."""

    def dispatch(self, operation_name: str, operation_kwargs: Any) -> Any:
        assert operation_name == "DescribeTable"
        return {"Table": {"TableName": operation_kwargs["TableName"], "ItemCount": 17}}
