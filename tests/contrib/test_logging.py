from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from datetime import datetime

import pytest

from pynamodb_alternator import signals
from pynamodb_alternator.contrib import logging as requests_log
from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.local import LocalCluster

from .conftest import User
from .test_prometheus import completed

LOGGER = "pynamodb_alternator.requests"


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.set_level(logging.INFO, LOGGER)
    with requests_log.instrument():
        yield caplog


def of(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == LOGGER]


def test_one_line_for_each_request(records: pytest.LogCaptureFixture, user: type[User], local: LocalCluster) -> None:
    user("alice", visits=7).save()
    (record,) = [record for record in of(records) if "operation=PutItem" in record.getMessage()]
    fields = dict(pair.split("=", 1) for pair in record.getMessage().split(" "))
    assert fields.keys() == {
        "cluster",
        "operation",
        "table",
        "node",
        "attempts",
        "status",
        "duration_ms",
        "policy",
        "reason",
        "request_id",
    }
    assert (fields["cluster"], fields["operation"], fields["table"]) == ("default", "PutItem", "users")
    assert fields["node"] in local.addresses
    assert (fields["attempts"], fields["status"]) == ("1", "200")
    assert {name: str(value) for name, value in record.alternator.items()} == fields  # type: ignore[attr-defined]
    assert record.levelno == logging.INFO
    assert "alice" not in record.getMessage()


def test_trouble_is_louder(records: pytest.LogCaptureFixture, user: type[User], local: LocalCluster) -> None:
    local.nodes[0].drop_request(times=None)
    for _ in range(3):
        user.count()
    loud = [record for record in of(records) if record.levelno == logging.WARNING]
    assert loud
    assert "attempts=2" in loud[0].getMessage()


def test_the_text_of_an_error_and_odd_names_do_not_break_the_line(records: pytest.LogCaptureFixture) -> None:
    completed(error=RuntimeError("the key was alice\n"), status=None, node=None, cluster_name='a "b"\nc=d')
    (record,) = of(records)
    line = record.getMessage()
    assert line.startswith(r'cluster="a \"b\"\x0ac=d" operation=GetItem table=t node=- ')
    assert line.endswith("error=RuntimeError")
    assert "alice" not in line


def test_a_hedge_is_logged_and_is_not_a_warning(records: pytest.LogCaptureFixture) -> None:
    completed(attempts=2, hedge="won")
    completed(attempts=3, hedge="lost")
    assert [(record.levelno, record.alternator["hedge"]) for record in of(records)] == [  # type: ignore[attr-defined]
        (logging.INFO, "won"),
        (logging.WARNING, "lost"),
    ]


def test_it_is_done_once_and_can_be_taken_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    handle = requests_log.instrument()
    assert requests_log.instrument(level="debug") is handle
    completed()
    (record,) = of(caplog)
    assert record.levelno == logging.DEBUG
    handle.uninstrument()
    handle.uninstrument()
    completed()
    assert len(of(caplog)) == 1


def test_lines_go_to_the_given_logger(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shop.db")
    with requests_log.instrument("shop.db"):
        completed()
    assert [record.name for record in caplog.records] == ["shop.db"]


def test_mistakes_are_answered() -> None:
    with pytest.raises(ConfigurationError, match="level must be a level of logging"):
        requests_log.instrument(level="loud")
    with pytest.raises(ConfigurationError, match="trouble_level"):
        requests_log.instrument(trouble_level=None)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"logger must be a logging\.Logger"):
        requests_log.instrument(5)  # type: ignore[arg-type]


def test_the_librarys_own_requests_are_left_out(records: pytest.LogCaptureFixture) -> None:
    completed(own=True, operation="DescribeTable")
    assert of(records) == []
    requests_log.instrument(own_requests=True)
    completed(own=True, operation="DescribeTable")
    completed()
    marked, other = of(records)
    assert "own=True" in marked.getMessage()
    assert "own=" not in other.getMessage()


