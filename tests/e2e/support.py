"""What several end-to-end tests share: a table, a session, and looks at what the nodes received."""

from __future__ import annotations

from typing import Any

from pynamodb_alternator import Cluster
from pynamodb_alternator.local import LocalCluster, LocalNode
from pynamodb_alternator.transport._session import client_session

TABLE = {
    "TableName": "items",
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [{"AttributeName": "key", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "key", "KeyType": "HASH"}],
}
SESSION = client_session()
"""One for all tests: each session reads botocore's service models anew, which takes most of a small test's time."""


def take_lane(client: Any, lane: str) -> None:
    """Have the requests of a client take the ``happy`` path, or the ``short`` or ``compatible`` lane. A handler decides
    it: of the call, or of its attempts."""
    event = {"happy": None, "short": "before-call.dynamodb", "compatible": "before-send.dynamodb"}[lane]
    if event is not None:
        client.meta.events.register(event, _do_nothing)


def _do_nothing(**_: Any) -> None:
    return None


def received(local: LocalCluster, operation: str) -> list[Any]:
    return [request for node in local.nodes for request in node.requests if request.operation == operation]


def forget(local: LocalCluster) -> None:
    for node in local.nodes:
        node.forget()


def is_active(cluster: Cluster, node: LocalNode) -> bool:
    return any(known.address == node.address and known.state.value == "active" for known in cluster.nodes())
