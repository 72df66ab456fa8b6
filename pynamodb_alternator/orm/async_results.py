"""The items of a query, a scan or a batch get, for ``async for``.

PynamoDB's iterators are used without changes. An iterator over pages gets its pages from this module: a page that has
come is read at once, and a page that has not come is fetched in a greenlet, when it is needed or before.

The application's own code, such as a `query` or an attribute of its own, runs in a greenlet too, because it may make
requests.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Generic, NamedTuple, TypeVar

from pynamodb.constants import CAMEL_COUNT
from pynamodb.pagination import PageIterator, ResultIterator

from ..errors import ConfigurationError
from ._pynamodb import limit_of, put_back
from .in_loop import run
from .pages import calls_application

__all__ = ["AsyncItems", "AsyncResults"]

_M = TypeVar("_M")
_END: Any = object()
_NOT_HERE: Any = object()
"""The next item has not come yet, and must be waited for."""


class AsyncItems(Generic[_M]):
    """Items for ``async for``. Only one task at a time may ask for items.

    `begin`: returns the items. It is called in a greenlet when the first item is needed.
    """

    def __init__(self, begin: Callable[[], Iterable[_M]]) -> None:
        self._begin = begin
        self._source: _Paged | _Others | None = None
        self._is_over = False
        self._is_asked = False

    def __aiter__(self) -> AsyncItems[_M]:
        return self

    async def __anext__(self) -> _M:
        if self._is_asked:
            raise RuntimeError("Another task is waiting for the next of these items: one task at a time.")
        if self._is_over:
            raise StopAsyncIteration
        item = _NOT_HERE if self._source is None else self._source.take()
        if item is _NOT_HERE:
            self._is_asked = True
            try:
                item = await self._next()
            finally:
                self._is_asked = False
        if item is _END:
            await self.aclose()
            raise StopAsyncIteration
        return item  # type: ignore[no-any-return]

    async def _next(self) -> Any:
        if self._source is None:
            self._source = await run(self._begun)
        return await self._source.next()

    def _begun(self) -> _Paged | _Others:
        return _Others(self._begin())

    async def aclose(self) -> None:
        """Return no more items, and stop fetching pages ahead."""
        self._is_over = True
        if self._source is not None:
            await self._source.aclose()

    async def all(self) -> list[_M]:
        """All remaining items, in a list."""
        return [item async for item in self]


class AsyncResults(AsyncItems[_M]):
    """The items of a query or scan for ``async for``, as PynamoDB's `ResultIterator` has them for ``for``.

    A page is fetched when its first item is needed. With `prefetch`, so many pages are fetched ahead by a task of its
    own. If a task is cancelled or a request fails, no item is lost: the next task that asks continues from there. Only
    one task at a time may ask for items.
    """

    def __init__(
        self, begin: Callable[[], Iterable[_M]], prefetch: int = 0, start: Callable[[], Any] = lambda: None
    ) -> None:
        if isinstance(prefetch, bool) or not isinstance(prefetch, int) or prefetch < 0:
            raise ConfigurationError(
                f"prefetch must be the number of pages to fetch ahead, 0 for none (got {prefetch!r})."
            )
        super().__init__(begin)
        self._prefetch = prefetch
        self._start = start

    def __aiter__(self) -> AsyncResults[_M]:
        return self

    def _begun(self) -> _Paged | _Others:
        results = self._begin()
        if isinstance(results, ResultIterator):
            return _Paged(results, self._prefetch)
        if self._prefetch:
            raise ConfigurationError(
                "prefetch is for a query or scan of PynamoDB's own: only these give pages. Leave it out."
            )
        return _Others(results)

    @property
    def last_evaluated_key(self) -> dict[str, dict[str, Any]] | None:
        """The key after which another query or scan would continue: that of the last item that was returned."""
        results = self._start() if self._source is None else self._source.results.last_evaluated_key
        key: dict[str, dict[str, Any]] | None = results
        return key

    @property
    def total_count(self) -> int:
        """The number of items in the pages that were read."""
        return 0 if self._source is None else int(self._source.results.total_count)


class _Others:
    """Items of any other iterator. Each item is requested in a greenlet."""

    def __init__(self, items: Iterable[Any]) -> None:
        self.results: Any = items
        self._items = iter(items)
        self._was_interrupted = False

    def take(self) -> Any:
        """The next item, `_END`, or `_NOT_HERE`."""
        return _NOT_HERE

    async def next(self) -> Any:
        """The next item, or `_END`."""
        if self._was_interrupted:
            # After an exception a generator has ended, and would only raise StopIteration.
            raise RuntimeError("These items cannot be read on, because an exception came in the middle. Begin anew.")
        self._was_interrupted = True
        item = await run(next, self._items, _END)
        self._was_interrupted = False
        return item

    async def aclose(self) -> None:
        """Does nothing, because nothing is fetched ahead."""


class _Paged:
    """Items of PynamoDB's own query or scan."""

    def __init__(self, results: ResultIterator[Any], prefetch: int) -> None:
        self.results = results
        # A greenlet for each item would take longer than to make most instances.
        self._needs_greenlet = calls_application(results)
        self._pages = _Pages(results.page_iter, prefetch, limit_of(results))
        pages: Any = self._pages
        results.page_iter = pages

    def take(self) -> Any:
        """The next item, `_END`, or `_NOT_HERE`."""
        if self._needs_greenlet:
            return _NOT_HERE
        try:
            return next(self.results, _END)
        except _NotFetched:
            return _NOT_HERE

    async def next(self) -> Any:
        """The next item, or `_END`."""
        while True:
            try:
                item = await run(next, self.results, _END) if self._needs_greenlet else self.take()
            except _NotFetched:
                item = _NOT_HERE
            except asyncio.CancelledError:
                put_back(self.results)  # the instance that was made of the item is lost
                raise
            if item is not _NOT_HERE:
                return item
            await self._pages.fetch()

    async def aclose(self) -> None:
        """Stop fetching pages ahead."""
        await self._pages.aclose()

    def __del__(self) -> None:
        """Stop fetching when an ``async for`` was left. This can be collected, because the task holds only the
        pages."""
        if hasattr(self, "_pages"):
            self._pages.abandon()


