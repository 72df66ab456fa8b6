"""Each step of an application ends over this library as it ends over PynamoDB alone: the result, or the error."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pynamodb.models
import pytest
from pynamodb.connection import Connection
from pynamodb.connection import TableConnection as StockTableConnection

import pynamodb_alternator
from pynamodb_alternator import AlternatorConnection, Model, TableConnection, configure
from pynamodb_alternator.local import LocalCluster

from .steps import STEPS, application

CREDENTIALS = {"region": "us-east-1", "aws_access_key_id": "access", "aws_secret_access_key": "secret"}
COUNT = "others: count all"
TRANSACTIONS = ("others: a transaction", "others: a transaction that reads")
OF_THE_TIME = {"CreationDateTime", "TableId", "TableArn", "IndexArn", "ResponseMetadata"}


def shown(value: Any) -> Any:
    """What can be compared of a result: instances by their type and item, sets in an order."""
    if isinstance(value, pynamodb.models.Model):
        return type(value).__name__, shown(value.serialize())
    if isinstance(value, dict):
        if value.keys() <= {"SS", "NS", "BS"}:
            return {kind: sorted(map(repr, values)) for kind, values in value.items()}
        return {name: shown(inner) for name, inner in sorted(value.items()) if name not in OF_THE_TIME}
    if isinstance(value, list | tuple):
        return [shown(inner) for inner in value]
    return repr(value)


def told(error: BaseException | None) -> Any:
    """What can be compared of an error: what PynamoDB, botocore and Python make of it."""
    if error is None:
        return None
    kinds = [kind.__name__ for kind in type(error).__mro__ if not kind.__module__.startswith("pynamodb_alternator")]
    codes = [getattr(error, name, None) for name in ("cause_response_code", "cause_response_message")]
    text = re.sub(r"0x[0-9a-f]+|[0-9a-f-]{36}", "...", f"{error} {error.args} {codes}")
    return kinds, text, told(getattr(error, "cause", None))


def ends_of(app: Any) -> dict[str, Any]:
    ends: dict[str, Any] = {}
    for name, step in STEPS.items():
        try:
            ends[name] = shown(step(app))
        except Exception as error:
            ends[name] = told(error)
    return ends


def with_stock(url: str) -> Any:
    return application(pynamodb.models.Model, Connection, StockTableConnection, host=url, **CREDENTIALS)


def with_our_models(url: str) -> Any:
    configure(default=url)
    return application(Model, AlternatorConnection, TableConnection, **CREDENTIALS)


def with_plain_models(url: str) -> Any:
    configure(default=url)
    pynamodb_alternator.install(AlternatorConnection)
    return application(pynamodb.models.Model, Connection, StockTableConnection, **CREDENTIALS)


@pytest.fixture(scope="module")
def ends() -> Iterator[dict[str, dict[str, Any]]]:
    """How the steps end, by the kind of model and by their names."""
    with LocalCluster(nodes=1) as local:
        ways: list[Callable[[str], Any]] = [with_stock, with_our_models, with_plain_models]
        yield {way.__name__: ends_of(way(local.url)) for way in ways}


OURS = pytest.mark.parametrize("way", [with_our_models, with_plain_models])


@OURS
@pytest.mark.parametrize("step", [name for name in STEPS if name not in {COUNT, *TRANSACTIONS}])
def test_it_ends_as_over_pynamodb_alone(ends: dict[str, dict[str, Any]], way: Callable[[str], Any], step: str) -> None:
    assert ends[way.__name__][step] == ends["with_stock"][step]


@OURS
@pytest.mark.parametrize("step", TRANSACTIONS)
def test_a_transaction_ends_so_with_a_sentence(
    ends: dict[str, dict[str, Any]], way: Callable[[str], Any], step: str
) -> None:
    (kinds, text, (_, cause, _)), (stock_kinds, *_) = ends[way.__name__][step], ends["with_stock"][step]
    assert kinds == stock_kinds
    assert "This server has no transactions" in text
    assert "UnknownOperationException" in cause


@OURS
def test_only_counting_all_gives_more(ends: dict[str, dict[str, Any]], way: Callable[[str], Any]) -> None:
    assert ends["with_stock"][COUNT] == "None"
    assert int(ends[way.__name__][COUNT]) > 60
