"""PynamoDB's sleeps: while it waits for a table, and to limit the rate of requests.

In a function that `aio.run` calls, the sleeps hand over to the event loop. For this, neither PynamoDB nor the module
`time` is patched: copies of PynamoDB's functions run with another `time` in their globals, and a rate limiter gets
another `time` as PynamoDB allows it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import TYPE_CHECKING, Any

from pynamodb import models as _models
from pynamodb.pagination import ResultIterator

from ..core.hand_over import hands_over, sleep
from ._pynamodb import give_time

__all__ = ["METHODS", "WaitsWhereItRuns", "paced", "waiting_where_it_runs"]


class _Time:
    """Replaces the module `time`."""

    sleep = staticmethod(sleep)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


_TIME = _Time()
METHODS = ("count", "create_table", "delete_table")
"""The methods of models that may sleep. The iterators of `query` and `scan` may sleep too: see `paced`."""
_stock: dict[str, Any] = {name: vars(_models.Model)[name].__func__ for name in METHODS}


def paced(results: Any) -> Any:
    """`results`, an iterator of PynamoDB. If its rate is limited, it waits in the thread or in the event loop,
    depending on where it is used."""
    if isinstance(results, ResultIterator):
        give_time(results.page_iter, _TIME)
    return results


def _paced_results(*args: Any, **kwargs: Any) -> Any:
    return paced(ResultIterator(*args, **kwargs))


def waiting_where_it_runs(method: Callable[..., Any]) -> Callable[..., Any]:
    """`method` of PynamoDB, made of copies of its functions, with sleeps that hand over to an event loop if there is
    one.

    A function that is not PynamoDB's own is called unchanged.
    """

    @wraps(method)
    def waiting(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if hands_over() is None or method not in _stock.values():
            return method(cls, *args, **kwargs)
        return _with_our_time(method)(cls, *args, **kwargs)

    return waiting


def _with_our_time(method: Any) -> Any:
    names = {**method.__globals__, "time": _TIME, "ResultIterator": _paced_results}
    own = FunctionType(method.__code__, names, method.__name__, method.__defaults__, method.__closure__)
    own.__kwdefaults__ = method.__kwdefaults__
    return own


class WaitsWhereItRuns:
    """The methods of models that may sleep. This class comes between PynamoDB's `Model` and ours."""

    if not TYPE_CHECKING:

        @classmethod
        @wraps(_stock["count"])
        def count(cls, *args: Any, **kwargs: Any) -> Any:
            return _called(super().count, *args, **kwargs)

        @classmethod
        @wraps(_stock["create_table"])
        def create_table(cls, *args: Any, **kwargs: Any) -> Any:
            return _called(super().create_table, *args, **kwargs)

        @classmethod
        @wraps(_stock["delete_table"])
        def delete_table(cls, *args: Any, **kwargs: Any) -> Any:
            return _called(super().delete_table, *args, **kwargs)


def _called(method: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a class method of PynamoDB, or the method that has replaced it."""
    function = getattr(method, "__func__", None)
    if function is None:
        return method(*args, **kwargs)
    return waiting_where_it_runs(function)(method.__self__, *args, **kwargs)
