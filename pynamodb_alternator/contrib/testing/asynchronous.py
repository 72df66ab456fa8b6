"""The fixture `alternator_async_client`: a client in the event loop of the test, for each plugin that may run it.

pytest-asyncio and anyio each run only their own kind of asynchronous fixtures, in event loops of their own. So there is
one fixture for each of them, and `alternator_async_client`, an ordinary function, uses the right one.
"""

from __future__ import annotations

from typing import Any

import pytest

from .clusters import active_cluster

__all__ = ["alternator_async_client", "anyio_client", "client_here", "name_for"]

_NAME = "_alternator_async_client"
_ANYIO = f"{_NAME}_anyio"


@pytest.fixture
def alternator_async_client(request: pytest.FixtureRequest) -> Any:
    """The aiobotocore DynamoDB client on the cluster of the test, in the test's event loop, as from `aio.get_client`.

    It works with tests of pytest-asyncio, for any scope of their event loop, and of anyio on asyncio. Needs the extra
    ``async``.
    """
    active_cluster(request)  # made before the event loop, and closed after it
    if "anyio_backend" in request.fixturenames:
        if request.getfixturevalue("anyio_backend_name") != "asyncio":
            pytest.skip("alternator_async_client is a client of aiobotocore, which needs asyncio.")
        return request.getfixturevalue(_ANYIO)
    marker = request.node.get_closest_marker("asyncio")
    if marker is None or not request.config.pluginmanager.has_plugin(name_for("")):
        raise pytest.UsageError(
            f"{request.node.nodeid}: alternator_async_client is for asynchronous tests. Mark the test with "
            "@pytest.mark.asyncio, which needs pytest-asyncio, or with @pytest.mark.anyio; in other tests use "
            "alternator_client."
        )
    return request.getfixturevalue(name_for(_loop_scope(marker, request.config)))


def _loop_scope(marker: pytest.Mark, config: pytest.Config) -> str:
    """The scope of the event loop in which pytest-asyncio runs a test."""
    try:
        default = config.getini("asyncio_default_test_loop_scope")
    except (KeyError, ValueError):  # pytest-asyncio before 0.26
        default = "function"
    return str(marker.kwargs.get("loop_scope") or marker.kwargs.get("scope") or default)


def name_for(scope: str) -> str:
    """The name of the fixture for pytest-asyncio's event loop with this scope."""
    return f"{_NAME}_{scope}"


async def client_here(request: pytest.FixtureRequest) -> Any:
    """The client on the cluster of the test for the running event loop. It is closed with the event loop."""
    from ...aio.loops import cluster_here

    return await cluster_here(active_cluster(request).client).client()


@pytest.fixture(name=_ANYIO)
async def anyio_client(request: pytest.FixtureRequest) -> Any:
    return await client_here(request)
