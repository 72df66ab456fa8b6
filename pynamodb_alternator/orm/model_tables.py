"""Finds the models of an application and their clusters, and creates their tables."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from pynamodb import models as _models
from pynamodb.exceptions import PynamoDBException

from ..errors import AlternatorError, ConfigurationError
from ._pynamodb import AnyModel, connection_of
from .connection import AlternatorConnection
from .install import models_under
from .model import Model

if TYPE_CHECKING:
    from ..cluster import Cluster

__all__ = ["ERRORS", "clusters_of", "create_table", "is_on_cluster", "models_of", "models_on"]

ERRORS = (AlternatorError, PynamoDBException, BotoCoreError, ClientError)
"""The errors that `create_table` raises."""
_SCHEMA_CHANGE = 30.0
"""Seconds that a node may take to create a table, at least."""


def models_of(modules: Iterable[str] | None = None) -> list[AnyModel]:
    """The models that have been defined, sorted by module and name; only those under `modules`, if these are given.

    These are all models with a table name. If a module was reloaded, the old copies of its models are left out.
    """
    packages = None if modules is None else tuple(modules)
    models: dict[tuple[str, str], AnyModel] = {}
    for model in models_under(_models.Model):
        if model is Model or not getattr(getattr(model, "Meta", None), "table_name", None):
            continue
        module = model.__module__
        if packages is None or any(f"{module}.".startswith(f"{package}.") for package in packages):
            models[module, model.__qualname__] = model
    return [models[key] for key in sorted(models)]


def is_on_cluster(model: AnyModel) -> bool:
    """Whether the model's requests go to a cluster. Those of a plain PynamoDB model do so only after `install`."""
    return isinstance(connection_of(model).connection, AlternatorConnection)


def models_on(cluster: Cluster, models: Iterable[AnyModel]) -> list[AnyModel]:
    """The models whose requests go to this cluster now."""
    return [model for model in models if _cluster_of(model) is cluster]


def clusters_of(models: Iterable[AnyModel]) -> list[Cluster]:
    """The clusters to which the requests of these models go, here and now."""
    clusters = {id(cluster): cluster for cluster in map(_cluster_of, models) if cluster is not None}
    return list(clusters.values())


def _cluster_of(model: AnyModel) -> Cluster | None:
    try:
        connection = connection_of(model).connection
        return connection.cluster if isinstance(connection, AlternatorConnection) else None
    except ConfigurationError:
        return None  # the alias is not configured here


def create_table(model: AnyModel) -> bool:
    """Create the model's table, and wait for it. False if it exists. Raises one of `ERRORS`."""
    if model.exists():
        return False
    meta: Any = getattr(model, "Meta", None)
    has_mode = any(hasattr(meta, name) for name in ("billing_mode", "read_capacity_units", "write_capacity_units"))
    mode: dict[str, Any] = {} if has_mode else {"billing_mode": "PAY_PER_REQUEST"}
    with _patience(_cluster_of(model)):
        model.create_table(wait=True, **mode)
    return True


def _patience(cluster: Cluster | None) -> AbstractContextManager[None]:
    """Time for a change of the schema, on which all nodes have to agree: timeouts of a command, or of an application
    with fast reads, would leave open whether the table was created."""
    if cluster is None:
        return nullcontext()
    read = max(cluster.config.timeouts.read, _SCHEMA_CHANGE)
    return cluster.options(timeouts={"read": read, "total": 2 * read})
