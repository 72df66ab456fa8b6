"""The book-keeping of health: the status of each node, what is wrong with it, and when it is probed next.

It has no lock of its own: `Membership` holds its lock around each method that changes something. `statuses`, `error_of`
and `is_suspect` may be used without the lock, because each of them is one read of a dictionary or set.

An exception may come between any two lines here, so their order matters. Before a node gets a status that is not
active, the time of its next probe is set. And a suspicion is removed last. A new node has no next probe until a request
names it, or until it is chosen as one of the few that are probed although no request has named them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from random import Random
from typing import NamedTuple

from ..settings.values import Health
from .calm import beside, jittered, until_next_probe
from .health import HealthStatus, Observation, State, active, quarantined, transition
from .node import Node

__all__ = ["HISTORY", "HealthBook", "Snapshot", "StateChange", "States"]

HISTORY = 1_000
"""How many nodes that left the topology are remembered with their health, in case they come back."""
_UNHEARD_OF = quarantined()
_LONGEST_REASON = 300
"""Characters of an error that are kept: it goes into signals, log lines and the errors of requests."""


class StateChange(NamedTuple):
    """A node that got another state. `down_for`: seconds since its trouble began. `error`: its last error."""

    node: Node
    before: HealthStatus
    after: HealthStatus
    down_for: float = 0.0
    error: str | None = None


class Snapshot(NamedTuple):
    """What is known at one moment, for tests and reports of faults: copies, which do not change.

    `statuses`: of the members, and of nodes that left. `next_probes`: the time at which each node is probed next, for
    nodes that are planned to be probed. `suspects`: nodes whose probe has no result yet.
    """

    members: frozenset[Node]
    statuses: Mapping[Node, HealthStatus]
    next_probes: Mapping[Node, float]
    suspects: frozenset[Node]


class States(NamedTuple):
    """The members by their state, each in canonical order."""

    active: tuple[Node, ...] = ()
    quarantined: tuple[Node, ...] = ()
    down: tuple[Node, ...] = ()


class _Trouble:
    """Why and since when a node is not active."""

    __slots__ = ("error", "since")

    def __init__(self, since: float, error: str) -> None:
        self.since = since
        self.error = error


class HealthBook:
    """The health of all nodes, and of nodes that left. `history`: how many nodes that left are remembered. `random`:
    varies the times of probes.

    If `Health.enabled` is False, all nodes are always active, so no node is ever due or a suspect.

    `changes`: a number that grows before a node gets another state. As long as it stays the same, a reader does not
    have to read the states again.
    """

    def __init__(self, policy: Health, random: Random, *, history: int = HISTORY) -> None:
        self.statuses: dict[Node, HealthStatus] = {}
        self.changes: int = 0
        self._by_state: tuple[frozenset[Node], int, States] = (frozenset(), 0, States())
        self._policy = policy
        self._of_new_nodes = _UNHEARD_OF if policy.enabled else active(policy)
        self._random = random
        self._history = history
        self._troubles: dict[Node, _Trouble] = {}
        self._next_probe: dict[Node, float] = {}
        self._failed_probes: dict[Node, int] = {}
        """How many probes in a row have failed, by node."""
        self._suspects: set[Node] = set()

    # ---- what is read ------------------------------------------------------------------------------------------

    def error_of(self, node: Node) -> str | None:
        """The last error of a node that is not active."""
        trouble = self._troubles.get(node)
        return (trouble.error or None) if trouble else None

    def down_for(self, node: Node, now: float) -> float | None:
        """For a node that is down: seconds since its trouble began. None for any other node."""
        trouble = self._troubles.get(node)
        return now - trouble.since if trouble and self.statuses[node].state is State.DOWN else None

    def state_of(self, node: Node) -> State:
        """Raises KeyError for a node that was never a member."""
        return self.statuses[node].state

    def by_state(self, members: frozenset[Node]) -> States:
        """The members by their state: the same object as before, as long as members and states are the same. Raises
        KeyError as `state_of` does."""
        known, changes, states = self._by_state
        if known is members and changes == self.changes:
            return states
        nodes: dict[State, list[Node]] = {state: [] for state in State}
        for node in sorted(members, key=lambda node: node.endpoint):
            nodes[self.statuses[node].state].append(node)
        states = States(tuple(nodes[State.ACTIVE]), tuple(nodes[State.QUARANTINED]), tuple(nodes[State.DOWN]))
        self._by_state = members, self.changes, states
        return states

    def is_suspect(self, node: Node) -> bool:
        return node in self._suspects

    def is_unproven(self, node: Node) -> bool:
        """See `HealthStatus.is_unproven`. Raises KeyError as `state_of` does."""
        return self.statuses[node].is_unproven

    def is_tried(self, node: Node) -> bool:
        """Whether a node has answered a probe, or is due for one."""
        return node in self._next_probe or not self.is_unproven(node)

    def suspects(self) -> tuple[Node, ...]:
        return tuple(self._suspects)

    def due(self, now: float, members: Collection[Node]) -> list[Node]:
        """Members that are not active and have not been probed for a while."""
        return [node for node, due in self._next_probe.items() if due <= now and self._is_on_trial(node, members)]

    def next_due(self, now: float, members: Collection[Node]) -> float | None:
        """When the next member will be due. Nodes that are already due are left out: their probe has begun."""
        later = (due for node, due in self._next_probe.items() if due > now and self._is_on_trial(node, members))
        return min(later, default=None)

    def _is_on_trial(self, node: Node, members: Collection[Node]) -> bool:
        status = self.statuses.get(node)
        return status is not None and status.state is not State.ACTIVE and node in members

    def snapshot(self, members: frozenset[Node]) -> Snapshot:
        return Snapshot(members, dict(self.statuses), dict(self._next_probe), frozenset(self._suspects))

    # ---- what changes it ---------------------------------------------------------------------------------------

    def admit(self, nodes: Collection[Node]) -> None:
        """New nodes start on trial, or active where health is switched off; those that are known keep what is known of
        them."""
        for node in nodes:
            if node not in self.statuses:
                self.changes += 1
                self.statuses[node] = self._of_new_nodes
        # The keys must be these objects, and not equal ones such as the seeds: requests then find them by identity,
        # which is fast.
        self.statuses = {**{node: self.statuses[node] for node in nodes}, **self.statuses}

    def observe(
        self, node: Node, observation: Observation, generation: int | None, error: Exception | None, now: float
    ) -> StateChange | None:
        """Change the status of a node by an observation. Returns None if its state stays the same.

        `generation`: the node's generation when the request or probe began. If the node has another generation now, the
        observation is ignored.
        """
        before = self.statuses.get(node) if self._policy.enabled else None
        if before is None or (generation is not None and generation != before.generation):
            return None
        after = transition(before, observation, self._policy)
        if after.state is before.state:
            if after is not before:
                self.statuses[node] = after
            return None
        self.changes += 1
        if after.state is State.ACTIVE:
            self.statuses[node] = after
            self._next_probe.pop(node, None)
            self._failed_probes.pop(node, None)
            trouble = self._troubles.pop(node, None)
            return StateChange(node, before, after, now - trouble.since if trouble else 0.0)
        self._next_probe.setdefault(node, now)
        reason = "" if error is None else _short(str(error))
        trouble = self._troubles.setdefault(node, _Trouble(now, reason))
        trouble.error = reason or trouble.error
        self.statuses[node] = after
        return StateChange(node, before, after, error=trouble.error or None)

    def suspect(self, node: Node) -> bool:
        """Make the node a suspect. False if it is a suspect already, or is down, or is not known."""
        status = self.statuses.get(node) if self._policy.enabled else None
        if status is None or status.state is State.DOWN or node in self._suspects:
            return False
        self._suspects.add(node)
        return True

    def suspect_beside(self, node: Node, nodes: Iterable[Node]) -> None:
        """A node has gone silent: make some of `nodes` suspects, too. See `beside`."""
        active = [other for other in nodes if other not in self._suspects and self.state_of(other) is State.ACTIVE]
        self._suspects.update(beside(node, active, self._random))

    def plan_next_probe(self, node: Node, *, well: bool, others_serve: bool, now: float) -> None:
        """The node has been probed. See `until_next_probe`."""
        if node in self.statuses:
            failures = self._failed_probes[node] = 0 if well else self._failed_probes.get(node, 0) + 1
            self._next_probe[node] = now + until_next_probe(
                self._policy, failures=failures, others_serve=others_serve, random=self._random
            )

    def ask(self, nodes: Iterable[Node], now: float) -> None:
        """Have new nodes probed, although no request has named them."""
        for node in nodes:
            self._next_probe.setdefault(node, now)

    def hasten(self, nodes: Iterable[Node], now: float) -> None:
        """Have these nodes probed within one probe interval, even if a longer pause was planned, because requests need
        them."""
        for node in nodes:
            due = self._next_probe.get(node)
            if due is not None and due > now + self._policy.probe_interval:
                self._next_probe[node] = now + jittered(self._policy.probe_interval / 2, self._random)

    def settle(self, node: Node) -> None:
        """A probe has a result, so the node is not a suspect any more."""
        self._suspects.discard(node)

    def forget_suspects(self) -> None:
        self._suspects = set()

    def forget_long_gone(self, members: Collection[Node]) -> None:
        """Forget nodes that left, if there are more of them than `history`."""
        excess = len(self.statuses) - len(members) - self._history
        if excess > 0:
            for node in [node for node in self.statuses if node not in members][:excess]:
                for memory in (self._troubles, self._next_probe, self._failed_probes, self.statuses):
                    memory.pop(node, None)


def _short(reason: str) -> str:
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[: _LONGEST_REASON - 1]}…"
