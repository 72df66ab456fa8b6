"""Key route affinity over real sockets: which writes meet at one coordinator, and what is said of those that do not."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError
from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from pynamodb_alternator import (
    Cluster,
    ClusterConfig,
    ClusterScope,
    DatacenterScope,
    KeyRouteAffinity,
    Model,
    RackScope,
    Retries,
)
from pynamodb_alternator.local import LocalCluster, LocalNode
from pynamodb_alternator.routing.hashing import key_hash
from pynamodb_alternator.routing.plan import pick_and_remove
from pynamodb_alternator.settings.values import Discovery, Health

from .conftest import Recorder
from .support import is_active

NONE, RMW, ANY_WRITE, AUTO = (
    KeyRouteAffinity.NONE,
    KeyRouteAffinity.RMW,
    KeyRouteAffinity.ANY_WRITE,
    KeyRouteAffinity.AUTO,
)
TABLE = "things"
QUICK = {
    "discovery": Discovery(interval=0.05, scope_restore_after=0.1),
    "health": Health(probe_interval=0.05, probe_timeout=0.5),
}
PINNED_REASONS = {"no_partition_key_name", "no_key_value", "unsupported_key_type", "no_affinity_nodes"}


def connect(local: LocalCluster, **settings: Any) -> Cluster:
    settings = {"partition_keys": {TABLE: "pk"}, **QUICK, **settings}
    return Cluster(ClusterConfig([node.host for node in local.nodes], port=local.port, **settings))


def create(cluster: Cluster, name: str = TABLE, isolation: str | None = None) -> None:
    tags = {} if isolation is None else {"Tags": [{"Key": "system:write_isolation", "Value": isolation}]}
    cluster.client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        **tags,
    )


def put(cluster: Cluster, key: str = "k", table: str = TABLE, **more: Any) -> None:
    cluster.client.put_item(TableName=table, Item={"pk": {"S": key}, "n": {"N": "1"}}, **more)


def conditional_put(cluster: Cluster, key: str = "k", table: str = TABLE) -> None:
    put(cluster, key, table, ConditionExpression="attribute_not_exists(nowhere)")


def update(cluster: Cluster, expression: str, key: str = "k", table: str = TABLE, **more: Any) -> None:
    values = {":n": {"N": "1"}} if ":n" in expression else {}
    if values:
        more["ExpressionAttributeValues"] = values
    cluster.client.update_item(TableName=table, Key={"pk": {"S": key}}, UpdateExpression=expression, **more)


def batch(cluster: Cluster, *keys: str, table: str = TABLE) -> None:
    puts = [{"PutRequest": {"Item": {"pk": {"S": key}}}} for key in keys]
    cluster.client.batch_write_item(RequestItems={table: puts})


def route(recorder: Recorder, request: Callable[[], object]) -> tuple[str, str | None]:
    """Policy and reason of one request."""
    return routes(recorder, request)[0]


def routes(recorder: Recorder, request: Callable[[], object]) -> list[tuple[str, str | None]]:
    recorder.clear()
    request()
    # Questions of the background go to other operations than those of the tests.
    events = [event for event in recorder.of("request_routed") if event["operation"] in WRITES]
    return [(event["policy"], event["reason"]) for event in events]


WRITES = {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"}
AFFINITY = ("affinity", None)


def until(condition: Callable[[], bool], what: object = "", timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def spread(reason: str) -> tuple[str, str]:
    return ("round_robin", reason)


# ---- modes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "plain", "needs_read", "several"),
    [
        (NONE, spread("affinity_off"), spread("affinity_off"), spread("affinity_off")),
        (RMW, spread("not_read_modify_write"), AFFINITY, spread("not_read_modify_write")),
        (ANY_WRITE, AFFINITY, AFFINITY, ("batch_affinity", None)),
        # Until the table's write isolation is known, and it says only_rmw_uses_lwt.
        (AUTO, spread("not_read_modify_write"), AFFINITY, spread("not_read_modify_write")),
    ],
)
def test_the_mode_decides_which_writes_have_affinity(
    local: LocalCluster, recorder: Recorder, mode: KeyRouteAffinity, plain: object, needs_read: object, several: object
) -> None:
    with connect(local, key_route_affinity=mode) as cluster:
        create(cluster)
        client, key = cluster.client, {"pk": {"S": "k"}}
        assert route(recorder, lambda: put(cluster)) == plain
        assert route(recorder, lambda: update(cluster, "SET n = :n")) == plain
        assert route(recorder, lambda: client.delete_item(TableName=TABLE, Key=key)) == plain
        assert route(recorder, lambda: conditional_put(cluster)) == needs_read
        assert route(recorder, lambda: update(cluster, "ADD n :n")) == needs_read
        old = lambda: client.delete_item(TableName=TABLE, Key=key, ReturnValues="ALL_OLD")  # noqa: E731
        assert route(recorder, old) == needs_read
        assert route(recorder, lambda: batch(cluster, "a", "b")) == several
        assert recorder.of("affinity_fallback") == []


def thing_model(cluster: Cluster, name: str = TABLE, **settings: Any) -> type[Any]:
    class Thing(Model):
        class Meta:
            table_name = name
            billing_mode = "PAY_PER_REQUEST"

        pk = UnicodeAttribute(hash_key=True)
        n = NumberAttribute(default=0)

    for setting, value in {"cluster": cluster, **settings}.items():
        setattr(Thing.Meta, setting, value)
    return Thing


def test_a_model_has_a_mode_and_a_key_of_its_own(local: LocalCluster, recorder: Recorder) -> None:
    """The partition key's name comes from the model: the very first write has affinity, and nobody asks."""
    with connect(local, key_route_affinity=RMW, partition_keys={}) as cluster:
        every = thing_model(cluster, "every", key_route_affinity=ANY_WRITE)
        never = thing_model(cluster, "never", key_route_affinity="none")
        default = thing_model(cluster, "default")
        for model in (every, never, default):
            model.create_table()
        assert route(recorder, lambda: every("k").save()) == AFFINITY
        assert route(recorder, lambda: never("k").save(condition=never.pk.does_not_exist())) == spread("affinity_off")
        assert route(recorder, lambda: default("k").save()) == spread("not_read_modify_write")
        assert route(recorder, lambda: default("k").save(condition=default.n == 0)) == AFFINITY
        with every.batch_write() as many:
            recorder.clear()
            many.save(every("a"))
        assert recorder.of("request_routed")[-1]["policy"] == "batch_affinity"
        assert sum(node.operations["DescribeTable"] for node in local.nodes) == 3  # create_table waits for its table


