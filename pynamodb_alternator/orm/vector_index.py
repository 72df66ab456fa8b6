"""Vector indexes of models, beside PynamoDB's index classes: their settings, their creation, and searches in them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, cast

from pynamodb import models
from pynamodb.attributes import Attribute
from pynamodb.connection.base import BOTOCORE_EXCEPTIONS
from pynamodb.constants import ALL, INCLUDE, KEYS_ONLY
from pynamodb.exceptions import QueryError, TableError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.indexes import AllProjection, Index, Projection

from ..core.hand_over import sleep
from ..core.vector_dialects import DISTANCES, Distance, IndexDefinition, Match, Search, status_of
from ..core.vector_search import Steps, creating, deleting, run, searching
from ..core.vector_values import Vector, checked_vector
from ..errors import ConfigurationError
from ..settings import checks
from ._pynamodb import (
    AnyModel,
    attributes_of,
    connection_of,
    discriminator_of,
    indexes_of,
    schema_of,
    sharing_table,
    stored_class_of,
)
from .connection import AlternatorConnection
from .vector_attribute import VectorAttribute
from .vector_results import Scored, VectorResults

if TYPE_CHECKING:
    from .vector_index_async import AsyncVectorIndex, HasAsyncClient

__all__ = [
    "FIRST_PAUSE",
    "LONGEST_PAUSE",
    "Attributes",
    "VectorIndex",
    "definitions_of",
    "too_late",
    "wait_for_vector_indexes",
]

_M = TypeVar("_M", bound=models.Model)
_Owner = TypeVar("_Owner", bound=models.Model)
Attributes = Sequence[str | Attribute[Any] | Path] | str | Attribute[Any] | Path
"""Attributes that the found items shall have, or a single one: attributes or their names."""
SearchSchema = Mapping[str, Literal["HASH", "INLINE_FILTER"]]
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between two checks whether an index is ACTIVE."""
_IN_META = ("attribute", "index_name", "distance", "search_schema", "projection")
_NAME = re.compile(r"[a-zA-Z0-9._-]{3,192}")
_FILTERED = ("S", "N", "B")
"""Types of attributes that a search schema may have."""
_OF_OTHER_INDEXES = ("attributes", "read_capacity_units", "write_capacity_units")
"""Names that PynamoDB writes into the `Meta` of an index, and settings of its other indexes: without a meaning here."""


