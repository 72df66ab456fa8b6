"""moto's tables without DynamoDB's limits, and with Alternator's keys.

The classes are derived from moto's own when the engine is made, because moto is not imported earlier. A table gets only
items that passed the dialect's checks, so it checks nothing again: items and keys may have any size. Binaries are
ordered by their bytes and not by their base64 text. In a partition key that is a number, zeros after the point count:
for the server, 1 and 1.0 are two keys.
"""

from __future__ import annotations

import base64
import inspect
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ..errors import ConfigurationError
from .keys import segment_of, token_of_value

_LONGEST_KEY = 65535
_PAGE = 1_000_000
"""In bytes. moto ends a page before the item with which it would be larger than this, and fails if that is the first
item. So no item reports a larger size."""


def backend_class() -> tuple[Any, Any, Any, tuple[Any, ...]]:
    """A backend whose tables are as described above, moto's request handler, its type of attributes, and the types of
    which moto keeps every instance."""
    try:
        from moto.dynamodb.models import DynamoDBBackend
        from moto.dynamodb.models.dynamo_type import DynamoType, Item
        from moto.dynamodb.models.table import Table
        from moto.dynamodb.responses import DynamoHandler
    except ImportError as missing:
        raise ConfigurationError(
            f"LocalCluster: engine='moto' needs moto ({missing}). "
            'Install it: pip install "pynamodb-alternator[local]". Or name a DynamoDB endpoint: engine="http://…".'
        ) from missing

    value, key = _values(DynamoType)
    stored = _item(Item, value, key)
    table = _table(Table, stored, value, key)

    class Backend(DynamoDBBackend):  # type: ignore[misc,unused-ignore]
        """moto's backend, with tables of the class above."""

        def create_table(self, *arguments: Any, **named: Any) -> Any:
            made = super().create_table(*arguments, **named)
            # The class cannot be passed to moto. An instance has no state that depends on its class, so the class is
            # replaced here.
            made.__class__ = table
            return made

        def update_item(self, table_name: str, key: dict[str, Any], *arguments: Any, **named: Any) -> Any:
            changed: Any = self.get_table(table_name)
            changed.put_copy(key)
            return super().update_item(table_name, key, *arguments, **named)

    return Backend, DynamoHandler, DynamoType, (Item, stored, Table)


def _values(dynamo_type: Any) -> tuple[Any, Any]:
    class Value(dynamo_type):  # type: ignore[misc]
        """An attribute's value, compared as the server compares it."""

        @property
        def cast_value(self) -> Any:
            if self.type == "N":
                return Decimal(self.value)  # older versions of moto make a float, which has fewer digits
            return base64.b64decode(self.value) if self.type == "B" else super().cast_value

        @property
        def order(self) -> Any:
            return (self.cast_value, 0) if self.type == "N" else self.cast_value

        @classmethod
        def of(cls, other: Any) -> Any:
            return other if isinstance(other, Value) else cls(other)

        def __hash__(self) -> int:
            return hash((self.type, self.order))

        def __eq__(self, other: object) -> bool:
            them = self.of(other)
            return bool(self.type == them.type and self.order == them.order)

        def __ne__(self, other: object) -> bool:
            return not self == other

        def __lt__(self, other: Any) -> bool:
            return bool(self.order < self.of(other).order)

        def __le__(self, other: Any) -> bool:
            return bool(self.order <= self.of(other).order)

        def __gt__(self, other: Any) -> bool:
            return bool(self.order > self.of(other).order)

        def __ge__(self, other: Any) -> bool:
            return bool(self.order >= self.of(other).order)

        def compare(self, range_comparison: str, range_objs: list[Any]) -> bool:
            return bool(super().compare(range_comparison, [Value(each) for each in range_objs]))

    class Key(Value):
        """A partition key. Two numbers are equal if their values and their digits after the point are, as in the
        server."""

        @property
        def order(self) -> Any:
            value = self.cast_value
            return (value, value.as_tuple().exponent) if self.type == "N" else value

    return Value, Key


