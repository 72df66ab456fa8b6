"""A vector index as a value, the check whether an attribute value is a vector of it, and the distance of two
vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .answers import validation
from .float_vectors import TYPE, float32, floats_of

COSINE, EUCLIDEAN, DOT_PRODUCT = FUNCTIONS = ("COSINE", "EUCLIDEAN", "DOT_PRODUCT")
MOST_DIMENSIONS = 16_000


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """One vector index. `projection`: as in requests. `schema`: the attributes that AWS's condition may use, each HASH
    or INLINE_FILTER. `types`: the types of these attributes."""

    name: str
    attribute: str
    dimensions: int
    function: str
    projection: Mapping[str, Any] = field(default_factory=lambda: {"ProjectionType": "KEYS_ONLY"})
    schema: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    is_of_aws: bool = False


def vector_of(value: Any, dimensions: int, where: str) -> list[float]:
    """The numbers of an attribute value, rounded to 32 bits. Raises `DialectError` if it is not a vector of
    `dimensions`."""
    kind, content = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else (None, None)
    if kind not in (TYPE, "L"):
        raise validation(f"{where} must be a list of numbers, of type '{TYPE}' or 'L'")
    numbers = floats_of(content) if kind == TYPE else _numbers(content, where)
    if len(numbers) != dimensions:
        raise validation(f"{where}: its length is {len(numbers)}, and must be exactly {dimensions}")
    return numbers


def _numbers(elements: Any, where: str) -> list[float]:
    if not isinstance(elements, list):
        raise validation(f"{where} must be a list of numbers")
    numbers = []
    for element in elements:
        text = element.get("N") if isinstance(element, dict) else None
        try:
            number = float32(float(text)) if isinstance(text, str) else math.nan
        except ValueError:
            number = math.nan
        if math.isnan(number):
            raise validation(f"{where} must contain only numbers")
        if math.isinf(number):
            raise validation(f"{where}: the element '{text}' does not fit into a 32-bit float")
        numbers.append(number)
    return numbers


def stored_vector(item: Mapping[str, Any], index: VectorIndex) -> list[float] | None:
    """An item's vector; None for an item that is not in the index."""
    if index.attribute not in item or not all(_may_be_filtered(item.get(name), name, index) for name in index.schema):
        return None
    try:
        return vector_of(item[index.attribute], index.dimensions, index.attribute)
    except Exception:
        return None  # an item from before the index


def _may_be_filtered(value: Any, name: str, index: VectorIndex) -> bool:
    is_hash = index.schema[name] == "HASH"
    if value is None:
        return not is_hash
    return index.types[name] in value and not (is_hash and value == {"S": ""})


def check_filtered(item: Mapping[str, Any], index: VectorIndex) -> None:
    """Raises `DialectError` if an attribute by which the index filters has a wrong type, or if its HASH attribute is
    empty."""
    for name, kind in index.types.items():
        if name not in item:
            continue
        if kind not in item[name]:
            raise validation(f"Type mismatch: the attribute {name} is of type {kind} in the vector index {index.name}")
        if index.schema[name] == "HASH" and item[name] == {"S": ""}:
            raise validation(f"The attribute {name} is HASH in the vector index {index.name}: no empty string value")


def distance(function: str, left: Sequence[float], right: Sequence[float]) -> float:
    """The distance of two vectors: 1 - cosine, the Euclidean distance, or 1 - the dot product."""
    if function == EUCLIDEAN:
        return math.dist(left, right)
    product = math.fsum(a * b for a, b in zip(left, right, strict=True))
    if function == DOT_PRODUCT:
        return 1 - product
    lengths = math.hypot(*left) * math.hypot(*right)
    return 1 - (max(-1.0, min(1.0, product / lengths)) if lengths else 0.0)


def aws_score(function: str, distance: float) -> float:
    """The score that SearchVectors returns. For the dot product, nearer vectors have a higher score, for the others a
    lower."""
    return _finite(1 - distance if function == DOT_PRODUCT else distance)


def similarity(function: str, distance: float) -> float:
    """The score that Alternator's older dialect returns: nearer vectors have a higher score. For the Euclidean
    distance, the square is used, as in ScyllaDB's vector store; its documentation says otherwise."""
    return _finite(1 / (1 + distance * distance) if function == EUCLIDEAN else 1 - distance / 2)


def _finite(score: float) -> float:
    rounded = float32(score)
    return rounded if math.isfinite(rounded) else math.copysign(3.4028234663852886e38, score)
