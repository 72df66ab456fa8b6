"""Counts where requests went: a subscriber of the library's signals, for the home page and the output of the demo.

The library calls it in the threads that make the requests, so it must be quick, and takes only one lock.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from pynamodb_alternator import Cluster, signals
from pynamodb_alternator.errors import OutcomeUnknownError

__all__ = ["Failover", "NodeTraffic", "Traffic"]

_SECONDS = 60
"""Seconds for which the counts of each second are kept."""

_RECENT = 3
"""Seconds over which the current numbers are computed."""

_SAMPLES = 500
"""The number of durations that are kept for each second and node."""

_WITHOUT_REPLICAS = frozenset(["no_token_ring", "no_replica_in_scope", "no_partition_key_name", "no_key_value"])
"""Reasons for which a request did not go to a replica of its key."""

_BOUND = frozenset(["affinity", "batch_affinity"])
"""Policies that give a request one coordinator, so that slow start does not apply."""

_RETURNING = 15
"""Seconds after a node's return for which the dashboard shows its share."""

_BEFORE = 12
"""Seconds before a node left in which its usual share is measured."""

_REMEMBERED = 12
"""The number of failovers and events that are kept."""


@dataclass
class Second:
    """The requests of one node in one second.

    `unbound`: attempts that could have gone to another node. `durations`: of the requests that it answered, in
    milliseconds.
    """

    at: int
    attempts: int = 0
    unbound: int = 0
    durations: list[float] = field(default_factory=list)


@dataclass
class NodeTraffic:
    """The requests of one node. `attempts`: requests sent to it. `failures`: requests that it did not answer."""

    attempts: int = 0
    failures: int = 0
    seconds: deque[Second] = field(default_factory=lambda: deque(maxlen=_SECONDS + 2))

    def count(self, second: int, *, bound: bool = False) -> None:
        self.attempts += 1
        this = self._of(second)
        this.attempts += 1
        this.unbound += not bound

    def took(self, second: int, milliseconds: float) -> None:
        durations = self._of(second).durations
        if len(durations) < _SAMPLES:
            durations.append(milliseconds)

    def history(self, now: int) -> list[int]:
        """Requests in each of the last full seconds, the newest last."""
        counts = {second.at: second.attempts for second in self.seconds}
        return [counts.get(second, 0) for second in range(now - _SECONDS, now)]

    def rate(self, now: int) -> float:
        """Requests per second, over the last full seconds."""
        return round(sum(self.history(now)[-_RECENT:]) / _RECENT, 1)

    def unbound(self, second: int) -> int:
        """Requests in that second that could have gone to another node."""
        return sum(kept.unbound for kept in self.seconds if kept.at == second)

    def latencies(self, now: int) -> list[float | None]:
        """The 95th percentile of durations in each of the last full seconds, in milliseconds, the newest last."""
        known = {second.at: percentile(second.durations) for second in self.seconds}
        return [known.get(second) for second in range(now - _SECONDS, now)]

    def latency(self, now: int) -> float | None:
        """The 95th percentile over all of the last full seconds."""
        recent = range(now - _RECENT, now)
        return percentile([duration for second in self.seconds if second.at in recent for duration in second.durations])

    def _of(self, second: int) -> Second:
        # Threads do not report in the order of the clock. Late reports count for the last second.
        if not self.seconds or self.seconds[-1].at < second:
            self.seconds.append(Second(second))
        return self.seconds[-1]


def percentile(durations: list[float], share: float = 0.95) -> float | None:
    """None without values."""
    if not durations:
        return None
    ordered = sorted(durations)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2)


@dataclass(frozen=True)
class Failover:
    """A request moved from one node to another."""

    at: float
    operation: str
    table_name: str | None
    from_node: str
    to_node: str
    error: str


@dataclass(frozen=True)
class Event:
    """A node changed its state."""

    at: float
    node: str
    what: str


