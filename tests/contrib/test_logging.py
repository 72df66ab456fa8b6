from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

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


def test_a_hedge_is_told_and_is_no_trouble(records: pytest.LogCaptureFixture) -> None:
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


def test_another_logger(caplog: pytest.LogCaptureFixture) -> None:
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
