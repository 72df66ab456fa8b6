"""What the signals report about a request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pynamodb_alternator import signals
from pynamodb_alternator.errors import (
    NodeUnreachableError,
    NoNodesAvailableError,
    ServerFailureError,
)

from .request_world import (
    OK,
    ONCE_ONLY,
    READS,
    RING,
    SICK,
    A,
    B,
    C,
    World,
)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def heard() -> Iterator[None]:
    """Somebody listens to every signal, so that all of them are sent."""
    made = []
    for signal in signals.namespace.values():

        def receive(sender: Any, **payload: Any) -> None: ...

        signal.connect(receive)
        made.append((signal, receive))
    yield
    for signal, receive in made:
        signal.disconnect(receive)


def test_the_signals_of_a_request(world: World, heard: None) -> None:
    with world.attempts(READS["get"]) as attempts:
        assert attempts.next() is A
        refused = NodeUnreachableError("refused")
        attempts.failed(refused)
        assert attempts.next() is B
        assert not attempts.answered(SICK)
        assert attempts.next() is C
        world.now += 0.5
        assert attempts.answered(OK)
    request_id = world.told[0][1]["request_id"]
    common = {"operation": "GetItem", "table_name": "t", "request_id": request_id, "own": False}
    a, b, c = (node.address for node in RING)
    routed = {**common, "policy": "round_robin", "reason": "affinity_off", "hedge": False}
    assert world.told == [
        ("request-routed", {**routed, "node": a, "attempt": 1}),
        ("request-retried", {**common, "from_node": a, "to_node": b, "attempt": 2, "error": refused}),
        ("request-routed", {**routed, "node": b, "attempt": 2}),
        ("request-retried", {**common, "from_node": b, "to_node": c, "attempt": 3, "error": "status 500"}),
        ("request-routed", {**routed, "node": c, "attempt": 3}),
        (
            "request-completed",
            {
                **common,
                "node": c,
                "attempts": 3,
                "status": 200,
                "error": None,
                "duration": 0.5,
                "policy": "round_robin",
                "hedge": None,
                "on_replica": None,
                "reason": "affinity_off",
            },
        ),
    ]


def test_the_librarys_own_requests_are_marked(world: World, heard: None) -> None:
    world.run(READS["describe"], NodeUnreachableError, OK, is_lookup=True)
    assert len(world.told) == 3
    assert all(payload["own"] for _, payload in world.told)


def test_two_requests_have_two_numbers(world: World, heard: None) -> None:
    for _ in range(2):
        world.run(READS["get"], OK)
    first, second = (payload["request_id"] for name, payload in world.told if name == "request-routed")
    assert first != second


def test_the_tables_of_a_batch(world: World, heard: None) -> None:
    world.run(("BatchWriteItem", {"RequestItems": {"one": [], "two": []}}), OK)
    world.run(("ListTables", {}), OK)
    assert [payload["table_name"] for name, payload in world.told if name == "request-routed"] == ["one,two", None]


def test_no_event_is_made_without_a_receiver(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for signal in signals.namespace.values():
        # Another test of this process may have left somebody who listens.
        monkeypatch.setattr(signal, "receivers", {})
    world.run(READS["get"], NodeUnreachableError, OK)
    assert world.told == []


def test_a_request_without_a_node_sends_one_signal_with_the_reason(heard: None) -> None:
    world = World(ring=())
    with pytest.raises(NoNodesAvailableError):
        world.run(READS["get"], OK)
    ((name, payload),) = world.told
    assert (name, payload["scope"]) == ("no-nodes-available", "cluster")
    assert payload["error"].startswith("No node is known")


def test_the_end_of_a_request_sends_a_signal_with_the_result(world: World, heard: None) -> None:
    def completed() -> dict[str, Any]:
        name, payload = world.told[-1]
        assert name == "request-completed"
        return payload

    failure = NodeUnreachableError("refused")
    with pytest.raises(KeyboardInterrupt), world.attempts(READS["get"]):
        raise KeyboardInterrupt
    assert (completed()["status"], type(completed()["error"])) == (None, KeyboardInterrupt)
    with pytest.raises(NodeUnreachableError), world.attempts(READS["get"]):
        raise failure
    assert (completed()["error"], completed()["node"], completed()["attempts"]) == (failure, None, 0)
    with world.attempts(ONCE_ONLY["increment"]) as attempts:
        attempts.next()
        assert attempts.answered(SICK)
        assert attempts.leaves_open(SICK)
        open_outcome = attempts.open_outcome({"Error": {"Code": "InternalServerError"}}, ServerFailureError)
    assert (completed()["status"], completed()["error"]) == (500, open_outcome)
