"""The connection of one model: made from its `Meta`, kept in the class, and made anew once `Meta` says otherwise.

Each class has a connection of its own. PynamoDB keeps one for as long as the table name stays, and lets subclasses use
that of their parent; here a connection knows what it was made from, so a change of the table, the cluster, the host or
the connection class is noticed at the next request.
"""

from __future__ import annotations

from typing import Any

from pynamodb import constants
from pynamodb.connection.base import Connection, MetaTable
from pynamodb.connection.table import TableConnection

from ..errors import ConfigurationError
from ._pynamodb import AnyModel, keep_connection, kept_connection, make_connection, schema_of, stock_connection_of
from .connection import AlternatorConnection
from .meta_names import OF_CONNECTIONS, OF_OUR_CONNECTIONS, check_names

__all__ = ["ModelConnection", "model_connection"]


class ModelConnection(TableConnection):
    """PynamoDB's connection to one table, over a `connection` of the class that the model names.

    `made_from`: what a connection depends on, as `_origin` tells it.
    """

    def __init__(
        self, table_name: str, connection: Connection, meta_table: MetaTable, made_from: tuple[Any, ...]
    ) -> None:
        # Not the constructor of the base class, which would make a stock connection.
        self.table_name = table_name
        self.connection = connection
        self.connection.add_meta_table(meta_table)
        self.made_from = made_from


def model_connection(model: AnyModel, default: type[Connection]) -> TableConnection:
    """The model's own connection; a new one if its Meta says something else than when the last one was made.

    `default`: the class of the connection for a model that names none. Raises `ConfigurationError` for a wrong
    `Meta.connection_class` or a setting that `Meta` does not take, and AttributeError for a model without a table.
    """
    meta: Any = getattr(model, "Meta", None)
    if getattr(meta, "table_name", None) is None:
        return stock_connection_of(model)  # which raises: PynamoDB has the error for this
    origin = _origin(meta, default)
    kept = kept_connection(model)
    if type(kept) is ModelConnection and kept.made_from == origin:
        return kept
    # Two threads may both come here. Their connections are alike and use one client, and one of them stays. A lock
    # would be held while the constructor of a user's class runs.
    is_first = type(kept) is not ModelConnection
    made = ModelConnection(meta.table_name, _made(model, meta, default, is_first), _meta_table(model), origin)
    keep_connection(model, made)
    return made


def _origin(meta: Any, default: type[Connection]) -> tuple[Any, ...]:
    """What makes a connection another one."""
    return (
        meta.table_name,
        getattr(meta, "connection_class", None) or default,
        getattr(meta, "cluster", None),
        getattr(meta, "host", None),
    )


def _made(model: AnyModel, meta: Any, default: type[Connection], is_first: bool) -> Connection:
    connection_class = getattr(meta, "connection_class", None) or default
    who = f"{model.__module__}.{model.__qualname__}"
    if not (isinstance(connection_class, type) and issubclass(connection_class, Connection)):
        raise ConfigurationError(
            f"{who}: Meta.connection_class must be a subclass of "
            f"pynamodb.connection.Connection, such as AlternatorConnection (got {connection_class!r})."
        )
    names: tuple[str, ...] = OF_CONNECTIONS
    if issubclass(connection_class, AlternatorConnection):
        check_names(who, meta, is_first=is_first)
        names += OF_OUR_CONNECTIONS
    return make_connection(connection_class, **{name: getattr(meta, name, None) for name in names})


def _meta_table(model: AnyModel) -> MetaTable:
    """The schema as PynamoDB gives it to a connection."""
    schema = schema_of(model)

    def indexes(kind: str) -> list[dict[str, Any]]:
        return [
            {constants.INDEX_NAME: index["index_name"], constants.KEY_SCHEMA: index["key_schema"]}
            for index in schema[kind]
        ]

    return MetaTable(
        {
            constants.TABLE_NAME: model.Meta.table_name,
            constants.KEY_SCHEMA: schema["key_schema"],
            constants.ATTR_DEFINITIONS: schema["attribute_definitions"],
            constants.GLOBAL_SECONDARY_INDEXES: indexes("global_secondary_indexes"),
            constants.LOCAL_SECONDARY_INDEXES: indexes("local_secondary_indexes"),
        }
    )
