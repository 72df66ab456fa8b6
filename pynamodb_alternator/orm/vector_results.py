"""The results of a vector search: instances of the model, nearest first, each with its score and distance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar, overload

from pynamodb import models

__all__ = ["Scored", "VectorResults"]

_M = TypeVar("_M", bound=models.Model)


class Scored(NamedTuple, Generic[_M]):
    """An item with its score and distance.

    `score`: higher is nearer. With the distance ``"cosine"`` it is the cosine of the angle (-1 to 1), with
    ``"euclidean"`` 1 / (1 + distance) (0 to 1), with ``"dot_product"`` the dot product. `distance`: lower is nearer. It
    is 1 - cosine (0 to 2), the Euclidean distance, or the negative dot product. The server computes both with 32 bits.
    They are NaN if a server sends no scores.
    """

    item: _M
    score: float
    distance: float


class VectorResults(Sequence[_M]):
    """The items of a search, nearest first: a sequence of instances of the model.

    Each instance also has the attributes `score` and `distance`, unless its model has attributes with these names. They
    are not saved with it.
    """

    def __init__(self, scored: Sequence[Scored[_M]]) -> None:
        self._scored = tuple(scored)
        for item, score, distance in self._scored:
            if not hasattr(type(item), "score"):
                item.score = score  # type: ignore[attr-defined]
            if not hasattr(type(item), "distance"):
                item.distance = distance  # type: ignore[attr-defined]

    def scored(self) -> tuple[Scored[_M], ...]:
        """The items with their numbers, for models that have attributes of these names, and for type checkers."""
        return self._scored

    def __len__(self) -> int:
        return len(self._scored)

    def __iter__(self) -> Iterator[_M]:
        return (item for item, _, _ in self._scored)

    @overload
    def __getitem__(self, index: int) -> _M: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[_M]: ...

    def __getitem__(self, index: int | slice) -> Any:
        items = list(self)
        return items[index]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} items>"
