"""Named clusters, and finding the cluster that a model means.

An alias may mean, and is asked for in this order:

1. what `replaced` has put in its place: a test's cluster, the innermost block first;
2. what a source says, the one that was added last first: a framework knows which application's context this is;
3. what `configure` was told;
4. for ``default`` alone, the cluster that the environment variable ``ALTERNATOR_URL`` names.

Nothing is resolved at import: a model may be defined before its cluster is configured. A cluster is made when it is
first asked for, and made anew once it was closed.

Readers take no lock: they look things up in tables that are replaced or changed by one step. The lock guards changes,
and the making of a cluster, which calls nothing of the user's: outside of the lock, sources are asked, configurations
are compared and clusters are closed.
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
    """It knows which cluster an alias means here and now, and is asked before `configure`: a web framework with several
    applications in one process, or a test."""

    def find(self, alias: str) -> Cluster | None:
        """The cluster, or None if this source has nothing to say about the alias. Asked at each request, so it must be
        quick. May raise `ConfigurationError`."""

    def hint(self, alias: str) -> str:
        """A remedy for the error that the alias means nothing: what the user can write. It may be empty."""

    def close(self) -> None:
        """Close the clusters that this source has made. It makes new ones if it is asked again."""


class _Entry:
    """One configuration, and the cluster of it that is open. `origin`: the setting that it comes from.

    `key`: what stands for a configuration without an alias. The entry refers to its cluster weakly: connections and
    clients keep the cluster alive, and the entry goes with the last of them.
    """

    __slots__ = ("_cluster", "_key", "_origin", "_retired", "config")

    def __init__(self, config: ClusterConfig, origin: str, key: ClusterConfig | str | None = None) -> None:
        self.config, self._origin = config, origin
        self._key = key
        self._cluster: Callable[[], Cluster | None] = _no_cluster
        self._retired = False

    def cluster(self) -> Cluster | None:
        """The cluster; a new one if there is none yet, or if it was closed. None once the entry is retired."""
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
        """The garbage collector calls this, in any thread: so no lock is taken here."""
        if self._cluster is reference and self._key is not None:
            self._retired = True
            _anonymous.pop(self._key, None)

    def close(self) -> None:
        """Close the cluster, if there is one. The next that asks gets a new one."""
        with _lock:
            cluster, self._cluster = self._cluster(), _no_cluster
        if cluster is not None:
            cluster.close()

    def retire(self) -> None:
        """Close the cluster, and make no other: a thread may have found this entry just before it was replaced."""
        self._retired = True
        self.close()


def _no_cluster() -> None:
    return None


_lock = threading.Lock()
_sources: tuple[ClusterSource, ...] = ()
"""The source that is asked first comes first."""
_replacements: tuple[_Replacement, ...] = ()
"""What `replaced` has put in place, the innermost first. These are asked before all sources, even before sources that
are added later: an application that is made inside a test adds its own there."""
_replacing: weakref.WeakSet[Cluster] = weakref.WeakSet()
"""Clusters that were made for a replacement; they stay here after its end."""
_named: dict[str, _Entry] = {}
"""By alias: what `configure` was told, and what the environment says of ``default``."""
_anonymous: dict[ClusterConfig | str, _Entry] = {}
"""Clusters that no alias names: by the configuration in a model's Meta, or by the seed URL in its Meta.host."""


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
    """The cluster that `alias` means; it is made at the first call.

    Inside a Flask application's context, or in a Django project, that is what its settings say. Without a configured
    ``default``, that alias means the cluster that ``ALTERNATOR_URL`` names.
    Raises `ConfigurationError` if nothing says which cluster is meant.
    """
    for source in _asked():
        cluster = source.find(alias)
        if cluster is not None:
            return cluster
    entry = _named.get(alias)
    if entry is None and alias == "default" and os.environ.get("ALTERNATOR_URL"):
        # Outside the lock: it reads files, and what it warns of may reach a handler that wants a cluster as well.
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
    """All that may know what an alias means before `configure` does, in the order in which they are asked."""
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
    """The cluster for a connection: what `Meta.cluster` says, else `Meta.host`, else the default.

    `meant_by` is an alias, a URL, a `Cluster`, a `ClusterConfig`, or None. `asker` is named in errors.
    Raises `ConfigurationError` if no cluster is meant.
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
    """The one cluster of this configuration, for all models that mean it without an alias."""
    entry = _anonymous.get(key)
    if entry is None:
        entry = _anonymous.setdefault(key, _Entry(config, origin, key))
    cluster = entry.cluster()
    if cluster is not None:
        cluster.core.admission.comes_from(origin)
    return _shared(key, config, origin) if cluster is None else cluster


def may_change(meant_by: object, host: str | None) -> bool:
    """Whether `find_cluster` may give another cluster the next time, although this one is still open.

    That is so for an alias in an application with several contexts: it must be looked up at each request.
    """
    if not _sources and not _replacements:
        return False
    return (meant_by is None and not host) or (isinstance(meant_by, str) and "://" not in meant_by)


class Aliases:
    """The clusters of a `ClusterSource` by their aliases. Each is made when it is first asked for. `origin`: what
    errors call the setting of an alias, with ``{}`` for it."""

    def __init__(self, configs: Mapping[str, ClusterConfig], origin: str = "the alias {}") -> None:
        self._entries = {alias: _Entry(config, origin.format(repr(alias))) for alias, config in configs.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The aliases that mean something here."""
        return tuple(self._entries)

    def get(self, alias: str) -> Cluster | None:
        """The cluster of this alias, or None."""
        entry = self._entries.get(alias)
        return None if entry is None else entry.cluster()

    def close(self) -> None:
        """Close those that were made. They are made anew when they are asked for."""
        for entry in self._entries.values():
            entry.close()


