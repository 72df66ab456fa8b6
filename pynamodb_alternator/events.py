"""The events that the signals carry: a frozen dataclass for each.

They are public as names of `signals`, which imports this module when they are first needed: see there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = [
    "BY_SIGNAL",
    "AffinityFallback",
    "ClientForked",
    "DiscoveryFailed",
    "Event",
    "NoNodesAvailable",
    "NodeAdded",
    "NodeDown",
    "NodeEvent",
    "NodeQuarantined",
    "NodeRemoved",
    "NodeRestored",
    "NodeSetAside",
    "NodeUp",
    "RequestCompleted",
    "RequestEvent",
    "RequestRetried",
    "RequestRouted",
    "ScopeEvent",
    "ScopeFallback",
    "ScopeRestored",
    "TopologyRefreshed",
]


@dataclass(frozen=True, kw_only=True)
class Event:
    """The base of all events."""

    cluster_name: str
    """The name of the cluster: its alias, unless it has a name of its own."""


@dataclass(frozen=True, kw_only=True)
class RequestEvent(Event):
    """The base of the events of a request."""

    operation: str
    """DynamoDB's name of the operation, such as ``GetItem``."""
    table_name: str | None
    """The tables of a batch are joined with commas. None for an operation without a table."""
    request_id: str
    """A text that is the same in all events of one request, and that no other request of this machine has."""
    own: bool = False
    """Whether the library itself makes the request: a look-up of a table, or a reading of a system table."""


@dataclass(frozen=True, kw_only=True)
class RequestRouted(RequestEvent):
    """An attempt is about to be sent."""

    node: str
    """The node to which it is sent, as ``host:port``."""
    attempt: int
    """The number of the attempt; 1 is the first."""
    policy: str
    """How the query plan was made: ``affinity`` or ``batch_affinity`` (the coordinator of the key), ``replica`` (the
    nodes that hold the key first), ``round_robin``, ``random``, ``least_busy`` or ``consistent_node``."""
    reason: str | None
    """Why neither affinity nor replicas were used, as a word of `routing.reasons`; None if one of them was."""
    hedge: bool = False
    """Whether it is a hedge: a second attempt while the first one has been waiting for a long time."""


@dataclass(frozen=True, kw_only=True)
class RequestRetried(RequestEvent):
    """An attempt failed, and another one follows."""

    from_node: str
    """The node that failed, as ``host:port``."""
    to_node: str
    """The next node. It may be the same node, if there is no other one."""
    attempt: int
    """The number of the attempt that follows; at least 2."""
    error: BaseException | str | None
    """The failure: an exception, or ``status 503`` for an answer with this status."""


@dataclass(frozen=True, kw_only=True)
class RequestCompleted(RequestEvent):
    """The caller gets an answer or an error."""

    node: str | None
    """The node of the last attempt, as ``host:port``; of a hedged read the node that answered. None if there was no
    attempt."""
    attempts: int
    """How many attempts were made; 0 if no node was available."""
    status: int | None
    """The HTTP status of the answer. None without an answer."""
    error: BaseException | None
    """The exception that the caller gets instead of an answer. An error answer of the server, such as a failed
    condition, counts as an answer."""
    duration: float
    """Seconds from the call to the answer or error, retries and waits included."""
    policy: str
    """As in `RequestRouted`."""
    reason: str | None
    """As in `RequestRouted`."""
    hedge: str | None = None
    """``won``: the caller has the answer of the hedge. ``lost``: a hedge was sent, and the caller has another answer,
    or an error. None: no hedge was sent."""
    on_replica: bool | None = None
    """Whether `node` holds the key, by the table's token ring. None if the order of the nodes did not depend on
    replicas, or if there was no attempt."""


@dataclass(frozen=True, kw_only=True)
class AffinityFallback(RequestEvent):
    """A request should have affinity, but could not use it."""

    reason: str
    """``no_partition_key_name``, ``no_key_value``, ``unsupported_key_type`` or ``no_affinity_nodes``."""


@dataclass(frozen=True, kw_only=True)
class NoNodesAvailable(RequestEvent):
    """No node was available for a request."""

    scope: str
    """The routing scope in use."""
    error: str
    """Why there is no node."""


