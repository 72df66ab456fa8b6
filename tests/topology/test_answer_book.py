"""The book-keeping of answers that failed: when a node is set aside, and when it returns. No thread, no clock."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator.topology.answer_book import AnswerBook
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.set_aside import LONGEST, PERIOD, TRIAL, WINDOW, Aside

A, B, C, D = NODES = [Node("http", f"10.0.0.{number}", 8000) for number in (1, 2, 3, 4)]


class World:
    """A book with the counters that it reads."""

    def __init__(self, nodes: list[Node] = NODES, *scopes: list[Node]) -> None:
        self.now = 1000.0
        self.nodes = nodes
        self.groups = [nodes, *scopes]
        self.answers: Counter[Node] = Counter()
        self.book = AnswerBook(self.answers.__getitem__)

    def fine(self, *nodes: Node, times: int = 1) -> None:
        for node in nodes:
            self.answers[node] += times

    def bad(self, node: Node, *, times: int = 1, counted: bool = True) -> list[Aside]:
        made = []
        for _ in range(times):
            self.answers[node] += counted
            aside = self.book.failed(node, "status 503", self.now, self.nodes, self.groups, counted=counted)
            if aside is not None:
                made.append(aside)
                self.review()
        return made

    def round(self, *bad: Node, times: int = 1) -> list[Aside]:
        """Each node answers this number of times, and the answers of these nodes fail."""
        made = []
        for _ in range(times):
            for node in self.nodes:
                if node in bad:
                    made += self.bad(node)
                else:
                    self.fine(node)
        return made

    def review(self) -> list[Node]:
        return [node for node, _ in self.book.review(self.now, self.nodes, self.groups)]

    @property
    def aside(self) -> frozenset[Node]:
        return self.book.set_aside(self.now)


@pytest.fixture
def world() -> World:
    return World()


def test_twenty_answers_of_which_all_failed(world: World) -> None:
    assert world.round(A, times=19) == []
    (aside,) = world.round(A)
    assert world.aside == {A}
    assert (aside.tally.answers, aside.tally.failed, aside.times, aside.error) == (20, 20, 1, "status 503")
    assert world.book.aside(A, world.now) is aside
    assert world.book.next_change == aside.until == world.now + PERIOD


def test_answers_that_cannot_be_read_are_answers(world: World) -> None:
    world.fine(B, C, D, times=1)
    world.bad(A, times=1, counted=False)
    world.fine(B, C, D, times=50)
    assert world.bad(A, times=18, counted=False) == []
    assert len(world.bad(A, times=1, counted=False)) == 1


def test_fine_answers_before_the_first_failure_do_not_count(world: World) -> None:
    world.fine(*NODES, times=10_000)
    assert len(world.round(A, times=20)) == 1


def test_fine_answers_after_it_do(world: World) -> None:
    world.round(A, times=1)
    world.fine(A, times=200)
    assert world.round(A, times=100) == []


def test_the_window_moves_on(world: World) -> None:
    for _ in range(30):  # two bad answers in a second: never twenty in the window's ten seconds
        world.now += 1.0
        assert world.round(A, times=1) == []
        world.fine(B, C, D, times=5)
    assert world.aside == frozenset()
    for _ in range(10):
        world.now += 1.0
        world.round(A, times=3)
    assert world.aside == {A}


def test_what_is_older_than_the_window_is_forgotten(world: World) -> None:
    assert world.round(A, times=19) == []
    world.now += WINDOW + 0.1
    assert world.round(A, times=19) == []
    assert len(world.round(A)) == 1


def test_failures_of_all_nodes_set_no_node_aside(world: World) -> None:
    world.fine(*NODES, times=1000)
    for _ in range(100):
        world.now += 0.2
        assert world.round(*NODES) == []


def test_a_node_returns_when_its_time_is_over_and_only_safe_requests_test_it_first(world: World) -> None:
    (aside,) = world.round(A, times=20)
    world.now = aside.until - 0.1
    assert world.review() == []
    assert (world.aside, world.book.returning(world.now)) == ({A}, frozenset())
    world.now = aside.until
    assert world.review() == [A]
    assert (world.aside, world.book.returning(world.now)) == (frozenset(), {A})
    assert world.book.next_change == aside.until + TRIAL
    assert world.book.aside(A, world.now) is None
    world.now = aside.until + TRIAL
    assert world.review() == []
    assert world.book.returning(world.now) == frozenset()
    assert world.book.next_change is None


def test_a_returning_node_starts_with_no_failures(world: World) -> None:
    (aside,) = world.round(A, times=20)
    world.now = aside.until
    world.review()
    assert world.round(A, times=19) == []
    (again,) = world.round(A)
    assert again.times == 2
    assert again.until - again.since == 2 * PERIOD
    assert again.tally.answers == 20


def test_what_it_answers_while_it_is_aside_is_not_held_against_it(world: World) -> None:
    (aside,) = world.round(A, times=20)
    assert world.bad(A, times=100) == []
    world.now = aside.until
    world.review()
    assert world.round(A, times=19) == []


def test_half_of_the_nodes_are_left(world: World) -> None:
    assert len(world.round(A, B, times=20)) == 1  # the second is looked at a moment later
    world.now += 0.2
    world.round(A, B)
    assert world.aside == {A, B}
    world.now += 0.2
    world.round(C, times=30)
    assert world.aside == {A, B}


def test_half_of_each_scope_is_left() -> None:
    world = World(NODES, [A, B], [C])
    world.round(C, times=30)
    assert world.aside == frozenset()
    world.now += 0.2
    world.round(A, times=30)
    world.now += 0.2
    world.round(B, times=30)
    assert world.aside == {A}


def test_when_nodes_leave_the_excess_returns(world: World) -> None:
    world.round(A, times=20)
    world.now += 0.2
    world.round(B, times=20)
    assert world.aside == {A, B}
    world.nodes = [A, B, C]
    world.groups = [world.nodes]
    assert world.review() == [B]
    assert world.aside == {A}


def test_a_node_that_left_causes_no_signal(world: World) -> None:
    (aside,) = world.round(A, times=20)
    world.nodes = [B, C, D]
    world.groups = [world.nodes]
    world.now = aside.until
    assert world.review() == []
    assert world.bad(A, times=50) == []


def test_a_forked_child_begins_a_window_of_its_own(world: World) -> None:
    world.round(A, times=19)
    world.answers.clear()
    world.book.after_fork()
    assert world.round(A, times=19) == []
    assert len(world.round(A)) == 1
    world.book.after_fork()
    assert world.aside == {A}


def test_a_failure_of_a_node_that_is_new_does_not_wait_for_the_next_note(world: World) -> None:
    world.nodes = [B, C, D]
    world.round(B, times=1)
    world.nodes = NODES
    world.answers[A] = 0
    world.now += 0.1
    assert len(world.round(A, times=20)) == 1


steps = st.lists(
    st.tuples(st.frozensets(st.sampled_from(NODES)), st.integers(1, 30), st.floats(0.0, 20.0, allow_nan=False)),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps, st.sampled_from([[], [[A, B]], [[A, B, C], [D]]]))
def test_at_least_half_of_the_nodes_stay_and_each_returns(
    happens: list[tuple[frozenset[Node], int, float]], scopes: list[list[Node]]
) -> None:
    world = World(NODES, *scopes)
    for bad, times, pause in happens:
        world.round(*bad, times=times)
        for group in world.groups:
            assert 2 * len(world.aside & set(group)) <= len(group)
        for node in world.aside:
            aside = world.book.aside(node, world.now)
            assert aside is not None
            assert aside.until - aside.since <= LONGEST
        world.now += pause
        world.review()
    world.now += LONGEST
    world.review()
    assert world.aside == frozenset()
