"""The budget of retries."""

from __future__ import annotations

from pynamodb_alternator.transport.budget import RetryBudget


def test_the_budget_earns_slowly_and_up_to_its_reserve() -> None:
    budget = RetryBudget(ratio=0.5, reserve=3.0)
    assert [budget.withdraw() for _ in range(4)] == [True, True, True, False]
    budget.deposit()
    assert not budget.withdraw()
    budget.deposit()
    assert budget.withdraw()
    for _ in range(100):
        budget.deposit()
    assert [budget.withdraw() for _ in range(4)] == [True, True, True, False]
