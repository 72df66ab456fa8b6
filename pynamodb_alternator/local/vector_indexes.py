"""Vector indexes in requests and descriptions of tables, in AWS's form and in that of Alternator's older dialect.

Both forms have IndexName and VectorAttribute. AWS's form also has Dimensions, DistanceFunction, Projection and
SearchSchema. The older form has SimilarityFunction, and has Dimensions in VectorAttribute; its indexes have only keys.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .answers import DialectError, validation
from .catalogue import arn_of
from .vector_tables import VectorTable
from .vectors import COSINE, FUNCTIONS, MOST_DIMENSIONS, VectorIndex

_NAME = re.compile(r"[a-zA-Z0-9._-]{3,192}")
_LONGEST_ATTRIBUTE = 65_535
_CREATE, _UPDATE = "VectorIndexes", "VectorIndexUpdates"
Indexes = Mapping[str, VectorIndex]


class VectorIndexForms:
    """Reads and describes vector indexes. `dialects`: which of ``aws`` and ``alternator`` the server supports."""

    def __init__(self, dialects: frozenset[str], *, has_tablets: bool) -> None:
        self._dialects = dialects
        self._has_tablets = has_tablets

    def created(self, parameters: dict[str, Any]) -> dict[str, VectorIndex]:
        """The vector indexes of a CreateTable, which are removed from its parameters. Raises `DialectError` for
        mistakes."""
        requested = parameters.pop(_CREATE, None)
        if not self._dialects or requested is None:
            return {}  # a server without vector search ignores them
        if not isinstance(requested, list):
            raise validation(f"{_CREATE} must be a list")
        types, keys = _types(parameters), _used_by_keys(parameters)
        names = _index_names(parameters)
        made: dict[str, VectorIndex] = {}
        for entry in requested:
            index = self._index(entry, types, _CREATE)
            if index.name in names or index.name in made:
                raise validation(f"Duplicate IndexName '{index.name}'")
            self._check_attribute(index, keys, made.values(), _CREATE)
            made[index.name] = index
        _take_definitions(parameters, {name for index in made.values() for name in index.types} - keys)
        return made

    def updated(self, table: VectorTable, updates: Any, parameters: dict[str, Any]) -> dict[str, VectorIndex]:
        """The table's indexes after an UpdateTable with these updates. Definitions of attributes that only vector
        indexes use are removed from the parameters. Raises `DialectError` for mistakes in the request."""
        if not isinstance(updates, list) or not updates:
            raise validation(f"UpdateTable requires one update in {_UPDATE}, or another parameter")
        if len(updates) > 1 or parameters.get("GlobalSecondaryIndexUpdates"):
            raise DialectError("LimitExceededException", f"{_UPDATE} only allows one index operation in a request")
        (action, entry) = next(iter(updates[0].items())) if isinstance(updates[0], dict) and updates[0] else (None, {})
        if action == "Delete":
            name = entry.get("IndexName") if isinstance(entry, dict) else None
            if name not in table.indexes:
                raise DialectError("ResourceNotFoundException", f"No vector index '{name}' in this table")
            return {other: index for other, index in table.indexes.items() if other != name}
        if action != "Create":
            raise validation(f"{_UPDATE} supports Create and Delete (got {action!r})")
        filtered = {name: kind for other in table.indexes.values() for name, kind in other.types.items()}
        index = self._index(entry, {**filtered, **table.types, **_types(parameters)}, _UPDATE)
        if index.name in table.indexes or index.name in table.other_names:
            raise validation(f"{_UPDATE}: an index '{index.name}' already exists")
        self._check_attribute(index, table.types, table.indexes.values(), _UPDATE)
        _take_definitions(parameters, index.types.keys())
        return {**table.indexes, index.name: index}

    def check_others(self, table: VectorTable, parameters: Mapping[str, Any]) -> None:
        """Refuse an UpdateTable whose secondary indexes are in conflict with vector indexes. Raises `DialectError`."""
        for update in _entries(parameters, "GlobalSecondaryIndexUpdates"):
            create = update.get("Create")
            name = _text(create, "IndexName") if isinstance(create, dict) else None
            if name in table.indexes:
                raise validation(f"An index '{name}' already exists")
        targets = {index.attribute for index in table.indexes.values()}
        for definition in _entries(parameters, "AttributeDefinitions"):
            if _text(definition, "AttributeName") in targets:
                raise validation(
                    f"AttributeDefinitions: {definition['AttributeName']} is the attribute of a vector index"
                )

    def _index(self, entry: Any, types: Mapping[Any, Any], where: str) -> VectorIndex:
        if not self._has_tablets:
            raise validation("Vector indexes are not supported on tables that use vnodes")
        entry = entry if isinstance(entry, dict) else {}
        name, attribute = entry.get("IndexName"), entry.get("VectorAttribute")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise validation(f"{where}: IndexName must be 3-192 characters of [a-zA-Z0-9._-]")
        if not isinstance(attribute, dict) or not isinstance(attribute.get("AttributeName"), str):
            raise validation(f"{where}: VectorAttribute must have an AttributeName")
        if not 0 < len(attribute["AttributeName"].encode()) <= _LONGEST_ATTRIBUTE:
            raise validation(f"{where}: AttributeName must have 1 to {_LONGEST_ATTRIBUTE} bytes")
        is_awss = "aws" in self._dialects and ("Dimensions" in entry or "alternator" not in self._dialects)
        if is_awss:
            return _index_of_aws(name, attribute, entry, types, where)
        return _older_index(name, attribute, entry, where)

    @staticmethod
    def _check_attribute(index: VectorIndex, keys: Iterable[str], others: Iterable[VectorIndex], where: str) -> None:
        if index.attribute in keys:
            raise validation(f"{where}: AttributeName '{index.attribute}' is an attribute of a key")
        for other in others:
            if other.attribute == index.attribute and not (index.is_of_aws and other.dimensions == index.dimensions):
                raise validation(
                    f"{where}: Duplicate vector index on the AttributeName '{index.attribute}', or of other Dimensions"
                )

    def described(self, indexes: Indexes, new: Collection[str], table: str) -> list[dict[str, Any]]:
        """The vector indexes in a table's description. Those in `new` are not ACTIVE yet."""
        return [
            {
                **self._described(index, table),
                "IndexStatus": "CREATING" if index.name in new else "ACTIVE",
            }
            for index in indexes.values()
        ]

    @staticmethod
    def requested(table: VectorTable, creation: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of a CreateTable that make the table's vector indexes, each in the form in which it was
        made."""
        return {
            "AttributeDefinitions": with_filtered(table, creation["AttributeDefinitions"]),
            _CREATE: [
                _form_of_aws(index) if index.is_of_aws else _older_form(index) for index in table.indexes.values()
            ],
        }

    def _described(self, index: VectorIndex, table: str) -> dict[str, Any]:
        older = _older_form(index) if "alternator" in self._dialects else {}
        if "aws" not in self._dialects:
            return older
        told = {**older, **_form_of_aws(index), "IndexArn": f"{arn_of(table)}/index/{index.name}"}
        return {**told, "VectorAttribute": older["VectorAttribute"]} if older else told


def with_filtered(table: VectorTable, definitions: list[Any]) -> list[Any]:
    """The AttributeDefinitions of a table, including the attributes by which its vector indexes filter."""
    filtered = {name: kind for index in table.indexes.values() for name, kind in index.types.items()}
    defined = {each["AttributeName"] for each in definitions}
    more = [{"AttributeName": name, "AttributeType": kind} for name, kind in filtered.items() if name not in defined]
    return [*definitions, *more]


def _form_of_aws(index: VectorIndex) -> dict[str, Any]:
    form: dict[str, Any] = {
        "IndexName": index.name,
        "VectorAttribute": {"AttributeName": index.attribute},
        "Dimensions": index.dimensions,
        "DistanceFunction": index.function,
        "Projection": index.projection,
    }
    if index.schema:
        form["SearchSchema"] = [
            {"AttributeName": name, "SearchSchemaElementType": kind} for name, kind in index.schema.items()
        ]
    return form


def _older_form(index: VectorIndex) -> dict[str, Any]:
    return {
        "IndexName": index.name,
        "VectorAttribute": {"AttributeName": index.attribute, "Dimensions": index.dimensions},
        "SimilarityFunction": index.function,
        "Projection": index.projection,
    }


def _older_index(name: str, attribute: Mapping[str, Any], entry: Mapping[str, Any], where: str) -> VectorIndex:
    function = entry.get("SimilarityFunction", COSINE)
    if (entry.get("Projection") or {"ProjectionType": "KEYS_ONLY"}).get("ProjectionType") != "KEYS_ONLY":
        raise validation(f"{where} Projection: only ProjectionType=KEYS_ONLY is supported")
    if function not in FUNCTIONS:
        raise validation(f"{where}: SimilarityFunction must be one of {', '.join(FUNCTIONS)}")
    return VectorIndex(name, attribute["AttributeName"], _dimensions(attribute, where), function)


def _index_of_aws(
    name: str, attribute: Mapping[str, Any], entry: Mapping[str, Any], types: Mapping[Any, Any], where: str
) -> VectorIndex:
    function, projection = entry.get("DistanceFunction"), entry.get("Projection")
    if function not in FUNCTIONS:
        raise validation(f"{where}: DistanceFunction must be one of {', '.join(FUNCTIONS)}")
    if not isinstance(projection, dict) or projection.get("ProjectionType") not in ("ALL", "KEYS_ONLY", "INCLUDE"):
        raise validation(f"{where}: Projection must have a ProjectionType")
    if bool(projection.get("NonKeyAttributes")) != (projection["ProjectionType"] == "INCLUDE"):
        raise validation(f"{where}: Projection must have NonKeyAttributes if and only if it is INCLUDE")
    schema = _search_schema(entry.get("SearchSchema"), types, where) if "SearchSchema" in entry else {}
    return VectorIndex(
        name,
        attribute["AttributeName"],
        _dimensions(entry, where),
        function,
        projection,
        schema,
        {each: types[each] for each in schema},
        is_of_aws=True,
    )


def _search_schema(schema: Any, types: Mapping[Any, Any], where: str) -> dict[str, str]:
    if not isinstance(schema, list) or not schema:
        raise validation(f"{where}: SearchSchema must be a list, and must not be empty")
    kinds: dict[str, str] = {}
    for element in schema:
        element = element if isinstance(element, dict) else {}
        name, kind = _text(element, "AttributeName"), _text(element, "SearchSchemaElementType")
        if name is None or kind not in ("HASH", "INLINE_FILTER"):
            raise validation(f"{where}: SearchSchemaElementType must be HASH or INLINE_FILTER")
        if name in kinds:
            raise validation(f"{where}: SearchSchema: Duplicate AttributeName '{name}'")
        if types.get(name) not in ("S", "N", "B"):
            raise validation(
                f"{where}: the attribute '{name}' of the SearchSchema is of type '{types.get(name)}' in the attribute "
                "definitions, and must be of type S, N or B there"
            )
        kinds[name] = kind
    if list(kinds.values()).count("HASH") > 1:
        raise validation(f"{where}: SearchSchema can have one HASH attribute at most")
    return kinds


def _dimensions(holder: Mapping[str, Any], where: str) -> int:
    dimensions = holder.get("Dimensions")
    if type(dimensions) is not int or not 1 <= dimensions <= MOST_DIMENSIONS:
        raise validation(f"{where}: Dimensions must be a whole number from 1 to {MOST_DIMENSIONS}")
    return dimensions


def _types(parameters: Mapping[str, Any]) -> dict[Any, Any]:
    """The types of attributes that a request defines."""
    definitions = _entries(parameters, "AttributeDefinitions")
    return {_text(definition, "AttributeName"): _text(definition, "AttributeType") for definition in definitions}


def _entries(holder: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of a list in a request. The rules for tables refuse anything else later."""
    entries = holder.get(name)
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _text(entry: Mapping[str, Any], name: str) -> str | None:
    text = entry.get(name)
    return text if isinstance(text, str) else None


def _used_by_keys(parameters: Mapping[str, Any]) -> set[Any]:
    """The attributes of the keys of a table and its secondary indexes."""
    kinds = ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
    holders = [parameters, *(index for kind in kinds for index in _entries(parameters, kind))]
    return {_text(key, "AttributeName") for holder in holders for key in _entries(holder, "KeySchema")}


def _take_definitions(parameters: dict[str, Any], names: Collection[str]) -> None:
    """Remove the definitions of these attributes from a request. Engines refuse them, because no key uses them."""
    definitions = parameters.get("AttributeDefinitions")
    if isinstance(definitions, list) and names:
        taken = [
            entry for entry in _entries(parameters, "AttributeDefinitions") if _text(entry, "AttributeName") in names
        ]
        kept = [definition for definition in definitions if definition not in taken]
        parameters["AttributeDefinitions"] = kept
        if not kept:
            del parameters["AttributeDefinitions"]


def _index_names(parameters: Mapping[str, Any]) -> set[Any]:
    kinds = ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
    return {_text(index, "IndexName") for kind in kinds for index in _entries(parameters, kind)}
