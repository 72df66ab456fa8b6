"""The models that are measured, for PynamoDB's base class and for ours.

A cold start imports this module, so it imports only modules that PynamoDB imports anyway.
"""

from __future__ import annotations

from typing import Any

from pynamodb.attributes import (
    BooleanAttribute,
    MapAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
    UTCDateTimeAttribute,
)

__all__ = ["ACCESS", "REGION", "SECRET", "make_model", "make_rich_model", "stock_meta"]

ACCESS, SECRET, REGION = "benchmark", "secret", "us-east-1"


def make_model(base: Any, table: str, **meta: Any) -> Any:
    """The model of `benchmarks.node.item`."""

    class Item(base):  # type: ignore[misc]
        Meta = type("Meta", (), {"table_name": table, "region": REGION, **meta})

        key = UnicodeAttribute(hash_key=True)
        number = NumberAttribute()
        name = UnicodeAttribute()
        text = UnicodeAttribute()
        flag = BooleanAttribute()
        score = NumberAttribute()

    return Item


class _Place(MapAttribute[str, Any]):
    street = UnicodeAttribute()
    city = UnicodeAttribute()
    number = NumberAttribute()


def make_rich_model(base: Any, table: str, **meta: Any) -> Any:
    """The model of `benchmarks.node.rich_item`."""

    class Item(make_model(base, table, **meta)):  # type: ignore[misc]
        created = UTCDateTimeAttribute()
        tags = UnicodeSetAttribute()
        place = _Place()

    return Item


def stock_meta(port: int) -> dict[str, Any]:
    """The `Meta` of PynamoDB's own models."""
    return {"host": f"http://127.0.0.1:{port}", "aws_access_key_id": ACCESS, "aws_secret_access_key": SECRET}
