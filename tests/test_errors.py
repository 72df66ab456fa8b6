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
    errors.CredentialsError: (stock.CredentialRetrievalError, NotSentError),
    errors.ReadTimeoutError: (stock.ReadTimeoutError, OutcomeUnknownError),
    errors.ConnectionLostError: (stock.ConnectionClosedError, OutcomeUnknownError),
    errors.MalformedAnswerError: (stock.HTTPClientError, OutcomeUnknownError),
    errors.ServerFailureError: (stock.ClientError, OutcomeUnknownError),
    errors.DeadlineExceededError: (stock.ReadTimeoutError, TransportError),
    errors.DeadlineBeforeSendError: (stock.ReadTimeoutError, NotSentError),
    errors.DeadlineAfterSendError: (stock.ReadTimeoutError, OutcomeUnknownError),
}


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize("kind", [kind for kind in TRANSPORT if issubclass(kind, OutcomeUnknownError)])
@pytest.mark.parametrize("value", [True, False])
def test_whether_it_may_still_be_executed_survives_pickling(
    kind: type[OutcomeUnknownError], again: Any, value: bool
) -> None:
    error = kind("why", node="a:1")
    error.may_still_execute = value
    assert again(error).may_still_execute is value


def test_whether_a_connection_was_idle_survives_pickling() -> None:
    error = errors.ConnectionLostError("why", node="a:1")
    error.was_idle = True
    assert pickle.loads(pickle.dumps(error)).was_idle


def test_an_answer_that_leaves_the_outcome_open() -> None:
    response = {"Error": {"Code": "502", "Message": "Bad Gateway"}, "ResponseMetadata": {"HTTPStatusCode": 502}}
    error = errors.ServerFailureError.of(response, "PutItem", "a:1", True)
    error.tried(["b:1", "a:1"])
    assert str(error) == (
        "An error occurred (502) when calling the PutItem operation: Bad Gateway. Node a:1 answered so, and the write "
        "may have been executed, or may still be (nodes tried: b:1, a:1)"
    )
    twin = pickle.loads(pickle.dumps(error))
    assert (str(twin), twin.response, twin.operation_name) == (str(error), response, "PutItem")
    assert PutError("no", twin).cause_response_code == "502"
    assert PutError("no", twin).cause_response_message == "Bad Gateway"


AGAIN = [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))]


def attributes(error: BaseException) -> dict[str, Any]:
    """All that an error tells: those of its classes that are data, and its own."""
    names = {name for kind in type(error).__mro__ for name, value in vars(kind).items() if not callable(value)}
    names = {name for name in names if not name.startswith("_")} | set(vars(error))
    return {name: getattr(error, name) for name in names if hasattr(error, name)}


@pytest.mark.parametrize("again", AGAIN)
@pytest.mark.parametrize("name", errors.__all__)
def test_every_attribute_survives_pickling_and_copying(name: str, again: Any) -> None:
    kind = getattr(errors, name)
    error = kind("why", node="a:1", nodes_tried=["a:1"]) if issubclass(kind, TransportError) else kind("why")
    for attribute, value in attributes(error).items():
        if isinstance(value, bool):
            setattr(error, attribute, not value)
    error.noted_by_the_application = "shop"
    twin = again(error)
    assert type(twin) is kind
    assert (str(twin), twin.args) == (str(error), error.args)
    assert attributes(twin) == attributes(error)
    assert twin.noted_by_the_application == "shop"


def test_the_table_of_attributes_sees_what_there_is() -> None:
    assert {"was_idle", "may_still_execute", "was_cut", "reason", "node"} <= set(
        attributes(errors.ConnectionLostError("why"))
    )
    assert "late" in attributes(errors.ConnectTimeoutError("why"))


def test_no_class_is_left_out_of_the_public_names() -> None:
    defined = {name for name, kind in vars(errors).items() if getattr(kind, "__module__", "") == errors.__name__}
    classes = {name for name in defined if isinstance(getattr(errors, name), type)}
    assert classes == set(errors.__all__)


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
