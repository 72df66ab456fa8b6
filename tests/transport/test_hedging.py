"""Which reads may be hedged, after how long, and how many of them: tables and a virtual clock."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator.settings.values import Hedge
from pynamodb_alternator.transport.hedging import (
    LEAST,
    RESERVE,
    HedgeBudget,
    Hedging,
    Latencies,
    kind_of,
    may_be_hedged,
)

KEY = {"id": {"S": "k"}}


@pytest.mark.parametrize(
    ("operation", "parameters", "expected"),
    [
        ("GetItem", {"TableName": "t", "Key": KEY}, True),
        ("GetItem", {"TableName": "t", "Key": KEY, "ConsistentRead": False}, True),
        ("GetItem", {"TableName": "t", "Key": KEY, "ConsistentRead": True}, False),
        ("GetItem", {"TableName": "t", "Key": KEY, "ConsistentRead": "true"}, False),
        ("Query", {"TableName": "t", "IndexName": "i"}, True),
        ("Query", {"TableName": "t", "ConsistentRead": True}, False),
        ("BatchGetItem", {"RequestItems": {"t": {"Keys": [KEY]}, "u": {"Keys": [KEY], "ConsistentRead": False}}}, True),
        ("BatchGetItem", {"RequestItems": {"t": {"Keys": [KEY]}, "u": {"Keys": [KEY], "ConsistentRead": True}}}, False),
        ("BatchGetItem", {"RequestItems": {"t": [KEY]}}, False),
        ("Query", {"TableName": "t", "IndexName": "v", "VectorSearch": {}}, True),
        ("SearchVectors", {"TableName": "t", "IndexName": "v"}, True),
        ("Scan", {"TableName": "t"}, False),
        ("TransactGetItems", {}, False),
        ("DescribeTable", {"TableName": "t"}, False),
        ("ListTables", {}, False),
        *((write, {"TableName": "t"}, False) for write in ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem")),
    ],
)
def test_which_requests_may_be_hedged(operation: str, parameters: dict[str, Any], expected: bool) -> None:
    assert may_be_hedged(operation, parameters) is expected


def test_vector_searches_are_compared_with_each_other_and_not_with_queries() -> None:
    assert kind_of("Query", {"TableName": "t"}) == "Query"
    assert kind_of("Query", {"VectorSearch": {}}) == kind_of("SearchVectors", {}) == "SearchVectors"
    assert kind_of("Scan", {"VectorSearch": {}}) == "Scan"


class TestLatencies:
    def test_nothing_is_known_of_fewer_than_a_hundred_answers(self) -> None:
        latencies = Latencies()
        for _ in range(99):
            latencies.add(0.01)
            assert latencies.p99() is None
        latencies.add(0.01)
        assert latencies.p99() == 0.01

    def test_it_is_the_value_that_99_of_100_do_not_exceed(self) -> None:
        latencies = Latencies()
        for number in range(1000):
            latencies.add((number * 7919 % 1000 + 1) / 100)  # each of 0.01 to 10 once, mixed
        assert latencies.p99() == 9.9

    def test_it_is_at_least_two_milliseconds(self) -> None:
        latencies = Latencies()
        for _ in range(200):
            latencies.add(0.0001)
        assert latencies.p99() == LEAST == 0.002

    def test_it_is_that_of_the_last_thousand(self) -> None:
        latencies = Latencies()
        for seconds in (5.0, 0.01):
            for _ in range(1000):
                latencies.add(seconds)
        assert latencies.p99() == 0.01

    def test_each_operation_has_its_own(self) -> None:
        hedging = Hedging()
        for _ in range(100):
            hedging.answered("GetItem", 0.01)
            hedging.answered("Query", 0.5)
        assert hedging.begin("GetItem", Hedge(), 0.0) == 0.01
        assert hedging.begin("Query", Hedge(), 0.0) == 0.5
        assert hedging.begin("BatchGetItem", Hedge(), 0.0) is None
        assert hedging.begin("BatchGetItem", Hedge(after=0.3), 0.0) == 0.3


class TestBudget:
    def test_the_reserve_and_the_part_of_the_reads(self) -> None:
        budget = HedgeBudget()
        for _ in range(1000):
            budget.read(10.0)
        taken = sum(budget.withdraw(20.0, 0.05) for _ in range(300))
        assert taken == RESERVE + 50
        assert not budget.withdraw(69.9, 0.05)
        # The reads of the tenth second are over a minute ago, and so are not the hedges of the twentieth.
        assert not budget.withdraw(70.0, 0.05)
        assert sum(budget.withdraw(80.0, 0.05) for _ in range(300)) == RESERVE

    def test_no_part_at_all_leaves_the_reserve(self) -> None:
        budget = HedgeBudget()
        for _ in range(1000):
            budget.read(0.0)
        assert sum(budget.withdraw(0.0, 0.0) for _ in range(300)) == RESERVE

    def test_threads_together_take_no_more_than_there_is(self) -> None:
        budget, taken = HedgeBudget(), []

        def take() -> None:
            taken.extend(budget.withdraw(5.0, 0.0) for _ in range(100))

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 0 < sum(taken) <= RESERVE

    @settings(deadline=None)
    @given(
        st.lists(st.tuples(st.floats(0, 30), st.integers(0, 200), st.integers(0, 150)), max_size=12), st.floats(0, 1)
    )
    def test_within_any_minute_there_are_never_more(
        self, steps: list[tuple[float, int, int]], max_extra: float
    ) -> None:
        budget, now = HedgeBudget(), 1000.0
        reads: list[int] = []
        hedges: list[int] = []
        for pause, read, tried in steps:
            now += pause
            for _ in range(read):
                budget.read(now)
            reads += [int(now)] * read
            for _ in range(tried):
                recent = [at for at in hedges if at > int(now) - 60]
                allowed = RESERVE + max_extra * sum(at > int(now) - 60 for at in reads)
                assert budget.withdraw(now, max_extra) == (len(recent) + 1 <= allowed)
                if len(recent) + 1 <= allowed:
                    hedges.append(int(now))
