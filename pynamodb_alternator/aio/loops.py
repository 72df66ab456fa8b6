"""The clusters of each event loop: they are found by their alias when they are used, and closed with the event loop.

Each running event loop has one `AsyncCluster` over each `Cluster` that its tasks use. Both share the node list, its
health and its background thread; only the connections are the event loop's own.

An event loop has no callback for its end. But asynchronous generators are closed in it before the end, by
`asyncio.run`, uvicorn, asgiref, pytest-asyncio and anyio. So an asynchronous generator of this module waits for the
end, and then closes the connections. If an event loop is closed without this, the next event loop drops its
connections.

Nothing here takes a lock: each event loop has entries of its own, and each change of the table is a single step.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .. import registry
from .._stubs import with_async_client_type
from ..cluster import Cluster
from ..errors import ClusterClosedError
from .cluster import AsyncCluster
from .pool import EventLoopError

if TYPE_CHECKING:
    from .._stubs import AsyncClient

__all__ = ["client_here", "close_connections", "cluster_here", "get_client", "get_cluster"]

_T = TypeVar("_T")

_NOT_CLOSED = (
    "An event loop has ended, and the connections that models and aio.get_client() have opened in it were not closed: "
    "use asyncio.run(), or call `await aio.close_connections()` before `loop.close()`."
)


def get_cluster(alias: str = "default") -> AsyncCluster:
    """The cluster that `alias` means now, for the running event loop. Call this at each use, and do not keep the
    result.

    It shares everything except the connections with `pynamodb_alternator.get_cluster(alias)`, and is closed with the
    event loop; an ``async with`` does not close it. Raises `ConfigurationError` if the alias is not configured, and
    `EventLoopError` outside of an event loop.
    """
    here = _here()  # first, because a missing event loop is the more important error
    return here.cluster_of(registry.get_cluster(alias))


def cluster_here(cluster: Cluster) -> AsyncCluster:
    """The `AsyncCluster` over `cluster` for the running event loop."""
    return _here().cluster_of(cluster)


@with_async_client_type
async def get_client(alias: str = "default") -> AsyncClient:
    """The aiobotocore client over all nodes of the cluster that `alias` means now, for the running event loop.

    Call this at each use, and do not keep the result. Raises what `get_cluster` raises.
    """
    while True:
        here: Any = get_cluster(alias)  # Any, because type checkers take the type of the client from this function
        try:
            client: AsyncClient = await here.client()
        except ClusterClosedError:
            if get_cluster(alias) is here:
                raise
        else:
            # The alias may have been configured again while the client was made.
            if get_cluster(alias) is here:
                return client


async def close_connections() -> None:
    """Close the connections of the running event loop to the clusters of all aliases and models.

    It is for the end of an application whose event loop goes on. Requests under way end normally, and later requests
    open new connections. An `AsyncCluster` of your own stays open. Raises `EventLoopError` outside of an event loop.
    """
    clusters = _of_loop.get(_running_loop())
    if clusters is not None:
        await clusters.close()


def client_here(cluster: Cluster, hand_over: Callable[[Awaitable[Any]], Any]) -> ClientByHandOver:
    """The client of `cluster` for a greenlet in the running event loop. `hand_over`: see `ClientByHandOver`."""
    return _here().client_of(cluster, hand_over)


class ClientByHandOver:
    """An aiobotocore client with the methods of a botocore client. `hand_over`: waits for an awaitable, and returns its
    result."""

    def __init__(self, client: Any, hand_over: Callable[[Awaitable[Any]], Any]) -> None:
        self._client = client
        self._hand_over = hand_over

    def _make_api_call(self, operation_name: str, parameters: Any) -> Any:
        # PynamoDB calls this private method of its client.
        return self._hand_over(self._client._make_api_call(operation_name, parameters))

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._client, name)
        if not inspect.ismethod(value):
            return value

        def called(*args: Any, **kwargs: Any) -> Any:
            result = value(*args, **kwargs)
            return self._hand_over(result) if inspect.isawaitable(result) else result

        return called


class _ClusterOfLoop(AsyncCluster):
    """A cluster that all tasks of an event loop share: the end of an ``async with`` does not close it for the
    others."""

    _advice_when_closed = (
        "It was closed with its event loop, or because its alias means another one now. Keep neither it nor its "
        "client: write `await aio.get_client()`, or `aio.get_cluster()`, at each use."
    )
    _warning_when_forgotten = _NOT_CLOSED

    async def __aexit__(self, *_: object) -> None:
        return None


class _LoopClusters:
    """The clusters of the running event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._clusters: dict[Cluster, AsyncCluster] = {}
        self._clients: dict[AsyncCluster, ClientByHandOver] = {}
        self._farewell = self._until_the_end()
        _start(self._farewell)

    def cluster_of(self, cluster: Cluster) -> AsyncCluster:
        """The `AsyncCluster` over `cluster`; a new one if there is none yet, or if it was closed."""
        kept = self._clusters.get(cluster)
        if kept is not None and not kept.closed:
            return kept
        self._forget_closed()
        made = self._clusters[cluster] = _ClusterOfLoop(cluster)
        return made

    def client_of(self, cluster: Cluster, hand_over: Callable[[Awaitable[Any]], Any]) -> ClientByHandOver:
        """The client of the result of `cluster_of`. The first greenlet that needs it hands over until it is made."""
        here = self.cluster_of(cluster)
        client = self._clients.get(here)
        if client is None:
            client = self._clients[here] = ClientByHandOver(hand_over(here.client()), hand_over)
        return client

    def _forget_closed(self) -> None:
        for cluster, here in list(self._clusters.items()):
            if cluster.closed or here.closed:
                del self._clusters[cluster]
                self._clients.pop(here, None)

    async def _until_the_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            _of_loop.pop(self._loop, None)
            await self.close()

    async def close(self) -> None:
        """Close the clusters. A later call of `cluster_of` makes a new one."""
        for cluster in list(self._clusters.values()):
            await cluster.aclose()
        self._forget_closed()

    def abandon(self) -> None:
        """Drop the connections of an event loop that is closed."""
        for cluster in self._clusters.values():
            cluster.abandon()


def _start(farewell: AsyncGenerator[None, None]) -> None:
    """Start the generator, which then waits at its ``yield``. So the event loop knows the generator, and closes it at
    its end."""
    try:
        farewell.__anext__().send(None)
    except StopIteration:
        return


_of_loop: dict[asyncio.AbstractEventLoop, _LoopClusters] = {}
_left_behind: list[object] = []
"""In a forked child: the entries of the parent's event loops. They are kept, because their end would call the parent's
event loops."""


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise EventLoopError(
            "No event loop of asyncio runs here (trio's is another one): use pynamodb_alternator.aio in async "
            "functions. Ordinary functions use models, and pynamodb_alternator.get_cluster()."
        ) from None


def _here() -> _LoopClusters:
    loop = _running_loop()
    clusters = _of_loop.get(loop)
    if clusters is None:
        _clean_up()
        clusters = _of_loop[loop] = _LoopClusters(loop)
    return clusters


def _clean_up() -> None:
    for loop in list(_of_loop):
        if loop.is_closed():
            left = _of_loop.pop(loop, None)
            if left is not None:
                left.abandon()
                warnings.warn(_NOT_CLOSED, ResourceWarning, stacklevel=2)


def _after_fork() -> None:
    _left_behind.append(dict(_of_loop))
    _of_loop.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