def sources() -> tuple[ClusterSource, ...]:
    """Those that were added, in the order in which they are asked."""
    return _sources


def add_source(source: ClusterSource) -> None:
    """Ask `source` first from now on, before other sources and before what `configure` was told.

    Only `replaced` comes before it. Adding a source again changes nothing.
    """
    global _sources
    with _lock:
        if not any(known is source for known in _sources):
            _sources = (source, *_sources)


def remove_source(source: ClusterSource) -> None:
    """Ask `source` no longer. Its clusters stay as they are."""
    global _sources
    with _lock:
        _sources = tuple(other for other in _sources if other is not source)


class _Replacement(Aliases):
    """Other clusters for some aliases, whatever a framework's settings say of them."""

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
    """Let aliases mean other clusters inside, in all threads, for tests. Gives the source of this block's clusters.

    This is asked before frameworks' settings and `configure`, even if an application is made inside. Blocks nest, and
    the innermost one that names an alias wins. At the end these clusters are closed, and the aliases mean again what
    they meant before. Raises `ConfigurationError`.
    """
    global _replacements
    source = _Replacement(_configs_of("replaced", {**(clusters or {}), **aliases}))
    with _lock:
        stale = [_named[alias] for alias in source.names if alias in _named]
        _replacements = (source, *_replacements)
    for entry in stale:
        entry.close()  # connections keep a cluster for as long as it is open
    try:
        yield source
    finally:
        with _lock:
            _replacements = tuple(other for other in _replacements if other is not source)
        source.close()


def prefer(*sources: ClusterSource) -> None:
    """Ask the sources of these `replaced` blocks in this order. The sources of all other blocks keep their turns."""
    global _replacements
    with _lock:
        order = iter([source for source in sources if source in _replacements])
        _replacements = tuple(next(order) if known in sources else known for known in _replacements)


def is_replacement(cluster: Cluster) -> bool:
    """Whether a test has put this cluster in another one's place with `replaced`, now or earlier. A request that was on
    its way to it must not go to another cluster."""
    return cluster in _replacing
