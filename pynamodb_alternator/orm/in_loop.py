"""Calls of models that an event loop awaits: each runs in a greenlet of `aio.run`.

Models do without the extra ``async``. So it is imported with the first such call.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

__all__ = ["run"]

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
