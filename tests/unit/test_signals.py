"""The signals are those of the pinned list, and watching never breaks what is watched."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from blinker import Signal

from pynamodb_alternator import signals

PINNED = [
    *("request_routed", "request_retried", "request_completed", "affinity_fallback", "scope_fallback"),
    *("scope_restored", "topology_refreshed", "node_added", "node_removed", "node_quarantined", "node_down"),
    *("node_up", "discovery_failed", "no_nodes_available", "client_forked"),
]


@pytest.mark.parametrize("name", PINNED)
def test_each_pinned_signal_exists(name: str) -> None:
    signal = getattr(signals, name)
    assert signal.name == name.replace("_", "-")
    assert signals.namespace[signal.name] is signal
    assert name in signals.__all__
    assert signal.__doc__


def test_there_are_no_others() -> None:
    assert sorted(signals.namespace) == sorted(name.replace("_", "-") for name in PINNED)


class Sender:
    pass


def test_receivers_get_the_sender_and_keyword_arguments() -> None:
    seen: list[Any] = []
    sender = Sender()
    receive = lambda who, **payload: seen.append((who, payload))  # noqa: E731
    with signals.node_down.connected_to(receive):
        signals.emit(signals.node_down, sender, node="a:1", signal="is a word like any other")
    assert seen == [(sender, {"node": "a:1", "signal": "is a word like any other"})]


def test_a_receiver_of_another_sender_hears_nothing() -> None:
    seen: list[Any] = []
    sender = Sender()
    receive = lambda who, **payload: seen.append(who)  # noqa: E731
    with signals.node_down.connected_to(receive, sender=sender):
        signals.emit(signals.node_down, Sender())
        assert seen == []
        signals.emit(signals.node_down, sender)
    assert seen == [sender]


def test_what_a_receiver_raises_is_logged_and_the_others_hear(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    def bad(sender: Any, **_: Any) -> None:
        seen.append("bad")
        raise RuntimeError("receiver broke")

    def good(sender: Any, **_: Any) -> None:
        seen.append("good")

    with (
        caplog.at_level(logging.ERROR, "pynamodb_alternator"),
        signals.node_up.connected_to(bad),
        signals.node_up.connected_to(good),
    ):
        signals.emit(signals.node_up, Sender())
    assert sorted(seen) == ["bad", "good"]
    (record,) = caplog.records
    assert "node-up" in record.getMessage()
    assert record.exc_info is not None
    assert "receiver broke" in str(record.exc_info[1])


def test_what_ends_the_process_is_not_swallowed() -> None:
    def stop(sender: Any, **_: Any) -> None:
        raise KeyboardInterrupt

    with signals.node_up.connected_to(stop), pytest.raises(KeyboardInterrupt):
        signals.emit(signals.node_up, Sender())


def test_without_receivers_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("looked for receivers")

    monkeypatch.setattr(Signal, "receivers_for", never)
    signals.emit(signals.node_added, Sender(), node="a:1")


def test_a_muted_signal_is_silent() -> None:
    seen: list[Any] = []
    receive = lambda who, **payload: seen.append(who)  # noqa: E731
    with signals.node_added.connected_to(receive), signals.node_added.muted():
        signals.emit(signals.node_added, Sender())
    assert seen == []


def test_a_receiver_may_disconnect_itself() -> None:
    seen: list[Any] = []

    def once(sender: Any, **_: Any) -> None:
        seen.append(sender)
        signals.node_removed.disconnect(once)

    signals.node_removed.connect(once)
    for _ in range(3):
        signals.emit(signals.node_removed, Sender())
    assert len(seen) == 1
