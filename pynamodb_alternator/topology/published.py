"""The members, the scope in use, and the view that requests see of both.

It has no lock of its own: `Membership` holds its lock around each method that changes something. Requests read `view`
and `view_for` without it: each reads one attribute, which is swapped as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from random import Random

from ..errors import ConfigurationError
from ..settings.config import ClusterConfig
from ..settings.scopes import Scope, chain
from .emission import Emission, of_scope_change
from .health import State
from .health_book import HealthBook
from .node import Node
from .reading import Reading, location_of
from .selection import ScopeChoice, choose_scope, make_topology, next_view, spread, view_of, with_state
from .slow_start import NO_SHARES, SlowStarts
from .subset import Subset
from .view import View

__all__ = ["Published"]


class Published:
    """The last reading, and the view that is made of it.

    `health`: of the nodes that are members, or were. `scopes_read`: the scopes whose node lists are read. `random`:
    gives the process a random name, for its subset of the nodes. `is_seed`: whether a node is a seed, which all
    processes know.
    `reading`, `members`: the last node lists. `addresses`: the sorted addresses of the members. `view`: what a request
    sees. `slow_starts`: the nodes that are in their slow start.
    """

    view: View
    _seen: tuple[View, Reading, dict[Scope, View]]

    def __init__(
        self,
        config: ClusterConfig,
        health: HealthBook,
        *,
        scopes_read: Sequence[Scope],
        random: Random,
        is_seed: Callable[[Node], bool],
    ) -> None:
        self.reading: Reading = Reading()
        self.members: frozenset[Node] = frozenset()
        self.addresses: tuple[str, ...] = ()
        self._states: int | None = None
        """The value of `HealthBook.changes` when the last reading was published with all states; None if it was not
        published completely. It is also raised when the view of a node that became active is published."""
        self._current: dict[Node, Node] = {}
        self._preferred = config.routing_scope
        self._scopes = tuple(chain(config.routing_scope))
        self._ring_nodes = config.affinity_ring
        self._restore_after = config.discovery.scope_restore_after
        self._scopes_read = scopes_read
        self._health = health
        self._is_seed = is_seed
        self._seeds: tuple[Node, ...] = ()
        self._subset = Subset(config.subset, config.process_number, random)
        self.slow_starts: SlowStarts = SlowStarts(config.slow_start)
        self._shares = NO_SHARES
        self._has_list = False
        self._choice = ScopeChoice()
        self._publish(View(make_topology(self._preferred, self.reading, 0, 0, self._ring_nodes)))

    def after_fork(self) -> None:
        """Forget which nodes were hedged, because only threads of the parent probe them. The child has another
        subset."""
        self._subset.after_fork()
        self._publish(self.view._replace(hedged=frozenset()))

    # ---- what is read ------------------------------------------------------------------------------------------

    def current(self, node: Node) -> Node:
        """The member that equals `node`, as it was listed last, because its names may have changed. If it has left:
        `node` itself."""
        return self._current.get(node, node)

    def view_for(self, scope: Scope) -> View:
        """The view for a request with a routing scope of its own.

        Raises `ConfigurationError` for a scope whose nodes are not asked for.
        """
        view, reading, of_scopes = self._seen
        view_of_scope = of_scopes.get(scope)
        if view_of_scope is None:
            self._check_is_read(scope)
            view_of_scope = self._spread(view_of(scope, reading, view, self._ring_nodes))
            of_scopes[scope] = view_of_scope
        return view_of_scope

    def _check_is_read(self, scope: Scope) -> None:
        for part in chain(scope):
            if location_of(part) not in map(location_of, self._scopes_read):
                raise ConfigurationError(
                    f"The nodes of {part} are not known here: the node lists that are read are those of "
                    f"{', '.join(map(str, self._scopes_read))}. Name it in ClusterConfig(routing_scope=...), as a "
                    "fallback at least, so that its list is read too."
                )

    # ---- what changes it ---------------------------------------------------------------------------------------

    def has(self, reading: Reading, states: int) -> bool:
        """Whether the view was made of the same lists and the same states. `states`: the value of
        `HealthBook.changes`."""
        mine = self.reading
        return states == self._states and reading.members is mine.members and reading.groups is mine.groups

    def take(self, reading: Reading, now: float, states: int) -> list[Emission]:
        """Make `reading` the current one. All of its nodes have a state. Returns the emissions."""
        self._states = None  # first: if an exception interrupts this method, the next reading does it all again
        reading = self._with_nodes_that_serve(reading)
        members = reading.nodes
        if self._has_list:
            active = list(filter(self._is_active, members))
            self.slow_starts.members_changed(self.members, members, active, now)
            self._shares = self.slow_starts.shares(now)
        self._has_list = self._has_list or bool(reading.source)  # a reading of the seeds alone has no source
        self.reading = reading
        self.members = members
        self.addresses = tuple(sorted(node.address for node in members))
        self._current = {node: node for node in members}
        self._seeds = tuple(filter(self._is_seed, members))
        emissions = self._choose(now)
        self._publish_reading()
        self._states = states
        return emissions

    def _with_nodes_that_serve(self, reading: Reading) -> Reading:
        """`reading`, and the active nodes of the last one in each datacenter of which none of the listed nodes is
        active.

        Such a list is that of a node which lies or is cut off, or all nodes have new addresses. In each case, requests
        have nowhere else to go, or only to a fallback. A datacenter of which no node is listed has ended.
        """
        if not self._has_list:
            return reading
        datacenters = reading.datacenters
        unserved = {name for name, nodes in datacenters.items() if nodes and not any(map(self._is_active, nodes))}
        return reading.with_nodes_of(self.reading, unserved, self._is_active) if unserved else reading

    def take_again(self, reading: Reading, now: float) -> list[Emission]:
        """Take a reading for which `has` is True: only the source and the scope in use may have changed. Returns the
        emissions."""
        self.reading = reading
        self._seen = (self.view, reading, self._seen[2])
        return self.choose(now)

    def state_changed(self, node: Node, state: State, now: float) -> list[Emission]:
        """Publish the state of one node. Returns the emissions about the scope in use."""
        self.slow_starts.state_changed(node, state, now)
        self._shares = self.slow_starts.shares(now)
        emissions = self.choose(now)
        if not emissions and node in self.members:
            self._publish(with_state(self.view, node, state))
            # A node that became active is published now as the next reading would publish it. So that reading may be
            # skipped.
            if state is State.ACTIVE and self._states == self._health.changes - 1:
                self._states = self._health.changes
        return emissions

    def go_last(self, set_aside: frozenset[Node], returning: frozenset[Node]) -> None:
        """Publish which nodes are set aside, and which return."""
        if set_aside != self.view.set_aside or returning != self.view.returning:
            self._publish(self.view._replace(set_aside=set_aside, returning=returning))

    def let_grow(self, now: float) -> None:
        """Publish the present shares of the nodes that are in their slow start."""
        self._shares = self.slow_starts.shares(now)
        self._publish(self.view)

    def reads_go_last(self, hedged: frozenset[Node]) -> None:
        """Publish which nodes are last for reads, because reads that were sent there had to be hedged."""
        if hedged != self.view.hedged:
            self._publish(self.view._replace(hedged=hedged))

    def lists(self, reading: Reading) -> list[Collection[Node]]:
        """The nodes of each scope of the chain in a reading, those of the preferred one first."""
        return [reading.members.get(location_of(scope), ()) for scope in self._scopes]

    def own_nodes(self, reading: Reading) -> tuple[Node, ...]:
        """The subset of this process of the preferred scope's nodes in a reading; empty if it uses all of them."""
        return self._subset.among(tuple(self.lists(reading)[0]), (), ())

    def groups(self) -> Iterator[Collection[Node]]:
        """The whole cluster, each datacenter, and each location: in each of these groups, at most half of the nodes may
        be set aside."""
        yield self.members
        yield from self.reading.groups
        yield from self.reading.members.values()

    def choose(self, now: float) -> list[Emission]:
        """Change the scope in use if another one is due because time has passed. Returns the emissions."""
        emissions = self._choose(now)
        if emissions:
            self._publish_reading()
        return emissions

    def _choose(self, now: float) -> list[Emission]:
        before, state_of = self._choice, self._health.state_of
        self._choice = choose_scope(
            self._preferred,
            self.reading,
            before,
            usable=lambda node: state_of(node) is not State.DOWN,
            active=self._is_active,
            now=now,
            restore_after=self._restore_after,
        )
        if self._choice.chosen == before.chosen:
            return []
        return [of_scope_change(self._scopes, before.chosen, self._choice.chosen)]

    def _is_active(self, node: Node) -> bool:
        return self._health.state_of(node) is State.ACTIVE

    def _publish_reading(self) -> None:
        chosen, health = self._choice.chosen, self._health
        state_of, is_unproven = health.state_of, health.is_unproven
        self._publish(
            next_view(self.view, self._preferred, self.reading, chosen, self._ring_nodes, state_of, is_unproven)
        )

    def _spread(self, view: View) -> View:
        return spread(view, self._shares, self._subset.among, self._seeds)

    def _publish(self, view: View) -> None:
        view = self._spread(view)
        of_scopes: dict[Scope, View] = {}
        # `of_scopes` will have the views of requests with a scope of their own, each made when it is first needed.
        self._seen = (view, self.reading, of_scopes)
        self.view = view
