"""What all requests of a cluster share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Protocol

from blinker import NamedSignal

from ..errors import TransportError
from ..routing.plan import QueryPlan
from ..routing.router import Router
from ..settings.scopes import Scope
from ..topology.membership import Membership
from ..topology.node import Node
from ..topology.view import View
from . import outcome
from .budget import RetryBudget
from .counts import Counts
from .hedging import Hedging
from .http1 import Answer
from .loads import Loads

__all__ = ["PROOF_PAUSE", "Emit", "Environment"]

PROOF_PAUSE = 0.01
"""Seconds between two checks of nodes that are being probed, while no node can take a request."""


class Emit(Protocol):
    def __call__(self, signal: NamedSignal, **payload: Any) -> None:
        """Send a signal of the cluster. `payload`: the fields of its event, except `cluster_name`."""


class Environment:
    """What all requests of a cluster share.

    `names_asked`: the names of seeds that are being resolved now. `loads`: how busy the nodes are; None if the order of
    the nodes does not depend on it.
    """

    def __init__(
        self,
        *,
        membership: Membership,
        router: Router,
        budget: RetryBudget,
        emit: Emit,
        clock: Callable[[], float],
        random: Random,
        counts: Counts | None = None,
        hedging: Hedging | None = None,
        retry_ambiguous_writes: bool = False,
        names_asked: Callable[[], Sequence[str]] = tuple,
        loads: Loads | None = None,
    ) -> None:
        self.membership = membership
        self.router = router
        self.budget = budget
        self.emit = emit
        self.clock = clock
        self.random = random
        self.counts: Counts = Counts() if counts is None else counts
        self.hedging: Hedging = Hedging() if hedging is None else hedging
        self.retry_ambiguous_writes = retry_ambiguous_writes
        self.names_asked = names_asked
        self.loads = loads

    def after_fork(self) -> None:
        """In a forked child: counts begin again, and random choices differ from those of other children."""
        self.random.seed()
        self.router.after_fork()
        self.budget.after_fork()
        self.counts.clear()

    def failed_at(self, node: Node, operation: str, by: Answer | TransportError) -> None:
        """An attempt at `node` has failed, or its answer does not go to the caller. It may count as a slow answer."""
        if self.loads is not None and outcome.counts_as_slow(by):
            self.loads.failed(node, operation)

    def first(self, plan: QueryPlan, view: View) -> Node | None:
        """The first usable node of the plan, for a view with unproven nodes. If an unproven node would be first, it is
        probed, and the next usable node is returned."""
        node = plan.first(view.if_all_were_well)
        if node is None or view.is_active(node):
            return node  # a node that is first of all nodes is also first of the usable ones
        if node in view.unproven:
            self.membership.named(node)
        return plan.first(view)

    def named(self, plan: QueryPlan, view: View) -> None:
        """A request has this plan: if the first node of the plan is unproven, it is probed."""
        if view.unproven:
            self.first(plan, view)

    def is_proof_coming(self, view: View, until: float) -> bool:
        """Whether a request that no node can take waits for unproven nodes. All of these are probed now.

        `until`: the time at which it stops waiting.
        """
        nodes = view.topology.nodes
        return bool(nodes) and self.membership.needed(nodes) and self.clock() < until

    def why_no_node(self, view: View, own_scope: Scope | None) -> str:
        """Why no node can take a request that sees `view`, in words. `own_scope`: the request's own scope, if it has
        one."""
        membership = self.membership
        if not membership.view.topology.ring:
            unresolved = self.still_resolving()
            if unresolved:
                return f"No node is known yet: {unresolved}. Cluster.check() looks for the cause."
            return (
                "No node is known: no seed answered or can be resolved, or the routing scope "
                f"({own_scope or membership.config.routing_scope}) has no node. "
                f"Seeds: {', '.join(membership.config.seeds)}. Cluster.check() looks for the cause."
            )
        in_scope = {node.address for node in view.topology.nodes}
        troubles = [
            info.error if info.error.startswith("Node ") else f"{info.address}: {info.error}"
            for info in membership.nodes()
            if info.error and info.address in in_scope
        ] or [f"Node {node.address} has not answered GET / yet" for node in view.topology.nodes]
        more = f", and {len(troubles) - 3} more" if len(troubles) > 3 else ""
        why = f"No node of the routing scope {view.topology.scope} is usable ({'; '.join(troubles[:3])}{more})"
        return f"{why}. {self._likely_cause() or 'Cluster.check() looks for the cause.'}"

    def awaited(self, view: View) -> str:
        """What a request that sees `view` waits for while no node can take it, in words; empty if there is nothing."""
        unproven = [node.address for node in view.topology.nodes if node in view.unproven]
        more = f" and {len(unproven) - 3} more" if len(unproven) > 3 else ""
        probed = f"no usable node has answered GET / yet ({', '.join(unproven[:3])}{more})" if unproven else ""
        return self.still_resolving() or probed

    def still_resolving(self) -> str:
        """The names of seeds that are being resolved, in words; empty if there are none."""
        names = ", ".join(self.names_asked())
        return names and f"the names of the seeds are still being resolved ({names})"

    def _likely_cause(self) -> str:
        source = self.membership.stranger_that_tells()
        if source is None or any(self.counts[node.address].answers for node in self.membership.view.topology.ring):
            return ""
        return (
            f"Node {source} answers, and none of the addresses that it lists can be reached from here. If the nodes "
            "have other addresses for clients (NAT, containers, a tunnel), give ClusterConfig(address_translator=...), "
            "or set broadcast_rpc_address in each node's scylla.yaml."
        )
