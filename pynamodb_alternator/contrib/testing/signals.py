"""The signals during a test: the value of the fixture `alternator_signals`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ...signals import Event

__all__ = ["AlternatorSignals", "SignalEvent"]


class SignalEvent(dict[str, Any]):
    """One signal: a dict of the fields of its event, such as ``said["node"]``.

    `name`: the name of the signal, such as ``node_down``. `event`: the event itself, a dataclass of `signals`, such as
    `NodeDown`. `sender`: the cluster.
    """

    def __init__(self, name: str, sender: Any, event: Event, payload: Mapping[str, Any]) -> None:
        super().__init__(payload)
        self.name = name
        self.sender = sender
        self.event = event

    def __repr__(self) -> str:
        return f"<{self.name} {super().__repr__()}>"


class AlternatorSignals:
    """The signals of a test. See the fixture `alternator_signals`."""

    def __init__(self) -> None:
        self._events: list[SignalEvent] = []
        self._changed = threading.Condition()

    @contextmanager
    def capturing(self) -> Iterator[AlternatorSignals]:
        from ... import signals
        from .._watch import Subscription

        subscription = Subscription(
            (signal, self._receiver(name.replace("-", "_"))) for name, signal in signals.namespace.items()
        )
        try:
            yield self
        finally:
            subscription.close()

    def _receiver(self, name: str) -> Callable[..., None]:
        def receive(sender: Any, *, event: Event, **payload: Any) -> None:
            with self._changed:
                self._events.append(SignalEvent(name, sender, event, payload))
                self._changed.notify_all()

        return receive

    @property
    def events(self) -> list[SignalEvent]:
        """All signals so far, in order."""
        with self._changed:
            return list(self._events)

    def of(self, name: str, **values: Any) -> list[SignalEvent]:
        """The events of one signal with these values, as in ``of("node_down", node="127.0.0.2:8000")``."""
        name = _known(name)
        with self._changed:
            return self._find(name, values)

    def wait_for(self, name: str, timeout: float = 10.0, **values: Any) -> SignalEvent:
        """Wait for the first event of this signal with these values. Fails the test if none comes."""
        name = _known(name)
        with self._changed:
            if self._changed.wait_for(lambda: bool(self._find(name, values)), timeout):
                return self._find(name, values)[0]
            seen = "".join(f"\n  {event!r}" for event in self._events[-20:]) or " none"
        asked = f" with {values}" if values else ""
        pytest.fail(f"No signal {name}{asked} within {timeout:g} s. The last ones were:{seen}")

    def clear(self) -> None:
        """Forget all events so far."""
        with self._changed:
            self._events.clear()

    def _find(self, name: str, values: Mapping[str, Any]) -> list[SignalEvent]:
        return [
            event
            for event in self._events
            if event.name == name and all(key in event and event[key] == value for key, value in values.items())
        ]


def _known(name: str) -> str:
    from ... import signals

    known = sorted(signal.replace("-", "_") for signal in signals.namespace)
    if str(name).replace("-", "_") not in known:
        raise pytest.UsageError(f"There is no signal {name!r}. The signals are {', '.join(known)}.")
    return name.replace("-", "_")