def test_an_update_of_a_model_is_always_a_read_modify_write(local: LocalCluster, recorder: Recorder) -> None:
    """PynamoDB asks for ALL_NEW with each."""
    with connect(local, key_route_affinity=RMW) as cluster:
        thing = thing_model(cluster)
        thing.create_table()
        item = thing("k")
        item.save()
        for action in (thing.n.set(5), thing.n.remove(), thing.n.add(1)):
            assert route(recorder, lambda action=action: item.update(actions=[action])) == AFFINITY  # type: ignore[misc]
        nodes = {event["node"] for event in recorder.of("request_routed")}
        assert nodes == {next(plan(cluster, "k")).address}


def plan(cluster: Cluster, key: str) -> Iterator[Any]:
    return pick_and_remove(cluster.topology.affinity_ring, key_hash("S", key))


# ---- AUTO ------------------------------------------------------------------------------------------------------------


def asked(local: LocalCluster, operation: str) -> int:
    return sum(node.operations[operation] for node in local.nodes)


@pytest.mark.parametrize(
    ("tag", "option", "plain", "conditional"),
    [
        ("always", "only_rmw_uses_lwt", AFFINITY, AFFINITY),
        ("a", "unsafe_rmw", AFFINITY, AFFINITY),
        ("only_rmw_uses_lwt", "always_use_lwt", spread("not_read_modify_write"), AFFINITY),
        ("unsafe_rmw", "always", spread("no_lwt_in_table"), spread("no_lwt_in_table")),
        (None, "always_use_lwt", AFFINITY, AFFINITY),
        (None, "unsafe", spread("no_lwt_in_table"), spread("no_lwt_in_table")),
        (None, "only_rmw_uses_lwt", spread("not_read_modify_write"), AFFINITY),
    ],
)
def test_auto_learns_what_helps_the_table(
    recorder: Recorder, tag: str | None, option: str, plain: object, conditional: object
) -> None:
    with LocalCluster(nodes=3, write_isolation=option) as local, connect(local) as cluster:
        create(cluster, isolation=tag)
        assert route(recorder, lambda: put(cluster)) == spread("not_read_modify_write")  # not known yet
        until(lambda: cluster.core.tables.get(TABLE).write_isolation is not None)
        assert route(recorder, lambda: put(cluster)) == plain
        assert route(recorder, lambda: conditional_put(cluster)) == conditional
        expected = ("batch_affinity", None) if plain == AFFINITY else plain
        assert route(recorder, lambda: batch(cluster, "a", "b")) == expected
        for number in range(20):
            put(cluster, f"k{number}")
        # Once, and the node's option only where the table has no tag.
        assert asked(local, "ListTagsOfResource") == 1
        assert asked(local, "Query") == (tag is None)


