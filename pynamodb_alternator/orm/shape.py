"""The shape of a model or a map: what a short cut must know about it. Some classes allow no short cut.

A class allows a short cut if all methods that the short cut leaves out are PynamoDB's own: those that make instances,
those that set and get attributes, and the metaclass's call. An application's own attributes are not left out: their
methods are called as PynamoDB calls them.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pynamodb import attributes, models
from pynamodb.attributes import Attribute, AttributeContainer, ListAttribute, MapAttribute

from . import _pynamodb
from .unchanged import Snapshot, are_same, hooks_of, is_defined_in, static_attribute

__all__ = ["Field", "Shape", "shape_of"]

_FREE = tuple({type(attribute): None for attribute in attributes.DESERIALIZE_CLASS_MAP.values()})
"""The classes of attributes for values in maps and lists without declared attributes."""
_OWN_TYPES = frozenset(
    {
        *_FREE,
        attributes.JSONAttribute,
        attributes.UTCDateTimeAttribute,
        attributes.VersionAttribute,
    }
) - {attributes.NullAttribute}
"""Attributes of PynamoDB whose values a short cut converts itself."""
_FREE_MAPS: tuple[Any, ...] = (attributes.DESERIALIZE_CLASS_MAP, attributes.SERIALIZE_CLASS_MAP)
_IN_PLACE_OF_METHODS = frozenset({"get_value", "deserialize", "serialize", "attr_type"})
_OF_PYTHON_ALONE = (bool, dict, float, int, list, set, str)
"""Functions that are allowed as defaults, because they call no code of the application."""
_METACLASS_HOOKS = ("__call__", "__getattribute__")


_WATCHED: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (attributes, _pynamodb.MODULE_NAMES),
    (json, _pynamodb.JSON_NAMES),
)
_ORIGINAL: dict[Any, list[Any]] = {
    models.Model: hooks_of(models.Model, _pynamodb.MODEL_HOOKS),
    AttributeContainer: hooks_of(AttributeContainer, _pynamodb.CONTAINER_HOOKS),
    **{kind: hooks_of(kind, _pynamodb.VALUE_HOOKS) for kind in (Attribute, *_OWN_TYPES, attributes.NullAttribute)},
}
"""The objects that PynamoDB had when this module was loaded."""
_ORIGINAL_NAMES = [[vars(module)[name] for name in names] for module, names in _WATCHED]
_ORIGINAL_MAP = hooks_of(MapAttribute, _pynamodb.MAP_HOOKS)
_ORIGINAL_FREE = [list(map(id, free.values())) for free in _FREE_MAPS]
_OF_PYTHON = type(object.__init__) | type(object.__new__)


def _is_original() -> bool:
    """Whether PynamoDB's methods were unchanged when this module was loaded."""
    own = (attributes, models)
    hooks = [hook for hooks in (*_ORIGINAL.values(), _ORIGINAL_MAP) for hook in hooks]
    methods = [hook for hook in hooks if not isinstance(hook, _OF_PYTHON | str | bool | None)]
    (_, datetime, timezone, _, get_class), (loads, dumps, decoder) = _ORIGINAL_NAMES
    return (
        all(any(is_defined_in(module, method) for module in own) for method in (*methods, get_class))
        and all(is_defined_in(json, function) for function in (loads, dumps))
        # A class that a test puts in place of another one, such as a frozen clock, has a metaclass of its own.
        and all(type(kind) is type for kind in (datetime, timezone, decoder))
    )


_ALLOWED = _pynamodb.IS_KNOWN and _is_original()


class Field(NamedTuple):
    """One attribute of a model or a map.

    `name`: the Python name of the attribute. `key`: the key of its value in an instance. `wire`: its name in the table.
    `kind`: which of PynamoDB's attributes it is; None if only its own methods can convert it. `inner`: the shape of the
    map, or of the maps in the list. `element`: the class of the list's elements, if it is declared.
    """

    attribute: Attribute[Any]
    name: str
    key: str
    wire: str
    kind: type[Attribute[Any]] | None
    sets_plainly: bool
    gets_plainly: bool
    inner: Shape | None = None
    element: type[Attribute[Any]] | None = None

    @property
    def is_self_contained(self) -> bool:
        """Whether its values and defaults come without the application's own code."""
        default = self.attribute.default
        makes_default = callable(default) and default not in _OF_PYTHON_ALONE
        return self.kind is not None and not makes_default and (self.inner is None or self.inner.is_self_contained)


