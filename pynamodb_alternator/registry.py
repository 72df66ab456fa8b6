"""The clusters by their aliases, and the cluster of each model.

The cluster of an alias is searched in this order:

1. the blocks of `replaced`, which tests use, the innermost block first; 2. the sources, the one that was added last
first: a framework knows the context of its application; 3. the clusters of `configure`; 4. only for ``default``, the
cluster of the environment variable ``ALTERNATOR_URL``.

Nothing is searched at import: a model may be defined before its cluster is configured. A cluster is made when it is
first needed, and made again if it was closed.

Readers take no lock, because the tables that they read are replaced, or changed by a single step. The lock guards
changes, and the making of a cluster, which calls no code of the user. Sources are asked, configurations are compared
and clusters are closed outside of the lock.
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
from .settings.config import ClusterConfig, named_by

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
    "prefer",
    "remove_source",
    "replaced",
    "sources",
]

ClusterLike = ClusterConfig | str | Mapping[str, Any]


class ClusterSource(Protocol):
    """It knows which cluster an alias means in the present context, and comes before `configure`: for a web framework
    with several applications in one process, or for a test."""

    def find(self, alias: str) -> Cluster | None:
        """The cluster, or None if this source does not know the alias. It is called at each request, so it must be
        fast. May raise `ConfigurationError`."""

    def hint(self, alias: str) -> str:
        """A remedy for the error about an alias without a cluster: what the user can write. It may be empty."""

    def close(self) -> None:
        """Close the clusters that this source has made. If it is asked again, it makes new ones."""


class _Entry:
    """One configuration, and its open cluster. `origin`: the setting with the configuration.

    `key`: identifies a configuration without an alias. Its entry refers to its cluster weakly: connections and clients
    keep the cluster alive, and the entry is removed with the last of them.
    """

    __slots__ = ("_cluster", "_key", "_origin", "_retired", "config")

    def __init__(self, config: ClusterConfig, origin: str, key: ClusterConfig | str | None = None) -> None:
        self.config, self._origin = config, origin
        self._key = key
        self._cluster: Callable[[], Cluster | None] = _no_cluster
        self._retired = False

    def cluster(self) -> Cluster | None:
        """The cluster; a new one if there is none yet, or if it was closed. None if the entry is retired."""
        cluster = self._cluster()
        if cluster is not None and not cluster.closed:
            return cluster
        with _lock:
            cluster = self._cluster()
            if self._retired:
                return None
            if cluster is None or cluster.closed:
                cluster = Cluster(self.config)
                cluster.core.admission.comes_from(self._origin)
                self._hold(cluster)
            return cluster

    def _hold(self, cluster: Cluster) -> None:
        if self._key is None:
            self._cluster = lambda: cluster
        else:
            self._cluster = weakref.ref(cluster, self._collected)

    def _collected(self, reference: object) -> None:
        """The garbage collector calls this in any thread, so it takes no lock."""
        if self._cluster is reference and self._key is not None:
            self._retired = True
            _anonymous.pop(self._key, None)

    def close(self) -> None:
        """Close the cluster, if there is one. The next call of `cluster` makes a new one."""
        with _lock:
            cluster, self._cluster = self._cluster(), _no_cluster
        if cluster is not None:
            cluster.close()

    def retire(self) -> None:
        """Close the cluster, and make no other one, because a thread may have found this entry just before it was
        replaced."""
        self._retired = True
        self.close()


def _no_cluster() -> None:
    return None


_lock = threading.Lock()
_sources: tuple[ClusterSource, ...] = ()
"""The sources, in the order in which they are asked."""
_replacements: tuple[_Replacement, ...] = ()
"""The blocks of `replaced`, the innermost first. They are asked before all sources, also before sources that are added
later, because an application that is made inside of a test adds its own source."""
_replacing: weakref.WeakSet[Cluster] = weakref.WeakSet()
"""The clusters that were made for blocks of `replaced`, also after the end of the block."""
_named: dict[str, _Entry] = {}
"""By alias: the clusters of `configure`, and that of the environment for ``default``."""
_anonymous: dict[ClusterConfig | str, _Entry] = {}
"""The clusters without an alias: by the configuration in a model's Meta, or by the seed URL in its Meta.host."""


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def configure(clusters: Mapping[str, ClusterLike] | None = None, /, **aliases: ClusterLike) -> None:
    """Set the cluster of each alias: ``configure(default="http://10.0.0.1:8000", analytics=...)``.

    A value is a `ClusterConfig`, a URL, or a mapping of settings. Nothing is connected yet. If an alias is configured
    again, its former cluster is closed, unless the configuration is the same. Requests of models that are under way end
    on the former cluster; requests that were not sent yet are made on the new one.

    Raises `ConfigurationError`, and then changes nothing.
    """
    if not isinstance(clusters, Mapping | None) or not (clusters or aliases):
        what = "without a cluster" if clusters is None else f"with a {type(clusters).__name__} and no alias for it"
        raise ConfigurationError(f"configure() was called {what}. Write configure(default='http://host:8000').")
    settings = {**(clusters or {}), **aliases}
    configs = _configs_of("configure", settings)
    before = dict(_named)
    changed = {
        alias: _Entry(config, f"configure({alias}=...)")
        for alias, config in configs.items()
        if alias not in before or before[alias].config != config
    }
    with _lock:
        stale = [_named[alias] for alias in changed if alias in _named]
        _named.update(changed)
    for entry in stale:
        entry.retire()


