"""Everything that this library raises.

All errors derive from `AlternatorError`. Those of transport derive as well from the botocore exception that a
PynamoDB user would expect in its place, because PynamoDB wraps only botocore's errors into `PutError`, `GetError`
and the like.

Two questions matter to whoever catches one, and the classes answer them:

- `NotSentError`: no node can have seen the request. Sending it again is safe.
- `OutcomeUnknownError`: a node may have executed the request, and no answer said so. Sending it again may apply
  it twice.

An error answer of the server (`ConditionalCheckFailedException`, ...) is no error of ours: it arrives as botocore's
own `ClientError`, as it does with DynamoDB.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from botocore import exceptions as _botocore

__all__ = [
    "AlternatorError",
    "ClusterClosedError",
    "ConfigurationError",
    "ConnectTimeoutError",
    "ConnectionLostError",
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
    "SystemTableError",
    "TlsError",
    "TransportError",
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


class AlternatorError(Exception):
    """The base of everything that this library raises."""


class ConfigurationError(AlternatorError, ValueError):
    """A setting is wrong. The message names the setting, what was wrong with it, and what to write instead."""


class SystemTableError(AlternatorError):
    """A system table cannot be read. The message says which, why, and what to do."""


class TransportError(AlternatorError, _botocore.BotoCoreError):
    """A request got no answer.

    `node` is the last node that was tried (``"host:port"``, or None), `nodes_tried` all of them in order, and
    `reason` is the cause in words.
    """

    fmt = "{reason}"
    kwargs: Any
    request: Any = None
    response: Any = MappingProxyType({})
    """Empty: there was no answer. PynamoDB's `cause_response_code` looks up the answer's error code in it."""

    def __init__(self, reason: str, *, node: str | None = None, nodes_tried: Sequence[str] = ()) -> None:
        self.reason = reason
        self.node = node
        self.nodes_tried = tuple(nodes_tried)
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
        return _rebuild, (type(self), self.reason, self.node, self.nodes_tried)


def _rebuild(cls: type[TransportError], reason: str, node: str | None, nodes: tuple[str, ...]) -> TransportError:
    return cls(reason, node=node, nodes_tried=nodes)


class NotSentError(TransportError):
    """No node can have seen the request: sending it again is safe."""


class OutcomeUnknownError(TransportError):
    """A node may have executed the request, and did not say so."""


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


class ClusterClosedError(NotSentError, _botocore.EndpointConnectionError):
    """The cluster was closed: `Cluster.close()` or `close_all()` ran before this request."""


class RequestRefusedError(NotSentError):
    """The request breaks a limit or rule of the protocol, so that no server would take it. Nothing was sent."""


class ReadTimeoutError(OutcomeUnknownError, _botocore.ReadTimeoutError):
    """A node took the request and did not answer within the read timeout."""

    # Attributes of urllib3's error of the same meaning, which botocore's derives from.
    pool: Any = None
    url: Any = None


class ConnectionLostError(OutcomeUnknownError, _botocore.ConnectionClosedError):
    """The connection broke after the request had begun to leave, before the answer was complete.

    `was_idle`: it had been kept alive after an earlier request, and no byte of the answer had come. The node may have
    closed it in the meantime, which says nothing about the node's health.
    """

    was_idle: bool = False


class MalformedAnswerError(OutcomeUnknownError, _botocore.HTTPClientError):
    """A node answered with something that is not a whole and valid HTTP or DynamoDB answer."""


class DeadlineExceededError(TransportError, _botocore.ReadTimeoutError):
    """The call used up its `Timeouts.total`, retries included."""

    pool: Any = None
    url: Any = None


class DeadlineBeforeSendError(DeadlineExceededError, NotSentError):
    """The call used up its `Timeouts.total`, and no node can have seen the request."""


class DeadlineAfterSendError(DeadlineExceededError, OutcomeUnknownError):
    """The call used up its `Timeouts.total` after a node had taken the request."""
