"""Everything that this library raises.

All errors derive from `AlternatorError`. Those of transport derive as well from the botocore exception that a
PynamoDB user would expect in its place, because PynamoDB wraps only botocore's errors into `PutError`, `GetError`
and the like.

Two questions matter to code that catches an error, and the classes answer them:

- `NotSentError`: no node can have seen the request. Sending it again is safe.
- `OutcomeUnknownError`: a node may have executed the request, and no answer said so. Sending it again may apply
  it twice. Its `may_still_execute` tells whether a node may even execute it later.

An error answer of the server (`ConditionalCheckFailedException`, ...) is not such an error: it arrives as botocore's
own `ClientError`, as it does with DynamoDB. One that leaves the outcome of a write open is both: `ServerFailureError`.
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
    """What a server's error answer says in words; empty for every other error."""
    return _of_answer(error, "Message")


def _of_answer(error: BaseException, name: str) -> str:
    answer = error.response.get("Error", {}) if isinstance(error, _botocore.ClientError) else {}
    return str(answer.get(name, ""))


WRONG_VALUE: Final = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""The exceptions of a value that does not have the expected type or shape.

Not `Exception`: an exception that a signal's handler raises, such as Celery's soft time limit, may come at any place,
and must end the request.
"""


class AlternatorError(Exception):
    """The base of everything that this library raises."""


class ConfigurationError(AlternatorError, ValueError):
    """A setting is wrong. The message names the setting, what was wrong with it, and what to write instead."""


class BlockedConnectionError(AlternatorError, RuntimeError):
    """A test wanted to connect to an address that is not of its cluster. Nothing was sent.

    The message names the address, the setting that it comes from, and what opens it. Only tests meet it: see the
    fixtures of the pytest plugin. It is not an error of botocore, so that neither retries nor PynamoDB's own errors
    hide it.
    """


class SystemTableError(AlternatorError):
    """A system table cannot be read. The message says which, why, and what to do."""


class VectorError(AlternatorError, ValueError):
    """A vector, or a search for vectors, that no server would take, found before anything was sent.

    The message says what is wrong, where, and what to write instead.
    """


class TransportError(AlternatorError, _botocore.BotoCoreError):
    """A request got no answer.

    `node` is the last node that was tried (``"host:port"``, or None), `nodes_tried` all of them in order, and
    `reason` is the cause in words. `was_cut`: this process ended the attempt itself, because the node was declared down
    or the cluster was closed; so it says nothing new of the node.
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
        # What botocore's own constructors set, so that code which reads these attributes goes on working.
        self.kwargs = {"endpoint_url": node, "error": reason}
        Exception.__init__(self, self._text())

    def _text(self) -> str:
        if not self.nodes_tried:
            return self.reason
        return f"{self.reason} (nodes tried: {', '.join(self.nodes_tried)})"

    def __str__(self) -> str:
        return self._text()

    def tried(self, nodes: Sequence[str]) -> TransportError:
        """The same error, telling which nodes the request was tried on."""
        self.nodes_tried = tuple(nodes)
        self.args = (self._text(),)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.reason, self.node, self.nodes_tried), self._state() or None

    def _state(self) -> dict[str, Any]:
        """The attributes that its constructor does not set, for pickling and copying."""
        return {name: value for name, value in vars(self).items() if name not in _OF_CONSTRUCTOR}


_OF_CONSTRUCTOR = frozenset({"reason", "node", "nodes_tried", "kwargs", "response", "operation_name"})
"""Attributes that an error has from its constructor."""


def _rebuild(cls: type[TransportError], reason: str, node: str | None, nodes: tuple[str, ...]) -> TransportError:
    return cls(reason, node=node, nodes_tried=nodes)


class NotSentError(TransportError):
    """No node can have seen the request: sending it again is safe."""


class OutcomeUnknownError(TransportError):
    """A node may have executed the request, and did not say so.

    `may_still_execute`: whether a node may execute the request later, on top of newer writes. It is True where a node
    went silent: until that node has answered again or is dead, the write can still happen. It is False where the node
    closed the connection, began to answer, or answered with an error of its own: what has not happened by then will
    not undo a newer write. The text of an error that a write ends with says which of the two it is.
    """

    may_still_execute: bool = True


class NodeUnreachableError(NotSentError, _botocore.EndpointConnectionError):
    """The connection to a node was refused, reset or unroutable."""


class ConnectTimeoutError(NotSentError, _botocore.ConnectTimeoutError):
    """A node did not accept the connection within the connect timeout.

    `late`: this was noticed much later than it was due, because this process or thread was held up meanwhile. It says
    nothing of the node then.
    """

    late = False


class PoolTimeoutError(NotSentError, _botocore.ConnectTimeoutError):
    """All connections to a node stayed in use for the whole pool timeout: none of them came free in that time."""


class TlsError(NotSentError, _botocore.SSLError):
    """The TLS handshake with a node failed."""


class NoNodesAvailableError(NotSentError, _botocore.EndpointConnectionError):
    """There was no node to send the request to."""


class SyncInLoopError(AlternatorError, RuntimeError):
    """A request that waits was made in the thread of a running event loop, and ``sync_in_loop="error"`` forbids it.

    Nothing was sent. It is not one of botocore's errors: PynamoDB passes it on as it is.
    """


class ClusterClosedError(NotSentError, _botocore.EndpointConnectionError):
    """The cluster was closed: `Cluster.close()` or `close_all()` ran before this request."""


class RequestRefusedError(NotSentError):
    """The request breaks a limit or rule of the protocol, so that no server would take it. Nothing was sent."""


class CredentialsError(NotSentError, _botocore.CredentialRetrievalError):
    """What `ClusterConfig.credentials` names could not tell the credentials now. Nothing was sent.

    `__cause__` is the provider's own error, if that is one of botocore's. Any other is named by its type alone, because
    its text may have a secret in it.
    """


class ReadTimeoutError(OutcomeUnknownError, _botocore.ReadTimeoutError):
    """A node took the request and did not answer within the read timeout."""

    # Attributes of urllib3's error of the same meaning, which botocore's derives from.
    pool: Any = None
    url: Any = None


class ConnectionLostError(OutcomeUnknownError, _botocore.ConnectionClosedError):
    """The connection broke after the request had begun to leave, before the answer was complete.

    `was_idle`: the connection had been kept alive after an earlier request, and no byte of the answer had come. The
    node may have closed it in the meantime, which says nothing about the node's health.
    """

    may_still_execute: bool = False
    was_idle: bool = False


class MalformedAnswerError(OutcomeUnknownError, _botocore.HTTPClientError):
    """A node answered with something that is not a whole and valid HTTP or DynamoDB answer.

    Something between us and the node may have made it, so the node may still execute the request. `is_whole`: it is a
    whole HTTP answer, but not Alternator's; else it is broken HTTP.
    """

    is_whole: bool = True


class ServerFailureError(OutcomeUnknownError, _botocore.ClientError):
    """A write was answered with 500, 502, 503 or 504, or with an error that is not Alternator's, such as a proxy's page
    with 404. It does not tell whether the write was executed. It is also raised where a repeated write was refused,
    such as with a ValidationException, and an earlier attempt may have been executed.

    It is the `ClientError` that botocore raises for such an answer, with `response` and `operation_name`, and of the
    class that ``client.exceptions`` has for its code. `may_still_execute` is False for an error of Alternator's own,
    such as InternalServerError, and True for any other: a proxy may speak for a node that is silent.
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

        `refused`: this attempt was not executed, and the answer says nothing of an earlier one.
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
        # Not type(self): which classes botocore makes for a client's exceptions is known to that client alone.
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