class Shape:
    """A model or a map with its attributes, in the order in which PynamoDB goes through them."""

    __slots__ = ("cls", "fields")

    def __init__(self, cls: type[AttributeContainer]) -> None:
        self.cls: type[AttributeContainer] = cls
        self.fields: list[Field] = []

    @property
    def is_map(self) -> bool:
        return issubclass(self.cls, MapAttribute)

    @property
    def is_self_contained(self) -> bool:
        """Whether instances are made without the application's own code."""
        return all(field.is_self_contained for field in self.fields)


def shape_of(cls: type[models.Model], snapshot: Snapshot) -> Shape | None:
    """The shape of a model, or None if it allows no short cut. Everything on which this depends is added to
    `snapshot`."""
    snapshot.watch_class(AttributeContainer, _pynamodb.CONTAINER_HOOKS)
    for module, names in _WATCHED:
        snapshot.watch_namespace(module, names)
    shape = None
    if _ALLOWED and _is_as_it_was():
        shape = _Shapes(snapshot).shape(cls, _pynamodb.MODEL_HOOKS, models.Model, _ORIGINAL[models.Model])
    snapshot.take()
    return shape


def _is_as_it_was() -> bool:
    now = [[vars(module)[name] for name in names] for module, names in _WATCHED]
    return all(map(are_same, now, _ORIGINAL_NAMES)) and are_same(
        hooks_of(AttributeContainer, _pynamodb.CONTAINER_HOOKS), _ORIGINAL[AttributeContainer]
    )


def _behind_models(cls: type) -> list[type]:
    """Classes of an application that come after PynamoDB's `Model` in the order of classes."""
    behind = cls.__mro__[cls.__mro__.index(models.Model) + 1 :] if models.Model in cls.__mro__ else ()
    return [base for base in behind if base not in models.Model.__mro__]


