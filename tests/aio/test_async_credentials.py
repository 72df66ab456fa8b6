"""Credentials in an event loop: what may wait is asked elsewhere, and what is asynchronous is awaited."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import botocore.session
import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from aiobotocore.credentials import AioCredentials, AioRefreshableCredentials
from aiobotocore.session import AioSession
from botocore.exceptions import CredentialRetrievalError

from pynamodb_alternator import Credentials, Timeouts
from pynamodb_alternator.aio import AsyncCluster
from pynamodb_alternator.errors import CredentialsError, DeadlineBeforeSendError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.transport.credentials import Signers

from .conftest import Recorder
from .support import CREATE, PATIENCE, get, outcome, put, run, until
from .test_async_cluster import config_of

SECRET = "s3cr3t"


@pytest.fixture
def guarded() -> Any:
    with LocalCluster(nodes=3, credentials={"alice": SECRET}) as local:
        yield local


class Source:
    """A callable for credentials that waits while `open` is not set, and counts."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.waiting = self.asked = 0
        self.most_at_once = 0
        self.failure: Exception | None = None

    def __call__(self) -> Credentials:
        self.asked += 1
        self.waiting += 1
        self.most_at_once = max(self.most_at_once, self.waiting)
        try:
            assert self.open.wait(PATIENCE)
            if self.failure is not None:
                raise self.failure
            return Credentials("alice", SECRET)
        finally:
            self.waiting -= 1


@pytest.mark.parametrize("lane", ["short", "compatible"])
def test_a_source_that_waits_does_not_hold_the_event_loop(guarded: LocalCluster, lane: str) -> None:
    source = Source()

    async def main() -> None:
        async with AsyncCluster(config_of(guarded, credentials=source)) as cluster:
            client = await cluster.client()
            if lane == "compatible":
                client.meta.events.register("before-send.dynamodb", lambda **_: None)
            await client.create_table(**CREATE)
            await put(client)
            source.open.clear()
            source.asked = 0
            gets = [asyncio.create_task(get(client)) for _ in range(20)]
            await until(lambda: source.waiting)
            await asyncio.sleep(0)  # the loop turns while the source waits
            assert not any(task.done() for task in gets)
            source.open.set()
            assert await asyncio.gather(*gets) == [0] * 20
            assert source.most_at_once == 1
            assert source.asked < 20

    run(main)


def test_a_failed_source_of_credentials_does_not_count_against_a_node(
    guarded: LocalCluster, recorder: Recorder
) -> None:
    source = Source()

    async def main() -> None:
        async with AsyncCluster(config_of(guarded, credentials=source)) as cluster:
            client = await cluster.client()
            await client.create_table(**CREATE)
            await put(client)
            source.failure = CredentialRetrievalError(provider="vault", error_msg="no route")
            errors = await asyncio.gather(*(outcome(get(client)) for _ in range(10)))
            assert {type(error) for error in errors} == {CredentialsError}
            assert len({id(error) for error in errors}) == 10
            assert all(error.__cause__ is source.failure for error in errors)
            source.failure = None
            assert await get(client) == 0
            assert sum(stats.failures for stats in cluster.stats().values()) == 0

    run(main)
    assert recorder.of("node_down") == []


def test_a_source_that_hangs_is_bounded_by_the_deadline(guarded: LocalCluster) -> None:
    source = Source()

    async def main() -> None:
        async with AsyncCluster(config_of(guarded, credentials=source)) as cluster:
            client = await cluster.client()
            await client.create_table(**CREATE)
            source.open.clear()
            with (
                cluster.options(timeouts=Timeouts(total=0.3)),
                pytest.raises(DeadlineBeforeSendError, match="what gives them did not answer before the deadline"),
            ):
                await put(client)
            source.open.set()
            await put(client)
            await until(lambda: not source.waiting)

    run(main)


@pytest.mark.parametrize("works", [True, False])
def test_the_doctor_asks_a_slow_source_once_and_the_loop_goes_on(guarded: LocalCluster, works: bool) -> None:
    source = Source()
    if not works:
        source.failure = ValueError("no route to the vault")

    async def main() -> None:
        async with AsyncCluster(config_of(guarded, credentials=source)) as cluster:
            assert await cluster.refresh()
            source.open.clear()
            checking = asyncio.create_task(cluster.check(timeout=0.2))
            await until(lambda: source.waiting)
            # Longer than a question may take: the source is none of the nodes.
            assert not (await asyncio.wait([checking], timeout=0.4))[0]
            source.open.set()
            findings = await checking
            assert source.asked == 1
            assert ("authentication", "error") in {(finding.id, finding.severity) for finding in findings} or works
            assert [finding.id for finding in findings if finding.severity == "error"] == (
                [] if works else ["authentication"]
            )

    run(main)


def aio_session() -> AioSession:
    session = AioSession()
    session.set_credentials("alice", SECRET)
    return session


async def asynchronous() -> Credentials:
    return Credentials("alice", SECRET)


def aio_refreshable() -> AioRefreshableCredentials:
    async def fetch() -> dict[str, str]:
        return {"access_key": "alice", "secret_key": SECRET, "token": "", "expiry_time": "2100-01-01T00:00:00Z"}

    source = {"access_key": "mallory", "secret_key": SECRET, "token": "", "expiry_time": "2020-01-01T00:00:00Z"}
    return AioRefreshableCredentials.create_from_metadata(source, fetch, "test")


@pytest.mark.parametrize(
    "make",
    [
        aio_session,
        lambda: AioCredentials("alice", SECRET),
        aio_refreshable,
        lambda: asynchronous,
        lambda: aio_session,
        lambda: lambda: Credentials("alice", SECRET),
    ],
    ids=["session", "credentials", "refreshable", "async function", "function", "plain function"],
)
def test_sources_of_aiobotocore_are_taken(guarded: LocalCluster, make: Any) -> None:
    async def main() -> None:
        # With affinity, a look-up of the table is made in a thread, where nothing can be awaited.
        config = config_of(guarded, credentials=make(), key_route_affinity="any_write")
        async with AsyncCluster(config) as cluster:
            assert [finding.id for finding in await cluster.check() if finding.severity == "error"] == []
            client = await cluster.client()
            await client.create_table(**CREATE)
            await put(client)
            assert await get(client) == 0
            await until(lambda: cluster.core.tables.get("items").partition_key is not None)

    run(main)


async def in_place(call: Any) -> Any:
    return call()


@pytest.mark.parametrize("make", [aio_session, lambda: asynchronous, lambda: aio_session, lambda: botocore_session()])
def test_what_an_event_loop_was_told_signs_for_threads_too(make: Any) -> None:
    signers = Signers(make(), "us-east-1")
    signer = asyncio.run(signers.current_in_loop(in_place))  # type: ignore[arg-type]
    assert signer is not None
    assert signers.current() is signer


def botocore_session() -> Any:
    session = botocore.session.Session()
    session.set_credentials("alice", SECRET)
    return session