def test_no_request_waits_for_what_auto_asks(local: LocalCluster, recorder: Recorder) -> None:
    with connect(local) as cluster:
        create(cluster, isolation="always")
        held = [node.delay(3600.0, operation="ListTagsOfResource") for node in local.nodes]
        for number in range(30):
            conditional_put(cluster, f"k{number}")
        until(lambda: asked(local, "ListTagsOfResource") == 1)
        assert recorder.of("request_completed")[-1]["policy"] == "affinity"
        assert not [event for event in recorder.of("request_completed") if event["operation"] == "ListTagsOfResource"]
        assert sum(fault.hits for fault in held) == 1
        started = time.monotonic()
    assert time.monotonic() - started < 3.0  # nor does the end


def test_auto_without_permission_is_rmw(recorder: Recorder) -> None:
    with LocalCluster(nodes=3, deny_virtual_tables=True, write_isolation="always") as local, connect(local) as cluster:
        create(cluster)
        put(cluster)
        until(lambda: asked(local, "Query") == 1 and not cluster.core.questions.lookups.busy)
        assert route(recorder, lambda: put(cluster)) == spread("not_read_modify_write")
        assert route(recorder, lambda: conditional_put(cluster)) == AFFINITY
        for number in range(20):
            put(cluster, f"k{number}")
        assert (asked(local, "ListTagsOfResource"), asked(local, "Query")) == (1, 1)
    with LocalCluster(nodes=3) as local, connect(local) as cluster:
        create(cluster, isolation="always")
        for node in local.nodes:
            node.fail_with("AccessDeniedException", operation="ListTagsOfResource")
        put(cluster)
        until(lambda: asked(local, "ListTagsOfResource") == 1 and not cluster.core.questions.lookups.busy)
        assert route(recorder, lambda: put(cluster)) == spread("not_read_modify_write")
        assert route(recorder, lambda: conditional_put(cluster)) == AFFINITY
        assert asked(local, "ListTagsOfResource") == 1


def test_without_a_background_thread_no_table_is_looked_up(local: LocalCluster, recorder: Recorder) -> None:
    """Where the process may stand still between requests: AUTO is RMW, and keys are those of models."""
    with connect(local, monitor=False, partition_keys={}) as cluster:
        thing = thing_model(cluster)
        create(cluster, isolation="always")
        create(cluster, "raw")
        assert route(recorder, lambda: thing("k").save()) == spread("not_read_modify_write")
        assert route(recorder, lambda: thing("k").save(condition=thing.pk.exists())) == AFFINITY
        assert route(recorder, lambda: update(cluster, "ADD n :n", table="raw")) == spread("no_partition_key_name")
        assert asked(local, "ListTagsOfResource") == asked(local, "Query") == asked(local, "DescribeTable") == 0


# ---- the rule --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "with_affinity"),
    [
        ({}, {"nested", "add", "read", "condition", "old"}),
        ({"rmw_rule": "driver"}, {"set", "remove", "new", "nested", "add", "read", "condition", "old"}),
        (
            {"force_read_before_write": True},
            {"set", "remove", "new", "nested", "add", "read", "condition", "old", "delete"},
        ),
    ],
    ids=["server", "driver", "force_read_before_write"],
)
def test_the_rule_for_read_modify_writes(
    local: LocalCluster, recorder: Recorder, settings: dict[str, Any], with_affinity: set[str]
) -> None:
    with connect(local, key_route_affinity=RMW, **settings) as cluster:
        create(cluster)
        key = {"pk": {"S": "k"}}
        client = cluster.client
        client.put_item(TableName=TABLE, Item={**key, "n": {"N": "1"}, "m": {"M": {}}})
        requests: Mapping[str, Callable[[], object]] = {
            "put": lambda: client.put_item(TableName=TABLE, Item={**key, "n": {"N": "1"}, "m": {"M": {}}}),
            "set": lambda: update(cluster, "SET n = :n"),
            "remove": lambda: update(cluster, "REMOVE x"),
            "new": lambda: update(cluster, "SET n = :n", ReturnValues="UPDATED_NEW"),
            "nested": lambda: update(cluster, "SET #m.a = :n", ExpressionAttributeNames={"#m": "m"}),
            "add": lambda: update(cluster, "ADD n :n"),
            "read": lambda: update(cluster, "SET n = if_not_exists(n, :n)"),
            "condition": lambda: update(cluster, "SET n = :n", ConditionExpression="attribute_exists(pk)"),
            "old": lambda: client.put_item(TableName=TABLE, Item=key, ReturnValues="ALL_OLD"),
            "delete": lambda: client.delete_item(TableName=TABLE, Key=key),
        }
        measured = {name for name, request in requests.items() if route(recorder, request) == AFFINITY}
        assert measured == with_affinity
        for name, request in requests.items():
            if name not in with_affinity:
                assert route(recorder, request) == spread("not_read_modify_write")


