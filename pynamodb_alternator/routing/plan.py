"""The query plan: the order in which one request tries the nodes.

Everything here is lazy: a healthy cluster answers the first attempt, so the second node of a plan is computed only when
it is needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from ..topology.node import Node
from ..topology.view import Topology, View
from .easing import eased, scattered
from .generator import first_below, generator
from .ring import AffinityRing

__all__ = [
    "AFFINITY",
    "BATCH_AFFINITY",
    "CANONICAL",
    "CONSISTENT_NODE",
    "FREE_TO_MOVE",
    "LEAST_BUSY",
    "RANDOM",
    "REPLICA",
    "ROUND_ROBIN",
    "QueryPlan",
    "by_health",
    "pick_and_remove",
]

ROUND_ROBIN = "round_robin"
RANDOM = "random"
LEAST_BUSY = "least_busy"
AFFINITY = "affinity"
BATCH_AFFINITY = "batch_affinity"
CONSISTENT_NODE = "consistent_node"
REPLICA = "replica"
FREE_TO_MOVE = (ROUND_ROBIN, RANDOM, LEAST_BUSY, REPLICA)
"""The policies that allow to send a request to another node than the first one of its plan."""

_MOST_LOOKS = 8
"""How many places are tried to find an active node for a turn."""
CANONICAL = AffinityRing()
"""The ring of a plan without key route affinity, which does not use it."""


class ByLoad(Protocol):
    """Orders nodes by their load, for the requests of one operation."""

    def all(self, view: View) -> Iterator[Node]:
        """The nodes of the scope in use."""

    def replicas_first(self, replicas: tuple[Node, ...], view: View) -> Iterator[Node]:
        """The replicas, and then the other nodes of the scope."""


class QueryPlan(NamedTuple):
    """How one request picks its nodes. Immutable: with the same view, a plan always gives the same order, unless the
    order depends on the load of the nodes.

    `policy`: ``"round_robin"``, ``"random"``, ``"least_busy"`` (see `least_busy`), ``"affinity"``,
    ``"batch_affinity"``, ``"replica"`` or ``"consistent_node"``.
    `reason`: why neither affinity nor replicas were used, as a word of `routing.reasons`; None if one of them was.
    `wanted_affinity`: whether the request should have affinity, by its operation, its parameters and the mode. `seeds`:
    the numbers from which the order is made: the turn (round robin, and reads that go to replicas), a random number
    (random), the hash of the partition key (affinity, and writes that go to replicas), the hash of each key that votes
    (batch affinity), or the number of a ``with cluster.options()`` block (consistent node).
    `replicas`: the nodes of the scope in use in `topology` that hold the key, in canonical order; they come first.
    `by_load`: orders the nodes instead of `seeds`, and may give another order at each call.
    `takes_turns`: whether the replicas take turns, so that a replica in its slow start may be skipped. It is False for
    writes: all writers of a key take the same replica, even if it is in its slow start.

    It is a tuple because each request makes a plan, and a frozen dataclass takes four times as long to make. `Router`
    makes most plans directly from all fields in their order.
    """

    policy: str
    reason: str | None
    wanted_affinity: bool
    seeds: tuple[int, ...]
    ring: AffinityRing = CANONICAL
    replicas: tuple[Node, ...] = ()
    topology: Topology | None = None
    by_load: ByLoad | None = None
    takes_turns: bool = True

    def __repr__(self) -> str:
        nodes = ", ".join(node.address for node in self.replicas)
        return f"QueryPlan({self.policy!r}, {self.reason!r}, {self.wanted_affinity}, {self.seeds}, replicas=({nodes}))"

    def first(self, view: View) -> Node | None:
        """The first node of `order(view)`, for a caller that needs no other node. None if there is none.

        Each `order` of the same plan and view begins with this node, unless the order depends on the load.
        """
        if self.by_load is None and not view.down and not view.quarantined and not view.set_aside and not view.starting:
            policy = self.policy
            if policy == REPLICA and (nodes := self.replicas_in(view.topology)):
                return nodes[self.seeds[0] % len(nodes)]
            if policy == ROUND_ROBIN and (nodes := view.subset or view.topology.nodes):
                return nodes[self.seeds[0] % len(nodes)]
            if policy == AFFINITY and (nodes := self.ring(view.topology)):
                return nodes[first_below(self.seeds[0], len(nodes))]
        return next(self.order(view), None)

    def order(self, view: View) -> Iterator[Node]:
        """One cycle over the usable nodes, each once: first the active nodes, then the quarantined ones, then those
        that are set aside. Nodes that are down are left out.

        If this process has a subset of the nodes, the subset comes first. A node in its slow start takes only a part of
        its turns as the first node, and a settled node takes the other turns.

        With affinity, the ring comes first, and then the other nodes of the scope in use, ordered by the same keys. If
        the nodes are in several datacenters, all usable nodes of the first node's datacenter, quarantined ones
        included, come before the others. A lightweight transaction is serial only within one datacenter, so writers of
        a key must not be spread over two datacenters while one of them can serve.
        """
        topology = view.topology
        if self.by_load is not None:
            if self.policy == LEAST_BUSY:
                return self.by_load.all(view)
            return self.by_load.replicas_first(self.replicas_in(topology), view)
        if self.policy == AFFINITY:
            return _over_ring(self.ring(topology), lambda nodes: pick_and_remove(nodes, self.seeds[0]), view)
        if self.policy == BATCH_AFFINITY:
            return _over_ring(self.ring(topology), lambda nodes: _by_votes(nodes, self.seeds), view)
        if self.policy == REPLICA:
            return self._order_of_replicas(self.replicas_in(topology), view)
        if self.policy == CONSISTENT_NODE:
            return _active_first(_subset_first(pick_and_remove(topology.nodes, self.seeds[0]), view), view)
        seed, nodes = self.seeds[0], view.spread_over
        picked = pick_and_remove(nodes, seed) if self.policy == RANDOM else _rotated(nodes, seed, view)
        order = _active_first(_and_the_others(picked, seed, view), view)
        if not view.settled:
            return order
        return eased(order, view.starting, view.settled, seed, 1 if self.policy == RANDOM else len(nodes))

    def _order_of_replicas(self, replicas: tuple[Node, ...], view: View) -> Iterator[Node]:
        turn = self.seeds[0]
        order = _active_first(_replicas_first(replicas, turn, view), view)
        if not view.starting or not self.takes_turns:
            return order
        settled = [node for node in replicas if node not in view.starting and _is_active(node, view)]
        return eased(order, view.starting, settled, turn, len(replicas)) if settled else order

    def replicas_in(self, topology: Topology) -> tuple[Node, ...]:
        """The replicas that are in the scope in use. This scope may have changed since the plan was made, and a plan
        must not leave it."""
        if topology is self.topology:
            return self.replicas
        in_scope = frozenset(topology.nodes)
        return tuple(node for node in self.replicas if node in in_scope)


def pick_and_remove(nodes: Sequence[Node], seed: int) -> Iterator[Node]:
    """The nodes in the pseudo-random order of this seed. For equal rings, ScyllaDB's other drivers have the same order.

    Picks one of the remaining nodes, and moves the last one into its place. Only the changed places are stored, so a
    pick takes the same time for 3 nodes and for 1,000.
    """
    remaining = len(nodes)
    if remaining > 1:
        below = generator(seed)
        moved: dict[int, int] = {}
        while remaining > 1:
            place = below(remaining)
            remaining -= 1
            yield nodes[moved.get(place, place)]
            moved[place] = moved.pop(remaining, remaining)
        yield nodes[moved.get(0, 0)]
    elif remaining:
        yield nodes[0]


def _by_votes(ring: Sequence[Node], seeds: Iterable[int]) -> Iterator[Node]:
    """The nodes by the number of keys of a batch that vote for them. Nodes with equally many votes, and then those
    without a vote, are in ring order."""
    size = len(ring)
    if size == 0:
        return
    votes = Counter(first_below(seed, size) for seed in seeds)
    for place in sorted(votes, key=lambda place: (-votes[place], place)):
        yield ring[place]
    for place, node in enumerate(ring):
        if place not in votes:
            yield node


def _rotated(nodes: Sequence[Node], turn: int, view: View) -> Iterator[Node]:
    size = len(nodes)
    if size == 0:
        return
    start = turn % size
    if size > 2 and (view.down or view.quarantined or view.set_aside) and not _is_active(nodes[start], view):
        start = _another_place(nodes, turn, view)
    for place in range(start, start + size):
        yield nodes[place % size]


def _another_place(nodes: Sequence[Node], turn: int, view: View) -> int:
    """The place of the node that takes the turn of a node that is not active. Each time it is another node: if it were
    always the next one, that node would get double the traffic of the others."""
    size = len(nodes)
    place = (turn % size + 1 + turn // size % (size - 1)) % size
    for further in range(_MOST_LOOKS):
        if _is_active(nodes[place], view):
            break
        # If all nodes of a rack are down, which are neighbours in the order, the node after them would get too many
        # turns.
        place = scattered(turn * _MOST_LOOKS + further) * size >> 64
    return place


def _and_the_others(first: Iterator[Node], turn: int, view: View) -> Iterator[Node]:
    """`first`, the nodes over which requests are spread, and then the other nodes of the scope, rotated by the turn."""
    yield from first
    if view.subset:
        for node in _rotated(view.topology.nodes, turn, view):
            if node not in view.subset:
                yield node


def _subset_first(nodes: Iterator[Node], view: View) -> Iterator[Node]:
    """The nodes, those of the subset first. So a node that joins the subset changes the first node only for some
    seeds."""
    if not view.subset:
        yield from nodes
        return
    others = []
    for node in nodes:
        if node in view.subset:
            yield node
        else:
            others.append(node)
    yield from others


def _replicas_first(replicas: Sequence[Node], turn: int, view: View) -> Iterator[Node]:
    """The replicas, and then the other nodes, both rotated by the turn."""
    yield from _rotated(replicas, turn, view)
    for node in _and_the_others(_rotated(view.spread_over, turn, view), turn, view):
        if node not in replicas:
            yield node


def _is_active(node: Node, view: View) -> bool:
    return node not in view.down and node not in view.quarantined and node not in view.set_aside


def _active_first(nodes: Iterable[Node], view: View) -> Iterator[Node]:
    if not view.down and not view.quarantined and not view.set_aside:
        return iter(nodes)
    return _sorted_by_health(nodes, view)


def _sorted_by_health(nodes: Iterable[Node], view: View) -> Iterator[Node]:
    down, quarantined, set_aside = view.down, view.quarantined, view.set_aside
    late, last = [], []
    for node in nodes:
        if node in down:
            continue
        if node in set_aside:
            last.append(node)
        elif node in quarantined:
            late.append(node)
        else:
            yield node
    yield from late
    yield from last


def by_health(nodes: Sequence[Node], view: View) -> tuple[Sequence[Node], Sequence[Node], Sequence[Node]]:
    """The active nodes, the quarantined ones, and those that are set aside."""
    down, quarantined, set_aside = view.down, view.quarantined, view.set_aside
    if not down and not quarantined and not set_aside:
        return nodes, (), ()
    up = [node for node in nodes if node not in down]
    well = [node for node in up if node not in set_aside]
    return (
        [node for node in well if node not in quarantined],
        [node for node in well if node in quarantined],
        [node for node in up if node in set_aside],
    )


def _over_ring(ring: Sequence[Node], order: Callable[[Sequence[Node]], Iterator[Node]], view: View) -> Iterator[Node]:
    """The ring's nodes in this order, and then in the same order the nodes of the scope that are not in the ring."""
    topology = view.topology
    yield from _one_datacenter_first(order(ring), view)
    if topology.nodes is not topology.affinity_ring:
        in_ring = frozenset(topology.affinity_ring)
        others = [node for node in topology.nodes if node not in in_ring]
        yield from _one_datacenter_first(order(others), view)


def _one_datacenter_first(nodes: Iterator[Node], view: View) -> Iterator[Node]:
    topology = view.topology
    if len(topology.datacenters) < 2:
        yield from _active_first(nodes, view)
        return
    first = next(nodes, None)
    if first is not None:
        elsewhere: list[Node] = []
        yield from _active_first(_at_home(first, nodes, topology, elsewhere), view)
        yield from _active_first(elsewhere, view)


def _at_home(first: Node, others: Iterator[Node], topology: Topology, elsewhere: list[Node]) -> Iterator[Node]:
    """The first node, and the other nodes of its datacenter. Nodes of other datacenters are appended to `elsewhere`."""
    home = next((members for members in topology.datacenters if first in members), None)
    yield first
    for node in others:
        if home is None:
            # Nodes whose datacenter is not known count as one datacenter.
            is_home = not any(node in members for members in topology.datacenters)
        else:
            is_home = node in home
        if is_home:
            yield node
        else:
            elsewhere.append(node)
