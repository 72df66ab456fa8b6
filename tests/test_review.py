"""What a reader of the whole found: races and leaks between parts that are each right by themselves."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pynamodb_alternator import AlternatorConnection, Cluster, ClusterConfig, Credentials, Timeouts, configure, registry
from pynamodb_alternator.errors import ConfigurationError, MalformedAnswerError
from pynamodb_alternator.settings.options import NO_OPTIONS, RequestOptions, current
from pynamodb_alternator.topology.health import State
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport.lanes import Sender
from pynamodb_alternator.transport.pool import Pools
from tests.topology.fakes import PATIENCE
from tests.topology.test_monitor import N1, Make, make, until  # noqa: F401
from tests.transport.servers import Server, ok, read_request

NOWHERE = "http://127.0.0.1:1"


# ---- the monitor -------------------------------------------------------------------------------------------------


def test_a_suspicion_is_not_lost_while_a_probe_is_being_told(make: Make) -> None:  # noqa: F811
    """A receiver of node_up takes its time, and the node fails meanwhile: it must be probed again."""
    bench = make(N1)
    bench.use()
    until(lambda: bench.state(N1) is State.ACTIVE)
    until(bench.monitor._probes._idle)
    suspect, bench.listener.suspect = bench.listener.suspect, lambda node: None  # type: ignore[method-assign]
    bench.down(N1)
    bench.listener.suspect = suspect  # type: ignore[method-assign]
    bench.network.dead.clear()
    node, told, go_on = bench.node(N1), threading.Event(), threading.Event()

    def on_emit(name: str, payload: dict[str, Any]) -> None:
        if name == "node-up":
            told.set()
            assert go_on.wait(PATIENCE)

    bench.listener.on_emit = on_emit
    for _ in range(bench.config.health.down_recovery_threshold):
        bench.membership.probe(node, 1.0)
    assert bench.state(N1) is State.QUARANTINED
    bench.monitor._probes.begin([node])
    assert told.wait(PATIENCE)
    assert bench.state(N1) is State.ACTIVE
    bench.network.dead.add(N1)
    bench.membership.failed(node, bench.membership.generation(node), OSError("traffic failed"))
    go_on.set()
    until(lambda: bench.state(N1) is State.DOWN, "the probe of the suspicion")


def test_waking_up_in_between_does_not_fail_the_request(make: Make) -> None:  # noqa: F811
    bench = make(N1)
    bench.ready()
    monitor = bench.monitor

    class Waking(type(monitor)):  # type: ignore[misc]
        """The thread wakes up between two looks at this attribute."""

        reads = iter([bench.clock() + 60.0])

        @property
        def _sleeping_until(self) -> float | None:
            return next(self.reads, None)

        @_sleeping_until.setter
        def _sleeping_until(self, value: float | None) -> None:
            pass

    monitor.__class__ = Waking
    monitor.used(bench.clock())


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


# ---- without a monitor -------------------------------------------------------------------------------------------


def test_another_threads_reading_is_not_waited_for_beyond_the_deadline() -> None:
    config = ClusterConfig(["127.0.0.1"], monitor=False)
    with Cluster(config) as cluster, ThreadPoolExecutor(1) as threads:
        asked, go_on = threading.Event(), threading.Event()

        def fetch(node: Node, path: str, timeout: float) -> tuple[int, bytes]:
            asked.set()
            assert go_on.wait(PATIENCE)
            return 200, b'["127.0.0.1"]'

        cluster.core.membership._discovery._fetch = fetch
        slow = threads.submit(cluster.refresh)
        try:
            assert asked.wait(PATIENCE)
            began = time.monotonic()
            cluster.core.membership.last_read = None
            cluster.core.prepare(began, 0.2)
            assert time.monotonic() - began < 2.0
        finally:
            go_on.set()
        assert slow.result(PATIENCE)


def test_two_threads_may_look_at_the_suspects() -> None:
    config = ClusterConfig(["127.0.0.1"], monitor=False)
    with Cluster(config) as cluster:
        probed: list[str] = []
        membership = cluster.core.membership
        membership._fetch = lambda node, path, timeout: (probed.append(path), (200, b""))[1]  # type: ignore[func-returns-value]
        membership._discovery._fetch = lambda node, path, timeout: (200, b'["127.0.0.1"]')
        cluster.refresh()

        class Emptied(dict[Node, None]):
            """Another thread takes the last node between two looks."""

            def __bool__(self) -> bool:
                found = len(self) > 0
                self.clear()
                return found

        probed.clear()
        cluster.core.inline._suspects = Emptied({Node("http", "127.0.0.1", 8000): None})
        membership.last_read = time.monotonic()
        cluster.core.prepare(time.monotonic(), None)
        assert len(probed) <= 1


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