# ---- the names of keys -----------------------------------------------------------------------------------------------


def test_the_key_of_a_table_without_a_model_is_asked_for(local: LocalCluster, recorder: Recorder) -> None:
    with connect(local, partition_keys={}) as cluster:
        create(cluster, "raw")
        # The first write goes out at once, and says what it lacks.
        assert route(recorder, lambda: update(cluster, "ADD n :n", table="raw")) == spread("no_partition_key_name")
        (event,) = recorder.of("affinity_fallback")
        routed = next(event for event in recorder.of("request_routed") if event["operation"] == "UpdateItem")
        assert event == {
            "sender": cluster,
            "cluster_name": "default",
            "operation": "UpdateItem",
            "table_name": "raw",
            "reason": "no_partition_key_name",
            "request_id": routed["request_id"],
            "own": False,
            "event": event["event"],
        }
        until(lambda: cluster.core.tables.get("raw").partition_key == "pk")
        for _ in range(5):
            assert route(recorder, lambda: update(cluster, "ADD n :n", table="raw")) == AFFINITY
            assert recorder.of("request_routed")[-1]["node"] == next(plan(cluster, "k")).address
        assert asked(local, "DescribeTable") == 1


def test_a_short_storm_of_503s_costs_a_table_without_a_model_seconds_only(local: LocalCluster) -> None:
    with connect(local, partition_keys={}, key_route_affinity=RMW) as cluster:
        create(cluster, "raw")
        storm = [node.fail_with("ServiceUnavailable", status=503, operation="DescribeTable") for node in local.nodes]
        for _ in range(2):
            # As long as one question is asked, rests and is asked again: the second time it rests for longer.
            before = sum(fault.hits for fault in storm)
            until(lambda: write_raw(cluster) and sum(fault.hits for fault in storm) > before)  # noqa: B023
            until(lambda: not cluster.core.questions.lookups.busy)
        for node in local.nodes:
            node.clear_faults()
        started = time.monotonic()
        until(lambda: write_raw(cluster) and cluster.core.tables.get("raw").partition_key == "pk")
        assert time.monotonic() - started < 10.0  # two seconds, and what a busy machine adds
        assert [state.value for state in (node.state for node in cluster.nodes())] == ["active"] * 3
        assert sum(counts.failures for counts in cluster.core.counts.values()) == 0


def write_raw(cluster: Cluster) -> bool:
    update(cluster, "ADD n :n", table="raw")
    return True


def test_a_table_that_does_not_exist_is_asked_for_once(local: LocalCluster, recorder: Recorder) -> None:
    with connect(local, partition_keys={}, key_route_affinity=RMW) as cluster:
        for _ in range(2):
            for _ in range(10):
                with pytest.raises(ClientError, match="ResourceNotFoundException"):
                    update(cluster, "ADD n :n", table="nowhere")
            until(lambda: asked(local, "DescribeTable") == 1 and not cluster.core.questions.lookups.busy)
        assert {event["reason"] for event in recorder.of("affinity_fallback")} == {"no_partition_key_name"}


# ---- coordinators ----------------------------------------------------------------------------------------------------

KEYS = [f"customer-{number}" for number in range(500)]

