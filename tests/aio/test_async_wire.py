"""Both sides of the library, for threads and for an event loop, put the same bytes on the wire to the same nodes."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.exceptions import ClientError

from pynamodb_alternator import Cluster, ClusterConfig, Credentials, Gzip
from pynamodb_alternator.aio import AsyncCluster
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.local.http import Reply, Request
from pynamodb_alternator.local.node import LocalNode
from tests.chaos.support import until

from .support import CREATE, KEY, TABLE, run

REQUESTS = 300


class Wiretap:
    """What the nodes received: node, headers in their order, body; without the requests of discovery and probes."""

    def __init__(self, nodes: Sequence[LocalNode]) -> None:
        self.received: list[tuple[str, list[tuple[str, str]], bytes]] = []
        for node in nodes:
            node.server.respond = self.tapping(node)

    def tapping(self, node: LocalNode) -> Callable[[Request], Awaitable[Reply | None]]:
        async def tapped(request: Request) -> Reply | None:
            if request.method == "POST":
                self.received.append((node.address, list(request.headers.items()), request.body))
            return await node.respond(request)

        return tapped

    def take(self) -> list[tuple[str, list[tuple[str, str]], bytes]]:
        taken, self.received = self.received, []
        return taken


@pytest.fixture
def wiretap(local: LocalCluster) -> Wiretap:
    return Wiretap(local.nodes)


def some_requests(seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Operations and parameters of all kinds, with and without affinity."""
    chance = random.Random(seed)
    for _ in range(REQUESTS):
        key = {"id": {"S": f"key-{chance.randrange(20)}"}}
        item = {**key, "blob": {"B": chance.randbytes(9)}, "text": {"S": "é\u2028" * chance.randrange(90)}}
        yield chance.choice(
            [
                ("GetItem", {"TableName": TABLE, "Key": key}),
                ("PutItem", {"TableName": TABLE, "Item": item}),
                (
                    "PutItem",
                    {"TableName": TABLE, "Item": item, "ConditionExpression": "attribute_not_exists(id)"},
                ),
                ("DeleteItem", {"TableName": TABLE, "Key": key, "ReturnValues": "ALL_OLD"}),
                (
                    "UpdateItem",
                    {
                        "TableName": TABLE,
                        "Key": key,
                        "UpdateExpression": "ADD n :one",
                        "ExpressionAttributeValues": {":one": {"N": "1"}},
                    },
                ),
                ("BatchWriteItem", {"RequestItems": {TABLE: [{"PutRequest": {"Item": item}}]}}),
                ("BatchGetItem", {"RequestItems": {TABLE: {"Keys": [key]}}}),
                ("Scan", {"TableName": TABLE, "Limit": 3}),
                ("DescribeTable", {"TableName": TABLE}),
            ]
        )


def settle(cluster: Cluster, seed: int) -> None:
    """Take all chance out of a cluster whose nodes are all known."""
    router: Any = cluster.core.environment.router
    router._random.seed(seed)
    router._turns = itertools.count(seed)
    wire: Any = cluster.core.sender
    wire._wall_clock = lambda: 1_700_000_000.0


