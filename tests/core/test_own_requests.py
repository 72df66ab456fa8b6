"""What surrounds the requests that the library makes for itself."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import pytest

from pynamodb_alternator import Cluster
from pynamodb_alternator.core.own_requests import surround, surrounded
from pynamodb_alternator.local import LocalCluster


def test_each_block_is_entered_and_left_until_it_is_taken_back() -> None:
    steps: list[str] = []

    @contextlib.contextmanager
    def block(name: str) -> Iterator[None]:
        steps.append(f"{name} begins")
        yield
        steps.append(f"{name} ends")

    take_back = surround(lambda: block("outer"))
    try:
        with surrounded(block("inner")):
            steps.append("request")
    finally:
        take_back()
    assert steps == ["outer begins", "inner begins", "request", "inner ends", "outer ends"]
    with surrounded(block("alone")):
        pass
    assert steps[5:] == ["alone begins", "alone ends"]


def test_a_block_that_cannot_be_made_breaks_no_request(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> contextlib.AbstractContextManager[object]:
        raise RuntimeError("no block today")

    take_back = surround(broken)
    try:
        with caplog.at_level(logging.ERROR), surrounded(contextlib.nullcontext()):
            pass
    finally:
        take_back()
    assert "the request goes on" in caplog.text


def test_readings_of_system_tables_are_surrounded() -> None:
    entered: list[None] = []

    @contextlib.contextmanager
    def block() -> Iterator[None]:
        entered.append(None)
        yield

    take_back = surround(block)
    try:
        with LocalCluster(nodes=1) as local, Cluster(local.url) as cluster:
            cluster.client.list_tables()
            assert not entered
            cluster.nodes()  # reads where they stand
            assert entered
    finally:
        take_back()
