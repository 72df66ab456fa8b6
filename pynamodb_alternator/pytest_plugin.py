"""The pytest plugin: an embedded cluster, tables, clients and signals as fixtures.

pytest finds it by its entry point. Nothing happens before a test uses a fixture: no fixture is automatic, and the
embedded cluster and PynamoDB's models are not imported before.

- `alternator_cluster`: a `LocalCluster` for one test, with its fault controls, under the alias ``default``.
- `alternator_cluster_module`, `alternator_cluster_session`: one for all tests of a module, or of this process (with
  pytest-xdist: of this worker). Changes of its nodes are undone after each test.
- `alternator_models`: creates the tables of models, and drops them after the test.
- `alternator_models_module`, `alternator_models_session`: create the tables once, and empty them after each test.
- `alternator_client`, `alternator_async_client`: clients of boto3 and aiobotocore on the test's cluster.
- `alternator_signals`: records the signals during the test.
- `alternator_cluster_options`: override it to set the options of the clusters.

While one of the clusters is active, no cluster of this process connects to anything else, except to the hosts that the
ini file names in ``alternator_allow_hosts``. ``--alternator-url`` runs the same tests on another cluster.
`contrib.testing` does the work.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from .contrib.testing.asynchronous import alternator_async_client, anyio_client, name_for
from .contrib.testing.clusters import MARKER, active_cluster, prefer_named, restore_shared, running
from .contrib.testing.remote import OPTION
from .contrib.testing.safety import ALLOW_HOSTS
from .contrib.testing.signals import AlternatorSignals, SignalEvent
from .contrib.testing.tables import AlternatorModels, SharedModels

if TYPE_CHECKING:
    from .local import LocalCluster

__all__ = [
    "AlternatorModels",
    "AlternatorSignals",
    "SharedModels",
    "SignalEvent",
    "alternator_async_client",
    "alternator_client",
    "alternator_cluster",
    "alternator_cluster_module",
    "alternator_cluster_options",
    "alternator_cluster_session",
    "alternator_models",
    "alternator_models_module",
    "alternator_models_session",
    "alternator_signals",
    "anyio_client",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("alternator", "pynamodb_alternator")
    group.addoption(
        OPTION,
        metavar="URL",
        help="Run the tests of the alternator fixtures on this cluster, which must be one for tests, and not on an "
        "embedded one. Their tables are created there, emptied and dropped.",
    )
    parser.addini(
        ALLOW_HOSTS,
        type="args",
        default=[],
        help="Addresses besides the embedded cluster's that tests with the alternator fixtures may connect to, such as "
        "10.0.0.1, 10.0.0.1:8000, *.test.example or 10.0.0.0/8.",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARKER}(aliases=['default'], **options): how the fixture alternator_cluster makes the cluster of this "
        "test: what LocalCluster takes, such as nodes=5, and the aliases that shall mean it.",
    )
    manager = config.pluginmanager
    if manager.has_plugin("asyncio") or manager.has_plugin("pytest_asyncio"):
        from .contrib.testing import pytest_asyncio

        manager.register(pytest_asyncio, name_for(""))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    prefer_named(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    try:
        return (yield)
    finally:
        # The fixtures of the test have ended, and after the last test of a module the fixtures of the module too.
        restore_shared(item.config)


# ---- clusters ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def alternator_cluster_options() -> Mapping[str, Any]:
    """The options of clusters: the arguments of `LocalCluster`, and `aliases`. Override it in your conftest.py."""
    return {}


@pytest.fixture
def alternator_cluster(
    request: pytest.FixtureRequest, alternator_cluster_options: Mapping[str, Any]
) -> Iterator[LocalCluster]:
    """A `LocalCluster` of three nodes for this test alone. The alias ``default`` means it.

    The test may kill, hang and revive its nodes. After the test it is closed, and the alias has its former meaning.
    Other settings: ``@pytest.mark.alternator(nodes=5, aliases=["default", "analytics"])``.
    """
    with running(request, alternator_cluster_options) as active:
        yield active.fixture_value


@pytest.fixture(scope="module")
def alternator_cluster_module(
    request: pytest.FixtureRequest, alternator_cluster_options: Mapping[str, Any]
) -> Iterator[LocalCluster]:
    """A `LocalCluster` that the tests of a module share. The alias ``default`` means it from the first of these tests
    on.

    Changes of its nodes are undone after each test. Its tables stay, unless a fixture has made them. Other settings:
    ``pytestmark = pytest.mark.alternator(nodes=5)`` in the module.
    """
    with running(request, alternator_cluster_options) as active:
        yield active.fixture_value


@pytest.fixture(scope="session")
def alternator_cluster_session(
    request: pytest.FixtureRequest, alternator_cluster_options: Mapping[str, Any]
) -> Iterator[LocalCluster]:
    """A `LocalCluster` that all tests of this process share. The alias ``default`` means it from the first test on that
    uses this fixture.

    Changes of its nodes are undone after each test. Its tables stay, unless a fixture has made them. A test that also
    uses `alternator_cluster` has that cluster instead.
    """
    with running(request, alternator_cluster_options) as active:
        yield active.fixture_value


# ---- tables ------------------------------------------------------------------------------------------------------


@pytest.fixture
def alternator_models(request: pytest.FixtureRequest) -> Iterator[AlternatorModels]:
    """Call it with models: ``alternator_models(User, Order)`` creates their tables, which are dropped after the test.

    The cluster is the test's `alternator_cluster`, else that of its module or session. If there is none, the test gets
    an `alternator_cluster`.
    """
    models = AlternatorModels(active_cluster(request))
    try:
        yield models
    finally:
        models.drop()


@pytest.fixture(scope="module")
def alternator_models_module(request: pytest.FixtureRequest) -> Iterator[SharedModels]:
    """Like `alternator_models_session`, for the tests of a module, on the cluster of the module or of the session."""
    yield from _shared_models(request, "alternator_cluster_module", "alternator_cluster_session")


@pytest.fixture(scope="session")
def alternator_models_session(request: pytest.FixtureRequest) -> Iterator[SharedModels]:
    """Call it with models: their tables are made once on `alternator_cluster_session`, and emptied after each test.

    Call it in a test, or in a fixture of your conftest.py. A second call for the same model does nothing.
    """
    yield from _shared_models(request, "alternator_cluster_session")


def _shared_models(request: pytest.FixtureRequest, *fixtures: str) -> Iterator[SharedModels]:
    active = active_cluster(request, fixtures=fixtures)
    models = SharedModels(active)
    active.after_each_test.append(models.empty)
    try:
        yield models
    finally:
        active.after_each_test.remove(models.empty)
        models.drop()


# ---- clients and signals -----------------------------------------------------------------------------------------


@pytest.fixture
def alternator_client(request: pytest.FixtureRequest) -> Any:
    """A boto3 DynamoDB client on the cluster of the test; see `boto3.client`. Needs the extra ``boto3``."""
    from .boto3 import client

    return client(active_cluster(request).client)


@pytest.fixture
def alternator_signals() -> Iterator[AlternatorSignals]:
    """Records the signals during the test: ``alternator_signals.of("node_down")``, and ``wait_for("node_up")``."""
    captured = AlternatorSignals()
    with captured.capturing():
        yield captured
