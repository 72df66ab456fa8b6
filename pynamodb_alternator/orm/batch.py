"""A batch writer that keeps the items of a batch that failed."""

from __future__ import annotations

from typing import Any, Self, TypeVar

from pynamodb import models as _models
from pynamodb.constants import DELETE_REQUEST, ITEM, KEY, PUT, PUT_REQUEST

from ._pynamodb import SERIALIZER_HOOKS, connection_of, keys_of
from .instances import batch_serializer_of

__all__ = ["BatchWrite"]

_M = TypeVar("_M", bound=_models.Model)


class _Serialized:
    """A serialized item, with the method that PynamoDB's batch writer calls."""

    __slots__ = ("_item",)

    def __init__(self, item: dict[str, Any]) -> None:
        self._item = item

    def serialize(self) -> dict[str, Any]:
        return self._item


class BatchWrite(_models.BatchWrite[_M]):
    """PynamoDB's batch writer, except that a batch that failed stays in `failed_operations`.

    `failed_operations` has the entries of all failed batches in the server's form: ``{"PutRequest": {"Item": ...}}``
    and ``{"DeleteRequest": {"Key": ...}}``. If the error's cause is an `OutcomeUnknownError`, or if a batch was
    interrupted (a task was cancelled, or Ctrl-C was pressed), some, all or none of the last batch's entries were
    executed.
    """

    pending_operations: list[dict[str, Any]]
    failed_operations: list[Any]

    def __enter__(self) -> Self:  # PynamoDB's method has no type
        return self

    def commit(self) -> None:
        """Write all pending changes. Raises `PutError`, as PynamoDB does."""
        before, pending = self.failed_operations, self.pending_operations
        self.pending_operations = serialized = self._serialized(pending)
        try:
            super().commit()
        except BaseException:
            if self.pending_operations is serialized:  # an item could not be serialized: all are still pending
                self.pending_operations = pending
            elif self.failed_operations is before:
                self.failed_operations = [*before, *map(self._entry, pending)]
            else:  # PynamoDB has stored the operations that the server did not process
                self.failed_operations = [*before, *self.failed_operations]
            raise

    @staticmethod
    def _serialized(operations: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The operations, with the items to be put in the server's form, if their models allow this.

        Each model is checked once for all its items.
        """
        serializers: dict[type, Any] = {}
        serialized = []
        for operation in operations:
            item = operation["item"]
            if operation["action"] == PUT:
                model = type(item)
                if model not in serializers:
                    serializers[model] = batch_serializer_of(model)
                if serializers[model] is not None and SERIALIZER_HOOKS.isdisjoint(vars(item)):
                    operation = {**operation, "item": _Serialized(serializers[model](item, True))}
            serialized.append(operation)
        return serialized

    def _entry(self, operation: dict[str, Any]) -> dict[str, Any]:
        """A pending operation in the server's form."""
        item = operation["item"]
        if operation["action"] == PUT:
            return {PUT_REQUEST: {ITEM: item.serialize()}}
        table = connection_of(self.model).get_meta_table()
        key = {name: {table.get_attribute_type(name): value} for name, value in keys_of(item).items()}
        return {DELETE_REQUEST: {KEY: key}}
