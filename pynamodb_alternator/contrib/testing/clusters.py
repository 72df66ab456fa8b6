"""The clusters of tests: a fixture makes a cluster, lets aliases mean it, and undoes what a test has done to it.

A test's cluster is a `LocalCluster`, or with ``--alternator-url`` a `RemoteCluster`. The active clusters are in a list,
and the aliases mean the last one. This is the innermost cluster that the test names, whatever the order in which they
were made. If the test names none, it is the innermost of all: the test's own cluster, or else that of its module, or
else that of the session.
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
"""The fixtures, from the innermost to the outermost."""
_NAMED_BY = {"alternator_models_session": "alternator_cluster_session"}
"""Other fixtures that always use the cluster of this one."""
_PROBE_TIMEOUT = 1.0
_MOST_PROBES = 10
"""How often the nodes are probed at most. A node must answer several times in a row before it is active."""


class ActiveCluster:
    """The cluster of a fixture, from its setup to its teardown.

    `fixture`: the name of the fixture. `cluster`: the cluster. `config`: the configuration of its clients.
    `after_each_test`: functions to call after each test that may have used the cluster; the fixtures that make tables
    add them. `source`: knows the meaning of `aliases` here, even if another active cluster hides them.
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
        """The value of the fixture. For type checkers a `RemoteCluster` is a `LocalCluster`, because it skips tests
        that need a real one."""
        cluster: Any = self.cluster
        local: LocalCluster = cluster
        return local

    @property
    def client(self) -> Cluster:
        """The `Cluster` that the first alias means; a new one if a test has closed it."""
        return self._clients()[0]

    def _clients(self) -> list[Cluster]:
        clients = [self.source.find(alias) for alias in self._aliases]
        return [
            client for client in clients if client is not None
        ]  # none is None, because the source knows its aliases

    @contextmanager
    def fresh_client(self) -> Iterator[Any]:
        """A context manager: a new botocore client, which does not know what a test did to the nodes. Its thread ends
        with the block."""
        from ...cluster import Cluster

        with Cluster(self.config.replace(monitor=False)) as fresh:
            yield fresh.client

    def restore(self) -> None:
        """Undo what a test has done to the nodes, to the client's state of them, and to the tables."""
        self.restore_nodes()
        for call in self.after_each_test:
            call()

    def restore_nodes(self) -> None:
        """Remove faults, and revive dead nodes. Remove nodes that were added, and add nodes for those that were
        removed."""
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
    """Update the client's state of the nodes, because the next test may use the same client."""
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
    """A context manager: inside, there is a cluster, and its aliases mean it. `options`: the value of the fixture
    `alternator_cluster_options`.

    Raises `pytest.UsageError` for options that a cluster does not have.
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
    # All nodes are seeds, because a test may kill one of them before the first request.
    hosts = [node.host for node in cluster.nodes]
    # There is no slow start, so that a node that one test has killed has its full share in the next test.
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
    """The options in the markers that need a cluster of their own."""
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
    """The cluster of a test: the innermost one that the test names, else an active one, else a new one. If the test's
    own marker says how its cluster is made, the test has its own cluster.

    `fixtures`: the possible fixtures, the innermost first.
    """
    named = next((name for name in fixtures if name in request.fixturenames or _is_marked_for(name, request)), None)
    active = _active(request.config)
    if named is None and active:
        return active[-1]
    cluster = request.getfixturevalue(named or fixtures[0])
    return next(entry for entry in reversed(active) if entry.cluster is cluster)


def prefer_named(item: pytest.Item) -> None:
    """A test begins: let the aliases mean the cluster that it names, even if other fixtures were set up later."""
    active = _active(item.config)
    if len(active) < 2:
        return
    names = {_NAMED_BY.get(name, name) for name in getattr(item, "fixturenames", ())}
    active.sort(key=lambda entry: (entry.fixture in names, -_FIXTURES.index(entry.fixture)))
    _prefer(active[-1], active)


def _prefer(active: ActiveCluster, all_active: list[ActiveCluster]) -> None:
    """Let the aliases mean this cluster, unless a test's own `registry.replaced` hides it."""
    from ... import registry

    others = [other.source for other in reversed(all_active) if other is not active]
    registry.prefer(active.source, *others)


def _is_marked_for(fixture: str, request: pytest.FixtureRequest) -> bool:
    """Whether a marker of the test or of its class belongs to this fixture. A marker of a module may belong to the
    module's fixture."""
    if fixture != _FIXTURES[0] or request.scope != "function":
        return False
    markers = request.node.iter_markers_with_node(MARKER)
    return any(isinstance(node, pytest.Function | pytest.Class) for node, _ in markers)


def restore_shared(config: pytest.Config) -> None:
    """A test is over: undo what it did to the clusters that are still active, because later tests use them."""
    all_active = _active(config)
    for active in all_active:  # the last one is the one that the aliases mean, so they mean it again at the end
        _prefer(active, all_active)  # so that a table is made again on this cluster
        active.restore()
