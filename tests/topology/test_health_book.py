"""The book of the nodes' health: what it keeps when nodes come, go, and come back."""

from __future__ import annotations

from random import Random

from pynamodb_alternator.settings.values import Health
from pynamodb_alternator.topology.health import Observation, State
from pynamodb_alternator.topology.health_book import HealthBook
from pynamodb_alternator.topology.node import Node


def test_a_node_that_is_listed_keeps_the_status_of_the_seed_that_it_was() -> None:
    book = HealthBook(Health(), Random(1))
    seed, other = Node("http", "10.0.0.1", 8000), Node("http", "10.0.0.2", 8000)
    book.admit([seed, other])
    book.observe(seed, Observation.PROBE_SUCCESS, None, None, 1.0)
    status = book.statuses[seed]
    assert status.state is State.ACTIVE
    listed = Node("http", "10.0.0.1", 8000, datacenter="dc1")
    book.admit([listed])
    assert book.statuses[listed] is book.statuses[seed] is status
    # It is found by identity, where a request looks for it.
    assert [node for node in book.statuses if node == listed] == [listed]
    assert any(node is listed for node in book.statuses)
    # One that left is remembered, and goes first when there are too many.
    assert list(book.statuses) == [listed, other]
