"""Named clusters: what an alias means, and that nothing of the user's runs under the registry's lock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pynamodb_alternator import AlternatorConnection, Cluster, ClusterConfig, configure, registry
from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.settings.values import Credentials

NOWHERE = "http://127.0.0.1:1"
PATIENCE = 10.0

pytestmark = pytest.mark.usefixtures("no_aliases")


@pytest.fixture
def no_aliases() -> Iterator[None]:
    registry.close_all()
    yield
    for source in registry.sources():
        registry.remove_source(source)
    registry.close_all()


def others_may_ask() -> bool:
    """Whether another thread gets a cluster meanwhile, for which the registry takes its lock."""
    asked = threading.Event()

    def ask() -> None:
        registry.find_cluster(ClusterConfig.of(NOWHERE).replace(name="asked meanwhile"), None, "a test")
        asked.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    answered = asked.wait(PATIENCE)
    if answered:
        thread.join()
    return answered


class Source:
    """Knows one alias."""

    def __init__(self, alias: str = "default", url: str = NOWHERE) -> None:
        self._aliases = registry.Aliases({alias: ClusterConfig.of(url)})
        self.free: list[bool] = []

    def find(self, alias: str) -> Cluster | None:
        return self._aliases.get(alias)

    def hint(self, alias: str) -> str:
        self.free.append(others_may_ask())
        return "Look here."

    def close(self) -> None:
        self._aliases.close()


# ---- nothing of the user's runs under the lock ---------------------------------------------------------------------


def test_the_environment_is_read_without_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads files, and warns of an insecure connection: a handler of that may want a cluster as well."""
    monkeypatch.setenv("ALTERNATOR_URL", NOWHERE)
    free: list[bool] = []
    original = ClusterConfig.from_env.__func__  # type: ignore[attr-defined]

    def from_env(cls: Any, *args: Any, **changes: Any) -> ClusterConfig:
        free.append(others_may_ask())
        config: ClusterConfig = original(cls, *args, **changes)
        return config

    monkeypatch.setattr(ClusterConfig, "from_env", classmethod(from_env))
    first = registry.get_cluster()
    assert first is registry.get_cluster()
    assert free == [True]


def test_a_source_is_asked_for_its_hint_without_the_lock() -> None:
    source = Source("another")
    registry.add_source(source)
    with pytest.raises(ConfigurationError, match=r"Look here\."):
        registry.get_cluster("nobody-configured-this")
    assert source.free == [True]


class Provider:
    """Credentials of a user's, whose methods note whether the lock is free."""

    def __init__(self) -> None:
        self.free: list[bool] = []

    def __call__(self) -> Credentials:
        return Credentials("alice", "salted")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Provider):
            return NotImplemented
        self.free.append(others_may_ask())
        return self is other

    def __hash__(self) -> int:
        self.free.append(others_may_ask())
        return 1


def test_configurations_are_compared_without_the_lock() -> None:
    """A configuration holds objects of the user's, whose `__eq__` and `__hash__` are the user's too."""
    first, second = Provider(), Provider()
    config, other = (ClusterConfig(["127.0.0.1"], port=1, credentials=provider) for provider in (first, second))
    configure(default=config)
    before = registry.get_cluster()
    configure(default=other)
    assert before.closed
    assert registry.find_cluster(config, None, "a test") is not registry.find_cluster(other, None, "a test")
    assert first.free + second.free
    assert all(first.free + second.free)


def test_sources_are_told_apart_by_what_they_are() -> None:
    class Alike(Source):
        def __eq__(self, other: object) -> bool:
            raise AssertionError("a method of the user's is called under the lock")

        __hash__ = None  # type: ignore[assignment]

    first, second = Alike(), Alike()
    registry.add_source(first)
    registry.add_source(second)
    registry.add_source(second)
    assert [id(source) for source in registry.sources()] == [id(second), id(first)]
    registry.remove_source(second)
    assert [id(source) for source in registry.sources()] == [id(first)]


# ---- what an alias means -------------------------------------------------------------------------------------------


def test_an_alias_makes_one_cluster_for_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALTERNATOR_URL", NOWHERE)
    with ThreadPoolExecutor(16) as threads:
        clusters = list(threads.map(lambda _: registry.get_cluster(), range(16)))
    assert len(set(map(id, clusters))) == 1
    configure(default=NOWHERE + "/?name=other")
    assert clusters[0].closed


def test_the_same_configuration_again_changes_nothing() -> None:
    configure(default=NOWHERE, other=NOWHERE)
    cluster, other = registry.get_cluster(), registry.get_cluster("other")
    configure(default=NOWHERE, other=NOWHERE + "/?region=eu-west-1")
    assert registry.get_cluster() is cluster
    assert not cluster.closed
    assert other.closed


def test_a_wrong_configuration_changes_nothing() -> None:
    configure(default=NOWHERE)
    cluster = registry.get_cluster()
    with pytest.raises(ConfigurationError, match=r"configure\(other=\.\.\.\)"):
        configure(default=NOWHERE + "/?region=eu-west-1", other="ftp://127.0.0.1")
    assert registry.get_cluster() is cluster


def test_a_closed_cluster_is_made_again() -> None:
    configure(default=NOWHERE)
    first = registry.get_cluster()
    first.close()
    second = registry.get_cluster()
    assert second is not first
    assert not second.closed


def test_a_connection_leaves_the_cluster_of_a_removed_source() -> None:
    """A connection keeps its cluster for as long as it is open, but not that of an application which is no more."""
    configure(default=NOWHERE)
    source = Source()
    connection = AlternatorConnection()
    registry.add_source(source)
    of_source = connection.cluster
    assert of_source is source.find("default")
    registry.remove_source(source)
    try:
        assert connection.cluster is registry.get_cluster()
        assert connection.cluster is not of_source
    finally:
        source.close()


@pytest.mark.usefixtures("no_aliases")
@pytest.mark.parametrize("wrong", [NOWHERE, ClusterConfig("127.0.0.1"), 5, ["127.0.0.1"]])
def test_a_cluster_without_an_alias_is_refused_with_a_remedy(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"no alias for it\. Write configure\(default="):
        configure(wrong)


def test_blocks_are_asked_in_the_order_that_is_preferred() -> None:
    with (
        registry.replaced(default=NOWHERE, analytics=NOWHERE) as outer,
        registry.replaced(default="http://127.0.0.1:2") as inner,
        registry.replaced(reports=NOWHERE, analytics="http://127.0.0.1:3") as other,
    ):
        clusters = {source: source.find("default") for source in (outer, inner)}
        for order in ((outer, inner), (inner, outer), (outer, inner)):
            registry.prefer(*order)
            assert registry.get_cluster() is clusters[order[0]]
            assert registry.get_cluster("analytics") is other.find("analytics")
    registry.prefer(inner, outer)  # they are over
    with pytest.raises(ConfigurationError):
        registry.get_cluster()
