"""The common part of the subscribers of the signals: connecting, disconnecting, and counting nodes."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, Self

from blinker import NamedSignal

from .. import signals
from ..transport.pool_core import PoolStats

__all__ = [
    "NO_CONNECTIONS",
    "Clusters",
    "Handle",
    "Receiver",
    "Subscription",
    "count_states",
    "error_name",
    "missing",
    "table_of",
]

STATES = ("active", "quarantined", "set_aside", "down")
"""The values of `NodeInfo.condition`."""

NO_CONNECTIONS = PoolStats(0, 0, 0, 0)

Receiver = Callable[..., None]


def missing(extra: str, distribution: str, cause: ImportError) -> NoReturn:
    """Raise ImportError, which says which extra has the missing package."""
    raise ImportError(
        f"pynamodb_alternator.contrib.{extra} needs {distribution}: {str(cause).rstrip('.')}. "
        f"Install the extra: pip install 'pynamodb-alternator[{extra}]'",
        name=cause.name,
    ) from cause


class Subscription:
    """Receivers that are connected together, and disconnected together."""

    def __init__(self, receivers: Iterable[tuple[NamedSignal, Receiver]]) -> None:
        self._receivers = list(receivers)
        for signal, receiver in self._receivers:
            signal.connect(receiver, weak=False)

    def close(self) -> None:
        receivers, self._receivers = self._receivers, []
        for signal, receiver in receivers:
            signal.disconnect(receiver)


class Handle:
    """The result of an ``instrument()``. As a context manager, it ends the subscription at the end of the block."""

    def uninstrument(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.uninstrument()


class Clusters:
    """The nodes of each cluster with their states, and when its node list was last read. Both are learnt from signals.

    If a subscriber begins later than the cluster, it starts with the nodes that the sender of a signal knows. The
    connections are read from each cluster that has sent a signal about its nodes, unless it is closed or was collected.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._nodes: dict[str, dict[str, str]] = {}
        self._read_at: dict[str, float] = {}
        self._senders: weakref.WeakSet[Any] = weakref.WeakSet()
        self.changed: Callable[[str, Mapping[str, int]], None] | None = None
        """Is called with a cluster's name, and the number of its nodes by state, when these may have changed."""

    def receivers(self) -> list[tuple[NamedSignal, Receiver]]:
        return [
            (signals.topology_refreshed, self._refreshed),
            (signals.node_added, self._state("quarantined", only_new=True)),
            (signals.node_removed, self._removed),
            (signals.node_quarantined, self._state("quarantined")),
            (signals.node_down, self._state("down")),
            (signals.node_up, self._state("active")),
            (signals.node_set_aside, self._ask),
            (signals.node_restored, self._ask),
            (signals.client_forked, self._forked),
        ]

    def nodes(self) -> dict[str, dict[str, int]]:
        """The number of nodes by state, by the name of the cluster."""
        with self._lock:
            return {name: count_states(nodes) for name, nodes in self._nodes.items()}

    def ages(self) -> dict[str, float]:
        """By the name of the cluster: the seconds since its node list was read."""
        with self._lock:
            now = self._clock()
            return {name: max(0.0, now - read_at) for name, read_at in self._read_at.items()}

    def age(self, cluster_name: str) -> float:
        """The seconds since the node list of one cluster was read; NaN if it was never read."""
        return self.ages().get(cluster_name, float("nan"))

    def pools(self) -> dict[str, dict[str, PoolStats]]:
        """The connections of each cluster by its name, and by node. Clusters with the same name are added up."""
        with self._lock:
            senders = list(self._senders)
        figures: dict[str, dict[str, PoolStats]] = {}
        for core in (sender.core for sender in senders):
            if not core.closed:
                of_cluster = figures.setdefault(core.name, {})
                for node, stats in core.pool_stats().items():
                    of_cluster[node] = stats.plus(of_cluster.get(node, NO_CONNECTIONS))
        return figures

    def _refreshed(self, sender: Any, *, event: signals.TopologyRefreshed, **_: Any) -> None:
        name, known = event.cluster_name, nodes_of(sender)
        with self._lock:
            if hasattr(sender, "core"):
                self._senders.add(sender)
            self._read_at[name] = self._clock()
            before = self._nodes.get(name, {})
            self._nodes[name] = {node: known.get(node) or before.get(node, "quarantined") for node in event.nodes}
        self._tell(name)

    def _forked(self, sender: Any, **_: Any) -> None:
        # A thread of the parent may have held the old lock.
        self._lock = threading.Lock()

    def _removed(self, sender: Any, *, event: signals.NodeRemoved, **_: Any) -> None:
        with self._lock:
            self._of(event.cluster_name, sender).pop(event.node, None)
        self._tell(event.cluster_name)

    def _state(self, state: str, *, only_new: bool = False) -> Receiver:
        def changed(sender: Any, *, event: signals.NodeEvent, **_: Any) -> None:
            with self._lock:
                nodes = self._of(event.cluster_name, sender)
                if not (only_new and event.node in nodes):
                    # A node that is set aside stays set aside when its health becomes better.
                    is_aside = state != "down" and nodes.get(event.node) == "set_aside"
                    nodes[event.node] = "set_aside" if is_aside else state
            self._tell(event.cluster_name)

        return changed

    def _ask(self, sender: Any, *, event: signals.NodeSetAside | signals.NodeRestored, **_: Any) -> None:
        """Read the node's condition from the cluster, because this signal does not have it."""
        set_aside = isinstance(event, signals.NodeSetAside)
        state = nodes_of(sender).get(event.node, "set_aside" if set_aside else "active")
        with self._lock:
            self._of(event.cluster_name, sender)[event.node] = state
        self._tell(event.cluster_name)

    def _of(self, cluster_name: str, sender: Any) -> dict[str, str]:
        nodes = self._nodes.get(cluster_name)
        if nodes is None:
            nodes = self._nodes[cluster_name] = nodes_of(sender)
        return nodes

    def _tell(self, cluster_name: str) -> None:
        if self.changed is not None:
            # The lock is not held. If two threads report in the wrong order, the next refresh corrects this.
            self.changed(cluster_name, self.nodes().get(cluster_name, {}))


def nodes_of(sender: Any) -> dict[str, str]:
    """The state of each node, by its address, as the sender of a signal knows it now; empty if it is not a cluster.

    `Cluster.nodes` is not used, because it may read the node list first.
    """
    core = getattr(sender, "core", None)
    return {} if core is None else {node.address: node.condition for node in core.membership.nodes()}


def count_states(nodes: Mapping[str, str]) -> dict[str, int]:
    """The number of nodes by state. `nodes`: the state of each node, by its address."""
    counts = dict.fromkeys(STATES, 0)
    for state in nodes.values():
        counts[state] = counts.get(state, 0) + 1
    return counts


def error_name(error: object) -> str:
    """The kind of an error, without its text: ``ReadTimeoutError``, ``status 503``; empty without an error."""
    if error is None:
        return ""
    return error if isinstance(error, str) else type(error).__name__


def table_of(table_name: str | None) -> str:
    """The table of a request; ``several`` for a batch with more than one table; empty if there is none."""
    if not table_name:
        return ""
    return "several" if "," in table_name else table_name
