"""The results of a query, a scan or a batch get, whose items become instances page by page.

PynamoDB calls the model for each item. Here the model's loader is found once per page, and called for each item.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pynamodb.pagination import ResultIterator

from ._pynamodb import AnyModel, batch_get_page, instantiate_of, stock_batch_get, stock_from_raw_data
from .instances import Load, is_self_contained, is_short_cut, loader_of
from .waits import paced

__all__ = ["LoadedByPage", "batch_get_by_page", "by_page", "calls_application"]

_T = TypeVar("_T")


class LoadedByPage(ResultIterator[_T]):
    """PynamoDB's iterator over the items of a query or scan."""

    _of_pynamodb: Any = None

    def _get_next_page(self) -> None:
        super()._get_next_page()
        self._of_pynamodb = self._of_pynamodb or self._map_fn
        self._map_fn = _loader_instead_of(self._of_pynamodb)

    @property
    def calls_application(self) -> bool:
        """Whether code of the application is called when an instance is made of an item."""
        from_raw_data: Any = self._of_pynamodb or self._map_fn
        return not (_may_be_loaded(from_raw_data) and is_self_contained(from_raw_data.__self__))


def calls_application(results: Any) -> bool:
    """Whether code of the application may be called when instances are made of the items of this iterator."""
    return not isinstance(results, LoadedByPage) or results.calls_application


def by_page(results: Any) -> Any:
    """The results of PynamoDB's `query` or `scan`, loaded by page. Results of other functions are returned
    unchanged."""
    if type(results) is ResultIterator:
        results.__class__ = LoadedByPage
    return paced(results)


def batch_get_by_page(model: AnyModel, *args: Any, **kwargs: Any) -> Any:
    """PynamoDB's `batch_get`, loaded by page."""
    return stock_batch_get(_BatchGet(model), *args, **kwargs)


class _BatchGet:
    """A model in the form that PynamoDB's `batch_get` uses."""

    def __init__(self, model: AnyModel) -> None:
        self._model = model
        self.from_raw_data: Any = model.from_raw_data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def _batch_get_page(self, *args: Any, **kwargs: Any) -> Any:
        page = batch_get_page(self._model, *args, **kwargs)
        self.from_raw_data = _loader_instead_of(self._model.from_raw_data)
        return page


def _loader_instead_of(from_raw_data: Any) -> Load | Any:
    """The function that makes the instances of a page: a loader, if PynamoDB's `from_raw_data` would call it."""
    loader = loader_of(from_raw_data.__self__) if _may_be_loaded(from_raw_data) else None
    return loader or from_raw_data


def _may_be_loaded(from_raw_data: Any) -> bool:
    """Whether it is PynamoDB's own `from_raw_data` of a model, which would call a loader."""
    model = getattr(from_raw_data, "__self__", None)
    return getattr(from_raw_data, "__func__", None) is stock_from_raw_data and is_short_cut(instantiate_of(model))
