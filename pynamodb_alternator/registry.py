"""Named clusters, and finding the cluster that a model means.

Nothing is resolved at import: a model may be defined before its cluster is configured.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

from .client import Cluster
from .config import ClusterConfig
from .errors import ConfigurationError

__all__ = ["close_all", "configure", "find_cluster", "get_cluster"]

ClusterLike = ClusterConfig | str | Mapping[str, Any]

_lock = threading.Lock()
_configs: dict[str, ClusterConfig] = {}
_named: dict[str, Cluster] = {}
_anonymous: dict[ClusterConfig | str, Cluster] = {}
"""Clusters that no alias names: by the configuration in a model's Meta, or by the seed URL in its Meta.host."""


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def configure(clusters: Mapping[str, ClusterLike] | None = None, /, **aliases: ClusterLike) -> None:
    """Say which cluster each alias means: ``configure(default="http://10.0.0.1:8000", analytics=...)``.

    A value is a `ClusterConfig`, a URL, or a mapping of settings. Nothing is connected yet. An alias that is
    configured again closes the cluster that it meant before, unless the configuration is the same.

    Raises `ConfigurationError`, and then changes nothing.
    """
    given = {**(clusters or {}), **aliases}
    if not given:
        raise ConfigurationError(
            "configure() was called without a cluster. Write configure(default='http://host:8000')."
        )
    configs: dict[str, ClusterConfig] = {}
    for alias, value in given.items():
        try:
            config = ClusterConfig.of(value)
        except ConfigurationError as wrong:
            raise ConfigurationError(f"configure({alias}=...): {wrong}") from None
        # In signals and logs a cluster goes by its alias, unless it was given a name of its own.
        configs[alias] = config.replace(name=alias) if config.name == "default" else config
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


def get_cluster(alias: str = "default") -> Cluster:
    """The cluster that `alias` means; it is made at the first call.

    Without a configured ``default``, that alias means the cluster that ``ALTERNATOR_URL`` names.
    Raises `ConfigurationError` if nothing says which cluster is meant.
    """
    with _lock:
        cluster = _named.get(alias)
        if cluster is not None and not cluster.closed:
            return cluster
        config = _configs.get(alias)
        if config is None and alias == "default" and os.environ.get("ALTERNATOR_URL"):
            config = _configs[alias] = ClusterConfig.from_env()
        if config is None:
            raise ConfigurationError(_no_such_alias(alias))
        cluster = _named[alias] = Cluster(config)
        return cluster


def _no_such_alias(alias: str) -> str:
    known = ", ".join(repr(name) for name in sorted(_configs)) or "none"
    return (
        f"No cluster is configured under the alias {alias!r} (configured: {known}). "
        f"Call pynamodb_alternator.configure({alias}='http://10.0.0.1:8000') when your application starts"
        + ("; or set ALTERNATOR_URL." if alias == "default" else ".")
    )


def find_cluster(wanted: object, host: str | None, who: str) -> Cluster:
    """The cluster for a connection: what `Meta.cluster` says, else `Meta.host`, else the default.

    `wanted` is an alias, a `Cluster`, a `ClusterConfig`, or None. `who` is named in errors.
    """
    if isinstance(wanted, Cluster):
        return wanted
    if isinstance(wanted, ClusterConfig):
        return _shared(wanted, wanted)
    if isinstance(wanted, str):
        if "://" in wanted:
            return _shared(wanted, ClusterConfig.from_url(wanted))
        try:
            return get_cluster(wanted)
        except ConfigurationError as wrong:
            raise ConfigurationError(f"{who}: {wrong}") from None
    if wanted is not None:
        raise ConfigurationError(
            f"{who}: cluster must be an alias, a Cluster or a ClusterConfig (got {type(wanted).__name__})."
        )
    if host:
        try:
            config = ClusterConfig.from_url(host)
        except ConfigurationError as wrong:
            raise ConfigurationError(f"{who}: host is taken as a seed URL, and is none: {wrong}") from None
        return _shared(host, config)
    try:
        return get_cluster()
    except ConfigurationError:
        raise ConfigurationError(
            f"{who}: nothing says which cluster to use. Give one of these: Meta.cluster (an alias, a Cluster or a "
            "ClusterConfig); Meta.host (a seed URL such as 'http://10.0.0.1:8000'); "
            "pynamodb_alternator.configure(default=...) when your application starts; or the environment variable "
            "ALTERNATOR_URL."
        ) from None


def _shared(key: ClusterConfig | str, config: ClusterConfig) -> Cluster:
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
    for cluster in clusters:
        cluster.close()
