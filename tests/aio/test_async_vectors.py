"""Vector search for an event loop: the requests are those of the models, and only the waiting differs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from botocore.exceptions import ClientError
from pynamodb.attributes import UnicodeAttribute
from pynamodb.exceptions import TableError

from pynamodb_alternator import Cluster, Model, VectorAttribute, VectorIndex
from pynamodb_alternator.aio import AsyncCluster
from pynamodb_alternator.errors import ConfigurationError, VectorError
from pynamodb_alternator.local import LocalCluster

from .support import run


class Arrow(Model):
    class Meta:
        table_name = "arrows"
        billing_mode = "PAY_PER_REQUEST"

    name = UnicodeAttribute(hash_key=True)
    color = UnicodeAttribute(null=True)
    v = VectorAttribute(dimensions=2)
    near = VectorIndex(index_name="near", distance="euclidean", search_schema={"color": "INLINE_FILTER"})


VECTORS = {"east": (1, 0), "north": (0, 2), "northeast": (1, 1)}


@pytest.fixture(params=["aws", "alternator", "both"])
def shared(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster of models, whose table is filled."""
    with LocalCluster(nodes=2, vector_dialect=request.param) as local, Cluster(local.url) as cluster:
        Arrow.Meta.cluster = cluster  # type: ignore[attr-defined]
        Arrow.create_table(wait=True)
        for name, vector in VECTORS.items():
            Arrow(name, v=vector, color="red" if name == "north" else "blue").save()
        yield cluster
    assert local.failures == []


def test_a_search_finds_the_nearest_items(shared: Cluster) -> None:
    async def main() -> None:
        async with AsyncCluster(shared) as cluster:
            near = Arrow.near.on(cluster)
            results = await near.search([1, 0], k=2)
            assert [type(item) for item in results] == [Arrow, Arrow]
            told = [(item.name, round(distance, 6)) for item, _, distance in results.scored()]
            assert told == [("east", 0.0), ("northeast", 1.0)]
            (red,) = await near.search([1, 0], k=2, filter=Arrow.color == "red", attributes=["name"])
            assert (red.name, red.color, red.v) == ("north", None, None)
            for vector in ([1], [1, math.nan], [math.inf, 0]):
                with pytest.raises(VectorError, match="Arrow, vector index 'near': search: the vector"):
                    await near.search(vector, k=1)
            # What is learnt of the cluster, models know as well.
            assert shared.core.questions.vector_dialect.dialect is not None

    run(main)
    assert [item.name for item in Arrow.near.search([0, 2], k=1)] == ["north"]


def test_an_index_is_created_and_deleted(shared: Cluster) -> None:
    async def main() -> None:
        async with AsyncCluster(shared) as cluster:
            near = Arrow.near.on(cluster)
            assert await near.status() == "ACTIVE"
            await near.delete()
            assert await near.status() is None
            with pytest.raises(ClientError):
                await near.search([1, 0], k=1)
            with pytest.raises(ClientError):
                await near.delete()
            with pytest.raises(TableError, match="the table arrows has no such index"):
                await near.wait_until_active()
            await near.create(wait=True)
            assert [item.name for item in await near.search([0, 2], k=1)] == ["north"]

    run(main)


class Slow:
    """As much of an `AsyncCluster` as is needed, over one whose indexes are not ACTIVE at the first looks."""

    def __init__(self, cluster: AsyncCluster, looks: int) -> None:
        self.core = cluster.core
        self.looks = looks
        self._cluster = cluster

    async def client(self) -> Any:
        self._client = await self._cluster.client()
        return self

    async def describe_table(self, **parameters: Any) -> Any:
        answer = await self._client.describe_table(**parameters)
        if self.looks:
            self.looks -= 1
            answer["Table"]["VectorIndexes"][0]["IndexStatus"] = "CREATING"
        return answer


def test_the_cluster_of_models_is_not_one_for_an_event_loop(shared: Cluster) -> None:
    for wrong in (shared, "http://127.0.0.1:8000", None):
        with pytest.raises(ConfigurationError, match=r"Arrow, vector index 'near': on\(\) needs an AsyncCluster, "):
            Arrow.near.on(wrong)  # type: ignore[arg-type]


def test_waiting_until_an_index_is_active(shared: Cluster) -> None:
    async def main() -> None:
        async with AsyncCluster(shared) as cluster:
            slow = Slow(cluster, looks=3)
            await Arrow.near.on(slow).wait_until_active()
            assert slow.looks == 0
            slow.looks = 100
            with pytest.raises(TimeoutError, match="vector index 'near' of arrows is still being created after 0"):
                await Arrow.near.on(slow).wait_until_active(timeout=0.2)
            assert slow.looks > 0

    run(main)


def test_models_in_an_event_loop(shared: Cluster) -> None:
    async def main() -> None:
        near = Arrow.aio.vector_index(Arrow.near)
        results = await near.search([1, 0], k=2)
        assert [item.name for item in results] == ["east", "northeast"]
        (red,) = await near.search([1, 0], 2, Arrow.color == "red", ["name"])
        assert red.name == "north"
        assert await near.status() == "ACTIVE"
        with pytest.raises(VectorError):
            await near.search([1, 0], k=0)
        await near.delete()
        await near.create(wait=True)
        await near.wait_until_active()
        assert len(await near.search([1, 0], k=3)) == 3

    run(main)
