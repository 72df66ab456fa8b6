"""The signals are those of the pinned list, and watching never breaks what is watched."""

from __future__ import annotations

import ast
import copy
import dataclasses
import logging
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blinker import NamedSignal, Namespace, Signal

from pynamodb_alternator import events, signals

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pynamodb_alternator"

PINNED = [
    *("request_routed", "request_retried", "request_completed", "affinity_fallback", "scope_fallback"),
    *("scope_restored", "topology_refreshed", "node_added", "node_removed", "node_quarantined", "node_down"),
    *("node_up", "discovery_failed", "no_nodes_available", "client_forked", "node_set_aside", "node_restored"),
]


@pytest.mark.parametrize("name", PINNED)
def test_each_pinned_signal_exists(name: str) -> None:
    signal = getattr(signals, name)
    assert signal.name == name.replace("_", "-")
    assert signals.namespace[signal.name] is signal
    assert name in signals.__all__
    assert signal.__doc__


def test_all_signals_are_listed() -> None:
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


DOWN = {"cluster_name": "c", "node": "a:1", "failures": 3, "error": "refused"}


def test_receivers_get_the_event_and_its_fields() -> None:
    seen: list[dict[str, Any]] = []
    typed: list[signals.NodeDown] = []

    def before(sender: Any, *, node: str, failures: int, **extra: Any) -> None:
        seen.append({"node": node, "failures": failures, **extra})

    def receive(sender: Any, *, event: signals.NodeDown, **extra: Any) -> None:
        typed.append(event)

    with signals.node_down.connected_to(before), signals.node_down.connected_to(receive):
        signals.emit(signals.node_down, Sender(), **DOWN)
    (event,) = typed
    assert event == signals.NodeDown(cluster_name="c", node="a:1", failures=3, error="refused")
    assert seen == [{**DOWN, "event": event}]
    assert seen[0]["event"] is event, "it is made once for all receivers"
    assert repr(event) == "NodeDown(cluster_name='c', node='a:1', failures=3, error='refused')"


def test_an_event_does_not_change_and_can_be_kept() -> None:
    events: list[signals.NodeDown] = []
    receive = lambda sender, event, **extra: events.append(event)  # noqa: E731
    with signals.node_down.connected_to(receive):
        signals.emit(signals.node_down, Sender(), **DOWN)
    (event,) = events
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.node = "b:1"  # type: ignore[misc]
    assert dataclasses.asdict(event) == DOWN
    assert copy.copy(event) == pickle.loads(pickle.dumps(event)) == event
    assert len({event, signals.NodeDown(**DOWN)}) == 1


@pytest.mark.parametrize("hears", [False, True])
def test_an_event_is_made_only_if_a_receiver_of_this_sender_hears_it(
    hears: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[type[object]] = []

    def new(kind: type[signals.Event]) -> signals.Event:
        made.append(kind)
        return object.__new__(kind)

    monkeypatch.setattr(signals, "_new", new)
    sender = Sender()
    receive = lambda sender, **payload: None  # noqa: E731
    with signals.node_down.connected_to(receive, sender=sender):
        signals.emit(signals.node_down, sender if hears else Sender(), **DOWN)
        with signals.node_down.muted():
            signals.emit(signals.node_down, sender, **DOWN)
    assert made == ([signals.NodeDown] if hears else [])


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"cluster_name": "c", "node": "a:1", "failures": 3}, "lacks ['error'], and has nothing too many"),
        ({**DOWN, "port": 1}, "lacks nothing, and has ['port'] too many"),
        ({**DOWN, "event": "mine"}, "lacks nothing, and has ['event'] too many"),
    ],
)
def test_a_payload_that_does_not_fit_is_logged_and_breaks_nothing(
    payload: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[dict[str, Any]] = []
    receive = lambda sender, **payload: seen.append(payload)  # noqa: E731
    with (
        caplog.at_level(logging.ERROR, "pynamodb_alternator"),
        signals.node_down.connected_to(receive),
    ):
        signals.emit(signals.node_down, Sender(), **payload)
    assert seen == [payload]
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.ERROR, "pynamodb_alternator.cluster")
    assert f"'node-down' is sent without its event: the payload {said}" in record.getMessage()


def test_a_signal_of_somebody_else_has_the_plain_event() -> None:
    seen: list[dict[str, Any]] = []
    receive = lambda sender, **payload: seen.append(payload)  # noqa: E731
    signal = Namespace().signal("theirs")
    with signal.connected_to(receive):
        signals.emit(signal, Sender(), cluster_name="c")
    assert seen == [{"cluster_name": "c", "event": signals.Event(cluster_name="c")}]


# ---- the events ----------------------------------------------------------------------------------------------------


def own_fields(kind: type[signals.Event]) -> dict[str, str]:
    """The names and types of an event's fields, except that which all have."""
    return {str(field.name): str(field.type) for field in dataclasses.fields(kind) if field.name != "cluster_name"}


def test_each_signal_has_an_event_of_its_own() -> None:
    assert {signal.name for signal in signals.EVENTS} == set(signals.namespace)
    assert len(set(signals.EVENTS.values())) == len(PINNED)
    for signal, kind in signals.EVENTS.items():
        assert kind.__name__ == "".join(word.capitalize() for word in signal.name.split("-"))
        assert kind.__name__ in signals.__all__
        assert signal.__doc__ == kind.__doc__
        assert issubclass(kind, signals.Event)


def test_no_event_is_left_out_of_the_public_names() -> None:
    kinds = {name for name, kind in vars(events).items() if isinstance(kind, type) and issubclass(kind, events.Event)}
    assert kinds == set(events.__all__) - {"BY_SIGNAL"}
    assert kinds <= set(signals.__all__)


