"""The exceptions of this library.

All errors derive from `AlternatorError`. Errors of transport also derive from the botocore exception with the same
meaning, because PynamoDB wraps only botocore's errors into `PutError`, `GetError` and the like.

The classes answer the two questions that matter for code that catches an error:

- `NotSentError`: no node can have seen the request. Sending it again is safe.
- `OutcomeUnknownError`: a node may have executed the request, and no answer tells whether it has. Sending it again may
  apply it twice. Its `may_still_execute` tells whether a node may execute it even later.

An error answer of the server (`ConditionalCheckFailedException`, ...) is botocore's own `ClientError`, as with
DynamoDB, and not an error of this library. An answer that leaves the outcome of a write open is both:
`ServerFailureError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Self

from botocore import exceptions as _botocore

__all__ = [
    "AlternatorError",
    "BlockedConnectionError",
    "ClusterClosedError",
    "ConfigurationError",
    "ConnectTimeoutError",
    "ConnectionLostError",
    "CredentialsError",
    "DeadlineAfterSendError",
    "DeadlineBeforeSendError",
    "DeadlineExceededError",
    "MalformedAnswerError",
    "NoNodesAvailableError",
    "NodeUnreachableError",
    "NotSentError",
    "OutcomeUnknownError",
    "PoolTimeoutError",
    "ReadTimeoutError",
    "RequestRefusedError",
    "ServerFailureError",
    "SyncInLoopError",
    "SystemTableError",
    "TlsError",
    "TransportError",
    "VectorError",
]


def error_code(error: BaseException) -> str:
    """The code of a server's error answer, such as ``ResourceNotFoundException``; empty for every other error."""
    return _of_answer(error, "Code")


def error_message(error: BaseException) -> str:
    """The message of a server's error answer; empty for every other error."""
    return _of_answer(error, "Message")


def _of_answer(error: BaseException, name: str) -> str:
    answer = error.response.get("Error", {}) if isinstance(error, _botocore.ClientError) else {}
    return str(answer.get(name, ""))


WRONG_VALUE: Final = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""The exceptions of a value that does not have the expected type or shape.

