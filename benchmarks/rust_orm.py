"""pydynox: an ORM for DynamoDB with a core in Rust. It is measured if it is installed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .node import TABLE

__all__ = ["INSTALLED", "async_get", "calls"]

try:
    INSTALLED: str | None = version("pydynox")
    """Its version, or None if it is not installed."""
except PackageNotFoundError:
    INSTALLED = None


def _model(port: int, access: str, secret: str, region: str) -> Any:
    from pydynox import DynamoDBClient, Model, ModelConfig
    from pydynox.attributes import BooleanAttribute, NumberAttribute, StringAttribute

    # It logs each request that takes over 100 ms, as those of many tasks do.
    logging.getLogger("pydynox").setLevel(logging.ERROR)
    client = DynamoDBClient(
        region=region, access_key=access, secret_key=secret, endpoint_url=f"http://127.0.0.1:{port}"
    )

    class Item(Model):  # type: ignore[misc]
        model_config = ModelConfig(table=TABLE, client=client)

        key = StringAttribute(partition_key=True)
        number = NumberAttribute()
        name = StringAttribute()
        text = StringAttribute()
        flag = BooleanAttribute()
        score = NumberAttribute()

    return Item


def calls(port: int, access: str, secret: str, region: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A get and a save by its model, signed."""
    model = _model(port, access, secret, region)
    values = {"number": 3, "name": "user-3", "text": "x" * 100, "flag": True, "score": 3.5}
    return lambda: model.sync_get(key="alice"), lambda: model(key="alice", **values).sync_save()


def async_get(port: int, access: str, secret: str, region: str) -> Callable[[], Any]:
    """What makes the awaitable of a get by its model, signed."""
    model = _model(port, access, secret, region)
    return lambda: model.get(key="alice")
