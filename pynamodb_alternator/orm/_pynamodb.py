"""Everything of PynamoDB that this package uses beyond its public methods. PynamoDB 6.0 and 6.1 have it.

For a new version of PynamoDB, check this module first, and then the subclasses of `Model` and `Connection` in this
folder: they override protected methods of PynamoDB, or read protected attributes through `self`. No other module uses a
private name of PynamoDB.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pynamodb
from pynamodb import attributes, models
from pynamodb.attributes import Attribute, AttributeContainer, MapAttribute
from pynamodb.connection.base import Connection
from pynamodb.connection.table import TableConnection
from pynamodb.indexes import GlobalSecondaryIndex, Index, LocalSecondaryIndex
from pynamodb.pagination import PageIterator, ResultIterator

__all__ = [
    "ATTRIBUTE_HOOKS",
    "BEHIND_MODELS",
    "CONTAINER_HOOKS",
    "DISCRIMINATOR_HOOKS",
    "INIT_HOOKS",
    "IS_KNOWN",
    "JSON_NAMES",
    "MAP_HOOKS",
    "MODEL_HOOKS",
    "MODULE_NAMES",
    "MUST_BE_ABSENT",
    "RESERVED_IN_MAPS",
    "SERIALIZER_HOOKS",
    "VALUE_HOOKS",
    "AnyModel",
    "attributes_of",
    "batch_get_page",
    "connection_of",
    "container_serializer_of",
    "description_of",
    "discriminator_of",
    "give_time",
    "index_schemas_of",
    "inherited_connection",
    "instantiate_in_pynamodbs_way",
    "instantiate_of",
    "keep_connection",
    "kept_connection",
    "keys_of",
    "limit_of",
    "make_connection",
    "make_instance",
    "model_of",
    "parse_utc",
    "put_back",
    "python_names_of",
    "python_names_of_indexes",
    "replace_connecting",
    "replace_connections",
    "schema_of",
    "serialize_in_pynamodbs_way",
    "stock_batch_get",
    "stock_connection_of",
    "stock_from_raw_data",
    "stored_class_of",
]

AnyModel = type[models.Model]

IS_KNOWN = pynamodb.__version__.startswith(("6.0.", "6.1."))
"""Whether we know the methods of this version that are named below. With any other version, short cuts are not used."""

_BOTH = ("__new__", "__setattr__", "__getattribute__", "_set_defaults", "_set_discriminator", "_set_attributes")
_BOTH_FOR_CLASSES = ("get_attributes", "_get_discriminator_attribute")
MODEL_HOOKS = ("__init__", *_BOTH, *_BOTH_FOR_CLASSES)
"""The methods of a model that PynamoDB calls to make an instance of an item, and an item of an instance."""
MAP_HOOKS = (
    "__init__",
    *_BOTH,
    *_BOTH_FOR_CLASSES,
    "__getattr__",
    "__iter__",
    "__getitem__",
    "_is_attribute_container",
    "_serialize_undeclared_attributes",
    "is_correctly_typed",
    "validate",
    "_get_discriminator_class",
    "_instantiate",
    "is_raw",
)
"""The methods of a map that PynamoDB calls for the same."""
CONTAINER_HOOKS = ("__init__", "_container_deserialize", "_container_serialize", "_instantiate")
"""The methods of `AttributeContainer` itself that it calls, even if a model overrides them."""
ATTRIBUTE_HOOKS = ("__get__", "__set__", "attr_name", "_is_map_attribute_class_object")
"""The methods of each attribute that it calls, except those that convert values."""
VALUE_HOOKS = (
    *ATTRIBUTE_HOOKS,
    "get_value",
    "deserialize",
    "serialize",
    "attr_type",
    "null",
    "_fast_parse_utc_date_string",
    "_get_serialize_class",
)
"""All methods of an attribute that it calls."""
MODULE_NAMES = ("json", "datetime", "timezone", "DATETIME_FORMAT", "_get_class_for_serialize")
"""The names of their module that its attributes use."""
JSON_NAMES = ("loads", "dumps", "JSONDecoder")
"""The names of `json` that they use."""
DISCRIMINATOR_HOOKS = ("_get_discriminator_class",)
"""The method that finds the class of an item."""
BEHIND_MODELS = frozenset({"_instantiate", "_container_serialize"})
"""The methods that a mixin after `Model` may override too, because `Model` itself does not have them."""
MUST_BE_ABSENT = ("__bool__", "__len__", "attribute_values")
"""Names that no container of PynamoDB has. Its descriptors set nothing on an instance that is false."""
SERIALIZER_HOOKS = frozenset({"serialize", "_container_serialize", "get_attributes"})
"""Methods that a saved instance may have as its own attributes."""
INIT_HOOKS = frozenset({"__new__", "__init__", "__setattr__", "_set_defaults", "_set_discriminator", "_set_attributes"})
"""Methods that PynamoDB also calls by `super`, for example in a mixin after `Model`."""
RESERVED_IN_MAPS = frozenset({"self", "_user_instantiated", *MapAttribute.attribute_args})
"""Keys of a map that have another meaning as arguments of a map's constructor."""
parse_utc = attributes.UTCDateTimeAttribute._fast_parse_utc_date_string
"""PynamoDB's own function that makes the time from the text of a `UTCDateTimeAttribute`."""

