"""Generates the source of the function that makes an item of an instance: for one model, and for the maps in it.

PynamoDB gets each value from the attribute's descriptor, and its attribute value from the attribute. The generated
function reads the values directly from the instance, and converts values of the usual types itself. For any other
value, and for an application's own attributes, PynamoDB's own methods run: `wire_values.add_value`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pynamodb import attributes as attr
from pynamodb.attributes import Attribute
from pynamodb.exceptions import AttributeNullError

from . import wire_values
from .generated import Source
from .shape import Field, Shape

__all__ = ["serializer_source"]

_USUAL: dict[type[Attribute[Any]], tuple[str, str]] = {
    attr.UnicodeAttribute: ("type(value) is str", "value"),
    attr.BooleanAttribute: ("value is True or value is False", "value"),
    # Infinity and NaN are left out.
    attr.NumberAttribute: ("(kind := type(value)) is int or (kind is float and value - value == 0)", "f'{value!r}'"),
    attr.VersionAttribute: ("type(value) is int", "f'{value!r}'"),
    attr.UnicodeSetAttribute: ("type(value) is set and value", "list(value)"),
    attr.NumberSetAttribute: ("type(value) is set and value", "dump_numbers(value)"),
    attr.BinaryAttribute: ("type(value) is bytes", "value"),
    attr.BinarySetAttribute: ("type(value) is set and value", "list(value)"),
}
"""By the class of an attribute: the test for a usual value, and the expression that converts it. An empty set is not
usual, because it may be a missing value."""
_ASKED: dict[type[Attribute[Any]], str] = {
    attr.UTCDateTimeAttribute: "dump_utc(value)",
    attr.ListAttribute: "dump_free_list(value)",
    attr.MapAttribute: "dump_free_map(value)",
}
"""Functions that return None for a value that is not usual."""


def serializer_source(source: Source, shape: Shape) -> str:
    """Write the function, and return its name. It takes an instance and `null_check`, and returns an item."""
    return _Serializer(source).write(shape)


class _Serializer:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._written: dict[type, str] = {}
        self._checks: dict[type, str] = {}

    def write(self, shape: Shape) -> str:
        """Write the function for this class, and before it those for the maps in it. Returns its name."""
        for field in shape.fields:
            if field.inner is not None and field.inner.cls not in self._written:
                self.write(field.inner)
        source = self._source
        cls = source.name(shape.cls.__name__, shape.cls)
        function = self._written[shape.cls] = f"dump_{cls}"
        with source.block(f"def {function}(instance, null_check):"):
            source.add("get = instance.attribute_values.get", "wire = {}")
            for field in shape.fields:
                self._field(field)
            source.add("return wire")
        if shape.is_map:
            self._check(shape, f"check_{cls}")
        return function

    def _check(self, shape: Shape, function: str) -> None:
        """Write the check for missing values, which comes before any value is serialized, as PynamoDB's
        `MapAttribute.validate` does it."""
        source = self._source
        self._checks[shape.cls] = function
        with source.block(f"def {function}(instance):"):
            source.add("get = instance.attribute_values.get")
            for field in shape.fields:
                # An application's own attribute decides at run time whether it may be null.
                may_be_null = None if field.kind is None else bool(field.attribute.null)
                if may_be_null:
                    continue
                asked = "" if may_be_null is False else f" and not {self._attribute(field)}.null"
                with source.block(f"if {_value_of(field)} is None{asked}:"):
                    source.add(f"raise {self._null_error()}({field.name!r})")

    def _field(self, field: Field) -> None:
        source = self._source
        source.add(f"value = {_value_of(field)}")
        target, tag = f"wire[{field.wire!r}]", repr(field.attribute.attr_type)
        as_ever = f"{self._helper('add_value')}(wire, {self._attribute(field)}, {field.name!r}, value, null_check)"
        usual = self._usual(field)
        if usual is not None:
            condition, expression = usual
            with source.block(f"if {condition}:"):
                source.add(f"{target} = {{{tag}: {expression}}}")
        elif field.kind is attr.MapAttribute and field.inner is not None:
            self._map(field, target)
        elif (asked := self._asked(field)) is not None:
            if field.inner is None:
                source.add(f"form = {asked}")
            else:
                with self._path_of_errors(field):
                    source.add(f"form = {asked}")
            with source.block("if form is not None:"):
                source.add(f"{target} = {{{tag}: form}}")
        else:
            source.add(as_ever)
            return
        may_be_null = bool(field.attribute.null)
        with source.block("elif value is not None:" if may_be_null else "elif value is not None or null_check:"):
            source.add(as_ever)

    def _usual(self, field: Field) -> tuple[str, str] | None:
        if field.kind not in _USUAL or getattr(field.attribute, "legacy_encoding", False):
            return None
        if field.kind is attr.NumberSetAttribute:
            self._helper("dump_numbers")
        return _USUAL[field.kind]

    def _map(self, field: Field, target: str) -> None:
        source, inner = self._source, field.inner
        assert inner is not None
        cls = source.name(inner.cls.__name__, inner.cls)
        with source.block(f"if type(value) is {cls}:"), self._path_of_errors(field):
            with source.block("if null_check:"):
                source.add(f"{self._checks[inner.cls]}(value)")
            source.add(f"{target} = {{'M': {self._written[inner.cls]}(value, null_check)}}")

    @contextmanager
    def _path_of_errors(self, field: Field) -> Iterator[None]:
        """A context manager: code that is added inside has the path to a missing value in its error."""
        with self._source.block("try:"):
            yield
        with self._source.block(f"except {self._null_error()} as error:"):
            self._source.add(f"error.prepend_path({field.name!r})", "raise")

    def _asked(self, field: Field) -> str | None:
        """The expression that converts a usual value, and is None for any other value."""
        if field.kind not in _ASKED:
            return None
        if field.kind is not attr.ListAttribute or field.attribute.element_type is None:
            expression = _ASKED[field.kind]
        elif field.inner is not None:
            cls = self._source.name(field.inner.cls.__name__, field.inner.cls)
            expression = f"dump_maps(value, {cls}, {self._written[field.inner.cls]}, null_check)"
        elif field.element in (attr.UnicodeAttribute, attr.NumberAttribute):
            expression = f"dump_scalars(value, {field.element is attr.UnicodeAttribute})"
        else:
            return None
        self._helper(expression.partition("(")[0])
        return expression

    def _attribute(self, field: Field) -> str:
        return self._source.name(f"{field.name}_attribute", field.attribute)

    def _null_error(self) -> str:
        return self._source.name("AttributeNullError", AttributeNullError)

    def _helper(self, name: str) -> str:
        return self._source.name(name, getattr(wire_values, name))


def _value_of(field: Field) -> str:
    # Maps and versions have descriptors of their own, which return the stored value, except for a version that is a
    # float.
    is_there = field.gets_plainly or field.kind in (attr.MapAttribute, attr.VersionAttribute)
    return f"get({field.key!r})" if is_there else f"getattr(instance, {field.name!r})"