def test_each_field_is_described_where_it_stands() -> None:
    source = ast.parse(Path(events.__file__).read_text(encoding="utf-8"))
    fields, described = 0, 0
    for kind in source.body:
        if isinstance(kind, ast.ClassDef):
            fields += sum(isinstance(line, ast.AnnAssign) for line in kind.body)
            described += sum(
                isinstance(line, ast.AnnAssign) and isinstance(after, ast.Expr)
                for line, after in zip(kind.body, kind.body[1:], strict=False)
            )
    assert 0 < fields == described


@pytest.mark.parametrize("signal", signals.EVENTS, ids=lambda signal: signal.name)
def test_the_documentation_has_its_fields_and_types(signal: NamedSignal) -> None:
    kind = signals.EVENTS[signal]
    page = (ROOT / "docs/signals.md").read_text(encoding="utf-8").replace("\\|", "|")
    start = f"| `{signal.name.replace('-', '_')}` | `{kind.__name__}` | "
    (row,) = [line for line in page.splitlines() if line.startswith(start)]
    written = ", ".join(f"`{name}: {hint}`" for name, hint in own_fields(kind).items())
    assert row == f"{start}{kind.__doc__} | {written} |"


# ---- where they are sent -------------------------------------------------------------------------------------------

COMMON = {"cluster_name", "operation", "table_name", "request_id"}
"""What the layers between the place that sends and `emit` add."""


class Sites(ast.NodeVisitor):
    """The calls of one module that send a signal: each with the signals' names and the payload's."""

    def __init__(self, tree: ast.Module) -> None:
        self.sites: list[tuple[int, set[str], set[str]]] = []
        self._values: list[dict[str, ast.expr]] = [{}]
        self.visit(tree)

    def visit_FunctionDef(self, function: ast.FunctionDef) -> None:
        values: dict[str, ast.expr] = {}
        for line in ast.walk(function):
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
                values[line.targets[0].id] = line.value
        self._values.append(values)
        self.generic_visit(function)
        self._values.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def visit_Call(self, call: ast.Call) -> None:
        self.generic_visit(call)
        names = {name for part in call.args[:1] for name in self._signals(part)}
        if names:
            self.sites.append((call.lineno, names, set(self._payload(call))))

    def _value(self, expression: ast.expr) -> ast.expr:
        return self._values[-1].get(expression.id, expression) if isinstance(expression, ast.Name) else expression

    def _signals(self, expression: ast.expr) -> Iterator[str]:
        expression = self._value(expression)
        for part in (expression.body, expression.orelse) if isinstance(expression, ast.IfExp) else (expression,):
            if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "signals":
                yield part.attr

    def _payload(self, call: ast.Call) -> Iterator[str]:
        yield from (keyword.arg for keyword in call.keywords if keyword.arg is not None)
        for argument in map(self._value, call.args[1:]):
            if isinstance(argument, ast.Dict):
                yield from (key.value for key in argument.keys if isinstance(key, ast.Constant))


def sites() -> dict[str, tuple[set[str], set[str]]]:
    calls = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for line, names, payload in Sites(ast.parse(path.read_text(encoding="utf-8"))).sites:
            calls[f"{path.relative_to(ROOT)}:{line}"] = names, payload
    return calls


@pytest.mark.parametrize(("names", "payload"), sites().values(), ids=sites())
def test_each_place_that_sends_a_signal_gives_its_fields(names: set[str], payload: set[str]) -> None:
    for name in names:
        fields = {field.name for field in dataclasses.fields(signals.EVENTS[getattr(signals, name)])}
        assert payload <= fields
        assert fields - payload <= COMMON


def test_each_signal_is_sent_somewhere() -> None:
    assert set().union(*(names for names, _ in sites().values())) == set(PINNED)


def test_a_receiver_of_another_sender_hears_nothing() -> None:
    seen: list[Any] = []
    sender = Sender()
    receive = lambda who, **payload: seen.append(who)  # noqa: E731
    with signals.node_down.connected_to(receive, sender=sender):
        signals.emit(signals.node_down, Sender(), **DOWN)
        assert seen == []
        signals.emit(signals.node_down, sender, **DOWN)
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
        signals.emit(signals.node_up, Sender(), cluster_name="c", node="a:1", down_for=0.0)
    assert sorted(seen) == ["bad", "good"]
    (record,) = caplog.records
    assert "node-up" in record.getMessage()
    assert record.exc_info is not None
    assert "receiver broke" in str(record.exc_info[1])


def test_what_ends_the_process_is_not_swallowed() -> None:
    def stop(sender: Any, **_: Any) -> None:
        raise KeyboardInterrupt

    with signals.node_up.connected_to(stop), pytest.raises(KeyboardInterrupt):
        signals.emit(signals.node_up, Sender(), cluster_name="c", node="a:1", down_for=0.0)


def test_without_receivers_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("looked for receivers")

    monkeypatch.setattr(Signal, "receivers_for", never)
    signals.emit(signals.node_added, Sender(), cluster_name="c", node="a:1")


def test_a_muted_signal_is_silent() -> None:
    seen: list[Any] = []
    receive = lambda who, **payload: seen.append(who)  # noqa: E731
    with signals.node_added.connected_to(receive), signals.node_added.muted():
        signals.emit(signals.node_added, Sender(), cluster_name="c", node="a:1")
    assert seen == []


def test_a_receiver_may_disconnect_itself() -> None:
    seen: list[Any] = []

    def once(sender: Any, **_: Any) -> None:
        seen.append(sender)
        signals.node_removed.disconnect(once)

    signals.node_removed.connect(once)
    for _ in range(3):
        signals.emit(signals.node_removed, Sender(), cluster_name="c", node="a:1")
    assert len(seen) == 1
