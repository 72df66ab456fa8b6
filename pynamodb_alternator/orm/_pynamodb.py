"""What we need of PynamoDB beyond its public methods, in one place: PynamoDB 6.0 and 6.1 have it.

A new version of PynamoDB is checked here first, and then in the subclasses in this folder: those of `Model` and
`Connection` override protected methods of PynamoDB's, or read protected attributes through `self`. No other module
touches a private name of PynamoDB's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pynamodb import models
from pynamodb.connection.table import TableConnection

__all__ = [
    "INSTANCE_METHODS",
    "AnyModel",
    "connection_of",
    "description_of",
    "has_discriminator",
    "keep_connection",
    "kept_connection",
    "keys_of",
    "python_names_of",
    "replace_connecting",
    "schema_of",
    "stock_connection_of",
]

AnyModel = type[models.Model]

INSTANCE_METHODS = {
    name: getattr(models.Model, name)
    for name in ("__new__", "__init__", "__setattr__", "_set_defaults", "_set_discriminator", "_set_attributes")
}
"""What PynamoDB runs to make an instance of a model."""

_stock: Any = models.Model.__dict__["_get_connection"]
"""PynamoDB's own class method, whatever has been put in its place since."""


def connection_of(model: AnyModel) -> TableConnection:
    """The connection that a model's requests use; it is made at the first call, and connects nothing yet.

    Raises `ConfigurationError` for a wrong `Meta.connection_class`, and AttributeError for a model without a table.
    """
    return model._get_connection()


def stock_connection_of(model: AnyModel) -> TableConnection:
    """The connection that PynamoDB itself gives the model. Raises AttributeError for a model without a table."""
    connection: TableConnection = _stock.__func__(model)
    return connection


def replace_connecting(method: Any) -> None:
    """Let plain models find their connection by this class method; with None, by PynamoDB's own."""
    models.Model._get_connection = _stock if method is None else method  # type: ignore[method-assign]


def kept_connection(model: AnyModel) -> object:
    """The connection that was kept for this very class, and not for a base of it; or None."""
    return model.__dict__.get("_connection")


def keep_connection(model: AnyModel, connection: TableConnection | None) -> None:
    """Keep the connection where PynamoDB looks for it."""
    model._connection = connection


def schema_of(model: AnyModel) -> Any:
    """Keys, attribute definitions and indexes of the model, in the form that PynamoDB has for them."""
    return model._get_schema()


def description_of(model: AnyModel) -> Mapping[str, Any]:
    """The model's keys and indexes in the form of a table's description (DescribeTable's answer, under ``Table``)."""
    description: Mapping[str, Any] = connection_of(model).get_meta_table().data
    return description


def keys_of(item: models.Model) -> dict[str, Any]:
    """The serialized key attributes of an instance, by their names in the table."""
    keys: dict[str, Any] = item._get_keys()
    return keys


def has_discriminator(model: AnyModel) -> bool:
    """Whether an item of the model's table may be an instance of another class."""
    return bool(model._discriminator)  # type: ignore[attr-defined]


def python_names_of(model: AnyModel) -> dict[str, str]:
    """The Python name of each attribute by its name in the table."""
    names: dict[str, str] = model._dynamo_to_python_attrs  # type: ignore[attr-defined]
    return names
