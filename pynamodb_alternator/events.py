"""The events that the signals carry: a frozen dataclass for each.

They are public as names of `signals`, which imports this module when they are first of use: see there.
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
    """What all events have."""

    cluster_name: str
    """The name of the cluster: its alias, unless it was given another one."""


@dataclass(frozen=True, kw_only=True)
class RequestEvent(Event):
    """What the events of a request have."""

    operation: str
    """DynamoDB's name of it, such as ``GetItem``."""
    table_name: str | None
    """The tables of a batch are joined with commas. None for an operation without a table."""
    request_id: str
    """The same in all events of one request, and in those of no other request of this machine."""
    own: bool = False
    """Whether the library makes the request for itself: a look-up of a table, or a reading of a system table."""


@dataclass(frozen=True, kw_only=True)
class RequestRouted(RequestEvent):
    """An attempt is about to be sent."""

    node: str
    """Where to, as ``host:port``."""
    attempt: int
    """The number of the attempt; 1 is the first."""
    policy: str
    """How the query plan was made: ``affinity`` or ``batch_affinity`` (the coordinator of the key), ``replica`` (the
    nodes that hold the key first), ``round_robin``, ``random``, ``least_busy`` or ``consistent_node``."""
    reason: str | None
    """Why neither affinity nor replicas were used, as a word of `routing.reasons`; None if one of them was."""
    hedge: bool = False
    """Whether it is sent beside another attempt, which has been waiting for long."""


@dataclass(frozen=True, kw_only=True)
class RequestRetried(RequestEvent):
    """An attempt failed, and another one follows."""

    from_node: str
    """The node that failed, as ``host:port``."""
    to_node: str
    """The node that is next. It may be the same, if there is no other one."""
    attempt: int
    """The number of the attempt that follows; 2 is the least."""
    error: BaseException | str | None
    """What failed: an exception, or ``status 503`` for an answer with that status."""


@dataclass(frozen=True, kw_only=True)
class RequestCompleted(RequestEvent):
    """The caller gets an answer or an error."""

    node: str | None
    """The node of the last attempt, as ``host:port``; of a hedged read the one that answered. None if there was no
    attempt."""
    attempts: int
    """How many attempts were made; 0 if no node was available."""
    status: int | None
    """The HTTP status of the answer. None without an answer."""
    error: BaseException | None
    """What the caller gets in place of an answer. An answer that tells of an error, such as a condition that failed,
    is an answer."""
    duration: float
    """Seconds from the call to the answer or error, retries and waits included."""
    policy: str
    """As in `RequestRouted`."""
    reason: str | None
    """As in `RequestRouted`."""
    hedge: str | None = None
    """``won``: the caller has the answer of a hedge. ``lost``: a hedge was sent, and the caller has something else.
    None: no hedge was sent."""
    on_replica: bool | None = None
    """Whether `node` holds the key, as far as the table's token ring says. None where replicas did not decide about the
    order of the nodes, and where there was no attempt."""


@dataclass(frozen=True, kw_only=True)
class AffinityFallback(RequestEvent):
    """Affinity was wanted and could not be used."""

    reason: str
    """``no_partition_key_name``, ``no_key_value``, ``unsupported_key_type`` or ``no_affinity_nodes``."""


@dataclass(frozen=True, kw_only=True)
class NoNodesAvailable(RequestEvent):
    """A request found nothing to route to."""

    scope: str
    """The routing scope in which it looked."""
    error: str
    """Why there is no node."""


@dataclass(frozen=True, kw_only=True)
class ScopeEvent(Event):
    """What both events of routing scopes have."""

    from_scope: str
    """The routing scope that was in use."""
    to_scope: str
    """The routing scope that is in use now."""
    reason: str
    """``no_usable_node``: in the scope that was in use. ``usable_again``: the scope that is in use now."""


@dataclass(frozen=True, kw_only=True)
class ScopeFallback(ScopeEvent):
    """The scope in use is now another one, and not the preferred one."""


@dataclass(frozen=True, kw_only=True)
class ScopeRestored(ScopeEvent):
    """The preferred scope is in use again."""


@dataclass(frozen=True, kw_only=True)
class TopologyRefreshed(Event):
    """The node list was read, and changed or not."""

    nodes: Sequence[str]
    """All nodes of the list, each as ``host:port``."""
    added: Sequence[str]
    """Those that the list before did not have."""
    removed: Sequence[str]
    """Those that only the list before had."""
    scope: str
    """The routing scope in use."""
    source: str
    """The node that told the list, as ``host:port``."""
    duration: float
    """Seconds that the reading took."""


@dataclass(frozen=True, kw_only=True)
class NodeEvent(Event):
    """What the events of a node have."""

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
    """Failures in a row: of requests in transport, and of the probe that decided, if one did. At least 1."""
    error: str | None
    """The last failure, or None if nothing is known of it."""


@dataclass(frozen=True, kw_only=True)
class NodeUp(NodeEvent):
    """A node is active again."""

    down_for: float
    """Seconds since it was active; 0.0 for a new node."""


@dataclass(frozen=True, kw_only=True)
class NodeSetAside(NodeEvent):
    """A node goes last in query plans for a while: its answers fail far more often than those of the others."""

    error: str
    """What its last failed answer said."""
    answers: int
    """How many of its answers were looked at."""
    failed: int
    """How many of these failed."""
    period: float
    """Seconds for which it is set aside."""
    times: int
    """How many times in a row; 1 is the first."""


@dataclass(frozen=True, kw_only=True)
class NodeRestored(NodeEvent):
    """A node that was set aside gets traffic again, and is judged anew."""

    set_aside_for: float
    """Seconds for which it was set aside."""


@dataclass(frozen=True, kw_only=True)
class DiscoveryFailed(Event):
    """No source told the node list."""

    tried: Sequence[str]
    """The addresses that were asked, each as ``host:port``."""
    error: str
    """What went wrong, of the last one that was asked."""
    consecutive: int
    """Readings in a row that failed; 1 is the first."""
    stale_for: float | None
    """Seconds since the node list was read. None if it never was."""


@dataclass(frozen=True, kw_only=True)
class ClientForked(Event):
    """A child process took over its copy of the cluster."""

    old_pid: int
    """The process that had it before: the parent, or an ancestor."""
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
