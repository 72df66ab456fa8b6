"""The names of OpenTelemetry's semantic conventions for the data of the signals.

These are the conventions for databases, and those for DynamoDB, whose protocol Alternator has. If they have no name for
something, our name begins with ``alternator.``. Source: https://opentelemetry.io/docs/specs/semconv/db/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .. import signals
from ..settings.addresses import without_brackets
from ._watch import error_name, table_of

__all__ = ["BUCKETS", "SCHEMA_URL", "Attributes", "described", "error_of_retry", "failed", "ours", "routed", "server"]

Attributes = Mapping[str, str | int | bool | Sequence[str]]

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the conventions that has these names."""

SYSTEM = "aws.dynamodb"
"""The name of Alternator's protocol in the conventions."""

BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
"""Upper bounds in seconds, which the conventions recommend."""


def described(event: signals.RequestCompleted) -> dict[str, str | int | bool]:
    """The attributes that a request's span and its duration both have: what was requested, and how it failed, if it
    did."""
    attributes: dict[str, str | int | bool] = {"db.system.name": SYSTEM, "db.operation.name": event.operation}
    table = table_of(event.table_name)
    if table and table != "several":
        attributes["db.collection.name"] = table
    if failed(event):
        attributes["error.type"] = error_name(event.error) or str(event.status)
        if event.status is not None:
            attributes["db.response.status_code"] = str(event.status)
    return attributes


def failed(event: signals.RequestCompleted) -> bool:
    """Whether the caller got an error, also one from an answer, such as a failed condition."""
    return event.error is not None or event.status is None or event.status >= 400


def ours(event: signals.Event) -> dict[str, str | int | bool]:
    """The cluster, and the mark of a request that the library itself made."""
    attributes: dict[str, str | int | bool] = {"alternator.cluster.name": event.cluster_name}
    if isinstance(event, signals.RequestEvent) and event.own:
        attributes["alternator.own_request"] = True
    return attributes


def routed(event: signals.RequestCompleted) -> dict[str, str | int | bool]:
    """How the nodes of the request were chosen, and why not by affinity or replicas."""
    attributes: dict[str, str | int | bool] = {"alternator.routing.policy": event.policy}
    if event.reason is not None:
        attributes["alternator.routing.reason"] = event.reason
    return attributes


def server(node: str | None) -> dict[str, str | int | bool]:
    """The attributes of a server for a node ``host:port``."""
    if node is None:
        return {}
    host, _, port = node.rpartition(":")
    return {"server.address": without_brackets(host), "server.port": int(port)}


def error_of_retry(event: signals.RequestRetried) -> str:
    """The kind of the failure, for ``error.type``."""
    return error_name(event.error) or "_OTHER"
