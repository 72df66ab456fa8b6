"""Random shapes of models, built alike over PynamoDB's `Model` and over ours, and values to load and save."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st
from pynamodb import attributes as attr

# ---- attributes of an application --------------------------------------------------------------------------------


class Upper(attr.UnicodeAttribute):
    """With its own way to and from the wire."""

    def serialize(self, value: Any) -> Any:
        return value.lower()

    def deserialize(self, value: Any) -> Any:
        return value.upper()


class Doubled(attr.NumberAttribute):
    """With its own way to be set, and to be read."""

    def __set__(self, instance: Any, value: Any) -> None:
        super().__set__(instance, None if value is None else value * 2)

    def __get__(self, instance: Any, owner: Any) -> Any:
        value = super().__get__(instance, owner)
        return value + 1 if isinstance(value, int) else value


class Lenient(attr.UnicodeAttribute):
    """With its own way to find the value."""

    def get_value(self, value: dict[str, Any]) -> Any:
        return str(next(iter(value.values())))


class Required(attr.UnicodeSetAttribute):
    null = False


class Plain(attr.MapAttribute):
    text = attr.UnicodeAttribute()
    number = attr.NumberAttribute(null=True, attr_name="n", default=3)
    many = attr.ListAttribute(null=True)


class Nested(attr.MapAttribute):
    plain = Plain()
    plains = attr.ListAttribute(of=Plain, null=True)
    own = Upper(null=True)
    free = attr.MapAttribute(null=True, default=dict)
    version = attr.VersionAttribute()
    made = attr.UnicodeAttribute(default=lambda: "made", attr_name="text")


class Changed(attr.MapAttribute):
    text = attr.UnicodeAttribute(null=True)

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.__dict__["initialised"] = True


class Checked(attr.MapAttribute):
    text = attr.UnicodeAttribute(null=True)

    def validate(self, *, null_check: bool = False) -> bool:
        return super().validate(null_check=null_check) and self.text != "wrong"


class Dynamic(attr.DynamicMapAttribute):
    text = attr.UnicodeAttribute(null=True)


class Shape(attr.MapAttribute):
    kind = attr.DiscriminatorAttribute()


class Circle(Shape, discriminator="circle"):
    radius = attr.NumberAttribute()


class Square(Shape, discriminator="square"):
    side = attr.NumberAttribute(null=True)


@dataclass(frozen=True)
class Kind:
    """How to make an attribute, its defaults, and what it may meet on the wire and in Python."""

    make: Callable[..., Any]
    defaults: tuple[Any, ...]
    wire: st.SearchStrategy[Any]
    values: st.SearchStrategy[Any]


def _wire(tag: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values.map(lambda value: {tag: value})


texts = st.text(max_size=4) | st.sampled_from(["wrong", "ß", "\ud800"])
numbers = st.one_of(
    st.integers().map(str),
    st.floats().map(json.dumps),
    st.sampled_from(["007", " 1", "1 ", "1e400", "x", "", "1_0", "٣", "true", '"t"', "[1]", "9" * 30, "-0"]),
)
times = st.sampled_from(
    [
        "2026-11-21T03:15:45.000001+0000",
        "2026-11-21T24:00:00.000000+0000",
        "2026-11-21T03:15:45,000001+0000",
        "2026-W47-6T03:15:45.00000+0000",
        "2026-11-21 03:15:45.000001+0000",
        "999-11-21T03:15:45.000001+0000",
        "0999-11-21T03:15:45.000001+0000",
        "2026-11-21T03:15:45.000001+0100",
        "2026-1 -21T03:15:45.000001+0000",
        "2026-11-21T03:15:45.00000x+0000",
        "yesterday",
    ]
)
binaries = st.binary(max_size=3)
_keys = st.sampled_from(
    ["default", "null", "self", "_user_instantiated", "attributes", "text", "a", "attribute_values"]
)
free_wire: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        _wire("S", texts),
        _wire("N", numbers),
        _wire("BOOL", st.booleans()),
        _wire("SS", st.lists(texts, max_size=2)),
        _wire("NS", st.lists(numbers, max_size=2)),
        _wire("B", binaries),
        st.sampled_from([{"NULL": True}, {}, {"S": "a", "N": "1"}, {"XX": 1}]),
    ),
    lambda inner: (
        _wire("L", st.lists(inner, max_size=2)) | _wire("M", st.dictionaries(_keys | texts, inner, max_size=2))
    ),
    max_leaves=4,
)
free_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        texts,
        st.integers(),
        st.floats(),
        st.booleans(),
        st.none(),
        binaries,
        st.sets(texts, max_size=2),
        st.builds(Plain, text=texts),
        st.builds(Plain),
        st.builds(lambda text: attr.MapAttribute(a=text), texts),
        st.just(object),
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
moments = st.one_of(
    st.datetimes(timezones=st.none() | st.just(UTC)),
    st.just(datetime(1, 2, 3, tzinfo=timezone(timedelta(hours=-3)))),
    st.just(datetime(999, 2, 3)),
)
_plain_wire = st.fixed_dictionaries(
    {}, optional={"text": _wire("S", texts), "n": _wire("N", numbers), "many": free_wire}
)
_nested_wire = st.fixed_dictionaries(
    {},
    optional={
        "plain": _wire("M", _plain_wire) | free_wire,
        "plains": _wire("L", st.lists(_wire("M", _plain_wire) | free_wire, max_size=3)),
        "own": _wire("S", texts) | free_wire,
        "free": _wire("M", st.dictionaries(texts, free_wire, max_size=2)),
        "version": _wire("N", numbers),
        "text": free_wire,
    },
)
_plains = st.builds(Plain, text=texts | st.none(), number=st.integers() | st.none() | texts, many=st.none())
_plains |= st.builds(Plain)
_nested = st.builds(
    lambda **kwargs: Nested(**kwargs),
    plain=_plains | st.none() | st.fixed_dictionaries({}, optional={"text": texts}),
    plains=st.lists(_plains | st.none() | st.just({"text": "t"}), max_size=3) | st.none(),
    own=texts | st.none(),
    free=st.dictionaries(st.sampled_from(["a", "b"]), free_values, max_size=2),
)


def _elements(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(values | st.none() | texts, max_size=3) | st.tuples(values)


KINDS: dict[str, Kind] = {
    "unicode": Kind(attr.UnicodeAttribute, ("d", lambda: "made", lambda: None), _wire("S", texts), texts),
    "number": Kind(
        attr.NumberAttribute, (0, 1.5, lambda: 7), _wire("N", numbers), st.integers() | st.floats() | st.booleans()
    ),
    "boolean": Kind(attr.BooleanAttribute, (True, False), _wire("BOOL", st.booleans()), st.booleans() | texts),
    "binary": Kind(
        lambda **kwargs: attr.BinaryAttribute(legacy_encoding=False, **kwargs), (b"d",), _wire("B", binaries), binaries
    ),
    "legacy binary": Kind(
        lambda **kwargs: attr.BinaryAttribute(legacy_encoding=True, **kwargs),
        (b"d",),
        _wire("B", binaries | st.just(b"YQ==")),
        binaries,
    ),
    "binaries": Kind(
        lambda **kwargs: attr.BinarySetAttribute(legacy_encoding=False, **kwargs),
        (),
        _wire("BS", st.lists(binaries, max_size=2)),
        st.sets(binaries, max_size=2),
    ),
    "texts": Kind(
        attr.UnicodeSetAttribute,
        (set, lambda: {"a"}),
        _wire("SS", st.lists(texts, max_size=2)),
        st.sets(texts, max_size=1) | st.lists(texts, max_size=2),
    ),
    "required texts": Kind(Required, (), _wire("SS", st.lists(texts, max_size=2)), st.sets(texts, max_size=1)),
    "numbers": Kind(
        attr.NumberSetAttribute,
        (set,),
        _wire("NS", st.lists(numbers, max_size=2)),
        st.sets(st.integers() | st.booleans() | st.floats(), max_size=1),
    ),
    "json": Kind(
        attr.JSONAttribute,
        ("{}", lambda: {"a": 1}),
        _wire("S", st.sampled_from(['{"a": [1.5, null]}', "{", '"\t"', "\ufeff1", " 1 "])),
        free_values,
    ),
    "time": Kind(
        attr.UTCDateTimeAttribute,
        (datetime(2026, 1, 2, tzinfo=UTC), lambda: datetime(1, 1, 1)),
        _wire("S", times),
        moments,
    ),
    "version": Kind(attr.VersionAttribute, (0, lambda: 2.5), _wire("N", numbers), st.integers() | st.floats() | texts),
    "expiry": Kind(
        attr.TTLAttribute,
        (),
        _wire("N", st.sampled_from(["1700000000", "1700000000.75", "x"])),
        st.just(datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)) | moments,
    ),
    "null": Kind(attr.NullAttribute, (), st.just({"NULL": True}), st.none() | texts),
    "list": Kind(
        attr.ListAttribute, (list, lambda: ["d"]), _wire("L", st.lists(free_wire, max_size=3)), _elements(free_values)
    ),
    "list of texts": Kind(
        lambda **kwargs: attr.ListAttribute(of=attr.UnicodeAttribute, **kwargs),
        (list,),
        _wire("L", st.lists(_wire("S", texts) | free_wire, max_size=2)),
        _elements(texts),
    ),
    "list of numbers": Kind(
        lambda **kwargs: attr.ListAttribute(of=attr.NumberAttribute, **kwargs),
        (),
        _wire("L", st.lists(_wire("N", numbers) | free_wire, max_size=2)),
        _elements(st.integers() | st.floats() | st.booleans()),
    ),
    "list of own": Kind(
        lambda **kwargs: attr.ListAttribute(of=Upper, **kwargs),
        (),
        _wire("L", st.lists(_wire("S", texts) | free_wire, max_size=2)),
        _elements(texts),
    ),
    "list of maps": Kind(
        lambda **kwargs: attr.ListAttribute(of=Nested, **kwargs),
        (),
        _wire("L", st.lists(_wire("M", _nested_wire) | free_wire, max_size=2)),
        _elements(_nested),
    ),
    "list of binaries": Kind(
        lambda **kwargs: attr.ListAttribute(of=attr.BinaryAttribute, **kwargs),
        (),
        _wire("L", st.lists(_wire("B", binaries) | free_wire, max_size=2)),
        _elements(binaries),
    ),
    "raw map": Kind(
        attr.MapAttribute,
        (dict, lambda: {"default": 1}),
        _wire("M", st.dictionaries(_keys | texts, free_wire, max_size=3)),
        st.dictionaries(_keys, free_values, max_size=2),
    ),
    "map": Kind(Plain, (dict, lambda: {"text": "t"}, lambda: None), _wire("M", _plain_wire | st.just(1)), _plains),
    "nested map": Kind(Nested, (dict,), _wire("M", _nested_wire), _nested),
    "map with __init__": Kind(Changed, (dict,), _wire("M", _plain_wire), st.builds(Changed, text=texts)),
    "map with validate": Kind(Checked, (), _wire("M", _plain_wire), st.builds(Checked, text=texts)),
    "dynamic map": Kind(
        Dynamic, (), _wire("M", st.dictionaries(texts, free_wire, max_size=2)), st.builds(Dynamic, text=texts, b=texts)
    ),
    "map with discriminator": Kind(
        Shape,
        (),
        _wire("M", st.sampled_from([{"kind": {"S": "circle"}, "radius": {"N": "1"}}, {"kind": {"S": "square"}}, {}])),
        st.builds(Circle, radius=st.integers()) | st.builds(Square),
    ),
    "own": Kind(Upper, ("d",), _wire("S", texts), texts),
    "own descriptor": Kind(Doubled, (3, lambda: 4), _wire("N", numbers), st.integers()),
    "own value": Kind(Lenient, (), _wire("S", texts), texts),
}

# ---- overrides ---------------------------------------------------------------------------------------------------


def _init(self: Any, *args: Any, **kwargs: Any) -> None:
    super(type(self).has_override, self).__init__(*args, **kwargs)
    self.__dict__["initialised"] = True


def _set(self: Any, name: str, value: Any) -> None:
    super(type(self).has_override, self).__setattr__(name, value)
    if name != "attribute_values":
        self.__dict__.setdefault("changes", []).append(name)


def _defaults(self: Any, _user_instantiated: bool = True) -> None:
    super(type(self).has_override, self)._set_defaults(_user_instantiated=_user_instantiated)
    self.attribute_values["key"] = "default"


def _attributes(cls: Any) -> Any:
    return {name: attribute for name, attribute in cls._attributes.items() if name != "a"}


def _from_raw(cls: Any, data: Any) -> Any:
    instance = super(cls.has_override, cls).from_raw_data(data)
    instance.__dict__["raw"] = True
    return instance


def _instantiate(cls: Any, attribute_values: Any) -> Any:
    instance = super(cls.has_override, cls)._instantiate({"a": {"S": "first"}, **attribute_values})
    instance.__dict__["instantiated"] = True
    return instance


def _class_of(cls: Any, attribute_values: Any) -> Any:
    if attribute_values.get("a") == {"S": "wrong"}:
        return int
    return super(cls.has_override, cls)._get_discriminator_class(attribute_values)


def _serialize(self: Any, null_check: bool = True) -> Any:
    return {**super(type(self).has_override, self).serialize(null_check=False), "more": {"S": "more"}}


def _new(cls: Any, *args: Any, **kwargs: Any) -> Any:
    instance = object.__new__(cls)
    instance.__dict__["new"] = True
    return instance


def _getattribute(self: Any, name: str) -> Any:
    value = object.__getattribute__(self, name)
    return value + "!" if isinstance(value, str) and name in ("a", "b") else value


OVERRIDES: dict[str, dict[str, Any]] = {
    "__init__": {"__init__": _init},
    "__new__": {"__new__": _new},
    "__setattr__": {"__setattr__": _set},
    "__getattribute__": {"__getattribute__": _getattribute},
    "__len__": {"__len__": lambda self: 0},
    "__bool__": {"__bool__": lambda self: True},
    "__slots__": {"__slots__": ("more",)},
    "__eq__": {"__eq__": lambda self, other: True, "__hash__": None},
    "_set_defaults": {"_set_defaults": _defaults},
    "get_attributes": {"get_attributes": classmethod(_attributes)},
    "from_raw_data": {"from_raw_data": classmethod(_from_raw)},
    "_instantiate": {"_instantiate": classmethod(_instantiate)},
    "_get_discriminator_class": {"_get_discriminator_class": classmethod(_class_of)},
    "serialize": {"serialize": _serialize},
    "attribute_values": {
        "attribute_values": property(lambda self: self.__dict__["v"], lambda self, v: self.__dict__.update(v=v))
    },
    "a property over an attribute": {"b": property(lambda self: "property", lambda self, value: None)},
}

# ---- models ------------------------------------------------------------------------------------------------------

_names = st.sampled_from(["a", "b", "c", "d", "values", "wire", "get", "type", "é"])
_wire_names = st.sampled_from([None, None, None, "a", "b", "x", "it's", 'quoted "x"', "key"])


@st.composite
def _attributes_of(draw: Any) -> tuple[str, str, dict[str, Any]]:
    kind = draw(st.sampled_from(sorted(KINDS)))
    options: dict[str, Any] = {}
    if (null := draw(st.sampled_from([None, True, True, False]))) is not None:
        options["null"] = null
    if (alias := draw(_wire_names)) is not None:
        options["attr_name"] = alias
    defaults = KINDS[kind].defaults
    if defaults and draw(st.booleans()):
        options["default"] = draw(st.sampled_from(defaults))
    return draw(_names), kind, options


@dataclass(frozen=True)
class ModelShape:
    """What a model is made of. `split`: how many of its attributes belong to a base class."""

    attributes: tuple[tuple[str, str, dict[str, Any]], ...]
    split: int
    discriminated: bool
    override: str | None
    override_in_base: bool
    mixin: str | None

    def build(self, base: Any) -> Any:
        made = {name: KINDS[kind].make(**options) for name, kind, options in self.attributes}
        names = list(made)
        key = {"key": attr.UnicodeAttribute(hash_key=True), "Meta": type("Meta", (), {"table_name": "shapes"})}
        if self.discriminated:
            key["kind"] = attr.DiscriminatorAttribute(attr_name="k")
        overrides = dict(OVERRIDES[self.override]) if self.override else {}
        parent_space = {**key, **{name: made[name] for name in names[: self.split]}}
        child_space = {name: made[name] for name in names[self.split :]}
        (parent_space if self.override_in_base else child_space).update(overrides)
        mixins: tuple[type, ...] = ()
        if self.mixin == "before":
            mixins = (
                type(
                    "Mixin", (), {"greet": lambda self: "hello", "__init__": lambda self, *a, **k: _mixed(self, a, k)}
                ),
            )
        elif self.mixin == "behind":
            mixins = ()
        arguments = {"discriminator": "parent"} if self.discriminated else {}
        behind = (_behind(),) if self.mixin == "behind" else ()
        parent = type(base)("Parent", (*mixins, base, *behind), parent_space, **arguments)
        arguments = {"discriminator": "child"} if self.discriminated else {}
        child = type(base)("Child", (parent,), child_space, **arguments)
        parent.has_override = child.has_override = parent if self.override_in_base else child
        return parent, child


def _mixed(self: Any, args: Any, kwargs: Any) -> None:
    mixin = next(base for base in type(self).__mro__ if base.__name__ == "Mixin")
    super(mixin, self).__init__(*args, **kwargs)
    self.__dict__["mixed"] = True


def _behind() -> Any:
    def instantiate(cls: Any, attribute_values: Any) -> Any:
        instance = super(behind, cls)._instantiate(attribute_values)
        instance.__dict__["behind"] = True
        return instance

    behind: Any = type(attr.AttributeContainer)(
        "Behind", (attr.AttributeContainer,), {"_instantiate": classmethod(instantiate)}
    )
    return behind


@st.composite
def model_shapes(draw: Any) -> ModelShape:
    attributes = draw(st.lists(_attributes_of(), min_size=1, max_size=5, unique_by=lambda each: each[0]))
    versions = [name for name, kind, _ in attributes if kind == "version"]
    expiries = [name for name, kind, _ in attributes if kind == "expiry"]
    kept = tuple(each for each in attributes if each[0] not in (*versions[1:], *expiries[1:]))
    return ModelShape(
        kept,
        draw(st.integers(0, len(kept))),
        draw(st.booleans()),
        draw(st.none() | st.none() | st.sampled_from(sorted(OVERRIDES))),
        draw(st.booleans()),
        draw(st.sampled_from([None, None, None, "before", "behind"])),
    )


@st.composite
def items(draw: Any, shape: ModelShape) -> dict[str, Any]:
    """An item of the shape's table, with values of all attributes or some, and some that are wrong."""
    item: dict[str, Any] = {}
    if draw(st.booleans()):
        item["key"] = {"S": "alice"}
    if shape.discriminated and draw(st.booleans()):
        item["k"] = draw(st.sampled_from([{"S": "child"}, {"S": "child"}, {"S": "parent"}, {"S": "?"}, {"N": "1"}]))
    for name, kind, options in shape.attributes:
        wire = draw(st.none() | KINDS[kind].wire | KINDS[kind].wire | free_wire | st.just({"S": "x", "NULL": True}))
        if wire is not None or draw(st.booleans()):
            item[options.get("attr_name") or name] = wire
    return item


@st.composite
def values(draw: Any, shape: ModelShape) -> dict[str, Any]:
    """Values for the attributes of an instance: what they take, and some that are wrong."""
    chosen: dict[str, Any] = {}
    for name, kind, _ in shape.attributes:
        if draw(st.integers(0, 9)):
            chosen[name] = draw(KINDS[kind].values | KINDS[kind].values | st.none() | free_values)
    return chosen
