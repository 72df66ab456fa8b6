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


def test_where_health_is_switched_off_every_node_is_active_for_ever() -> None:
    node = Node("http", "10.0.0.1", 8000)
    book = HealthBook(Health(enabled=False, active_failure_threshold=1), Random(1))
    book.admit([node])
    for observation in Observation:
        assert book.observe(node, observation, None, OSError("no"), 5.0) is None
    assert not book.suspect(node)
    book.ask([node], 0.0)
    assert book.state_of(node) is State.ACTIVE
    assert not book.is_unproven(node)
    assert book.due(1e9, [node]) == []
    assert book.next_due(-1e9, [node]) is None
    assert book.suspects() == ()