stock_batch_get = models.Model.__dict__["batch_get"].__func__
stock_from_raw_data = models.Model.__dict__["from_raw_data"].__func__
_stock_serialize = models.Model.serialize
_stock: Any = models.Model.__dict__["_get_connection"]
"""PynamoDB's own class method, even if it has been replaced since."""


def connection_of(model: AnyModel) -> TableConnection:
    """The connection that a model's requests use. It is made at the first call, and does not connect to a node.

    Raises `ConfigurationError` for a wrong `Meta.connection_class`, and AttributeError for a model without a table.
    """
    return model._get_connection()


def stock_connection_of(model: AnyModel) -> TableConnection:
    """The connection that PynamoDB itself gives the model. Raises AttributeError for a model without a table."""
    connection: TableConnection = _stock.__func__(model)
    return connection


def replace_connecting(method: Any) -> None:
    """Have plain models find their connection by this class method; with None, by PynamoDB's own."""
    models.Model._get_connection = _stock if method is None else method  # type: ignore[method-assign]


_instead: type[Connection] = Connection
"""The class of which `Connection(...)` makes an instance."""


def _new_connection(cls: type[Connection], *_: Any, **__: Any) -> Connection:
    return object.__new__(_instead if cls is Connection else cls)


def replace_connections(instead: type[Connection] | None) -> None:
    """Have `Connection(...)` make a connection of this class, with the same arguments, also in modules that imported
    the name before. `TableConnection(...)` uses this class too. With None, both use PynamoDB's own class again."""
    global _instead
    _instead = instead or Connection
    # It is never removed: after a class had its own `__new__`, that of `object` does not accept the arguments any more.
    Connection.__new__ = _new_connection  # type: ignore[method-assign, assignment]


def make_connection(kind: type[Connection], **settings: Any) -> Connection:
    """A connection of exactly this class, even if `replace_connections` has set another one."""
    if kind is not Connection:
        return kind(**settings)
    made = object.__new__(Connection)
    Connection.__init__(made, **settings)
    return made


def instantiate_in_pynamodbs_way(model: AnyModel, item: dict[str, Any]) -> Any:
    """Call the method that follows in the order of classes after `Model`: PynamoDB's own, or that of a mixin."""
    return super(models.Model, model)._instantiate(item)


def serialize_in_pynamodbs_way(instance: models.Model, null_check: bool) -> dict[str, dict[str, Any]]:
    """Like `instantiate_in_pynamodbs_way`, to make an item of an instance."""
    return super(models.Model, instance)._container_serialize(null_check)


def kept_connection(model: AnyModel) -> object:
    """The connection that is stored in exactly this class, and not in a base of it; or None."""
    return model.__dict__.get("_connection")


def inherited_connection(model: AnyModel) -> object:
    """The connection that is stored in this class or a base of it, as PynamoDB finds it; or None."""
    return getattr(model, "_connection", None)


def keep_connection(model: AnyModel, connection: TableConnection | None) -> None:
    """Store the connection where PynamoDB looks for it."""
    model._connection = connection


def schema_of(model: AnyModel) -> Any:
    """Keys, attribute definitions and indexes of the model, in PynamoDB's form."""
    return model._get_schema()


def description_of(model: AnyModel) -> Mapping[str, Any]:
    """The model's keys and indexes in the form of a table's description (DescribeTable's answer, under ``Table``)."""
    description: Mapping[str, Any] = connection_of(model).get_meta_table().data
    return description


