"""What counts as waiting: time in which nobody could look counts as one part."""

from __future__ import annotations

import math

import pytest

from pynamodb_alternator.transport.patience import Patience

START = 100.0


def test_looks_in_time_count_in_full() -> None:
    patience, now = Patience(2.0, START, parts=4), START
    looks = 0
    while left := patience.left(now):
        now += left
        looks += 1
    assert (looks, now) == (4, START + 2.0)


def test_a_late_look_counts_as_one_part() -> None:
    patience = Patience(2.0, START, parts=4)
    assert patience.left(START + 5.0) == 0.5
    assert patience.left(START + 100.0) == 0.5
    assert patience.left(START + 200.0) == pytest.approx(0.47)
    assert patience.left(START + 300.0) == 0.0


def test_progress_begins_the_wait_again() -> None:
    patience = Patience(2.0, START, parts=4)
    for number in range(1, 100):
        assert patience.left(START + number * 0.5, progress=START + number * 0.5 - 0.25) == 0.5
    # Of the part in which there was progress, what came after it counts.
    now = START + 49.5
    for left in (0.5, 0.5, 0.25, 0.0):
        now += 0.5
        assert patience.left(now, progress=START + 49.25) == left


def test_without_limit() -> None:
    assert Patience(math.inf, START, parts=4).left(START + 1e6) == math.inf


def test_none_at_all() -> None:
    assert Patience(0.0, START, parts=4).left(START) == 0.0
