"""What botocore's client calls to make a request."""

from __future__ import annotations

from typing import Any

import pytest

from pynamodb_alternator import Cluster, ClusterConfig, Timeouts
from pynamodb_alternator.errors import MalformedAnswerError

from .servers import Server, ok, read_request


def test_an_answer_that_cannot_be_read_names_its_node() -> None:
    def garbage(sock: Any) -> None:
        while (request := read_request(sock)) is not None:
            sock.sendall(ok(b'["127.0.0.1"]') if request[0].startswith(b"GET") else ok(b"no JSON"))

    with Server(garbage) as server:
        node = server.node()
        with Cluster(ClusterConfig([node.address], port=node.port, timeouts=Timeouts(2.0, 2.0))) as cluster:
            with pytest.raises(MalformedAnswerError) as raised:
                cluster.client.put_item(TableName="t", Item={"id": {"S": "a"}}, ConditionExpression="x = y")
            assert raised.value.node == node.address