def test_a_hit_of_a_replica_is_logged(records: pytest.LogCaptureFixture) -> None:
    completed(policy="replica", on_replica=True)
    (record,) = of(records)
    assert "on_replica=True" in record.getMessage()


def node_goes_down() -> None:
    signals.emit(signals.node_down, object(), cluster_name="c", node="a:1", failures=3, error="Connection refused")


def test_what_becomes_of_nodes(records: pytest.LogCaptureFixture) -> None:
    node_goes_down()
    assert of(records) == []  # unless it is wanted
    requests_log.instrument(nodes=True)
    node_goes_down()
    signals.emit(signals.node_up, object(), cluster_name="c", node="a:1", down_for=2.5)
    failed = {"tried": ["a:1", "b:1"], "error": "no answer", "consecutive": 1, "stale_for": None}
    signals.emit(signals.discovery_failed, object(), cluster_name="c", **failed)
    assert [(record.levelno, record.getMessage()) for record in of(records)] == [
        (logging.WARNING, 'event=node_down cluster=c node=a:1 failures=3 error="Connection refused"'),
        (logging.INFO, "event=node_up cluster=c node=a:1 down_for=2.5"),
        (
            logging.WARNING,
            'event=discovery_failed cluster=c tried=a:1,b:1 error="no answer" consecutive=1 stale_for=-',
        ),
    ]
    assert of(records)[2].alternator["tried"] == ["a:1", "b:1"]  # type: ignore[attr-defined]


def test_every_signal_of_nodes_is_a_line_or_is_left_out_on_purpose() -> None:
    of_nodes = {signal for signal, kind in signals.EVENTS.items() if not issubclass(kind, signals.RequestEvent)}
    assert of_nodes - requests_log.OF_NODES.keys() == {signals.topology_refreshed, signals.client_forked}


def test_the_formatter_writes_json(records: pytest.LogCaptureFixture) -> None:
    write = requests_log.JsonFormatter().format
    completed(table_name='a "b"\n', error=RuntimeError("the key was alice"))
    (record,) = of(records)
    written = write(record)
    assert "\n" not in written
    assert "alice" not in written
    said = json.loads(written)
    assert said["alternator"] == record.alternator  # type: ignore[attr-defined]
    assert said["alternator"]["table"] == 'a "b"\n'
    assert said["alternator"]["error"] == "RuntimeError"
    assert (said["level"], said["logger"]) == ("WARNING", LOGGER)
    assert datetime.fromisoformat(said["time"]).timestamp() == pytest.approx(record.created, abs=0.001)


def test_json_of_what_another_process_has_sent() -> None:
    """A record that was pickled, as by a SocketHandler, has the text of its exception instead of the exception."""
    record = logging.LogRecord("shop", logging.ERROR, __file__, 1, "order", (), None, sinfo="Stack (most recent)")
    record.exc_text = "ValueError: wrong"
    said = json.loads(requests_log.JsonFormatter().format(record))
    assert said["exception"] == "ValueError: wrong"
    assert said["stack"] == "Stack (most recent)"


def test_json_of_other_loggers() -> None:
    try:
        raise ValueError("wrong")
    except ValueError:
        record = logging.LogRecord("shop", logging.ERROR, __file__, 1, "order %s", ("7",), sys.exc_info())
    record.otelTraceID = "0af7"
    said = json.loads(requests_log.JsonFormatter().format(record))
    assert said["message"] == "order 7"
    assert said["trace_id"] == "0af7"
    assert "ValueError: wrong" in said["exception"]
    assert "alternator" not in said


@pytest.mark.parametrize("odd", [{"seconds": float("nan")}, {("a", "b"): 1}, [float("inf")]])
def test_json_of_what_json_does_not_have(odd: object) -> None:
    """NaN would make the line one that no reader takes, and a tuple as a key would lose it."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    record = logging.LogRecord("shop", logging.INFO, __file__, 1, "order", (), None)
    record.alternator = odd
    said = json.loads(requests_log.JsonFormatter().format(record), parse_constant=refuse)
    assert said["message"] == "order"
    assert said["alternator"] == repr(odd)
