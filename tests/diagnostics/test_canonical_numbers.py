"""Whether numbers in partition keys are stored in canonical form, as the doctor sees it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from pynamodb_alternator import Cluster
from pynamodb_alternator.diagnostics import Finding
from pynamodb_alternator.diagnostics.checks import canonical_numbers
from pynamodb_alternator.diagnostics.questions import NodesClient
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.routing.canonical_number import canonical_number
from tests.e2e.support import received

from .support import create, of, the

AS_WRITTEN = "/?canonical_numbers=no"


def make_table(cluster: Cluster, *, sort: bool = False, index: bool = False, key: str = "N") -> None:
    types = {"id": key, **({"line": "N"} if sort else {}), **({"rank": "N"} if index else {})}
    keys = [{"AttributeName": "id", "KeyType": "HASH"}]
    keys += [{"AttributeName": "line", "KeyType": "RANGE"}] if sort else []
    of_index = {"IndexName": "by_rank", "KeySchema": [{"AttributeName": "rank", "KeyType": "HASH"}]}
    indexes = {"GlobalSecondaryIndexes": [{**of_index, "Projection": {"ProjectionType": "ALL"}}]} if index else {}
    cluster.client.create_table(
        TableName="orders",
        KeySchema=keys,
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in types.items()],
        BillingMode="PAY_PER_REQUEST",
        **indexes,
    )


def looked_at(local: LocalCluster, query: str, *numbers: str, **attributes: str) -> Finding:
    """What is found of a table whose keys were written so."""
    with Cluster(local.url + AS_WRITTEN) as cluster:
        make_table(cluster, sort="line" in attributes)
        for number in numbers:
            more = {name: {"N": value} for name, value in attributes.items()}
            cluster.client.put_item(TableName="orders", Item={"id": {"N": number}, **more})
    with Cluster(local.url + query) as cluster:
        return the(cluster.check(), "canonical_numbers")


@pytest.mark.parametrize(
    ("query", "said"),
    [("", "canonical_numbers=True is safe for it."), ("/?canonical_numbers=true", "they are found")],
)
@pytest.mark.parametrize("sort", [{}, {"line": "3"}])
def test_keys_in_canonical_form(local: LocalCluster, query: str, said: str, sort: dict[str, str]) -> None:
    finding = looked_at(local, query, "1", "20", "-5", "0.5", **sort)
    assert (finding.severity, finding.subject, finding.remedy) == ("ok", "orders", "")
    assert "all of its items (4)" in finding.message
    assert said in finding.message


@pytest.mark.parametrize(
    ("query", "severity", "said"),
    [
        ("", "warning", "would hide them"),
        (AS_WRITTEN, "warning", "would hide them"),
        ("/?canonical_numbers=true", "error", "are not found"),
    ],
)
@pytest.mark.parametrize("sort", [{}, {"line": "3"}])
def test_keys_in_other_forms(local: LocalCluster, query: str, severity: str, said: str, sort: dict[str, str]) -> None:
    finding = looked_at(local, query, "1", "1.0", "2e1", "3", **sort)
    assert (finding.severity, finding.subject) == (severity, "orders")
    assert "2 of 3 partition keys" in finding.message
    assert said in finding.message
    assert "save them with True, and delete" in finding.remedy


def test_items_are_moved_as_the_remedy_says(local: LocalCluster) -> None:
    key = {"id": {"N": "1.0"}}
    with Cluster(local.url) as cluster:
        make_table(cluster)
        cluster.client.put_item(TableName="orders", Item={**key, "what": {"S": "tea"}})
        assert the(cluster.check(), "canonical_numbers").severity == "warning"
        with cluster.options(canonical_numbers=False):
            item = cluster.client.get_item(TableName="orders", Key=key)["Item"]
        with cluster.options(canonical_numbers=True):
            cluster.client.put_item(TableName="orders", Item=item)
        with cluster.options(canonical_numbers=False):
            cluster.client.delete_item(TableName="orders", Key=key)
        with cluster.options(canonical_numbers=True):
            assert cluster.client.get_item(TableName="orders", Key=key)["Item"]["what"] == {"S": "tea"}
        assert "is safe for it" in the(cluster.check(), "canonical_numbers").message


def test_a_sample_is_not_all(local: LocalCluster) -> None:
    finding = looked_at(local, "", *map(str, range(120)))
    assert finding.severity == "ok"
    assert "a sample of its items (100)" in finding.message
    assert "as far as a sample tells" in finding.message


def test_pages_without_items_are_passed_over(local: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of a table in which much was deleted may have no item."""
    scan = NodesClient.scan
    pages: list[Any] = []

    def deleted(client: NodesClient, **parameters: Any) -> dict[str, Any]:
        if parameters["TableName"] != "orders":
            return scan(client, **parameters)
        pages.append(parameters.pop("ExclusiveStartKey", None))
        if len(pages) > empty:
            return scan(client, **parameters)
        return {"Items": [], "LastEvaluatedKey": {"id": {"N": str(len(pages))}}}

    monkeypatch.setattr(NodesClient, "scan", deleted)
    empty = 2
    assert looked_at(local, "", "1.0").severity == "warning"
    assert pages[:3] == [None, {"id": {"N": "1"}}, {"id": {"N": "2"}}]
    empty = 1000
    with Cluster(local.url) as cluster:
        finding = the(cluster.check(), "canonical_numbers")
    assert finding.severity == "ok"
    assert "no item was read" in finding.message
    assert "safe" not in finding.message