class VectorIndex(Index[_M]):
    """An index of a model that finds the items with the nearest vectors.

    Settings are arguments, or attributes of a class `Meta` in a subclass:

    - `attribute`: the `VectorAttribute`, or its name. By default, the model's only one.
    - `index_name`: the name of the index. By default, the name of the class attribute that holds the index.
    - `distance`: ``"cosine"`` (the default), ``"euclidean"`` or ``"dot_product"``.
    - `search_schema`: the attributes that AWS's dialect can filter by, such as ``{"language": "INLINE_FILTER"}``.
      ``"HASH"`` divides the index by an attribute: each search must then filter by a value of it. The older dialect
      has no search schema: see `search`.
    - `projection`: PynamoDB's; what AWS's dialect can read, by default all attributes. The older one reads any.

    `create_table` makes the index with the table, and `Model.create_table(wait=True)` waits for it too; `create` adds
    it to a table that exists. Wrong settings are a `ConfigurationError` when the index is first used.
    """

    Meta: Any

    def __init__(
        self: VectorIndex[Any],
        attribute: VectorAttribute | str | None = None,
        *,
        index_name: str | None = None,
        distance: Distance | None = None,
        search_schema: SearchSchema | None = None,
        projection: Projection | None = None,
    ) -> None:
        settings = {
            "attribute": attribute,
            "index_name": index_name,
            "distance": distance,
            "search_schema": search_schema,
            "projection": projection,
        }
        stated = {name: value for name, value in settings.items() if value is not None}
        base = self.Meta
        if getattr(base, "attributes", None):
            raise ConfigurationError(
                f"{type(self).__qualname__}: a vector index has no attributes of its own. Write the VectorAttribute "
                "into the model, and its name into the index's Meta, such as attribute = 'embedding'."
            )
        # A `Meta` for each index: PynamoDB writes the index's name into it.
        defaults = {} if hasattr(base, "projection") else {"projection": AllProjection()}
        self.Meta = type("Meta", () if base is None else (base,), {**defaults, "attributes": {}})
        for name, value in stated.items():
            setattr(self.Meta, name, value)  # not by `type(...)`: an attribute there would take `Meta` for its model
        super().__init__()

    def __set_name__(self, owner: type[Any], name: str) -> None:
        super().__set_name__(owner, name)
        self._written_in = owner

    if TYPE_CHECKING:

        def __get__(self, instance: object, owner: type[_Owner]) -> VectorIndex[_Owner]: ...

    def _update_model_schema(self, schema: Any) -> None:
        """Nothing: PynamoDB's schema has only keys and secondary indexes."""

    # ---- its definition ----------------------------------------------------------------------------------------

    @property
    def model(self) -> AnyModel:
        """The model of the index. Raises `ConfigurationError` if the index is in no model."""
        model: AnyModel | None = getattr(self, "_model", None)
        if model is None:
            raise ConfigurationError("VectorIndex: write it into a model, as PynamoDB's indexes.")
        return model

    def definition(self) -> IndexDefinition:
        """The definition of the index, with the table's names. Raises `ConfigurationError` for wrong settings."""
        meta, where = self.Meta, self._where()
        names = [name for name in dir(meta) if not name.startswith("_") and name not in _OF_OTHER_INDEXES]
        checks.known_names(names, _IN_META, f"{where}: Meta")
        distance = getattr(meta, "distance", "cosine")
        checks.one_of(f"{where}: distance", distance, DISTANCES)
        self._check_name(where)
        attribute, schema = self._attribute(), self._search_schema()
        return IndexDefinition(
            meta.index_name,
            attribute.attr_name,
            attribute.dimensions,
            cast(Distance, distance),
            self._projection(),
            {name: kind for name, (kind, _) in schema.items()},
            {name: of for name, (_, of) in schema.items() if name not in self._keys()},
        )

    def _check_name(self, where: str) -> None:
        name = self.Meta.index_name
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"{where}: index_name must have 3 to 192 of the characters a-z, A-Z, 0-9, '.', '_' and '-' "
                f"(got {checks.shown(name)})."
            )
        # If several indexes have one name, PynamoDB keeps only the last: searches in the others would use its vectors.
        if sum(isinstance(each, Index) and each.Meta.index_name == name for each in vars(self.model).values()) > 1:
            raise ConfigurationError(
                f"{where}: the model has another index of this index_name. Give each a name of its own, such as "
                f"{type(self).__name__}('embedding', index_name='by-embedding')."
            )

    def _where(self) -> str:
        return f"{self.model.__qualname__}, vector index {self.Meta.index_name!r}"

    def _attribute(self) -> VectorAttribute:
        attributes = attributes_of(self.model).items()
        vectors = {name: attribute for name, attribute in attributes if isinstance(attribute, VectorAttribute)}
        stated = getattr(self.Meta, "attribute", None)
        # Of the class that defines the index: a subclass may have more attributes, or another one of the same name.
        written = {name: getattr(self._written_in, name) for name in vectors if hasattr(self._written_in, name)}
        if stated is None and len(written or vectors) == 1:
            return vectors[next(iter(written or vectors))]
        for name, attribute in vectors.items():
            if stated is written.get(name, attribute) or (isinstance(stated, str) and stated == name):
                return attribute
        raise ConfigurationError(
            f"{self._where()}: attribute must be one of the model's VectorAttributes "
            f"({', '.join(vectors) or 'it has none'}) (got {checks.shown(stated)}). "
            f"{checks.did_you_mean(stated, vectors)}".rstrip()
        )

    def _projection(self) -> dict[str, Any]:
        projection = self.Meta.projection
        if not isinstance(projection, Projection):
            raise ConfigurationError(
                f"{self._where()}: projection must be one of PynamoDB's, such as AllProjection() "
                f"(got {checks.shown(projection)})."
            )
        if projection.projection_type == ALL:
            return {"ProjectionType": ALL}
        names = [self._name_in_table(name) for name in projection.non_key_attributes or ()]
        discriminator = self._discriminator()
        if discriminator is not None and discriminator.attr_name not in names:
            names.append(discriminator.attr_name)
        return {"ProjectionType": INCLUDE, "NonKeyAttributes": names} if names else {"ProjectionType": KEYS_ONLY}

    def _search_schema(self) -> dict[str, tuple[str, str]]:
        """The kind of each attribute in the search schema, and its type."""
        schema = getattr(self.Meta, "search_schema", None) or {}
        if not isinstance(schema, Mapping) or not all(kind in ("HASH", "INLINE_FILTER") for kind in schema.values()):
            raise ConfigurationError(
                f"{self._where()}: search_schema must map names of attributes to 'INLINE_FILTER' or 'HASH', such as "
                f"{{'language': 'INLINE_FILTER'}} (got {checks.shown(schema)})."
            )
        attributes = attributes_of(self.model)
        checks.known_names(schema, attributes, f"{self._where()}: search_schema")
        for name in schema:
            if attributes[name].attr_type not in _FILTERED:
                raise ConfigurationError(
                    f"{self._where()}: search_schema takes attributes that are text, numbers or binary ({name!r} is of "
                    f"type {attributes[name].attr_type})."
                )
        if sum(kind == "HASH" for kind in schema.values()) > 1:
            raise ConfigurationError(
                f"{self._where()}: search_schema must have one HASH at most (got {checks.shown(schema)}). "
                "Make the others INLINE_FILTER."
            )
        return {attributes[name].attr_name: (kind, attributes[name].attr_type) for name, kind in schema.items()}

    def _keys(self) -> frozenset[str]:
        """The attributes of the table's key."""
        return frozenset(key["AttributeName"] for key in schema_of(self.model)["key_schema"])

    def _name_in_table(self, name: str) -> str:
        """The table's name for an attribute with this name in the model. Other names stay as they are."""
        attribute = attributes_of(self.model).get(name)
        return name if attribute is None else str(attribute.attr_name)

    # ---- searches ----------------------------------------------------------------------------------------------

    def search(
        self, vector: Vector, k: int, filter: Condition | None = None, attributes: Attributes | None = None
    ) -> VectorResults[_M]:
        """The `k` items whose vectors are nearest to this one, nearest first, each with `score` and `distance`.

        `vector`: as many numbers as the attribute has dimensions. `k`: at most 1,000 in the older dialect. `filter`:
        conditions joined by ``&``. AWS's dialect accepts equality of attributes in the `search_schema`. The older one
        accepts any condition. It applies those on keys before the search, and the others after it, so that fewer than
        `k` items may be left although more candidates are requested. `attributes`: those that the found items shall
        have; by default all of the model, so that items may be saved again.

        The read is never consistent: an item is found a moment after it was saved. Raises `VectorError` for an invalid
        vector, number or filter, before anything is sent, and `QueryError` as PynamoDB's queries do.
        """
        search = self.prepare(vector, k, filter, attributes)
        connection = self._connection()
        try:
            matches = run(searching(connection.cluster.core.questions.vector_dialect, search), connection.dispatch)
        except BOTOCORE_EXCEPTIONS as error:
            raise QueryError(f"Failed to search for vectors: {error}", error) from error
        return self.results(matches)

    def prepare(
        self, vector: Vector, k: int, filter: Condition | None = None, attributes: Attributes | None = None
    ) -> Search:
        """A checked search as a value, for callers that make the request themselves."""
        from .vector_filter import Expressions, checked_count

        definition = self.definition()
        where = f"{self._where()}: search"
        number = checked_count(k, where)
        numbers = checked_vector(vector, definition.dimensions, f"{where}: the vector")
        expressions = Expressions(where)
        return Search(
            where,
            self.model.Meta.table_name,
            definition,
            tuple(numbers),
            number,
            self._keys(),
            expressions.projection(self._requested(attributes), self._discriminator()),
            expressions.terms(filter),
            expressions.names,
            expressions.values,
        )

    def _requested(self, attributes: Attributes | None) -> Any:
        """The attributes that a search reads; names become attributes. By default, those of the model and of classes
        that share its table, because AWS's dialect would otherwise omit the vector."""
        if attributes is None:
            classes = sharing_table(self.model)
            return list({each.attr_name: each for of in classes for each in attributes_of(of).values()}.values())
        if isinstance(attributes, str | Attribute | Path) or not isinstance(attributes, Iterable):
            attributes = [attributes]
        known = attributes_of(self.model)
        return [known.get(each, each) if isinstance(each, str) else each for each in attributes]

    def _discriminator(self) -> Attribute[Any] | None:
        """The attribute that names the class of an item, if there is one."""
        name = discriminator_of(self.model)
        return None if name is None else attributes_of(self.model)[name]

    def results(self, matches: Sequence[Match]) -> VectorResults[_M]:
        """Instances of the model for the items of an answer. Items of other classes in the table are left out."""
        load: Any = self.model.from_raw_data
        of_model = [match for match in matches if self._is_of_model(match.item)]
        return VectorResults([Scored(load(match.item), match.score, match.distance) for match in of_model])

    def _is_of_model(self, item: dict[str, Any]) -> bool:
        if not discriminator_of(self.model):
            return True
        try:
            return bool(stored_class_of(self.model, item))
        except ValueError:
            return False

    def on(self, cluster: HasAsyncClient) -> AsyncVectorIndex[_M]:
        """The same index for an event loop: its methods are coroutines, whose requests go through an `AsyncCluster`."""
        from .vector_index_async import AsyncVectorIndex

        return AsyncVectorIndex(self, cluster)

    # ---- making and deleting it --------------------------------------------------------------------------------

    def create(self, *, wait: bool = False, timeout: float = 300.0) -> None:
        """Add the index to the existing table. With `wait`, return when the index can be searched.

        Raises `TableError` as PynamoDB's table operations do, and the errors of `wait_until_active`.
        """
        connection = self._connection()
        learnt = connection.cluster.core.questions.vector_dialect
        self._update(connection, creating(learnt, self.model.Meta.table_name, self.definition()))
        if wait:
            self.wait_until_active(timeout)

    def delete(self) -> None:
        """Delete the index. Items are not changed. Raises `TableError`."""
        self._update(self._connection(), deleting(self.model.Meta.table_name, self.Meta.index_name))

    def status(self) -> str | None:
        """The state of the index, such as ``CREATING`` or ``ACTIVE``; None if the table has no such index.

        Raises `TableDoesNotExist` and `TableError` as PynamoDB does.
        """
        return status_of(connection_of(self.model).describe_table(), self.Meta.index_name)

    def wait_until_active(self, timeout: float = 300.0) -> None:
        """Wait until the index can be searched.

        Raises TimeoutError after `timeout` seconds, and `TableError` if the table has no such index.
        """
        end, pause = time.monotonic() + timeout, FIRST_PAUSE
        while not self.is_active(self.status()):
            if time.monotonic() + pause > end:
                raise too_late(self._where(), timeout)
            sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def is_active(self, status: str | None) -> bool:
        """Whether the index can be searched in this state. Raises `TableError` if there is no such index."""
        if status is None:
            raise TableError(f"{self._where()}: the table {self.model.Meta.table_name} has no such index. Create it.")
        return status == "ACTIVE"

    def _update(self, connection: AlternatorConnection, steps: Steps[Any]) -> None:
        try:
            run(steps, connection.dispatch)
        except BOTOCORE_EXCEPTIONS as error:
            raise TableError(f"Failed to update table: {error}", error) from error

    def _connection(self) -> AlternatorConnection:
        connection = connection_of(self.model).connection
        if not isinstance(connection, AlternatorConnection):
            raise ConfigurationError(f"{self._where()}: the model's connection_class must be an AlternatorConnection.")
        return connection

    # ---- methods of other indexes that it does not have ----------------------------------------------------------

    def _no_query(self, *_: object, **__: object) -> NoReturn:
        raise TypeError(f"{self._where()} has no keys to query or count by. Use search(vector, k).")

    if not TYPE_CHECKING:
        query = scan = count = _hash_key_attribute = _no_query


def too_late(where: str, timeout: float) -> TimeoutError:
    """The error for a wait for an index that took too long."""
    return TimeoutError(
        f"{where} is still being created after {timeout:g} s. Look at its status() later; a large table takes longer."
    )


def wait_for_vector_indexes(model: AnyModel) -> None:
    """Wait until those vector indexes of the model that its table has can be searched."""
    for index in indexes_of(model):
        if isinstance(index, VectorIndex) and index.status() is not None:
            index.wait_until_active()


def definitions_of(model: AnyModel) -> list[IndexDefinition]:
    """The vector indexes that the model's table shall have. Raises `ConfigurationError`."""
    return [index.definition() for index in indexes_of(model) if isinstance(index, VectorIndex)]
