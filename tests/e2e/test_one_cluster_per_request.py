"""A request looks its cluster up once: all of it goes there, whatever the alias means meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from pynamodb.attributes import UnicodeAttribute
from pynamodb.exceptions import GetError
from pynamodb.signals import post_dynamodb_send, pre_dynamodb_send

import pynamodb_alternator
from pynamodb_alternator import AlternatorConnection, Cluster, Model, configure, get_cluster, registry, signals
from pynamodb_alternator.errors import ClusterClosedError, ConfigurationError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.orm._pynamodb import connection_of


class User(Model):
    class Meta:
        table_name = "users"
        extra_headers = {"X-Tenant": "a"}  # noqa: RUF012 (as PynamoDB has it)
        aws_access_key_id = "alice"
        aws_secret_access_key = "salted"

    name = UnicodeAttribute(hash_key=True)


class Changing:
    """A source that lets ``default`` mean what it is told, in this thread, and closes nothing."""

    def __init__(self) -> None:
        self._means = threading.local()

    def mean(self, cluster: Cluster) -> None:
        self._means.cluster = cluster

    def find(self, alias: str) -> Cluster | None:
        cluster: Cluster | None = getattr(self._means, "cluster", None)
        return cluster

    def hint(self, alias: str) -> str:
        return ""

    def close(self) -> None:
        return None


@dataclass(frozen=True)
class Places:
    """Two clusters that have the table. Alice stands in the first, bob in the second."""

    first: LocalCluster
    second: LocalCluster

    def seen(self, operation: str | None = None) -> list[tuple[str, str, str | None, bool]]:
        """What came from the models: where, the operation, the tenant, and whether it was signed."""
        return [
            (name, request.operation, request.headers.get("x-tenant"), "authorization" in request.headers)
            for name, place in (("first", self.first), ("second", self.second))
            for request in place.nodes[0].requests
            if (operation is None and "x-tenant" in request.headers) or request.operation == operation
        ]


@pytest.fixture
def places() -> Iterator[Places]:
    with LocalCluster(nodes=1) as first, LocalCluster(nodes=1) as second:
        for place, name in ((second, "bob"), (first, "alice")):
            configure(default=place.url)
            User.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
            User(name).save()
        yield Places(first, second)
        pynamodb_alternator.close_all()


@pytest.fixture
def changing(places: Places) -> Iterator[tuple[Changing, Cluster, Cluster]]:
    """The alias means the first cluster now. Both stay open."""
    with Cluster(places.first.url) as first, Cluster(places.second.url) as second:
        source = Changing()
        source.mean(first)
        registry.add_source(source)
        yield source, first, second
        registry.remove_source(source)


@contextlib.contextmanager
def meanwhile(do: Callable[[], object], signal: Any = pre_dynamodb_send) -> Iterator[None]:
    """Do something once, in the midst of the next request of this thread: the library's own are made in others."""
    done = []
    here = threading.get_ident()

    def receive(*_: object, **__: object) -> None:
        if not done and threading.get_ident() == here:
            done.append(True)
            do()

    with signal.connected_to(receive):
        yield
    assert done


def forget(places: Places) -> None:
    for place in (places.first, places.second):
        place.nodes[0].forget()


def test_a_request_stays_on_the_cluster_that_it_began_with(
    places: Places, changing: tuple[Changing, Cluster, Cluster]
) -> None:
    source, first, second = changing
    connection = connection_of(User).connection
    inside: list[Any] = []

    def change() -> None:
        source.mean(second)
        inside.append((connection.cluster, connection.client))

    forget(places)
    with meanwhile(change):
        assert User.get("alice").name == "alice"
    assert places.seen("GetItem") == [("first", "GetItem", "a", True)]
    assert inside == [(first, first.client)]
    assert connection.cluster is second
    assert User.get("bob").name == "bob"


