"""Transactions: sent as they are. Alternator has none, and its error says what to use instead."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pynamodb.attributes import NumberAttribute, UnicodeAttribute, VersionAttribute
from pynamodb.exceptions import TransactGetError, TransactWriteError
from pynamodb.transactions import TransactGet, TransactWrite

from pynamodb_alternator import AlternatorConnection, Cluster, ClusterConfig, Model, Retries, Timeouts
from pynamodb_alternator.errors import OutcomeUnknownError
from pynamodb_alternator.local.moto_engine import MotoEngine
from tests.transport.servers import Server, ok, read_request

from .support import take_lane

WRITE = {"TransactItems": [{"Put": {"TableName": "things", "Item": {"key": {"S": "a"}}}}]}
READ = {"TransactItems": [{"Get": {"TableName": "things", "Key": {"key": {"S": "a"}}}}]}
INSTEAD = {
    "transact_write_items": ("a condition on one item", "BatchWriteItem"),
    "transact_get_items": ("BatchGetItem", "in one item"),
}


def made(cluster: Cluster) -> Any:
    class Thing(Model):
        class Meta:
            table_name = "things"
            billing_mode = "PAY_PER_REQUEST"

        key = UnicodeAttribute(hash_key=True)
        value = NumberAttribute(default=0)
        version = VersionAttribute()

    Thing.Meta.cluster = cluster  # type: ignore[attr-defined]
    return Thing


# ---- a server that has none ----------------------------------------------------------------------------------------


def test_pynamodbs_errors_say_what_to_use_instead(cluster: Cluster) -> None:
    thing, connection = made(cluster), AlternatorConnection(cluster=cluster)
    thing.create_table()
    told = pytest.raises(TransactWriteError, match="a condition on one item")
    with told as write, TransactWrite(connection=connection) as transaction:
        transaction.save(thing("a"))
    assert write.value.cause_response_code == "UnknownOperationException"
    assert "Model.batch_write" in str(write.value)
    assert str(write.value).startswith("Failed to write transaction items: ")
    with pytest.raises(TransactGetError, match=r"Model\.batch_get") as read, TransactGet(connection) as transaction:
        transaction.get(thing, "a")
    assert read.value.cause_response_code == "UnknownOperationException"


@pytest.mark.parametrize(("method", "request_"), [("transact_write_items", WRITE), ("transact_get_items", READ)])
def test_each_client_says_what_to_use_instead(cluster: Cluster, lane: str, method: str, request_: Any) -> None:
    take_lane(cluster.client, lane)
    with pytest.raises(ClientError) as caught:
        getattr(cluster.client, method)(**request_)
    assert caught.value.response["Error"]["Code"] == "UnknownOperationException"
    assert all(words in str(caught.value) for words in INSTEAD[method])


def test_other_unknown_operations_and_other_errors_are_the_servers(cluster: Cluster) -> None:
    with pytest.raises(ClientError) as caught:
        cluster.client.execute_statement(Statement="SELECT * FROM things")
    assert caught.value.response["Error"]["Code"] == "UnknownOperationException"
    assert "transactions" not in str(caught.value)


# ---- a server that has them ----------------------------------------------------------------------------------------


class Moto:
    """moto, as one node. `drops`: executes that many transactions without an answer. `sheds`: refuses so many before
    it executes them. `fails`: answers so many with status 500 after it has executed them."""

    def __init__(self) -> None:
        self._engine = MotoEngine()
        self.executed: Counter[str] = Counter()
        self.tokens: set[str] = set()
        self.drops = self.sheds = self.fails = 0

    def __call__(self, sock: socket.socket) -> None:
        while (request := read_request(sock)) is not None:
            answer = self._answer(*request)
            if answer is None:
                return
            sock.sendall(answer)

    def _answer(self, head: bytes, body: bytes) -> bytes | None:
        method, path = head.split(b" ", 2)[:2]
        if method == b"GET":
            return ok(b'["127.0.0.1"]' if path.startswith(b"/localnodes") else b"healthy")
        lines = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
        headers = {name.lower(): value for name, _, value in lines}
        operation = headers["x-amz-target"].rpartition(".")[2]
        is_write = operation == "TransactWriteItems"
        if is_write and self.sheds:
            self.sheds -= 1
            return ok(b'{"__type":"x#RequestLimitExceeded","message":"shed"}', status=400)
        if is_write:
            self.tokens.add(json.loads(body)["ClientRequestToken"])
        self.executed[operation] += 1
        status, _, answer = self._engine.call(headers, body)
        if is_write and self.drops:
            self.drops -= 1
            return None
        if is_write and self.fails:
            self.fails -= 1
            return ok(b'{"__type":"x#InternalServerError","message":"no quorum"}', status=500)
        return ok(answer or b"{}", status=status)


@pytest.fixture
def moto() -> Moto:
    return Moto()


@pytest.fixture
def on_moto(moto: Moto) -> Iterator[Cluster]:
    with Server(moto) as server:
        config = ClusterConfig(
            "127.0.0.1", port=server.port, timeouts=Timeouts(read=10), retries=Retries(backoff_max=0.05)
        )
        with Cluster(config) as cluster:
            yield cluster


def test_transactions_work_where_the_server_has_them(on_moto: Cluster, moto: Moto) -> None:
    thing, connection = made(on_moto), AlternatorConnection(cluster=on_moto)
    thing.create_table()
    with TransactWrite(connection=connection) as transaction:
        transaction.save(thing("a", value=1))
        transaction.save(thing("b", value=2))
    with TransactGet(connection=connection) as reading:
        futures = [reading.get(thing, key) for key in "ab"]
    assert [future.get().value for future in futures] == [1, 2]
    refused = TransactWrite(connection=connection)
    refused.save(thing("c"))
    refused.condition_check(thing, "a", condition=thing.value == 5)
    with pytest.raises(TransactWriteError) as caught, refused:
        pass
    assert caught.value.cause_response_code == "TransactionCanceledException"
    reasons = [reason and reason.code for reason in caught.value.cancellation_reasons]
    assert sorted(map(str, reasons)) == ["ConditionalCheckFailed", "None"]
    assert thing.count() == 2


def test_a_transaction_is_repeated_only_if_it_surely_was_not_executed(on_moto: Cluster, moto: Moto) -> None:
    thing, connection = made(on_moto), AlternatorConnection(cluster=on_moto)
    thing.create_table()
    thing("a", value=0).save()

    def add_one() -> None:
        with TransactWrite(connection=connection) as transaction:
            transaction.update(thing("a"), actions=[thing.value.add(1)], add_version_condition=False)

    moto.sheds = 2
    add_one()
    assert moto.executed["TransactWriteItems"] == 1
    moto.drops = 1
    with pytest.raises(TransactWriteError) as lost:
        add_one()
    assert isinstance(lost.value.cause, OutcomeUnknownError)
    moto.fails = 1
    with pytest.raises(TransactWriteError) as failed:
        add_one()
    assert isinstance(failed.value.cause, OutcomeUnknownError)
    assert moto.executed["TransactWriteItems"] == thing.get("a").value == 3
    assert len(moto.tokens) == 3  # each had one, although moto does not look at it
