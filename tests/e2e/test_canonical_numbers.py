"""Numbers that are written in several ways, on a server that keeps them apart."""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.conditions import Attr, Key
from pynamodb.attributes import ListAttribute, MapAttribute, NumberAttribute, NumberSetAttribute, UnicodeAttribute
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex

from pynamodb_alternator import (
    AlternatorConnection,
    Cluster,
    ClusterConfig,
    KeyRouteAffinity,
    Model,
)
from pynamodb_alternator.aio import AsyncCluster
from pynamodb_alternator.boto3 import resource
from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.local import LocalCluster

from .support import SESSION, forget, received, take_lane


class Notes(MapAttribute[Any, Any]):
    scores = NumberSetAttribute(null=True)


class ByRank(GlobalSecondaryIndex["Player"]):
    class Meta:
        index_name = "by_rank"
        projection = AllProjection()

    rank = NumberAttribute(hash_key=True)


class Player(Model):
    class Meta:
        table_name = "players"
        billing_mode = "PAY_PER_REQUEST"

    id = NumberAttribute(hash_key=True)
    rank = NumberAttribute(default=1)
    name = UnicodeAttribute(null=True)
    scores = NumberSetAttribute(null=True)
    notes = Notes(null=True)
    history: ListAttribute[Any] = ListAttribute(null=True)
    by_rank = ByRank()


def on(local: LocalCluster, lane: str = "happy", **settings: Any) -> Cluster:
    cluster = Cluster(ClusterConfig([node.host for node in local.nodes], port=local.port, **settings))
    cluster.core._session = SESSION
    take_lane(cluster.client, lane)
    return cluster


def players(cluster: Cluster, **meta: Any) -> type[Player]:
    """The model on this cluster, and its table."""
    Meta = type("Meta", (Player.Meta,), {"cluster": cluster, **meta})
    model: type[Player] = type("Player", (Player,), {"Meta": Meta})
    if not model.exists():
        model.create_table(wait=True)
    return model


def stored(cluster: Cluster, attribute: str, key: str = "1") -> Any:
    item = cluster.client.get_item(TableName="players", Key={"id": {"N": key}})["Item"]
    return item[attribute]


# ---- partition keys ----------------------------------------------------------------------------------------------


def test_with_true_a_float_is_the_key_that_its_int_is(local: LocalCluster, lane: str) -> None:
    with on(local, lane, canonical_numbers=True) as cluster:
        Some = players(cluster)
        Some(1.0, rank=2.0, name="a").save()
        assert Some.get(1).name == Some.get(1.0).name == "a"
        assert [item.name for item in Some.query(1.0)] == ["a"]
        assert [item.name for item in Some.by_rank.query(2)] == ["a"]
        Some(1).update(actions=[Some.rank.set(3.0)])
        assert [item.id for item in Some.by_rank.query(3.0)] == [1]
        with Some.batch_write() as batch:
            batch.save(Some(1e1, name="b"))
            batch.save(Some(20, name="c"))
            batch.delete(Some(1.0))
        assert sorted(item.name for item in Some.batch_get([10, 20.0, 1])) == ["b", "c"]
        assert Some.count(10) == 1
        Some(10.0).delete()
        assert [item.name for item in Some.scan()] == ["c"]


def test_without_it_keys_are_as_they_were(local: LocalCluster, lane: str, caplog: pytest.LogCaptureFixture) -> None:
    with on(local, lane) as cluster, caplog.at_level(logging.WARNING, "pynamodb_alternator"):
        Some = players(cluster)
        Some(1.0, name="a").save()
        assert Some.get(1.0).name == "a"
        with pytest.raises(Some.DoesNotExist):
            Some.get(1)
        told = [record.getMessage() for record in caplog.records if "canonical_numbers" in record.getMessage()]
    assert len(told) == 1
    assert "'players'" in told[0]
    assert "pynamodb-alternator check" in told[0]


def test_a_model_and_a_block_may_have_their_own(local: LocalCluster, lane: str) -> None:
    with on(local, lane, canonical_numbers=False) as cluster:
        Some = players(cluster, canonical_numbers=True)
        Some(1.0, name="a").save()
        assert Some.get(1).name == "a"
        with cluster.options(canonical_numbers=False):
            assert "Item" not in cluster.client.get_item(TableName="players", Key={"id": {"N": "1.0"}})
            with pytest.raises(Some.DoesNotExist):
                Some.get(1.0)
        with cluster.options(canonical_numbers=True):
            assert "Item" in cluster.client.get_item(TableName="players", Key={"id": {"N": "1.0"}})


