"""The patch that lets plain PynamoDB models honour `Meta.connection_class`, and load and save as ours do; and that lets
PynamoDB's own connections go to a cluster."""

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
from .plain_models import quicken, slow_down

__all__ = ["install", "models_under", "uninstall"]

_default_class: type[Connection] | None = None


def install(default: type[Connection] | None = None) -> None:
    """Let plain PynamoDB models honour `Meta.connection_class`, without a change to their base class.

    They also load and save items by functions that are generated for them, as those of `Model` do.

    `default`: the class for models that name none, and for code that uses connections without models: PynamoDB's
    `Connection(...)` makes one of this class then, with the same arguments, and `TableConnection(...)` uses one, in
    whatever module these names were imported before. Connections that were made earlier stay what they are. With None,
    PynamoDB's own connections are used in both cases. May be called again, with another default. `uninstall` takes it
    back. Raises `ConfigurationError`, and then changes nothing.
    """
    global _default_class
    if default is not None and not (isinstance(default, type) and issubclass(default, Connection)):
        raise ConfigurationError(
            f"install(): default must be None or a subclass of pynamodb.connection.Connection (got {default!r})."
        )
    _default_class = default
    replace_connecting(_patch)
    replace_connections(default)
    quicken()


def uninstall() -> None:
    """Take `install` back: plain PynamoDB models connect as PynamoDB has it again, and so do new connections."""
    global _default_class
    replace_connecting(None)
    replace_connections(None)
    slow_down()
    _default_class = None
    for model in models_under(_models.Model):
        # A connection that the patch made would be kept by PynamoDB for as long as the table name stays.
        if not issubclass(model, Model) and type(kept_connection(model)) is ModelConnection:
            keep_connection(model, None)


def _patched(model: AnyModel) -> TableConnection:
    meta = getattr(model, "Meta", None)
    connection_class = getattr(meta, "connection_class", None) or _default_class
    if connection_class is None:
        if type(inherited_connection(model)) is ModelConnection:
            # Of another time or a base, which named a class. PynamoDB would go on with it.
            keep_connection(model, None)
        return stock_connection_of(model)
    return model_connection(model, connection_class)


_patch = classmethod(_patched)


def models_under(model: AnyModel) -> Iterator[AnyModel]:
    """All classes that derive from `model`, at any depth."""
    for derived in model.__subclasses__():
        yield derived
        yield from models_under(derived)
