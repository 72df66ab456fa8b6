"""The connection of one model: it is made from the model's `Meta`, stored in the class, and made again if `Meta` has
changed.

Each class has a connection of its own. PynamoDB keeps a connection as long as the table name stays the same, and
subclasses use the connection of their parent. Here a connection stores the settings from which it was made. So a change
of any of these settings in `Meta` is noticed at the next request: the table, the cluster, headers, timeouts,
credentials, and so on.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from pynamodb import constants
from pynamodb.connection.base import Connection, MetaTable
from pynamodb.connection.table import TableConnection

from ..errors import ConfigurationError
from ._pynamodb import AnyModel, keep_connection, kept_connection, make_connection, schema_of, stock_connection_of
from .connection import AlternatorConnection
from .meta_names import OF_CONNECTIONS, OF_OUR_CONNECTIONS, check_names
from .vector_index import definitions_of

__all__ = ["READ", "ModelConnection", "model_connection"]

READ = ("table_name", "connection_class", *OF_CONNECTIONS, *OF_OUR_CONNECTIONS)
"""The names in `Meta` on which a connection depends."""


class ModelConnection(TableConnection):
    """PynamoDB's connection to one table, which uses a `connection` of the class that the model names.

    `made_from`: the settings on which the connection depends, from `_origin`. `seen`: the model's `Meta` at that time.
    """

    def __init__(
        self,
        table_name: str,
        connection: Connection,
        meta_table: MetaTable,
        made_from: tuple[Any, ...],
        seen: _MetaSeen,
    ) -> None:
        # The constructor of the base class is not called: it would make a connection of PynamoDB.
        self.table_name = table_name
        self.connection = connection
        self.connection.add_meta_table(meta_table)
        self.made_from = made_from
        self.seen = seen


class _MetaSeen:
    """A copy of a `Meta`, to check whether it has changed. Each request checks this, because it is faster than to
    compare each setting."""

    __slots__ = ("_default", "_meta", "_namespaces")

    def __init__(self, meta: Any, default: type[Connection]) -> None:
        self._meta = meta
        self._default = default
        self._namespaces = [(vars(base), _copy(vars(base))) for base in _bases(meta)]

    def holds(self, meta: Any, default: type[Connection]) -> bool:
        """Whether nothing has changed. Always False for a `Meta` that computes its values."""
        if meta is not self._meta or default is not self._default or not self._namespaces:
            return False
        try:
            for namespace, before in self._namespaces:
                if namespace != before:
                    return False
        except Exception:  # values of applications may have their own equality, or change meanwhile
            return False
        return True


def _bases(meta: Any) -> tuple[type, ...]:
    """The classes whose namespaces have all values of `meta`; empty if it computes its values."""
    if type(meta) is not type:
        return ()
    bases = meta.__mro__[:-1]
    values = [vars(base)[name] for base in bases for name in READ if name in vars(base)]
    return () if any(hasattr(type(value), "__get__") for value in values) else bases


def _copy(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a namespace, made so that a change inside of a setting is noticed too."""
    copy = dict(namespace)
    for name in copy.keys() & READ:
        copy[name] = _as_it_is_now(copy[name])
    return copy


def _as_it_is_now(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def model_connection(model: AnyModel, default: type[Connection]) -> TableConnection:
    """The model's own connection; a new one if its `Meta` has changed since the last one was made.

    `default`: the class of the connection for a model that names none. Raises `ConfigurationError` for a wrong
    `Meta.connection_class` or a setting that `Meta` does not take, and AttributeError for a model without a table.
    """
    meta: Any = getattr(model, "Meta", None)
    kept = kept_connection(model)
    if type(kept) is not ModelConnection:
        kept = None
    elif kept.seen.holds(meta, default):
        return kept
    if getattr(meta, "table_name", None) is None:
        return stock_connection_of(model)  # this raises PynamoDB's own error
    seen = _MetaSeen(meta, default)  # before the origin, so that the next request notices a change in between
    origin = _origin(meta, default)
    if kept is not None and kept.made_from == origin:
        kept.seen = seen
        return kept
    # Two threads may both do this. Their connections are equal and use the same client, and one of them is kept. There
    # is no lock, because it would be held while the constructor of a user's class runs.
    connection = _made(model, meta, default, is_first=kept is None)
    made = ModelConnection(meta.table_name, connection, _meta_table(model), origin, seen)
    if isinstance(connection, AlternatorConnection):
        connection.add_vector_indexes(meta.table_name, partial(definitions_of, model))
    keep_connection(model, made)
    return made


def _origin(meta: Any, default: type[Connection]) -> tuple[Any, ...]:
    """The settings on which a connection depends."""
    chosen = getattr(meta, "connection_class", None) or default
    return chosen, *(_as_it_is_now(getattr(meta, name, None)) for name in READ)


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
    """The schema in the form in which PynamoDB passes it to a connection."""
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
