"""The line of the log for each request."""

from __future__ import annotations

import http.client
import logging
import re

import pytest

from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.routing.token import token_of

from .wire import Wire, create, s

NAME = "pynamodb_alternator.local.requests"


def test_a_line_for_each_request(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, NAME)
    with LocalCluster(2, replication_factor=1) as local:
        create(local)
        caplog.clear()
        token = token_of("S", "alice")
        for node in local.nodes:
            with Wire(node) as wire:
                wire.ok("PutItem", {"TableName": "tab", "Item": {"k": s("alice"), "secret": s("hidden")}})
        with Wire(local.nodes[0]) as wire:
            wire.refused("GetItem", {"TableName": "nowhere", "Key": {"k": s("a")}})
            wire.refused("Nonsense", {})
            wire.ok("ListTables", {})
            wire.send("GET", "/localnodes", b"")
        first, second = local.addresses
        (replica,) = local.replicas("tab", "alice")
        messages = [record.getMessage() for record in caplog.records if record.name == NAME]
        assert all(re.search(r" shard=[0-7]$", message) for message in messages)
        lines = [re.sub(r"\d+\.\d ms", "T ms", message).rpartition(" shard=")[0] for message in messages]
        assert lines == [
            f"{first} PutItem tab token={token} 200 T ms {'replica' if replica is local.nodes[0] else 'no replica'}",
            f"{second} PutItem tab token={token} 200 T ms {'replica' if replica is local.nodes[1] else 'no replica'}",
            f"{first} GetItem nowhere - 400 ResourceNotFoundException T ms -",
            f"{first} ? - - 400 UnknownOperationException T ms -",
            f"{first} ListTables - - 200 T ms -",
        ]


def test_a_request_that_gets_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, NAME)
    with LocalCluster(1) as local:
        create(local)
        local.nodes[0].drop_request(operation="GetItem")
        with Wire(local.nodes[0]) as wire, pytest.raises((ConnectionError, http.client.HTTPException)):
            wire.call("GetItem", {"TableName": "tab", "Key": {"k": s("a")}})
        assert " GetItem tab " in caplog.records[-1].getMessage()
        assert " no answer " in caplog.records[-1].getMessage()
