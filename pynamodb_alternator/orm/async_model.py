"""Models in an event loop: `Model.aio` has the methods of the model, which are awaited.

Each method calls the model's own method in a greenlet, so that methods which an application has overridden are used
here too. The types are those of PynamoDB's methods.

Python reads `Model.aio` whenever a model is defined. So this module is always imported, and modules that need asyncio
are imported when they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial, wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast, overload

from pynamodb import models as _models
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.indexes import Index

from ._pynamodb import model_of
from .async_checks import check_connection, checked_index, checked_vector_index, shown, what_instead
from .in_loop import run

if TYPE_CHECKING:
    from ..core.vector_values import Vector
    from .async_batch import AsyncBatchWrite
    from .async_results import AsyncItems, AsyncResults
    from .model import Model
    from .vector_index import Attributes, VectorIndex
    from .vector_results import VectorResults

__all__ = ["AsyncFace", "AsyncIndex", "AsyncInstance", "AsyncModel", "AsyncVectors"]

_M = TypeVar("_M", bound="Model")
_I = TypeVar("_I", bound=_models.Model)
_F = TypeVar("_F", bound=Callable[..., Any])
_Key = Any
_LastKey = dict[str, dict[str, Any]]


class _Face:
    """The common base of the classes. `on`: the model, instance or index that has the methods."""

    __slots__ = ("_on",)

    def __init__(self, on: Any) -> None:
        self._on = on

    def method(self, name: str) -> Any:
        """The method with this name. Raises `ConfigurationError` if it would block the event loop."""
        on = self._on
        model = model_of(on) if isinstance(on, Index) else on if isinstance(on, type) else type(on)
        if model is not None:
            check_connection(model)
        return getattr(on, name)

    def __repr__(self) -> str:
        return f"<{shown(self._on)}.aio>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("_"):  # Python itself looks for such names, also in an incomplete instance
                raise AttributeError(name)
            other = {AsyncModel: AsyncInstance, AsyncInstance: AsyncModel}.get(type(self))
            raise AttributeError(what_instead(self._on, name, type(self), other), name=name, obj=self)


def _awaits(method: _F) -> _F:
    """Make a method that awaits the model's method of the same name. Only the given arguments are passed on: the method
    may be the application's own, with fewer arguments than PynamoDB's. The decorated function is only the signature."""
    name = method.__name__

    @wraps(method)
    async def awaiting(self: _Face, *args: Any, **kwargs: Any) -> Any:
        return await run(self.method(name), *args, **kwargs)

    return cast(_F, awaiting)


def _iterates(method: _F) -> _F:
    """Like `_awaits`, for a method that returns an iterator. It is called when the first item is needed."""
    name = method.__name__

    @wraps(method)
    def iterating(self: _Face, *args: Any, prefetch: int = 0, **kwargs: Any) -> Any:
        from .async_results import AsyncResults

        begin = partial(self.method(name), *args, **kwargs)
        return AsyncResults(begin, prefetch, partial(_start_of, method, args, kwargs))

    return cast(_F, iterating)


def _gives_items(method: _F) -> _F:
    """Like `_iterates`, for an iterator that has no pages."""
    name = method.__name__

    @wraps(method)
    def giving(self: _Face, *args: Any, **kwargs: Any) -> Any:
        from .async_results import AsyncItems

        return AsyncItems(partial(self.method(name), *args, **kwargs))

    return cast(_F, giving)


def _start_of(method: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """The `last_evaluated_key` among the arguments of a query or scan."""
    try:
        return signature(method).bind_partial(None, *args, **kwargs).arguments.get("last_evaluated_key")
    except TypeError:  # the application's own method may have other arguments
        return kwargs.get("last_evaluated_key")


class AsyncModel(_Face, Generic[_M]):
    """A model's class in an event loop: ``User.aio``. The methods raise what those of the model raise."""

    __slots__ = ()

    @_awaits
    async def get(
        self,
        hash_key: _Key,
        range_key: _Key | None = None,
        consistent_read: bool = False,
        attributes_to_get: Sequence[str] | None = None,
    ) -> _M:
        """The item with this key: see PynamoDB's `Model.get`. Raises `DoesNotExist`."""
        raise NotImplementedError

    @_iterates
    def query(
        self,
        hash_key: _Key,
        range_key_condition: Condition | None = None,
        filter_condition: Condition | None = None,
        consistent_read: bool = False,
        index_name: str | None = None,
        scan_index_forward: bool | None = None,
        limit: int | None = None,
        last_evaluated_key: _LastKey | None = None,
        attributes_to_get: Iterable[str] | None = None,
        page_size: int | None = None,
        rate_limit: float | None = None,
        *,
        prefetch: int = 0,
    ) -> AsyncResults[_M]:
        """The items of a partition, for ``async for``: see PynamoDB's `Model.query`.

        `prefetch`: how many pages are fetched ahead of the one that is read.
        """
        raise NotImplementedError

    @_iterates
    def scan(
        self,
        filter_condition: Condition | None = None,
        segment: int | None = None,
        total_segments: int | None = None,
        limit: int | None = None,
        last_evaluated_key: _LastKey | None = None,
        page_size: int | None = None,
        consistent_read: bool | None = None,
        index_name: str | None = None,
        rate_limit: float | None = None,
        attributes_to_get: Sequence[str] | None = None,
        *,
        prefetch: int = 0,
    ) -> AsyncResults[_M]:
        """All items of the table, for ``async for``: see PynamoDB's `Model.scan`. `prefetch`: see `query`."""
        raise NotImplementedError

    @_gives_items
    def batch_get(
        self,
        items: Iterable[_Key | Iterable[_Key]],
        consistent_read: bool | None = None,
        attributes_to_get: Sequence[str] | None = None,
    ) -> AsyncItems[_M]:
        """The items with these keys, for ``async for``, in any order: see PynamoDB's `Model.batch_get`."""
        raise NotImplementedError

    def batch_write(self, auto_commit: bool = True) -> AsyncBatchWrite[_M]:
        """A batch writer, for ``async with``: see PynamoDB's `Model.batch_write`."""
        from .async_batch import AsyncBatchWrite

        return AsyncBatchWrite(self.method("batch_write")(auto_commit))

    @_awaits
    async def count(
        self,
        hash_key: _Key | None = None,
        range_key_condition: Condition | None = None,
        filter_condition: Condition | None = None,
        consistent_read: bool = False,
        index_name: str | None = None,
        limit: int | None = None,
        rate_limit: float | None = None,
    ) -> int:
        """How many items a partition has: see PynamoDB's `Model.count`."""
        raise NotImplementedError

    def index(self, index: Index[_I]) -> AsyncIndex[_I]:
        """The methods of an index of the model: ``User.aio.index(User.by_city).query("Oslo")``."""
        return AsyncIndex(checked_index(self._on, index))

    def vector_index(self, index: VectorIndex[_I]) -> AsyncVectors[_I]:
        """The methods of a vector index of the model:
        ``await Note.aio.vector_index(Note.near).search(vector, k=3)``."""
        return AsyncVectors(checked_vector_index(self._on, index))

    @_awaits
    async def create_table(
        self,
        wait: bool = False,
        read_capacity_units: int | None = None,
        write_capacity_units: int | None = None,
        billing_mode: str | None = None,
        ignore_update_ttl_errors: bool = False,
    ) -> Any:
        """Create the table, if it does not exist: see PynamoDB's `Model.create_table`."""
        raise NotImplementedError

    @_awaits
    async def delete_table(self, *, wait: bool = False) -> Any:
        """Delete the table: see PynamoDB's `Model.delete_table`."""
        raise NotImplementedError

    @_awaits
    async def exists(self) -> bool:
        """Whether the table exists."""
        raise NotImplementedError

    @_awaits
    async def describe_table(self) -> Any:
        """The server's description of the table."""
        raise NotImplementedError

    @_awaits
    async def update_ttl(self, ignore_update_ttl_errors: bool) -> None:
        """Turn the expiry of items on, if the model has an attribute for it: see PynamoDB's `Model.update_ttl`."""
        raise NotImplementedError

    @_awaits
    async def alternator_write_isolation(self, new: str | None = None) -> str | None:
        """Which writes of the table use a lightweight transaction: see `Model.alternator_write_isolation`."""
        raise NotImplementedError


