"""The tables of tests: they are made for models, and dropped or emptied after a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .remote import OPTION, RemoteCluster

if TYPE_CHECKING:
    from pynamodb.models import Model

    from .clusters import ActiveCluster

__all__ = ["AlternatorModels", "SharedModels"]

_BATCH = 25
"""The number of items that every server accepts in one BatchWriteItem."""


class AlternatorModels:
    """Makes tables for models. See the fixture `alternator_models`."""

    def __init__(self, active: ActiveCluster) -> None:
        self._active = active
        self._made: dict[str, type[Model]] = {}

    def __call__(self, *models: type[Model]) -> tuple[type[Model], ...]:
        """Create the tables of these models, if they do not exist. Returns the models.

        On the cluster of ``--alternator-url``, an existing table is an error, because its items may be needed.
        """
        _check_models(models)
        for model in models:
            self._create(model)
        return models

    def _create(self, model: type[Model]) -> None:
        from ...orm.model_tables import create_table

        name, cluster = model.Meta.table_name, self._active.cluster
        if create_table(model):
            self._made[name] = model
            if isinstance(cluster, RemoteCluster):
                cluster.made_tables.add(name)
        elif isinstance(cluster, RemoteCluster) and name not in cluster.made_tables:
            raise pytest.UsageError(
                f"The table {name!r} exists on the cluster of {OPTION}, and was not made by these tests, which would "
                "change its items. Delete it, or name a cluster for tests."
            )

    def drop(self) -> None:
        """Drop the tables that were created here, even if the test has killed every node."""
        if self._made:
            self._active.restore_nodes()
            with self._active.fresh_client() as client:
                for table in self._made:
                    _unless_missing(client, lambda table=table: client.delete_table(TableName=table))
            if isinstance(self._active.cluster, RemoteCluster):
                self._active.cluster.made_tables.difference_update(self._made)
            self._made.clear()


class SharedModels(AlternatorModels):
    """Tables that several tests use, one after the other. See the fixture `alternator_models_session`."""

    def empty(self) -> None:
        """Delete all items. If a test has dropped a table, it is made again."""
        if not self._made:
            return
        with self._active.fresh_client() as client:
            missing = [model for model in self._made.values() if not _empty(client, model)]
        for model in missing:
            self._create(model)


def _check_models(models: tuple[Any, ...]) -> None:
    from pynamodb.models import Model

    from ...orm.model_tables import is_on_cluster

    if not models:
        raise pytest.UsageError("alternator_models() was called without a model. Write alternator_models(User).")
    for model in models:
        if not (isinstance(model, type) and issubclass(model, Model)):
            raise pytest.UsageError(
                f"alternator_models takes PynamoDB models, as in alternator_models(User) (got {model!r})."
            )
        if not is_on_cluster(model):
            raise pytest.UsageError(
                f"alternator_models: {model.__qualname__} is not on a cluster. Derive it from "
                "pynamodb_alternator.Model, or call pynamodb_alternator.install(default=AlternatorConnection)."
            )


def _unless_missing(client: Any, call: Any) -> bool:
    """Make the call. False if there is no such table."""
    try:
        call()
    except client.exceptions.ResourceNotFoundException:
        return False
    return True


def _empty(client: Any, model: type[Model]) -> bool:
    """Delete all items of the model's table. False if there is no such table."""
    table = model.Meta.table_name
    return _unless_missing(client, lambda: _delete_all(client, table, _key_names(model)))


def _key_names(model: type[Model]) -> list[str]:
    attributes = model.get_attributes().values()
    return [attribute.attr_name for attribute in attributes if attribute.is_hash_key or attribute.is_range_key]


def _delete_all(client: Any, table: str, key: list[str]) -> None:
    names = {f"#{number}": name for number, name in enumerate(key)}
    asked: dict[str, Any] = {
        "TableName": table,
        "ProjectionExpression": ", ".join(names),
        "ExpressionAttributeNames": names,
        "ConsistentRead": True,
    }
    while True:
        page = client.scan(**asked)
        items = page["Items"]
        for start in range(0, len(items), _BATCH):
            _delete(client, table, items[start : start + _BATCH])
        if "LastEvaluatedKey" not in page:
            return
        asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _delete(client: Any, table: str, keys: list[Any]) -> None:
    left = {table: [{"DeleteRequest": {"Key": key}} for key in keys]}
    while left:
        left = client.batch_write_item(RequestItems=left).get("UnprocessedItems")