def test_a_request_in_the_midst_of_another_looks_up_its_own_cluster(
    places: Places, changing: tuple[Changing, Cluster, Cluster]
) -> None:
    source, first, second = changing
    connection = connection_of(User).connection
    inside: list[Any] = []

    def change() -> None:
        source.mean(second)
        inside.append(User.get("bob").name)
        inside.append(connection.cluster)
        other = AlternatorConnection()
        inside.append(other.list_tables()["TableNames"])
        inside.append(other.cluster)
        inside.append(connection.cluster)

    forget(places)
    with meanwhile(change):
        assert User.get("alice").name == "alice"
    assert inside == ["bob", first, ["users"], second, first]
    assert sorted(places.seen("GetItem")) == [("first", "GetItem", "a", True), ("second", "GetItem", "a", True)]
    assert places.seen("ListTables") == [("second", "ListTables", None, False)]


def test_threads_have_their_own_requests(places: Places, changing: tuple[Changing, Cluster, Cluster]) -> None:
    source, first, second = changing
    both = threading.Barrier(2, timeout=30)
    connection = connection_of(User).connection
    inside: dict[str, list[Cluster]] = {"alice": [], "bob": []}
    mine = threading.local()

    def receive(*_: object, **__: object) -> None:
        both.wait()  # both requests are under way now, on the same connection
        inside[mine.name].append(connection.cluster)
        both.wait()

    def work(name: str, cluster: Cluster) -> list[str]:
        source.mean(cluster)
        mine.name = name
        return [User.get(name).name for _ in range(20)]

    with pre_dynamodb_send.connected_to(receive), ThreadPoolExecutor(2) as threads:
        running = [threads.submit(work, name, cluster) for name, cluster in (("alice", first), ("bob", second))]
        assert [thread.result(60) for thread in running] == [["alice"] * 20, ["bob"] * 20]
    assert inside == {"alice": [first] * 20, "bob": [second] * 20}


def test_a_task_that_a_receiver_starts_is_not_in_the_request_for_ever(
    places: Places, changing: tuple[Changing, Cluster, Cluster]
) -> None:
    """It has a copy of the request's context."""
    source, _, second = changing
    connection = connection_of(User).connection

    async def work() -> tuple[str, Cluster]:
        return User.get("bob").name, connection.cluster

    async def main() -> None:
        tasks: list[asyncio.Task[Any]] = []
        with meanwhile(lambda: tasks.append(asyncio.get_running_loop().create_task(work()))):
            assert User.get("alice").name == "alice"
        source.mean(second)
        assert await tasks[0] == ("bob", second)

    asyncio.run(main())


def test_a_copied_context_keeps_no_cluster_alive(places: Places) -> None:
    async def main() -> None:
        tasks: list[asyncio.Task[Any]] = []
        never = asyncio.Event()
        used = Cluster(places.first.url)
        gone = weakref.ref(used)
        with meanwhile(lambda: tasks.append(asyncio.get_running_loop().create_task(never.wait()))):  # type: ignore[arg-type]
            AlternatorConnection(cluster=used).list_tables()
        used.close()
        del used
        gc.collect()
        assert gone() is None
        tasks[0].cancel()

    asyncio.run(main())


def test_a_request_goes_to_the_new_cluster_of_its_alias(places: Places) -> None:
    """With all that the model says: headers and credentials."""
    told: list[str] = []

    def tell(*_: object, operation_name: str, **__: object) -> None:
        told.append(operation_name)

    old = get_cluster()
    forget(places)
    with (
        post_dynamodb_send.connected_to(tell),
        pre_dynamodb_send.connected_to(tell),
        meanwhile(lambda: configure(default=places.second.url)),
    ):
        assert User.get("bob").name == "bob"
    assert old.closed
    assert places.seen() == [("second", "GetItem", "a", True)]
    assert told == ["GetItem", "GetItem"]


def test_a_closed_cluster_is_made_again_for_the_request(places: Places) -> None:
    with meanwhile(lambda: get_cluster().close()):
        assert User.get("alice").name == "alice"


def closed_error(raised: pytest.ExceptionInfo[GetError]) -> ClusterClosedError:
    assert isinstance(raised.value.cause, ClusterClosedError)
    return raised.value.cause


