"""Every scenario once, in its short form. ``make chaos`` runs them for long."""

from __future__ import annotations

import pytest

from .chaos import SCENARIOS, run, table


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_chaos(name: str) -> None:
    row = run(name, 0.3, seed=20)
    print(table([row]))
    assert row.examples == []
    assert (row.lost, row.twice, row.errors) == (0, 0, 0)
    assert row.faults
    assert row.requests > 50
    assert row.acknowledged > 10
    if name in ("kill", "hang", "freeze (SIGSTOP)"):
        assert row.slow_per_thread <= 1
