"""Reads the keys from a table's description (DescribeTable's answer, under ``Table``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["attribute_types_of", "hash_key_of", "index_keys_of", "key_types_of"]


def hash_key_of(description: Mapping[str, Any]) -> str:
    """The name of the partition key's attribute. Raises LookupError for a description that has none."""
    for key in description["KeySchema"]:
        if key["KeyType"] == "HASH":
            return str(key["AttributeName"])
    raise LookupError("The description of the table names no HASH key")


def index_keys_of(description: Mapping[str, Any]) -> dict[str, str]:
    """For each index of the table, by its name: the name of its partition key."""
    indexes = [
        index for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes") for index in description.get(kind) or ()
    ]
    return {str(index["IndexName"]): hash_key_of(index) for index in indexes}


def attribute_types_of(description: Mapping[str, Any]) -> dict[str, str]:
    """The types (``S``, ``N`` or ``B``) of the attributes in the keys of the table and its indexes."""
    return {attribute["AttributeName"]: attribute["AttributeType"] for attribute in description["AttributeDefinitions"]}


def key_types_of(description: Mapping[str, Any]) -> dict[str, str]:
    """The types of the attributes in the table's key, partition key first."""
    types = attribute_types_of(description)
    keys = sorted(description["KeySchema"], key=lambda key: key["KeyType"] != "HASH")
    return {key["AttributeName"]: types[key["AttributeName"]] for key in keys}
