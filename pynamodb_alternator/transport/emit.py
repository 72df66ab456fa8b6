"""Sends the signals of a request.

Each function emits one signal, with the whole payload of its event in one call. `Environment.emit` adds the cluster's
name to the payload, and passes the same dict to the receivers. Code that runs for every request checks first whether
the signal has receivers, so that a request without receivers takes only the time to read an attribute.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import signals

if TYPE_CHECKING:
    from ..settings.scopes import Scope
    from ..topology.node import Node
    from .attempts import Attempts
    from .happy_path import Told
    from .http1 import Answer

__all__ = ["affinity_fallback", "completed", "next_request_id", "no_nodes_available", "retried", "routed", "table_name"]

_request_numbers = itertools.count(1)


def next_request_id() -> str:
    """A text that is the same in all signals of one request, and that no other request of this machine has."""
    return f"{os.getpid():x}-{next(_request_numbers):x}"


def affinity_fallback(request: Attempts | Told) -> None:
    """Sent if the request's plan should have affinity, but has none."""
    plan = request.plan
    if plan.wanted_affinity and plan.reason is not None and signals.affinity_fallback.receivers:
        request.environment.emit(
            signals.affinity_fallback,
            operation=request.operation,
            table_name=table_name(request.parameters),
            request_id=request.request_id,
            own=request.is_lookup,
            reason=plan.reason,
        )


def routed(request: Attempts | Told, node: Node, *, hedge: bool = False) -> None:
    request.environment.emit(
        signals.request_routed,
        operation=request.operation,
        table_name=table_name(request.parameters),
        request_id=request.request_id,
        own=request.is_lookup,
        node=node.address,
        attempt=request.count,
        policy=request.plan.policy,
        reason=request.plan.reason,
        hedge=hedge,
    )


def retried(request: Attempts, before: Node, node: Node, error: BaseException | Answer | None) -> None:
    """`error`: the failure or answer of the attempt at the node `before`."""
    request.environment.emit(
        signals.request_retried,
        operation=request.operation,
        table_name=table_name(request.parameters),
        request_id=request.request_id,
        own=request.is_lookup,
        from_node=before.address,
        to_node=node.address,
        attempt=request.count,
        error=error if error is None or isinstance(error, BaseException) else f"status {error.status}",
    )


def completed(
    request: Attempts | Told, answer: Answer | None, error: BaseException | None, *, hedge: str | None = None
) -> None:
    """`hedge`: as in `signals.RequestCompleted`."""
    node, replicas = request.node, request.plan.replicas
    environment = request.environment
    environment.emit(
        signals.request_completed,
        operation=request.operation,
        table_name=table_name(request.parameters),
        request_id=request.request_id,
        own=request.is_lookup,
        node=None if node is None else node.address,
        attempts=request.count,
        status=None if answer is None else answer.status,
        error=error,
        duration=environment.clock() - request.started,
        policy=request.plan.policy,
        hedge=hedge,
        reason=request.plan.reason,
        on_replica=node in replicas if node is not None and replicas else None,
    )


def no_nodes_available(request: Attempts, scope: Scope, why: str) -> None:
    request.environment.emit(
        signals.no_nodes_available,
        operation=request.operation,
        table_name=table_name(request.parameters),
        request_id=request.request_id,
        own=request.is_lookup,
        scope=str(scope),
        error=why,
    )


def table_name(parameters: Mapping[str, Any]) -> str | None:
    """The table of a request. The names of several tables in a batch are joined with commas."""
    name = parameters.get("TableName")
    if name is not None:
        return str(name)
    items = parameters.get("RequestItems")
    if isinstance(items, Mapping):
        return ",".join(str(table) for table in items)
    return None
