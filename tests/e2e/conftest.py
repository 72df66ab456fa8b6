"""A cluster of three nodes in this process, and models on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pynamodb_alternator
from pynamodb_alternator import Cluster, signals
from pynamodb_alternator.local import LocalCluster


@pytest.fixture
def local() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=3) as cluster:
        yield cluster


@pytest.fixture
def cluster(local: LocalCluster) -> Iterator[Cluster]:
    with Cluster(local.url) as cluster:
        yield cluster


@pytest.fixture(params=["happy", "short", "compatible"])
def lane(request: pytest.FixtureRequest) -> str:
    """The way of a request to the wire."""
    return str(request.param)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Each test begins without configured clusters, and leaves no thread of ours behind."""
    yield
    pynamodb_alternator.uninstall()
    pynamodb_alternator.close_all()


class Recorder:
    """Keeps what the signals say, for tests to look at."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._changed = threading.Condition()

    def receiver(self, name: str) -> Callable[..., None]:
        def receive(sender: Any, **payload: Any) -> None:
            with self._changed:
                self.events.append((name, {"sender": sender, **payload}))
                self._changed.notify_all()

        return receive

    def of(self, name: str) -> list[dict[str, Any]]:
        with self._changed:
            return [payload for kind, payload in self.events if kind == name]

    def wait_for(self, name: str, timeout: float = 10.0, **expected: Any) -> dict[str, Any]:
        """The first event of this name with these values; waits for it."""

        def matching() -> dict[str, Any] | None:
            for kind, payload in self.events:
                if kind == name and all(payload.get(key) == value for key, value in expected.items()):
                    return payload
            return None

        with self._changed:
            self._changed.wait_for(lambda: matching() is not None, timeout)
            event = matching()
            seen = [(kind, {k: v for k, v in p.items() if k != "sender"}) for kind, p in self.events]
        assert event is not None, f"no {name} with {expected}; seen: {seen[-20:]}"
        return event

    def clear(self) -> None:
        with self._changed:
            self.events.clear()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    receivers = []
    for name, signal in signals.namespace.items():
        receive = recorder.receiver(name.replace("-", "_"))
        signal.connect(receive)
        receivers.append((signal, receive))
    yield recorder
    for signal, receive in receivers:
        signal.disconnect(receive)
