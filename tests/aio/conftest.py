"""A cluster of three nodes in this process, for an event loop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pynamodb_alternator.local import LocalCluster
from tests.e2e.conftest import Recorder, nothing_is_left, recorder

__all__ = ["Recorder", "local", "nothing_is_left", "recorder"]


@pytest.fixture
def local() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=3) as cluster:
        yield cluster
