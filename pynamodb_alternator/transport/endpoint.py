"""The endpoint that botocore's client calls to make a request: the attempt loop, which sends on one of two lanes.

The short lane writes the request itself. The compatible lane builds botocore's request objects and emits its events,
and is used if a handler listens to these events. Both send equivalent requests.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, Protocol

import botocore.endpoint
from botocore.model import OperationModel

from ..errors import ServerFailureError, TransportError
from ..settings.config import ClusterConfig
from ..settings.options import NOT_GIVEN, RequestOptions, current
from ..settings.values import Hedge, Timeouts
from ..topology.node import Node
from ._botocore import OpenOutcomeCode
from ._calls import Calls, Operation
from ._hooks import Hooks
from .attempts import Attempts, Wait
from .environment import Environment
from .happy_path import Begun, HappyPath, Request
from .hedged_attempts import HedgedAttempts
from .hedging import may_be_hedged
from .http1 import Answer
from .lanes import PARAMETERS, CompatibleLane, Lane, Sender, ShortLane, request_dict_of
from .side_by_side import SideBySide

__all__ = ["ClusterEndpoint", "Prepare"]


class Prepare(Protocol):
    def __call__(self, now: float, total: float | None) -> Any:
        """Called before each request: see `ClusterCore.prepare`. Raises if the cluster is closed. An event loop awaits
        the result, unless it is None."""


class ClusterEndpoint(botocore.endpoint.Endpoint):
    """An endpoint that is a whole cluster.

    For event loops, the subclass `aio.endpoint.AsyncClusterEndpoint` has other lanes, and an attempt loop that awaits.
    """

    _short_lane: Callable[..., Any] = ShortLane
    _compatible_lane: Callable[..., Any] = CompatibleLane
    _side_by_side: Callable[..., Any] = SideBySide

    def __init__(
        self,
        url: str,
        config: ClusterConfig,
        environment: Environment,
        sender: Sender,
        events: Any,
        *,
        prepare: Prepare,
        keep_alive: object = None,
    ) -> None:
        # botocore's own HTTP session is not used, because it would open a pool of its own.
        no_session: Any = _NoSession()
        super().__init__(url, "dynamodb", events, http_session=no_session)
        self._events = events
        self._config = config
        self._environment = environment
        self._sender = sender
        self._prepare = prepare
        # Keeps the cluster alive as long as its client, because other parts refer to the cluster only weakly.
        self._keep_alive = keep_alive
        self.hooks: Hooks = Hooks(events)
        """Tells which lane an operation takes."""
        self._has_room: Callable[[Node], bool] = sender.has_room
        self._happy_path = HappyPath(config, environment, sender, prepare, self._make)
        self.calls: Calls
        """Decides which calls of the client come to `call`. It is set when the client is assembled."""
        self.error_of: Callable[[Any], Any]
        """Returns the class of the error that the client raises for a code."""
        self.failure_class: Callable[[str], type[ServerFailureError]] = lambda code: ServerFailureError
        """Returns the class of the error for an answer that leaves the outcome open, by its code. See
        `_botocore._FailureClasses`."""

    def make_request(self, operation_model: OperationModel, request_dict: Any) -> tuple[Any, dict[str, Any]]:
        """Send a request to the first node of its query plan, or to the next ones if it fails."""
        options = current(self._sender.key)
        timeouts = options.timeouts(self._config.timeouts)
        started = self._environment.clock()
        self._prepare(started, timeouts.total)
        return self._go_through(operation_model, request_dict, options, started, timeouts)

    def _go_through(
        self,
        operation_model: OperationModel,
        request_dict: Any,
        options: RequestOptions,
        started: float,
        timeouts: Timeouts,
    ) -> tuple[Any, dict[str, Any]]:
        lane = self._lane(operation_model, request_dict, options)
        with self._attempts(operation_model.name, request_dict, options, started, timeouts) as attempts:
            if type(attempts) is HedgedAttempts:
                lane = self._side_by_side(lane)
            return self._result(attempts, lane, self._run(attempts, lane))

    def call(self, operation: Operation, parameters: Any, body: bytes) -> Any:
        """The call of a client to which nothing listens. Raises what botocore's client would raise."""
        return self._happy_path(operation, parameters, body)

    def _make(self, request: Request, begun: Begun | None, end: Answer | TransportError | None) -> Any:
        """Make a request that cannot take the happy path, or that has left it after its first attempt."""
        if begun is None or end is None:
            timeouts = request.options.timeouts(self._config.timeouts)
            response, parsed = self._go_through(
                request.operation.model, request_dict_of(request), request.options, request.started, timeouts
            )
        else:
            response, parsed = self._go_on(request, begun, end)
        return self._answered(request, response, parsed)

    def _go_on(self, request: Request, begun: Begun, end: Answer | TransportError) -> tuple[Any, dict[str, Any]]:
        model, request_dict, options = request.operation.model, request_dict_of(request), request.options
        lane = self._short_lane(self._sender, model, request_dict, options)
        timeouts = options.timeouts(self._config.timeouts)
        with self._attempts(model.name, request_dict, options, request.started, timeouts, begun) as attempts:
            try:
                if isinstance(end, TransportError):
                    raise end
                answer = lane.take(begun, end, attempts)
            except TransportError as error:
                attempts.failed(error)
            else:
                if attempts.answered(answer):
                    return self._result(attempts, lane, answer)
            return self._result(attempts, lane, self._run(attempts, lane))

    def _answered(self, request: Request, response: Any, parsed: dict[str, Any]) -> dict[str, Any]:
        if response.status_code >= 300:
            raise self.error_of(parsed.get("Error", {}).get("Code"))(parsed, request.operation.name)
        return parsed

    def _lane(self, operation_model: OperationModel, request_dict: Any, options: RequestOptions) -> Any:
        """The lane of one call: the short one, unless a handler listens to the events of its attempts."""
        if self.hooks.any_for(operation_model.name):
            return self._compatible_lane(self, self._sender, operation_model, request_dict, options)
        return self._short_lane(self._sender, operation_model, request_dict, options)

    def _attempts(
        self,
        operation: str,
        request_dict: Any,
        options: RequestOptions,
        started: float,
        timeouts: Timeouts,
        begun: Begun | None = None,
    ) -> Attempts:
        parameters = request_dict.pop(PARAMETERS, None) or {}
        hedge = self._config.hedge if options.hedge is NOT_GIVEN else options.hedge
        kind = Attempts if hedge is None else _attempts_with(hedge, operation, parameters, options)
        return kind(
            self._environment,
            operation,
            parameters,
            started=started,
            timeouts=timeouts,
            retries=options.retries(self._config.retries),
            options=options,
            has_room=self._has_room,
            begun=begun,
        )

    def _run(self, attempts: Attempts, lane: Lane) -> Answer:
        while True:
            step = attempts.next()
            if isinstance(step, Node):
                try:
                    answer = lane.exchange(step, attempts)
                except TransportError as error:
                    attempts.failed(error)
                    continue
                if attempts.answered(answer):
                    return answer
            elif isinstance(step, Wait):
                time.sleep(step.seconds)
            else:
                return step

    def _result(self, attempts: Attempts, lane: Lane, answer: Answer) -> tuple[Any, dict[str, Any]]:
        """The result for botocore's client. For an answer that leaves the outcome of a write open, the client raises
        our error instead of its own: see `OpenOutcomeCode`."""
        response, parsed = lane.result(answer, attempts.count)
        if answer.status >= 300 and attempts.are_used_up:
            parsed["ResponseMetadata"]["MaxAttemptsReached"] = True  # as in botocore, which adds it to the error's text
        if answer.status >= 300 and attempts.leaves_open(answer):
            kind = self.failure_class(str(parsed.get("Error", {}).get("Code")))
            OpenOutcomeCode.into(parsed, attempts.open_outcome(parsed, kind))
        return response, parsed

    # ---- what the compatible lane needs from botocore's endpoint --------------------------------------------------

    def emit(self, event: str, **payload: Any) -> list[tuple[Any, Any]]:
        responses: list[tuple[Any, Any]] = self._events.emit(event, **payload)
        return responses


def _attempts_with(hedge: Hedge, operation: str, parameters: Any, options: RequestOptions) -> Callable[..., Attempts]:
    """The class for the attempts of a request with the setting `hedge`: `HedgedAttempts` only for a read that may be
    hedged.

    A request that prefers one node may not be hedged, because the caller may want an answer of this node. The library's
    own requests may not be hedged either.
    """
    prefers_one = options.consistent_node is not None and options.consistent_node is not False
    if prefers_one or options.is_lookup or not may_be_hedged(operation, parameters):
        return Attempts
    return functools.partial(HedgedAttempts, hedge=hedge)


class _NoSession:
    """Replaces botocore's HTTP session. The pools belong to the cluster, so they must not be closed together with a
    client, which all models may share."""

    def send(self, request: Any) -> Any:
        raise TransportError("botocore's own HTTP session is not used: requests go through the cluster's pools")

    def close(self) -> None:
        return None
