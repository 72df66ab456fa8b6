"""What the library tells those who watch it: blinker signals.

The sender of each is the `Cluster`. Each has an event, a frozen dataclass with what happened, which receivers get as
the keyword argument ``event``; they get its fields as keyword arguments too, and should take ``**extra``, because later
versions may add some. `cluster_name` is in every event. Keys and item values are in none.

The classes of the events are in `events`, and are names of this module too. They are imported when the first receiver
is connected, or when somebody names one: the standard library compiles five methods for each, which takes 7 ms for all,
and a process that watches nothing need not wait for that.

They are sent in the thread in which the thing happened, and under no lock for which a thread waits: those of the
requests of `Cluster.nodes()` are sent while `NodeLocations` holds its own, which no thread waits for. What a receiver
raises is logged and swallowed: watching a request never breaks it.
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
        # Not when something happens: a process without a free file descriptor can import nothing when a node fails it.
        _kinds()
        return super().connect(receiver, sender, weak)


namespace: Namespace = Namespace()


def _signal(name: str, doc: str) -> NamedSignal:
    signal = namespace[name] = _Signal(name, doc)
    return signal


request_routed: NamedSignal = _signal("request-routed", "An attempt is about to be sent.")
request_retried: NamedSignal = _signal("request-retried", "An attempt failed, and another one follows.")
request_completed: NamedSignal = _signal("request-completed", "The caller gets an answer or an error.")
affinity_fallback: NamedSignal = _signal("affinity-fallback", "Affinity was wanted and could not be used.")
scope_fallback: NamedSignal = _signal(
    "scope-fallback", "The scope in use is now another one, and not the preferred one."
)
scope_restored: NamedSignal = _signal("scope-restored", "The preferred scope is in use again.")
topology_refreshed: NamedSignal = _signal("topology-refreshed", "The node list was read, and changed or not.")
node_added: NamedSignal = _signal("node-added", "The topology gained a node.")
node_removed: NamedSignal = _signal("node-removed", "The topology lost a node.")
node_quarantined: NamedSignal = _signal(
    "node-quarantined", "A node is on trial: it gets traffic only after the active ones."
)
node_down: NamedSignal = _signal("node-down", "A node gets no traffic any more.")
node_up: NamedSignal = _signal("node-up", "A node is active again.")
node_set_aside: NamedSignal = _signal(
    "node-set-aside",
    "A node goes last in query plans for a while: its answers fail far more often than those of the others.",
)
node_restored: NamedSignal = _signal(
    "node-restored", "A node that was set aside gets traffic again, and is judged anew."
)
discovery_failed: NamedSignal = _signal("discovery-failed", "No source told the node list.")
no_nodes_available: NamedSignal = _signal("no-nodes-available", "A request found nothing to route to.")
client_forked: NamedSignal = _signal("client-forked", "A child process took over its copy of the cluster.")


@cache
def _kinds() -> dict[NamedSignal, tuple[type[Event], frozenset[str]]]:
    """The class of each signal's events, and its fields."""
    from dataclasses import fields

    from .events import BY_SIGNAL

    return {
        namespace[name]: (kind, frozenset(field.name for field in fields(kind))) for name, kind in BY_SIGNAL.items()
    }


def _event_alone() -> tuple[type[Event], frozenset[str]]:
    """For a signal that is not one of these."""
    from .events import Event

    return Event, frozenset(["cluster_name"])


if not TYPE_CHECKING:  # to type checkers a module with `__getattr__` has every name, misspelt ones too

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
    """Send `signal` to each of its receivers. What one raises is logged, and the others still hear of it.

    `payload` holds all fields of the signal's event, and is not the caller's any more. The event is made once, if there
    is a receiver, and given as ``event`` beside them. It is not made from a payload that lacks a field or has one that
    the event does not know: this is logged as an error, and receivers get the payload alone. No request fails for that.
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
    # Not by the __init__ of a frozen dataclass, which sets field by field and takes five times as long.
    event = _new(kind)
    event.__dict__.update(payload)
    payload["event"] = event
