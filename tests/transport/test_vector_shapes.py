"""Vector search in the description of the service: both dialects, whatever botocore's version knows of them."""

from __future__ import annotations

import copy
import json
from typing import Any

import botocore.model
import pytest
from botocore.loaders import Loader
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from pynamodb_alternator import Cluster
from pynamodb_alternator.transport import parsing
from pynamodb_alternator.transport.parsing import loads
from pynamodb_alternator.transport.serialization import dumps
from pynamodb_alternator.transport.vector_shapes import with_vector_search

STOCK: dict[str, Any] = Loader().load_service_model("dynamodb", "service-2")
VECTOR = [{"N": "0.5"}, {"N": "-1"}]
KEYS = {
    "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
}
"""What older versions of botocore demand of a CreateTable."""
OF_AWS = ("VectorIndex", "VectorIndexes", "SearchVectors", "VectorSearch")


def before_vectors() -> dict[str, Any]:
    """The description of a botocore that does not know SearchVectors."""
    old = copy.deepcopy(STOCK)
    old["operations"].pop("SearchVectors", None)
    for name in list(old["shapes"]):
        if "Vector" in name or name.startswith(("SearchResult", "SearchSchema", "TopK", "ScoreNumber")):
            del old["shapes"][name]
    for shape in old["shapes"].values():
        for member in list(shape.get("members", ())):
            if "Vector" in member:
                del shape["members"][member]
    return old


def service(description: dict[str, Any]) -> botocore.model.ServiceModel:
    return botocore.model.ServiceModel(with_vector_search(description), service_name="dynamodb")


@pytest.fixture(params=["now", "before vectors"])
def model(request: pytest.FixtureRequest) -> botocore.model.ServiceModel:
    return service(STOCK if request.param == "now" else before_vectors())


def same(operation: str, parameters: dict[str, Any], model: botocore.model.ServiceModel) -> None:
    """The request is what botocore's serializer makes of it, with validation too."""
    operation_model = model.operation_model(operation)
    body = create_serializer("json").serialize_to_request(parameters, operation_model)["body"]
    assert json.loads(dumps(parameters, operation_model)) == json.loads(body) == parameters


def test_requests_of_both_dialects_are_sent(model: botocore.model.ServiceModel) -> None:
    same("SearchVectors", {"TableName": "t", "IndexName": "vec", "SearchVector": VECTOR, "TopK": 3}, model)
    same(
        "Query",
        {
            "TableName": "t",
            "IndexName": "vec",
            "Limit": 3,
            "VectorSearch": {"QueryVector": {"FLOAT32VECTOR": [0.5, -1]}, "ReturnScores": "SIMILARITY"},
        },
        model,
    )
    same("PutItem", {"TableName": "t", "Item": {"v": {"FLOAT32VECTOR": [0.5, -1]}}}, model)
    older = {"IndexName": "vec", "VectorAttribute": {"AttributeName": "v", "Dimensions": 2}}
    newer = {
        "IndexName": "vec",
        "VectorAttribute": {"AttributeName": "v"},
        "Dimensions": 2,
        "DistanceFunction": "COSINE",
        "Projection": {"ProjectionType": "ALL"},
        "SearchSchema": [{"AttributeName": "kind", "SearchSchemaElementType": "INLINE_FILTER"}],
    }
    for index in ({**older, "SimilarityFunction": "EUCLIDEAN"}, newer):
        same("UpdateTable", {"TableName": "t", "VectorIndexUpdates": [{"Create": index}]}, model)
        same("CreateTable", {"TableName": "t", **KEYS, "VectorIndexes": [index]}, model)
    same("UpdateTable", {"TableName": "t", "VectorIndexUpdates": [{"Delete": {"IndexName": "vec"}}]}, model)


ANSWERS = [
    ("SearchVectors", {"SearchResults": [{"Item": {"k": {"S": "a"}, "b": {"B": "QUI="}}, "Score": 0.25}]}),
    ("SearchVectors", {"SearchResults": [{"Item": {"k": {"S": "a"}}}]}),
    ("SearchVectors", {"SearchResults": [], "ConsumedCapacity": {"VectorSearchRequestBytes": 10.0}}),
    ("Query", {"Items": [{"k": {"S": "a"}}], "Count": 1, "ScannedCount": 1, "Scores": [0.5]}),
    ("Query", {"Items": [], "Count": 0, "Scores": [None]}),
    ("GetItem", {"Item": {"v": {"FLOAT32VECTOR": [0.5, 1, -2.5e-7]}, "l": {"L": [{"FLOAT32VECTOR": []}]}}}),
    ("GetItem", {"Item": {"v": {"FLOAT32VECTOR": [0.5, None]}}}),
    (
        "DescribeTable",
        {
            "Table": {
                "VectorIndexes": [
                    {
                        "IndexName": "vec",
                        "VectorAttribute": {"AttributeName": "v", "Dimensions": 2},
                        "SimilarityFunction": "COSINE",
                        "DistanceFunction": "COSINE",
                        "IndexStatus": "CREATING",
                        "Backfilling": True,
                    }
                ]
            }
        },
    ),
]


@pytest.mark.parametrize(("operation", "answer"), ANSWERS)
def test_answers_of_both_dialects_come_through(
    operation: str, answer: dict[str, Any], model: botocore.model.ServiceModel
) -> None:
    body, operation_model = json.dumps(answer).encode(), model.operation_model(operation)
    shape: Any = operation_model.output_shape
    parsed = create_parser("json").parse({"status_code": 200, "headers": {}, "body": body}, shape)
    parsed.pop("ResponseMetadata")
    assert loads(body, operation_model) == parsed
    assert loads(body, operation_model, look=lambda value=None: value) == parsed


def test_answers_to_searches_are_read_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("botocore's parser was used")

    monkeypatch.setattr(parsing, "_stock_loads", never)
    model = service(STOCK)
    item = {"k": {"S": "a"}, "v": {"FLOAT32VECTOR": [0.5, 1]}, "l": {"L": VECTOR}}
    for operation, answer in (
        ("SearchVectors", {"SearchResults": [{"Item": item, "Score": 0}]}),
        ("Query", {"Items": [item], "Count": 1, "ScannedCount": 1, "Scores": [0.5]}),
    ):
        assert loads(json.dumps(answer).encode(), model.operation_model(operation)) == answer


def test_what_botocore_has_stays_as_it_is() -> None:
    before = copy.deepcopy(STOCK)
    made = with_vector_search(STOCK)
    assert before == STOCK
    assert STOCK["operations"].items() <= made["operations"].items()
    for name, shape in STOCK["shapes"].items():
        assert made["shapes"][name]["type"] == shape["type"]
        for member, reference in shape.get("members", {}).items():
            assert made["shapes"][name]["members"][member] == reference


def test_every_shape_that_is_named_exists(model: botocore.model.ServiceModel) -> None:
    def walk(shape: Any, seen: frozenset[str]) -> None:
        if shape is None or shape.name in seen:
            return
        seen |= {shape.name}
        if shape.type_name == "structure":
            assert set(shape.required_members) <= set(shape.members)
            for member in shape.members.values():
                walk(member, seen)
        elif shape.type_name == "list":
            walk(shape.member, seen)

    for operation in ("SearchVectors", "Query", "CreateTable", "UpdateTable"):
        operation_model = model.operation_model(operation)
        walk(operation_model.input_shape, frozenset())
        walk(operation_model.output_shape, frozenset())


def test_clients_have_the_operation() -> None:
    with Cluster("http://127.0.0.1:8000") as cluster:
        assert cluster.client.meta.method_to_api_mapping["search_vectors"] == "SearchVectors"
