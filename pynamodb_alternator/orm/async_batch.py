"""PynamoDB's batch writer for an event loop."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from pynamodb import models as _models

from .in_loop import run

__all__ = ["AsyncBatchWrite"]

_M = TypeVar("_M", bound=_models.Model)


class AsyncBatchWrite(Generic[_M]):
    """A batch writer for an event loop: ``async with User.aio.batch_write() as batch: await batch.save(user)``.

    It collects items. It writes them 25 at a time, and the rest at the end of the block. If an exception leaves the
    block, it writes the rest too, as PynamoDB does. But if the task was cancelled, items that were not sent stay in
    `pending_operations`, and a batch that was under way is in `failed_operations`: some, all or none of its items were
    written. Tasks may share it: one batch is written at a time.
    """

    def __init__(self, batch: _models.BatchWrite[_M]) -> None:
        self._batch = batch
        self._turn = asyncio.Lock()

    @property
    def pending_operations(self) -> list[dict[str, Any]]:
        """The operations that were not sent yet: see PynamoDB's `BatchWrite`."""
        return self._batch.pending_operations

    @property
    def failed_operations(self) -> list[Any]:
        """The operations of batches that failed: see `BatchWrite`."""
        return self._batch.failed_operations

    async def save(self, put_item: _M) -> None:
        """Write this item, when the batch is full or at the end. Raises what PynamoDB's `BatchWrite.save` raises."""
        async with self._turn:
            await run(self._batch.save, put_item)

    async def delete(self, del_item: _M) -> None:
        """Delete this item, when the batch is full or at the end. Raises what `BatchWrite.delete` raises."""
        async with self._turn:
            await run(self._batch.delete, del_item)

    async def commit(self) -> None:
        """Write all pending operations now. Raises `PutError`."""
        async with self._turn:
            await run(self._batch.commit)

    async def __aenter__(self) -> Self:
        await run(self._batch.__enter__)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):
            return
        async with self._turn:
            await run(self._batch.__exit__, kind, error, trace)