`Exception` is not used: an exception from a signal handler, such as Celery's soft time limit, may come at any line, and
must end the request.
"""


class AlternatorError(Exception):
    """The base of all errors of this library."""


class ConfigurationError(AlternatorError, ValueError):
    """A setting is wrong. The message names the setting, what is wrong with it, and what to write instead."""


class BlockedConnectionError(AlternatorError, RuntimeError):
    """A test wanted to connect to an address that is not of its cluster. Nothing was sent.

    The message names the address, the setting that has it, and how to allow it. It is raised only in tests: see the
    fixtures of the pytest plugin. It is not an error of botocore, so retries and PynamoDB's own errors do not hide it.
    """


class SystemTableError(AlternatorError):
    """A system table cannot be read. The message says which table, why, and what to do."""


class VectorError(AlternatorError, ValueError):
    """A vector, or a search for vectors, that no server would accept. Nothing was sent.

    The message says what is wrong, where, and what to write instead.
    """


class TransportError(AlternatorError, _botocore.BotoCoreError):
    """A request got no answer.

    `node` is the last node that was tried (``"host:port"``, or None), `nodes_tried` all of them in order, and `reason`
    is the cause in words. `was_cut`: whether this process itself ended the attempt, because the node was declared down
    or the cluster was closed. Such an error says nothing new about the node.
    """

    fmt = "{reason}"
    was_cut: bool = False
    args: tuple[Any, ...]
    kwargs: Any
    request: Any = None
    response: Any = MappingProxyType({})
    """Empty: there was no answer. PynamoDB's `cause_response_code` looks up the answer's error code in it."""

    def __init__(
        self, reason: str, *, node: str | None = None, nodes_tried: Sequence[str] = (), was_cut: bool = False
    ) -> None:
        self.reason = reason
        if was_cut:
            self.was_cut = True
        self.node = node
        self.nodes_tried: tuple[str, ...] = tuple(nodes_tried)
        # botocore's own constructors set these attributes, and code may read them.
        self.kwargs = {"endpoint_url": node, "error": reason}
        Exception.__init__(self, self._text())

    def _text(self) -> str:
        if not self.nodes_tried:
            return self.reason
        return f"{self.reason} (nodes tried: {', '.join(self.nodes_tried)})"

    def __str__(self) -> str:
        return self._text()

    def tried(self, nodes: Sequence[str]) -> TransportError:
        """Set the nodes at which the request was tried, and return this error."""
        self.nodes_tried = tuple(nodes)
        self.args = (self._text(),)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.reason, self.node, self.nodes_tried), self._state() or None

    def _state(self) -> dict[str, Any]:
        """The attributes that the constructor does not set, for pickling and copying."""
        return {name: value for name, value in vars(self).items() if name not in _OF_CONSTRUCTOR}


_OF_CONSTRUCTOR = frozenset({"reason", "node", "nodes_tried", "kwargs", "response", "operation_name"})
"""The attributes that the constructor sets."""


def _rebuild(cls: type[TransportError], reason: str, node: str | None, nodes: tuple[str, ...]) -> TransportError:
    return cls(reason, node=node, nodes_tried=nodes)


class NotSentError(TransportError):
    """No node can have seen the request: sending it again is safe."""


class OutcomeUnknownError(TransportError):
    """A node may have executed the request, and no answer tells whether it has.

    `may_still_execute`: whether a node may execute the request later, on top of newer writes. It is True if a node went
    silent: the node may execute the write until it has answered again or is dead. It is False if the node closed the
    connection, began to answer, or answered with an error of its own: then the write is executed now or never, and
    cannot undo a newer write. The text of the error says which of the two is the case.
    """

    may_still_execute: bool = True


class NodeUnreachableError(NotSentError, _botocore.EndpointConnectionError):
    """The connection to a node was refused, reset or unroutable."""


class ConnectTimeoutError(NotSentError, _botocore.ConnectTimeoutError):
    """A node did not accept the connection within the connect timeout.

    `late`: whether this was noticed much too late, because this process or thread did not run meanwhile. Then the error
    says nothing about the node.
    """

    late = False


class PoolTimeoutError(NotSentError, _botocore.ConnectTimeoutError):
    """All connections to a node stayed in use for the whole pool timeout: none of them came free in that time."""


class TlsError(NotSentError, _botocore.SSLError):
    """The TLS handshake with a node failed."""


class NoNodesAvailableError(NotSentError, _botocore.EndpointConnectionError):
    """No node was available for the request."""


class SyncInLoopError(AlternatorError, RuntimeError):
    """A request that blocks its thread was made in the thread of a running event loop, and ``sync_in_loop="error"``
    forbids this.

    Nothing was sent. It is not one of botocore's errors, so PynamoDB does not wrap it.
    """


class ClusterClosedError(NotSentError, _botocore.EndpointConnectionError):
    """The cluster was closed: `Cluster.close()` or `close_all()` ran before this request."""


class RequestRefusedError(NotSentError):
    """The request breaks a limit or rule of the protocol, so no server would accept it. Nothing was sent."""


class CredentialsError(NotSentError, _botocore.CredentialRetrievalError):
    """The source in `ClusterConfig.credentials` could not give credentials now. Nothing was sent.

    `__cause__` is the source's own error, if it is one of botocore. Of any other error, the message has only the type,
    because its text may contain a secret.
    """


class ReadTimeoutError(OutcomeUnknownError, _botocore.ReadTimeoutError):
    """A node took the request and did not answer within the read timeout."""

    # The attributes of urllib3's error with the same meaning, from which botocore's error derives.
    pool: Any = None
    url: Any = None


class ConnectionLostError(OutcomeUnknownError, _botocore.ConnectionClosedError):
    """The connection broke after a part of the request was sent, and before the answer was complete.

    `was_idle`: whether the connection had been kept alive after an earlier request, and no byte of the answer had come.
    The node may have closed it meanwhile, which says nothing about the node's health.
    """

    may_still_execute: bool = False
    was_idle: bool = False


class MalformedAnswerError(OutcomeUnknownError, _botocore.HTTPClientError):
    """A node answered with something that is not a whole and valid HTTP or DynamoDB answer.

    The answer may come from a proxy in front of the node, so the node may still execute the request. `is_whole`: True
    for a whole HTTP answer that is not Alternator's, False for broken HTTP.
    """

    is_whole: bool = True


class ServerFailureError(OutcomeUnknownError, _botocore.ClientError):
    """A write was answered with 500, 502, 503 or 504, or with an error that is not Alternator's, such as a proxy's page
    with 404. The answer does not tell whether the write was executed. It is also raised if a write was sent again and
    refused, for example with a ValidationException, and an earlier attempt may have been executed.

    It is also the `ClientError` that botocore raises for such an answer, with `response` and `operation_name`, and an
    instance of the class that ``client.exceptions`` has for its code. `may_still_execute` is False for Alternator's own
    error, such as InternalServerError, and True for any other, because a proxy may answer in place of a silent node.
    """

    operation_name: str

    def __init__(
        self,
        reason: str,
        *,
        node: str | None = None,
        nodes_tried: Sequence[str] = (),
        response: Mapping[str, Any] = MappingProxyType({}),
        operation_name: str = "",
    ) -> None:
        super().__init__(reason, node=node, nodes_tried=nodes_tried)
        self.response = response
        self.operation_name = operation_name

    @classmethod
    def of(
        cls,
        parsed: Mapping[str, Any],
        operation: str,
        node: str | None,
        may_still_execute: bool,
        *,
        refused: bool = False,
    ) -> Self:
        """The error for the answer of `node` to a write. botocore has parsed the answer.

        `refused`: whether this attempt was certainly not executed, while an earlier attempt may have been.
        """
        said = parsed.get("Error", {})
        code, message = said.get("Code", "Unknown"), said.get("Message") or "no message"
        how, what = ("refused it", "an earlier attempt of the write") if refused else ("answered so", "the write")
        metadata = parsed.get("ResponseMetadata", {})
        retried = f" (reached max retries: {metadata['RetryAttempts']})" if "MaxAttemptsReached" in metadata else ""
        error = cls(
            f"An error occurred ({code}) when calling the {operation} operation{retried}: {message}. Node {node} "
            f"{how}, and {what} may have been executed{', or may still be' if may_still_execute else ''}",
            node=node,
            response=parsed,
            operation_name=operation,
        )
        error.may_still_execute = may_still_execute
        return error

    def __reduce__(self) -> tuple[Any, ...]:
        # type(self) is not used: only the client knows the classes that botocore makes for its exceptions.
        response = dict(self.response)
        values = (self.reason, self.node, self.nodes_tried, response, self.operation_name)
        return _rebuild_failure, values, self._state() or None


def _rebuild_failure(
    reason: str, node: str | None, nodes: tuple[str, ...], response: Mapping[str, Any], operation_name: str
) -> ServerFailureError:
    return ServerFailureError(reason, node=node, nodes_tried=nodes, response=response, operation_name=operation_name)


class DeadlineExceededError(TransportError, _botocore.ReadTimeoutError):
    """The call used up its `Timeouts.total`, retries included."""

    pool: Any = None
    url: Any = None


class DeadlineBeforeSendError(DeadlineExceededError, NotSentError):
    """The call used up its `Timeouts.total`, and no node can have seen the request."""


class DeadlineAfterSendError(DeadlineExceededError, OutcomeUnknownError):
    """The call used up its `Timeouts.total` after a node had taken the request."""
