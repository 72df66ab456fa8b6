"""Whether a cluster takes requests, and where it may connect."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

import pynamodb_alternator
from pynamodb_alternator import Cluster, ClusterConfig
from pynamodb_alternator.aio import AsyncCluster
from pynamodb_alternator.core.admission import Admission, only_where
from pynamodb_alternator.errors import BlockedConnectionError, ClusterClosedError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.topology.node import Node

CONFIG = ClusterConfig(["10.0.0.1", "10.0.0.2"])


class Nowhere:
    """Allows the addresses of `allowed`, as ``host:port``."""

    def __init__(self, *allowed: str) -> None:
        self.allowed = allowed

    def refusal(self, config: ClusterConfig, origin: str, host: str, port: int) -> str | None:
        return None if f"{host}:{port}" in self.allowed else f"{host}:{port} from {origin}"


@pytest.fixture
def local() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=2) as cluster:
        yield cluster


def node(host: str) -> Node:
    return Node("http", host, 8000)


def test_nothing_is_asked_without_a_rule() -> None:
    admission = Admission(CONFIG)
    assert admission.before_request is None
    admission.admit(node("10.0.0.9"))
    admission.admit_control(node("10.0.0.9"))


def test_a_rule_holds_for_what_exists_and_for_what_is_made() -> None:
    before = Admission(CONFIG)
    with only_where(Nowhere("10.0.0.1:8000")):
        made = Admission(CONFIG)
        for admission in (before, made):
            assert admission.before_request is not None
            with pytest.raises(BlockedConnectionError, match=r"10\.0\.0\.2:8000"):
                admission.before_request()
            admission.admit(node("10.0.0.1"))
            with pytest.raises(BlockedConnectionError, match=r"10\.0\.0\.9:8000"):
                admission.admit(node("10.0.0.9"))
            with pytest.raises(ClusterClosedError):
                admission.admit_control(node("10.0.0.1"))  # of a cluster with a seed that is refused
    assert before.before_request is None
    assert made.before_request is None


def test_the_innermost_rule_holds() -> None:
    admission = Admission(CONFIG)
    with only_where(Nowhere("10.0.0.9:8000")):
        with only_where(Nowhere()), pytest.raises(BlockedConnectionError):
            admission.admit(node("10.0.0.9"))
        admission.admit(node("10.0.0.9"))


def test_a_closed_cluster_stays_closed() -> None:
    admission = Admission(CONFIG)
    with only_where(Nowhere()):
        admission.close()
        assert admission.closed
    assert admission.before_request is not None
    with pytest.raises(ClusterClosedError, match="'default' is closed"):
        admission.before_request()


def test_where_a_cluster_comes_from() -> None:
    with only_where(Nowhere()):
        with pytest.raises(BlockedConnectionError, match=r"made at .*test_admission.py:\d+"):
            Cluster("http://192.0.2.1:8000").client.list_tables()
        pynamodb_alternator.configure(analytics="http://192.0.2.1:8000")
        try:
            with pytest.raises(BlockedConnectionError, match=r"from configure\(analytics=\.\.\.\)"):
                pynamodb_alternator.get_cluster("analytics").nodes()
        finally:
            pynamodb_alternator.close_all()


def test_the_line_of_a_cluster_that_was_made_before_the_rule() -> None:
    refused = pytest.raises(BlockedConnectionError, match=r"made at .*test_admission.py:\d+")
    with Cluster("http://192.0.2.1:8000") as before, only_where(Nowhere()), refused:
        before.client.list_tables()


def test_an_error_names_some_of_many_settings() -> None:
    admission = Admission(CONFIG)
    for number in range(100):
        admission.comes_from(f"setting {number}")
    admission.comes_from("setting 0")
    admission.obey(Nowhere())
    with pytest.raises(BlockedConnectionError) as caught:
        admission.admit(node("10.0.0.1"))
    names = " and from ".join(f"setting {number}" for number in range(4))
    assert str(caught.value) == f"10.0.0.1:8000 from {names} and from others"


def test_open_connections_do_not_help_a_cluster_that_is_refused(local: LocalCluster) -> None:
    with Cluster(local.url) as cluster:
        cluster.client.list_tables()
        with only_where(Nowhere()), pytest.raises(BlockedConnectionError, match=r"test_admission.py:\d+"):
            cluster.client.list_tables()
        assert {info.condition for info in cluster.nodes()} == {"active"}
        cluster.client.list_tables()


@pytest.mark.parametrize("monitor", [True, False])
def test_a_node_that_is_listed_is_refused(local: LocalCluster, monitor: bool) -> None:
    """With a monitor, which probes it, the first request may go to the seed."""
    seed, other = local.addresses
    config = ClusterConfig.of(local.url).replace(monitor=monitor)
    with only_where(Nowhere(seed)), Cluster(config) as cluster:
        with pytest.raises(BlockedConnectionError, match=other):  # noqa: PT012 (which of them it is)
            for _ in range(1000):
                cluster.client.list_tables()
        assert local.node(other).connections == 0


def test_names_are_not_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_resolver(*_: object) -> None:
        raise AssertionError("a name was asked for")

    monkeypatch.setattr("socket.getaddrinfo", no_resolver)
    with only_where(Nowhere()), pytest.raises(BlockedConnectionError, match=r"db\.example:8000"):
        Cluster("http://db.example:8000").client.list_tables()


def test_an_event_loop_is_refused_as_well(local: LocalCluster) -> None:
    async def ask(cluster: AsyncCluster) -> None:
        async with cluster:
            client = await cluster.client()
            with pytest.raises(BlockedConnectionError):
                await client.list_tables()

    async def ask_in_between() -> None:
        async with AsyncCluster(local.url) as cluster:
            client = await cluster.client()
            await client.list_tables()
            with only_where(Nowhere()), pytest.raises(BlockedConnectionError):
                await client.list_tables()
            await client.list_tables()

    with only_where(Nowhere()):
        asyncio.run(ask(AsyncCluster("http://192.0.2.1:8000")))
    asyncio.run(ask_in_between())
