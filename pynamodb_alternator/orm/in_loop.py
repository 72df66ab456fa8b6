"""Calls methods of models for an event loop: each call runs in a greenlet of `aio.run`.

Models do not need the extra ``async``. So `aio` is imported at the first such call.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

__all__ = ["run"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_run: Callable[..., Coroutine[Any, Any, Any]] | None = None


def run(function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Coroutine[Any, Any, _T]:
    """The coroutine that `aio.run` returns. Raises ImportError if the extra is not installed."""
    global _run
    if _run is None:
        from .. import aio

        _run = aio.run
    return _run(function, *args, **kwargs)
