"""Nodes whose reads were hedged: they are suspect, and come last for reads until their probe has ended."""

from __future__ import annotations

import pytest

from pynamodb_alternator.routing.plan import ROUND_ROBIN, QueryPlan
from pynamodb_alternator.settings.scopes import ClusterScope, DatacenterScope
from pynamodb_alternator.topology.health import State
from pynamodb_alternator.topology.view import View

from .fakes import FakeNetwork, World, hosts
from .test_membership import N1, N2, N3


@pytest.fixture
def world() -> World:
    scope = DatacenterScope("dc1", ClusterScope())
    world = World(FakeNetwork(**dict.fromkeys((N1, N2, N3), ("dc1", "r1"))), routing_scope=scope)
    world.start()
    return world


def test_it_is_probed_at_once_and_is_the_last_for_reads_until_then(world: World) -> None:
    node = world.node(N2)
    world.membership.suspect(node, hedged=True)
    assert world.listener.suspicions == [node]
    assert hosts(world.membership.view.hedged) == [N2]
    assert world.membership.probe(node, 1.0)
    assert world.membership.view.hedged == frozenset()
    assert world.state(N2) is State.ACTIVE


def test_a_failed_probe_takes_it_down(world: World) -> None:
    world.network.dead.add(N2)
    world.membership.suspect(world.node(N2), hedged=True)
    assert not world.membership.probe(world.node(N2), 1.0)
    assert (hosts(world.membership.view.down), hosts(world.membership.view.hedged)) == ([N2], [])
    # Which is known already.
    world.membership.suspect(world.node(N2), hedged=True)
    assert world.membership.view.hedged == frozenset()


def test_a_node_that_is_already_suspect_comes_last_too(world: World) -> None:
    world.membership.suspect(world.node(N2))
    assert world.membership.view.hedged == frozenset()
    world.membership.suspect(world.node(N2), hedged=True)
    assert hosts(world.membership.view.hedged) == [N2]
    assert world.listener.suspicions == [world.node(N2)]


def test_a_stranger_is_nowhere(world: World) -> None:
    world.membership.suspect(world.node("10.9.9.9"), hedged=True)
    assert world.membership.view.hedged == frozenset()


def test_readings_and_states_keep_it_and_a_fork_forgets_it(world: World) -> None:
    world.membership.suspect(world.node(N2), hedged=True)
    world.down(N1)
    assert world.membership.refresh()
    for view in (world.membership.view, world.membership.view_for(ClusterScope())):
        assert hosts(view.hedged) == [N2]
    world.membership.after_fork()
    assert world.membership.view.hedged == frozenset()


def test_only_reads_see_it(world: World) -> None:
    node = world.node(N2)
    world.membership.suspect(node, hedged=True)
    view = world.membership.view
    assert _order(view.seen_by(is_read=True, may_repeat=True))[-1] == N2
    assert view.seen_by(is_read=False, may_repeat=True) is view
    assert {order[0] for order in (_order(view, turn) for turn in range(3))} == {N1, N2, N3}


def _order(view: View, turn: int = 1) -> list[str]:
    return [node.host for node in QueryPlan(ROUND_ROBIN, "read", False, (turn,)).order(view)]
