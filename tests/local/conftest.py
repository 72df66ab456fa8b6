"""Clusters that are made afresh for a test; afterwards, that nothing failed inside them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pynamodb_alternator.local import LocalCluster, LocalNode

from .wire import Wire, with_table


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """Three nodes, and no table."""
    with LocalCluster(nodes=3) as running:
        yield running
    assert running.failures == []


@pytest.fixture
def tabled() -> Iterator[LocalCluster]:
    """Two nodes, which have the table ``tab``."""
    with with_table() as running:
        yield running


@pytest.fixture
def node(tabled: LocalCluster) -> LocalNode:
    """The first node of `tabled`."""
    return tabled.nodes[0]


@pytest.fixture
def wire(node: LocalNode) -> Iterator[Wire]:
    """A connection to `node`."""
    with Wire(node) as connected:
        yield connected
