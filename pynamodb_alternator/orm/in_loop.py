"""Calls of models that an event loop awaits: each runs in a greenlet of `aio.run`.

Models do without the extra ``async``. So it is imported with the first such call.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from ..errors import ConfigurationError
from ._pynamodb import AnyModel
from .connection import AlternatorConnection

__all__ = ["check_connection", "run"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_run: Callable[..., Coroutine[Any, Any, Any]] | None = None


def run(function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Coroutine[Any, Any, _T]:
    """What `aio.run` gives, to be awaited. Raises ImportError if the extra is not installed."""
    global _run
    if _run is None:
        from .. import aio

        _run = aio.run
    return _run(function, *args, **kwargs)


def check_connection(model: AnyModel) -> None:
    """Raise `ConfigurationError` if the model's requests would hold the event loop: they are made by another class."""
    connection_class = getattr(getattr(model, "Meta", None), "connection_class", None)
    if connection_class is None or connection_class is AlternatorConnection:
        return
    if not issubclass(connection_class, AlternatorConnection):
        raise ConfigurationError(
            f"{model.__module__}.{model.__qualname__}: `aio` is for models on a cluster. Its Meta.connection_class is "
            f"{connection_class.__name__}: write AlternatorConnection, or a subclass of it."
        )
