"""Vector search on any cluster that has it, in whichever dialect."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pynamodb.attributes import UnicodeAttribute
from pynamodb.exceptions import TableError

from pynamodb_alternator import Cluster, Model, VectorAttribute, VectorIndex

PATIENCE = 60.0
"""Seconds until an item that was saved is found: the index follows the table."""


def model_in(cluster: Cluster, prefix: str, distance: Any) -> Any:
    class Place(Model):
        class Meta:
            table_name = f"{prefix}_{distance}"
            billing_mode = "PAY_PER_REQUEST"

        name = UnicodeAttribute(hash_key=True)
        country = UnicodeAttribute(default="de")
        v = VectorAttribute(dimensions=3)
        nearest = VectorIndex(distance=distance, search_schema={"country": "INLINE_FILTER"})

    Place.Meta.cluster = cluster  # type: ignore[attr-defined]
    return Place


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("distance", "distances"), [("euclidean", [1, 5**0.5, 3]), ("cosine", [0, 1, 2]), ("dot_product", [-2, 0, 2])]
)
def test_a_search_finds_the_nearest_items(cluster: Cluster, prefix: str, distance: str, distances: list[float]) -> None:
    model = model_in(cluster, prefix, distance)
    try:
        model.create_table(wait=True)
    except TableError as error:
        pytest.skip(f"this cluster has no vector search: {error}")
    model("east", v=[2, 0, 0]).save()
    model("up", v=[0, 0, 2], country="at").save()
    model("west", v=[-2, 0, 0]).save()
    results = eventually(model, [1, 0, 0])
    assert [item.name for item in results] == ["east", "up", "west"]
    assert [item.distance for item in results] == pytest.approx(distances, abs=1e-3)
    assert results[0].v == [2.0, 0.0, 0.0]
    abroad = model.nearest.search([1, 0, 0], k=3, filter=model.country == "at", attributes=["name"])
    assert [item.name for item in abroad] == ["up"]
    model.nearest.delete()
    assert model.nearest.status() in (None, "DELETING")


def eventually(model: Any, target: list[int]) -> Any:
    end = time.monotonic() + PATIENCE
    while len(results := model.nearest.search(target, k=3)) < 3:
        assert time.monotonic() < end, f"{len(results)} of 3 items were found"
        time.sleep(0.5)
    return results
