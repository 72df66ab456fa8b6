"""What a reader of the whole found: races and leaks between parts that are each right by themselves."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pynamodb_alternator import AlternatorConnection, Cluster, ClusterConfig, Credentials, Timeouts, configure, registry
from pynamodb_alternator.errors import ConfigurationError, MalformedAnswerError
from pynamodb_alternator.settings.options import NO_OPTIONS, RequestOptions, current
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport.lanes import Sender
from pynamodb_alternator.transport.pool import AllPools, Pools
from tests.topology.fakes import finished, in_thread
from tests.transport.servers import Server, ok, read_request

NOWHERE = "http://127.0.0.1:1"


# ---- pools -------------------------------------------------------------------------------------------------------


class _Fake:
    """Pools of an event loop that are found by the garbage collector while others are added."""

    def keep_only(self, nodes: Any) -> None: ...

    def cut(self, node: Node, reason: str = "") -> None: ...


def test_pools_of_a_forgotten_event_loop_may_be_removed_while_others_are_added() -> None:
    """The garbage collector runs where it likes, in the middle of `add` too, and it runs `remove`."""
    everything = AllPools(Pools())
    first: Any = _Fake()
    everything.add(first)

    class Collecting(_Fake):
        def __hash__(self) -> int:
            everything.remove(first)
            return 1

    class Collected(tuple):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            everything.remove(first)
            return super().__iter__()

    if isinstance(everything._all, tuple):
        everything._all = Collected(everything._all)
    thread, _ = in_thread(lambda: everything.add(Collecting()))  # type: ignore[arg-type]
    finished(thread)
    assert first not in list(everything._all)


def test_no_connection_is_kept_after_close() -> None:
    """A reading of the node list that ends after `close` must not make the pools keep connections again."""
    with Server() as server:
        pools = Pools()
        connection = pools.acquire(server.node(), 5.0)
        pools.close()
        pools.keep_only([server.node()])
        pools.release(connection)
        assert [one.open for one in pools.stats().values()] == [0]


# ---- settings of a model -----------------------------------------------------------------------------------------


class _Seeing:
    """A client that notes what would hold for its requests."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.seen: list[RequestOptions] = []

    def __getattr__(self, name: str) -> Any:
        def call(**_: Any) -> dict[str, Any]:
            self.seen.append(current(self.cluster.core.key))
            return {"Tags": [{"Key": "system:write_isolation", "Value": "always"}]}

        return call


def test_the_settings_of_a_connection_do_not_reach_another_cluster() -> None:
    """A receiver of a signal makes a request of its own, to another cluster, inside of ours."""
    with Cluster(NOWHERE) as ours, Cluster(NOWHERE) as other:
        seen: list[tuple[RequestOptions, RequestOptions]] = []

        class Nested(AlternatorConnection):
            def _make_api_call(self, operation_name: str, operation_kwargs: Any) -> dict[str, Any]:
                seen.append((current(ours.core.key), current(other.core.key)))
                return {}

        Nested(cluster=ours, extra_headers={"X-Token": "secret"}).dispatch("ListTables", {})
        (here, there) = seen[0]
        assert here.extra_headers == {"X-Token": "secret"}
        assert there is NO_OPTIONS


@pytest.mark.parametrize("new", [None, "always"])
def test_write_isolation_is_asked_with_the_settings_of_the_connection(new: str | None) -> None:
    with Cluster(NOWHERE) as cluster:
        client = cluster._client = _Seeing(cluster)
        connection = AlternatorConnection(cluster=cluster, aws_access_key_id="alice", aws_secret_access_key="salted")
        assert connection.write_isolation("t", new) == "always"
        assert client.seen
        assert {one.credentials for one in client.seen} == {Credentials("alice", "salted")}
        assert current(cluster.core.key) is NO_OPTIONS


def test_credentials_that_change_with_each_connection_are_not_kept_for_ever() -> None:
    wire = Sender(ClusterConfig(["127.0.0.1"]), Pools())
    node = Node("http", "127.0.0.1", 1)
    for number in range(5_000):
        options = RequestOptions(credentials=Credentials(f"role{number}", "secret"))
        assert wire.authentication(options, node, "DynamoDB_20120810.ListTables", b"{}")
    assert len(wire._signers_of) <= 1_000


# ---- the registry ------------------------------------------------------------------------------------------------


@pytest.fixture
def no_aliases() -> Any:
    registry.close_all()
    yield
    registry.close_all()


def _lock_is_free() -> bool:
    if not registry._lock.acquire(timeout=1.0):
        return False
    registry._lock.release()
    return True


@pytest.mark.usefixtures("no_aliases")
def test_the_environment_is_read_without_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads files, and warns of an insecure connection: whoever handles that may want a cluster himself."""
    monkeypatch.setenv("ALTERNATOR_URL", NOWHERE)
    free: list[bool] = []
    original = ClusterConfig.from_env.__func__  # type: ignore[attr-defined]

    def from_env(cls: Any, *args: Any, **changes: Any) -> ClusterConfig:
        free.append(_lock_is_free())
        config: ClusterConfig = original(cls, *args, **changes)
        return config

    monkeypatch.setattr(ClusterConfig, "from_env", classmethod(from_env))
    first = registry.get_cluster()
    assert first is registry.get_cluster()
    assert free == [True]


@pytest.mark.usefixtures("no_aliases")
def test_a_source_is_asked_for_its_hint_without_the_lock() -> None:
    class Source:
        free = False

        def find(self, alias: str) -> Cluster | None:
            return None

        def hint(self, alias: str) -> str:
            self.free = _lock_is_free()
            return "Look here."

        def close(self) -> None: ...

    source = Source()
    registry.add_source(source)
    try:
        with pytest.raises(ConfigurationError, match=r"Look here\."):
            registry.get_cluster("nobody-configured-this")
    finally:
        registry.remove_source(source)
    assert source.free


@pytest.mark.usefixtures("no_aliases")
def test_an_alias_makes_one_cluster_for_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALTERNATOR_URL", NOWHERE)
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda _: registry.get_cluster(), range(16)))
    assert len(set(map(id, found))) == 1
    configure(default=NOWHERE + "/?name=other")
    assert found[0].closed


# ---- errors ------------------------------------------------------------------------------------------------------


def test_an_answer_that_cannot_be_read_names_its_node() -> None:
    def garbage(sock: Any) -> None:
        while (request := read_request(sock)) is not None:
            sock.sendall(ok(b'["127.0.0.1"]') if request[0].startswith(b"GET") else ok(b"no JSON"))

    with Server(garbage) as server:
        node = server.node()
        with Cluster(ClusterConfig([node.address], port=node.port, timeouts=Timeouts(2.0, 2.0))) as cluster:
            with pytest.raises(MalformedAnswerError) as raised:
                cluster.client.put_item(TableName="t", Item={"id": {"S": "a"}}, ConditionExpression="x = y")
            assert raised.value.node == node.address


def test_a_forgotten_cluster_is_collected_with_its_settings() -> None:
    gone = weakref.ref(Cluster(NOWHERE))
    gc.collect()
    assert gone() is None
