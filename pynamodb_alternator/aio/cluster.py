"""`AsyncCluster`: a cluster with connections of one event loop."""

from __future__ import annotations

import asyncio
import os
import time
import warnings
import weakref
from asyncio import _get_running_loop
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from aiobotocore.client import AioClientCreator
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from aiobotocore.signers import AioRequestSigner

from .._stubs import with_async_client_type
from ..cluster import Cluster
from ..errors import AlternatorError, ClusterClosedError
from ..settings.config import ClusterConfig
from ..settings.options import NO_OPTIONS, block
from ..topology.node_info import NodeInfo
from ..transport._botocore import Kit, Parts, load_service, make_async_client
from ..transport._session import client_session
from .endpoint import AsyncClusterEndpoint, AsyncSender
from .pool import AsyncPools
from .threads import run_in_thread

if TYPE_CHECKING:
    from .._stubs import AsyncClient
    from ..core.cluster_core import ClusterCore
    from ..diagnostics import Finding, NodeStats
    from ..transport.all_pools import AllPools
    from ..transport.signing import Signer

__all__ = ["AsyncCluster"]

_T = TypeVar("_T")
_P = ParamSpec("_P")

_KIT = Kit(AioClientCreator, AioRequestSigner, AioConfig)


def _with_parameters_of(
    other: Callable[Concatenate[Any, _P], Any],
) -> Callable[[Callable[..., _T]], Callable[Concatenate[Any, _P], _T]]:
    """For type checkers: the method has the parameters of `other`, because it passes all of them on to it."""
    return lambda method: method


