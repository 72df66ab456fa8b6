"""Generates the source of the function that makes an instance of an item: for one model, and for the maps in it.

PynamoDB makes an instance with its defaults, then sets the defaults again, and then sets each attribute through its
descriptor. The generated function puts the values directly into the instance. Defaults, and the values of an
application's own attributes, still come from the attribute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pynamodb import attributes as attr
from pynamodb.attributes import Attribute

from . import wire_values
from .generated import Source
from .shape import Field, Shape

__all__ = ["loader_source"]

_VALUES: dict[type[Attribute[Any]], str] = {
    attr.UnicodeAttribute: "{}",
    attr.BooleanAttribute: "True if {} else False",
    attr.NumberAttribute: "load_number({})",
    attr.VersionAttribute: "int(load_number({}))",
    attr.JSONAttribute: "load_json({})",
    attr.UTCDateTimeAttribute: "load_utc({})",
    attr.UnicodeSetAttribute: "set({})",
    attr.NumberSetAttribute: "{{load_number(number) for number in {}}}",
    attr.BinaryAttribute: "{}",
    attr.BinarySetAttribute: "set({})",
}
"""By the class of an attribute: the expression that converts its value."""
_ELEMENTS: dict[type[Attribute[Any]], Callable[[Any], Any]] = {
    attr.UnicodeAttribute: lambda text: text,
    attr.BooleanAttribute: bool,
    attr.NumberAttribute: wire_values.load_number,
    attr.UTCDateTimeAttribute: wire_values.load_utc,
}
"""By the class of an attribute: the expression that converts an element of a list."""


def loader_source(source: Source, shape: Shape) -> str:
    """Write the function, and return its name. It takes an item and returns an instance."""
    loader = _Loader(source)
    return loader.write(shape)


class _Loader:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._written: dict[type, str] = {}

    def write(self, shape: Shape) -> str:
        """Write the function for this class, and before it those for the maps in it. Returns its name."""
        for field in shape.fields:
            if field.inner is not None and field.inner.cls not in self._written:
                self.write(field.inner)
        source = self._source
        cls = source.name(shape.cls.__name__, shape.cls)
        function = f"load_{cls}"
        self._written[shape.cls] = function
        new = source.name("new", object.__new__)
        with source.block(f"def {function}(item):"):
            # A value that is not a dict is read as PynamoDB reads it, or raises PynamoDB's errors.
            with source.block("if type(item) is not dict:"):
                names = tuple(field.wire for field in shape.fields)
                source.add(f"item = {{name: item.get(name) for name in {names!r}}}")
            if not shape.is_map and _is_made_at_once(shape):
                self._at_once(shape, f"{new}({cls})")
            source.add(f"instance = {new}({cls})")
            if shape.is_map:
                # `__dict__` is not used, because this would make another object for each instance.
                put = source.name("put", object.__setattr__)
                source.add("values = {}", f"{put}(instance, 'attribute_kwargs', {{}})")
                source.add(f"{put}(instance, 'attribute_values', values)")
            else:
                source.add("values = instance.attribute_values = {}")
            if any(isinstance(field.attribute, attr.DiscriminatorAttribute) for field in shape.fields):
                source.add("instance._set_discriminator()")
            for field in shape.fields:
                self._default(shape, field)
            for field in shape.fields:
                self._value(field)
            source.add("return instance")
        return function

    def _at_once(self, shape: Shape, instance: str) -> None:
        """Write the part for an item that has all attributes with usual values: one dict display, which makes a dict of
        its final size."""
        source = self._source
        # The same order as in PynamoDB: attributes with a default come first.
        fields = sorted(shape.fields, key=lambda field: field.attribute.default is None)
        with source.block(f"if len(item) >= {len(fields)}:"):
            with source.block("try:"):
                for number, field in enumerate(fields):
                    source.add(f"wire_{number} = item[{field.wire!r}]")
                nulls = " or ".join(f"'NULL' in wire_{number}" for number in range(len(fields)))
                with source.block(f"if {nulls}:"):
                    source.add("raise LookupError")
                display = [f"{field.key!r}: {self._at_hand(field, number)}" for number, field in enumerate(fields)]
                source.add(f"values = {{{', '.join(display)}}}")
            with source.block("except Exception:"):
                source.add("pass")
            with source.block("else:"):
                source.add(f"instance = {instance}", "instance.attribute_values = values", "return instance")

    def _at_hand(self, field: Field, number: int) -> str:
        """The expression of one value. The checks that must come before it are added to the source."""
        source, value = self._source, f"wire_{number}[{field.attribute.attr_type!r}]"
        if field.kind is attr.NumberAttribute:
            source.add(f"value_{number}, end = {self._helper('scan_json')}(text := {value}, 0)")
            strange = "end != len(text)"
        elif _is_raw(field):
            source.add(f"value_{number} = {self._expression(field, value)}")
            strange = f"type(value_{number}) is dict"
        else:
            return self._expression(field, value)
        with source.block(f"if {strange}:"):
            source.add("raise LookupError")
        return f"value_{number}"

    def _attribute(self, field: Field) -> str:
        return self._source.name(f"{field.name}_attribute", field.attribute)

    def _default(self, shape: Shape, field: Field) -> None:
        """Write the part that gets the default from the attribute, for each instance."""
        source = self._source
        # A snapshot compares these by equality. 1 equals True, but nothing else equals None.
        is_watched = field.kind is not None and field.kind is not attr.MapAttribute
        if is_watched and field.attribute.default is None:
            return
        source.add(f"value = {self._attribute(field)}.default")
        if not is_watched:
            with source.block("if callable(value):"):
                source.add("value = value()")
        elif callable(field.attribute.default):
            source.add("value = value()")
        with source.block("if value is not None:"):
            source.add(self._set(field, "value"))

    def _value(self, field: Field) -> None:
        source = self._source
        with source.block(f"if {field.wire!r} in item and (wire := item[{field.wire!r}]) and 'NULL' not in wire:"):
            as_ever = f"{self._attribute(field)}.deserialize({self._attribute(field)}.get_value(wire))"
            if field.kind is None:
                source.add(self._set(field, as_ever))
                return
            tag = repr(field.attribute.attr_type)
            with source.block(f"if {tag} in wire:"):
                self._usual(field, f"wire[{tag}]")
            with source.block("else:"):
                source.add(self._set(field, as_ever))

    def _usual(self, field: Field, value: str) -> None:
        source = self._source
        if field.kind is attr.NumberAttribute:
            self._number(field, value)
        elif _is_raw(field):
            source.add(f"value = {self._expression(field, value)}")
            with source.block("if type(value) is dict:"):
                source.add(self._set(field, "value"))
            with source.block("else:"):
                source.add(f"{_target(field)} = value")
        else:
            source.add(f"{_target(field)} = {self._expression(field, value)}")

    def _expression(self, field: Field, value: str) -> str:
        """The expression that converts a usual value."""
        attribute = field.attribute
        if isinstance(attribute, attr.BinaryAttribute | attr.BinarySetAttribute) and attribute.legacy_encoding:
            return f"{self._attribute(field)}.deserialize({value})"
        if isinstance(attribute, attr.ListAttribute):
            return self._list(field, value)
        if field.inner is not None:
            return f"{self._written[field.inner.cls]}({value})"
        if _is_raw(field):
            return f"{self._helper('load_free_map')}({self._attribute(field)}, {value})"
        assert field.kind is not None
        expression = _VALUES[field.kind]
        for helper in ("load_number", "load_json", "load_utc"):
            if helper in expression:
                self._helper(helper)
        return expression.format(value)

    def _number(self, field: Field, value: str) -> None:
        """Write the code of `load_number` directly into the function, because numbers are frequent."""
        source, scan = self._source, self._helper("scan_json")
        source.add(f"text = {value}")
        with source.block("try:"):
            source.add(f"value, end = {scan}(text, 0)")
        with source.block("except Exception:"):
            source.add("end = None")
        with source.block("if end is not None and end == len(text):"):
            source.add(f"{_target(field)} = value")
        with source.block("else:"):
            source.add(f"{_target(field)} = {self._helper('load_number')}(text)")

    def _list(self, field: Field, value: str) -> str:
        attribute = self._attribute(field)
        if field.inner is not None:
            return f"{self._helper('load_elements')}({attribute}, {value}, 'M', {self._written[field.inner.cls]})"
        if field.element is None:
            return f"{self._helper('load_free_list')}({attribute}, {value})"
        if field.element not in _ELEMENTS:
            return f"{attribute}.deserialize({value})"
        convert = self._source.name("convert", _ELEMENTS[field.element])
        tag = field.element.attr_type
        return f"{self._helper('load_elements')}({attribute}, {value}, {tag!r}, {convert})"

    def _set(self, field: Field, value: str) -> str:
        """The statement that sets a value of the instance as PynamoDB would."""
        if field.sets_plainly:
            return f"{_target(field)} = {value}"
        return f"setattr(instance, {field.name!r}, {value})"

    def _helper(self, name: str) -> str:
        return self._source.name(name, getattr(wire_values, name))


def _is_raw(field: Field) -> bool:
    """Whether it is a map without declared attributes."""
    return field.kind is attr.MapAttribute and field.inner is None


def _is_made_at_once(shape: Shape) -> bool:
    """Whether values may be converted and then discarded if one of them is not usual. This is allowed only if no code
    of the application is called."""
    keys, names = {field.key for field in shape.fields}, {field.wire for field in shape.fields}
    return len(keys) == len(names) == len(shape.fields) > 0 and all(map(_is_pure, shape.fields))


def _is_pure(field: Field) -> bool:
    default = field.attribute.default
    return (
        field.kind is not None
        and (default is None or (field.sets_plainly and not callable(default)))
        and (field.inner is None or all(map(_is_pure, field.inner.fields)))
    )


def _target(field: Field) -> str:
    return f"values[{field.key!r}]"