@pytest.mark.parametrize("lane", ["short", "compatible"])
@pytest.mark.parametrize("affinity", ["none", "rmw", "any_write"])
@pytest.mark.parametrize(("compression", "balancing"), [(None, "round_robin"), (Gzip(), "random")])
def test_the_same_bytes_to_the_same_nodes(
    local: LocalCluster, wiretap: Wiretap, lane: str, affinity: str, compression: Gzip | None, balancing: Any
) -> None:
    config = ClusterConfig(
        [node.host for node in local.nodes],
        port=local.port,
        credentials=Credentials("alice", "s3cr3t"),
        key_route_affinity=affinity,
        partition_keys={TABLE: "id"},
        load_balancing=balancing,
        request_compression=compression,
        response_compression=True,
        extra_headers={"X-App": "test"},
    )

    def listen(client: Any) -> None:
        if lane == "compatible":
            client.meta.events.register("before-send.dynamodb", lambda **_: None)

    answers: dict[str, list[Any]] = {"sync": [], "async": []}
    with Cluster(config) as cluster:
        cluster.client.create_table(**CREATE)
        wait_until_active(cluster)
        listen(cluster.client)
        settle(cluster, 1)
        wiretap.take()
        for operation, parameters in some_requests(1):
            answers["sync"].append(sync_outcome(cluster.client, operation, parameters))
        synchronous = wiretap.take()
        cluster.client.delete_table(TableName=TABLE)
        cluster.client.create_table(**CREATE)

    async def main() -> None:
        async with AsyncCluster(config) as cluster:
            client = await cluster.client()
            await client.list_tables()
            await asyncio.to_thread(wait_until_active, cluster.cluster)
            listen(client)
            settle(cluster.cluster, 1)
            wiretap.take()
            for operation, parameters in some_requests(1):
                try:
                    answers["async"].append(await client._make_api_call(operation, parameters))
                except ClientError as error:
                    answers["async"].append(error.response)

    run(main)
    asynchronous = wiretap.take()
    assert len(synchronous) == REQUESTS
    for number, (expected, other) in enumerate(zip(synchronous, asynchronous, strict=True)):
        assert expected == other, number
    assert len({node for node, _, _ in synchronous}) == 3
    assert [without_chance(expected) for expected in answers["sync"]] == [
        without_chance(expected) for expected in answers["async"]
    ]


def wait_until_active(cluster: Cluster) -> None:
    until(lambda: [node.state.value for node in cluster.nodes()] == ["active"] * 3)


def sync_outcome(client: Any, operation: str, parameters: Any) -> Any:
    try:
        return client._make_api_call(operation, parameters)
    except ClientError as error:
        return error.response


def without_chance(answer: dict[str, Any]) -> dict[str, Any]:
    answer = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    if "Table" in answer:  # has the time at which it was made, and an id
        answer["Table"] = answer["Table"]["KeySchema"]
    return answer


# ---- the compatible lane -----------------------------------------------------------------------------------------


def test_handlers_may_be_coroutine_functions(local: LocalCluster, wiretap: Wiretap) -> None:
    async def main() -> None:
        async with AsyncCluster(local.url) as cluster:
            client = await cluster.client()
            await client.create_table(**CREATE)
            seen: list[str] = []

            async def traced(request: Any, **_: Any) -> None:
                await asyncio.sleep(0)
                request.headers["X-Trace"] = "42"
                seen.append("request-created")

            def parsed(response_dict: Any, **_: Any) -> None:
                seen.append(f"before-parse {response_dict['status_code']}")

            async def received(parsed_response: Any, **_: Any) -> None:
                seen.append(f"response-received {parsed_response['ResponseMetadata']['RetryAttempts']}")

            client.meta.events.register("request-created.dynamodb.GetItem", traced)
            client.meta.events.register("before-parse.dynamodb.GetItem", parsed)
            client.meta.events.register("response-received.dynamodb.GetItem", received)
            wiretap.take()
            await client.get_item(TableName=TABLE, Key=KEY)
            ((_, headers, _),) = wiretap.take()
            assert dict(headers)["x-trace"] == "42"
            assert seen == ["request-created", "before-parse 200", "response-received 0"]
            await client.list_tables()
            ((_, headers, _),) = wiretap.take()
            assert "x-trace" not in dict(headers)

    run(main)


@pytest.mark.parametrize("is_async", [True, False])
def test_a_handler_may_answer_in_place_of_a_node(local: LocalCluster, wiretap: Wiretap, is_async: bool) -> None:
    class Raw:
        def stream(self, **_: Any) -> Iterator[bytes]:
            yield b'{"TableNames": ["canned"]}'

    class AsyncResponse(AWSResponse):
        @property
        def content(self) -> Any:
            async def read() -> bytes:
                return b'{"TableNames": ["canned"]}'

            return read()

    kind = AsyncResponse if is_async else AWSResponse

    async def main() -> None:
        async with AsyncCluster(local.url) as cluster:
            client = await cluster.client()
            client.meta.events.register(
                "before-send.dynamodb.ListTables", lambda request, **_: kind(request.url, 200, HeadersDict({}), Raw())
            )
            assert (await client.list_tables())["TableNames"] == ["canned"]
            assert not wiretap.take()

    run(main)
