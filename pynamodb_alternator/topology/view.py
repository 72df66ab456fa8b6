"""What is known of the cluster at one moment: immutable values that a request reads without a lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..settings.scopes import ClusterScope, Scope
from .node import Node
from .slow_start import NO_SHARES

__all__ = ["Topology", "View", "ring_order"]

_NONE: frozenset[Node] = frozenset()


def ring_order(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """The nodes without duplicates, in the canonical order: bytewise by endpoint."""
    return tuple(sorted(dict.fromkeys(nodes), key=lambda node: node.endpoint.encode()))


class Topology(NamedTuple):
    """The nodes that discovery found. While the same scope is in use, health does not change it.

    `ring`: all discovered nodes in canonical order. `nodes`: the nodes of the scope in use. `affinity_ring`: the nodes
    over which partition keys are spread, in canonical order; "the ring" alone means these nodes. `datacenters`: the
    members of each datacenter, if `ring` is known to have nodes of more than one. `scope`: the scope in use. `version`:
    counts changes. `affinity_scope`: the scope whose nodes `affinity_ring` has: the scope in use, or the datacenter of
    a rack.
    """

    ring: tuple[Node, ...] = ()
    nodes: tuple[Node, ...] = ()
    affinity_ring: tuple[Node, ...] = ()
    datacenters: tuple[frozenset[Node], ...] = ()
    scope: Scope = ClusterScope()
    version: int = 0
    affinity_scope: Scope = ClusterScope()


class View(NamedTuple):
    """What one request sees: the topology, and which of its nodes may be used now.

    `down`: nodes that get no traffic; it includes `unproven`. `unproven`: nodes that have not answered ``GET /`` yet,
    and are not known to be down; they are probed when a plan names them. `quarantined`: nodes that get traffic after
    the active nodes. `set_aside`: nodes that get traffic after all others, because their answers failed. `returning`:
    nodes that were set aside. A request that cannot be sent again goes to them last.
    `hedged`: nodes that kept a read waiting until it was hedged, and that have not been probed since. They get reads
    after all others. `subset`: the nodes of the scope in use over which this process spreads the requests that any node
    may serve, in canonical order; empty if these are all nodes of the scope. `starting`: for each node in its slow
    start, the part of its turns that it takes. `settled`: the settled nodes of the subset, or of the scope, which take
    the other turns; empty while no node is in its slow start.
    """

    topology: Topology
    down: frozenset[Node] = frozenset()
    quarantined: frozenset[Node] = frozenset()
    set_aside: frozenset[Node] = frozenset()
    returning: frozenset[Node] = frozenset()
    hedged: frozenset[Node] = frozenset()
    unproven: frozenset[Node] = frozenset()
    subset: tuple[Node, ...] = ()
    starting: Mapping[Node, float] = NO_SHARES
    settled: tuple[Node, ...] = ()

    @property
    def serves(self) -> bool:
        """Whether the scope in use has an active node."""
        return any(node not in self.down and node not in self.quarantined for node in self.topology.nodes)

    @property
    def if_all_were_well(self) -> View:
        """The same topology, in which no node is in trouble or new."""
        return self._replace(
            down=_NONE, unproven=_NONE, quarantined=_NONE, set_aside=_NONE, returning=_NONE, hedged=_NONE
        )

    def is_active(self, node: Node) -> bool:
        """Whether requests go to the node before others."""
        return node not in self.down and node not in self.quarantined and node not in self.set_aside

    @property
    def all_well(self) -> bool:
        """Whether no node is known to be in trouble."""
        return not (self.quarantined or self.set_aside) and len(self.down) == len(self.unproven)

    @property
    def spread_over(self) -> tuple[Node, ...]:
        """The nodes over which this process spreads the requests that any node may serve."""
        return self.subset or self.topology.nodes

    def seen_by(self, *, is_read: bool, may_repeat: bool) -> View:
        """The view for one kind of request, in which other nodes are last (`set_aside`) as well: for a read the
        `hedged` nodes, and for a request that cannot be sent again the `returning` nodes."""
        last = (self.hedged if is_read else frozenset()) | (frozenset() if may_repeat else self.returning)
        return self._replace(set_aside=self.set_aside | last) if last else self
