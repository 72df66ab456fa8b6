"""Adds both dialects of vector search to the service's description of each client, for any version of botocore.

AWS's dialect is an operation, SearchVectors, and members of CreateTable, UpdateTable and DescribeTable. botocore has
them from 1.43 on. Alternator's older dialect is members of Query and of the vector indexes, and a type of attribute
values, ``FLOAT32VECTOR``; no botocore has these. A client sends only what its description has, and drops everything
else from answers. So both dialects are added here. What botocore already has stays as it is, with one exception: a
vector index may omit what only the other dialect demands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["FLOAT32VECTOR", "with_vector_search"]

FLOAT32VECTOR = "FLOAT32VECTOR"
"""The type of an attribute value that is a list of JSON numbers. ScyllaDB stores each number in 4 bytes."""

_INDEX = {
    "IndexName": "IndexName",
    "VectorAttribute": "VectorAttributeDefinition",
    "SearchSchema": "SearchSchema",
    "Projection": "Projection",
    "Dimensions": "PositiveLongObject",
    "DistanceFunction": "VectorDistanceFunction",
    "SimilarityFunction": "String",
}
_STRUCTURES: Mapping[str, Mapping[str, str]] = {
    "VectorIndex": _INDEX,
    "CreateVectorIndexAction": _INDEX,
    "VectorIndexDescription": {
        **_INDEX,
        "IndexStatus": "IndexStatus",
        "Backfilling": "Backfilling",
        "IndexSizeBytes": "LongObject",
        "ItemCount": "LongObject",
        "IndexArn": "String",
    },
    "DeleteVectorIndexAction": {"IndexName": "IndexName"},
    "VectorIndexUpdate": {"Create": "CreateVectorIndexAction", "Delete": "DeleteVectorIndexAction"},
    "VectorAttributeDefinition": {"AttributeName": "String", "Dimensions": "PositiveLongObject"},
    "SearchSchemaElement": {"AttributeName": "String", "SearchSchemaElementType": "String"},
    "SearchVectorsInput": {
        "TableName": "String",
        "IndexName": "IndexName",
        "ReturnConsumedCapacity": "ReturnConsumedCapacity",
        "ExpressionAttributeNames": "ExpressionAttributeNameMap",
        "ExpressionAttributeValues": "ExpressionAttributeValueMap",
        "ProjectionExpression": "ProjectionExpression",
        "SearchVector": "SearchVectorList",
        "SearchConditionExpression": "String",
        "TopK": "TopKInteger",
    },
    "SearchVectorsOutput": {"ConsumedCapacity": "VectorCapacity", "SearchResults": "SearchResultList"},
    "SearchResultItem": {"Item": "AttributeMap", "Score": "ScoreNumber"},
    "VectorCapacity": {
        "VectorSearchRequestBytes": "ConsumedCapacityUnits",
        "VectorWriteRequestBytes": "ConsumedCapacityUnits",
    },
    "CreateTableInput": {"VectorIndexes": "VectorIndexList"},
    "UpdateTableInput": {"VectorIndexUpdates": "VectorIndexUpdateList"},
    "TableDescription": {"VectorIndexes": "VectorIndexDescriptionList"},
    "QueryInput": {"VectorSearch": "AlternatorVectorSearch"},
    "QueryOutput": {"Scores": "AlternatorScoreList"},
    "AlternatorVectorSearch": {"QueryVector": "AttributeValue", "ReturnScores": "String"},
    "AttributeValue": {FLOAT32VECTOR: "AlternatorFloat32Vector"},
}
"""Structures with their members, and the shapes of these."""
_LISTS = {
    "VectorIndexList": "VectorIndex",
    "VectorIndexDescriptionList": "VectorIndexDescription",
    "VectorIndexUpdateList": "VectorIndexUpdate",
    "SearchSchema": "SearchSchemaElement",
    "SearchVectorList": "AttributeValue",
    "SearchResultList": "SearchResultItem",
    "AlternatorScoreList": "ScoreNumber",
    "AlternatorFloat32Vector": "ScoreNumber",
}
_SCALARS = {
    "VectorDistanceFunction": "string",
    "TopKInteger": "integer",
    "PositiveLongObject": "long",
    "ScoreNumber": "double",
}
_REQUIRED = {
    "VectorIndex": ["IndexName", "VectorAttribute"],
    "CreateVectorIndexAction": ["IndexName", "VectorAttribute"],
    "DeleteVectorIndexAction": ["IndexName"],
    "VectorAttributeDefinition": ["AttributeName"],
    "SearchVectorsInput": ["TableName", "IndexName", "SearchVector", "TopK"],
    "AlternatorVectorSearch": ["QueryVector"],
}
"""The members that parameter validation demands, if it is on."""
_ERRORS = ("ResourceNotFoundException", "RequestLimitExceeded", "InternalServerError")


def with_vector_search(description: Mapping[str, Any]) -> dict[str, Any]:
    """botocore's description of DynamoDB, with the missing parts. Only what is changed is copied."""
    operations, shapes = dict(description["operations"]), dict(description["shapes"])
    operations.setdefault(
        "SearchVectors",
        {
            "name": "SearchVectors",
            "http": {"method": "POST", "requestUri": "/"},
            "input": {"shape": "SearchVectorsInput"},
            "output": {"shape": "SearchVectorsOutput"},
            "errors": [{"shape": name} for name in _ERRORS if name in shapes],
        },
    )
    for name, kind in _SCALARS.items():
        shapes.setdefault(name, {"type": kind})
    for name, member in _LISTS.items():
        shapes.setdefault(name, {"type": "list", "member": {"shape": member}})
    for name, members in _STRUCTURES.items():
        known = shapes.get(name, {"type": "structure", "members": {}})
        ours = {member: {"shape": shape} for member, shape in members.items()}
        shapes[name] = {**known, "members": {**ours, **known["members"]}}
        if name in _REQUIRED:
            shapes[name]["required"] = [*_REQUIRED[name]]
    return {**description, "operations": operations, "shapes": shapes}
