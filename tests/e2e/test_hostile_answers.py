"""Answers that are made to do harm: they cost a bounded amount of memory and time, and end in a clear error.

`read` makes a request in a thread or in an event loop: both sides go by the same bounds.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from botocore.exceptions import ClientError

from pynamodb_alternator import Cluster, ClusterConfig, Timeouts
from pynamodb_alternator.aio import AsyncCluster
from pynamodb_alternator.errors import DeadlineAfterSendError, MalformedAnswerError, OutcomeUnknownError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport.large_answers import LARGE, Look
from tests.transport.servers import EMPTY_BLOCKS

from .support import take_lane

ITEM = {"key": {"S": "k"}, "n": {"N": "1"}}
GET = ("get_item", {"TableName": "items", "Key": {"key": {"S": "k"}}, "ConsistentRead": True})
PUT = ("put_item", {"TableName": "items", "Item": ITEM})
SCAN = ("scan", {"TableName": "items"})
MIB = 1024 * 1024

Request = tuple[str, dict[str, Any]]
Read = Callable[..., Any]


def config_of(local: LocalCluster, **settings: Any) -> ClusterConfig:
    return ClusterConfig([node.host for node in local.nodes], port=local.port, key_route_affinity="none", **settings)


def read_in_thread(local: LocalCluster, lane: str, request: Request, *, total: float = 60.0, **settings: Any) -> Any:
    """What a request gives, on a cluster of its own that is ready by then. `total`: seconds for the request."""
    with Cluster(config_of(local, **settings)) as cluster:
        take_lane(cluster.client, lane)
        cluster.client.list_tables()
        with cluster.options(timeouts={"total": total}):
            return getattr(cluster.client, request[0])(**request[1])


def read_in_event_loop(
    local: LocalCluster, lane: str, request: Request, *, total: float = 60.0, **settings: Any
) -> Any:
    async def main() -> Any:
        async with AsyncCluster(config_of(local, **settings)) as cluster:
            client = await cluster.client()
            take_lane(client, lane)
            await client.list_tables()
            with cluster.options(timeouts={"total": total}):
                return await getattr(client, request[0])(**request[1])

    return asyncio.run(main())


@pytest.fixture(params=["thread", "event loop"])
def read(request: pytest.FixtureRequest) -> Read:
    return read_in_thread if request.param == "thread" else read_in_event_loop


def answer(body: bytes, coding: str | None = None, status: str = "200 OK") -> bytes:
    more = "" if coding is None else f"Content-Encoding: {coding}\r\n"
    return f"HTTP/1.1 {status}\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


def gzip(plain: bytes) -> bytes:
    return zlib.compress(plain, 1, wbits=31)


def spaces(size: int) -> bytes:
    """A gzip body that unpacks to so many bytes, made without having them all."""
    packer = zlib.compressobj(9, wbits=31)
    piece = b" " * MIB
    packed = [packer.compress(piece) for _ in range(size // MIB)]
    return b"".join([*packed, packer.compress(b" " * (size % MIB)), packer.flush()])


def answers(local: LocalCluster, data: bytes) -> None:
    """Each node answers so from now on, whatever it is asked about items."""
    for node in local.nodes:
        node.clear_faults()
        node.garbage_answer(None, data=data, operation=("GetItem", "PutItem", "Scan"))


# ---- how large it may be ------------------------------------------------------------------------------------------


def test_an_answer_to_a_write_of_one_item_is_bounded_by_what_it_can_be(local: LocalCluster, read: Read) -> None:
    answers(local, f"HTTP/1.1 200 OK\r\nContent-Length: {32 * MIB + 1}\r\n\r\n".encode())
    with pytest.raises(MalformedAnswerError, match="33554433 bytes, where 33554432 are allowed"):
        read(local, "short", PUT)


def test_other_answers_are_bounded_by_the_setting(local: LocalCluster, read: Read) -> None:
    answers(local, f"HTTP/1.1 200 OK\r\nContent-Length: {256 * MIB + 1}\r\n\r\n".encode())
    with pytest.raises(MalformedAnswerError, match="268435457 bytes, where 268435456 are allowed"):
        read(local, "short", GET)
    answers(local, answer(b" " * 2_000_001))
    for request in (GET, PUT):
        with pytest.raises(MalformedAnswerError, match="2000001 bytes, where 2000000 are allowed"):
            read(local, "short", request, max_answer=2_000_000)


@pytest.mark.parametrize("request_", [GET, PUT])
def test_what_an_answer_unpacks_to_is_bounded_too(
    local: LocalCluster, read: Read, lane: str, request_: Request
) -> None:
    answers(local, answer(spaces(2_000_001), "gzip"))
    with pytest.raises(MalformedAnswerError, match="unpacks to more than the 2000000 bytes allowed"):
        read(local, lane, request_, max_answer=2_000_000, response_compression=True)


def test_an_answer_at_the_limit_is_taken(local: LocalCluster, read: Read, lane: str) -> None:
    body = json.dumps({"Item": ITEM}).encode()
    body += b" " * (2_000_000 - len(body))
    answers(local, answer(gzip(body), "gzip"))
    got = read(local, lane, GET, max_answer=2_000_000, response_compression=True)
    assert got["Item"] == ITEM


def test_an_error_is_bounded(local: LocalCluster, read: Read) -> None:
    answers(local, f"HTTP/1.1 400 Bad\r\nContent-Length: {32 * MIB + 1}\r\n\r\n".encode())
    with pytest.raises(MalformedAnswerError, match="33554433 bytes, where 33554432 are allowed"):
        read(local, "short", GET)


_COST = """
import sys
from pynamodb_alternator import Cluster, ClusterConfig
from pynamodb_alternator.errors import MalformedAnswerError

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) // 1024

