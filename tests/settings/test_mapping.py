"""A mapping that does not change."""

from __future__ import annotations

import copy
import pickle

import pytest

from pynamodb_alternator.settings.mapping import FrozenMapping


def test_it_is_a_copy_without_a_way_to_change_it() -> None:
    source = {"a": 1}
    frozen = FrozenMapping(source)
    source["a"] = 2
    assert frozen == {"a": 1}
    assert (frozen["a"], list(frozen), len(frozen), dict(frozen.items()), "a" in frozen) == (
        1,
        ["a"],
        1,
        {"a": 1},
        True,
    )
    assert repr(frozen) == "{'a': 1}"
    with pytest.raises(TypeError):
        frozen["a"] = 2  # type: ignore[index]
    with pytest.raises(KeyError):
        frozen["b"]
    assert not hasattr(frozen, "update")


def test_a_mapping_is_copied_and_pickled() -> None:
    frozen = FrozenMapping({"a": 1})
    assert copy.copy(frozen) is frozen
    again = pickle.loads(pickle.dumps(frozen))
    assert (again, type(again)) == (frozen, FrozenMapping)
    # A deep copy is for those who want to change it.
    deep = copy.deepcopy(frozen)
    assert (deep, type(deep)) == ({"a": 1}, dict)
