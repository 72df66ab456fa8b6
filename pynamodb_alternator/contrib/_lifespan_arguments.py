"""Checks the arguments of `alternator_lifespan`, and makes configurations of its clusters. Errors say what to write
instead.

A mistake is reported as early as possible, in the line that has it, because an error at the start of a server is far
from this line.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

from pynamodb.models import Model

from ..errors import ConfigurationError
from ..settings.config import ClusterConfig
from ._settings import KEYS, config_from

__all__ = ["ClusterLike", "Clusters", "check_function", "check_lifespan", "configs_from", "configs_of", "models_of"]

ClusterLike: TypeAlias = ClusterConfig | str | Mapping[str, Any]
Clusters: TypeAlias = str | ClusterConfig | Mapping[str, ClusterLike]

_CALLER = "alternator_lifespan"
_EXAMPLE = "a URL, or a dict from alias to cluster such as {'default': 'http://10.0.0.1:8000'}"


def configs_of(clusters: object) -> dict[str, ClusterConfig] | None:
    """The argument `clusters` as configurations by alias; None if it is None. Raises `ConfigurationError`."""
    if clusters is None:
        return None
    if isinstance(clusters, str | ClusterConfig):
        return {"default": config_from(clusters, f"{_CALLER}(...)", "default")}
    if not isinstance(clusters, Mapping) or not clusters:
        got = "an empty dict" if isinstance(clusters, Mapping) else type(clusters).__name__
        raise ConfigurationError(f"{_CALLER} takes {_EXAMPLE} (got {got}).")
    for alias in clusters:
        if not isinstance(alias, str) or not alias:
            raise ConfigurationError(f"{_CALLER}: an alias is a name such as 'analytics' (got {alias!r}).")
        if alias.lower() in KEYS:
            raise ConfigurationError(
                f"{_CALLER} takes a dict from alias to cluster, and {alias!r} is a setting of one cluster. "
                f"Write {{'default': {{{alias!r}: ...}}}}."
            )
    return {alias: config_from(value, f"{_CALLER}({alias}=...)", alias) for alias, value in clusters.items()}


def configs_from(function: Callable[[], Clusters]) -> dict[str, ClusterConfig]:
    """The clusters that a function returns when the application starts, as configurations by alias."""
    configs = configs_of(function())
    if configs is None:
        raise ConfigurationError(
            f"{_CALLER} takes {_EXAMPLE} (got None from the function that was given). Is an environment variable "
            "missing from which it reads the cluster?"
        )
    return configs


def check_function(function: Callable[..., object]) -> None:
    """Raises `ConfigurationError` if the function for the clusters is a coroutine function."""
    if inspect.iscoroutinefunction(function):
        raise ConfigurationError(
            f"{_CALLER} does not await {function.__qualname__}. Write a lifespan of your own that awaits it: "
            f"`async with {_CALLER}(await {function.__qualname__}())(app):`."
        )


def check_lifespan(lifespan: object) -> None:
    """Raises `ConfigurationError` if the application's own lifespan is not one that FastAPI accepts."""
    if lifespan is None:
        return
    if isinstance(lifespan, AbstractAsyncContextManager):
        raise ConfigurationError(
            f"{_CALLER}: lifespan is a function that was called already. Write the function itself, and do not call it."
        )
    if not callable(lifespan):
        raise ConfigurationError(
            f"{_CALLER}: lifespan must be a function as FastAPI(lifespan=...) takes it, such as one with "
            f"@asynccontextmanager (got {type(lifespan).__name__})."
        )
    kinds = (inspect.isasyncgenfunction, inspect.iscoroutinefunction, inspect.isgeneratorfunction)
    if any(is_kind(lifespan) for is_kind in kinds):
        name = getattr(lifespan, "__qualname__", "the function")
        raise ConfigurationError(
            f"{_CALLER}: {name} must have @asynccontextmanager above it (of contextlib), be an `async def` and `yield`."
        )


def models_of(models: object) -> tuple[type[Model], ...]:
    """The models whose tables must be created. Raises `ConfigurationError`."""
    chosen = tuple(models) if isinstance(models, Iterable) and not isinstance(models, type) else (None,)
    if not all(isinstance(model, type) and issubclass(model, Model) for model in chosen):
        raise ConfigurationError(
            f"{_CALLER} takes a list of model classes, such as create_tables=[User, Order] (got {models!r})."
        )
    return chosen