def indexes_of(model: AnyModel) -> list[Any]:
    """The indexes of a model, and of its subclasses that share its table by a discriminator."""
    indexes = {name: index for each in sharing_table(model) for name, index in each._indexes.items()}
    return list(indexes.values())


def own_indexes_of(model: AnyModel) -> list[Any]:
    """The indexes of a model, without those of models that share its table."""
    return list(model._indexes.values())


def sharing_table(model: AnyModel) -> list[AnyModel]:
    """The model, and its subclasses that share its table by a discriminator."""
    discriminator = model._get_discriminator_attribute()
    return [model, *(() if discriminator is None else discriminator.get_registered_subclasses(models.Model))]


def keys_of(item: models.Model) -> dict[str, Any]:
    """The serialized key attributes of an instance, by their names in the table."""
    keys: dict[str, Any] = item._get_keys()
    return keys


def index_schemas_of(model: AnyModel) -> list[tuple[bool, Any]]:
    """The model's own secondary indexes: for each, whether it is a local one, and PynamoDB's form of it."""
    secondary = (GlobalSecondaryIndex, LocalSecondaryIndex)
    indexes = [index for index in own_indexes_of(model) if isinstance(index, secondary)]
    return [(isinstance(index, LocalSecondaryIndex), index._get_schema()) for index in indexes]


def discriminator_of(container: type[AttributeContainer]) -> str | None:
    """The name of the attribute that tells the class of an item, if there is one."""
    name: str | None = container._discriminator  # type: ignore[attr-defined]
    return name


def stored_class_of(model: AnyModel, item: dict[str, Any]) -> AnyModel:
    """The class of which an item is an instance: `model`, or a subclass of it. Raises what PynamoDB raises."""
    stored: AnyModel | None = model._get_discriminator_class(item)
    if stored and not issubclass(stored, model):
        raise ValueError(f"Cannot instantiate a {model.__name__} from the returned class: {stored.__name__}")
    return stored or model


def give_time(pages: PageIterator[Any], time_module: Any) -> None:
    """Have the rate limiter of an iterator over pages, if it has one, sleep by this `time`."""
    limiter = pages._rate_limiter
    if limiter is not None:
        limiter._time_module = time_module


def limit_of(results: ResultIterator[Any]) -> int | None:
    """The largest number of items that an iterator returns; None for no limit."""
    return results._limit


def put_back(results: ResultIterator[Any]) -> None:
    """Have an iterator return its last item once more: the item from which an instance should have been made."""
    results._index -= 1
    if results._limit is not None:
        results._limit += 1


def model_of(index: Index[Any]) -> AnyModel | None:
    """The model that has the index; None if no model has it."""
    model: AnyModel | None = getattr(index, "_model", None)
    return model


def python_names_of_indexes(model: AnyModel, kind: type) -> list[str]:
    """The names of the model's attributes that are an index of this kind."""
    return [name for name, value in vars(model).items() if isinstance(value, kind)]


def batch_get_page(model: AnyModel, *args: Any, **kwargs: Any) -> Any:
    """One page of a batch get: its items, and the keys that were not processed."""
    return model._batch_get_page(*args, **kwargs)


def instantiate_of(model: Any) -> Any:
    """The method that makes an instance of an item."""
    return getattr(model, "_instantiate", None)


def container_serializer_of(model: AnyModel) -> Any:
    """The method that makes an item of an instance, if PynamoDB's `serialize` calls it; None if it does not."""
    return model._container_serialize if model.serialize is _stock_serialize else None


def make_instance(model: AnyModel, item: dict[str, Any]) -> models.Model:
    """An instance of exactly this class, made in PynamoDB's own way."""
    instance = model(_user_instantiated=False)
    AttributeContainer._container_deserialize(instance, item)
    return instance


def attributes_of(container: type[AttributeContainer]) -> dict[str, Attribute[Any]]:
    """The attributes of the class, in the order in which PynamoDB goes through them. The dict is PynamoDB's own."""
    return container._attributes


def python_names_of(container: type[AttributeContainer]) -> dict[str, str]:
    """The Python name of each attribute by its name in the table. The dict is PynamoDB's own."""
    names: dict[str, str] = container._dynamo_to_python_attrs  # type: ignore[attr-defined]
    return names