class AsyncInstance(_Face, Generic[_M]):
    """An instance of a model in an event loop: ``user.aio``. The methods raise what those of the instance raise."""

    __slots__ = ()

    @_awaits
    async def save(self, condition: Condition | None = None, *, add_version_condition: bool = True) -> dict[str, Any]:
        """Write the item: see PynamoDB's `Model.save`. Raises `PutError`."""
        raise NotImplementedError

    @_awaits
    async def update(
        self, actions: list[Action], condition: Condition | None = None, *, add_version_condition: bool = True
    ) -> Any:
        """Change the item on the server, and this instance too: see PynamoDB's `Model.update`."""
        raise NotImplementedError

    @_awaits
    async def delete(self, condition: Condition | None = None, *, add_version_condition: bool = True) -> Any:
        """Delete the item: see PynamoDB's `Model.delete`. Raises `DeleteError`."""
        raise NotImplementedError

    @_awaits
    async def refresh(self, consistent_read: bool = False) -> None:
        """Read the item again: see PynamoDB's `Model.refresh`. Raises `DoesNotExist`."""
        raise NotImplementedError


class AsyncIndex(_Face, Generic[_I]):
    """An index in an event loop: ``User.aio.index(User.by_city)``. The methods raise what those of the index raise."""

    __slots__ = ()

    @_iterates
    def query(
        self,
        hash_key: _Key,
        range_key_condition: Condition | None = None,
        filter_condition: Condition | None = None,
        consistent_read: bool = False,
        scan_index_forward: bool | None = None,
        limit: int | None = None,
        last_evaluated_key: _LastKey | None = None,
        attributes_to_get: list[str] | None = None,
        page_size: int | None = None,
        rate_limit: float | None = None,
        *,
        prefetch: int = 0,
    ) -> AsyncResults[_I]:
        """The items with this key of the index, for ``async for``. `prefetch`: see `AsyncModel.query`."""
        raise NotImplementedError

    @_iterates
    def scan(
        self,
        filter_condition: Condition | None = None,
        segment: int | None = None,
        total_segments: int | None = None,
        limit: int | None = None,
        last_evaluated_key: _LastKey | None = None,
        page_size: int | None = None,
        consistent_read: bool | None = None,
        rate_limit: float | None = None,
        attributes_to_get: list[str] | None = None,
        *,
        prefetch: int = 0,
    ) -> AsyncResults[_I]:
        """All items of the index, for ``async for``. `prefetch`: see `AsyncModel.query`."""
        raise NotImplementedError

    @_awaits
    async def count(
        self,
        hash_key: _Key,
        range_key_condition: Condition | None = None,
        filter_condition: Condition | None = None,
        consistent_read: bool = False,
        limit: int | None = None,
        rate_limit: float | None = None,
    ) -> int:
        """How many items have this key of the index."""
        raise NotImplementedError


