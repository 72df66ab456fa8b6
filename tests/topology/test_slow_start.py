"""How the share of a node grows that returns or joins: the rule, and which nodes it is for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynamodb_alternator.topology.health import State
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.slow_start import NO_SHARES, STEPS, SlowStarts, earliest, next_step, share

A, B, C = (Node("http", f"10.0.0.{number}", 8000) for number in (1, 2, 3))
PERIODS = st.floats(0.01, 1e4)


@pytest.mark.parametrize(
    ("age", "part"),
    [(-1, 1 / 11), (0, 1 / 11), (0.99, 1 / 11), (1, 2 / 11), (5, 6 / 11), (9.99, 10 / 11), (10, 1), (1e9, 1)],
)
def test_the_share_grows_by_one_eleventh_a_second(age: float, part: float) -> None:
    assert share(age, 10.0) == pytest.approx(part)


@given(PERIODS, st.floats(0, 2), st.floats(0, 2))
def test_the_share_only_grows_and_is_never_more_than_what_the_next_step_of_a_line_is(
    period: float, age: float, other: float
) -> None:
    first, second = sorted((age, other))
    assert 0 < share(first * period, period) <= share(second * period, period) <= 1
    assert share(first * period, period) <= min(1.0, first + 1 / STEPS + 1e-6)


@given(PERIODS, st.floats(0, 1e6))
def test_who_looks_at_each_next_step_sees_each_step_and_looks_no_more_often(period: float, since: float) -> None:
    now, seen = since, [share(0.0, period)]
    while (at := next_step(now - since, period)) is not None and len(seen) <= STEPS:
        assert since + at > now or period < 1e-3
        now = since + at
        seen.append(share(now - since, period))
    assert seen[-1] == 1.0
    assert len(set(seen)) == len(seen) <= STEPS + 1


def test_the_earliest_time_is_found() -> None:
    assert (earliest(), earliest(None), earliest(None, 2.0, 1.0)) == (None, None, 1.0)


class TestWhichNodesStart:
    def test_one_that_was_down(self) -> None:
        starts = SlowStarts(10.0)
        starts.state_changed(A, State.DOWN, 0.0)
        starts.state_changed(A, State.QUARANTINED, 1.0)
        assert (dict(starts.shares(1.0)), starts.next_change) == ({}, None)
        starts.state_changed(A, State.ACTIVE, 2.0)
        assert (dict(starts.shares(2.0)), starts.next_change) == ({A: 1 / 11}, 3.0)
        assert starts.seconds_left(A, 4.5) == 7.5
        assert (dict(starts.shares(11.5)), starts.next_change) == ({A: 10 / 11}, 12.0)
        assert (starts.shares(12.0), starts.next_change) == (NO_SHARES, None)
        assert starts.seconds_left(A, 12.0) is None

    def test_one_that_was_on_trial_from_the_start_does_not(self) -> None:
        starts = SlowStarts(10.0)
        starts.state_changed(A, State.ACTIVE, 0.0)
        assert starts.shares(0.0) is NO_SHARES

    def test_one_that_goes_down_while_it_starts_begins_again(self) -> None:
        starts = SlowStarts(10.0)
        for now, state in ((0.0, State.DOWN), (1.0, State.ACTIVE), (6.0, State.DOWN)):
            starts.state_changed(A, state, now)
        assert starts.shares(6.0) is NO_SHARES
        starts.state_changed(A, State.ACTIVE, 8.0)
        assert dict(starts.shares(8.0)) == {A: 1 / 11}

    def test_one_that_joins_when_it_is_active_or_at_once_if_it_is_so_already(self) -> None:
        starts = SlowStarts(10.0)
        starts.members_changed({A}, {A, B, C}, [A, C], 0.0)
        assert dict(starts.shares(0.0)) == {C: 1 / 11}
        starts.state_changed(B, State.ACTIVE, 3.0)
        assert dict(starts.shares(3.0)) == {C: 4 / 11, B: 1 / 11}

    def test_one_that_is_missing_in_a_list_goes_on_as_it_was(self) -> None:
        starts = SlowStarts(10.0)
        starts.members_changed({A, B}, {A}, [A], 0.0)
        starts.members_changed({A}, {A, B}, [A, B], 9.0)
        assert starts.shares(9.0) is NO_SHARES
        starts.members_changed({A, B}, {A}, [A], 20.0)
        starts.members_changed({A}, {A, B}, [A, B], 30.0)
        assert dict(starts.shares(30.0)) == {B: 1 / 11}

    def test_one_that_has_left_is_forgotten(self) -> None:
        starts = SlowStarts(10.0)
        starts.members_changed({A}, {A, B}, [A, B], 0.0)
        starts.members_changed({A, B}, {A}, [A], 1.0)
        starts.members_changed({A}, {A, C}, [A], 50.0)
        assert dict(starts.shares(50.0)) == {}

    def test_none_without_a_period(self) -> None:
        starts = SlowStarts(0.0)
        starts.state_changed(A, State.DOWN, 0.0)
        starts.state_changed(A, State.ACTIVE, 0.0)
        starts.members_changed({A}, {A, B}, [A, B], 0.0)
        assert (starts.shares(0.0), starts.next_change) == (NO_SHARES, None)
