"""Models of random shapes are loaded and saved as by PynamoDB: values, errors, and what overrides leave behind."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pynamodb.models
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pynamodb import attributes as attr

import pynamodb_alternator
from pynamodb_alternator.orm.instances import functions_of

from . import shapes


def shown(value: Any) -> Any:
    """A value with its type and all that is in it, in order, so that what is different looks different."""
    if isinstance(value, attr.AttributeContainer):
        return type(value).__name__, [(name, shown(inner)) for name, inner in vars(value).items()]
    if isinstance(value, attr.Attribute):
        return type(value).__name__
    if isinstance(value, dict):
        return "dict", [(name, shown(inner)) for name, inner in value.items()]
    if isinstance(value, list | tuple):
        return type(value).__name__, [shown(inner) for inner in value]
    if isinstance(value, set):
        return "set", sorted(map(repr, value))
    return value.__name__ if isinstance(value, type) else (type(value).__name__, repr(value))


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return shown(call())
    except Exception as error:
        return type(error), str(error), type(error.__context__), type(error.__cause__)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"inner": {}},
        {"inner": shapes.Plain()},
        {"inner": shapes.Plain(text="t"), "maps": [shapes.Nested(plain=shapes.Plain())]},
        {
            "inner": shapes.Plain(text="t"),
            "maps": [None, shapes.Nested(plain=shapes.Plain(text="t"), plains=[shapes.Plain()])],
        },
        {"inner": shapes.Plain(text="t"), "maps": [{"plain": {"text": None}}]},
        {"inner": shapes.Plain(text="t"), "nested": shapes.Nested(plain=shapes.Plain())},
        {"inner": shapes.Plain(text="t"), "nested": shapes.Nested(plains=[shapes.Plain(), shapes.Plain()])},
        {"inner": shapes.Plain(text="t"), "nested": shapes.Nested(free={"a": [shapes.Plain()]})},
        {"inner": shapes.Plain(text="t"), "free": {"a": [shapes.Plain()]}},
        {"inner": shapes.Plain(text="t"), "some": [1, shapes.Plain()]},
        {"inner": shapes.Plain(text="t"), "some": [[{"a": shapes.Plain()}]]},
        {"inner": shapes.Plain(text="t"), "checked": shapes.Checked(text="wrong")},
        {"inner": shapes.Plain(text="t"), "names": set()},
    ],
)
def test_errors_name_the_path_of_a_missing_value(values: Any) -> None:
    def saved(base: Any) -> Any:
        space = {
            "key": attr.UnicodeAttribute(hash_key=True),
            "inner": shapes.Plain(attr_name="i"),
            "nested": shapes.Nested(null=True),
            "maps": attr.ListAttribute(of=shapes.Nested, null=True),
            "free": attr.MapAttribute(null=True),
            "some": attr.ListAttribute(null=True),
            "checked": shapes.Checked(null=True),
            "names": shapes.Required(null=True),
        }
        instance = type(base)("Item", (base,), space)("a", **copy.deepcopy(values))
        return outcome(instance.serialize), outcome(lambda: instance.serialize(null_check=False))

    assert saved(pynamodb_alternator.Model) == saved(pynamodb.models.Model)


def in_both(shape: shapes.ModelShape) -> Any:
    def built(base: Any) -> Any:
        try:
            return shape.build(base)
        except Exception as error:
            return type(error), str(error)

    return built(pynamodb.models.Model), built(pynamodb_alternator.Model)


RANDOM = settings(deadline=None, max_examples=250, suppress_health_check=list(HealthCheck))


@RANDOM
@given(st.data())
def test_models_load_items_as_pynamodb_does(data: st.DataObject) -> None:
    shape = data.draw(shapes.model_shapes())
    stock, ours = in_both(shape)
    if not isinstance(stock[0], type) or issubclass(stock[0], Exception):
        assert stock == ours
        return
    item = data.draw(shapes.items(shape))
    for theirs, mine in zip(stock, ours, strict=True):
        assert outcome(partial(mine.from_raw_data, copy.deepcopy(item))) == outcome(
            partial(theirs.from_raw_data, copy.deepcopy(item))
        )
        assert functions_of(mine) is functions_of(mine)  # whatever the model is made of, it is seen to be unchanged


@RANDOM
@given(st.data())
def test_models_save_items_as_pynamodb_does(data: st.DataObject) -> None:
    shape = data.draw(shapes.model_shapes())
    stock, ours = in_both(shape)
    if not isinstance(stock[0], type) or issubclass(stock[0], Exception):
        return
    values, directly = data.draw(shapes.values(shape)), data.draw(st.booleans())

    def seen(model: Any) -> Any:
        instance = model()
        set_by: list[Any] = [outcome(lambda: setattr(instance, "key", "alice"))]
        for name, value in copy.deepcopy(values).items():
            if directly:
                instance.attribute_values[name] = value
            elif name in model.get_attributes():
                set_by.append(outcome(partial(setattr, instance, name, value)))
        return [
            set_by,
            outcome(instance.serialize),
            outcome(lambda: instance.serialize(null_check=False)),
            outcome(instance._get_save_args),
            outcome(instance.to_dynamodb_dict),
            outcome(lambda: instance),
            outcome(lambda: repr(instance)),
        ]

    for theirs, mine in zip(stock, ours, strict=True):
        assert outcome(partial(seen, mine)) == outcome(partial(seen, theirs))
