"""The source of the function that makes an instance of an item: for one model, and for the maps in it.

PynamoDB makes an instance with its defaults, then sets the defaults again, and then each attribute through its
descriptor. Here the values are put into the instance at once. What a default is and what an application's own attribute
makes of a value is asked of the attribute, as ever.
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
    attr.JSONAttribute: "load_json({})",
    attr.UTCDateTimeAttribute: "load_utc({})",
    attr.UnicodeSetAttribute: "set({})",
    attr.NumberSetAttribute: "{{load_number(number) for number in {}}}",
}
"""What becomes of a value, by the attribute."""
_ELEMENTS: dict[type[Attribute[Any]], Callable[[Any], Any]] = {
    attr.UnicodeAttribute: lambda text: text,
    attr.BooleanAttribute: bool,
    attr.NumberAttribute: wire_values.load_number,
    attr.UTCDateTimeAttribute: wire_values.load_utc,
}
"""The same of a list's element."""


def loader_source(source: Source, shape: Shape) -> str:
    """Write the function, and return its name. It takes an item and returns an instance."""
    loader = _Loader(source)
    return loader.write(shape)


class _Loader:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._written: dict[type, str] = {}

    def write(self, shape: Shape) -> str:
        """The function for this class, and before it those for the maps in it."""
        for field in shape.fields:
            if field.inner is not None and field.inner.cls not in self._written:
                self.write(field.inner)
        source = self._source
        cls = source.name(shape.cls.__name__, shape.cls)
        function = f"load_{cls}"
        self._written[shape.cls] = function
        new = source.name("new", object.__new__)
        with source.block(f"def {function}(item):"):
            source.add(f"instance = {new}({cls})")
            if shape.is_map:
                source.add("state = instance.__dict__", "state['attribute_kwargs'] = {}")
                source.add("values = state['attribute_values'] = {}")
            else:
                source.add("values = instance.attribute_values = {}")
            if any(isinstance(field.attribute, attr.DiscriminatorAttribute) for field in shape.fields):
                source.add("instance._set_discriminator()")
            for field in shape.fields:
                self._default(shape, field)
            # What is no dict is looked at as PynamoDB does, or raises its errors.
            with source.block("if type(item) is not dict:"):
                source.add(
                    f"item = {{name: item.get(name) for name in {tuple(field.wire for field in shape.fields)!r}}}"
                )
            for field in shape.fields:
                self._value(field)
            source.add("return instance")
        return function

    def _attribute(self, field: Field) -> str:
        return self._source.name(f"{field.name}_attribute", field.attribute)

    def _default(self, shape: Shape, field: Field) -> None:
        """What the attribute's default is, is asked for each instance."""
        source = self._source
        # A snapshot compares the state of these. One million equals True, but None equals nothing else.
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
        source, attribute = self._source, field.attribute
        if isinstance(attribute, attr.VersionAttribute):
            source.add(f"value = {self._helper('load_number')}({value})", f"{_target(field)} = int(value)")
        elif isinstance(attribute, attr.BinaryAttribute | attr.BinarySetAttribute):
            self._binary(field, value)
        elif isinstance(attribute, attr.ListAttribute):
            source.add(f"{_target(field)} = {self._list(field, value)}")
        elif field.inner is not None:
            source.add(f"{_target(field)} = {self._written[field.inner.cls]}({value})")
        elif isinstance(attribute, attr.MapAttribute):
            source.add(f"value = {self._helper('load_free_map')}({self._attribute(field)}, {value})")
            with source.block("if type(value) is dict:"):
                source.add(self._set(field, "value"))
            with source.block("else:"):
                source.add(f"{_target(field)} = value")
        else:
            assert field.kind is not None
            if field.kind is attr.NumberAttribute:
                self._number(field, value)
                return
            expression = _VALUES[field.kind]
            for helper in ("load_number", "load_json", "load_utc"):
                if helper in expression:
                    self._helper(helper)
            source.add(f"{_target(field)} = {expression.format(value)}")

    def _number(self, field: Field, value: str) -> None:
        """As `load_number`, here and now: numbers are frequent."""
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

    def _binary(self, field: Field, value: str) -> None:
        if field.attribute.legacy_encoding:  # type: ignore[attr-defined]
            value = f"{self._attribute(field)}.deserialize({value})"
        elif isinstance(field.attribute, attr.BinarySetAttribute):
            value = f"set({value})"
        self._source.add(f"{_target(field)} = {value}")

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
        """The statement that gives the instance a value, as PynamoDB would."""
        if field.sets_plainly:
            return f"{_target(field)} = {value}"
        return f"setattr(instance, {field.name!r}, {value})"

    def _helper(self, name: str) -> str:
        return self._source.name(name, getattr(wire_values, name))


def _target(field: Field) -> str:
    return f"values[{field.key!r}]"
