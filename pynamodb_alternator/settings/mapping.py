"""An immutable mapping, for settings that are mappings."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping
from typing import Any, TypeVar

__all__ = ["FrozenMapping"]

_K = TypeVar("_K")
_V = TypeVar("_V")


class FrozenMapping(Mapping[_K, _V]):
    """An immutable copy of a mapping. It equals a dict with the same items.

    It can be pickled. A deep copy of it is a dict, so `dataclasses.asdict` returns only dicts.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[_K, _V]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: _K) -> _V:
        return self._items[key]

    def __iter__(self) -> Iterator[_K]:
        return iter(self._items)

    def items(self) -> ItemsView[_K, _V]:
        return self._items.items()

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)

    def __copy__(self) -> FrozenMapping[_K, _V]:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[_K, _V]:
        return dict(self._items)

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenMapping, (dict(self._items),)
