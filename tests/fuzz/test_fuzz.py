"""The state machine for a few seconds, and that it finds what it is there to find.

``FUZZ_SECONDS`` and ``FUZZ_SEED`` change how long it runs for each kind of users, and where it begins;
``python -m tests.fuzz`` runs it for long.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pynamodb_alternator import ClusterConfig, KeyRouteAffinity, Retries, Timeouts
from pynamodb_alternator.local import LocalCluster
from tests.chaos.ledger import Fate, Ledger, Write, broken
from tests.chaos.recording import Executed, RecordingEngine
from tests.chaos.support import create_table, until

from .health import HealthWatch, Lag
from .machine import HEALTH, MACHINES
from .requests import TABLE, operation
from .running import fuzz
from .users import Tasks, Threads, Users

SECONDS = float(os.environ.get("FUZZ_SECONDS", "4"))
SEED = int(os.environ.get("FUZZ_SEED", "20"))


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 110)
@pytest.mark.parametrize("kind", MACHINES)
def test_nothing_is_lost_and_nothing_happens_twice(kind: str) -> None:
    assert fuzz(kind, SECONDS, SEED) > 0
    assert MACHINES[kind].fates["acknowledged"] > 10


# ---- that broken promises are found --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fate", "once", "numbers", "words"),
    [
        (Fate.ACKNOWLEDGED, False, [], "never executed"),
        (Fate.ACKNOWLEDGED, False, [3, 7], "after 5 executions, and executed as no. [7]"),
        (Fate.ACKNOWLEDGED, True, [3, 4], "executed 2 times"),
        (Fate.REFUSED, False, [3], "refused"),
        (Fate.CLOSED, False, [7], "executed as no. [7]"),
        (Fate.OPEN, True, [3, 7], "executed 2 times"),
        (None, True, [3, 4], "executed 2 times"),
    ],
)
def test_a_broken_promise_is_found(fate: Fate | None, once: bool, numbers: list[int], words: str) -> None:
    write = Write("w1", "k", "put", once, fate, told_at=5)
    executions = [Executed(number, "w1", "k", True) for number in numbers]
    assert any(words in text for text in broken(write, executions))


@pytest.mark.parametrize(
    ("fate", "once", "numbers"),
    [
        (Fate.ACKNOWLEDGED, False, [3, 4]),
        (Fate.ACKNOWLEDGED, True, [3]),
        (Fate.REFUSED, True, []),
        (Fate.CLOSED, False, [3]),
        (Fate.OPEN, False, [3, 7]),
        (None, True, [7]),
    ],
)
def test_a_kept_promise_is_no_finding(fate: Fate | None, once: bool, numbers: list[int]) -> None:
    write = Write("w1", "k", "put", once, fate, told_at=5)
    assert broken(write, [Executed(number, "w1", "k", True) for number in numbers]) == []


@pytest.fixture
def engine() -> RecordingEngine:
    return RecordingEngine()


@pytest.fixture
def local(engine: RecordingEngine) -> Iterator[LocalCluster]:
    with LocalCluster(nodes=3, engine=engine) as local:
        yield local


def _config(local: LocalCluster, *, silent_writes: str = "raise", ambiguous: bool = False) -> ClusterConfig:
    return ClusterConfig(
        [node.host for node in local.nodes],
        port=local.port,
        health=HEALTH,
        timeouts=Timeouts(read=2.0),
        retries=Retries(silent_writes=silent_writes),  # type: ignore[arg-type]
        retry_ambiguous_writes=ambiguous,
        key_route_affinity=KeyRouteAffinity.NONE,
    )


def _run(users: Users, engine: RecordingEngine, local: LocalCluster, kind: str, fault: str) -> list[str]:
    """Three writes, one to each node, during a fault of the first node. Returns the broken promises."""
    ledger = Ledger(engine)
    try:
        create_table(users.cluster.client, TABLE)
        until(lambda: all(node.state.value == "active" for node in users.cluster.nodes()))
        getattr(local.nodes[0], fault)()
        for number in range(3):
            users.start(operation(ledger, kind, (f"k{number}",), None))
        until(lambda: not users.busy)
        told = len(engine.log)
        local.nodes[0].resume()
        if fault == "hang":
            until(lambda: len(engine.log) > told, "what the frozen node has in its sockets is executed")
        return ledger.broken()
    finally:
        users.close()


@pytest.mark.parametrize("users", [Threads, Tasks])
@pytest.mark.parametrize(("silent_writes", "is_broken"), [("repeat", True), ("raise", False)])
def test_a_late_copy_of_an_acknowledged_write_is_found(
    local: LocalCluster, engine: RecordingEngine, users: type[Users], silent_writes: str, is_broken: bool
) -> None:
    mistakes = _run(users(_config(local, silent_writes=silent_writes)), engine, local, "put", "hang")
    assert any("acknowledged after" in text for text in mistakes) == is_broken, mistakes


@pytest.mark.parametrize("users", [Threads, Tasks])
@pytest.mark.parametrize(("ambiguous", "is_broken"), [(True, True), (False, False)])
def test_an_increment_that_is_executed_twice_is_found(
    local: LocalCluster, engine: RecordingEngine, users: type[Users], ambiguous: bool, is_broken: bool
) -> None:
    made = users(_config(local, ambiguous=ambiguous))
    mistakes = _run(made, engine, local, "increment", "drop_after_execute")
    assert any("executed 2 times" in text for text in mistakes) == is_broken, mistakes


def test_a_healthy_node_that_is_down_is_found(local: LocalCluster, engine: RecordingEngine) -> None:
    users, lag = Threads(_config(local)), Lag()
    try:
        create_table(users.cluster.client, TABLE)
        until(lambda: all(node.state.value == "active" for node in users.cluster.nodes()))
        watch = HealthWatch(users.cluster, lag, sick=set())  # which is not told that the node dies
        local.nodes[0].kill(still_listed=True)
        for number in range(6):
            users.start(operation(Ledger(engine), "put", (f"k{number}",), None))
        until(watch.broken, "the watch finds it")
        watch.close()
    finally:
        users.close()
        lag.close()


def test_a_child_reports_the_outcomes_of_its_writes(local: LocalCluster, engine: RecordingEngine) -> None:
    ledger, users = Ledger(engine), Threads(_config(local))
    try:
        create_table(users.cluster.client, TABLE)
        operations = [operation(ledger, kind, ("k",), None) for kind in ("put", "put if absent", "increment")]
        assert users.fork(operations) is None
        fates = [write.fate for each in operations for write in each.writes]
        assert fates == [Fate.ACKNOWLEDGED, Fate.CONDITION_FAILED, Fate.ACKNOWLEDGED]
        assert ledger.broken() == []
    finally:
        users.close()
