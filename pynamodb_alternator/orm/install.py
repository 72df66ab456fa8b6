"""The patch for plain PynamoDB models and connections: models use `Meta.connection_class`, and load and save items as
fast as ours; connections without models may go to a cluster."""

from __future__ import annotations

from collections.abc import Iterator

from pynamodb import models as _models
from pynamodb.connection.base import Connection
from pynamodb.connection.table import TableConnection

from ..errors import ConfigurationError
from ._pynamodb import (
    AnyModel,
    inherited_connection,
    keep_connection,
    kept_connection,
    replace_connecting,
    replace_connections,
    stock_connection_of,
)
from .model import Model
from .model_connection import ModelConnection, model_connection
from .plain_models import replace_methods, restore_methods

__all__ = ["install", "models_under", "uninstall"]

_default_class: type[Connection] | None = None


def install(default: type[Connection] | None = None) -> None:
    """Have plain PynamoDB models use `Meta.connection_class`, without a change of their base class.

    They also load and save items by generated functions, as models of our own `Model` do.

    `default`: the class of connections for models that name none, and for code that uses connections without models:
    PynamoDB's `Connection(...)` then makes a connection of this class, with the same arguments, and
    `TableConnection(...)` uses such a connection, also in modules that imported these names before. Existing
    connections do not change. With None, PynamoDB's own connections are used in both cases. May be called again with
    another default. `uninstall` undoes it. Raises `ConfigurationError`, and then changes nothing.
    """
    global _default_class
    if default is not None and not (isinstance(default, type) and issubclass(default, Connection)):
        raise ConfigurationError(
            f"install(): default must be None or a subclass of pynamodb.connection.Connection (got {default!r})."
        )
    _default_class = default
    replace_connecting(_patch)
    replace_connections(default)
    replace_methods()


def uninstall() -> None:
    """Undo `install`: plain PynamoDB models, and new connections, are PynamoDB's own again."""
    global _default_class
    replace_connecting(None)
    replace_connections(None)
    restore_methods()
    _default_class = None
    for model in models_under(_models.Model):
        # PynamoDB would keep a connection of the patch as long as the table name stays the same.
        if not issubclass(model, Model) and type(kept_connection(model)) is ModelConnection:
            keep_connection(model, None)


def _patched(model: AnyModel) -> TableConnection:
    meta = getattr(model, "Meta", None)
    connection_class = getattr(meta, "connection_class", None) or _default_class
    if connection_class is None:
        if type(inherited_connection(model)) is ModelConnection:
            # A connection of a former `Meta`, or of a base that names a class. PynamoDB would still use it.
            keep_connection(model, None)
        return stock_connection_of(model)
    return model_connection(model, connection_class)


_patch = classmethod(_patched)


def models_under(model: AnyModel) -> Iterator[AnyModel]:
    """All subclasses of `model`, at any depth."""
    for derived in model.__subclasses__():
        yield derived
        yield from models_under(derived)
