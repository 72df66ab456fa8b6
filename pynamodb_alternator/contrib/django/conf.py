"""Reads ``settings.ALTERNATOR`` when a cluster is first needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from ...cluster import Cluster
from ...errors import ConfigurationError
from ...registry import Aliases
from ...settings.config import ClusterConfig
from .._settings import config_from, known_aliases

__all__ = ["SettingError", "aliases", "config_of", "source"]

SETTING = "ALTERNATOR"


class SettingError(ConfigurationError, ImproperlyConfigured):
    """``settings.ALTERNATOR`` is wrong. The message names the key, what was wrong, and what to write instead."""


def aliases() -> Mapping[str, Any]:
    """The setting, which must be a mapping from alias to cluster. Raises `SettingError`."""
    value = getattr(settings, SETTING, None)
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(alias, str) and alias for alias in value):
        raise SettingError(
            f"settings.{SETTING} must be a dict from alias to cluster, such as "
            f"{{'default': {{'SEEDS': ['10.0.0.1'], 'PORT': 8000}}}} (got {_shown(value)})."
        )
    return value


def _shown(value: object) -> str:
    return f"keys {sorted(map(repr, value))}" if isinstance(value, Mapping) else type(value).__name__


def config_of(alias: str, value: Any) -> ClusterConfig:
    """The configuration of one cluster from the setting. Raises `SettingError`."""
    try:
        return config_from(value, f"settings.{SETTING}[{alias!r}]", alias)
    except ConfigurationError as wrong:
        raise SettingError(str(wrong)) from None


class _Settings:
    """A source of clusters: finds the cluster of an alias in the settings."""

    def __init__(self) -> None:
        self._aliases: Aliases | None = None

    def find(self, alias: str) -> Cluster | None:
        known = self._aliases
        if known is None:
            # Two threads may both do this, and one result is kept. The clusters are made later, and only in this one.
            configs = {name: config_of(name, value) for name, value in aliases().items()}
            read = Aliases(configs, f"settings.{SETTING}[{{}}]")
            known = self._aliases = self._aliases or read
        return known.get(alias)

    def hint(self, alias: str) -> str:
        has = known_aliases(f"settings.{SETTING}", alias, aliases())
        return f"In a Django project, add {alias!r} to settings.{SETTING}. {has}"

    def close(self) -> None:
        if self._aliases is not None:
            self._aliases.close()

    def setting_changed(self, *, setting: str, **_: Any) -> None:
        """Called by ``override_settings`` and the like: close the clusters of the old setting. The new one is read when
        it is needed."""
        if setting == SETTING:
            old, self._aliases = self._aliases, None
            if old is not None:
                old.close()


source: _Settings = _Settings()
