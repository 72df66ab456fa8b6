"""Reads facts of PynamoDB models, as values for the check of models: see `diagnostics.models`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from pynamodb import models as _models
from pynamodb.attributes import Attribute, ListAttribute, MapAttribute, TTLAttribute, VersionAttribute
from pynamodb.connection.base import Connection

from ..core.vector_dialects import IndexDefinition
from ..diagnostics.models import AttributeFacts, IndexFacts, KeyFacts, ModelFacts, Position
from ..diagnostics.models.modules import shown_path
from ..diagnostics.models.tables import keys_of
from ..errors import ConfigurationError
from ._pynamodb import AnyModel, attributes_of, connection_of, index_schemas_of, own_indexes_of
from .connection import AlternatorConnection
from .install import models_under
from .model import Model
from .vector_index import VectorIndex

__all__ = ["facts_of", "models_in"]


def models_in(modules: Iterable[ModuleType]) -> list[AnyModel]:
    """The models that these modules define or import, and those of imported modules below them.

    Each model comes once, and bases come before their subclasses. Bases without a table that were only imported are
    left out.
    """
    named = list(modules)
    prefixes = tuple(f"{module.__name__}." for module in named)
    chosen: dict[tuple[str, str, str], AnyModel] = {}
    for model in models_under(_models.Model):
        if model is not Model and f"{model.__module__}.".startswith(prefixes):
            chosen[_identity(model)] = model  # after a reload, the last of several copies
    for module in named:
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, _models.Model) and _table_name(value) is not None:
                chosen.setdefault(_identity(value), value)
    return sorted(chosen.values(), key=lambda model: (len(model.__mro__), *_identity(model)))


def _identity(model: AnyModel) -> tuple[str, str, str]:
    """What identifies a model. The table is a part of it, because a function may make several models of one name."""
    return model.__module__, model.__qualname__, _table_name(model) or ""


def facts_of(model: AnyModel) -> ModelFacts:
    """The facts of a model. A connection is made for it, which does not connect to a node."""
    meta: Any = getattr(model, "Meta", None)
    connection, refused = _connection(model)
    vectors, wrong_vectors = _vector_indexes(model)
    attributes = attributes_of(model).values()
    whole = frozenset(attribute.attr_name for attribute in attributes if _is_whole(attribute))
    isolation, host = (getattr(meta, name, None) for name in ("write_isolation", "host"))
    is_on_cluster = connection is None or isinstance(connection, AlternatorConnection)
    return ModelFacts(
        name=_name(model),
        position=_position(model),
        table_name=_table_name(model),
        keys=tuple(key for attribute in attributes if (key := _key(attribute)) is not None),
        indexes=tuple(_index(is_local, schema, whole) for is_local, schema in index_schemas_of(model)),
        vector_indexes=vectors,
        attributes=tuple(_walk(attributes, "", frozenset())),
        is_base=bool(model.__subclasses__()),
        is_on_cluster=is_on_cluster,
        refused=refused or wrong_vectors,
        host=None if host is None else str(host),
        cluster=_alias(meta, is_on_cluster),
        write_isolation=None if isolation is None else str(isolation),
        canonical_numbers=_canonical_numbers(meta, connection),
        has_capacity=_has_capacity(meta),
        stream=str(getattr(meta, "stream_view_type", None) or ""),
        tags=_tags(meta),
    )


def _name(model: AnyModel) -> str:
    return f"{model.__module__}.{model.__qualname__}"


def _table_name(model: AnyModel) -> str | None:
    name = getattr(getattr(model, "Meta", None), "table_name", None)
    return name if isinstance(name, str) and name else None


def _alias(meta: Any, is_on_cluster: bool) -> str | None:
    """The value of `ModelFacts.cluster`. The host of PynamoDB's own model is one of Amazon, and does not name a
    cluster."""
    cluster = getattr(meta, "cluster", None)
    if cluster is None:
        return "" if is_on_cluster and getattr(meta, "host", None) else None
    return cluster if isinstance(cluster, str) else ""


def _connection(model: AnyModel) -> tuple[Connection | None, str]:
    """The model's connection, if it can be made, and the error that its first request would raise."""
    if _table_name(model) is None:
        return None, ""
    connection: Connection | None = None
    try:
        connection = connection_of(model).connection
        # A model without a partition key may be the base of others.
        if isinstance(connection, AlternatorConnection) and any(
            each.is_hash_key for each in attributes_of(model).values()
        ):
            connection.check_settings()
    except ConfigurationError as wrong:
        who = f"{type(connection).__name__} of the table {_table_name(model)}"
        return connection, str(wrong).removeprefix(f"{_name(model)}: ").removeprefix(f"{who}: ")
    except Exception as wrong:  # a connection class of the user may raise anything
        return connection, f"{type(wrong).__name__}: {wrong}"
    return connection, ""