@pytest.mark.parametrize("query", ["", "/?canonical_numbers=true"])
def test_an_empty_table_hides_nothing(local: LocalCluster, query: str) -> None:
    assert looked_at(local, query).message == "The table has no item: canonical_numbers=True is safe for it."


class Index:
    """As much of a client as the check of an index needs: an index whose keys were written so."""

    def __init__(self, *keys: str) -> None:
        self._keys = keys

    def scan(self, **_: Any) -> dict[str, Any]:
        return {"Items": [{"rank": {"N": canonical_number(key)}} for key in self._keys]}

    def query(self, *, Limit: int, ExpressionAttributeValues: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {"Count": min(Limit, self._keys.count(ExpressionAttributeValues[":0"]["N"]))}


def test_the_key_of_an_index(local: LocalCluster) -> None:
    with Cluster(local.url) as cluster:
        make_table(cluster, index=True, key="S")
        for number, rank in enumerate(("1", "7", "7")):
            item = {"id": {"S": str(number)}, "rank": {"N": rank}}
            cluster.client.put_item(TableName="orders", Item=item)
        finding = the(cluster.check(), "canonical_numbers")
    assert finding.severity == "ok"
    assert "partition keys of the index by_rank of all of its items (2) are in canonical form" in finding.message


@pytest.mark.parametrize(
    ("keys", "sample"),
    [
        (["1", "7", "7"], (2, set(), True)),
        (["1", "7", "9.0"], (3, {"{'N': '9'}"}, True)),
        (["1", "1.0"], (1, {"{'N': '1'}"}, True)),
        (map(str, range(20)), (10, set(), False)),
    ],
)
def test_a_sample_of_an_index(keys: Iterable[str], sample: tuple[Any, ...]) -> None:
    client: Any = Index(*keys)
    assert canonical_numbers._sample_of_index(client, "orders", "by_rank", "rank") == sample


def test_other_tables_are_passed_over(local: LocalCluster) -> None:
    with Cluster(local.url) as cluster:
        create(cluster, "things")
        cluster.register_table("ghosts", "key")
        assert of(cluster.check(), "canonical_numbers") == []
    assert "things" not in {request.table for request in received(local, "Scan")}


def test_what_is_deleted_meanwhile_is_not_astray() -> None:
    samples = [
        canonical_numbers._Sample(3, frozenset(["a", "b"]), True),
        canonical_numbers._Sample(2, frozenset(["b", "c"]), True),
    ]
    assert canonical_numbers._twice(lambda: samples.pop(0)) == canonical_numbers._Sample(2, frozenset("b"), True)


def test_a_table_that_cannot_be_read(local: LocalCluster) -> None:
    with Cluster(local.url) as cluster:
        make_table(cluster)
        for node in local.nodes:
            node.fail_with("AccessDeniedException", operation="DescribeTable")
        finding = the(cluster.check(), "canonical_numbers")
    assert finding.severity == "ok"
    assert "in canonical form: AccessDeniedException" in finding.message
