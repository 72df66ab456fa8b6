"""Query plans in which the less busy of two random nodes comes first.

Two candidates are enough: of two different nodes, the slowest node of all is never chosen. And no node gets the
requests of many processes because all of them consider it the best. `load` has the rule for which of the two is less
busy.

The two are picked from nodes that serve the request equally well: the nodes of the scope in use if any node may serve
the request, or the replicas of the key for a read that goes to replicas. Health comes before load: the candidates are
active nodes, as long as there are any.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from ..settings.config import ClusterConfig
from ..settings.values import KeyRouteAffinity
from ..topology.node import Node
from ..topology.replicas import Replicas
from ..topology.view import View
from . import reasons
from .by_replica import Holders, TokenAware, in_subset
from .load import Load
from .plan import LEAST_BUSY, REPLICA, QueryPlan, by_health
from .router import Router
from .tables import Tables

__all__ = ["ByLoad", "LeastBusyRouter", "router_for"]

Groups = tuple[Sequence[Node], ...]


class ByLoad:
    """Orders nodes by their load, for all requests of a cluster. `load`: tells which of two nodes is less busy.
    `random`: picks the two nodes."""

    __slots__ = ("_is_less_busy", "_last", "_random_bits")

    def __init__(self, load: Load, random: Random) -> None:
        self._is_less_busy = load.is_less_busy
        self._random_bits = random.getrandbits
        # Views are immutable and live for a long time. The tuple is read and written as a whole, so two threads may
        # compute it twice, but no thread sees parts of two views.
        self._last: tuple[View | None, Groups] = (None, ())

    def all(self, view: View, operation: str) -> Iterator[Node]:
        """The nodes of the scope in use."""
        if view.starting:
            return self._eased(self._groups(view), view, view.settled, operation)
        if view.down or view.quarantined or view.set_aside or view.subset:
            return self._through(self._groups(view), operation)
        return self._less_busy_first(view.topology.nodes, operation)

    def replicas_first(self, replicas: tuple[Node, ...], view: View, operation: str) -> Iterator[Node]:
        """The replicas, and then the other nodes of the scope; active ones first."""
        near = by_health(replicas, view)
        settled = [node for node in near[0] if node not in view.starting] if view.starting else ()
        if settled:
            yield from self._eased((near[0],), view, settled, operation)
        else:
            yield from self._less_busy_first(near[0], operation)
        others = ([node for node in nodes if node not in replicas] for nodes in _used_first(view))
        yield from self._through(_by_health((replicas, *others), view)[1:], operation)

    def _eased(self, groups: Groups, view: View, settled: Sequence[Node], operation: str) -> Iterator[Node]:
        """The nodes of the groups, one group after another. If one of the two first candidates is in its slow start and
        does not take this turn, a settled node takes its place."""
        nodes, first = groups[0], None
        if (count := len(nodes)) > 1:
            bits = self._random_bits(62)
            place, other = bits % count, (bits >> 31) % (count - 1)
            first = self._or_settled(nodes[place], view, settled)
            rival = self._or_settled(nodes[other + (other >= place)], view, settled)
            if rival is not first and self._is_less_busy(rival, first, operation):
                first = rival
            yield first
        for node in self._through(groups, operation):
            if node is not first:
                yield node

    def _or_settled(self, node: Node, view: View, settled: Sequence[Node]) -> Node:
        share = view.starting.get(node)
        if share is None or self._random_bits(32) < share * (1 << 32):
            return node
        return settled[self._random_bits(32) % len(settled)]

    def _through(self, groups: Groups, operation: str) -> Iterator[Node]:
        for group in groups:
            yield from self._less_busy_first(group, operation)

    def _less_busy_first(self, nodes: Sequence[Node], operation: str) -> Iterator[Node]:
        while (count := len(nodes)) > 1:
            # Two different random places: the second one is picked from the others.
            bits = self._random_bits(62)
            place, other = bits % count, (bits >> 31) % (count - 1)
            chosen, rival = nodes[place], nodes[other + (other >= place)]
            if self._is_less_busy(rival, chosen, operation):
                chosen = rival
            yield chosen
            nodes = [node for node in nodes if node is not chosen]
        yield from nodes

    def _groups(self, view: View) -> Groups:
        """The nodes of the scope in use by their health, for a view in which some nodes are not well."""
        known, groups = self._last
        if known is not view:
            groups = _by_health(_used_first(view), view)
            self._last = (view, groups)
        return groups


def _used_first(view: View) -> tuple[Sequence[Node], ...]:
    """The nodes over which this process spreads its requests, and the others of the scope."""
    if not view.subset:
        return (view.topology.nodes,)
    return view.subset, [node for node in view.topology.nodes if node not in view.subset]


def _by_health(sets: Iterable[Sequence[Node]], view: View) -> Groups:
    """The active nodes of each set, then the quarantined ones of each, then those that are set aside."""
    return tuple(itertools.chain.from_iterable(zip(*(by_health(nodes, view) for nodes in sets), strict=True)))


class _ForOperation(NamedTuple):
    """`ByLoad` for the plans of one operation, which compares the latencies of this operation. See `plan.ByLoad`."""

    by_load: ByLoad
    operation: str

    def all(self, view: View) -> Iterator[Node]:
        return self.by_load.all(view, self.operation)

    def replicas_first(self, replicas: tuple[Node, ...], view: View) -> Iterator[Node]:
        return self.by_load.replicas_first(replicas, view, self.operation)


class LeastBusyRouter(Router):
    """The router for ``load_balancing="least_busy"``. `load`: how busy each node is."""

    def __init__(
        self, config: ClusterConfig, tables: Tables, random: Random, replicas: Replicas | None = None, *, load: Load
    ) -> None:
        super().__init__(config, tables, random, replicas)
        self._by_load = ByLoad(load, random)
        # The plans contain nothing of a request except its operation. So there are few plans, and each is made once.
        self._plans: dict[tuple[str, str | None, bool], QueryPlan] = {}
        self._spreads: dict[tuple[str, bool], QueryPlan] = {}
        self._of_operation: dict[str, _ForOperation] = {}

    def plan(
        self,
        operation: str,
        parameters: Mapping[str, Any],
        view: View,
        *,
        affinity: KeyRouteAffinity | None = None,
        token_aware: TokenAware | None = None,
    ) -> QueryPlan:
        plan = super().plan(operation, parameters, view, affinity=affinity, token_aware=token_aware)
        if plan.policy != LEAST_BUSY:
            return plan
        key = operation, plan.reason, plan.wanted_affinity
        return self._plans.get(key) or self._plans.setdefault(key, self._new_plan(*key))

    def _new_plan(self, operation: str, reason: str | None, wanted_affinity: bool) -> QueryPlan:
        return QueryPlan(LEAST_BUSY, reason, wanted_affinity, (), by_load=_ForOperation(self._by_load, operation))

    def _spread(self, reason: str, *, wanted_affinity: bool = False) -> QueryPlan:
        """The plan without the operation, which `plan` adds."""
        key = reason, wanted_affinity
        return self._spreads.get(key) or self._spreads.setdefault(key, self._new_plan("", *key))

    def _plan_read(self, operation: str, holders: Holders, view: View) -> QueryPlan:
        """Reads take the less busy of two replicas. Writes do not: all writers of a key take the same one."""
        if view.subset:
            holders = in_subset(holders, view)
        if not isinstance(holders, tuple):
            return self._spread(holders or reasons.READ)
        by_load = self._of_operation.get(operation)
        if by_load is None:
            by_load = self._of_operation.setdefault(operation, _ForOperation(self._by_load, operation))
        return QueryPlan(REPLICA, None, False, (), replicas=holders, topology=view.topology, by_load=by_load)


def router_for(
    config: ClusterConfig, tables: Tables, random: Random, replicas: Replicas, load: Load | None = None
) -> Router:
    """The router of a cluster. `load`: how busy each node is, if the order of the nodes depends on it."""
    if load is None:
        return Router(config, tables, random, replicas)
    return LeastBusyRouter(config, tables, random, replicas, load=load)