def _configs_of(caller: str, settings: Mapping[str, ClusterLike]) -> dict[str, ClusterConfig]:
    configs: dict[str, ClusterConfig] = {}
    for alias, value in settings.items():
        try:
            config = ClusterConfig.of(value)
        except ConfigurationError as wrong:
            raise ConfigurationError(f"{caller}({alias}=...): {wrong}") from None
        configs[alias] = named_by(config, alias)
    return configs


def get_cluster(alias: str = "default") -> Cluster:
    """The cluster of `alias`, which is made at the first call.

    Inside a Flask application's context, or in a Django project, the settings define it. If ``default`` is not
    configured, it means the cluster of ``ALTERNATOR_URL``. Raises `ConfigurationError` if the alias is not configured.
    """
    for source in _asked():
        cluster = source.find(alias)
        if cluster is not None:
            return cluster
    entry = _named.get(alias)
    if entry is None and alias == "default" and os.environ.get("ALTERNATOR_URL"):
        # Outside of the lock: this reads files, and the handler of its warning may need a cluster too.
        entry = _named.setdefault(alias, _Entry(ClusterConfig.from_env(), "ALTERNATOR_URL"))
    if entry is None:
        raise ConfigurationError(_no_such_alias(alias))
    cluster = entry.cluster()
    return get_cluster(alias) if cluster is None else cluster


def close_all() -> None:
    """Close every cluster that was made through an alias, a configuration or a host, and forget the aliases."""
    with _lock:
        entries = [*_named.values(), *_anonymous.values()]
        _named.clear()
        _anonymous.clear()
        asked = _asked()
    for entry in entries:
        entry.retire()
    for source in asked:
        source.close()


def _asked() -> tuple[ClusterSource, ...]:
    """All sources that come before `configure`, in the order in which they are asked."""
    return (*_replacements, *_sources) if _replacements else _sources


def _no_such_alias(alias: str) -> str:
    known = ", ".join(repr(name) for name in sorted(_named))
    return (
        f"No cluster is configured under the alias {alias!r}{f' (configured: {known})' if known else ''}. "
        f"Call pynamodb_alternator.configure({alias}='http://10.0.0.1:8000') when your application starts"
        + ("; or set ALTERNATOR_URL." if alias == "default" else ".")
        + _hints(alias)
    )


def _hints(alias: str) -> str:
    return "".join(f" {hint}" for hint in (source.hint(alias) for source in _asked()) if hint)


# ---- for connections -----------------------------------------------------------------------------------------------