class AsyncVectors(_Face, Generic[_I]):
    """A vector index in an event loop: ``Note.aio.vector_index(Note.near)``. The methods raise what those of
    `VectorIndex` raise."""

    __slots__ = ()

    @_awaits
    async def search(
        self, vector: Vector, k: int, filter: Condition | None = None, attributes: Attributes | None = None
    ) -> VectorResults[_I]:
        """The `k` items whose vectors are nearest: see `VectorIndex.search`."""
        raise NotImplementedError

    @_awaits
    async def create(self, *, wait: bool = False, timeout: float = 300.0) -> None:  # noqa: ASYNC109 (of the index)
        """Add the index to the table: see `VectorIndex.create`."""
        raise NotImplementedError

    @_awaits
    async def delete(self) -> None:
        """Delete the index. Items are not changed."""
        raise NotImplementedError

    @_awaits
    async def status(self) -> str | None:
        """The state of the index: see `VectorIndex.status`."""
        raise NotImplementedError

    @_awaits
    async def wait_until_active(self, timeout: float = 300.0) -> None:  # noqa: ASYNC109 (of the index)
        """Wait until the index can be searched: see `VectorIndex.wait_until_active`."""
        raise NotImplementedError


class AsyncFace:
    """The descriptor `Model.aio`: of a class it is an `AsyncModel`, of an instance an `AsyncInstance`."""

    @overload
    def __get__(self, instance: None, owner: type[_M]) -> AsyncModel[_M]: ...
    @overload
    def __get__(self, instance: _M, owner: type[_M]) -> AsyncInstance[_M]: ...
    def __get__(self, instance: Any, owner: type[Any]) -> Any:
        return AsyncModel(owner) if instance is None else AsyncInstance(instance)