def test_the_error_of_a_wrong_setting_names_its_place(local: LocalCluster) -> None:
    with on(local) as cluster:
        with pytest.raises(ConfigurationError, match=r"Cluster.options: canonical_numbers must be 'sets', True"):
            cluster.options(canonical_numbers="keys")  # type: ignore[arg-type]
        connection = AlternatorConnection(cluster=cluster, canonical_numbers="keys")  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match=r"AlternatorConnection: canonical_numbers must be 'sets', True"):
            connection.list_tables()


def test_a_request_is_routed_by_the_key_that_is_sent(local: LocalCluster, lane: str) -> None:
    with on(local, lane, canonical_numbers=True, key_route_affinity="any_write", token_aware=True) as cluster:
        players(cluster)
        route = cluster.route("players", Decimal("7.00"))
        assert route.key == {"N": "7"}
        assert route.affinity is KeyRouteAffinity.ANY_WRITE
        assert (route.hash, route.token) == (cluster.route("players", 7).hash, cluster.route("players", 7).token)
        forget(local)
        for way in ("7", "7.0", "70e-1", "+7"):
            cluster.client.put_item(TableName="players", Item={"id": {"N": way}, "rank": {"N": "1"}})
        writers = {node.address for node in local.nodes if node.operations.get("PutItem")}
        assert writers == {route.nodes[0]}
        assert [request.partition_key for request in received(local, "PutItem")] == [{"N": "7"}] * 4
    with on(local, lane) as cluster:
        assert cluster.route("players", Decimal("7.00")).key == {"N": "7.00"}


def test_the_resource_of_boto3(local: LocalCluster) -> None:
    with on(local, canonical_numbers=True) as cluster:
        players(cluster)
        table = resource(cluster).Table("players")
        table.put_item(Item={"id": Decimal("1.50"), "rank": Decimal("1E+2"), "scores": {Decimal("1.0"), Decimal(2)}})
        assert table.get_item(Key={"id": Decimal("1.5")})["Item"]["scores"] == {1, 2}
        assert table.query(KeyConditionExpression=Key("id").eq(Decimal("15e-1")))["Count"] == 1
        assert table.query(IndexName="by_rank", KeyConditionExpression=Key("rank").eq(100))["Count"] == 1
        assert table.scan(FilterExpression=Attr("scores").contains(Decimal("1.00")))["Count"] == 1
        pages = cluster.client.get_paginator("scan").paginate(TableName="players", PaginationConfig={"PageSize": 1})
        assert sum(page["Count"] for page in pages) == 1


def test_an_event_loop_sends_canonical_numbers(local: LocalCluster) -> None:
    async def main() -> None:
        async with AsyncCluster(ClusterConfig.from_url(local.url, canonical_numbers=True)) as cluster:
            client = await cluster.client()
            item = {"id": {"N": "1.0"}, "rank": {"N": "1"}, "scores": {"NS": ["1.0", "1e1"]}}
            before = repr(item)
            await client.put_item(TableName="players", Item=item)
            assert repr(item) == before
            answer = await client.get_item(TableName="players", Key={"id": {"N": "1"}})
            assert sorted(answer["Item"]["scores"]["NS"]) == ["1", "10"]
            with cluster.options(canonical_numbers=False):
                assert "Item" not in await client.get_item(TableName="players", Key={"id": {"N": "1.0"}})

    with on(local) as cluster:
        players(cluster)
    asyncio.run(main())


# ---- sets, and what conditions compare with ----------------------------------------------------------------------


def test_elements_of_sets_are_sent_in_canonical_form(local: LocalCluster, lane: str) -> None:
    with on(local, lane) as cluster:
        Some = players(cluster)
        Some(1, scores={1.0, 2, 1e16}, notes=Notes(scores={5.0})).save()
        assert sorted(stored(cluster, "scores")["NS"]) == ["1", "10000000000000000", "2"]
        assert stored(cluster, "notes") == {"M": {"scores": {"NS": ["5"]}}}
        item = Some.get(1)
        item.update(actions=[Some.scores.add({1, 3.0})])
        assert item.scores == {1, 2, 3, 10**16}
        item.update(actions=[Some.scores.delete({2.0, 3})])
        assert sorted(stored(cluster, "scores")["NS"]) == ["1", "10000000000000000"]
        with Some.batch_write() as batch:
            batch.save(Some(5, scores={1.0}))
        assert stored(cluster, "scores", "5") == {"NS": ["1"]}