def test_a_cluster_that_the_user_gave_and_closed_is_an_error(places: Places) -> None:
    own = Cluster(places.first.url)
    connection = AlternatorConnection(cluster=own)
    with meanwhile(own.close), pytest.raises(ClusterClosedError):
        connection.dispatch("ListTables", {})


def test_an_alias_that_means_nothing_any_more_is_an_error(places: Places) -> None:
    with meanwhile(pynamodb_alternator.close_all), pytest.raises(GetError) as raised:
        User.get("alice")
    assert isinstance(closed_error(raised).__cause__, ConfigurationError)


def test_a_request_looks_for_another_cluster_once() -> None:
    asked: list[Cluster] = []

    class Closing(Changing):
        def find(self, alias: str) -> Cluster | None:
            cluster = Cluster("http://127.0.0.1:1")
            cluster.close()
            asked.append(cluster)
            return cluster

    source = Closing()
    registry.add_source(source)
    try:
        with pytest.raises(ClusterClosedError):
            AlternatorConnection().dispatch("ListTables", {})
    finally:
        registry.remove_source(source)
    assert len(asked) == 2


def test_a_request_of_a_test_never_ends_in_the_configured_cluster(places: Places) -> None:
    """The test is over, but not a thread that it has started."""
    configure(default=places.second.url)
    forget(places)
    with contextlib.ExitStack() as stack:
        stack.enter_context(registry.replaced(default=places.first.url))
        assert User.get("alice").name == "alice"
        with meanwhile(stack.close), pytest.raises(GetError) as raised:
            User.get("bob")
    closed_error(raised)
    assert places.seen("GetItem") == [("first", "GetItem", "a", True)]
    assert User.get("bob").name == "bob"


@pytest.mark.parametrize("closes", [False, True])
def test_the_write_isolation_is_of_one_cluster(
    places: Places, changing: tuple[Changing, Cluster, Cluster], closes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes several requests, the alias changes after the first of them, and what is learnt is learnt there."""
    source, first, second = changing
    learnt: list[tuple[Cluster, str]] = []
    learn = Cluster.learn_write_isolation

    def record(self: Cluster, table_name: str, isolation: str) -> None:
        learnt.append((self, isolation))
        learn(self, table_name, isolation)

    monkeypatch.setattr(Cluster, "learn_write_isolation", record)

    def change() -> None:
        source.mean(second)
        if closes:
            first.close()

    forget(places)
    with meanwhile(change, signals.request_completed):
        assert User.alternator_write_isolation("always") == "always"
    operations = [operation for _, operation, _, _ in places.seen()]
    if closes:
        assert places.seen()[0] == ("first", "TagResource", "a", True)
        assert places.seen()[1:] == [("second", "TagResource", "a", True), ("second", "ListTagsOfResource", "a", True)]
        assert learnt == [(second, "always")]
    else:
        assert {name for name, *_ in places.seen()} == {"first"}
        assert operations == ["TagResource", "ListTagsOfResource"]
        assert learnt == [(first, "always")]


@pytest.mark.parametrize("closes", [False, True])
def test_a_created_table_is_known_to_its_cluster(
    places: Places, changing: tuple[Changing, Cluster, Cluster], closes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, first, second = changing
    learnt: list[tuple[Cluster, str, str]] = []
    monkeypatch.setattr(
        Cluster, "learn_write_isolation", lambda self, table, isolation: learnt.append((self, table, isolation))
    )

    def change() -> None:
        source.mean(second)
        if closes:
            first.close()

    connection = AlternatorConnection(write_isolation="always")
    key = [{"attribute_name": "key", "attribute_type": "S"}]
    forget(places)
    with meanwhile(change):
        connection.create_table(
            "things",
            attribute_definitions=key,
            key_schema=[{"AttributeName": "key", "KeyType": "HASH"}],
            billing_mode="PAY_PER_REQUEST",
        )
    where, cluster = ("second", second) if closes else ("first", first)
    assert places.seen("CreateTable") == [(where, "CreateTable", None, False)]
    assert learnt == [(cluster, "things", "always")]
