"""What a description of a table says of its keys."""

from __future__ import annotations

from typing import Any

import pytest

from pynamodb_alternator.core.table_description import hash_key_of, key_types_of

DESCRIPTION: dict[str, Any] = {
    "AttributeDefinitions": [
        {"AttributeName": "of_an_index", "AttributeType": "B"},
        {"AttributeName": "at", "AttributeType": "N"},
        {"AttributeName": "id", "AttributeType": "S"},
    ],
    "KeySchema": [{"AttributeName": "at", "KeyType": "RANGE"}, {"AttributeName": "id", "KeyType": "HASH"}],
}


def test_the_partition_key_in_whatever_order() -> None:
    assert hash_key_of(DESCRIPTION) == "id"
    assert list(key_types_of(DESCRIPTION).items()) == [("id", "S"), ("at", "N")]


@pytest.mark.parametrize("description", [{}, {"KeySchema": []}, {"KeySchema": [DESCRIPTION["KeySchema"][0]]}])
def test_a_description_without_one(description: dict[str, Any]) -> None:
    with pytest.raises(LookupError):
        hash_key_of(description)
