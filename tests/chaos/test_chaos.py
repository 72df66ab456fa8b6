"""Every scenario once, in its short form. ``make chaos`` runs them for long."""

from __future__ import annotations

import pytest

from pynamodb_alternator import Retries

from .running import NAMES, OVERWRITE, run, table


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_no_fault_loses_or_repeats_a_write(name: str) -> None:
    row = run(name, 0.3, seed=20)
    print(table([row]))
    assert row.examples == []
    assert (row.lost, row.twice, row.errors) == (0, 0, 0)
    assert row.faults
    assert row.requests > 50
    assert row.acknowledged > 10
    if name in ("kill", "hang", "freeze (SIGSTOP)"):
        assert row.slow_per_thread <= 1


@pytest.mark.slow
def test_copies_of_acknowledged_writes_are_found() -> None:
    row = run(OVERWRITE, 0.1, seed=20, retries=Retries(silent_writes="repeat"))
    print(table([row]))
    assert row.twice > 0
    assert row.lost > 0
    assert any("acknowledged after" in example for example in row.examples)
