"""The state of the cluster as this process sees it: the only mutable thing in this room.

One lock guards it. What a request reads is `Membership.view`, a whole immutable snapshot that is swapped, so that no
request waits for a refresh. I/O, signals and callbacks happen outside the lock.
"""

from __future__ import annotations

import logging
import random as _random
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from blinker import NamedSignal

from .. import signals
from ..errors import ClusterClosedError, ConfigurationError
from ..settings.config import ClusterConfig
from ..settings.scopes import Scope, chain
from .discovery import Discovery, DiscoveryError, Fetch, Location, Reading, Resolve, location_of
from .health import HealthStatus, Observation, State, active, quarantined, transition
from .node import Node
from .selection import ScopeChoice, choose_scope, make_topology, view_of
from .view import Topology, View

__all__ = ["Listener", "Membership", "NodeInfo"]

_log = logging.getLogger("pynamodb_alternator.cluster")

_HISTORY = 1_000
"""Nodes that left the topology and whose health is remembered, in case they come back."""
_LONGEST_READING = 60.0
"""Seconds that a thread waits, at most, for another one's reading to end, if it has no deadline of its own."""


class Listener(Protocol):
    """Whoever acts on what the membership finds: the pools, the monitor, the signals."""

    def emit(self, signal: NamedSignal, **payload: Any) -> None: ...

    def members_changed(self, nodes: Collection[Node]) -> None:
        """These nodes exist now; those that are missing have left."""

    def went_down(self, node: Node) -> None: ...

    def suspect(self, node: Node) -> None:
        """Traffic to this node failed, or waits: probe it now, and report with `Membership.probed`."""


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One node with its state at one moment, for people to look at.

    `datacenter`, `rack`: as the server's system tables have them, else as they were asked for; None if neither says.
    `in_scope`: whether requests go to it, health permitting. `failures`: transport failures since its last success.
    `down_for`: seconds, if it is down. `error`: what was last heard of a node that is not active.
    """

    address: str
    state: State
    datacenter: str | None
    rack: str | None
    in_scope: bool
    failures: int
    down_for: float | None
    error: str | None


class _Emission(NamedTuple):
    """What is to be told when the lock is released: a signal, and a log line if people care."""

    signal: NamedSignal
    payload: dict[str, Any]
    level: int = logging.DEBUG
    line: str = ""


@dataclass(slots=True)
class _Trouble:
    """Why and since when a node is not active."""

    since: float
    error: str


class Membership:
    """Nodes, their health, and the routing scope in use.

    `trust_listed`: whether a newly listed node counts as active at once, where there is no monitor to probe it.
    """

    def __init__(
        self,
        config: ClusterConfig,
        listener: Listener,
        *,
        fetch: Fetch,
        resolve: Resolve,
        clock: Callable[[], float],
        random: _random.Random,
        trust_listed: bool = False,
    ) -> None:
        self.config = config
        self.view = View(make_topology(config.routing_scope, Reading(), 0, 0))
        self._views: tuple[View, dict[Scope, View]] = (self.view, {})
        """What requests with a routing scope of their own see of a view."""
        self.last_read: float | None = None
        self.last_success: float | None = None
        self.failed_readings = 0
        self._listener = listener
        self._clock = clock
        self._policy = config.health
        self._statuses: dict[Node, HealthStatus] = {}
        self._troubles: dict[Node, _Trouble] = {}
        self._next_probe: dict[Node, float] = {}
        self._suspects: set[Node] = set()
        self._reading = Reading()
        self._members: frozenset[Node] = frozenset()
        self._choice = ScopeChoice()
        self._readings = 0
        self._asked_in: dict[Node, int] = {}
        self._locations: Mapping[str, Location] = {}
        self._fetch = fetch
        self._trust_listed = trust_listed
        self._discovery = Discovery(
            config,
            fetch=fetch,
            resolve=resolve,
            random=random,
            answered=self._answered,
            failed=lambda node, error: self.suspect(node),
        )
        self.after_fork()

    def after_fork(self) -> None:
        """Fresh locks: another thread of the parent may have held the old ones."""
        self._lock = threading.Lock()
        self._turn = threading.Condition(threading.Lock())
        self._refreshing: int | None = None
        """The thread that reads the node list now."""
        self._suspects = set()

    # ---- what a request asks -----------------------------------------------------------------------------------

    def view_for(self, scope: Scope) -> View:
        """What a request with a routing scope of its own sees.

        Raises `ConfigurationError` for a scope whose nodes are not asked for.
        """
        views = self._views
        if views[0] is not self.view:
            views = self._views = (self.view, {})
        found = views[1].get(scope)
        if found is None:
            known = self._discovery.scopes
            for one in chain(scope):
                if location_of(one) not in map(location_of, known):
                    raise ConfigurationError(
                        f"The nodes of {one} are not known here: the node lists that are read are those of "
                        f"{', '.join(map(str, known))}. Name it in ClusterConfig(routing_scope=...), as a fallback at "
                        "least, so that its list is read too."
                    )
            with self._lock:
                view, reading = self.view, self._reading
            found = view_of(scope, reading, view)
            if view is views[0]:
                views[1][scope] = found
        return found

    def generation(self, node: Node) -> int:
        status = self._statuses.get(node)
        return 0 if status is None else status.generation

    def trouble_with(self, node: Node) -> str | None:
        """What was last heard of a node that is not active."""
        trouble = self._troubles.get(node)
        return (trouble.error or None) if trouble else None

    def is_suspect(self, node: Node) -> bool:
        """Whether a probe of the node was asked for and has not begun to count yet."""
        return node in self._suspects

    def is_down(self, node: Node) -> bool:
        return node in self.view.down

    def succeeded(self, node: Node, generation: int) -> None:
        """A request got a final answer. Costs next to nothing for a node that is well."""
        status = self._statuses.get(node)
        if status is None or (status.state is State.ACTIVE and not status.failures):
            return
        self._observe(node, Observation.TRAFFIC_SUCCESS, generation)

    def failed(self, node: Node, generation: int, error: Exception, *, counts: bool = True) -> None:
        """A request failed in transport. `counts` is False for a failure that an idle connection may explain."""
        if counts:
            self._observe(node, Observation.TRAFFIC_FAILURE, generation, error)
        self.suspect(node)

    def suspect(self, node: Node) -> None:
        """Have the node probed at once, unless it is being probed, or is known to be down."""
        with self._lock:
            status = self._statuses.get(node)
            if status is None or status.state is State.DOWN or node in self._suspects:
                return
            self._suspects.add(node)
        self._listener.suspect(node)

    # ---- health ------------------------------------------------------------------------------------------------

    def probes_due(self, now: float) -> list[Node]:
        """Nodes that are not active and have not been probed for a while."""
        with self._lock:
            return [node for node, due in self._next_probe.items() if due <= now and self._is_member(node)]

    def next_probe_at(self, now: float) -> float | None:
        """When the next node will be due. Those that are due already count as being probed."""
        with self._lock:
            return min(
                (due for node, due in self._next_probe.items() if due > now and self._is_member(node)), default=None
            )

    def _is_member(self, node: Node) -> bool:
        status = self._statuses.get(node)
        return status is not None and status.state is not State.ACTIVE and node in self._members

    def probe(self, node: Node, timeout: float) -> bool:
        """Ask the node whether it lives, and judge it by that. True if it does."""
        generation = self.generation(node)
        try:
            began = self._clock()
            error = self._ask(node, timeout)
            if error is not None and self._clock() > began + 1.5 * timeout:
                # This process was held up, so that the failure says nothing of the node.
                error = self._ask(node, timeout)
        except ClusterClosedError:
            return False  # we have closed, which says nothing of the node
        with self._lock:
            # A suspicion that came up while this probe was under way is settled by it as well.
            suspected = node in self._suspects
            self._suspects.discard(node)
            # A node that has begun to answer is asked again soon: it needs several answers to be trusted.
            pause = self._policy.probe_interval * (1.0 if error else 0.1)
            if node in self._statuses:
                self._next_probe[node] = self._clock() + pause
        if error is None:
            self._observe(node, Observation.PROBE_SUCCESS, generation)
        elif suspected:
            self._observe(node, Observation.SUSPICION_CONFIRMED, generation, error)
        else:
            self._observe(node, Observation.PROBE_FAILURE, generation, error)
        return error is None

    def _ask(self, node: Node, timeout: float) -> Exception | None:
        """Why the node is not well; None if it is. Raises `ClusterClosedError`."""
        try:
            code, _ = self._fetch(node, "/", timeout)
        except ClusterClosedError:
            raise
        except Exception as failure:
            return failure
        return None if code == 200 else ValueError(f"GET / was answered with status {code}")

    def _answered(self, node: Node) -> None:
        """The node told its list: as good as a probe, if it has not gone down since it was asked."""
        self._observe(node, Observation.PROBE_SUCCESS, self._asked_in.get(node))

    def _observe(
        self, node: Node, observation: Observation, generation: int | None = None, error: Exception | None = None
    ) -> None:
        with self._lock:
            before = self._statuses.get(node)
            if before is None or (generation is not None and generation != before.generation):
                return
            after = transition(before, observation, self._policy)
            if after is before:
                return
            self._statuses[node] = after
            if after.state is before.state:
                return
            now = self._clock()
            emissions = [self._emission_of(node, before, after, error, now)]
            changed_scope = self._choose(now)
            if changed_scope:
                emissions += changed_scope
                self._swap_view()
            else:
                self._mark(node, after.state)
        # First what requests wait for: whoever watches may take his time.
        if after.state is State.DOWN:
            self._listener.went_down(node)
        self._emit(emissions)

    def _emission_of(
        self, node: Node, before: HealthStatus, after: HealthStatus, error: Exception | None, now: float
    ) -> _Emission:
        reason = "" if error is None else str(error)
        if after.state is State.ACTIVE:
            trouble = self._troubles.pop(node, None)
            self._next_probe.pop(node, None)
            down_for = now - trouble.since if trouble else 0.0
            # A node that is new was never down.
            line = f"node {node} is active again, after {down_for:.1f} s" if before.generation else ""
            return _Emission(signals.node_up, {"node": node.address, "down_for": down_for}, logging.INFO, line)
        trouble = self._troubles.setdefault(node, _Trouble(now, reason))
        trouble.error = reason or trouble.error
        self._next_probe.setdefault(node, now)
        payload = {"node": node.address, "failures": after.failures, "error": trouble.error or None}
        if after.state is State.DOWN:
            line = f"node {node} is down: {trouble.error or 'no reason known'}"
            return _Emission(signals.node_down, payload, logging.WARNING, line)
        return _Emission(signals.node_quarantined, payload)

    # ---- discovery ---------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start with the seeds as the nodes, on trial, until a node list has been read."""
        seeds = self._discovery.seeds()
        reading = Reading({location_of(scope): seeds for scope in chain(self.config.routing_scope)})
        with self._lock:
            if self._members:
                return
            emissions = self._take(reading, announce=False)
        self._emit(emissions)

    def refresh(self, *, wait: bool = True, most: float = _LONGEST_READING) -> bool:
        """Read the node list now, or wait for the reading that is under way. False if no source told it.

        With `wait` False it does nothing while another thread reads. `most`: seconds to wait for that thread.
        """
        me = threading.get_ident()
        with self._turn:
            if self._refreshing is not None:
                # A receiver of one of our signals would wait for itself.
                if not wait or self._refreshing == me:
                    return self.last_success is not None
                before = self._readings
                self._turn.wait_for(lambda: self._refreshing is None or self._readings != before, most)
                return self._readings != before
            self._refreshing = me
        try:
            return self._read()
        finally:
            with self._turn:
                self._refreshing = None
                self._turn.notify_all()

    def _read(self) -> bool:
        started = self._clock()
        self.last_read = started
        with self._lock:
            previous = self._reading
            by_state: dict[State, list[Node]] = {state: [] for state in State}
            for node in sorted(self._members, key=lambda node: node.endpoint):
                by_state[self._statuses[node].state].append(node)
            self._asked_in = {node: self._statuses[node].generation for node in self._members}
            # Before the first reading the members are the seeds, which discovery knows by itself.
            previous = previous if self.last_success is not None else Reading()
        try:
            reading = self._discovery.read(
                previous,
                active=by_state[State.ACTIVE],
                quarantined=by_state[State.QUARANTINED],
                down=by_state[State.DOWN],
            )
        except ClusterClosedError:
            return False
        except DiscoveryError as error:
            self._reading_failed(error, started)
            return False
        with self._lock:
            old = self._members if self.last_success is not None else frozenset()
            known = self._members
            emissions = self._take(reading, announce=True)
            self.last_success = self._clock()
            self._readings += 1
            failed, self.failed_readings = self.failed_readings, 0
            new = self._members
            scope = self.view.topology.scope
        if new != known:
            self._listener.members_changed(new)
        added, removed = new - old, old - new
        if failed:
            _log.info("Cluster %r: the node list is readable again.", self.config.name)
        if added or removed:
            _log.info("Cluster %r: %d nodes (%s)", self.config.name, len(new), _change(added, removed))
        emissions.append(
            _Emission(
                signals.topology_refreshed,
                {
                    "nodes": sorted(node.address for node in new),
                    "added": sorted(node.address for node in added),
                    "removed": sorted(node.address for node in removed),
                    "scope": str(scope),
                    "source": reading.source,
                    "duration": self.last_success - started,
                },
            )
        )
        emissions += [_Emission(signals.node_added, {"node": node.address}) for node in sorted(added, key=str)]
        emissions += [_Emission(signals.node_removed, {"node": node.address}) for node in sorted(removed, key=str)]
        self._emit(emissions)
        return True

    def _reading_failed(self, error: DiscoveryError, now: float) -> None:
        with self._lock:
            self.failed_readings += 1
            consecutive = self.failed_readings
            # The scope in use may be due for a change all the same.
            emissions = self._choose(self._clock())
            if emissions:
                self._swap_view()
        stale_for = now - self.last_success if self.last_success is not None else None
        if consecutive == 1:
            _log.warning(
                "Cluster %r: the node list cannot be read (%s); going on with what is known. Asked: %s",
                self.config.name,
                error,
                ", ".join(error.tried) or "nobody",
            )
        payload = {"tried": error.tried, "error": str(error), "consecutive": consecutive, "stale_for": stale_for}
        self._emit([*emissions, _Emission(signals.discovery_failed, payload)])

    def _take(self, reading: Reading, *, announce: bool) -> list[_Emission]:
        """Make `reading` the truth. The caller holds the lock."""
        now = self._clock()
        members = frozenset(node for nodes in reading.members.values() for node in nodes)
        fresh = active(self._policy) if announce and self._trust_listed else quarantined()
        # Every member has a status before it is one: a process may be forked between two of these lines.
        for node in members:
            if self._statuses.get(node, _UNHEARD_OF) == _UNHEARD_OF:
                self._statuses[node] = fresh
                if fresh.state is not State.ACTIVE:
                    self._next_probe.setdefault(node, now)
        self._reading = reading
        self._members = members
        self._forget_long_gone()
        emissions = self._choose(now)
        self._swap_view()
        return emissions

    def _forget_long_gone(self) -> None:
        excess = len(self._statuses) - len(self._members) - _HISTORY
        if excess > 0:
            for node in [one for one in self._statuses if one not in self._members][:excess]:
                for memory in (self._statuses, self._troubles, self._next_probe):
                    memory.pop(node, None)

    def _choose(self, now: float) -> list[_Emission]:
        """Choose the scope in use again. The caller holds the lock."""
        scopes = list(chain(self.config.routing_scope))
        before = self._choice
        self._choice = choose_scope(
            self.config.routing_scope,
            self._reading,
            before,
            usable=lambda node: self._statuses[node].state is not State.DOWN,
            active=lambda node: self._statuses[node].state is State.ACTIVE,
            now=now,
            restore_after=self.config.discovery.scope_restore_after,
        )
        if self._choice.index == before.index:
            return []
        fell = self._choice.index > before.index
        reason = "no_usable_node" if fell else "usable_again"
        from_scope, to_scope = str(scopes[before.index]), str(scopes[self._choice.index])
        signal = signals.scope_fallback if self._choice.index else signals.scope_restored
        payload = {"from_scope": from_scope, "to_scope": to_scope, "reason": reason}
        return [_Emission(signal, payload, logging.WARNING, f"routing scope is now {to_scope} instead of {from_scope}")]

    def _swap_view(self) -> None:
        """Publish a new snapshot. The caller holds the lock."""
        old = self.view.topology
        topology = make_topology(self.config.routing_scope, self._reading, self._choice.index, old.version)
        if topology == old and _details(topology) == _details(old):
            topology = old
        else:
            topology = replace(topology, version=old.version + 1)
        down, trial = set(), set()
        for node in topology.ring:
            state = self._statuses[node].state
            if state is State.DOWN:
                down.add(node)
            elif state is State.QUARANTINED:
                trial.add(node)
        self.view = View(topology, frozenset(down), frozenset(trial))

    def _mark(self, node: Node, state: State) -> None:
        """Publish the state of one node. The caller holds the lock."""
        if node in self._members:
            one, view = {node}, self.view
            down = view.down | one if state is State.DOWN else view.down - one
            trial = view.quarantined | one if state is State.QUARANTINED else view.quarantined - one
            self.view = View(view.topology, down, trial)

    # ---- for people and tests ----------------------------------------------------------------------------------

    @property
    def scopes_supported(self) -> bool | None:
        """Whether the server honours datacenter and rack; None until it was asked."""
        return self._discovery.scopes_supported

    def learn_locations(self, locations: Mapping[str, Location]) -> None:
        """Datacenter and rack by host, for people to look at: routing goes by what `/localnodes` says."""
        self._locations = dict(locations)

    def nodes(self) -> tuple[NodeInfo, ...]:
        """Every known node in ring order, with its state."""
        now = self._clock()
        with self._lock:
            topology = self.view.topology
            in_scope = set(topology.nodes)
            found = []
            for node in topology.ring:
                status = self._statuses[node]
                trouble = self._troubles.get(node)
                datacenter, rack = self._locations.get(node.host, (None, None))
                found.append(
                    NodeInfo(
                        address=node.address,
                        state=status.state,
                        datacenter=datacenter or node.datacenter,
                        rack=rack or node.rack,
                        in_scope=node in in_scope,
                        failures=status.failures,
                        down_for=now - trouble.since if trouble and status.state is State.DOWN else None,
                        error=(trouble.error or None) if trouble else None,
                    )
                )
            return tuple(found)

    def _emit(self, emissions: Sequence[_Emission]) -> None:
        for one in emissions:
            if one.line:
                _log.log(one.level, "Cluster %r: %s", self.config.name, one.line)
            self._listener.emit(one.signal, **one.payload)


_UNHEARD_OF = quarantined()


def _details(topology: Topology) -> list[tuple[str | None, ...]]:
    """What may change in nodes that stay equal, because only their endpoints count for that."""
    return [(node.datacenter, node.rack, node.server_name) for node in topology.ring]


def _change(added: Collection[Node], removed: Collection[Node]) -> str:
    parts = [f"{len(added)} added"] if added else []
    parts += [f"{len(removed)} removed"] if removed else []
    names = sorted(str(node) for node in [*added, *removed])
    return ", ".join(parts) + ": " + ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
