"""The pytest plugin: an embedded cluster, tables and signals as fixtures.

pytest finds it by its entry point. Nothing happens before a test asks for a fixture: none is automatic, and the
embedded cluster and PynamoDB's models are imported by then and not earlier.

- `alternator_cluster`: a `LocalCluster` for one test, with its fault controls, under the alias ``default``.
- `alternator_cluster_session`: one for all tests of this process (of this worker, under pytest-xdist).
- `alternator_models`: creates the tables of models, and drops them after the test.
- `alternator_signals`: what the signals say during the test.
- `alternator_cluster_options`: override it to say how the clusters are made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pynamodb.models import Model

    from .local import LocalCluster
    from .signals import Event

__all__ = [
    "AlternatorModels",
    "AlternatorSignals",
    "SignalEvent",
    "alternator_cluster",
    "alternator_cluster_options",
    "alternator_cluster_session",
    "alternator_models",
    "alternator_signals",
]

_MARKER = "alternator"
_ACTIVE = pytest.StashKey[list["LocalCluster"]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(aliases=['default'], **options): how the fixture alternator_cluster makes the cluster of this "
        "test: what LocalCluster takes, such as nodes=5, and the aliases that shall mean it.",
    )


@pytest.fixture(scope="session")
def alternator_cluster_options() -> Mapping[str, Any]:
    """How clusters are made: what `LocalCluster` takes. Override it in your conftest.py."""
    return {}


@pytest.fixture
def alternator_cluster(
    request: pytest.FixtureRequest, alternator_cluster_options: Mapping[str, Any]
) -> Iterator[LocalCluster]:
    """A `LocalCluster` of three nodes, for this test alone, which the alias ``default`` means.

    The test may kill, hang and revive its nodes. Afterwards it is closed, and the alias means what it meant before.
    Other settings: ``@pytest.mark.alternator(nodes=5, aliases=["default", "analytics"])``.
    """
    options, aliases = _settings(request, alternator_cluster_options)
    with _local_cluster(options) as cluster, _meant(request, cluster, aliases):
        yield cluster


@pytest.fixture(scope="session")
def _alternator_shared(
    request: pytest.FixtureRequest, alternator_cluster_options: Mapping[str, Any]
) -> Iterator[LocalCluster]:
    with _local_cluster(dict(alternator_cluster_options)) as cluster:
        yield cluster


@pytest.fixture
def alternator_cluster_session(
    request: pytest.FixtureRequest, _alternator_shared: LocalCluster
) -> Iterator[LocalCluster]:
    """A `LocalCluster` that all tests of this process share, which the alias ``default`` means during this test.

    It is quicker than a cluster for each test. What a test does to its nodes is undone afterwards; its tables stay,
    unless `alternator_models` has made them.
    """
    from .contrib._local import heal

    cluster = _alternator_shared
    before = [(node, node.datacenter, node.rack) for node in cluster.nodes]
    with _meant(request, cluster, ["default"]):
        try:
            yield cluster
        finally:
            heal(cluster)
            for node in cluster.nodes:
                if node not in [known for known, _, _ in before]:
                    cluster.remove_node(node)
            for node, datacenter, rack in before:
                if node not in cluster.nodes:
                    cluster.add_node(datacenter, rack)


@pytest.fixture
def alternator_models(request: pytest.FixtureRequest) -> Iterator[AlternatorModels]:
    """Call it with models: ``alternator_models(User, Order)``. Their tables exist then, and are dropped after the test.

    The cluster is the test's `alternator_cluster` or `alternator_cluster_session`; where the test names neither, it
    gets the first.
    """
    shared = "alternator_cluster_session" in request.fixturenames
    cluster = request.getfixturevalue("alternator_cluster_session" if shared else "alternator_cluster")
    models = AlternatorModels(cluster)
    try:
        yield models
    finally:
        models.drop()


@pytest.fixture
def alternator_signals() -> Iterator[AlternatorSignals]:
    """What the signals say during the test: ``alternator_signals.of("node_down")``, and ``wait_for("node_up")``."""
    captured = AlternatorSignals()
    with captured.capturing():
        yield captured


# ---- clusters ----------------------------------------------------------------------------------------------------


def _settings(request: pytest.FixtureRequest, settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    if not isinstance(settings, Mapping):
        raise pytest.UsageError(
            "The fixture alternator_cluster_options must return a dict of what LocalCluster takes, such as "
            f"{{'nodes': 5}} (got {type(settings).__name__})."
        )
    options: dict[str, Any] = dict(settings)
    for marker in reversed(list(request.node.iter_markers(_MARKER))):
        if marker.args:
            raise pytest.UsageError(
                f"{request.node.nodeid}: @pytest.mark.alternator takes names, as in @pytest.mark.alternator(nodes=5) "
                f"(got {marker.args!r})."
            )
        options.update(marker.kwargs)
    aliases = options.pop("aliases", ["default"])
    aliases = [aliases] if isinstance(aliases, str) else list(aliases)
    return options, aliases


@contextmanager
def _local_cluster(options: Mapping[str, Any]) -> Iterator[LocalCluster]:
    import inspect

    from .local import LocalCluster

    known = set(inspect.signature(LocalCluster).parameters)
    unknown = sorted(set(options) - known)
    if unknown:
        raise pytest.UsageError(
            f"LocalCluster takes no {unknown[0]!r}, which @pytest.mark.alternator or the fixture "
            f"alternator_cluster_options names. It takes {', '.join(sorted(known))}."
        )
    with LocalCluster(**options) as cluster:
        yield cluster


@contextmanager
def _meant(request: pytest.FixtureRequest, cluster: LocalCluster, aliases: list[str]) -> Iterator[None]:
    """Let the aliases mean `cluster`. Only one of the two fixtures can do that for one test."""
    from . import registry
    from .contrib._local import settings_for

    active = request.node.stash.setdefault(_ACTIVE, [])
    if active:
        raise pytest.UsageError(
            f"{request.node.nodeid}: alternator_cluster and alternator_cluster_session are both used, and the alias "
            "'default' can mean only one cluster. Name one of them."
        )
    active.append(cluster)
    try:
        with registry.replaced(dict.fromkeys(aliases, settings_for(cluster))):
            yield
    finally:
        active.remove(cluster)


# ---- tables ------------------------------------------------------------------------------------------------------


class AlternatorModels:
    """Makes tables for models. See the fixture `alternator_models`."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        self._made: list[str] = []

    def __call__(self, *models: type[Model]) -> tuple[type[Model], ...]:
        """Create the tables of these models, if they do not exist. Gives the models back."""
        from pynamodb.models import Model

        from .contrib._tables import create_table, is_on_cluster

        if not models:
            raise pytest.UsageError("alternator_models() was called without a model. Write alternator_models(User).")
        for model in models:
            if not (isinstance(model, type) and issubclass(model, Model)):
                raise pytest.UsageError(
                    f"alternator_models takes PynamoDB models, as in alternator_models(User) (got {model!r})."
                )
            if not is_on_cluster(model):
                raise pytest.UsageError(
                    f"alternator_models: {model.__qualname__} is not on a cluster. Derive it from "
                    "pynamodb_alternator.Model, or call pynamodb_alternator.install(default=AlternatorConnection)."
                )
        for model in models:
            if create_table(model):
                self._made.append(model.Meta.table_name)
        return models

    def drop(self) -> None:
        """Drop the tables that were created here, even if the test has killed every node."""
        from .contrib._local import drop_tables

        if self._made:
            drop_tables(self._cluster, self._made)
            self._made.clear()


