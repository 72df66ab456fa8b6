"""Errors for mistakes in the use of `Model.aio`: calls that would block the event loop or ask another table, and
unknown names."""

from __future__ import annotations

from typing import Any

from pynamodb.indexes import Index

from ..errors import ConfigurationError
from ..settings import checks
from ._pynamodb import AnyModel, model_of, python_names_of_indexes
from .connection import AlternatorConnection

__all__ = ["check_connection", "checked_index", "checked_vector_index", "shown", "what_instead"]


def check_connection(model: AnyModel) -> None:
    """Raise `ConfigurationError` if the model's requests would block the event loop, because its connection is not an
    `AlternatorConnection`."""
    connection_class = getattr(getattr(model, "Meta", None), "connection_class", None)
    if connection_class is None or connection_class is AlternatorConnection:
        return
    if not issubclass(connection_class, AlternatorConnection):
        raise ConfigurationError(
            f"{model.__module__}.{model.__qualname__}: `aio` is for models on a cluster. Its Meta.connection_class is "
            f"{connection_class.__name__}: write AlternatorConnection, or a subclass of it."
        )


def checked_index(model: AnyModel, index: Any) -> Any:
    """`index`, if it is an index of the model. Raises `ConfigurationError` for anything else."""
    return _of_model(model, index, "index", Index)


def checked_vector_index(model: AnyModel, index: Any) -> Any:
    """`index`, if it is a vector index of the model. Raises `ConfigurationError` for anything else."""
    from .vector_index import VectorIndex  # imported here, because models without such an index do not need it

    return _of_model(model, index, "vector_index", VectorIndex)


def _of_model(model: AnyModel, index: Any, method: str, kind: type[Index[Any]]) -> Any:
    where = f"{model.__qualname__}.aio.{method}(...)"
    if not isinstance(index, kind):
        names = python_names_of_indexes(model, kind)
        advice = f"Write {model.__qualname__}.{names[0]}." if names else f"{model.__qualname__} has none."
        raise ConfigurationError(
            f"{where} takes {'a vector index' if method == 'vector_index' else 'an index'} of the model "
            f"(got {checks.shown(index)}). {advice}"
        )
    owner = model_of(index)
    if owner is not None and not (issubclass(model, owner) or issubclass(owner, model)):
        raise ConfigurationError(
            f"{where} was given an index of {owner.__qualname__}. Write {owner.__qualname__}.aio.{method}(...)."
        )
    return index


def shown(on: Any) -> str:
    """The name of a model, an instance of it or an index, for error messages and `repr`."""
    if isinstance(on, type):
        return on.__qualname__
    owner = model_of(on) if isinstance(on, Index) else None
    return f"{type(on).__qualname__}(...)" if owner is None else f"{owner.__qualname__}, index {on.Meta.index_name!r}"


def what_instead(on: Any, name: str, face: type, other: type | None) -> str:
    """The error for a method that `aio` does not have. `face`: the class of the `aio` that was used. `other`: the class
    of the other `aio`: `AsyncInstance` for `AsyncModel`, and the other way round."""
    model = on if isinstance(on, type) else type(on)
    what = f"{shown(on)}.aio has no {name!r}."
    if other is not None and hasattr(other, name):
        whose, on_other = ("an instance", f"{model.__qualname__}(...)"), ("the class", model.__qualname__)
        of, written = whose if on is model else on_other
        return f"{what} It is of {of}: `{written}.aio.{name}(...)`."
    if callable(getattr(on, name, None)):
        return f"{what} Write `await aio.run({shown(on)}.{name}, ...)`, with `from pynamodb_alternator import aio`."
    return f"{what} {checks.did_you_mean(name, [each for each in dir(face) if not each.startswith('_')])}".rstrip()
