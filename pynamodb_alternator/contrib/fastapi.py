"""Clusters for FastAPI applications.

>>> from typing import Annotated, Any
>>> from fastapi import Depends, FastAPI
>>> from pynamodb_alternator.contrib.fastapi import add_exception_handlers, alternator_lifespan, get_client
>>> app = FastAPI(lifespan=alternator_lifespan("http://10.0.0.1,10.0.0.2:8000"))
>>> add_exception_handlers(app)
>>> @app.get("/tables")
... async def tables(client: Annotated[Any, Depends(get_client)]) -> list[str]:
...     return (await client.list_tables())["TableNames"]

Models need no dependency: ``await User.aio.get("alice")`` in an ``async def``, ``User.get("alice")`` in a ``def``,
which FastAPI runs in a thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from pynamodb.exceptions import PynamoDBException

from .. import registry
from .._stubs import with_async_client_type
from ..cluster import Cluster
from ..errors import AlternatorError, ConfigurationError, NoNodesAvailableError, TransportError
from ..orm import model_tables as tables
from ..settings.config import ClusterConfig
from . import _lifespan_arguments as arguments
from ._answers import answer_to_request
from ._health import HEADERS, health_of, looks_at, would_wait
from ._lifespan_arguments import Clusters
from ._watch import missing

try:
    import aiobotocore as _aiobotocore  # noqa: F401
    import greenlet as _greenlet  # noqa: F401
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse
    from starlette.applications import Starlette
except ImportError as _cause:
    missing("fastapi", "FastAPI, aiobotocore and greenlet", _cause)

from .. import aio  # after what it needs, for whose absence it names another extra

if TYPE_CHECKING:
    from pynamodb.models import Model

    from .._stubs import AsyncClient

__all__ = [
    "add_exception_handlers",
    "alternator_lifespan",
    "get_client",
    "get_client_of",
    "get_cluster",
    "get_cluster_of",
    "healthz",
    "healthz_of",
]

_log = logging.getLogger("pynamodb_alternator.fastapi")

Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Any]]
"""The type of the argument of ``FastAPI(lifespan=...)``."""


# ---- the lifespan ------------------------------------------------------------------------------------------------


def alternator_lifespan(
    clusters: Clusters | Callable[[], Clusters] | None = None,
    *,
    lifespan: Lifespan | None = None,
    connect: bool = False,
    check: bool = False,
    create_tables: Iterable[type[Model]] = (),
) -> Lifespan:
    """A lifespan for ``FastAPI(lifespan=...)``: while the application runs, aliases mean these clusters.

    `clusters`: a URL or a `ClusterConfig`, for the alias ``default``; or a mapping from alias to a URL, a
    `ClusterConfig` or a dict of settings; or a function that returns one of these, and is called when the application
    starts. With None, the aliases are those of `pynamodb_alternator.configure` and of ``ALTERNATOR_URL``.
    `lifespan`: your own lifespan. It runs inside this one, and its state is passed on.
    `connect`: start only if a node of each cluster answers; otherwise `NoNodesAvailableError` is raised.
    `check`: check each cluster as `Cluster.check` does. Warnings are logged, and an error is raised as an
    `AlternatorError`.
    `create_tables`: models whose tables are created if they do not exist.

    Without `connect`, `check` and `create_tables`, nothing connects at the start. At the end the connections of the
    event loop are closed, and so are the clusters of `clusters`. It may be started again.

    Raises `ConfigurationError`: here for wrong arguments, and at the start for wrong settings and for an alias that
    means another cluster in another application that runs in this process.
    """
    if isinstance(clusters, Starlette):
        raise ConfigurationError(
            "FastAPI was given alternator_lifespan itself. Call it: FastAPI(lifespan=alternator_lifespan(...))."
        )
    arguments.check_lifespan(lifespan)
    models = arguments.models_of(create_tables)
    if callable(clusters):
        arguments.check_function(clusters)
    else:
        arguments.configs_of(clusters)
    if clusters is not None:
        registry.add_source(_source)

    @asynccontextmanager
    async def run(app: Any) -> AsyncIterator[Any]:
        async with AsyncExitStack() as undo:
            configs = arguments.configs_from(clusters) if callable(clusters) else arguments.configs_of(clusters)
            if configs is not None:
                undo.push_async_callback(_source.begin(app, configs).stop)
            undo.push_async_callback(aio.close_connections)
            for alias in ("default",) if configs is None else configs:
                if connect:
                    await _connect(alias)
                if check:
                    await _check(alias)
            for model in models:
                await _create_table(model)
            yield None if lifespan is None else await undo.enter_async_context(lifespan(app))

    return run


class _Running:
    """The clusters of one application that runs."""

    def __init__(self, app: object, configs: Mapping[str, ClusterConfig]) -> None:
        self.app = app
        self.configs = configs
        self.clusters = registry.Aliases(configs, "alternator_lifespan, in the cluster {}")

    async def stop(self) -> None:
        """The application has ended: close its clusters, and give the aliases back their former meaning."""
        _source.end(self)
        await asyncio.to_thread(self.clusters.close)


class _RunningApplications:
    """A source of clusters: finds the cluster of an alias in the applications that run in this process, the newest
    first.

    They may start and end in several threads, so each change of the table is a single step.
    """

    def __init__(self) -> None:
        self._running: dict[_Running, None] = {}

    def begin(self, app: object, configs: Mapping[str, ClusterConfig]) -> _Running:
        """Let the aliases mean these clusters. Raises `ConfigurationError` if one means another cluster elsewhere."""
        registry.add_source(self)  # again, if a test has removed it
        for other in list(self._running):
            for alias in configs.keys() & other.configs.keys():
                if other.app is not app and other.configs[alias] != configs[alias]:
                    raise ConfigurationError(
                        f"alternator_lifespan: the alias {alias!r} means another cluster in another application that "
                        "runs in this process, and models could not tell which of them is meant. Give one of the two "
                        "another alias, and name it in Meta.cluster of its models."
                    )
        running = _Running(app, configs)
        self._running[running] = None
        return running

    def end(self, running: _Running) -> None:
        self._running.pop(running, None)

    def find(self, alias: str) -> Cluster | None:
        for running in reversed(list(self._running)):
            cluster = running.clusters.get(alias)
            if cluster is not None:
                return cluster
        return None

    def names(self) -> tuple[str, ...]:
        """All aliases of the running applications."""
        return tuple(dict.fromkeys(alias for running in list(self._running) for alias in running.configs))

    def hint(self, alias: str) -> str:
        if self._running:
            names = ", ".join(repr(name) for name in self.names())
            return f"Or add {alias!r} to the clusters of alternator_lifespan() (these are: {names})."
        return (
            "The clusters of alternator_lifespan() are known while the application runs; in a test that is inside of "
            "`with TestClient(app) as client:`."
        )

    def close(self) -> None:
        for running in list(self._running):
            running.clusters.close()


_source = _RunningApplications()


async def _connect(alias: str) -> None:
    cluster = aio.get_cluster(alias)
    if not await cluster.refresh():
        seeds = ", ".join(cluster.config.seeds)
        raise NoNodesAvailableError(
            f"The application does not start, because no node of the cluster {alias!r} answers (seeds: {seeds}; port "
            f"{cluster.config.node_port}). Start the cluster, or leave out connect=True of alternator_lifespan()."
        )


async def _check(alias: str) -> None:
    errors: list[str] = []
    for finding in await aio.get_cluster(alias).check():
        text = f"{finding.id}: {finding.subject}: {finding.message} {finding.remedy}".rstrip()
        if finding.severity == "error":
            errors.append(text)
        elif finding.severity == "warning":
            _log.warning("Cluster %r: %s", alias, text)
    if errors:
        raise AlternatorError(
            f"The application does not start, because something is wrong with the cluster {alias!r}: "
            f"{'; '.join(errors)} (this was found by check=True of alternator_lifespan())"
        )


async def _create_table(model: type[Model]) -> None:
    try:
        await aio.run(tables.create_table, model)
    except Exception as error:
        error.add_note(
            f"The application does not start, because the table of {model.__qualname__} could not be looked for or "
            "created. Start the cluster, or leave the model out of create_tables of alternator_lifespan()."
        )
        raise


# ---- dependencies ------------------------------------------------------------------------------------------------
#
# They have no parameters: FastAPI would treat one as a query parameter, and any client could choose the cluster.


@with_async_client_type
async def get_client() -> AsyncClient:
    """A dependency: the aiobotocore client of the alias ``default``, for the event loop of the request.

    ``client: Annotated[AsyncDynamoDBClient, Depends(get_client)]``, for routes with ``async def``.
    """
    client: AsyncClient = await aio.get_client()  # type: ignore[assignment]
    return client


async def get_cluster() -> aio.AsyncCluster:
    """A dependency: the `AsyncCluster` of the alias ``default``, such as for its ``options``."""
    return aio.get_cluster()


def get_client_of(alias: str) -> Callable[[], Awaitable[Any]]:
    """The same as `get_client`, for another alias: ``Depends(get_client_of("analytics"))``.

    For one alias it returns the same function each time, as ``app.dependency_overrides`` needs it. Raises
    `ConfigurationError` if the alias is not a name.
    """
    _check_aliases("get_client_of", alias)
    return _client_of(alias)


@cache
def _client_of(alias: str) -> Callable[[], Awaitable[Any]]:
    async def get_client() -> Any:
        return await aio.get_client(alias)

    return get_client


def get_cluster_of(alias: str) -> Callable[[], Awaitable[aio.AsyncCluster]]:
    """The same as `get_cluster`, for another alias: ``Depends(get_cluster_of("analytics"))``."""
    _check_aliases("get_cluster_of", alias)
    return _cluster_of(alias)


@cache
def _cluster_of(alias: str) -> Callable[[], Awaitable[aio.AsyncCluster]]:
    async def get_cluster() -> aio.AsyncCluster:
        return aio.get_cluster(alias)

    return get_cluster


def _check_aliases(caller: str, *aliases: object) -> None:
    for alias in aliases:
        if not isinstance(alias, str) or not alias:
            raise ConfigurationError(f"{caller}() takes the name of a cluster, such as 'analytics' (got {alias!r}).")


# ---- health ------------------------------------------------------------------------------------------------------


async def healthz() -> JSONResponse:
    """A route for load balancers: ``app.add_api_route("/healthz", healthz)``.

    It answers 200 while every cluster of `alternator_lifespan` has a node for requests, else 503, with a small JSON. If
    the lifespan names no cluster, it checks the alias ``default``. It uses the known state of the nodes, and sends no
    request.
    """
    return await _health(_source.names() or ("default",))


def healthz_of(*aliases: str) -> Callable[[], Awaitable[JSONResponse]]:
    """The same as `healthz`, for these aliases: ``app.add_api_route("/healthz", healthz_of("default"))``."""
    _check_aliases("healthz_of", *aliases)
    return _healthz_of(*aliases) if aliases else healthz


@cache
def _healthz_of(*aliases: str) -> Callable[[], Awaitable[JSONResponse]]:
    async def healthz() -> JSONResponse:
        return await _health(aliases)

    return healthz


async def _health(aliases: Sequence[str]) -> JSONResponse:
    looks = await asyncio.to_thread(looks_at, aliases) if would_wait(aliases) else looks_at(aliases)
    health = health_of(looks)
    return JSONResponse(health.body, health.status, HEADERS)


# ---- errors ------------------------------------------------------------------------------------------------------


def add_exception_handlers(app: FastAPI) -> None:
    """Answer requests that failed because of the cluster with 503 or 504 and a small JSON, and not with 500.

    503, with ``Retry-After``: no node can have seen the request (`NotSentError`, such as `NoNodesAvailableError`).
    504: the outcome is open (`OutcomeUnknownError`). This applies to errors of this library, to PynamoDB's errors that
    wrap them, and to a group of such errors, as ``asyncio.TaskGroup`` raises it. All other errors are handled as
    before. The error is logged as a warning. Your own handler has priority if it is for a subclass, such as
    ``PutError``, or if it is added later for the same class. Raises `ConfigurationError` if `app` is not an
    application.
    """
    if not isinstance(app, Starlette):
        raise ConfigurationError(
            f"add_exception_handlers() takes the application, such as FastAPI(), which has the handlers of its routers "
            f"(got {type(app).__name__})."
        )
    for error in (TransportError, PynamoDBException, ExceptionGroup):
        app.add_exception_handler(error, _answer)


async def _answer(request: Request, error: Exception) -> JSONResponse:
    if request.scope["type"] != "http":
        raise error
    answer = answer_to_request(_log, request.method, request.url.path, error)
    if answer is None:
        raise error
    return JSONResponse(answer.body, answer.status, answer.headers)