class AsyncCluster:
    """A cluster of Alternator nodes, and one aiobotocore client over all of them, for one event loop.

    `config`: the argument of `Cluster`; or a `Cluster`. In the second case, both share the node list, its health and
    its background thread, so that an application may use models and async requests at the same time. Routing, health,
    retries, signatures and signals are those of the `Cluster` in the attribute `cluster`, which is also the sender of
    the signals. Only the connections are the event loop's own. Nothing is connected before the first request.

    It belongs to the event loop of the first request, and raises `EventLoopError` in others. Use it in an
    ``async with``, or call `aclose`. A forked child may use it with connections and an event loop of its own.
    """

    _advice_when_closed = "Make another AsyncCluster for more."
    _warning_when_forgotten = (
        "The AsyncCluster {name!r} was not closed: use it in an `async with`, or call `await cluster.aclose()` before "
        "its event loop ends."
    )

    def __init__(self, config: ClusterConfig | str | Mapping[str, Any] | Cluster) -> None:
        self._shares = isinstance(config, Cluster)
        cluster = config if isinstance(config, Cluster) else Cluster(config)
        self.cluster: Cluster = cluster
        """The `Cluster` with the nodes and their health. Its methods and its `client` block the thread: do not use them
        in an event loop."""
        self.core: ClusterCore = cluster.core
        self._pools = AsyncPools(
            cluster.config.max_pool_connections,
            max_idle=cluster.config.max_connection_idle,
            tls=cluster.core.tls,
            renewal=cluster.core.pools.renewal,
            admit=cluster.core.admission.admit,
            hand_over=cluster.core.control.hand_over,
        )
        self.core.all_pools.add(self._pools)
        warning = self._warning_when_forgotten.format(name=cluster.name)
        self._finalizer = weakref.finalize(self, _forgotten, self.core.all_pools, self._pools, warning)
        self._sender = AsyncSender(self.core.sender, self._pools)
        self._client: Any = None
        self._making: asyncio.Task[Any] | None = None
        self._preparing: asyncio.Future[None] | None = None
        self._pid = os.getpid()
        self._closed = False

    # ---- what users call ---------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name of the cluster in signals and logs."""
        return self.cluster.name

    @property
    def config(self) -> ClusterConfig:
        return self.cluster.config

    @with_async_client_type
    async def client(self) -> AsyncClient:
        """The aiobotocore DynamoDB client over all nodes, with every operation, paginator and waiter. There is one per
        event loop; call this at each use.

        Parameters are not validated here; the server does that. Closing it closes nothing: close the `AsyncCluster`.
        """
        loop = self._here()
        if self._client is None:
            if self._making is None:
                self._making = loop.create_task(self.new_client())
            # If this task is cancelled, other tasks that wait for the client must still get it.
            making = self._making
            try:
                self._client = await asyncio.shield(making)
            finally:
                if making.done():
                    self._making = None
        client: AsyncClient = self._client
        return client

    @with_async_client_type
    async def new_client(self, session: object = None, *, validate_parameters: bool = False) -> AsyncClient:
        """Another aiobotocore client of this cluster, with event handlers of its own.

        `session`: the aiobotocore session for it, in which handlers may be registered.
        `validate_parameters`: whether botocore checks parameters before they are sent.
        """
        self._here()
        own: Any = client_session(AioSession) if session is None else session
        # This reads files, and a user's session searches the folders of all services for them.
        await self._in_thread(lambda: load_service(own))
        config, url = self.config, self.core.seed_url()
        parts = Parts(
            config.region,
            self.core.serializer(validate=validate_parameters),
            lambda events: AsyncClusterEndpoint(
                url, config, self.core.environment, self._sender, events, prepare=self._prepare
            ),
        )
        client: AsyncClient = await make_async_client(own, _KIT, parts)
        return client

    @_with_parameters_of(Cluster.options)
    def options(self, **settings: Any) -> block:
        """Other settings for the requests of this task inside of an ordinary ``with`` block: see `Cluster.options`."""
        return self.cluster.options(**settings)

    async def nodes(self) -> tuple[NodeInfo, ...]:
        """Every node with its state: see `Cluster.nodes`."""
        return await self._in_thread(self.cluster.nodes)

    async def refresh(self) -> bool:
        """Read the node list now: see `Cluster.refresh`."""
        return await self._in_thread(self.cluster.refresh)

    async def check(self, *, timeout: float = 2.0) -> list[Finding]:  # noqa: ASYNC109 (of each question, not of the call)
        """Check everything that can be wrong: see `Cluster.check`. `timeout` does not limit the source of the
        credentials."""
        from ..diagnostics import examine

        self._here()
        signer, failure = None, None
        try:
            # The credentials are asked for here, because the thread of the check cannot ask an asynchronous source.
            signer = await self._sender.signer(NO_OPTIONS, None)
        except AlternatorError as error:
            failure = error

        def told() -> Signer | None:
            if failure is not None:
                raise failure  # the check reports it
            return signer

        return await self._in_thread(lambda: list(examine(self.core, timeout=timeout, signer=told)))

    def stats(self) -> dict[str, NodeStats]:
        """Counters of each node: see `Cluster.stats`. They include what this event loop did."""
        return self.cluster.stats()

    @property
    def closed(self) -> bool:
        return self._closed

    async def aclose(self) -> None:
        """Close all connections of this event loop, and the `Cluster`, unless the `Cluster` was passed to the
        constructor.

        Later requests raise `ClusterClosedError`. Requests under way end normally. May be called again.
        """
        self.core.check_process()
        pools = self._pools
        if pools.loop is not None and pools.loop.is_closed():
            pools.after_fork()
        loop = pools.bind()
        self._closed = True
        self._finalizer.detach()
        try:
            making, self._making = self._making, None
            if making is not None:
                making.cancel()
                await asyncio.wait([making])
            await pools.aclose()
        finally:
            self.core.all_pools.remove(pools)
            if not self._shares:
                await run_in_thread(loop, self.cluster.close)

    def abandon(self) -> None:
        """Drop all connections of an event loop that is closed, without sending anything. This is for the library's own
        use: an application calls `aclose` before the event loop is closed."""
        self._closed = True
        self._finalizer.detach()
        self.core.all_pools.remove(self._pools)
        self._pools.after_fork()

    async def __aenter__(self) -> Self:
        self._here()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<AsyncCluster {self.name!r} over {self.cluster!r}>"

    # ---- the inside --------------------------------------------------------------------------------------------

    def _here(self) -> asyncio.AbstractEventLoop:
        """The event loop that runs. Raises `EventLoopError` if the cluster belongs to another one, and
        `ClusterClosedError`."""
        self.core.check_process()
        pid = os.getpid()
        if pid != self._pid:
            # The tasks of the parent's event loop do not belong to this process.
            self._pid, self._making, self._preparing = pid, None, None
        if self._closed or self.cluster.closed:
            raise ClusterClosedError(f"The cluster {self.name!r} is closed. {self._advice_when_closed}")
        return self._pools.bind()

    def _prepare(self, now: float, total: float | None) -> Awaitable[None] | None:
        """Before each request: see `ClusterCore.prepare`. Returns an awaitable if the caller must wait for nodes, else
        None."""
        core, loop = self.core, self._pools.loop
        if loop is None or loop is not _get_running_loop() or self._closed or core.closed or os.getpid() != self._pid:
            self._here()
        if core.prepare_at_once(now):
            return None
        if core.prepare_would_wait(now):
            return self._wait_for_nodes(now, total)
        core.prepare(now, total)
        return None

    async def _wait_for_nodes(self, now: float, total: float | None) -> None:
        loop, core = asyncio.get_running_loop(), self.core
        was_inline, preparing = core.works_inline, self._preparing
        if preparing is None or preparing.done():
            # All tasks wait for the same future.
            if was_inline:
                preparing = self._preparing = run_in_thread(loop, lambda: core.prepare(now, total))
            else:
                core.use(now)
                preparing = self._preparing = _ready(loop, core)
        elif core.membership.last_success is not None:
            return  # another task reads the list, and the known nodes are good enough
        seconds = total if was_inline else core.seed_names.patience(total)
        await asyncio.wait([preparing], timeout=None if seconds is None else max(0.0, now + seconds - time.monotonic()))
        if preparing.done():
            preparing.result()
        if was_inline:
            return
        if core.works_inline:
            waiting = self._prepare(now, total)  # the monitor thread could not be started
            if waiting is not None:
                await waiting
        else:
            core.prepare(now, 0.0)

    async def _in_thread(self, call: Callable[[], _T]) -> _T:
        return await run_in_thread(self._here(), call)


def _forgotten(all_pools: AllPools, pools: AsyncPools, warning: str) -> None:
    """Nothing refers to an `AsyncCluster` that was not closed, or the interpreter ends. The garbage collector calls
    this, in any thread."""
    all_pools.remove(pools)
    if pools.connections():
        pools.close()
        warnings.warn(warning, ResourceWarning, stacklevel=2)


def _ready(loop: asyncio.AbstractEventLoop, core: ClusterCore) -> asyncio.Future[None]:
    """A future that ends when the monitor is ready, or when `startup_wait` has passed and the seeds are resolved."""
    result: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not result.done():
            result.set_result(None)

    def go_on_with_seeds() -> None:
        if core.seed_names:
            core.monitor.begun.call(lambda: loop.call_soon_threadsafe(settle))
        else:
            settle()

    core.monitor.ready.call(lambda: loop.call_soon_threadsafe(settle))
    timer = loop.call_later(core.config.discovery.startup_wait, go_on_with_seeds)
    result.add_done_callback(lambda _: timer.cancel())
    return result
