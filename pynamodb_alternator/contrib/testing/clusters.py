"""The clusters of tests: a fixture makes one, lets aliases mean it, and undoes what a test has done to it.

A test's cluster is a `LocalCluster`, or with ``--alternator-url`` a `RemoteCluster`. The active clusters are kept in a
list, whose last entry is the one that the aliases mean. That is the innermost cluster that the test names, in whatever
order they were made. If the test names none, it is the innermost of all: a test's own comes before that of its module,
and this before that of the session.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from .remote import RemoteCluster, from_option
from .safety import safe

if TYPE_CHECKING:
    from ...cluster import Cluster
    from ...local import LocalCluster, LocalNode
    from ...registry import ClusterSource
    from ...settings.config import ClusterConfig

__all__ = ["MARKER", "ActiveCluster", "active_cluster", "prefer_named", "restore_shared", "running"]

MARKER = "alternator"
_FIXTURES = ("alternator_cluster", "alternator_cluster_module", "alternator_cluster_session")
"""The innermost first."""
_NAMED_BY = {"alternator_models_session": "alternator_cluster_session"}
"""Other fixtures that always use the cluster of this one."""
_PROBE_TIMEOUT = 1.0
_MOST_PROBES = 10
"""Enough for one node, which must answer several times in a row before it counts as active."""


class ActiveCluster:
    """The cluster of a fixture, from its setup to its teardown.

    `fixture`: its name. `cluster`: what it gives. `config`: how a client reaches that. `after_each_test`: called when a
    test is over that may have used the cluster; filled by the fixtures that make tables. `source`: knows what `aliases`
    mean here, even where another cluster that is active hides them.
    """

    def __init__(
        self,
        fixture: str,
        cluster: LocalCluster | RemoteCluster,
        config: ClusterConfig,
        source: ClusterSource,
        aliases: list[str],
    ) -> None:
        self.fixture = fixture
        self.cluster = cluster
        self.config = config
        self.after_each_test: list[Callable[[], None]] = []
        self.source = source
        self._aliases = aliases
        self._nodes: list[tuple[LocalNode, str, str]] = []
        if not isinstance(cluster, RemoteCluster):
            self._nodes = [(node, node.datacenter, node.rack) for node in cluster.nodes]

    @property
    def fixture_value(self) -> LocalCluster:
        """What the fixture gives. To type checkers a `RemoteCluster` is a `LocalCluster`: it skips the tests for which
        it is not one."""
        cluster: Any = self.cluster
        local: LocalCluster = cluster
        return local

    @property
    def client(self) -> Cluster:
        """The `Cluster` that the first alias means; a new one if a test has closed it."""
        return self._clients()[0]

    def _clients(self) -> list[Cluster]:
        clients = [self.source.find(alias) for alias in self._aliases]
        return [client for client in clients if client is not None]  # all: the source knows its aliases

    @contextmanager
    def fresh_client(self) -> Iterator[Any]:
        """A botocore client that does not know what a test did to the nodes, and leaves no thread behind."""
        from ...cluster import Cluster

        with Cluster(self.config.replace(monitor=False)) as fresh:
            yield fresh.client

    def restore(self) -> None:
        """Undo what a test has done: to the nodes, to what the client thinks of them, and to the tables."""
        self.restore_nodes()
        for call in self.after_each_test:
            call()

    def restore_nodes(self) -> None:
        """Take back faults and deaths; remove nodes that were added, and put others in the place of removed ones."""
        cluster = self.cluster
        if isinstance(cluster, RemoteCluster):
            return
        from .._local import heal

        heal(cluster)
        for node in cluster.nodes:
            if node not in [known for known, _, _ in self._nodes]:
                cluster.remove_node(node)
        for place, (node, datacenter, rack) in enumerate(self._nodes):
            if node not in cluster.nodes:
                self._nodes[place] = (cluster.add_node(datacenter, rack), datacenter, rack)
        for client in self._clients():
            _restore_client(client, {node.address for node in cluster.nodes})


def _restore_client(client: Cluster, addresses: set[str]) -> None:
    """Have the client see the nodes as they are: the next test may hold clients that were made before."""
    membership = client.core.membership
    if membership.last_read is None:
        return
    known = membership.nodes()
    if {node.address for node in known} == addresses and all(node.condition == "active" for node in known):
        return
    client.refresh()
    for node in membership.view.topology.ring:
        for _ in range(_MOST_PROBES):
            view = membership.view
            if node not in view.down | view.quarantined or not membership.probe(node, _PROBE_TIMEOUT):
                break


_ACTIVE = pytest.StashKey[list[ActiveCluster]]()


def _active(config: pytest.Config) -> list[ActiveCluster]:
    return config.stash.setdefault(_ACTIVE, [])


@contextmanager
def running(request: pytest.FixtureRequest, options: object) -> Iterator[ActiveCluster]:
    """A context manager: inside, there is a cluster, and its aliases mean it. `options`: what
    `alternator_cluster_options` gives.

    Raises `pytest.UsageError` for options that a cluster does not take.
    """
    from ... import registry

    settings, aliases = _settings(request, options)
    with ExitStack() as undo:
        remote = from_option(request, _shape_marked(request))
        cluster = undo.enter_context(_local_cluster(settings)) if remote is None else remote
        config = _config_of(cluster)
        if remote is None:
            undo.enter_context(safe(request.config, cluster.port))
        else:
            undo.enter_context(safe(request.config, None, config.seed_addresses))
        source = undo.enter_context(registry.replaced(dict.fromkeys(aliases, config)))
        active = ActiveCluster(str(request.fixturename), cluster, config, source, aliases)
        entered = _active(request.config)
        entered.append(active)
        undo.callback(entered.remove, active)
        yield active


def _config_of(cluster: LocalCluster | RemoteCluster) -> ClusterConfig:
    from ...settings.config import ClusterConfig
    from .._local import settings_for

    if isinstance(cluster, RemoteCluster):
        return cluster.config
    # All nodes: the first thing that a test does may be to kill one of them.
    hosts = [node.host for node in cluster.nodes]
    # Without a slow start: a node that the test before has killed shall have its share in the next one.
    return ClusterConfig.of(settings_for(cluster)).replace(seeds=hosts, port=cluster.port, slow_start=0)


def _settings(request: pytest.FixtureRequest, settings: object) -> tuple[dict[str, Any], list[str]]:
    if not isinstance(settings, Mapping):
        raise pytest.UsageError(
            "The fixture alternator_cluster_options must return a dict of what LocalCluster takes, such as "
            f"{{'nodes': 5}} (got {type(settings).__name__})."
        )
    options: dict[str, Any] = dict(settings)
    for marker in reversed(list(request.node.iter_markers(MARKER))):
        if marker.args:
            raise pytest.UsageError(
                f"{request.node.nodeid}: @pytest.mark.alternator takes names, as in @pytest.mark.alternator(nodes=5) "
                f"(got {marker.args!r})."
            )
        options.update(marker.kwargs)
    aliases = options.pop("aliases", ["default"])
    aliases = [aliases] if isinstance(aliases, str) else list(aliases)
    if not aliases or not all(isinstance(alias, str) and alias for alias in aliases):
        raise pytest.UsageError(
            f"aliases must be the names of clusters, as in aliases=['default', 'analytics'] (got {aliases!r})."
        )
    return options, aliases


def _shape_marked(request: pytest.FixtureRequest) -> frozenset[str]:
    """What the markers say of the cluster itself, which no other cluster has."""
    names = {name for marker in request.node.iter_markers(MARKER) for name in marker.kwargs}
    return frozenset(names - {"aliases"})


@contextmanager
def _local_cluster(options: Mapping[str, Any]) -> Iterator[LocalCluster]:
    from ...local import LocalCluster

    known = set(inspect.signature(LocalCluster).parameters)
    unknown = sorted(set(options) - known)
    if unknown:
        raise pytest.UsageError(
            f"LocalCluster takes no {unknown[0]!r}, which @pytest.mark.alternator or the fixture "
            f"alternator_cluster_options names. It takes {', '.join(sorted(known))}."
        )
    with LocalCluster(**options) as cluster:
        yield cluster


# ---- which cluster is meant --------------------------------------------------------------------------------------


def active_cluster(request: pytest.FixtureRequest, *, fixtures: tuple[str, ...] = _FIXTURES) -> ActiveCluster:
    """The cluster of a test: the innermost that the test names, else one that is active, else one of its own. A test
    whose own marker says how its cluster is made has its own.

    `fixtures`: those that come into question, the innermost first.
    """
    named = next((name for name in fixtures if name in request.fixturenames or _is_marked_for(name, request)), None)
    active = _active(request.config)
    if named is None and active:
        return active[-1]
    cluster = request.getfixturevalue(named or fixtures[0])
    return next(entry for entry in reversed(active) if entry.cluster is cluster)


def prefer_named(item: pytest.Item) -> None:
    """A test begins: have the aliases mean the cluster that it names, whatever fixtures were set up in between."""
    active = _active(item.config)
    if len(active) < 2:
        return
    names = {_NAMED_BY.get(name, name) for name in getattr(item, "fixturenames", ())}
    active.sort(key=lambda entry: (entry.fixture in names, -_FIXTURES.index(entry.fixture)))
    _prefer(active[-1], active)


def _prefer(active: ActiveCluster, all_active: list[ActiveCluster]) -> None:
    """Have the aliases mean this one of the clusters of fixtures, unless a test's own `registry.replaced` hides it."""
    from ... import registry

    others = [other.source for other in reversed(all_active) if other is not active]
    registry.prefer(active.source, *others)


def _is_marked_for(fixture: str, request: pytest.FixtureRequest) -> bool:
    """Whether a marker of the test, or of its class, is about the fixture. A module's may mean that of the module."""
    if fixture != _FIXTURES[0] or request.scope != "function":
        return False
    markers = request.node.iter_markers_with_node(MARKER)
    return any(isinstance(node, pytest.Function | pytest.Class) for node, _ in markers)


def restore_shared(config: pytest.Config) -> None:
    """A test is over: undo what it did to the clusters that are still active, which later tests will use."""
    all_active = _active(config)
    for active in all_active:  # the one that the aliases mean comes last, and so they mean it afterwards
        _prefer(active, all_active)  # a table that is made again belongs there
        active.restore()