class Traffic:
    """Counts the events of one cluster, from `watch` to `close`.

    `requests`: requests with an answer or an error. `failovers`: requests that moved to another node. `unknown`:
    requests with an unknown outcome. `errors`: other requests without a good answer. `to_replicas`: reads and plain
    writes that went to the replicas of their key first. `elsewhere`: those that did not, because the replicas are not
    known. `hedges`: reads that also went to a second node. `hedges_won`: those that the second node answered first.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._cluster: Cluster | None = None
        self._nodes: dict[str, NodeTraffic] = {}
        self._operations: Counter[str] = Counter()
        self._failovers: deque[Failover] = deque(maxlen=_REMEMBERED)
        self._events: deque[Event] = deque(maxlen=_REMEMBERED)
        self._last_error: str | None = None
        self.requests = 0
        self.failovers = 0
        self.errors = 0
        self.unknown = 0
        self.to_replicas = 0
        self.elsewhere = 0
        self.hedges = 0
        self.hedges_won = 0
        self._returned: dict[str, float] = {}
        self._usual: dict[str, float] = {}

    def watch(self, cluster: Cluster) -> Traffic:
        """Count the requests to this cluster from now on."""
        self._cluster = cluster
        signals.request_routed.connect(self._routed, sender=cluster)
        signals.request_retried.connect(self._retried, sender=cluster)
        signals.request_completed.connect(self._completed, sender=cluster)
        signals.node_up.connect(self._up, sender=cluster)
        signals.node_quarantined.connect(self._quarantined, sender=cluster)
        signals.node_down.connect(self._down, sender=cluster)
        signals.node_set_aside.connect(self._set_aside, sender=cluster)
        signals.node_restored.connect(self._restored, sender=cluster)
        return self

    def close(self) -> None:
        """Stop counting."""
        if self._cluster is None:
            return
        signals.request_routed.disconnect(self._routed, sender=self._cluster)
        signals.request_retried.disconnect(self._retried, sender=self._cluster)
        signals.request_completed.disconnect(self._completed, sender=self._cluster)
        signals.node_up.disconnect(self._up, sender=self._cluster)
        signals.node_quarantined.disconnect(self._quarantined, sender=self._cluster)
        signals.node_down.disconnect(self._down, sender=self._cluster)
        signals.node_set_aside.disconnect(self._set_aside, sender=self._cluster)
        signals.node_restored.disconnect(self._restored, sender=self._cluster)

    # ---- what it knows ---------------------------------------------------------------------------------------------

    def per_node(self) -> dict[str, int]:
        """Requests sent to each node so far."""
        with self._lock:
            return {node: traffic.attempts for node, traffic in sorted(self._nodes.items())}

    def snapshot(self) -> dict[str, Any]:
        """Everything, as JSON takes it."""
        now = self._clock()
        states = {} if self._cluster is None else {node.address: node for node in self._cluster.nodes()}
        with self._lock:
            nodes = []
            for address in sorted({*states, *self._nodes}):
                traffic = self._nodes.get(address, NodeTraffic())
                info = states.get(address)
                nodes.append(
                    {
                        "address": address,
                        "state": "removed" if info is None else info.condition,
                        "down_for": None if info is None else info.down_for,
                        "error": None if info is None else info.error or info.set_aside_because,
                        "attempts": traffic.attempts,
                        "failures": traffic.failures,
                        "history": traffic.history(int(now)),
                        "rate": traffic.rate(int(now)),
                        "latencies": traffic.latencies(int(now)),
                        "latency": traffic.latency(int(now)),
                        "datacenter": None if info is None else info.datacenter,
                        "rack": None if info is None else info.rack,
                        **self._return_of(address, now),
                    }
                )
            return {
                "second": int(now),
                "nodes": nodes,
                "requests": self.requests,
                "failovers": self.failovers,
                "errors": self.errors,
                "unknown": self.unknown,
                "replicas": self._share_of_replicas(),
                "hedges": self.hedges,
                "last_error": self._last_error,
                "operations": dict(self._operations.most_common()),
                "last_failovers": [asdict(failover) for failover in reversed(self._failovers)],
                "events": [asdict(event) for event in reversed(self._events)],
            }

    def _share_of_replicas(self) -> float | None:
        """The percentage of reads and plain writes of one key that went to its replicas first."""
        both = self.to_replicas + self.elsewhere
        return round(100 * self.to_replicas / both, 1) if both else None

    def shares(self, address: str, seconds: int) -> list[int | None]:
        """A node's share of requests in each full second since its return, in percent of its share before it left.

        Only requests count that could have gone to another node. None for a second without such requests.
        """
        with self._lock:
            now = int(self._clock())
            begin = int(self._returned.get(address, now)) + 1
            return [self._share(address, second) for second in range(begin, min(begin + seconds, now))]

    def _return_of(self, address: str, now: float) -> dict[str, Any]:
        """How many seconds ago a node came back, and its share in the last full second since. None if it came back long
        ago."""
        returned = self._returned.get(address)
        if returned is None or now - returned > _RETURNING:
            return {"back_for": None, "share": None}
        last = int(now) - 1
        share = self._share(address, last) if last > int(returned) else None
        return {"back_for": round(now - returned, 1), "share": share}

    def _share(self, address: str, second: int) -> int | None:
        portion = self._portion(address, [second])
        return None if portion is None else round(100 * portion / self._usual.get(address, 1 / len(self._nodes)))

    def _portion(self, address: str, seconds: Iterable[int]) -> float | None:
        """The part of the requests that any node could serve which this node got. None if there were no such
        requests."""
        counts = {node: sum(map(traffic.unbound, seconds)) for node, traffic in self._nodes.items()}
        return counts.get(address, 0) / sum(counts.values()) if any(counts.values()) else None

    def _remember_portion(self, address: str) -> None:
        """Shortly before a node was found to be down, it got no requests. This moment does not count."""
        now = int(self._clock())
        portion = self._portion(address, range(now - _BEFORE, now - 2))
        if portion:
            self._usual[address] = portion

    # ---- what the signals tell -------------------------------------------------------------------------------------

    def _of(self, node: str) -> NodeTraffic:
        return self._nodes.setdefault(node, NodeTraffic())

    def _routed(self, cluster: Cluster, *, event: signals.RequestRouted, **extra: Any) -> None:
        second = int(self._clock())
        with self._lock:
            self._of(event.node).count(second, bound=event.policy in _BOUND)

    def _retried(self, cluster: Cluster, *, event: signals.RequestRetried, **extra: Any) -> None:
        failover = Failover(
            self._clock(), event.operation, event.table_name, event.from_node, event.to_node, _word(event.error)
        )
        with self._lock:
            self.failovers += 1
            self._of(event.from_node).failures += 1
            self._failovers.append(failover)

    def _completed(self, cluster: Cluster, *, event: signals.RequestCompleted, **extra: Any) -> None:
        second = int(self._clock())
        with self._lock:
            self.requests += 1
            # The duration of a request that was tried at another node before says nothing about this node.
            if event.node is not None and event.attempts == 1 and event.status is not None:
                self._of(event.node).took(second, event.duration * 1000)
            self._operations[event.operation] += 1
            self.hedges += event.hedge is not None
            self.hedges_won += event.hedge == "won"
            if event.policy == "replica":
                self.to_replicas += 1
            elif event.reason in _WITHOUT_REPLICAS or (
                event.reason == "read" and event.operation in ("GetItem", "Query")
            ):
                self.elsewhere += 1
            if isinstance(event.error, OutcomeUnknownError):
                self.unknown += 1
            elif event.status is None or event.status >= 500:
                # A failed condition is not an error: this is how the shop finds out that a product is sold out.
                self.errors += 1
                self._last_error = f"{_word(event.error)}: {event.error}"

    def _up(self, cluster: Cluster, *, event: signals.NodeUp, **extra: Any) -> None:
        if event.down_for:
            with self._lock:
                self._returned[event.node] = self._clock()
        self._changed(event.node, "active")

    def _quarantined(self, cluster: Cluster, *, event: signals.NodeQuarantined, **extra: Any) -> None:
        self._changed(event.node, "quarantined")

    def _down(self, cluster: Cluster, *, event: signals.NodeDown, **extra: Any) -> None:
        with self._lock:
            self._remember_portion(event.node)
        self._changed(event.node, "down")

    def _set_aside(self, cluster: Cluster, *, event: signals.NodeSetAside, **extra: Any) -> None:
        self._changed(event.node, "set aside")

    def _restored(self, cluster: Cluster, *, event: signals.NodeRestored, **extra: Any) -> None:
        self._changed(event.node, "restored")

    def _changed(self, node: str, what: str) -> None:
        change = Event(self._clock(), node, what)
        with self._lock:
            self._events.append(change)


def _word(error: BaseException | str | None) -> str:
    return error if isinstance(error, str) else type(error).__name__
