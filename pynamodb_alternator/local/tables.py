"""The operations on tables, and Alternator's descriptions of tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import schema
from .answers import Answer, DialectError, json_answer, validation
from .catalogue import Catalogue, arn_of
from .engine_client import EngineClient
from .parsing import Parsed, Rule
from .tags import read_tags
from .virtual_tables import PREFIX as VIRTUAL

_KEPT = (
    *("TableName", "TableStatus", "KeySchema", "AttributeDefinitions", "CreationDateTime", "BillingModeSummary"),
    *("ProvisionedThroughput", "StreamSpecification", "LatestStreamArn", "LatestStreamLabel"),
)
"""The members of a table's description that Alternator has in common with DynamoDB. There is no ItemCount."""
_MOST_NAMES = 100
_KEPT_OF_DELETED = ("TableName", "TableArn", "TableId", "BillingModeSummary", "ProvisionedThroughput")


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
            "ListTables": self._list,
        }

    def _create(self, parsed: Parsed) -> Answer:
        parameters = parsed.parameters
        if str(parameters.get("TableName")).startswith(VIRTUAL):
            raise validation(f"Prefix {VIRTUAL} is reserved for accessing internal tables")
        tags = read_tags(parameters.pop("Tags", None))
        described = self._client.result("CreateTable", schema.check_create(parameters))["TableDescription"]
        self._catalogue.add(described, tags)
        return json_answer({"TableDescription": _as_alternator(described)})

    def _delete(self, parsed: Parsed) -> Answer:
        name = schema.check_table_name(parsed.parameters.get("TableName"))
        described = self._client.result("DeleteTable", {"TableName": name})["TableDescription"]
        self._catalogue.forget(name)
        description = _as_alternator(described)
        kept = {key: description[key] for key in _KEPT_OF_DELETED if key in description}
        return json_answer({"TableDescription": {**kept, "TableStatus": "DELETING"}})

    def _describe(self, parsed: Parsed) -> Answer:
        name = schema.check_table_name(parsed.parameters.get("TableName"))
        described = self._client.result("DescribeTable", {"TableName": name})["Table"]
        return json_answer({"Table": _as_alternator(described)})

    def _list(self, parsed: Parsed) -> Answer:
        limit = parsed.parameters.get("Limit")
        if limit is not None and (not isinstance(limit, int) or not 0 < limit <= _MOST_NAMES):
            raise validation(f"Limit must be greater than 0 and no greater than {_MOST_NAMES}")
        return self._client.call("ListTables", parsed.parameters)

    def _update(self, parsed: Parsed) -> Answer:
        info = self._catalogue.existing(schema.check_table_name(parsed.parameters.get("TableName")))
        request = schema.check_update(parsed.parameters, info)
        described = self._client.result("UpdateTable", request)["TableDescription"]
        self._catalogue.update(described)
        return json_answer({"TableDescription": _as_alternator(described)})

    def _describe_backups(self, parsed: Parsed) -> Answer:
        name = schema.check_table_name(parsed.parameters.get("TableName"))
        if self._catalogue.info(name) is None:
            raise DialectError("TableNotFoundException", f"Table {name} not found")
        status = {"PointInTimeRecoveryStatus": "DISABLED"}
        description = {"ContinuousBackupsStatus": "DISABLED", "PointInTimeRecoveryDescription": status}
        return json_answer({"ContinuousBackupsDescription": description})


def _as_alternator(described: dict[str, Any]) -> dict[str, Any]:
    """The engine's description of a table in Alternator's form: some members are replaced, others are omitted."""
    result = {key: described[key] for key in _KEPT if key in described}
    arn = arn_of(described["TableName"])
    result |= {"TableArn": arn, "TableId": described.get("TableId", "00000000-0000-0000-0000-000000000000")}
    result.setdefault("TableStatus", "ACTIVE")
    result["TableSizeBytes"] = int(described.get("TableSizeBytes") or 0)
    billing = result.get("BillingModeSummary")
    if billing is not None and billing.get("BillingMode") == "PAY_PER_REQUEST":
        since = {"LastUpdateToPayPerRequestDateTime": result.get("CreationDateTime")}
        result["BillingModeSummary"] = {**billing, **since}
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