class _Shapes:
    """The shapes of one model and of the maps in it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._maps: dict[type, Shape | None] = {}
        self._types: dict[type, bool] = {}
        self._are_free_allowed: bool | None = None

    def shape(self, cls: Any, names: tuple[str, ...], stock: type, original: list[Any]) -> Shape | None:
        fields = _pynamodb.attributes_of(cls)
        self._snapshot.watch_class(cls, names)
        self._watch_fields(cls, fields)
        if not are_same(hooks_of(cls, names), original) or not self._is_made_as_usual(cls, stock):
            return None
        if any(static_attribute(cls, name) is not attribute for name, attribute in fields.items()):
            return None
        shape = Shape(cls)
        for name, attribute in fields.items():
            made = self._field(cls, name, attribute)
            if made is None:
                return None
            shape.fields.append(made)
        return shape

    def _watch_fields(self, cls: Any, fields: dict[str, Attribute[Any]]) -> None:
        self._snapshot.watch_class(cls, fields, objects=True)
        self._snapshot.watch_size(fields)
        self._snapshot.watch_state(_pynamodb.python_names_of(cls))

    def _is_made_as_usual(self, cls: type, stock: type) -> bool:
        metaclass = type(cls)
        if metaclass is not type(stock):
            self._snapshot.watch_class(metaclass, _METACLASS_HOOKS)
        # Classes that PynamoDB reaches by `super`, such as a mixin after `Model`, must not override anything either.
        others = [base for base in cls.__mro__ if base not in stock.__mro__]
        return (
            all(static_attribute(metaclass, name) is vars(type)[name] for name in _METACLASS_HOOKS)
            and not any(hasattr(cls, name) for name in _pynamodb.MUST_BE_ABSENT)
            and not any(_pynamodb.INIT_HOOKS & vars(base).keys() for base in others)
            and not any(_pynamodb.BEHIND_MODELS & vars(base).keys() for base in _behind_models(cls))
        )

    def _field(self, cls: Any, name: str, attribute: Attribute[Any]) -> Field | None:
        kind = type(attribute)
        getter, setter, *names = hooks_of(kind, _pynamodb.ATTRIBUTE_HOOKS)
        original_getter, original_setter, *original_names = _ORIGINAL[Attribute][: len(names) + 2]
        if kind not in self._types:
            self._snapshot.watch_class(kind, _pynamodb.ATTRIBUTE_HOOKS)
        if not are_same(names, original_names):
            return None
        wire = attribute.attr_name
        # As in PynamoDB's descriptors: attributes with the same `attr_name` share a value, under one Python name.
        key = _pynamodb.python_names_of(cls).get(wire, wire)
        plain = Field(
            attribute,
            name,
            key,
            wire,
            None,
            sets_plainly=setter is original_setter,
            gets_plainly=getter is original_getter,
        )
        own = self._own_field(plain)
        if own is not None:
            self._snapshot.watch_state(vars(attribute))
        else:  # nothing else is stored of an application's own attribute
            self._snapshot.watch_state({"attr_path": attribute.attr_path})
            self._snapshot.watch_objects(vars(attribute), ["attr_path"])
        return own or plain

    def _own_field(self, plain: Field) -> Field | None:
        """The field of an attribute that a short cut converts itself, or None."""
        attribute = plain.attribute
        if not _IN_PLACE_OF_METHODS.isdisjoint(vars(attribute)):
            return None
        kind, inner, element = self._own_type(type(attribute)), None, None
        if kind is None:
            return None
        if isinstance(attribute, MapAttribute) and type(attribute) is not MapAttribute:
            inner = self._map(type(attribute))
            if inner is None:
                return None
        elif isinstance(attribute, ListAttribute) and attribute.element_type is not None:
            element = self._own_type(attribute.element_type)
            if element is MapAttribute and attribute.element_type is not MapAttribute:
                inner = self._map(attribute.element_type)
            if element is None or (element is MapAttribute and inner is None):
                return None
        elif isinstance(attribute, ListAttribute | MapAttribute) and not self._free():
            return None
        return Field(
            attribute,
            plain.name,
            plain.key,
            plain.wire,
            kind,
            sets_plainly=plain.sets_plainly,
            gets_plainly=plain.gets_plainly,
            inner=inner,
            element=element,
        )

    def _own_type(self, kind: Any) -> type[Attribute[Any]] | None:
        """Which of PynamoDB's own attributes this class is; None if it is another class, or was changed."""
        original: Any = MapAttribute if issubclass(kind, MapAttribute) else kind
        if original not in _OWN_TYPES:
            return None
        # Its bases must be unchanged too, because it calls them by `super`.
        bases = [base for base in original.__mro__[1:] if issubclass(base, Attribute)]
        if all(self._is_unchanged(base, _ORIGINAL[base]) for base in bases):
            return original if self._is_unchanged(kind, _ORIGINAL[original]) else None
        return None

    def _is_unchanged(self, kind: type, original: list[Any]) -> bool:
        if kind not in self._types:
            self._snapshot.watch_class(kind, _pynamodb.VALUE_HOOKS)
            self._types[kind] = are_same(hooks_of(kind, _pynamodb.VALUE_HOOKS), original)
        return self._types[kind]

    def _map(self, kind: Any) -> Shape | None:
        """The shape of a class of maps that declares its attributes, if it allows a short cut."""
        if kind not in self._maps:
            self._maps[kind] = None  # a map that contains itself has no shape
            made = self.shape(kind, _pynamodb.MAP_HOOKS, MapAttribute, _ORIGINAL_MAP)
            self._maps[kind] = None if _pynamodb.discriminator_of(kind) else made
        return self._maps[kind]

    def _free(self) -> bool:
        """Whether values in maps and lists without declared attributes are converted by PynamoDB's own attributes."""
        if self._are_free_allowed is None:
            for free in _FREE_MAPS:
                self._snapshot.watch_objects(free, free)
            kinds = [self._is_unchanged(kind, _ORIGINAL[kind]) for kind in _FREE]
            self._snapshot.watch_class(MapAttribute, _pynamodb.MAP_HOOKS)
            maps_are_same = are_same(hooks_of(MapAttribute, _pynamodb.MAP_HOOKS), _ORIGINAL_MAP)
            now = [list(map(id, free.values())) for free in _FREE_MAPS]
            self._are_free_allowed = all(kinds) and maps_are_same and now == _ORIGINAL_FREE
        return self._are_free_allowed
