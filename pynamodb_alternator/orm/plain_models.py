"""Replaces methods of plain PynamoDB models by those of our own `Model`, after `install` and until `uninstall`.

They do the same as the methods of our own `Model`, for each model whose class does not override them.
"""

from __future__ import annotations

from functools import partial, wraps
from typing import Any

from pynamodb import models as _models

from ._pynamodb import instantiate_in_pynamodbs_way, serialize_in_pynamodbs_way, stock_batch_get
from .counting import count_of
from .instances import loader_if_worthwhile, serializer_of, short_cut
from .pages import batch_get_by_page, by_page
from .waits import METHODS, waiting_where_it_runs

__all__ = ["replace_methods", "restore_methods"]

_before: dict[str, Any] = {}
"""By name: the method that was replaced; None if there was none."""
_ours: dict[str, Any] = {}


def replace_methods() -> None:
    """Replace the methods. Methods that are replaced already do not change."""
    if _ours:
        return
    methods: dict[str, Any] = {
        "_instantiate": classmethod(_instantiate),
        "_container_serialize": _container_serialize,
        **{name: classmethod(_paged(vars(_models.Model)[name].__func__)) for name in ("query", "scan")},
    }
    for name in METHODS:
        method = waiting_where_it_runs(vars(_models.Model)[name].__func__)
        methods[name] = classmethod(_counted(method) if name == "count" else method)
    if vars(_models.Model)["batch_get"].__func__ is stock_batch_get:
        methods["batch_get"] = classmethod(_batch_get)
    for name, method in methods.items():
        _before[name] = vars(_models.Model).get(name)
        setattr(_models.Model, name, method)
        _ours[name] = method


def restore_methods() -> None:
    """Restore the methods. A method that other code has replaced since then does not change."""
    while _ours:
        name, method = _ours.popitem()
        before = _before.pop(name)
        if vars(_models.Model).get(name) is not method:
            continue
        if before is None:
            delattr(_models.Model, name)
        else:
            setattr(_models.Model, name, before)


@short_cut
def _instantiate(cls: type[_models.Model], attribute_values: dict[str, Any]) -> Any:
    load = loader_if_worthwhile(cls)
    return instantiate_in_pynamodbs_way(cls, attribute_values) if load is None else load(attribute_values)


@short_cut
def _container_serialize(self: _models.Model, null_check: bool = True) -> dict[str, dict[str, Any]]:
    serialize = serializer_of(type(self))
    if serialize is None or "get_attributes" in vars(self):
        return serialize_in_pynamodbs_way(self, null_check)
    return serialize(self, null_check)


@wraps(stock_batch_get)
def _batch_get(cls: type[_models.Model], *args: Any, **kwargs: Any) -> Any:
    return batch_get_by_page(cls, *args, **kwargs)


def _counted(method: Any) -> Any:
    @wraps(method)
    def counted(cls: type[_models.Model], *args: Any, **kwargs: Any) -> int:
        return count_of(partial(method, cls), cls, *args, **kwargs)

    return counted


def _paged(method: Any) -> Any:
    @wraps(method)
    def paged(cls: type[_models.Model], *args: Any, **kwargs: Any) -> Any:
        return by_page(method(cls, *args, **kwargs))

    return paged
