"""Tables: how they are made, changed and deleted, and how Alternator describes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .answers import Answer, json_answer, validation
from .catalogue import Catalogue, arn_of
from .engine_client import EngineClient
from .parsing import Parsed, Rule
from .tags import read_tags
from .virtual_tables import PREFIX as VIRTUAL

_TABLE_NAME = re.compile(r"[a-zA-Z0-9._-]{3,192}")
_KEPT = (
    *("TableName", "TableStatus", "KeySchema", "AttributeDefinitions", "CreationDateTime", "BillingModeSummary"),
    *("ProvisionedThroughput", "StreamSpecification", "LatestStreamArn", "LatestStreamLabel"),
)
"""What Alternator tells of a table as DynamoDB does. There is no ItemCount."""


class TableRules:
    """The operations on tables."""

    def __init__(self, client: EngineClient, catalogue: Catalogue) -> None:
        self._client = client
        self._catalogue = catalogue

    def rules(self) -> dict[str, Rule]:
        return {
            "CreateTable": self._create,
            "DeleteTable": self._delete,
            "DescribeTable": self._describe,
            "UpdateTable": self._update,
            "DescribeContinuousBackups": self._describe_backups,
        }

    def _create(self, parsed: Parsed) -> Answer:
        parameters = parsed.parameters
        name = parameters.get("TableName")
        if not isinstance(name, str) or not _TABLE_NAME.fullmatch(name):
            raise validation(
                "TableName must be 3-192 characters long and satisfy the regular expression [a-zA-Z0-9._-]+"
            )
        if name.startswith(VIRTUAL):
            raise validation(f"Prefix {VIRTUAL} is reserved for accessing internal tables")
        tags = read_tags(parameters.pop("Tags", None) or [])
        described = self._client.result("CreateTable", parameters)["TableDescription"]
        self._catalogue.add(described, tags)
        return json_answer({"TableDescription": _as_alternator(described)})

    def _delete(self, parsed: Parsed) -> Answer:
        described = self._client.result("DeleteTable", parsed.parameters)["TableDescription"]
        self._catalogue.forget(str(parsed.parameters.get("TableName")))
        return json_answer({"TableDescription": {**_as_alternator(described), "TableStatus": "DELETING"}})

    def _describe(self, parsed: Parsed) -> Answer:
        return json_answer({"Table": _as_alternator(self._client.result("DescribeTable", parsed.parameters)["Table"])})

    def _update(self, parsed: Parsed) -> Answer:
        for name in ("ProvisionedThroughput", "ReplicaUpdates", "SSESpecification"):
            if name in parsed.parameters:
                raise validation(f"UpdateTable: {name} not supported")
        described = self._client.result("UpdateTable", parsed.parameters)["TableDescription"]
        self._catalogue.update(described)
        return json_answer({"TableDescription": _as_alternator(described)})

    def _describe_backups(self, parsed: Parsed) -> Answer:
        self._catalogue.existing(str(parsed.table))
        status = {"PointInTimeRecoveryStatus": "DISABLED"}
        description = {"ContinuousBackupsStatus": "DISABLED", "PointInTimeRecoveryDescription": status}
        return json_answer({"ContinuousBackupsDescription": description})


def _as_alternator(described: dict[str, Any]) -> dict[str, Any]:
    """A table's description with what Alternator says instead, and without what it does not tell."""
    result = {key: described[key] for key in _KEPT if key in described}
    arn = arn_of(described["TableName"])
    result |= {"TableArn": arn, "TableId": described.get("TableId", "00000000-0000-0000-0000-000000000000")}
    result.setdefault("TableStatus", "ACTIVE")
    for indexes in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        if described.get(indexes):
            result[indexes] = [_index(index, arn, indexes[0] == "G") for index in described[indexes]]
    return result


def _index(index: Mapping[str, Any], arn: str, is_global: bool) -> dict[str, Any]:
    result: dict[str, Any] = {"IndexName": index["IndexName"], "IndexArn": f"{arn}/index/{index['IndexName']}"}
    result |= {"KeySchema": index["KeySchema"], "Projection": {"ProjectionType": "ALL"}}
    if is_global:
        result["IndexStatus"] = index.get("IndexStatus", "ACTIVE")
    return result
