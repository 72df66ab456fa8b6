"""Reads clusters from a framework's settings file, where they are mappings with upper-case keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from ..errors import ConfigurationError
from ..settings import text
from ..settings.checks import did_you_mean
from ..settings.config import ClusterConfig, named_by

__all__ = ["FIELDS", "KEYS", "config_from", "known_aliases", "setting_meant"]

FIELDS = tuple(field.name for field in fields(ClusterConfig))
KEYS = ("url", *text.SCOPE_NAMES, *text.CREDENTIALS, *text.TLS_FILES, *FIELDS)
"""The names of all settings, except ``LOCATION`` and ``OPTIONS``."""
_NESTED = (*text.GROUPS, "credentials", "hedge", "tls")


def config_from(value: Any, where: str, alias: str, prefix: str = "") -> ClusterConfig:
    """The cluster that a setting describes: a URL, a `ClusterConfig`, or a mapping.

    The keys of a mapping are the fields of `ClusterConfig` in capitals, and ``URL``, ``DATACENTER``, ``RACK``,
    ``ACCESS_KEY``, ``SECRET_KEY``, ``SESSION_TOKEN``, ``CA``, ``CLIENT_CERT``, ``CLIENT_KEY``; and, as in Django's
    ``CACHES``, ``LOCATION`` (a URL, or a list of seeds) and ``OPTIONS`` (a mapping of further settings). A value of
    None counts as not given. `where` names the setting in errors, and `prefix` is what the user writes before each key.
    """
    if not isinstance(value, str | Mapping | ClusterConfig):
        raise ConfigurationError(
            f"{where} must be a URL such as 'http://10.0.0.1:8000', or a dict such as {{'SEEDS': ['10.0.0.1'], "
            f"'PORT': 8000}} (got {type(value).__name__})."
        )
    settings: Any = _lower(value, where, prefix) if isinstance(value, Mapping) else value
    try:
        config = ClusterConfig.of(settings)
    except ConfigurationError as wrong:
        raise ConfigurationError(f"{where}: {wrong}") from None
    except TypeError as wrong:
        raise ConfigurationError(f"{where}: a value has a type that the setting does not take: {wrong}") from None
    return named_by(config, alias)


def _lower(value: Mapping[Any, Any], where: str, prefix: str) -> dict[str, Any]:
    settings = _named(value, where, ("location", "options"))
    options = settings.pop("options", {})
    if not isinstance(options, Mapping):
        raise ConfigurationError(
            f"{where}['OPTIONS'] must be a dict such as {{'region': 'us-east-1'}} (got {type(options).__name__})."
        )
    settings = {**_named(options, f"{where}['OPTIONS']", ()), **settings}
    if "location" in settings:
        location = settings.pop("location")
        settings["url" if isinstance(location, str) and "://" in location else "seeds"] = location
    if "url" in settings and "seeds" in settings:
        raise ConfigurationError(f"{where} has both a URL and seeds. Write one of them.")
    if "url" not in settings and "seeds" not in settings:
        raise ConfigurationError(
            f"{where} does not say where the cluster is. Write '{prefix}URL': 'http://10.0.0.1:8000' or "
            f"'{prefix}SEEDS': ['10.0.0.1']."
        )
    _join(settings, "credentials", text.CREDENTIALS, where, prefix)
    _join(settings, "tls", text.TLS_FILES, where, prefix)
    credentials = settings.get("credentials")
    if isinstance(credentials, Mapping) and not {"access_key", "secret_key"} <= credentials.keys():
        raise ConfigurationError(
            f"{where} has only one half of the credentials. "
            f"Write both '{prefix}ACCESS_KEY' and '{prefix}SECRET_KEY', or neither."
        )
    return settings


def _named(value: Mapping[Any, Any], where: str, more: tuple[str, ...]) -> dict[str, Any]:
    """The given settings, by their names in `ClusterConfig`."""
    settings: dict[str, Any] = {}
    for key, setting in value.items():
        name = key.lower() if isinstance(key, str) else key
        if name not in (*KEYS, *more):
            raise ConfigurationError(f"{where} has the unknown key {key!r}. {setting_meant(key, (*KEYS, *more))}")
        if setting is None:
            continue
        if name in _NESTED and isinstance(setting, Mapping):
            setting = {inner.lower() if isinstance(inner, str) else inner: what for inner, what in setting.items()}
        settings[name] = setting
    return settings


def _join(settings: dict[str, Any], into: str, names: Iterable[str], where: str, prefix: str) -> None:
    parts = {name: settings.pop(name) for name in names if name in settings}
    if not parts:
        return
    if into in settings:
        raise ConfigurationError(
            f"{where} has '{prefix}{into.upper()}' and '{prefix}{next(iter(parts)).upper()}' as well. "
            "Write one of them."
        )
    settings[into] = parts


def setting_meant(key: object, known: Iterable[str]) -> str:
    """A hint for an unknown key: the most similar setting, in capitals, or else where all settings are described."""
    meant = did_you_mean(key, (name.upper() for name in known))
    return meant or "See docs/configuration for the settings that exist."


def known_aliases(whose: str, alias: str, known: Iterable[str]) -> str:
    """For an error about an alias without a cluster: the aliases that the settings of `whose` have."""
    names = sorted(known)
    if not names:
        return f"{whose} has no cluster."
    return f"{whose} has {', '.join(map(repr, names))}. {did_you_mean(alias, names)}".rstrip()
