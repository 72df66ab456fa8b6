"""An engine's errors become Alternator's."""

from __future__ import annotations

from typing import Any

import pytest

from pynamodb_alternator.local import LocalCluster

from .wire import Wire


@pytest.mark.parametrize("failure", [b"<html>Internal Server Error</html>", b"{}", b"", b"[1]"])
def test_a_broken_answer_of_an_engine_becomes_json(failure: bytes) -> None:
    class Broken:
        def call(self, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
            return 502, {"content-type": "text/html"}, failure

    with LocalCluster(1, engine=Broken()) as cluster, Wire(cluster.nodes[0]) as wire:
        assert wire.refused("ListTables", {})[0] == "InternalServerError"
