"""Items into model instances, without the work that PynamoDB does twice for each.

PynamoDB makes an instance with its defaults, then sets the defaults again, and then each attribute through its
descriptor. For a model that changes nothing of this, the values are put into the instance at once; what turns one
value of the wire into one of Python is the attributes' own `get_value` and `deserialize`. Any other model goes
PynamoDB's way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pynamodb import models as _models
from pynamodb.attributes import Attribute
from pynamodb.constants import NULL

from ._pynamodb import INSTANCE_METHODS, has_discriminator, python_names_of

__all__ = ["ItemLoader", "item_loader_of"]

_PLAIN_CLASSES = frozenset(_models.Model.__mro__)
_PLAIN_SET = Attribute.__set__


class ItemLoader:
    """How to make an instance of one model: its attributes, and for each of them its names.

    What an attribute does and what its default is, is looked up for each item: both may be changed later, by the mocks
    of a test for example.
    """

    __slots__ = ("_attributes", "_cls", "_simple")

    def __init__(self, cls: type[_models.Model]) -> None:
        self._cls = cls
        self._attributes: list[tuple[Attribute[Any], str, str, _Set | None]] = []
        python_names = python_names_of(cls)
        for attribute in cls.get_attributes().values():
            # As PynamoDB's descriptors have it: attributes of one `attr_name` share a value, under one Python name.
            name = python_names.get(attribute.attr_name, attribute.attr_name)
            # A version or a time to live, which convert what is assigned to them.
            own_set = None if type(attribute).__set__ is _PLAIN_SET else attribute.__set__
            self._attributes.append((attribute, name, attribute.attr_name, own_set))
        self._simple = self._in_one_pass()

    def _in_one_pass(self) -> list[tuple[Attribute[Any], str, str]]:
        """The attributes, if one pass over them gives what PynamoDB's two give, the first of which sets the defaults.

        Those with a default come first, so that the values stand in the same order.
        """
        if any(own_set is not None for _, _, _, own_set in self._attributes):
            return []
        names = {name for _, name, _, _ in self._attributes}
        if len(names) < len(self._attributes):
            return []
        simple = [(attribute, name, wire_name) for attribute, name, wire_name, _ in self._attributes]
        return sorted(simple, key=lambda names: names[0].default is None)

    def make(self, item: dict[str, Any]) -> Any:
        """A new instance with the values of `item`, which is as the wire has it: ``{"name": {"S": "alice"}}``.

        Raises what PynamoDB raises for a value that an attribute cannot take.
        """
        instance = object.__new__(self._cls)
        values: dict[str, Any] = {}
        instance.attribute_values = values
        wire_value_of = item.get
        if self._simple:
            # Most models: no attribute has its own way to be set. A page is a thousand times this.
            for attribute, name, wire_name in self._simple:
                default = attribute.default
                if default is not None:
                    if callable(default):
                        default = default()
                    if default is not None:
                        values[name] = default
                wire_value = wire_value_of(wire_name)
                if wire_value and NULL not in wire_value:
                    values[name] = attribute.deserialize(attribute.get_value(wire_value))
            return instance
        for attribute, name, _, own_set in self._attributes:
            default = attribute.default
            if default is not None:
                if callable(default):
                    default = default()
                    if default is None:
                        continue
                if own_set is None:
                    values[name] = default
                else:
                    own_set(instance, default)
        for attribute, name, wire_name, own_set in self._attributes:
            wire_value = wire_value_of(wire_name)
            if wire_value and NULL not in wire_value:
                value = attribute.deserialize(attribute.get_value(wire_value))
                if own_set is None:
                    values[name] = value
                else:
                    own_set(instance, value)
        return instance


_Set = Callable[[Any, Any], None]


def item_loader_of(cls: type[_models.Model]) -> ItemLoader | None:
    """How to make instances of `cls`; None where only PynamoDB itself can."""
    if has_discriminator(cls):
        return None
    # What is left out here: a model must have it unchanged.
    if any(getattr(cls, name) is not method for name, method in INSTANCE_METHODS.items()):
        return None
    # Classes that PynamoDB reaches by `super` must not override them either: a mixin after the model, for example.
    if any(INSTANCE_METHODS.keys() & vars(base).keys() for base in cls.__mro__ if base not in _PLAIN_CLASSES):
        return None
    # PynamoDB's descriptors set nothing on an instance that is false.
    if hasattr(cls, "__bool__") or hasattr(cls, "__len__"):
        return None
    return ItemLoader(cls)
