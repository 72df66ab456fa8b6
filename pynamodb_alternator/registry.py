"""Named clusters, and finding the cluster that a model means.

Nothing is resolved at import: a model may be defined before its cluster is configured.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from .cluster import Cluster
from .errors import ConfigurationError
from .settings.config import ClusterConfig

__all__ = [
    "Aliases",
    "ClusterSource",
    "add_source",
    "close_all",
    "configure",
    "find_cluster",
    "get_cluster",
    "is_replacement",
    "may_change",
    "remove_source",
    "replaced",
]

ClusterLike = ClusterConfig | str | Mapping[str, Any]


class ClusterSource(Protocol):
    """Somebody who knows which cluster an alias means here and now, before `configure` is asked: a web framework with
    several applications in one process, or a test."""

    def find(self, alias: str) -> Cluster | None:
        """The cluster, or None if this source has nothing to say about the alias. Asked at each request, so it must be
        quick. May raise `ConfigurationError`."""

    def hint(self, alias: str) -> str:
        """What to write so that the alias means something, for the error that says it does not; or nothing."""

    def close(self) -> None:
        """Close the clusters that this source has made. It makes new ones if it is asked again."""


_lock = threading.Lock()
_sources: tuple[ClusterSource, ...] = ()
"""The one that is asked first comes first."""
_replacements: tuple[ClusterSource, ...] = ()
"""What `replaced` has put in place, the innermost first. These are asked before all sources, whenever a source was
added: an application that is made inside a test adds its own there."""
_replacing: weakref.WeakSet[Cluster] = weakref.WeakSet()
"""Clusters that were made for a replacement, its end included."""
_configs: dict[str, ClusterConfig] = {}
_named: dict[str, Cluster] = {}
_anonymous: weakref.WeakValueDictionary[ClusterConfig | str, Cluster] = weakref.WeakValueDictionary()
"""Clusters that no alias names: by the configuration in a model's Meta, or by the seed URL in its Meta.host.
What uses one keeps it alive: connections, and clients that were made of it. The last of them takes it along."""


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def configure(clusters: Mapping[str, ClusterLike] | None = None, /, **aliases: ClusterLike) -> None:
    """Say which cluster each alias means: ``configure(default="http://10.0.0.1:8000", analytics=...)``.

    A value is a `ClusterConfig`, a URL, or a mapping of settings. Nothing is connected yet. An alias that is
    configured again closes the cluster that it meant before, unless the configuration is the same. Requests of models
    that are under way finish there; those that were not sent yet are made on the new cluster.

    Raises `ConfigurationError`, and then changes nothing.
    """
    named = {**(clusters or {}), **aliases}
    if not named:
        raise ConfigurationError(
            "configure() was called without a cluster. Write configure(default='http://host:8000')."
        )
    configs = _configs_of("configure", named)
    stale: list[Cluster] = []
    with _lock:
        for alias, config in configs.items():
            if _configs.get(alias) == config:
                continue
            _configs[alias] = config
            if alias in _named:
                stale.append(_named.pop(alias))
    for cluster in stale:
        cluster.close()


def _configs_of(who: str, clusters: Mapping[str, ClusterLike]) -> dict[str, ClusterConfig]:
    configs: dict[str, ClusterConfig] = {}
    for alias, value in clusters.items():
        try:
            config = ClusterConfig.of(value)
        except ConfigurationError as wrong:
            raise ConfigurationError(f"{who}({alias}=...): {wrong}") from None
        # In signals and logs a cluster goes by its alias, unless it was given a name of its own.
        configs[alias] = config.replace(name=alias) if config.name == "default" else config
    return configs


def get_cluster(alias: str = "default") -> Cluster:
    """The cluster that `alias` means; it is made at the first call.

    Inside a Flask application's context, or in a Django project, that is what its settings say. Without a configured
    ``default``, that alias means the cluster that ``ALTERNATOR_URL`` names.
    Raises `ConfigurationError` if nothing says which cluster is meant.
    """
    for source in _asked():
        cluster = source.find(alias)
        if cluster is not None:
            return cluster
    of_environment: ClusterConfig | None = None
    if alias == "default" and alias not in _configs and os.environ.get("ALTERNATOR_URL"):
        # Outside the lock: it reads files, and what it warns of may reach a handler that wants a cluster as well.
        of_environment = ClusterConfig.from_env()
    with _lock:
        cluster = _named.get(alias)
        if cluster is not None and not cluster.closed:
            return cluster
        config = _configs.get(alias)
        if config is None and of_environment is not None:
            config = _configs[alias] = of_environment
        if config is not None:
            cluster = _named[alias] = Cluster(config)
            return cluster
    raise ConfigurationError(_no_such_alias(alias))


def _asked() -> tuple[ClusterSource, ...]:
    """All who may know what an alias means before `configure` does, in the order in which they are asked."""
    return (*_replacements, *_sources) if _replacements else _sources


def _no_such_alias(alias: str) -> str:
    known = ", ".join(repr(name) for name in sorted(_configs)) or "none"
    return (
        f"No cluster is configured under the alias {alias!r} (configured: {known}). "
        f"Call pynamodb_alternator.configure({alias}='http://10.0.0.1:8000') when your application starts"
        + ("; or set ALTERNATOR_URL." if alias == "default" else ".")
        + _hints(alias)
    )


def _hints(alias: str) -> str:
    return "".join(f" {hint}" for hint in (source.hint(alias) for source in _asked()) if hint)


def find_cluster(meant: object, host: str | None, who: str) -> Cluster:
    """The cluster for a connection: what `Meta.cluster` says, else `Meta.host`, else the default.

    `meant` is an alias, a `Cluster`, a `ClusterConfig`, or None. `who` is named in errors.
    """
    if isinstance(meant, Cluster):
        return meant
    if isinstance(meant, ClusterConfig):
        return _shared(meant, meant)
    if isinstance(meant, str):
        if "://" in meant:
            return _shared(meant, ClusterConfig.from_url(meant))
        return _named_cluster(meant, lambda wrong: ConfigurationError(f"{who}: {wrong}"))
    if meant is not None:
        raise ConfigurationError(
            f"{who}: cluster must be an alias, a Cluster or a ClusterConfig (got {type(meant).__name__})."
        )
    if host:
        try:
            config = ClusterConfig.from_url(host)
        except ConfigurationError as wrong:
            raise ConfigurationError(f"{who}: host is taken as a seed URL, and is none: {wrong}") from None
        return _shared(host, config)
    return _named_cluster(
        "default",
        lambda wrong: ConfigurationError(
            f"{who}: nothing says which cluster to use. Give one of these: Meta.cluster (an alias, a Cluster or a "
            "ClusterConfig); Meta.host (a seed URL such as 'http://10.0.0.1:8000'); "
            "pynamodb_alternator.configure(default=...) when your application starts; or the environment variable "
            f"ALTERNATOR_URL.{_hints('default')}"
        ),
    )


def _named_cluster(alias: str, explained: Callable[[ConfigurationError], ConfigurationError]) -> Cluster:
    try:
        return get_cluster(alias)
    except ConfigurationError as wrong:
        if type(wrong) is not ConfigurationError:
            raise  # a framework's own error, which names its setting
        raise explained(wrong) from None


def may_change(meant: object, host: str | None) -> bool:
    """Whether what `find_cluster` answers may be another cluster the next time, with this one still open.

    So it is for an alias inside an application with several contexts: who asks for it must ask again.
    """
    if not _sources and not _replacements:
        return False
    return (meant is None and not host) or (isinstance(meant, str) and "://" not in meant)


class Aliases:
    """Clusters by alias, each made when it is first asked for: what a `ClusterSource` keeps."""

    def __init__(self, configs: Mapping[str, ClusterConfig]) -> None:
        self.configs = dict(configs)
        self._made: dict[str, Cluster] = {}

    def get(self, alias: str) -> Cluster | None:
        cluster = self._made.get(alias)
        if cluster is not None and not cluster.closed:
            return cluster
        config = self.configs.get(alias)
        if config is None:
            return None
        with _lock:
            cluster = self._made.get(alias)
            if cluster is None or cluster.closed:
                cluster = self._made[alias] = Cluster(config)
            return cluster

    def close(self) -> None:
        """Close those that were made. They are made anew when they are asked for."""
        with _lock:
            clusters = list(self._made.values())
            self._made.clear()
        for cluster in clusters:
            cluster.close()


def add_source(source: ClusterSource) -> None:
    """Ask `source` first from now on, before other sources and before what `configure` was told.

    What `replaced` says is asked before it all the same.
    """
    global _sources
    with _lock:
        if source not in _sources:
            _sources = (source, *_sources)


def remove_source(source: ClusterSource) -> None:
    global _sources
    with _lock:
        _sources = tuple(other for other in _sources if other is not source)


class _Replacement:
    """Other clusters for some aliases, whatever a framework's settings say of them."""

    def __init__(self, configs: Mapping[str, ClusterConfig]) -> None:
        self._aliases = Aliases(configs)

    @property
    def names(self) -> tuple[str, ...]:
        """The aliases that mean something else."""
        return tuple(self._aliases.configs)

    def find(self, alias: str) -> Cluster | None:
        cluster = self._aliases.get(alias)
        if cluster is not None and cluster not in _replacing:
            with _lock:
                _replacing.add(cluster)
        return cluster

    def hint(self, alias: str) -> str:
        return ""

    def close(self) -> None:
        self._aliases.close()