# ---- signals -----------------------------------------------------------------------------------------------------


class SignalEvent(dict[str, Any]):
    """What one signal said: a dict of the fields of its event, such as ``said["node"]``.

    `name`: of the signal, as in ``node_down``. `event`: the event itself, a dataclass of `signals`, such as `NodeDown`.
    `sender`: the cluster.
    """

    def __init__(self, name: str, sender: Any, event: Event, payload: Mapping[str, Any]) -> None:
        super().__init__(payload)
        self.name = name
        self.sender = sender
        self.event = event

    def __repr__(self) -> str:
        return f"<{self.name} {super().__repr__()}>"


class AlternatorSignals:
    """What the signals say. See the fixture `alternator_signals`."""

    def __init__(self) -> None:
        self._events: list[SignalEvent] = []
        self._changed = threading.Condition()

    @contextmanager
    def capturing(self) -> Iterator[AlternatorSignals]:
        from . import signals
        from .contrib._watch import Subscription

        subscription = Subscription(
            (signal, self._receiver(name.replace("-", "_"))) for name, signal in signals.namespace.items()
        )
        try:
            yield self
        finally:
            subscription.close()

    def _receiver(self, name: str) -> Callable[..., None]:
        def receive(sender: Any, *, event: Event, **payload: Any) -> None:
            with self._changed:
                self._events.append(SignalEvent(name, sender, event, payload))
                self._changed.notify_all()

        return receive

    @property
    def events(self) -> list[SignalEvent]:
        """All of them, in order."""
        with self._changed:
            return list(self._events)

    def of(self, name: str, **values: Any) -> list[SignalEvent]:
        """Those of one signal, as in ``of("node_down", node="127.0.0.2:8000")``."""
        name = _known(name)
        with self._changed:
            return self._find(name, values)

    def wait_for(self, name: str, timeout: float = 10.0, **values: Any) -> SignalEvent:
        """The first one of this signal with these values; waits for it. Fails the test if none comes."""
        name = _known(name)
        with self._changed:
            if self._changed.wait_for(lambda: bool(self._find(name, values)), timeout):
                return self._find(name, values)[0]
            seen = "".join(f"\n  {event!r}" for event in self._events[-20:]) or " none"
        asked = f" with {values}" if values else ""
        pytest.fail(f"No signal {name}{asked} within {timeout:g} s. The last ones were:{seen}")

    def clear(self) -> None:
        """Forget what was said so far."""
        with self._changed:
            self._events.clear()

    def _find(self, name: str, values: Mapping[str, Any]) -> list[SignalEvent]:
        return [
            event
            for event in self._events
            if event.name == name and all(key in event and event[key] == value for key, value in values.items())
        ]


def _known(name: str) -> str:
    from . import signals

    known = sorted(signal.replace("-", "_") for signal in signals.namespace)
    if str(name).replace("-", "_") not in known:
        raise pytest.UsageError(f"There is no signal {name!r}. The signals are {', '.join(known)}.")
    return name.replace("-", "_")
