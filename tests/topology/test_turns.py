"""One thread reads at a time; a turn ends with the call that has it, however that ends."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pynamodb_alternator.topology import health_book, published
from pynamodb_alternator.topology import membership as membership_module
from pynamodb_alternator.topology import turns as module
from pynamodb_alternator.topology.turns import Claim, Turn, Turns

from .fakes import PATIENCE, FakeNetwork, World, finished, in_thread, will_be_probed
from .interrupting import interruptions


def test_one_at_a_time() -> None:
    turns, mine, other = Turns(60.0), Claim(), Claim()
    turn = turns.take(mine, 0.0)
    assert turn.belongs_to(mine)
    assert turn.thread == threading.get_ident()
    assert turns.take(other, 1.0) is turn
    turns.give_back(other)
    assert turns.take(other, 2.0) is turn, "it was not its own"
    turns.give_back(mine)
    assert turns.take(other, 3.0).belongs_to(other)


def test_those_that_wait_get_its_result() -> None:
    turns, mine = Turns(60.0), Claim()
    turn = turns.take(mine, 0.0)
    waiters = [in_thread(lambda: turn.wait(PATIENCE)) for _ in range(3)]
    turn.succeeded = True
    turns.give_back(mine)
    for thread, result in waiters:
        finished(thread)
        assert result == [True]


def test_waiting_has_an_end() -> None:
    turns, mine = Turns(60.0), Claim()
    assert not turns.take(mine, 0.0).wait(0.01)
    assert not turns.take(mine, 0.0).wait(0.0)


def test_a_turn_ends_with_its_call() -> None:
    turns = Turns(60.0)

    def call() -> Turn:
        claim = Claim()
        return turns.take(claim, 0.0)

    abandoned = call()
    assert abandoned.abandoned
    assert not abandoned.wait(PATIENCE)
    mine = Claim()
    assert turns.take(mine, 0.1).belongs_to(mine)


def test_a_turn_of_a_call_that_somebody_keeps_ends_after_the_longest_time() -> None:
    turns, kept, mine = Turns(60.0), Claim(), Claim()
    turns.take(kept, 0.0)
    assert not turns.take(mine, 60.0).belongs_to(mine)
    turn = turns.take(mine, 60.1)
    assert turn.belongs_to(mine)
    turns.give_back(kept)
    assert turns.take(Claim(), 61.0) is turn, "the late one gives back what is no longer its own"


def test_an_exception_at_any_place_of_a_refresh_blocks_no_later_one() -> None:
    """Seen: between taking the turn and being ready to give it back, and the node list was never read again."""
    worlds: list[World] = []

    def prepare() -> Callable[[], object]:
        world = World(FakeNetwork(), ["10.0.0.1"])
        world.network.places = {"10.0.0.1": ("dc1", "r1"), "10.0.0.2": ("dc1", "r2")}
        world.start()
        del world.network.places["10.0.0.2"]
        world.network.places["10.0.0.3"] = ("dc1", "r3")
        worlds.append(world)
        return world.membership.refresh

    points = 0
    for _ in interruptions(prepare, membership_module, health_book, published, module):
        points += 1
        world = worlds.pop()
        snapshot = world.membership.snapshot()
        assert snapshot.members <= snapshot.statuses.keys(), "each member has a status"
        assert will_be_probed(world.membership)
        assert world.membership.refresh(wait=False)
        assert world.listener.names()[-1:] != [], "it has read, and not only told what it knew"
        assert world.in_scope == ["10.0.0.1", "10.0.0.3"]
        assert world.listener.members[-1:] == [["10.0.0.1", "10.0.0.3"]], "the pools were told of the node that left"
    assert points > 100