config = ClusterConfig([sys.argv[1]], port=int(sys.argv[2]), key_route_affinity="none", response_compression=True)
with Cluster(config) as cluster:
    cluster.client.list_tables()
    before = peak()
    try:
        cluster.client.put_item(TableName="items", Item={"key": {"S": "k"}})
    except MalformedAnswerError as error:
        assert "unpacks to more than the 33554432 bytes allowed" in str(error), error
    else:
        raise AssertionError("it was taken")
    print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks the kernel of Linux for the peak of memory")
def test_a_small_answer_to_a_put_that_unpacks_to_gigabytes_costs_little_memory(local: LocalCluster) -> None:
    packed = spaces(480 * MIB)
    assert len(packed) < 500_000
    for node in local.nodes:
        node.garbage_answer(None, data=answer(packed, "gzip"), operation="PutItem")
    done = subprocess.run(
        [sys.executable, "-c", _COST, local.nodes[0].host, str(local.port)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100  # MiB


# ---- what was not asked for ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "coding"), [((), "gzip"), ((), "deflate"), (("deflate",), "gzip")])
def test_what_was_not_asked_for_is_not_unpacked(
    local: LocalCluster, read: Read, lane: str, asked: Any, coding: str
) -> None:
    answers(local, answer(spaces(200 * MIB), coding))
    with pytest.raises(MalformedAnswerError, match=f"'{coding}', which the request did not ask for.*_compression"):
        read(local, lane, GET, response_compression=asked)


def test_the_coding_identity_is_accepted(local: LocalCluster, read: Read, lane: str) -> None:
    answers(local, answer(json.dumps({"Item": ITEM}).encode(), "identity"))
    assert read(local, lane, GET)["Item"] == ITEM


def test_what_one_request_asks_for_is_unpacked(local: LocalCluster) -> None:
    answers(local, answer(gzip(json.dumps({"Item": ITEM}).encode()), "gzip"))
    with Cluster(config_of(local)) as cluster:
        with cluster.options(response_compression=("gzip",)):
            assert cluster.client.get_item(**GET[1])["Item"] == ITEM
        with pytest.raises(MalformedAnswerError, match="did not ask for"):
            cluster.client.get_item(**GET[1])

        def asks(request: Any, **_: Any) -> None:
            request.headers["Accept-Encoding"] = "deflate, gzip"

        cluster.client.meta.events.register("request-created.dynamodb", asks)
        assert cluster.client.get_item(**GET[1])["Item"] == ITEM


# ---- how long it may take -----------------------------------------------------------------------------------------


LONG = gzip(b'{"Items":[' + b"{}," * 10_000_000 + b"{}]}")
"""30 MB, which no machine reads within the deadline below."""


@pytest.mark.parametrize("status", ["200 OK", "400 Bad"])
def test_the_deadline_holds_while_an_answer_is_unpacked_and_parsed(
    local: LocalCluster, read: Read, lane: str, status: str
) -> None:
    answers(local, answer(LONG, "gzip", status))
    with pytest.raises(DeadlineAfterSendError, match="the deadline of the call passed before its answer was read"):
        read(local, lane, SCAN, response_compression=True, total=0.5)


def test_the_deadline_holds_while_an_answer_unpacks_to_nothing(local: LocalCluster, read: Read) -> None:
    """Nothing comes of these for seconds. Seen: the clock was not looked at before the first piece."""
    body = b"\x78\x9c" + EMPTY_BLOCKS * (48 * MIB // len(EMPTY_BLOCKS))
    answers(local, answer(body, "deflate"))
    with pytest.raises(DeadlineAfterSendError, match="the deadline of the call passed before its answer was read"):
        read(local, "short", SCAN, response_compression=("deflate",), total=1.0)


def test_a_large_answer_that_comes_in_time_is_read(local: LocalCluster, read: Read, lane: str) -> None:
    items = [{"key": {"S": str(number)}, "b": {"B": "AAEC"}} for number in range(20_000)]
    body = json.dumps({"Items": items, "Count": 20_000, "ScannedCount": 20_000}).encode()
    assert len(body) > LARGE
    for data in (answer(body), answer(gzip(body), "gzip")):
        answers(local, data)
        got = read(local, lane, SCAN, response_compression=True, total=60.0)
        assert got["Items"] == [{"key": {"S": str(number)}, "b": {"B": b"\0\1\2"}} for number in range(20_000)]


def test_a_large_error_is_that_error(local: LocalCluster, read: Read, lane: str) -> None:
    error = {
        "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
        "message": "The conditional request failed",
        "Item": {"key": {"S": "k"}, "text": {"S": "x" * LARGE}},
    }
    answers(local, answer(json.dumps(error).encode(), status="400 Bad"))
    with pytest.raises(ClientError) as caught:
        read(local, lane, PUT, total=60.0)
    assert caught.value.response["Error"]["Code"] == "ConditionalCheckFailedException"
    assert caught.value.response["Item"] == error["Item"]
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 0


def test_the_event_loop_goes_on_while_a_large_answer_is_read(local: LocalCluster, lane: str) -> None:
    """What the thread of the loop computes between two rounds. Not the time on a clock: the machine may be busy."""
    body = b'{"Items":[' + b'{"key":{"S":"x"},"n":{"N":"1"}},' * 300_000 + b"{}]}"
    answers(local, answer(gzip(body), "gzip"))
    began = time.thread_time()
    json.loads(body)
    in_one_go = time.thread_time() - began
    gaps = [0.0]

    async def main() -> None:
        async def tick() -> None:
            last = time.thread_time()
            while True:
                await asyncio.sleep(0.0)
                now = time.thread_time()
                gaps.append(now - last)
                last = now

        async with AsyncCluster(config_of(local, response_compression=True)) as cluster:
            client = await cluster.client()
            take_lane(client, lane)
            ticking = asyncio.create_task(tick())
            got = await client.scan(TableName="items")
            await asyncio.sleep(0.0)  # so that the last gap is seen too
            ticking.cancel()
            assert len(got["Items"]) == 300_001

    gc.disable()  # it stops the loop's thread as well, for as long as the heap is large
    try:
        asyncio.run(main())
    finally:
        gc.enable()
    assert max(gaps) < in_one_go / 10, (max(gaps), in_one_go)


def test_threads_of_the_application_that_are_all_busy_do_not_hold_the_deadline_up(local: LocalCluster) -> None:
    answers(local, answer(gzip(b'{"Items":[' + b"{}," * 200_000 + b"{}]}"), "gzip"))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        gate = Event()
        loop.set_default_executor(ThreadPoolExecutor(1))
        async with AsyncCluster(config_of(local, response_compression=True, timeouts=Timeouts(total=0.3))) as cluster:
            client = await cluster.client()
            busy = loop.run_in_executor(None, gate.wait)
            try:
                with pytest.raises(DeadlineAfterSendError):
                    await client.scan(TableName="items")
            finally:
                gate.set()
                await busy

    asyncio.run(main())


def test_where_no_thread_can_be_started_the_event_loop_reads_itself(
    local: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [ITEM] * 20_000
    answers(local, answer(json.dumps({"Items": items}).encode()))

    async def main() -> None:
        async with AsyncCluster(config_of(local)) as cluster:
            client = await cluster.client()

            def refused(*_: Any) -> Any:
                raise RuntimeError("can't start new thread")

            monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", refused, raising=False)
            got = await client.scan(TableName="items")
            assert got["Items"] == items

    asyncio.run(main())


def test_a_task_that_is_cancelled_ends_the_work(local: LocalCluster) -> None:
    ended: list[Exception] = []

    async def main() -> None:
        began, done = Event(), Event()

        def work(look: Look) -> None:
            began.set()
            try:
                while True:
                    look()
            except OutcomeUnknownError as error:
                ended.append(error)
            finally:
                done.set()

        async with AsyncCluster(config_of(local)) as cluster:
            client = await cluster.client()
            await client.list_tables()
            sender = client._endpoint._async_sender
            node = Node("http", local.nodes[0].host, local.port)
            attempts: Any = type("Attempts", (), {"deadline": None, "environment": cluster.core.environment})
            task = asyncio.create_task(sender.in_thread(node, attempts, work))
            await asyncio.to_thread(began.wait, 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(done.wait, 20)

    asyncio.run(main())
    assert len(ended) == 1
