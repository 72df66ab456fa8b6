"""Queries, scans and batches make and take instances by generated functions, page by page, as PynamoDB's would."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pynamodb.models
import pytest
from pynamodb import attributes as attr
from pynamodb.connection import Connection
from pynamodb.exceptions import PutError
from pynamodb.pagination import ResultIterator

import pynamodb_alternator
from pynamodb_alternator.orm.instances import functions_of, loader_of
from pynamodb_alternator.orm.unchanged import Snapshot

from .test_shapes import outcome

PAGES = [[{"key": {"S": f"{page}{index}"}, "text": {"S": "x"}} for index in range(3)] for page in range(2)]


class Prepared(Connection):
    """Answers without a server."""

    def dispatch(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        if operation_name in ("Query", "Scan"):
            number = 1 if operation_kwargs.get("ExclusiveStartKey") else 0
            answer: dict[str, Any] = {"Items": deepcopy(PAGES[number]), "Count": 3, "ScannedCount": 3}
            return answer if number else {**answer, "LastEvaluatedKey": {"key": {"S": "02"}}}
        if operation_name == "BatchGetItem":
            keys = operation_kwargs["RequestItems"]["pages"]["Keys"]
            unprocessed = {"pages": {"Keys": keys[2:]}} if len(keys) > 2 else {}
            items = [{"text": {"S": "x"}, **key} for key in keys[:2]]
            return {"Responses": {"pages": items}, "UnprocessedKeys": unprocessed}
        if operation_name == "BatchWriteItem":
            written.append(operation_kwargs["RequestItems"]["pages"])
            return {}
        return {"Item": deepcopy(PAGES[0][0])}


written: list[Any] = []


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    written.clear()
    yield
    pynamodb_alternator.uninstall()


def make(base: Any, **space: Any) -> Any:
    meta = type("Meta", (), {"table_name": "pages", "connection_class": Prepared, "region": "r", "host": None})
    key, text = attr.UnicodeAttribute(hash_key=True), attr.UnicodeAttribute(default="d")
    return type(base)("Item", (base,), {"Meta": meta, "key": key, "text": text, **space})


@pytest.fixture(params=["our model", "a plain model"])
def model(request: pytest.FixtureRequest) -> Any:
    if request.param == "our model":
        return make(pynamodb_alternator.Model)
    pynamodb_alternator.install()
    return make(pynamodb.models.Model)


def keys(items: Any) -> list[str]:
    return [item.key for item in items]


@pytest.mark.parametrize("how", ["query", "scan"])
def test_pages_are_loaded(model: Any, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Any] = []
    monkeypatch.setattr(Snapshot, "holds", lambda self: looked.append(self) or True)
    list(model.scan(limit=1))
    looked.clear()
    results = getattr(model, how)(*(["a"] if how == "query" else []))
    assert isinstance(results, ResultIterator)
    first = next(results)
    assert type(first) is model
    assert (first.key, first.text, results.last_evaluated_key) == ("00", "x", {"key": {"S": "00"}})
    assert keys(results) == ["01", "02", "10", "11", "12"]
    assert results.total_count == 6
    # Whether anything has changed is looked at once per page.
    assert len(looked) == 2
    assert keys(getattr(model, how)(*(["a"] if how == "query" else []), limit=4)) == ["00", "01", "02", "10"]


def test_a_batch_get_is_loaded(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Any] = []
    monkeypatch.setattr(Snapshot, "holds", lambda self: looked.append(self) or True)
    assert inspect.isgenerator(model.batch_get(["a"]))
    assert sorted(keys(model.batch_get(["a", "b", "c"]))) == ["a", "b", "c"]
    assert len(looked) == 1  # and made before


def test_what_is_patched_between_two_pages_holds_from_then_on(model: Any) -> None:
    results = model.query("a")
    assert next(results).text == "x"
    with mock.patch.object(attr.UnicodeAttribute, "deserialize", create=True, return_value="fake"):
        assert [item.text for item in results] == ["x", "x", "fake", "fake", "fake"]


def test_overrides_are_called() -> None:
    def from_raw_data(cls: Any, data: Any) -> Any:
        return "raw", data["key"]["S"]

    def instantiate(cls: Any, attribute_values: Any) -> Any:
        return "made", attribute_values["key"]["S"]

    for name, method in {"from_raw_data": from_raw_data, "_instantiate": instantiate}.items():
        item = make(pynamodb_alternator.Model, **{name: classmethod(method)})
        expected = [method(None, PAGES[0][0])]
        assert list(item.query("a", limit=1)) == expected
        assert [item.get("a")] == expected
        assert list(item.batch_get(["00"])) == expected
    plain = make(pynamodb_alternator.Model)
    results = plain.query("a")
    with mock.patch.object(plain, "_instantiate", return_value="mock"):
        assert next(results) == "mock"


def test_items_of_several_classes(model: Any) -> None:
    parent = make(model.__mro__[1], kind=attr.DiscriminatorAttribute(attr_name="text"), text=None)
    child = type(model)("Child", (parent,), {}, discriminator="x")
    assert {type(item) for item in parent.query("a")} == {child}
    assert type(parent.get("a")) is child
    strange = type(model)("Strange", (parent,), {"__len__": lambda self: 1}, discriminator="y")
    assert type(parent.from_raw_data({"key": {"S": "a"}, "text": {"S": "y"}})) is strange
    with pytest.raises(ValueError, match="Cannot instantiate a Strange from the returned class: Child"):
        strange.from_raw_data({"key": {"S": "a"}, "text": {"S": "x"}})
    with pytest.raises(ValueError, match="Unknown discriminator value: z"):
        parent.from_raw_data({"key": {"S": "a"}, "text": {"S": "z"}})


def test_a_batch_is_saved(model: Any) -> None:
    with model.batch_write() as batch:
        batch.save(model("a", text="t"))
        batch.delete(model("b"))
    assert written == [
        [
            {"DeleteRequest": {"Key": {"key": {"S": "b"}}}},
            {"PutRequest": {"Item": {"key": {"S": "a"}, "text": {"S": "t"}}}},
        ]
    ]


def test_a_batch_asks_once_what_may_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    item = make(pynamodb_alternator.Model)
    looked: list[Any] = []
    monkeypatch.setattr(Snapshot, "holds", lambda self: looked.append(self) or True)
    functions_of(item)
    with item.batch_write() as batch:
        for number in range(25):
            batch.save(item(str(number)))
    assert len(looked) == 1
    assert len(written[0]) == 25


def test_what_an_item_of_a_batch_overrides_is_called() -> None:
    def serialize(self: Any, null_check: bool = True) -> dict[str, Any]:
        return {"key": {"S": "own"}}

    own = make(pynamodb_alternator.Model, serialize=serialize)
    plain = make(pynamodb_alternator.Model)
    single = plain("single")
    single.serialize = lambda: {"key": {"S": "its own"}}
    similar = SimpleNamespace(serialize=lambda: {"key": {"S": "similar"}})
    with own.batch_write() as batch:
        for item in (own("a"), single, plain("plain"), similar):
            batch.save(item)
    assert [each["PutRequest"]["Item"]["key"]["S"] for each in written[0]] == ["own", "its own", "plain", "similar"]


def test_a_batch_that_cannot_be_serialized_stays_pending() -> None:
    item = make(pynamodb_alternator.Model)
    batch = item.batch_write()
    batch.save(item("a"))
    batch.save(item())
    with pytest.raises(ValueError, match="Attribute 'key' cannot be None"):
        batch.commit()
    assert [operation["item"].key for operation in batch.pending_operations] == ["a", None]
    assert written == []
    batch.pending_operations.pop()
    batch.delete(item(3))
    with mock.patch.object(item, "_get_keys", side_effect=RuntimeError), pytest.raises(RuntimeError):
        batch.commit()
    assert [type(operation["item"]) for operation in batch.pending_operations] == [item, item]
    with mock.patch.object(Prepared, "dispatch", side_effect=RuntimeError), pytest.raises(RuntimeError):
        batch.commit()
    assert batch.pending_operations == []
    assert not issubclass(RuntimeError, PutError)


def test_uninstalling_takes_it_back() -> None:
    before = dict(vars(pynamodb.models.Model))
    item = make(pynamodb.models.Model)
    pynamodb_alternator.install()
    pynamodb_alternator.install()
    assert item.from_raw_data({"key": {"S": "a"}}).serialize() == {"key": {"S": "a"}, "text": {"S": "d"}}
    assert loader_of(item) is not None
    with mock.patch.object(pynamodb.models.Model, "scan", return_value="somebody else's"):
        pynamodb_alternator.uninstall()
        assert pynamodb.models.Model.scan() == "somebody else's"  # type: ignore[misc,call-arg,comparison-overlap]
    pynamodb.models.Model.scan = before["scan"]  # type: ignore[method-assign]
    pynamodb_alternator.uninstall()
    after = dict(vars(pynamodb.models.Model))
    assert after == before
    assert outcome(lambda: item.from_raw_data({"key": {"S": "a"}})) == outcome(lambda: item("a"))


def test_plain_models_go_through_mixins_behind_them() -> None:
    class Behind(attr.AttributeContainer):
        @classmethod
        def _instantiate(cls, attribute_values: Any) -> Any:
            return "behind"

        def _container_serialize(self, null_check: bool = True) -> Any:
            return {"behind": {}}

    pynamodb_alternator.install()
    for base in (pynamodb.models.Model, pynamodb_alternator.Model):
        item: Any = type(base)("Item", (base, Behind), {"key": attr.UnicodeAttribute(hash_key=True)})
        assert item.from_raw_data({"key": {"S": "a"}}) == "behind"
        assert item("a").serialize() == {"behind": {}}
