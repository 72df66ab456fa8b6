"""The blinker signals of the library, which report what it does.

The sender of each signal is the `Cluster`. Each signal has an event, a frozen dataclass with the facts. Receivers get
the event as the keyword argument ``event``, and its fields as keyword arguments too. They should accept ``**extra``,
because later versions may add fields. `cluster_name` is in every event. No event has keys or values of items.

The classes of the events are in `events`, and are names of this module too. They are imported when the first receiver
is connected, or when a program uses one of them. The standard library compiles five methods for each class, which takes
7 ms for all, and a process without receivers does not have to wait for this.

A signal is sent in the thread in which the event happened. No lock is held for which a thread waits: the signals of the
requests of `Cluster.nodes()` are sent while `NodeLocations` holds its lock, but no thread waits for this lock. If a
receiver raises an exception, it is logged and ignored: a receiver never breaks a request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from blinker import ANY, NamedSignal, Namespace

if TYPE_CHECKING:
    from .events import (
        AffinityFallback,
        ClientForked,
        DiscoveryFailed,
        Event,
        NodeAdded,
        NodeDown,
        NodeEvent,
        NodeQuarantined,
        NodeRemoved,
        NodeRestored,
        NodeSetAside,
        NodeUp,
        NoNodesAvailable,
        RequestCompleted,
        RequestEvent,
        RequestRetried,
        RequestRouted,
        ScopeEvent,
        ScopeFallback,
        ScopeRestored,
        TopologyRefreshed,
    )

    EVENTS: Mapping[NamedSignal, type[Event]]
    """The class of each signal's events."""

__all__ = [
    "EVENTS",
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
    "affinity_fallback",
    "client_forked",
    "discovery_failed",
    "emit",
    "namespace",
    "no_nodes_available",
    "node_added",
    "node_down",
    "node_quarantined",
    "node_removed",
    "node_restored",
    "node_set_aside",
    "node_up",
    "request_completed",
    "request_retried",
    "request_routed",
    "scope_fallback",
    "scope_restored",
    "send",
    "topology_refreshed",
]

_log = logging.getLogger("pynamodb_alternator.cluster")

_Receiver = TypeVar("_Receiver", bound=Callable[..., Any])


class _Signal(NamedSignal):
    """A signal with a class for its events. The class is loaded when the first receiver is connected."""

    def connect(self, receiver: _Receiver, sender: Any = ANY, weak: bool = True) -> _Receiver:
        # The class is not loaded later, when an event happens: a process without a free file descriptor cannot import.
        _kinds()
        return super().connect(receiver, sender, weak)


namespace: Namespace = Namespace()


def _signal(name: str, doc: str) -> NamedSignal:
    signal = namespace[name] = _Signal(name, doc)
    return signal


request_routed: NamedSignal = _signal("request-routed", "An attempt is about to be sent.")
request_retried: NamedSignal = _signal("request-retried", "An attempt failed, and another one follows.")
request_completed: NamedSignal = _signal("request-completed", "The caller gets an answer or an error.")
affinity_fallback: NamedSignal = _signal("affinity-fallback", "A request should have affinity, but could not use it.")
scope_fallback: NamedSignal = _signal(
    "scope-fallback", "Another routing scope is in use now, which is not the preferred one."
)
scope_restored: NamedSignal = _signal("scope-restored", "The preferred routing scope is in use again.")
topology_refreshed: NamedSignal = _signal("topology-refreshed", "The node list was read. It may have changed or not.")
node_added: NamedSignal = _signal("node-added", "The topology gained a node.")
node_removed: NamedSignal = _signal("node-removed", "The topology lost a node.")
node_quarantined: NamedSignal = _signal(
    "node-quarantined", "A node is on trial: it gets traffic only after the active ones."
)
node_down: NamedSignal = _signal("node-down", "A node gets no traffic any more.")
node_up: NamedSignal = _signal("node-up", "A node is active again.")
node_set_aside: NamedSignal = _signal(
    "node-set-aside",
    "A node is last in query plans for a while, because its answers fail far more often than those of the others.",
)
node_restored: NamedSignal = _signal(
    "node-restored", "A node that was set aside gets traffic again, and its failures are counted anew."
)
discovery_failed: NamedSignal = _signal("discovery-failed", "The node list could not be read from any node.")
no_nodes_available: NamedSignal = _signal("no-nodes-available", "No node was available for a request.")
client_forked: NamedSignal = _signal("client-forked", "A forked child process uses its copy of the cluster.")


@cache
def _kinds() -> dict[NamedSignal, tuple[type[Event], frozenset[str]]]:
    """The class of each signal's events, and its fields."""
    from dataclasses import fields

    from .events import BY_SIGNAL

    return {
        namespace[name]: (kind, frozenset(field.name for field in fields(kind))) for name, kind in BY_SIGNAL.items()
    }


def _event_alone() -> tuple[type[Event], frozenset[str]]:
    """The class and fields for a signal that is not one of these."""
    from .events import Event

    return Event, frozenset(["cluster_name"])


if not TYPE_CHECKING:  # for type checkers, a module with `__getattr__` has every name, also misspelt ones

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import events

        if name == "EVENTS":
            value: Any = {signal: kind for signal, (kind, _) in _kinds().items()}
        else:
            value = getattr(events, name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_new = object.__new__


def emit(signal: NamedSignal, sender: Any, /, **payload: Any) -> None:
    """Send `signal` to each of its receivers: see `send`."""
    send(signal, sender, payload)


def send(signal: NamedSignal, sender: Any, payload: dict[str, Any]) -> None:
    """Send `signal` to each of its receivers. If one raises an exception, it is logged, and the others still get the
    signal.

    `payload` has all fields of the signal's event. The caller must not use it any more. If there is a receiver, the
    event is made once, and passed as ``event`` with the fields. If the payload lacks a field or has an unknown one, no
    event is made: this is logged as an error, and receivers get only the payload. No request fails because of this.
    """
    if not signal.receivers or signal.is_muted:
        return
    complete = False
    for receiver in signal.receivers_for(sender):
        if not complete:
            _add_event(signal, payload)
            complete = True
        try:
            receiver(sender, **payload)
        except Exception:
            _log.exception("A receiver of the signal %r raised; the request goes on.", signal.name)


def _add_event(signal: NamedSignal, payload: dict[str, Any]) -> None:
    kind, names = _kinds().get(signal) or _event_alone()
    if payload.keys() != names:
        _log.error(
            "The signal %r is sent without its event: the payload lacks %s, and has %s too many.",
            signal.name,
            sorted(names - payload.keys()) or "nothing",
            sorted(payload.keys() - names) or "nothing",
        )
        return
    # The __init__ of a frozen dataclass is not used: it sets field by field, and takes five times as long.
    event = _new(kind)
    event.__dict__.update(payload)
    payload["event"] = event