class _NotFetched(Exception):
    """The next page has not come yet."""


class _Fetched(NamedTuple):
    page: Any
    last_evaluated_key: Any
    total_scanned_count: int


class _Pages:
    """Looks like PynamoDB's `PageIterator` to a `ResultIterator`, except that it does not fetch pages when it is
    iterated.

    `limit`: how many items are needed; None for all. A page that is not needed is not fetched ahead.
    """

    def __init__(self, pages: PageIterator[Any], prefetch: int, limit: int | None) -> None:
        self._pages = pages
        self._prefetch = prefetch
        self._left = limit
        self._fetched: deque[_Fetched] = deque()
        self._read = _Fetched(None, pages.last_evaluated_key, 0)
        self._is_complete = False
        self._fetching: asyncio.Task[None] | None = None

    # ---- what a ResultIterator uses ----------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._fetched:
            self._read = self._fetched.popleft()
            self._fetch_ahead()
            return self._read.page
        if self._is_complete:
            raise StopIteration
        raise _NotFetched

    next = __next__

    @property
    def last_evaluated_key(self) -> Any:
        return self._read.last_evaluated_key

    @property
    def total_scanned_count(self) -> int:
        return self._read.total_scanned_count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pages, name)

    # ---- fetching ----------------------------------------------------------------------------------------------

    async def fetch(self) -> None:
        """Wait until the next page has come, or until it is known that there is none. Raises the errors of the
        request."""
        if not self._prefetch:
            await self._fetch_one()
            return
        fetching = self._fetching
        if fetching is None or (fetching.done() and not _has_failed(fetching)):
            fetching = self._begin()
        # If the task is cancelled here, the next task that asks gets the page.
        await asyncio.wait([fetching])
        if not self._fetched and _has_failed(fetching):
            self._fetching = None
            fetching.result()

    async def _fetch_one(self) -> None:
        page = await run(next, self._pages, _END)
        if page is _END:
            self._is_complete = True
        else:
            self._fetched.append(_Fetched(page, self._pages.last_evaluated_key, self._pages.total_scanned_count))
            if self._left is not None:
                self._left -= page[CAMEL_COUNT]

    async def _fetch_some(self) -> None:
        await self._fetch_one()
        while self._wants_more():
            await self._fetch_one()

    def _wants_more(self) -> bool:
        is_enough = self._left is not None and self._left <= 0
        return not self._is_complete and not is_enough and len(self._fetched) < self._prefetch

    def _fetch_ahead(self) -> None:
        fetching = self._fetching
        if not self._wants_more():
            return
        # An error is kept for the task that asks for this page. After that, the page is fetched again.
        if fetching is None or (fetching.done() and not _has_failed(fetching)):
            self._begin()

    def _begin(self) -> asyncio.Task[None]:
        self._fetching = asyncio.create_task(self._fetch_some())
        # Perhaps no task asks for the page. Without this, asyncio would log an error that was never retrieved.
        self._fetching.add_done_callback(_has_failed)
        return self._fetching

    async def aclose(self) -> None:
        fetching, self._fetching, self._is_complete = self._fetching, None, True
        self._fetched.clear()
        if fetching is not None and not fetching.done():
            fetching.cancel()
            await asyncio.wait([fetching])

    def abandon(self) -> None:
        """Stop fetching, in the event loop that fetches. The garbage collector calls this in any thread, perhaps after
        the end of the event loop."""
        fetching, self._fetching = self._fetching, None
        if fetching is not None and not fetching.done():
            with suppress(RuntimeError):  # the event loop is closed
                fetching.get_loop().call_soon_threadsafe(fetching.cancel)


def _has_failed(task: asyncio.Task[None]) -> bool:
    return not task.cancelled() and task.exception() is not None
