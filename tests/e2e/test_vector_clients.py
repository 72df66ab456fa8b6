"""Vector search with clients alone: ScyllaDB's recipe for boto3, and both dialects without one, in every lane."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ParamValidationError

from pynamodb_alternator import Cluster
from pynamodb_alternator.boto3 import client, resource
from pynamodb_alternator.local import LocalCluster

from .support import TABLE, take_lane

OLDER = {"IndexName": "vec", "VectorAttribute": {"AttributeName": "v", "Dimensions": 2}}
NEWER = {
    "IndexName": "vec",
    "VectorAttribute": {"AttributeName": "v"},
    "Dimensions": 2,
    "DistanceFunction": "EUCLIDEAN",
    "Projection": {"ProjectionType": "ALL"},
}
EAST = {"L": [{"N": "1"}, {"N": "0"}]}
ITEM = {"key": {"S": "a"}, "v": {"FLOAT32VECTOR": [1, 0.5]}}
SEARCH = {"TableName": "items", "IndexName": "vec", "SearchVector": EAST["L"], "TopK": 3}
QUERY = {
    "TableName": "items",
    "IndexName": "vec",
    "Limit": 3,
    "Select": "ALL_ATTRIBUTES",
    "VectorSearch": {"QueryVector": {"FLOAT32VECTOR": [1, 0.5]}, "ReturnScores": "SIMILARITY"},
}


class Vector(list[Any]):
    """What the recipe has for the values that are sent and read as ``FLOAT32VECTOR``."""


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe's part that concerns boto3's resource: its values."""
    serialize = TypeSerializer.serialize

    def with_vectors(self: Any, value: Any) -> Any:
        return {"FLOAT32VECTOR": list(value)} if isinstance(value, Vector) else serialize(self, value)

    monkeypatch.setattr(TypeSerializer, "serialize", with_vectors)
    monkeypatch.setattr(
        TypeDeserializer, "_deserialize_float32vector", lambda self, value: Vector(value), raising=False
    )


def patch_model(made: Any) -> None:
    """The recipe's part that concerns the client: shapes that are added, and members of shapes that others have."""
    service = made.meta.service_model
    resolver = service._shape_resolver

    def structure(required: list[str], **members: str) -> dict[str, Any]:
        return {
            "type": "structure",
            "members": {name: {"shape": shape} for name, shape in members.items()},
            "required": required,
        }

    index = {"IndexName": "String", "VectorAttribute": "VectorAttribute", "SimilarityFunction": "String"}
    added = {
        "VectorAttribute": structure(["AttributeName", "Dimensions"], AttributeName="String", Dimensions="Integer"),
        "VectorIndex": structure(["IndexName"], **index, IndexStatus="String", Projection="Projection"),
        "VectorIndexes": {"type": "list", "member": {"shape": "VectorIndex"}},
        "CreateVectorIndexAction": structure(["IndexName", "VectorAttribute"], **index, Projection="Projection"),
        "DeleteVectorIndexAction": structure(["IndexName"], IndexName="String"),
        "VectorIndexUpdate": structure([], Create="CreateVectorIndexAction", Delete="DeleteVectorIndexAction"),
        "VectorIndexUpdates": {"type": "list", "member": {"shape": "VectorIndexUpdate"}},
        "VectorSearch": structure(["QueryVector"], QueryVector="AttributeValue", ReturnScores="String"),
        "Score": {"type": "double"},
        "ScoresList": {"type": "list", "member": {"shape": "Score"}},
    }
    for name, shape in added.items():
        resolver._shape_map[name] = shape
        resolver._shape_cache.pop(name, None)

    def add(shape: Any, member: str, of: str) -> None:
        shape._shape_model["members"][member] = {"shape": of}
        shape._cache.pop("members", None)

    add(service.operation_model("CreateTable").input_shape, "VectorIndexes", "VectorIndexes")
    add(service.operation_model("UpdateTable").input_shape, "VectorIndexUpdates", "VectorIndexUpdates")
    add(service.operation_model("Query").input_shape, "VectorSearch", "VectorSearch")
    add(service.operation_model("Query").output_shape, "Scores", "ScoresList")
    add(resolver.get_shape_by_name("TableDescription"), "VectorIndexes", "VectorIndexes")
    add(resolver.get_shape_by_name("AttributeValue"), "FLOAT32VECTOR", "ScoresList")


