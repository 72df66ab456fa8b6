"""An error of ours is the botocore error that a PynamoDB user expects, and tells where and whether it was sent."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import botocore.exceptions as stock
import pytest
from pynamodb.connection import Connection
from pynamodb.exceptions import DeleteError, GetError, PutError, PynamoDBException, QueryError

from pynamodb_alternator import errors
from pynamodb_alternator.errors import AlternatorError, NotSentError, OutcomeUnknownError, TransportError

TRANSPORT = [getattr(errors, name) for name in errors.__all__ if issubclass(getattr(errors, name), TransportError)]

EXPECTED = {
    errors.NodeUnreachableError: (stock.EndpointConnectionError, NotSentError),
    errors.ConnectTimeoutError: (stock.ConnectTimeoutError, NotSentError),
    errors.PoolTimeoutError: (stock.ConnectTimeoutError, NotSentError),
    errors.TlsError: (stock.SSLError, NotSentError),
    errors.NoNodesAvailableError: (stock.EndpointConnectionError, NotSentError),
    errors.ClusterClosedError: (stock.EndpointConnectionError, NotSentError),
    errors.RequestRefusedError: (stock.BotoCoreError, NotSentError),
    errors.ReadTimeoutError: (stock.ReadTimeoutError, OutcomeUnknownError),
    errors.ConnectionLostError: (stock.ConnectionClosedError, OutcomeUnknownError),
    errors.MalformedAnswerError: (stock.HTTPClientError, OutcomeUnknownError),
    errors.DeadlineExceededError: (stock.ReadTimeoutError, TransportError),
    errors.DeadlineBeforeSendError: (stock.ReadTimeoutError, NotSentError),
    errors.DeadlineAfterSendError: (stock.ReadTimeoutError, OutcomeUnknownError),
}


def test_all_names_exist_and_derive_from_one_base() -> None:
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), AlternatorError)
    assert issubclass(errors.ConfigurationError, ValueError)
    assert not issubclass(errors.ConfigurationError, stock.BotoCoreError)


@pytest.mark.parametrize("kind", TRANSPORT)
def test_which_errors_they_are(kind: type[TransportError]) -> None:
    botocores, ours = EXPECTED.get(kind, (stock.BotoCoreError, TransportError))
    assert issubclass(kind, botocores)
    assert issubclass(kind, ours)
    assert issubclass(kind, stock.BotoCoreError)
    # Never both: either no node can have seen the request, or one may have.
    assert not (issubclass(kind, NotSentError) and issubclass(kind, OutcomeUnknownError))


@pytest.mark.parametrize("kind", TRANSPORT)
def test_the_message_names_the_nodes_tried(kind: type[TransportError]) -> None:
    error = kind("it broke {0} %s", node="b:2")
    assert str(error) == "it broke {0} %s"
    assert error.tried(["a:1", "b:2"]) is error
    assert str(error) == "it broke {0} %s (nodes tried: a:1, b:2)"
    assert error.args == (str(error),)
    assert (error.reason, error.node, error.nodes_tried) == ("it broke {0} %s", "b:2", ("a:1", "b:2"))
    assert error.kwargs == {"endpoint_url": "b:2", "error": "it broke {0} %s"}


@pytest.mark.parametrize("kind", TRANSPORT)
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_they_can_be_pickled(kind: type[TransportError], again: Any) -> None:
    error = kind("why", node="a:1", nodes_tried=["a:1", "b:2"])
    twin = again(error)
    assert type(twin) is kind
    assert str(twin) == str(error)
    assert (twin.reason, twin.node, twin.nodes_tried) == ("why", "a:1", ("a:1", "b:2"))


@pytest.mark.parametrize("kind", TRANSPORT)
def test_pynamodb_wraps_them(kind: type[TransportError], monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection(region="us-east-1", host="http://127.0.0.1:1")
    failure = kind("why", node="a:1", nodes_tried=["a:1"])

    def fail(*_: Any, **__: Any) -> Any:
        raise failure

    monkeypatch.setattr(connection, "dispatch", fail)
    table = "CreateTable"
    monkeypatch.setattr(connection, "get_meta_table", lambda *_, **__: None)
    monkeypatch.setattr(connection, "get_identifier_map", lambda *_, **__: {})
    monkeypatch.setattr(connection, "get_item_attribute_map", lambda *_, **__: {})
    monkeypatch.setattr(connection, "get_operation_kwargs", lambda *_, **__: {}, raising=False)
    for expected, call in (
        (PutError, lambda: connection.put_item(table, "k")),
        (GetError, lambda: connection.get_item(table, "k")),
        (DeleteError, lambda: connection.delete_item(table, "k")),
    ):
        with pytest.raises(expected, match=r"why .nodes tried: a:1.") as raised:
            call()
        assert raised.value.cause is failure


@pytest.mark.parametrize("kind", TRANSPORT)
def test_pynamodb_can_ask_for_the_code_of_an_answer_that_never_came(kind: type[TransportError]) -> None:
    wrapped: PynamoDBException = QueryError("no", kind("why"))
    assert wrapped.cause_response_code is None
    assert wrapped.cause_response_message is None


def test_the_code_and_the_message_of_an_answer() -> None:
    refused = stock.ClientError({"Error": {"Code": "ValidationException", "Message": "no"}}, "GetItem")
    assert (errors.error_code(refused), errors.error_message(refused)) == ("ValidationException", "no")
    for other in (stock.ClientError({}, "GetItem"), errors.NodeUnreachableError("no route"), KeyError("Code")):
        assert (errors.error_code(other), errors.error_message(other)) == ("", "")