WRITER = """
import json, sys, time
from pynamodb_alternator import Cluster, ClusterConfig
from pynamodb_alternator.settings.values import Discovery, Health

settings = json.loads(sys.argv[1])
quick = {"discovery": Discovery(interval=0.05), "health": Health(probe_interval=0.05, probe_timeout=0.5)}
with Cluster(ClusterConfig(**settings, **quick)) as cluster:
    for line in sys.stdin:
        command = json.loads(line)
        if "active" in command:
            while not all(node.state.value == "active" for node in cluster.nodes()):
                time.sleep(0.01)
        for key in command.get("write", ()):
            cluster.client.put_item(
                TableName="things", Item={"pk": {"S": key}}, ConditionExpression="attribute_not_exists(nowhere)"
            )
        print("done", flush=True)
"""


class OtherProcess:
    """A second writer, which shares nothing with this process but the cluster."""

    def __init__(self, local: LocalCluster) -> None:
        settings = {
            "seeds": [local.nodes[-1].host],
            "port": local.port,
            "partition_keys": {TABLE: "pk"},
        }
        self._process = subprocess.Popen(
            [sys.executable, "-c", WRITER, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, **command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def end(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "done\n"

    def __enter__(self) -> OtherProcess:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
            try:
                assert process.wait(10) == 0
            except BaseException:
                process.kill()
                raise


def coordinators(nodes: Iterable[LocalNode]) -> dict[str, set[str]]:
    """For each key, the nodes that received writes of it."""
    by_key: dict[str, set[str]] = {}
    for node in nodes:
        for request in node.requests:
            if request.operation == "PutItem":
                by_key.setdefault(request.partition_key["S"], set()).add(node.address)
    return by_key


def test_each_key_has_one_coordinator_for_all_processes() -> None:
    with LocalCluster(nodes=5) as local, connect(local) as cluster, OtherProcess(local) as other:
        create(cluster)
        assert len(cluster.topology.affinity_ring) == 5

        def write() -> dict[str, str]:
            """Both processes write all keys at the same time. To the one coordinator of each key."""
            for node in local.nodes:
                node.forget()
            other.begin(write=KEYS)
            for key in reversed(KEYS):
                conditional_put(cluster, key)
            other.end()
            by_key = coordinators(local.nodes)
            assert {len(nodes) for nodes in by_key.values()} == {1}
            writes = Counter(request.partition_key["S"] for node in local.nodes for request in node.requests
                             if request.operation == "PutItem")  # fmt: skip
            assert writes == Counter(dict.fromkeys(KEYS, 2))
            return {key: nodes.pop() for key, nodes in by_key.items()}

        plans = {key: [node.address for node in plan(cluster, key)] for key in KEYS}
        first = {key: order[0] for key, order in plans.items()}
        assert write() == first
        shares = Counter(first.values())
        assert len(shares) == 5
        assert min(shares.values()) > 60

        # As the peers list it still, the ring stays as it is, and only the keys of the dead node move.
        dead = local.nodes[2]
        dead.kill(still_listed=True)
        moved = {key: order[1] if order[0] == dead.address else order[0] for key, order in plans.items()}
        assert write() == moved
        assert len({moved[key] for key in KEYS if first[key] == dead.address}) == 4

        dead.revive()
        other.begin(active=True)
        until(lambda: all(node.state.value == "active" for node in cluster.nodes()), cluster)
        other.end()
        assert write() == first
        assert not local.failures


# ---- datacenters and racks -------------------------------------------------------------------------------------------


@pytest.fixture
def wide() -> Iterator[LocalCluster]:
    """Nodes 0 to 3 in dc1 (two in rack r1, two in r2), 4 to 6 in dc2."""
    with LocalCluster(racks={"dc1": {"r1": 2, "r2": 2}, "dc2": {"r1": 3}}) as cluster:
        yield cluster
    assert not cluster.failures


def addresses(nodes: Iterable[Any]) -> set[str]:
    return {node.address for node in nodes}


def used(recorder: Recorder, policy: str, request: Callable[[str], object], count: int = 40) -> set[str]:
    recorder.clear()
    for number in range(count):
        request(f"k{number}")
    done = [event for event in recorder.of("request_completed") if event["operation"] in WRITES]
    assert {event["policy"] for event in done} == {policy}
    return {event["node"] for event in done}


def test_affinity_uses_the_datacenter_of_the_rack(wide: LocalCluster, recorder: Recorder) -> None:
    with connect(wide, routing_scope=RackScope("dc1", "r1"), key_route_affinity=RMW) as cluster:
        create(cluster)
        assert used(recorder, "affinity", lambda key: conditional_put(cluster, key)) == addresses(wide.nodes[:4])
        assert used(recorder, "round_robin", lambda key: put(cluster, key)) == addresses(wide.nodes[:2])
        recorder.clear()
        for _ in range(10):
            cluster.client.list_tables()
            cluster.client.get_item(TableName=TABLE, Key={"pk": {"S": "k"}})
        assert {event["node"] for event in recorder.of("request_routed")} == addresses(wide.nodes[:2])


def test_the_ring_of_a_scope_is_its_rack_and_then_its_fallback(wide: LocalCluster, recorder: Recorder) -> None:
    scope = RackScope("dc1", "r1", fallback=DatacenterScope("dc2"))
    with connect(wide, routing_scope=scope, key_route_affinity=RMW, affinity_ring="scope") as cluster:
        create(cluster)
        route = cluster.route(TABLE, "k0")
        assert (route.ring_scope, set(route.ring)) == ("rack r1 of datacenter dc1", addresses(wide.nodes[:2]))
        assert used(recorder, "affinity", lambda key: conditional_put(cluster, key)) == addresses(wide.nodes[:2])
        for node in wide.nodes[:2]:
            node.kill(still_listed=True)
        until(lambda: where_is(cluster) == "dc2", cluster)
        # The rack's datacenter still has two nodes: they belong to the ring of the datacenter alone.
        assert used(recorder, "affinity", lambda key: conditional_put(cluster, key)) == addresses(wide.nodes[4:])
        assert cluster.route(TABLE, "k0").ring_scope == "datacenter dc2"


@pytest.mark.parametrize(("ring_nodes", "begin", "end"), [("scope", 2, 4), ("datacenter", 0, 4)])
def test_the_ring_of_a_request_with_a_scope_of_its_own(
    wide: LocalCluster, recorder: Recorder, ring_nodes: str, begin: int, end: int
) -> None:
    configured = RackScope("dc1", "r1", fallback=RackScope("dc1", "r2"))
    with connect(wide, routing_scope=configured, key_route_affinity=RMW, affinity_ring=ring_nodes) as cluster:
        create(cluster)
        with cluster.options(routing_scope=RackScope("dc1", "r2")):
            nodes = used(recorder, "affinity", lambda key: conditional_put(cluster, key))
    assert nodes == addresses(wide.nodes[begin:end])


def test_clients_in_two_racks_agree(wide: LocalCluster) -> None:
    """Also while one rack is gone, and its clients have fallen back to the whole cluster."""
    scopes = [RackScope("dc1", rack, fallback=ClusterScope()) for rack in ("r1", "r2")]
    with connect(wide, routing_scope=scopes[0]) as first, connect(wide, routing_scope=scopes[1]) as second:
        create(first)

        def where() -> dict[str, set[str]]:
            for node in wide.nodes:
                node.forget()
            for number in range(40):
                for cluster in (first, second):
                    conditional_put(cluster, f"k{number}")
            return coordinators(wide.nodes)

        before = where()
        assert set().union(*before.values()) == addresses(wide.nodes[:4])
        assert {len(nodes) for nodes in before.values()} == {1}

        for node in wide.nodes[:2]:
            node.kill(still_listed=True)
        where()
        until(lambda: first.topology.scope == ClusterScope(), first.nodes)
        after = where()
        # Lightweight transactions stay in dc1, and those of keys that were there already do not move.
        assert set().union(*after.values()) == addresses(wide.nodes[2:4])
        assert {len(nodes) for nodes in after.values()} == {1}
        dead = addresses(wide.nodes[:2])
        assert all(after[key] == nodes for key, nodes in before.items() if not nodes & dead)

        for node in wide.nodes[2:4]:
            node.kill(still_listed=True)
        until(lambda: where_all_fell_back(first, second), (first, second))
        last = where()
        assert set().union(*last.values()) == addresses(wide.nodes[4:])
        assert {len(nodes) for nodes in last.values()} == {1}


def where_all_fell_back(*clusters: Cluster) -> bool:
    for cluster in clusters:
        cluster.client.list_tables()
    return all(cluster.topology.scope == ClusterScope() for cluster in clusters)


@pytest.mark.parametrize("isolated", [True, False], ids=["conditional", "batch"])
def test_transactions_stay_in_one_datacenter_while_it_serves(
    wide: LocalCluster, recorder: Recorder, isolated: bool
) -> None:
    with connect(wide, key_route_affinity=ANY_WRITE) as cluster:
        create(cluster)
        dc1, dc2 = addresses(wide.nodes[:4]), addresses(wide.nodes[4:])

        def write(key: str) -> None:
            conditional_put(cluster, key) if isolated else batch(cluster, key)

        policy = "affinity" if isolated else "batch_affinity"

        def home() -> dict[str, bool]:
            """For each key, whether it is written in dc1; each write goes to one node."""
            at_home = {}
            for number in range(40):
                (node,) = used(recorder, policy, lambda _, key=f"k{number}": write(key), count=1)  # type: ignore[misc]
                assert node in dc1 | dc2
                at_home[f"k{number}"] = node in dc1
            return at_home

        at_first = home()
        assert set(at_first.values()) == {True, False}
        for node in wide.nodes[:3]:
            node.kill(still_listed=True)
            assert home() == at_first
        # The last node of dc1 bears all keys of dc1, until it is gone as well.
        wide.nodes[3].kill(still_listed=True)
        assert set(home().values()) == {False}
        wide.nodes[1].revive()
        until(lambda: is_active(cluster, wide.nodes[1]), cluster)
        assert home() == at_first


def test_a_scope_that_fell_back_takes_affinity_along(wide: LocalCluster, recorder: Recorder) -> None:
    scope = DatacenterScope("dc1", fallback=DatacenterScope("dc2"))
    with connect(wide, routing_scope=scope, key_route_affinity=RMW) as cluster:
        create(cluster)
        assert used(recorder, "affinity", lambda key: conditional_put(cluster, key)) == addresses(wide.nodes[:4])
        for node in wide.nodes[:4]:
            node.kill()
        until(lambda: where_is(cluster) == "dc2", cluster)
        assert used(recorder, "affinity", lambda key: conditional_put(cluster, key)) == addresses(wide.nodes[4:])


def where_is(cluster: Cluster) -> str | None:
    cluster.client.list_tables()
    return cluster.topology.scope.datacenter


# ---- batches ---------------------------------------------------------------------------------------------------------


def test_batches_go_where_most_of_their_keys_are(local: LocalCluster, recorder: Recorder) -> None:
    with connect(local, key_route_affinity=ANY_WRITE) as cluster:
        create(cluster)
        by_node: dict[str, list[str]] = {}
        for key in KEYS[:60]:
            by_node.setdefault(next(plan(cluster, key)).address, []).append(key)
        assert len(by_node) == 3
        for node, keys in by_node.items():
            others = [keys[0] for address, keys in by_node.items() if address != node]
            recorder.clear()
            batch(cluster, *others, *keys[:2])
            (event,) = recorder.of("request_routed")
            assert (event["node"], event["policy"], event["reason"]) == (node, "batch_affinity", None)
            delete = [{"DeleteRequest": {"Key": {"pk": {"S": key}}}} for key in [*others, *keys[:2]]]
            recorder.clear()
            cluster.client.batch_write_item(RequestItems={TABLE: delete})
            assert recorder.of("request_routed")[0]["node"] == node
        # With equal votes the first node in ring order.
        recorder.clear()
        batch(cluster, *(keys[0] for keys in by_node.values()))
        assert recorder.of("request_routed")[0]["node"] == cluster.topology.affinity_ring[0].address


# ---- what is said, and bad input -------------------------------------------------------------------------------------


def test_every_request_says_how_it_was_routed(local: LocalCluster, recorder: Recorder) -> None:
    with connect(local) as cluster:
        client, key = cluster.client, {"pk": {"S": "k"}}
        create(cluster)
        client.get_item(TableName=TABLE, Key=key)
        client.scan(TableName=TABLE)
        client.describe_table(TableName=TABLE)
        conditional_put(cluster)
        batch(cluster, "k")
        events = recorder.of("request_routed")
        said = {(event["operation"], event["policy"], event["reason"]) for event in events}
        assert said >= {
            ("CreateTable", "round_robin", "not_an_item_write"),
            ("GetItem", "round_robin", "read"),
            ("Scan", "round_robin", "read"),
            ("DescribeTable", "round_robin", "not_an_item_write"),
            ("PutItem", "affinity", None),
            ("BatchWriteItem", "round_robin", "not_read_modify_write"),
        }
        assert all((event["reason"] is None) == (event["policy"].endswith("affinity")) for event in events)
        policies = {event["request_id"]: event["policy"] for event in events}
        assert all(policies[event["request_id"]] == event["policy"] for event in recorder.of("request_completed"))


KEY_CASES: list[tuple[Any, str | None]] = [
    (None, "no_key_value"),
    ({}, "no_key_value"),
    ([], "no_key_value"),
    ("k", "no_key_value"),
    ({"pk": None}, "no_key_value"),
    ({"pk": {}}, "no_key_value"),
    ({"pk": "k"}, "no_key_value"),
    ({"other": {"S": "k"}}, "no_key_value"),
    ({"pk": {"S": 5}}, "unsupported_key_type"),
    ({"pk": {"S": None}}, "unsupported_key_type"),
    ({"pk": {"N": 5}}, "unsupported_key_type"),
    ({"pk": {"BOOL": True}}, "unsupported_key_type"),
    ({"pk": {"SS": ["a"]}}, "unsupported_key_type"),
    ({"pk": {"S": "a", "N": "1"}}, "unsupported_key_type"),
    ({"pk": {"X": "a"}}, "unsupported_key_type"),
]


@pytest.mark.parametrize("operation", ["update_item", "delete_item", "put_item"])
def test_a_bad_key_is_for_the_server_to_refuse(local: LocalCluster, recorder: Recorder, operation: str) -> None:
    with connect(local, key_route_affinity=ANY_WRITE, retries=Retries(max_attempts=1)) as cluster:
        create(cluster)
        name = "Item" if operation == "put_item" else "Key"
        for key, reason in KEY_CASES:
            recorder.clear()
            try:
                # The engine behind the local cluster takes some of these; a server would not.
                with contextlib.suppress(ClientError):
                    getattr(cluster.client, operation)(TableName=TABLE, **{name: key})
            except ParamValidationError:
                # There is no JSON for it: it is not sent, and so not routed.
                assert recorder.of("request_routed") == []
                continue
            assert [event["reason"] for event in recorder.of("affinity_fallback")] == [reason], key
            assert {event["policy"] for event in recorder.of("request_routed")} == {"round_robin"}


BATCHES: list[Any] = [
    None,
    [],
    "x",
    {},
    {TABLE: None},
    {TABLE: {}},
    {TABLE: [None]},
    {TABLE: [{}]},
    {TABLE: [{"PutRequest": None}]},
    {TABLE: [{"PutRequest": {"Item": None}}]},
    {TABLE: [{"PutRequest": {"Item": {"pk": {"BOOL": True}}}}]},
    {TABLE: [{"DeleteRequest": {"Key": []}}]},
    {"": [{"DeleteRequest": {"Key": {"pk": {"S": "k"}}}}]},
]


def test_a_bad_batch_is_for_the_server_to_refuse(local: LocalCluster, recorder: Recorder) -> None:
    with connect(local, key_route_affinity=ANY_WRITE, retries=Retries(max_attempts=1)) as cluster:
        create(cluster)
        for requests in BATCHES:
            recorder.clear()
            with contextlib.suppress(ClientError, ParamValidationError):
                cluster.client.batch_write_item(RequestItems=requests)
            assert {event["reason"] for event in recorder.of("affinity_fallback")} <= PINNED_REASONS


UPDATES: list[dict[str, Any]] = [
    {"TableName": None},
    {"TableName": 5},
    {"TableName": ["things"]},
    {"UpdateExpression": 5},
    {"UpdateExpression": "SET n ="},
    {"UpdateExpression": "SET #n = :v"},
    {"ExpressionAttributeNames": "x", "UpdateExpression": "SET n = :n"},
    {"AttributeUpdates": "x"},
    {"AttributeUpdates": {"n": None}},
    {"ConditionExpression": 5},
    {"Expected": "x"},
    {"ReturnValues": "SOME"},
]


@pytest.mark.parametrize("rule", ["server", "driver"])
def test_bad_parameters_are_for_the_server_to_refuse(local: LocalCluster, recorder: Recorder, rule: Any) -> None:
    with connect(local, rmw_rule=rule, key_route_affinity=RMW, retries=Retries(max_attempts=1)) as cluster:
        create(cluster)
        for parameters in UPDATES:
            with pytest.raises((ClientError, ParamValidationError)):
                cluster.client.update_item(**{"TableName": TABLE, "Key": {"pk": {"S": "k"}}, **parameters})
        assert {event["reason"] for event in recorder.of("affinity_fallback")} <= PINNED_REASONS