def _vector_indexes(model: AnyModel) -> tuple[tuple[IndexDefinition, ...], str]:
    """The model's own vector indexes, and the error if they cannot be made."""
    try:
        return tuple(index.definition() for index in own_indexes_of(model) if isinstance(index, VectorIndex)), ""
    except ConfigurationError as wrong:
        return (), str(wrong)


def _canonical_numbers(meta: Any, connection: Connection | None) -> Any:
    """The setting of `Meta`, or else of the model's cluster, if this is configured."""
    own = getattr(meta, "canonical_numbers", None)
    if own is not None or not isinstance(connection, AlternatorConnection):
        return own
    try:
        return getattr(connection.cluster.config, "canonical_numbers", None)
    except (ConfigurationError, ValueError):  # no cluster is configured (yet), or the model has no partition key
        return None


def _position(model: AnyModel) -> Position | None:
    try:
        file = inspect.getsourcefile(model)
        line = inspect.getsourcelines(model)[1]
    except (OSError, TypeError):  # the class was made by a program, or in a shell
        return None
    return Position(shown_path(file), line) if file else None


def _key(attribute: Attribute[Any]) -> KeyFacts | None:
    if not (attribute.is_hash_key or attribute.is_range_key):
        return None
    role = "HASH" if attribute.is_hash_key else "RANGE"
    return KeyFacts(attribute.attr_name, role, attribute.attr_type, _is_whole(attribute))  # type: ignore[arg-type]


def _is_whole(attribute: Attribute[Any]) -> bool:
    """Whether PynamoDB writes only integers for this attribute."""
    return isinstance(attribute, TTLAttribute | VersionAttribute)


def _index(is_local: bool, schema: Any, whole: frozenset[str]) -> IndexFacts:
    """`schema`: PynamoDB's form of it. `whole`: the attributes of the model that are always whole numbers."""
    types = {entry["AttributeName"]: entry["AttributeType"] for entry in schema["attribute_definitions"]}
    keys = tuple(
        KeyFacts(key.name, key.role, key.kind, key.name in whole) for key in keys_of(schema["key_schema"], types)
    )
    return IndexFacts(schema["index_name"], is_local, keys, schema["projection"]["ProjectionType"])


def _walk(attributes: Iterable[Attribute[Any]], before: str, seen: frozenset[type]) -> Iterator[AttributeFacts]:
    """The attributes, and those of the maps and lists in them. `seen`: the classes of the maps around them."""
    for attribute in attributes:
        path = f"{before}{attribute.attr_name}"
        yield AttributeFacts(path, attribute.attr_type, "" if before else _purpose(attribute))
        if isinstance(attribute, MapAttribute):
            yield from _of_map(type(attribute), f"{path}.", seen)
        elif isinstance(attribute, ListAttribute) and attribute.element_type is not None:
            element: type[Any] = attribute.element_type
            if issubclass(element, MapAttribute):
                yield from _of_map(element, f"{path}[].", seen)
            else:
                yield AttributeFacts(f"{path}[]", str(element.attr_type))


def _of_map(map_class: type[MapAttribute[Any, Any]], before: str, seen: frozenset[type]) -> Iterator[AttributeFacts]:
    if map_class not in seen:
        yield from _walk(attributes_of(map_class).values(), before, seen | {map_class})


def _purpose(attribute: Attribute[Any]) -> Any:
    return (
        "ttl" if isinstance(attribute, TTLAttribute) else "version" if isinstance(attribute, VersionAttribute) else ""
    )


def _has_capacity(meta: Any) -> bool:
    has_units = any(getattr(meta, name, None) for name in ("read_capacity_units", "write_capacity_units"))
    return has_units and getattr(meta, "billing_mode", None) != "PAY_PER_REQUEST"


def _tags(meta: Any) -> tuple[tuple[str, str], ...]:
    tags = getattr(meta, "tags", None)
    return tuple((str(key), str(value)) for key, value in tags.items()) if isinstance(tags, dict) else ()
