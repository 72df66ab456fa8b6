"""A vector index for an event loop: the requests are those of `VectorIndex`, only the waiting differs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Generic, Protocol, TypeVar

from pynamodb import models
from pynamodb.expressions.condition import Condition

from ..core.cluster_core import ClusterCore
from ..core.vector_dialects import status_of
from ..core.vector_search import Steps, creating, deleting, run_async, searching
from ..core.vector_values import Vector
from ..errors import ConfigurationError
from ..settings import checks
from .vector_index import FIRST_PAUSE, LONGEST_PAUSE, Attributes, VectorIndex, too_late
from .vector_results import VectorResults

__all__ = ["AsyncVectorIndex", "HasAsyncClient"]

_M = TypeVar("_M", bound=models.Model)
_T = TypeVar("_T")
_METHODS = {"SearchVectors": "search_vectors", "Query": "query", "UpdateTable": "update_table"}
"""The methods of a client."""


class HasAsyncClient(Protocol):
    """The needed part of an `AsyncCluster`. Models do not need the extra `async`, and so do not import that class."""

    core: ClusterCore

    def client(self) -> Awaitable[Any]: ...


class AsyncVectorIndex(Generic[_M]):
    """A vector index for an event loop, made by `VectorIndex.on`.

    The methods raise botocore's errors unchanged, and otherwise the same errors as the methods of `VectorIndex`. The
    cluster's settings apply, and not those of the model's `Meta`.
    """

    def __init__(self, index: VectorIndex[_M], cluster: HasAsyncClient) -> None:
        if not callable(getattr(type(cluster), "client", None)):  # a property of other clusters
            raise ConfigurationError(
                f"{index.model.__qualname__}, vector index {index.Meta.index_name!r}: on() needs an AsyncCluster, "
                f"as of `async with AsyncCluster(get_cluster()) as cluster` (got {checks.shown(cluster)})."
            )
        self._index = index
        self._cluster = cluster
        self._table = index.model.Meta.table_name

    async def search(
        self, vector: Vector, k: int, filter: Condition | None = None, attributes: Attributes | None = None
    ) -> VectorResults[_M]:
        """The nearest items: see `VectorIndex.search`."""
        search = self._index.prepare(vector, k, filter, attributes)
        return self._index.results(await self._run(searching(self._cluster.core.questions.vector_dialect, search)))

    async def create(self, *, wait: bool = False, timeout: float = 300.0) -> None:  # noqa: ASYNC109 (of the index)
        """Add the index to the table: see `VectorIndex.create`."""
        await self._run(creating(self._cluster.core.questions.vector_dialect, self._table, self._index.definition()))
        if wait:
            await self.wait_until_active(timeout)

    async def delete(self) -> None:
        """Delete the index. Items are not changed."""
        await self._run(deleting(self._table, self._index.Meta.index_name))

    async def status(self) -> str | None:
        """The state of the index: see `VectorIndex.status`."""
        client = await self._cluster.client()
        return status_of((await client.describe_table(TableName=self._table))["Table"], self._index.Meta.index_name)

    async def wait_until_active(self, timeout: float = 300.0) -> None:  # noqa: ASYNC109 (of the index)
        """Wait until the index can be searched: see `VectorIndex.wait_until_active`."""
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + timeout, FIRST_PAUSE
        while not self._index.is_active(await self.status()):
            if loop.time() + pause > end:
                raise too_late(f"The vector index {self._index.Meta.index_name!r} of {self._table}", timeout)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _run(self, steps: Steps[_T]) -> _T:
        client: Any = await self._cluster.client()
        return await run_async(steps, lambda operation, parameters: getattr(client, _METHODS[operation])(**parameters))
