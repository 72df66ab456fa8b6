"""Choosing the routing scope in use, and making the topology and the view of it. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from ..settings.scopes import ClusterScope, DatacenterScope, Scope, chain
from ..settings.values import RingNodes
from .health import State
from .node import Node
from .reading import Reading, location_of
from .view import Topology, View, ring_order

__all__ = ["ScopeChoice", "choose_scope", "make_topology", "next_view", "spread", "view_of", "with_state"]

_MOST = 0.75
"""If at least this part of the nodes is proven, the seeds take all of their turns again."""


class ScopeChoice(NamedTuple):
    """Which scope of the chain is in use. `chosen`: its index in the chain; 0 is the preferred one.

    `better_since`: pairs of a better scope with an active node, and the time since which it has one.
    """

    chosen: int = 0
    better_since: tuple[tuple[int, float], ...] = ()


def choose_scope(
    preferred: Scope,
    reading: Reading,
    choice: ScopeChoice,
    *,
    usable: Callable[[Node], bool],
    active: Callable[[Node], bool],
    now: float,
    restore_after: float,
) -> ScopeChoice:
    """The first scope with usable nodes. A scope that is better than the one in use is chosen only after a while.

    Moving down the chain is immediate, because the scope in use has no node to answer. Moving up waits until a better
    scope has had an active node for `restore_after` seconds, so that the traffic does not change with each change of a
    node that goes up and down. If no scope has usable nodes, the choice stays.
    """
    scopes = list(chain(preferred))

    def some(index: int, test: Callable[[Node], bool]) -> bool:
        return any(test(node) for node in reading.members.get(location_of(scopes[index]), ()))

    if not some(choice.chosen, usable):
        for index in range(len(scopes)):
            if some(index, usable):
                return ScopeChoice(index)
        return ScopeChoice(choice.chosen)
    known = dict(choice.better_since)
    since = {index: known.get(index, now) for index in range(choice.chosen) if some(index, active)}
    best = next((index for index, start in since.items() if now - start >= restore_after), choice.chosen)
    return ScopeChoice(best, tuple((index, start) for index, start in since.items() if index < best))


def make_topology(
    preferred: Scope, reading: Reading, index: int, version: int, ring_nodes: RingNodes = "datacenter"
) -> Topology:
    """The topology of a reading with the scope at `index` of the chain in use.

    `ring_nodes`: which nodes are the affinity ring; see `ClusterConfig.affinity_ring`.
    """
    scopes = list(chain(preferred))
    scope = scopes[index]
    nodes = ring_order(reading.members.get(location_of(scope), ()))
    affinity_scope, affinity_ring = scope, nodes
    if ring_nodes == "datacenter":
        affinity_scope, affinity_ring = _ring_of_datacenter(scopes[:index], scope, nodes, reading)
    datacenters = reading.groups if isinstance(scope, ClusterScope) and len(reading.groups) > 1 else ()
    everyone = [node for members in reading.members.values() for node in members]
    return Topology(
        ring=ring_order([*nodes, *everyone]),
        nodes=nodes,
        affinity_ring=affinity_ring,
        datacenters=datacenters,
        scope=scope,
        version=version,
        affinity_scope=affinity_scope,
    )


def _ring_of_datacenter(
    left: Sequence[Scope], scope: Scope, nodes: tuple[Node, ...], reading: Reading
) -> tuple[Scope, tuple[Node, ...]]:
    """The affinity ring of `scope`, which has these nodes, and the scope that has exactly the ring's nodes.

    A lightweight transaction is serial within the datacenter, so its ring is wider than a rack.
    """
    home = _datacenter_of_left_rack(left, scope, reading)
    if home is not None:
        return home, ring_order(reading.members[location_of(home)])
    if scope.datacenter is not None and scope.rack is not None:
        datacenter = DatacenterScope(scope.datacenter)
        return datacenter, ring_order([*reading.members.get(location_of(datacenter), ()), *nodes])
    return scope, nodes


def _datacenter_of_left_rack(left: Sequence[Scope], scope: Scope, reading: Reading) -> Scope | None:
    """The datacenter of a rack that has no usable node, if the chain led out of that datacenter.

    Other racks there may still be usable, and clients in these racks go on with lightweight transactions there. So our
    transactions stay in that datacenter as long as it can serve. If the datacenter itself was in the chain, it is not
    usable either.
    """
    exhausted = {gone.datacenter for gone in left if gone.rack is None}
    for rack in left:
        if rack.datacenter is None or rack.rack is None or rack.datacenter in exhausted:
            continue
        datacenter = DatacenterScope(rack.datacenter)
        if reading.members.get(location_of(datacenter)):
            # Only the first rack counts, because the chain may lead to another datacenter and come back.
            return None if rack.datacenter == scope.datacenter else datacenter
    return None


def view_of(scope: Scope, reading: Reading, view: View, ring_nodes: RingNodes) -> View:
    """`view` with another routing scope in use: `scope`, or the first of its fallbacks that has usable nodes."""
    # Before the first reading, the seeds stand for every scope.
    locations = [location_of(fallback) for fallback in chain(scope)]
    lists = {location: reading.members.get(location, view.topology.ring) for location in locations}
    reading = reading._replace(members={**reading.members, **lists})
    choice = choose_scope(
        scope,
        reading,
        ScopeChoice(),
        usable=lambda node: node not in view.down or node in view.unproven,
        active=lambda node: node not in view.down and node not in view.quarantined,
        now=0.0,
        restore_after=0.0,
    )
    return view._replace(topology=make_topology(scope, reading, choice.chosen, view.topology.version, ring_nodes))


def next_view(
    old: View,
    preferred: Scope,
    reading: Reading,
    index: int,
    ring_nodes: RingNodes,
    state_of: Callable[[Node], State],
    is_unproven: Callable[[Node], bool],
) -> View:
    """The view of a reading. Its topology is the same object as that of `old` if nothing in it has changed."""
    topology = make_topology(preferred, reading, index, old.topology.version, ring_nodes)
    if topology == old.topology and _details(topology) == _details(old.topology):
        topology = old.topology
    else:
        topology = topology._replace(version=topology.version + 1)
    unproven = frozenset(node for node in topology.ring if is_unproven(node))
    down, quarantined = set(unproven), set()
    for node in topology.ring:
        state = state_of(node)
        if state is State.DOWN:
            down.add(node)
        elif state is State.QUARANTINED and node not in unproven:
            quarantined.add(node)
    return old._replace(topology=topology, down=frozenset(down), quarantined=frozenset(quarantined), unproven=unproven)


def _details(topology: Topology) -> list[tuple[object, ...]]:
    """The parts of nodes that may change although the nodes stay equal: only endpoints are compared."""
    return [(node.datacenter, node.rack, node.certificate_names, node.is_listed_name) for node in topology.ring]


def with_state(view: View, node: Node, state: State) -> View:
    """`view` with another state of one of its nodes, which is not unproven any more."""
    nodes = {node}
    return view._replace(
        down=view.down | nodes if state is State.DOWN else view.down - nodes,
        quarantined=view.quarantined | nodes if state is State.QUARANTINED else view.quarantined - nodes,
        unproven=view.unproven - nodes,
    )


def spread(
    view: View,
    shares: Mapping[Node, float],
    subset: Callable[[tuple[Node, ...], Collection[Node], Collection[Node]], tuple[Node, ...]],
    seeds: Collection[Node] = (),
) -> View:
    """`view` with the nodes over which this process spreads the requests that any node may serve.

    `shares`: for each node in its slow start, the part of its turns that it takes. `subset`: see `Subset.among`.
    `seeds`: members that all processes know from their configuration.
    """
    # Unproven nodes count as settled here. Else all processes would use only the few proven nodes, which are the seeds.
    unsettled = {*view.quarantined, *view.set_aside, *shares}
    chosen = subset(view.topology.nodes, view.down - view.unproven, unsettled)
    if seeds and view.unproven and not chosen:
        shares = {**_shares_of_seeds(view, seeds), **shares}
        unsettled.update(shares)
    settled: tuple[Node, ...] = ()
    if shares:
        nodes = chosen or view.topology.nodes
        settled = tuple(node for node in nodes if node not in unsettled and node not in view.down)
    if chosen == view.subset and shares == view.starting and settled == view.settled:
        return view
    return view._replace(subset=chosen, starting=shares if settled else {}, settled=settled)


def _shares_of_seeds(view: View, seeds: Collection[Node]) -> dict[Node, float]:
    """The part of its turns that each seed takes while nodes of the scope are unproven.

    A turn of an unproven node goes to a proven node. The seeds are proven in all processes, but of the other nodes,
    each process has proven different ones. So the seeds leave these turns to the others, and their load stays the same
    as when all nodes are proven.
    """
    nodes = view.topology.nodes
    proven = len(nodes) - sum(node in view.unproven for node in nodes)
    if proven >= _MOST * len(nodes):
        return {}
    return {node: proven / len(nodes) for node in seeds if node not in view.down}
