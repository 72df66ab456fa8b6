"""What must hold on a real ScyllaDB as it does on the embedded cluster.

    make test-scylla ALTERNATOR_URL=http://10.0.0.1:8000

On a cluster of one node some of it proves little, and is skipped.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from pynamodb.attributes import NumberAttribute, NumberSetAttribute, UnicodeAttribute
from pynamodb.exceptions import PutError, TransactGetError
from pynamodb.transactions import TransactGet

from pynamodb_alternator import AlternatorConnection, Cluster, KeyRouteAffinity, Model, signals
from tests.e2e import scenario


@pytest.fixture
def routed(cluster: Cluster) -> Iterator[list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []

    def receive(sender: Any, **payload: Any) -> None:
        events.append(payload)

    with signals.request_routed.connected_to(receive, sender=cluster):
        yield events


def make_model(cluster: Cluster, name: str, **settings: Any) -> type[Any]:
    made = cluster

    class Thing(Model):
        class Meta:
            table_name = name
            billing_mode = "PAY_PER_REQUEST"
            cluster = made

        key = UnicodeAttribute(hash_key=True)
        value = NumberAttribute(default=0)

    for key, value in settings.items():
        setattr(Thing.Meta, key, value)
    Thing.create_table(wait=True)
    return Thing


def test_nodes_are_found_and_active(cluster: Cluster) -> None:
    nodes = cluster.nodes()
    assert nodes
    assert cluster.refresh()
    assert {node.state.value for node in nodes} <= {"active", "quarantined", "down"}
    assert any(node.state.value == "active" for node in nodes)


def test_all_that_pynamodb_does(cluster: Cluster, prefix: str) -> None:
    account = scenario.run(*scenario.make_models(Model, {"cluster": cluster}, prefix))
    told = {}
    for what, result in account:
        told.setdefault(what, []).append(result)
    assert told["exists"] == [True, True]
    assert told["get missing"][0][0] == "DoesNotExist"
    assert told["save with a condition that fails"][0][2] == "ConditionalCheckFailedException"
    assert told["version conflict"][0][2] == "ConditionalCheckFailedException"
    assert told["count"][0] == [12, 6, 0]
    assert len(told["batch get"][0]) == 60
    assert told["gone"][0][0] == "DoesNotExist"
    assert told["exists after"] == [False, False]


def test_requests_are_spread(cluster: Cluster, prefix: str, routed: list[dict[str, Any]]) -> None:
    usable = [node for node in cluster.nodes() if node.in_scope and node.state.value == "active"]
    if len(usable) < 2:
        pytest.skip("one node: nothing to spread over")
    thing = make_model(cluster, f"{prefix}_spread", key_route_affinity=KeyRouteAffinity.NONE)
    routed.clear()
    for number in range(10 * len(usable)):
        thing(f"k{number}").save()
    counts = Counter(event["node"] for event in routed if event["operation"] == "PutItem")
    assert set(counts) == {node.address for node in usable}


def test_conditional_writes_of_a_key_meet_at_one_node(
    cluster: Cluster, prefix: str, routed: list[dict[str, Any]]
) -> None:
    thing = make_model(cluster, f"{prefix}_affinity", key_route_affinity=KeyRouteAffinity.RMW)
    routed.clear()
    item = thing("same")
    for _ in range(10):
        item.update([thing.value.add(1)])
    updates = [event for event in routed if event["operation"] == "UpdateItem"]
    assert {event["policy"] for event in updates} == {"affinity"}
    assert len({event["node"] for event in updates}) == 1
    assert item.value == 10


def test_no_increment_is_lost_under_contention(cluster: Cluster, prefix: str) -> None:
    thing = make_model(cluster, f"{prefix}_counter")
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(25):
                thing("one").update([thing.value.add(1)])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not errors
    assert thing.get("one", consistent_read=True).value == 200


def test_missing_operations_give_the_error_of_the_server(cluster: Cluster, prefix: str) -> None:
    thing = make_model(cluster, f"{prefix}_transactions")
    connection = AlternatorConnection(cluster=cluster)
    with pytest.raises(TransactGetError) as caught, TransactGet(connection=connection) as transaction:
        transaction.get(thing, "a")
    assert caught.value.cause_response_code == "UnknownOperationException"


def test_numbers_are_those_that_they_are_equal_to(cluster: Cluster, prefix: str) -> None:
    made = cluster

    class Score(Model):
        class Meta:
            table_name = f"{prefix}_numbers"
            billing_mode = "PAY_PER_REQUEST"
            canonical_numbers = True
            cluster = made

        key = NumberAttribute(hash_key=True)
        value = NumberAttribute(default=0)
        marks = NumberSetAttribute(null=True)

    Score.create_table(wait=True)
    Score(1.0, value=2.0, marks={1.0, 20}).save()
    score = Score.get(1, consistent_read=True)
    score.update([Score.marks.add({1, 5.0})], condition=(Score.value == 2.0) & (Score.key == 1.0))
    assert score.marks == {1, 5, 20}
    score.update([Score.marks.delete({5, 2e1})], condition=Score.marks.contains(1.0))
    assert score.marks == {1}
    assert [score.value for score in Score.query(1e0, filter_condition=Score.value.is_in(2.0, 3))] == [2]
    Score(1.0).delete()
    assert list(Score.scan(consistent_read=True)) == []


@pytest.mark.parametrize("isolation", ["always", "only_rmw_uses_lwt", "forbid_rmw", "unsafe_rmw"])
def test_a_table_has_its_write_isolation(cluster: Cluster, prefix: str, isolation: str) -> None:
    thing = make_model(cluster, f"{prefix}_{isolation}", write_isolation=isolation)
    assert thing.alternator_write_isolation() == isolation
    thing("a").save()
    if isolation == "forbid_rmw":
        with pytest.raises(PutError) as caught:
            thing("b").save(thing.key.does_not_exist())
        assert caught.value.cause_response_code == "ValidationException"
    else:
        thing("b").save(thing.key.does_not_exist())