def test_contains_finds_elements_in_either_form(local: LocalCluster, lane: str) -> None:
    with on(local, lane) as cluster:
        Some = players(cluster)
        with cluster.options(canonical_numbers=False):
            Some(1, scores={1.0}, name="before").save()
        Some(2, scores={1.0}, name="now").save()
        Some(3, scores={2}, history=[1.0], name="in a list").save()
        assert sorted(item.name for item in Some.scan(Some.scores.contains(1.0))) == ["before", "now"]
        assert sorted(item.name for item in Some.scan(Some.history.contains(1.0))) == ["in a list"]
        assert sorted(item.name for item in Some.scan(~Some.scores.contains(1.0))) == ["in a list"]
        Some(2).update(actions=[Some.name.set("known")], condition=Some.scores.contains(1.0) & (Some.id == 2.0))
        assert Some.get(2).name == "known"


def test_a_number_that_is_compared_at_the_top_and_in_a_list(local: LocalCluster, lane: str) -> None:
    """What is in a list is there as it was sent, so that one number is needed in both forms."""
    values = {":one": {"N": "1.0"}}
    with on(local, lane) as cluster:
        players(cluster)(1, rank=1.0, history=[1.0]).save()
        for condition in ("#r = :one AND contains(history, :one)", "NOT (:one <> #r) AND contains(history, :one)"):
            answer = cluster.client.scan(
                TableName="players",
                FilterExpression=condition,
                ExpressionAttributeNames={"#r": "rank"},
                ExpressionAttributeValues=values,
            )
            assert answer["Count"] == 1
        assert values == {":one": {"N": "1.0"}}


def test_with_true_a_key_that_is_compared_with_a_list_too_is_found(local: LocalCluster, lane: str) -> None:
    with on(local, lane, canonical_numbers=True) as cluster:
        players(cluster)(1.0, rank=1, history=[1.0]).save()
        answer = cluster.client.query(
            TableName="players",
            KeyConditionExpression="id = :one",
            FilterExpression="contains(history, :one)",
            ExpressionAttributeValues={":one": {"N": "1.0"}},
        )
        assert answer["Count"] == 1


def test_the_old_parameters_get_canonical_numbers(local: LocalCluster, lane: str) -> None:
    equals = {"ComparisonOperator": "EQ", "AttributeValueList": [{"N": "1.0"}]}
    with on(local, lane, canonical_numbers=True) as cluster:
        players(cluster)(1.0, rank=1).save()
        client, table = cluster.client, {"TableName": "players"}
        assert client.query(**table, KeyConditions={"id": equals}, QueryFilter={"rank": equals})["Count"] == 1
        assert client.scan(**table, ScanFilter={"rank": equals})["Count"] == 1
        client.put_item(
            **table, Item={"id": {"N": "1e0"}, "rank": {"N": "2.0"}}, Expected={"rank": {"Value": {"N": "1.0"}}}
        )
        ranked = {"ComparisonOperator": "EQ", "AttributeValueList": [{"N": "2.00"}]}
        assert client.query(**table, IndexName="by_rank", KeyConditions={"rank": ranked})["Count"] == 1
        update = {
            "rank": {"Action": "PUT", "Value": {"N": "3.0"}},
            "scores": {"Action": "ADD", "Value": {"NS": ["5.0"]}},
        }
        client.update_item(**table, Key={"id": {"N": "1.00"}}, AttributeUpdates=update)
        assert stored(cluster, "scores") == {"NS": ["5"]}


def test_conditions_compare_with_the_canonical_form(local: LocalCluster, lane: str) -> None:
    with on(local, lane) as cluster:
        Some = players(cluster)
        Some(1, rank=10.0).save()
        Some(1).update(actions=[Some.name.set("a")], condition=(Some.rank == 10.0) & Some.rank.is_in(1e1, 3))
        assert Some.get(1).name == "a"
        Some(2, rank=10, history=[10.0]).save()
        assert [player.id for player in Some.scan((Some.rank == 10.0) & (Some.history[0] == 10.0))] == [2]
        assert [player.id for player in Some.scan((Some.rank != 10.0) | (Some.rank < 10.0))] == []
        with cluster.options(canonical_numbers=False):
            assert [player.id for player in Some.scan(Some.rank == 10.0)] == []
