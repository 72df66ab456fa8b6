"""A changed `Meta` takes effect at the next request: every name that a connection is made from."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from pynamodb.attributes import UnicodeAttribute
from pynamodb.connection import Connection

import pynamodb_alternator
from pynamodb_alternator import AlternatorConnection, Hedge, Model
from pynamodb_alternator.orm import model_connection as module
from pynamodb_alternator.orm.model_connection import READ, model_connection
from pynamodb_alternator.settings.options import RequestOptions

CLUSTER = "http://127.0.0.1:1"


class Noting(AlternatorConnection):
    """Keeps what it was made from."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.settings = settings


CHANGES: dict[str, tuple[Any, Any]] = {
    "table_name": ("things", "others"),
    "connection_class": (Noting, AlternatorConnection),
    "region": (None, "eu-west-1"),
    "host": (None, "http://127.0.0.1:2"),
    "connect_timeout_seconds": (15, 2.5),
    "read_timeout_seconds": (30, 3.5),
    "max_retry_attempts": (3, 0),
    "max_pool_connections": (10, 20),
    "extra_headers": (None, {"x-team": "shop"}),
    "aws_access_key_id": (None, "access"),
    "aws_secret_access_key": (None, "secret"),
    "aws_session_token": (None, "token"),
    "cluster": (CLUSTER, "http://127.0.0.1:2"),
    "key_route_affinity": (None, "none"),
    "write_isolation": (None, "always"),
    "silent_writes": (None, "wait"),
    "token_aware": (None, False),
    "hedge": (None, {"after": 0.01}),
    "canonical_numbers": ("sets", True),
}
"""Of each name, what it is at first, and what it is then."""


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    pynamodb_alternator.close_all()


def made(**settings: Any) -> Any:
    class Thing(Model):
        class Meta:
            table_name = "things"
            connection_class = Noting

        id = UnicodeAttribute(hash_key=True)

    for name, value in {"cluster": CLUSTER, **settings}.items():
        setattr(Thing.Meta, name, value)
    return Thing


def connected(thing: Any) -> Any:
    return model_connection(thing, AlternatorConnection)


def test_the_table_of_changes_has_every_name() -> None:
    assert CHANGES.keys() == set(READ)


@pytest.mark.parametrize("name", READ)
def test_a_changed_setting_makes_another_connection(name: str) -> None:
    before, after = CHANGES[name]
    thing = made(**{name: before})
    first = connected(thing)
    assert connected(thing) is first
    setattr(thing.Meta, name, after)
    second = connected(thing)
    assert second is not first
    assert connected(thing) is second
    if name == "table_name":
        assert second.table_name == after
    elif name == "connection_class":
        assert type(second.connection) is after
    else:
        assert first.connection.settings[name] == before
        assert second.connection.settings[name] == after
    setattr(thing.Meta, name, before)
    assert connected(thing) is not second


def test_requests_go_with_what_meta_says_now() -> None:
    seen: list[RequestOptions] = []

    class Asking(AlternatorConnection):
        def _make_api_call(self, operation_name: str, operation_kwargs: Any) -> Any:
            seen.append(pynamodb_alternator.settings.options.current(self.cluster.core.key))  # type: ignore[attr-defined]
            return {}

    thing = made(connection_class=Asking)
    thing("a").save()
    thing.Meta.read_timeout_seconds = 3.5
    thing.Meta.extra_headers = {"x-team": "shop"}
    thing("a").save()
    thing.Meta.extra_headers["x-team"] = "stock"  # the same dict, with another value
    thing("a").save()
    thing.Meta.hedge = Hedge(after=0.01)
    thing("a").save()
    assert [options.read_timeout for options in seen] == [None, 3.5, 3.5, 3.5]
    assert [options.extra_headers and dict(options.extra_headers) for options in seen] == [
        None,
        {"x-team": "shop"},
        {"x-team": "stock"},
        {"x-team": "stock"},
    ]
    assert seen[-1].hedge == Hedge(after=0.01)


def test_a_base_of_meta_and_another_meta_are_noticed() -> None:
    class Common:
        region = "eu-west-1"

    class Thing(Model):
        class Meta(Common):
            table_name = "things"
            cluster = CLUSTER
            connection_class = Noting

        id = UnicodeAttribute(hash_key=True)

    first: Any = connected(Thing)
    assert first.connection.settings["region"] == "eu-west-1"
    Common.region = "eu-west-2"
    second: Any = connected(Thing)
    assert second.connection.settings["region"] == "eu-west-2"

    class Other(Thing.Meta):  # type: ignore[name-defined,misc]
        region = "eu-west-3"

    Thing.Meta = Other
    third: Any = connected(Thing)
    assert third.connection.settings["region"] == "eu-west-3"


def test_what_meta_works_out_when_it_is_asked_is_noticed() -> None:
    said = SimpleNamespace(region="eu-west-1", read_timeout_seconds=1.5)

    class Asked:
        def __get__(self, instance: object, owner: type) -> str:
            return str(said.region)

    class OfMeta(type):
        @property
        def read_timeout_seconds(cls) -> float:
            return float(said.read_timeout_seconds)

    thing = made()
    thing.Meta.region = Asked()
    assert connected(thing).connection.settings["region"] == "eu-west-1"
    said.region = "eu-west-2"
    assert connected(thing).connection.settings["region"] == "eu-west-2"

    class Thing(Model):
        class Meta(metaclass=OfMeta):
            table_name = "things"
            cluster = CLUSTER
            connection_class = Noting

        id = UnicodeAttribute(hash_key=True)

    first: Any = connected(Thing)
    assert first.connection.settings["read_timeout_seconds"] == 1.5
    said.read_timeout_seconds = 2.5
    second: Any = connected(Thing)
    assert second.connection.settings["read_timeout_seconds"] == 2.5


def test_other_changes_of_meta_make_no_other_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("not to be compared")

        __hash__ = None  # type: ignore[assignment]

    thing = made()
    first = connected(thing)
    for name, value in (("billing_mode", "PAY_PER_REQUEST"), ("own", Odd()), ("own", Odd())):
        setattr(thing.Meta, name, value)
        assert connected(thing) is first
    # And then it is not looked at setting by setting again.
    monkeypatch.setattr(module, "_origin", lambda *_: pytest.fail("it was"))
    assert connected(thing) is first


def test_another_default_matters_to_a_model_that_names_none() -> None:
    named, unnamed = made(), made(connection_class=None)
    of_named, of_unnamed = connected(named), connected(unnamed)
    assert model_connection(named, Noting) is of_named
    assert type(model_connection(unnamed, Noting).connection) is Noting
    assert type(of_unnamed.connection) is AlternatorConnection


def test_a_stock_connection_follows_meta_as_well() -> None:
    thing = made(connection_class=Connection, region="eu-west-1")
    assert connected(thing).connection.region == "eu-west-1"
    thing.Meta.region = "eu-west-2"
    assert connected(thing).connection.region == "eu-west-2"
