"""The cluster of ``--alternator-url``: the same tests on a cluster outside of this process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ...settings.config import ClusterConfig

__all__ = ["OPTION", "RemoteCluster", "from_option", "url_of"]

OPTION = "--alternator-url"
_MADE_TABLES = pytest.StashKey[set[str]]()


class RemoteCluster:
    """A cluster that the tests have not started. It has `url`, `scheme`, `port`, `config` and `made_tables`.

    A test that uses an attribute which only a `LocalCluster` has, such as `nodes` with their faults, is skipped.
    """

    def __init__(self, url: str, config: ClusterConfig, made_tables: set[str]) -> None:
        self.url = url
        self.config = config
        """Its configuration: the URL, with credentials and certificates of the environment."""
        self.made_tables = made_tables
        """The tables that fixtures of this run have made and not dropped yet. All fixtures share them, because a test
        may need a table that the session has made."""
        self.scheme: str = config.scheme
        self.port: int = config.node_port

    def __repr__(self) -> str:
        return f"<RemoteCluster {', '.join(self.config.seeds)}>"

    def __getattr__(self, name: str) -> Any:
        from ...local import LocalCluster

        if not name.startswith("_") and (hasattr(LocalCluster, name) or name == "failures"):
            pytest.skip(f"{name} is of the embedded cluster only, and the tests run with {OPTION}.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def url_of(config: pytest.Config) -> str | None:
    """The value of ``--alternator-url``."""
    url: str | None = config.getoption(OPTION, None)
    return url or None


def from_option(request: pytest.FixtureRequest, marked: frozenset[str] = frozenset()) -> RemoteCluster | None:
    """The cluster of ``--alternator-url``; None without it. `marked`: the options of the cluster that a test needs.

    Raises `pytest.UsageError` for a wrong URL, for a cluster that does not answer, and if several workers of
    pytest-xdist would share the cluster. Skips a test that needs another cluster.
    """
    from ...errors import ConfigurationError
    from ...settings.config import ClusterConfig

    url = url_of(request.config)
    if url is None:
        return None
    if marked:
        pytest.skip(f"It needs a cluster with {', '.join(sorted(marked))} of its own, and the tests run with {OPTION}.")
    # This is read from the configuration of this run. The environment may belong to an outer run.
    if int(getattr(request.config, "workerinput", {}).get("workercount", 1)) > 1:
        raise pytest.UsageError(
            f"{OPTION} names one cluster, and workers of pytest-xdist would empty each other's tables there. "
            "Run the tests in one process: -n 0."
        )
    try:
        config = ClusterConfig.from_env({**os.environ, "ALTERNATOR_URL": url})
    except ConfigurationError as wrong:
        raise pytest.UsageError(f"{OPTION}: {wrong}") from None
    _reached(config)
    return RemoteCluster(url, config, request.config.stash.setdefault(_MADE_TABLES, set()))


def _reached(config: ClusterConfig) -> None:
    from ...cluster import Cluster
    from ...errors import AlternatorError

    with Cluster(config.replace(monitor=False)) as cluster:
        try:
            answers = cluster.refresh()
        except AlternatorError:
            answers = False
    if not answers:
        raise pytest.UsageError(
            f"{OPTION}: no node answers at {', '.join(config.seeds)} (port {config.node_port}). Start the cluster, or "
            "leave the option out: the tests run on an embedded cluster then."
        )