@pytest.fixture(params=["alternator", "both"])
def older(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with LocalCluster(nodes=2, vector_dialect=request.param) as local, Cluster(local.url) as cluster:
        yield cluster


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize("uses_recipe", [True, False])
def test_the_recipe_of_scylladb_works_with_a_resource(older: Cluster, uses_recipe: bool) -> None:
    """Without the part for the client too: our clients have it."""
    made = resource(older)
    if uses_recipe:
        patch_model(made.meta.client)
    table = made.create_table(**TABLE, VectorIndexes=[OLDER])
    described = made.meta.client.describe_table(TableName="items")["Table"]["VectorIndexes"]
    assert described[0]["VectorAttribute"] == {"AttributeName": "v", "Dimensions": 2}
    table.put_item(Item={"key": "list", "v": [Decimal("1"), Decimal("0")]})
    table.put_item(Item={"key": "vector", "v": Vector([0.0, 1.0])})
    assert table.get_item(Key={"key": "vector"})["Item"]["v"] == Vector([0.0, 1.0])
    for vector in ([Decimal(1), Decimal(0)], Vector([1.0, 0.0])):
        search = {"QueryVector": vector, "ReturnScores": "SIMILARITY"}
        answer = table.query(IndexName="vec", Limit=2, VectorSearch=search)
        assert [item["key"] for item in answer["Items"]] == ["list", "vector"]
        assert answer["Scores"] == [1.0, 0.5]
    table.update(VectorIndexUpdates=[{"Delete": {"IndexName": "vec"}}])
    table.update(VectorIndexUpdates=[{"Create": OLDER}])
    described = made.meta.client.describe_table(TableName="items")["Table"]["VectorIndexes"]
    assert [index["IndexName"] for index in described] == ["vec"]


def test_a_resource_has_awss_dialect(cluster: Cluster) -> None:
    """boto3's resources have no method for it, but their clients convert the values."""
    made = resource(cluster)
    index = {**NEWER, "SearchSchema": [{"AttributeName": "key", "SearchSchemaElementType": "INLINE_FILTER"}]}
    table = made.create_table(**TABLE, VectorIndexes=[index])
    table.put_item(Item={"key": "a", "v": [Decimal(1), Decimal(0)], "text": "x"})
    table.put_item(Item={"key": "b", "v": [Decimal(1), Decimal(1)], "text": "y"})
    search = {"TableName": "items", "IndexName": "vec", "SearchVector": [Decimal(1), Decimal(0)], "TopK": 2}
    answer = made.meta.client.search_vectors(**search)
    assert answer["SearchResults"] == [
        {"Item": {"key": "a", "text": "x"}, "Score": 0.0},
        {"Item": {"key": "b", "text": "y"}, "Score": 1.0},
    ]
    answer = made.meta.client.search_vectors(
        **search,
        SearchConditionExpression="#k = :k",
        ExpressionAttributeNames={"#k": "key"},
        ExpressionAttributeValues={":k": "b"},
        ProjectionExpression="v",
    )
    assert answer["SearchResults"] == [{"Item": {"v": [Decimal(1), Decimal(1)]}, "Score": 1.0}]


def test_the_recipe_works_after_requests_too(older: Cluster) -> None:
    made = client(older)
    made.create_table(**TABLE)
    made.put_item(TableName="items", Item={"key": {"S": "a"}})
    made.query(
        TableName="items",
        KeyConditionExpression="#k = :k",
        ExpressionAttributeNames={"#k": "key"},
        ExpressionAttributeValues={":k": {"S": "a"}},
    )
    patch_model(made)
    made.delete_table(TableName="items")
    made.create_table(**TABLE, VectorIndexes=[OLDER])
    made.put_item(TableName="items", Item=ITEM)
    assert made.query(**QUERY)["Scores"] == [1.0]


def test_both_dialects_in_every_lane(cluster: Cluster, local: LocalCluster, lane: str) -> None:
    made = cluster.new_client(validate_parameters=True)
    take_lane(made, lane)
    for index in (OLDER, NEWER):
        made.create_table(**TABLE, VectorIndexes=[index])
        made.put_item(TableName="items", Item=ITEM)
        assert made.get_item(TableName="items", Key={"key": ITEM["key"]})["Item"] == ITEM
        assert made.search_vectors(**SEARCH)["SearchResults"][0]["Item"] == {"key": ITEM["key"]}
        shown = {"ProjectionExpression": "#k, v", "ExpressionAttributeNames": {"#k": "key"}}
        assert made.search_vectors(**SEARCH, **shown)["SearchResults"][0]["Item"] == ITEM
        answer = made.query(**QUERY)
        assert (answer["Items"], answer["Scores"]) == ([ITEM], [1.0])
        made.delete_table(TableName="items")
    with pytest.raises(ParamValidationError, match="VectorSearsh"):
        made.query(TableName="items", VectorSearsh={})


def test_searches_are_spread_over_the_nodes(cluster: Cluster, local: LocalCluster) -> None:
    cluster.client.create_table(**TABLE, VectorIndexes=[NEWER])
    for _ in range(6):
        cluster.client.search_vectors(**SEARCH)
        cluster.client.query(
            **{**QUERY, "KeyConditionExpression": "#k = :k"},
            ExpressionAttributeNames={"#k": "key"},
            ExpressionAttributeValues={":k": {"S": "a"}},
        )
    for operation in ("SearchVectors", "Query"):
        asked = [node for node in local.nodes if any(request.operation == operation for request in node.requests)]
        assert len(asked) == 3, operation


def test_a_search_moves_on_when_a_node_fails(cluster: Cluster, local: LocalCluster) -> None:
    """It is a read: one that was sent, and not answered, is sent again."""
    cluster.client.create_table(**TABLE, VectorIndexes=[NEWER])
    cluster.client.put_item(TableName="items", Item=ITEM)
    for node in local.nodes[:2]:
        node.drop_after_execute(times=None, operation=["SearchVectors", "Query"])
    for _ in range(6):
        assert cluster.client.search_vectors(**SEARCH)["SearchResults"][0]["Item"] == {"key": ITEM["key"]}
        assert cluster.client.query(**QUERY)["Items"] == [ITEM]