def _item(item: Any, value: Any, key: Any) -> Any:
    class StoredItem(item):  # type: ignore[misc]
        """An item of any size. It is never changed when another thread may have it: a write replaces it, and moto's
        update changes a copy that was put in its place. So readers do not need a copy."""

        def __init__(self, hash_key: Any, range_key: Any, attrs: dict[str, Any], hash_names: set[str]) -> None:
            self.hash_key, self.range_key = hash_key, range_key
            self.attrs = {name: (key if name in hash_names else value)(of) for name, of in attrs.items()}
            self._size: int | None = None

        def __deepcopy__(self, memo: object) -> Any:
            return self

        def is_within_segment(self, segments: tuple[int, int] | tuple[None, None]) -> bool:
            segment, total = segments
            if segment is None or total is None:
                return True
            token = token_of_value({self.hash_key.type: self.hash_key.value})
            return token is not None and segment_of(token, total) == segment

        def size(self) -> int:
            if self._size is None:
                self._size = min(int(super().size()), _PAGE)
            return self._size

    return StoredItem


def _table(table: Any, stored: Any, value: Any, key: Any) -> Any:
    asked_of_query, asked_of_scan = _index_name_of(table.query), _index_name_of(table.scan)

    class StrictTable(table):  # type: ignore[misc]
        """A table that stores every item without checks, because the dialect has checked it."""

        def put_item(self, item_attrs: dict[str, Any], *arguments: Any, **named: Any) -> Any:
            hash_key = key(item_attrs[self.hash_key_attr])
            range_key = value(item_attrs[self.range_key_attr]) if self.range_key_attr is not None else None
            item = stored(hash_key, range_key, item_attrs, self._hash_names())
            if range_key is not None:
                self.items[hash_key][range_key] = item
            else:
                self.items[hash_key] = item
            return item

        def put_copy(self, of: dict[str, Any]) -> None:
            """Replace the item that has this key with a copy, if there is one."""
            range_key = of.get(self.range_key_attr) if self.range_key_attr is not None else None
            item = self.get_item(of.get(self.hash_key_attr, of), range_key)
            if item is not None:
                self.put_item(item.to_json()["Attributes"])

        def get_item(self, hash_key: Any, range_key: Any = None, projection_expression: Any = None) -> Any:
            return super().get_item(key.of(hash_key), _wrapped(value, range_key), projection_expression)

        def _hash_names(self) -> set[str]:
            """The attributes that are partition keys of the table or of an index."""
            schemas = [index.schema for index in self.global_indexes]
            names = {each["AttributeName"] for schema in schemas for each in schema if each["KeyType"] == "HASH"}
            return {self.hash_key_attr} | names

        _asked: str | None = None
        """The name of the index that is being read."""

        def query(self, *arguments: Any, **named: Any) -> Any:
            self._asked = asked_of_query(self, *arguments, **named)
            return super().query(*arguments, **named)

        def scan(self, *arguments: Any, **named: Any) -> Any:
            self._asked = asked_of_scan(self, *arguments, **named)
            return super().scan(*arguments, **named)

        def _generate_attr_to_sort_by(self, hash_key_attrs: list[str], range_key_attrs: list[Any]) -> list[str]:
            """Sort by the keys of an index, and then by those of the table: moto mixes them in an index without a sort
            key."""
            keys = [self.hash_key_attr, self.range_key_attr]
            if self._asked is not None:
                schema = self.get_index(self._asked).schema
                keys = [key["AttributeName"] for key in sorted(schema, key=lambda key: str(key["KeyType"]))] + keys
            return list(dict.fromkeys(name for name in keys if name is not None))

        def sorted_items(self, hash_key_attrs: list[str], range_key_attrs: list[Any], items: list[Any]) -> list[Any]:
            types = {each["AttributeName"]: each["AttributeType"] for each in self.attr}
            names = [name for name in (*hash_key_attrs, *range_key_attrs) if name in types]
            # An index does not have the items whose attribute has another type than its key, or is too long for a key.
            fit = [item for item in items if all(_fits(item.attrs.get(name), types[name]) for name in names)]
            return list(super().sorted_items(hash_key_attrs, range_key_attrs, fit))

        def delete_item(self, hash_key: Any, range_key: Any) -> Any:
            return super().delete_item(key.of(hash_key), _wrapped(value, range_key))

    return StrictTable


def _index_name_of(method: Callable[..., Any]) -> Callable[..., str | None]:
    """A function that gets the arguments of a call of `method`, and returns the argument `index_name`."""
    signature = inspect.signature(method)

    def index_name(*arguments: Any, **named: Any) -> str | None:
        name = signature.bind(*arguments, **named).arguments.get("index_name")
        return None if name is None else str(name)

    return index_name


def _fits(of: Any, kind: str) -> bool:
    return of is not None and of.type == kind and 0 < len(of.value) <= _LONGEST_KEY


def _wrapped(value: Any, range_key: Any) -> Any:
    return value.of(range_key) if range_key is not None else None
