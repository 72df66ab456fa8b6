"""PynamoDB's sleeps: between two looks at a table, and where the rate of requests is limited.

In a function that `aio.run` calls, they hand over to the event loop. Nothing of PynamoDB's is replaced for that, and
nothing of the module `time`: there its functions run with another `time` among their globals, and a rate limiter is
given one, as PynamoDB provides for.
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
    """What stands for the module `time`."""

    sleep = staticmethod(sleep)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


_TIME = _Time()
METHODS = ("count", "create_table", "delete_table")
"""The methods of models that may sleep before they return. `query` and `scan` give iterators that may: see `paced`."""
_stock: dict[str, Any] = {name: vars(_models.Model)[name].__func__ for name in METHODS}


def paced(results: Any) -> Any:
    """`results`, an iterator of PynamoDB's: if its rate is limited, it waits as is right where it is used."""
    if isinstance(results, ResultIterator):
        give_time(results.page_iter, _TIME)
    return results


def _paced_results(*args: Any, **kwargs: Any) -> Any:
    return paced(ResultIterator(*args, **kwargs))


def waiting_where_it_runs(method: Callable[..., Any]) -> Callable[..., Any]:
    """`method` of PynamoDB's, function for function its own, with sleeps that hand over where that is right.

    What is not PynamoDB's own function is called as it is.
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
    """The methods of models that may sleep; it stands between PynamoDB's `Model` and ours."""

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
    """Call a class method of PynamoDB's, or what has been put in its place."""
    function = getattr(method, "__func__", None)
    if function is None:
        return method(*args, **kwargs)
    return waiting_where_it_runs(function)(method.__self__, *args, **kwargs)
