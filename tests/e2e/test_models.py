"""PynamoDB's models on a cluster: everything as with stock PynamoDB."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pynamodb.models
import pytest
from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.connection import Connection
from pynamodb.exceptions import DoesNotExist, PutError, TransactWriteError
from pynamodb.signals import post_dynamodb_send, pre_dynamodb_send
from pynamodb.transactions import TransactWrite

import pynamodb_alternator
from pynamodb_alternator import AlternatorConnection, Cluster, ClusterConfig, Model, configure, get_cluster
from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.orm._pynamodb import connection_of

from ..transport.servers import until
from . import scenario
from .conftest import Recorder


def test_everything_is_as_with_stock_pynamodb(
    local: LocalCluster, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stock")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "stock")
    one_node = {"host": f"http://{local.nodes[0].address}", "region": "us-east-1"}
    stock = scenario.run(*scenario.make_models(pynamodb.models.Model, one_node, "t"))
    ours = scenario.run(*scenario.make_models(Model, {"cluster": cluster}, "t"))
    assert len(ours) > 60
    for expected, got in zip(stock, ours, strict=True):
        assert got == expected
    served = {node.address: len(node.requests) for node in local.nodes[1:]}
    assert all(served.values()), served


def simple_model(base: type[Any] = Model, name: str = "things", **settings: Any) -> type[Any]:
    class Thing(base):  # type: ignore[misc]
        class Meta:
            table_name = name
            billing_mode = "PAY_PER_REQUEST"

        key = UnicodeAttribute(hash_key=True)
        value = NumberAttribute(default=0)

    for key, value in settings.items():
        setattr(Thing.Meta, key, value)
    return Thing


def test_requests_are_spread_over_all_nodes(cluster: Cluster, recorder: Recorder) -> None:
    thing = simple_model(cluster=cluster)
    thing.create_table()
    # AUTO affinity asks for the table's write isolation now, by requests that take their turns as well.
    thing("first").save()
    until(lambda: not cluster.core.questions.lookups.busy)
    recorder.clear()
    for number in range(30):
        thing(f"k{number}").save()

    def puts(signal: str) -> list[dict[str, Any]]:
        return [event for event in recorder.of(signal) if event["operation"] == "PutItem"]

    nodes = Counter(event["node"] for event in puts("request_routed"))
    assert len(nodes) == 3
    assert max(nodes.values()) - min(nodes.values()) <= 2
    assert {event["policy"] for event in puts("request_routed")} == {"round_robin"}
    done = puts("request_completed")
    assert len(done) == 30
    assert all(
        event["status"] == 200 and event["error"] is None and event["attempts"] == 1 and event["table_name"] == "things"
        and event["operation"] == "PutItem" and event["sender"] is cluster and event["cluster_name"] == "default"
        and event["duration"] > 0
        for event in done
    )  # fmt: skip


def test_where_the_cluster_comes_from(local: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def uses(**settings: Any) -> Cluster:
        model = simple_model(**settings)
        assert not model.exists()
        connection = connection_of(model).connection
        assert isinstance(connection, AlternatorConnection)
        return connection.cluster

    with pytest.raises(ConfigurationError, match=r"Meta\.cluster.*Meta\.host.*configure.*ALTERNATOR_URL"):
        uses()
    by_host = uses(host=local.url)
    assert by_host is uses(host=local.url)
    config = ClusterConfig("127.0.0.1", port=local.port)
    assert uses(cluster=config) is uses(cluster=ClusterConfig("127.0.0.1", port=local.port))
    monkeypatch.setenv("ALTERNATOR_URL", local.url)
    assert uses().name == "default"
    configure(analytics=local.url)
    assert uses(cluster="analytics").name == "analytics"
    with pytest.raises(ConfigurationError, match=r"'nowhere'.*analytics"):
        uses(cluster="nowhere")
    with pytest.raises(ConfigurationError, match="cluster must be"):
        uses(cluster=5)
    with pytest.raises(ConfigurationError, match=r"scheme"):
        uses(host="ftp://127.0.0.1")
    with pytest.raises(ConfigurationError, match=r"subclass of pynamodb\.connection\.Connection"):
        uses(connection_class=dict)


def test_the_same_table_name_on_two_clusters_and_in_subclasses(local: LocalCluster) -> None:
    with LocalCluster(nodes=1) as other:
        configure(default=local.url, other=other.url)
        here = simple_model()

        class There(here):  # type: ignore[misc,valid-type]
            class Meta(here.Meta):
                cluster = "other"

        class Renamed(here):  # type: ignore[misc,valid-type]
            class Meta(here.Meta):
                table_name = "renamed"

        here.create_table()
        There.create_table()
        here("a", value=1).save()
        There("a", value=2).save()
        assert here.get("a").value == 1
        assert There.get("a").value == 2
        assert not Renamed.exists()
        Renamed.create_table()
        with pytest.raises(Renamed.DoesNotExist):
            Renamed.get("a")
        here.Meta.table_name = "renamed"
        with pytest.raises(DoesNotExist):
            here.get("a")
        here.Meta.table_name = "things"
        assert here.get("a").value == 1
        here.Meta.cluster = "other"
        assert here.get("a").value == 2


def test_first_use_from_many_threads_makes_one_client(local: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    real = Cluster.new_client
    monkeypatch.setattr(Cluster, "new_client", lambda self, *args: made.append(1) or real(self, *args))
    configure(default=local.url)
    thing = simple_model()
    thing.create_table()
    get_cluster().close()
    made.clear()
    models = [simple_model(), simple_model(name="others")] * 8
    barrier = threading.Barrier(16)

    def first_use(model: type[Any]) -> bool:
        barrier.wait(10)
        return bool(model.exists())

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(first_use, models)) == [False] * 8 + [True] * 8
    assert made == [1]


def test_no_table_is_described_to_learn_its_key(local: LocalCluster, cluster: Cluster, recorder: Recorder) -> None:
    thing = simple_model(cluster=cluster)
    thing.create_table()
    for node in local.nodes:
        node.forget()
    recorder.clear()
    for number in range(20):
        thing(f"k{number}").save(thing.key.does_not_exist())
    asked = {request.operation for node in local.nodes for request in node.requests}
    # The tag tells the write isolation, which AUTO affinity asks for, in the background.
    assert asked <= {"PutItem", "ListTagsOfResource", "Query"}
    routed = [event for event in recorder.of("request_routed") if event["operation"] == "PutItem"]
    assert {event["policy"] for event in routed} == {"affinity"}
    assert {event["reason"] for event in routed} == {None}


def test_settings_of_a_model_hold_for_its_requests_only(
    local: LocalCluster, cluster: Cluster, recorder: Recorder
) -> None:
    plain = simple_model(cluster=cluster)
    special = simple_model(
        cluster=cluster, extra_headers={"x-special": "yes"}, read_timeout_seconds=0.3, max_retry_attempts=0
    )
    plain.create_table()
    special("a").save()
    assert [request.headers.get("x-special") for node in local.nodes for request in node.requests
            if request.operation == "PutItem"] == ["yes"]  # fmt: skip
    assert connection_of(special).connection.client is connection_of(plain).connection.client
    for node in local.nodes:
        node.delay(1.0)
    recorder.clear()
    with pytest.raises(PutError) as caught:
        special("b").save(special.key.does_not_exist())
    assert "did not answer" in str(caught.value) or "timeout" in str(caught.value)
    assert recorder.of("request_completed")[0]["attempts"] == 1
    plain("c").save()


def test_pynamodbs_own_signals_still_fire(cluster: Cluster) -> None:
    thing = simple_model(cluster=cluster)
    thing.create_table()
    heard: list[tuple[str, str, str | None]] = []

    def before(sender: Any, operation_name: str, table_name: str | None, req_uuid: Any) -> None:
        heard.append(("before", operation_name, table_name))

    def after(sender: Any, operation_name: str, table_name: str | None, req_uuid: Any) -> None:
        heard.append(("after", operation_name, table_name))

    with pre_dynamodb_send.connected_to(before), post_dynamodb_send.connected_to(after):
        thing("a").save()
    assert heard == [("before", "PutItem", "things"), ("after", "PutItem", "things")]


def test_a_connection_alone_works_and_transactions_say_that_the_server_has_none(cluster: Cluster) -> None:
    thing = simple_model(cluster=cluster)
    thing.create_table()
    connection = AlternatorConnection(cluster=cluster)
    connection.add_meta_table(connection_of(thing).get_meta_table())
    connection.put_item("things", "a", attributes={"value": {"N": "3"}})
    assert thing.get("a").value == 3
    assert connection.list_tables()["TableNames"] == ["things"]
    with pytest.raises(TransactWriteError) as caught, TransactWrite(connection=connection) as transaction:
        transaction.save(thing("b"))
    assert caught.value.cause_response_code == "UnknownOperationException"
    assert "default" in repr(connection)


def test_plain_models_through_the_patch(local: LocalCluster) -> None:
    configure(default=local.url)
    named = simple_model(pynamodb.models.Model, connection_class=AlternatorConnection)
    unnamed = simple_model(pynamodb.models.Model, name="plain", host="http://127.0.0.1:9")
    stock = pynamodb.models.Model._get_connection.__func__  # type: ignore[attr-defined]
    pynamodb_alternator.install()
    pynamodb_alternator.install()
    named.create_table()
    named("a").save()
    assert named.get("a").value == 0
    assert type(connection_of(unnamed).connection) is Connection
    del unnamed.Meta.host
    unnamed._connection = None
    unnamed.Meta.host = None
    pynamodb_alternator.install(default=AlternatorConnection)
    assert not unnamed.exists()
    assert type(connection_of(unnamed).connection) is AlternatorConnection
    pynamodb_alternator.uninstall()
    pynamodb_alternator.uninstall()
    assert pynamodb.models.Model._get_connection.__func__ is stock  # type: ignore[attr-defined]
    assert type(connection_of(named).connection) is Connection
    with pytest.raises(ConfigurationError, match="install"):
        pynamodb_alternator.install(default=dict)  # type: ignore[arg-type]