@dataclass(frozen=True, kw_only=True)
class ScopeEvent(Event):
    """The base of both events of routing scopes."""

    from_scope: str
    """The routing scope that was in use."""
    to_scope: str
    """The routing scope that is in use now."""
    reason: str
    """``no_usable_node``: the scope that was in use has no usable node. ``usable_again``: the scope that is in use now
    has one again."""


@dataclass(frozen=True, kw_only=True)
class ScopeFallback(ScopeEvent):
    """Another routing scope is in use now, which is not the preferred one."""


@dataclass(frozen=True, kw_only=True)
class ScopeRestored(ScopeEvent):
    """The preferred routing scope is in use again."""


@dataclass(frozen=True, kw_only=True)
class TopologyRefreshed(Event):
    """The node list was read. It may have changed or not."""

    nodes: Sequence[str]
    """All nodes of the list, each as ``host:port``."""
    added: Sequence[str]
    """The nodes that the list before did not have."""
    removed: Sequence[str]
    """The nodes that only the list before had."""
    scope: str
    """The routing scope in use."""
    source: str
    """The node that told the list, as ``host:port``."""
    duration: float
    """Seconds that the reading took."""


@dataclass(frozen=True, kw_only=True)
class NodeEvent(Event):
    """The base of the events of a node."""

    node: str
    """The node, as ``host:port``."""


@dataclass(frozen=True, kw_only=True)
class NodeAdded(NodeEvent):
    """The topology gained a node."""


@dataclass(frozen=True, kw_only=True)
class NodeRemoved(NodeEvent):
    """The topology lost a node."""


@dataclass(frozen=True, kw_only=True)
class NodeQuarantined(NodeEvent):
    """A node is on trial: it gets traffic only after the active ones."""

    failures: int
    """Failures in a row."""
    error: str | None
    """The last failure, or None if nothing is known of it."""


@dataclass(frozen=True, kw_only=True)
class NodeDown(NodeEvent):
    """A node gets no traffic any more."""

    failures: int
    """Failures in a row: of requests in transport, and of the probe after which the node was down, if there was one. At
    least 1."""
    error: str | None
    """The last failure, or None if nothing is known of it."""


@dataclass(frozen=True, kw_only=True)
class NodeUp(NodeEvent):
    """A node is active again."""

    down_for: float
    """Seconds since it was active; 0.0 for a new node."""


@dataclass(frozen=True, kw_only=True)
class NodeSetAside(NodeEvent):
    """A node is last in query plans for a while, because its answers fail far more often than those of the others."""

    error: str
    """The text of its last failed answer."""
    answers: int
    """How many of its answers were counted."""
    failed: int
    """How many of these failed."""
    period: float
    """Seconds for which it is set aside."""
    times: int
    """How many times in a row; 1 is the first."""


@dataclass(frozen=True, kw_only=True)
class NodeRestored(NodeEvent):
    """A node that was set aside gets traffic again, and its failures are counted anew."""

    set_aside_for: float
    """Seconds for which it was set aside."""


@dataclass(frozen=True, kw_only=True)
class DiscoveryFailed(Event):
    """The node list could not be read from any node."""

    tried: Sequence[str]
    """The addresses that were asked, each as ``host:port``."""
    error: str
    """The error of the last node that was asked."""
    consecutive: int
    """Readings in a row that failed; 1 is the first."""
    stale_for: float | None
    """Seconds since the node list was read. None if it never was."""


@dataclass(frozen=True, kw_only=True)
class ClientForked(Event):
    """A forked child process uses its copy of the cluster."""

    old_pid: int
    """The process that used it before: the parent, or an ancestor."""
    new_pid: int
    """This process."""


BY_SIGNAL: Mapping[str, type[Event]] = {
    "request-routed": RequestRouted,
    "request-retried": RequestRetried,
    "request-completed": RequestCompleted,
    "affinity-fallback": AffinityFallback,
    "scope-fallback": ScopeFallback,
    "scope-restored": ScopeRestored,
    "topology-refreshed": TopologyRefreshed,
    "node-added": NodeAdded,
    "node-removed": NodeRemoved,
    "node-quarantined": NodeQuarantined,
    "node-down": NodeDown,
    "node-up": NodeUp,
    "node-set-aside": NodeSetAside,
    "node-restored": NodeRestored,
    "discovery-failed": DiscoveryFailed,
    "no-nodes-available": NoNodesAvailable,
    "client-forked": ClientForked,
}
"""The class of each signal's events, by the name of the signal."""
