"""Makes the engine that the setting `engine` of a `LocalCluster` names."""

from __future__ import annotations

from ..errors import ConfigurationError
from .engine import Engine


def engine_of(setting: object) -> Engine:
    """The given engine, or a new one, which the caller must close.

    Raises `ConfigurationError` for a wrong setting, and if moto is missing.
    """
    if setting == "moto":
        from .moto_engine import MotoEngine

        return MotoEngine()
    if isinstance(setting, str) and setting.startswith(("http://", "https://")):
        from .url_engine import UrlEngine

        return UrlEngine(setting)
    if isinstance(setting, Engine):
        return setting
    raise ConfigurationError(
        "LocalCluster: engine must be 'moto', the URL of a DynamoDB endpoint such as 'http://127.0.0.1:8001', "
        f"or an object with call(headers, body) (got {setting!r})."
    )


def close_engine(engine: Engine) -> None:
    """Close an engine, if it has a method `close`."""
    close = getattr(engine, "close", None)
    if close is not None:
        close()