def find_cluster(meant_by: object, host: str | None, asker: str) -> Cluster:
    """The cluster for a connection: that of `Meta.cluster`, else of `Meta.host`, else the default one.

    `meant_by`: an alias, a URL, a `Cluster`, a `ClusterConfig`, or None. `asker`: the name of the connection in errors.
    Raises `ConfigurationError` if there is no cluster.
    """
    if isinstance(meant_by, Cluster):
        return meant_by
    if isinstance(meant_by, ClusterConfig):
        return _shared(meant_by, meant_by, f"cluster=ClusterConfig(...) of {asker}")
    if isinstance(meant_by, str):
        if "://" in meant_by:
            return _shared(meant_by, ClusterConfig.from_url(meant_by), f"the URL in cluster=... of {asker}")
        return _named_cluster(meant_by, lambda wrong: ConfigurationError(f"{asker}: {wrong}"))
    if meant_by is not None:
        raise ConfigurationError(
            f"{asker}: cluster must be an alias, a URL, a Cluster or a ClusterConfig (got {type(meant_by).__name__})."
        )
    if host:
        try:
            config = ClusterConfig.from_url(host)
        except ConfigurationError as wrong:
            raise ConfigurationError(f"{asker}: host is taken as a seed URL, and is not one: {wrong}") from None
        return _shared(host, config, f"host=... of {asker}")
    return _named_cluster(
        "default",
        lambda wrong: ConfigurationError(
            f"{asker}: nothing says which cluster to use. Give one of these: Meta.cluster (an alias, a URL, a Cluster "
            "or a ClusterConfig); Meta.host (a seed URL such as 'http://10.0.0.1:8000'); "
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


def _shared(key: ClusterConfig | str, config: ClusterConfig, origin: str) -> Cluster:
    """The cluster of this configuration, which all models with this configuration share."""
    entry = _anonymous.get(key)
    if entry is None:
        entry = _anonymous.setdefault(key, _Entry(config, origin, key))
    cluster = entry.cluster()
    if cluster is not None:
        cluster.core.admission.comes_from(origin)
    return _shared(key, config, origin) if cluster is None else cluster


def may_change(meant_by: object, host: str | None) -> bool:
    """Whether the next call of `find_cluster` may return another cluster, although this one is still open.

    It may for an alias in an application with several contexts, so the alias must be looked up at each request.
    """
    if not _sources and not _replacements:
        return False
    return (meant_by is None and not host) or (isinstance(meant_by, str) and "://" not in meant_by)


class Aliases:
    """The clusters of a `ClusterSource` by their aliases. Each is made when it is first needed. `origin`: the name of
    the setting in errors, with ``{}`` for the alias."""

    def __init__(self, configs: Mapping[str, ClusterConfig], origin: str = "the alias {}") -> None:
        self._entries = {alias: _Entry(config, origin.format(repr(alias))) for alias, config in configs.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The aliases that have a cluster here."""
        return tuple(self._entries)

    def get(self, alias: str) -> Cluster | None:
        """The cluster of this alias, or None."""
        entry = self._entries.get(alias)
        return None if entry is None else entry.cluster()

    def close(self) -> None:
        """Close the clusters that were made. They are made again when they are needed."""
        for entry in self._entries.values():
            entry.close()


def sources() -> tuple[ClusterSource, ...]:
    """The sources that were added, in the order in which they are asked."""
    return _sources


def add_source(source: ClusterSource) -> None:
    """Ask `source` first from now on, before other sources and before the clusters of `configure`.

    Only `replaced` comes before it. Adding a source again changes nothing.
    """
    global _sources
    with _lock:
        if not any(known is source for known in _sources):
            _sources = (source, *_sources)


def remove_source(source: ClusterSource) -> None:
    """Do not ask `source` any more. Its clusters are not closed."""
    global _sources
    with _lock:
        _sources = tuple(other for other in _sources if other is not source)


class _Replacement(Aliases):
    """Other clusters for some aliases, which win over the settings of a framework."""

    def find(self, alias: str) -> Cluster | None:
        cluster = self.get(alias)
        if cluster is not None and cluster not in _replacing:
            with _lock:
                _replacing.add(cluster)
        return cluster

    def hint(self, alias: str) -> str:
        return ""


@contextmanager
def replaced(clusters: Mapping[str, ClusterLike] | None = None, /, **aliases: ClusterLike) -> Iterator[ClusterSource]:
    """A context manager for tests: inside, aliases mean other clusters, in all threads. Yields the source of these
    clusters.

    They win over frameworks' settings and `configure`, even if an application is made inside. Blocks may be nested: the
    innermost one that names an alias wins. At the end these clusters are closed, and the aliases have their former
    meaning. Raises `ConfigurationError`.
    """
    global _replacements
    source = _Replacement(_configs_of("replaced", {**(clusters or {}), **aliases}))
    with _lock:
        stale = [_named[alias] for alias in source.names if alias in _named]
        _replacements = (source, *_replacements)
    for entry in stale:
        entry.close()  # connections use a cluster as long as it is open
    try:
        yield source
    finally:
        with _lock:
            _replacements = tuple(other for other in _replacements if other is not source)
        source.close()


def prefer(*sources: ClusterSource) -> None:
    """Ask the sources of these `replaced` blocks in this order. The other blocks keep their positions."""
    global _replacements
    with _lock:
        order = iter([source for source in sources if source in _replacements])
        _replacements = tuple(next(order) if known in sources else known for known in _replacements)


def is_replacement(cluster: Cluster) -> bool:
    """Whether this cluster was made by a `replaced` block, now or earlier. A request for it must not go to another
    cluster."""
    return cluster in _replacing