@contextmanager
def replaced(clusters: Mapping[str, ClusterLike] | None = None, /, **aliases: ClusterLike) -> Iterator[None]:
    """Let aliases mean other clusters inside, in all threads, for tests.

    This is asked before frameworks' settings and `configure`, even if an application is made inside. Blocks nest, and
    the innermost one that names an alias wins. At the end these clusters are closed, and the aliases mean again what
    they meant before. Raises `ConfigurationError`.
    """
    global _replacements
    source = _Replacement(_configs_of("replaced", {**(clusters or {}), **aliases}))
    with _lock:
        # Connections keep a cluster for as long as it is open.
        stale = [_named.pop(alias) for alias in source.names if alias in _named]
        _replacements = (source, *_replacements)
    for cluster in stale:
        cluster.close()
    try:
        yield
    finally:
        with _lock:
            _replacements = tuple(other for other in _replacements if other is not source)
        source.close()


def is_replacement(cluster: Cluster) -> bool:
    """Whether a test has put this cluster in another one's place with `replaced`, be it over or not.

    A request that was on its way to it must not end in the cluster that the alias means outside of the test.
    """
    return cluster in _replacing


def _shared(key: ClusterConfig | str, config: ClusterConfig) -> Cluster:
    """The cluster of all who mean the same configuration, for as long as one of them has it."""
    with _lock:
        cluster = _anonymous.get(key)
        if cluster is None or cluster.closed:
            cluster = _anonymous[key] = Cluster(config)
        return cluster


def close_all() -> None:
    """Close every cluster that was made through an alias, a configuration or a host, and forget the aliases."""
    with _lock:
        clusters = [*_named.values(), *_anonymous.values()]
        _named.clear()
        _anonymous.clear()
        _configs.clear()
        sources = _asked()
    for cluster in clusters:
        cluster.close()
    for source in sources:
        source.close()
