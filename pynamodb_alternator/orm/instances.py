"""Makes model instances of items, and items of instances, by functions that are generated for each class of models.

These functions leave out work that PynamoDB does twice for each item, and its descriptors. So they are used only for a
class that does not override the methods that are left out (`shape`). For any other class, PynamoDB's own methods run.
The class is checked for changes once per answer, or once per saved item.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pynamodb import models as _models

from . import _pynamodb
from .generated import Source
from .loading import loader_source
from .saving import serializer_source
from .shape import Shape, shape_of
from .unchanged import Snapshot, are_same, hooks_of

__all__ = [
    "ItemFunctions",
    "Load",
    "Serialize",
    "batch_serializer_of",
    "functions_of",
    "is_self_contained",
    "is_short_cut",
    "loader_if_worthwhile",
    "loader_of",
    "serializer_of",
    "short_cut",
]

Load = Callable[[dict[str, Any]], Any]
"""Makes an instance of an item in the form of attribute values: ``{"name": {"S": "alice"}}``. Raises what PynamoDB
raises."""
Serialize = Callable[[Any, bool], dict[str, Any]]
"""Makes an item of an instance. If the second argument is True, it checks for missing values. Raises what PynamoDB
raises."""
_T = TypeVar("_T")
_KEPT = "__alternator_functions__"
_STOCK_DISCRIMINATOR = hooks_of(_models.Model, _pynamodb.DISCRIMINATOR_HOOKS)


_short_cuts: set[Any] = set()


def short_cut(function: Callable[..., _T]) -> Callable[..., _T]:
    """Mark a method that replaces one of PynamoDB and uses the functions of this module if it can."""
    _short_cuts.add(function)
    return function


def is_short_cut(method: Any) -> bool:
    """Whether a method, or a class method, was marked."""
    return getattr(method, "__func__", method) in _short_cuts


class ItemFunctions:
    """The functions of one class of models, which are made at the first use, and the check whether they may be used."""

    __slots__ = ("_are_self_contained", "_cls", "_load", "_serialize", "_shape", "chooses_class", "hold")

    def __init__(self, cls: type[_models.Model]) -> None:
        self._cls = cls
        snapshot = Snapshot()
        snapshot.watch_class(cls, _pynamodb.DISCRIMINATOR_HOOKS)
        self._shape: Shape | None = shape_of(cls, snapshot)
        self.hold: Callable[[], bool] = snapshot.holds
        """Whether everything from which the functions were made is unchanged."""
        self._load: Load | None = None
        self._serialize: Serialize | None = None
        self.chooses_class: bool = bool(_pynamodb.discriminator_of(cls)) or (
            not are_same(hooks_of(cls, _pynamodb.DISCRIMINATOR_HOOKS), _STOCK_DISCRIMINATOR)
        )
        """Whether an item may be an instance of another class."""
        self._are_self_contained: bool | None = None

    @property
    def are_self_contained(self) -> bool:
        """Whether an instance is made without code of the application."""
        if self._are_self_contained is None:
            hooks = hooks_of(self._cls, _pynamodb.DISCRIMINATOR_HOOKS)
            is_plain = self._shape is not None and self._shape.is_self_contained
            self._are_self_contained = is_plain and are_same(hooks, _STOCK_DISCRIMINATOR)
        return self._are_self_contained

    @property
    def load(self) -> Load | None:
        """The function that makes instances of exactly this class; None if only PynamoDB itself can do this."""
        if self._load is None and self._shape is not None:
            self._load = _made("loader", self._shape, loader_source)
        return self._load

    @property
    def serialize(self) -> Serialize | None:
        """The function that makes items of instances of exactly this class; None if only PynamoDB itself can do
        this."""
        if self._serialize is None and self._shape is not None:
            self._serialize = _made("serializer", self._shape, serializer_source)
        return self._serialize


def _made(what: str, shape: Shape, write: Callable[[Source, Shape], str]) -> Any:
    source, cls = Source(), shape.cls
    name = write(source, shape)
    return source.functions(f"pynamodb_alternator {what} of {cls.__module__}.{cls.__qualname__}")[name]


def functions_of(cls: type[_models.Model]) -> ItemFunctions:
    """The functions of exactly this class in its present state."""
    kept = cls.__dict__.get(_KEPT)
    if kept is None:
        # This must come before the snapshot, which would notice the change.
        type.__setattr__(cls, _KEPT, None)
    elif kept.hold():
        functions: ItemFunctions = kept
        return functions
    # Two threads may both do this. Their results are equal, and one of them is kept.
    functions = ItemFunctions(cls)
    type.__setattr__(cls, _KEPT, functions)
    return functions


def loader_of(cls: type[_models.Model]) -> Load | None:
    """The function that makes instances of the items of one answer; None if only PynamoDB itself can do this."""
    functions = functions_of(cls)
    load = functions.load
    return _by_discriminator(cls) if functions.chooses_class and load is not None else load


def is_self_contained(cls: type[_models.Model]) -> bool:
    """Whether instances of this class, and of classes that share its table, are made without code of the
    application."""
    return all(functions_of(each).are_self_contained for each in _pynamodb.sharing_table(cls))


def loader_if_worthwhile(cls: type[_models.Model]) -> Load | None:
    """Like `loader_of`, for a single item. PynamoDB itself makes the first instance of a class.

    To generate the functions of a class takes as long as to make a hundred instances, and a process may make only one
    get.
    """
    if _KEPT not in cls.__dict__:
        type.__setattr__(cls, _KEPT, None)
        return None
    return loader_of(cls)


def serializer_of(cls: type[_models.Model]) -> Serialize | None:
    """The function that makes items of instances of exactly this class; None if only PynamoDB itself can do this."""
    return functions_of(cls).serialize


def batch_serializer_of(cls: type) -> Serialize | None:
    """Like `serializer_of`, for all instances of a batch. None if PynamoDB would call a method that is not its own or
    ours."""
    if not issubclass(cls, _models.Model):  # PynamoDB accepts any object with a method `serialize`
        return None
    return serializer_of(cls) if is_short_cut(_pynamodb.container_serializer_of(cls)) else None


def _by_discriminator(cls: type[_models.Model]) -> Load:
    """A loader for items of which each names its own class."""
    loads: dict[type, Load] = {}

    def load(item: dict[str, Any]) -> Any:
        stored = _pynamodb.stored_class_of(cls, item)
        if stored not in loads:
            loads[stored] = functions_of(stored).load or (lambda item: _pynamodb.make_instance(stored, item))
        return loads[stored](item)

    return load
