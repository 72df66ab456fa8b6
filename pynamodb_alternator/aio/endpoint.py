"""The attempt loop for an event loop. `transport.attempts` makes the decisions, only the waiting differs."""

from __future__ import annotations

import asyncio
import copy
import inspect
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, TypeVar

from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.model import OperationModel

from ..errors import AlternatorError, CredentialsError, TransportError
from ..settings.config import ClusterConfig
from ..settings.options import RequestOptions, current
from ..settings.values import Timeouts
from ..topology.node import Node
from ..transport._calls import Operation
from ..transport.attempts import Attempts, Wait
from ..transport.credentials import Signers
from ..transport.endpoint import ClusterEndpoint, Prepare
from ..transport.environment import Environment
from ..transport.happy_path import Begun, Request
from ..transport.hedged_attempts import HedgedAttempts
from ..transport.http1 import Answer
from ..transport.lanes import CompatibleLane, Sender, ShortLane, request_dict_of
from ..transport.lanes.lane import RawBody
from ..transport.large_answers import LARGE, Look, Watch
from ..transport.loads import Loads
from ..transport.signing import Signer
from .happy_path import WORTH_A_PROBE, AsyncHappyPath
from .pool import AsyncPools
from .side_by_side import AsyncSideBySide
from .threads import run_in_thread

__all__ = ["AsyncClusterEndpoint", "AsyncSender"]


_T = TypeVar("_T")


class AsyncSender:
    """Gets requests to a node over the connections of an event loop.

    `shared`: the cluster's own sender, for signatures, compression and headers.
    """

    def __init__(self, shared: Sender, pools: AsyncPools) -> None:
        self.shared = shared
        self.pools = pools
        self._questions: dict[Signers, asyncio.Task[Signer | None]] = {}
        self.has_room: Callable[[Node], bool] = pools.has_room
        self.any_has_room: Callable[[Iterable[Node]], bool] = pools.any_has_room
        """`has_room` and `any_has_room`: as in `transport.lanes.Sender`."""

    async def send(
        self,
        node: Node,
        head: bytes,
        body: bytes,
        operation: str,
        timeouts: Timeouts,
        deadline: float | None,
        pool_wait: float,
        patient: bool = False,
        loads: Loads | None = None,
        lent: dict[Node, Any] | None = None,
    ) -> Answer:
        """Like `Sender.send`. `lent`: the connection that is used is stored in it."""
        pools, answer = self.pools, None
        connection = pools.take(node)
        if connection is None:
            connection = await pools.acquire(node, timeouts.connect, deadline, pool_wait)
        if lent is not None:
            lent[node] = connection
        began = 0.0 if loads is None else loads.clock()
        try:
            answer = await connection.exchange(
                head,
                body,
                read_timeout=timeouts.read,
                deadline=deadline,
                patient=patient,
                max_body=self.shared.max_body(operation),
            )
        finally:
            pools.release(connection)
            if loads is not None:
                loads.ended(node, operation, began, None if answer is None else answer.status)
        return answer

    async def exchange(self, node: Node, head: bytes, body: bytes, attempts: Attempts) -> Answer:
        """Send one request, and return its answer, unpacked."""
        answer = await self.send(
            node,
            head,
            body,
            attempts.operation,
            attempts.timeouts,
            attempts.deadline,
            attempts.pool_wait,
            attempts.patient,
            attempts.environment.loads,
            attempts.connections if type(attempts) is HedgedAttempts else None,
        )
        return await self.plain(node, head, answer, attempts)

    async def plain(self, node: Node, head: bytes, answer: Answer, attempts: Attempts) -> Answer:
        """The answer, unpacked. `head`: of the request."""
        if "content-encoding" not in answer.headers:
            return answer
        pieces = self.shared.unpacked(node, head, answer, attempts.operation)
        plain = list(islice(pieces, 2))
        if len(plain) > 1:
            # To unpack the rest may take longer than a millisecond.
            def unpack_rest(look: Look) -> None:
                for piece in pieces:
                    plain.append(piece)
                    look()

            await self.in_thread(node, attempts, unpack_rest)
        return Answer(answer.status, answer.headers, b"".join(plain))

    async def in_thread(self, node: Node, attempts: Attempts, work: Callable[[Look], _T]) -> _T:
        """Do work on an answer of `node` in a thread of the event loop's executor, until the deadline of the call.

        Raises what the work raises, and `ReadTimeoutError`. If the task is cancelled, the work ends too.
        """
        watch = self.shared.watch(node, attempts)
        try:
            done = asyncio.get_running_loop().run_in_executor(None, work, watch.look)
        except RuntimeError:
            # No thread can be started: the interpreter ends, or the container limits the number of threads.
            return work(watch.look)
        try:
            return await _before_the_deadline(done, watch)
        finally:
            watch.stop()

    async def signer(self, options: RequestOptions, deadline: float | None) -> Signer | None:
        """The signer of a request, without blocking the event loop. Raises what `Signers.current` raises, and
        `CredentialsError` at the deadline."""
        signers = self.shared.signers(options)
        if not signers.would_wait():
            return signers.current()
        asking = self._asking(signers)
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        await asyncio.wait([asking], timeout=left)
        if not asking.done():
            raise CredentialsError(
                "ClusterConfig: credentials: what gives them did not answer before the deadline of the call. Nothing "
                "was sent. Retry with a longer Timeouts(total=...), or correct what gives the credentials."
            )
        try:
            return asking.result()
        except AlternatorError as error:
            # Each task gets its own exception object, because a traceback is written into it when it is raised.
            raise copy.copy(error) from error.__cause__

    def _asking(self, signers: Signers) -> asyncio.Task[Signer | None]:
        """The task that asks for the credentials. All tasks that need the same credentials wait for the same one."""
        loop = asyncio.get_running_loop()
        asking = self._questions.get(signers)
        if asking is None or asking.done() or asking.get_loop() is not loop:
            question = signers.current_in_loop(lambda call: run_in_thread(loop, call))
            asking = self._questions[signers] = loop.create_task(question)
            asking.add_done_callback(lambda done: self._forget(signers, done))
        return asking

    def _forget(self, signers: Signers, asked: asyncio.Task[Signer | None]) -> None:
        if self._questions.get(signers) is asked:
            del self._questions[signers]
        if not asked.cancelled():
            asked.exception()  # if no task waits any more, asyncio would log an exception that was never retrieved


class _Short(ShortLane):
    """The short lane of an event loop."""

    __slots__ = ()

    async def send(self, sender: AsyncSender, node: Node, attempts: Attempts) -> Answer:
        signer = await sender.signer(self._options, attempts.deadline)
        answer = await sender.exchange(node, self._head(node, signer), self._body, attempts)
        return await self._read_beside(sender, node, answer, attempts)

    async def go_on(self, sender: AsyncSender, begun: Begun, answer: Answer, attempts: Attempts) -> Answer:
        """Like `send`, for an answer that has come already."""
        answer = await sender.plain(begun.node, begun.head, answer, attempts)
        return await self._read_beside(sender, begun.node, answer, attempts)

    async def _read_beside(self, sender: AsyncSender, node: Node, answer: Answer, attempts: Attempts) -> Answer:
        if len(answer.body) > LARGE:
            await sender.in_thread(node, attempts, lambda look: self._read(answer, look))
        else:
            self._read(answer)
        return answer


class _Compatible(CompatibleLane):
    """The compatible lane of an event loop: handlers may be coroutine functions, as in aiobotocore."""

    _async_sender: AsyncSender
    _deadline: float | None

    async def send(self, sender: AsyncSender, node: Node, attempts: Attempts) -> Answer:
        self._async_sender, self._deadline = sender, attempts.deadline
        return await self._exchange(node, attempts)

    async def _signer(self) -> Signer | None:
        return await self._async_sender.signer(self._options, self._deadline)

    async def _over_the_wire(self, node: Node, head: bytes, body: bytes, attempts: Attempts) -> Answer:
        return await self._async_sender.exchange(node, head, body, attempts)

    async def _in_time(
        self, read: Callable[[Look | None], dict[str, Any]], size: int, node: Node, attempts: Attempts
    ) -> dict[str, Any]:
        return await self._async_sender.in_thread(node, attempts, read) if size > LARGE else read(None)

    async def _emit(self, event: str, **payload: Any) -> list[tuple[Any, Any]]:
        emitted: list[tuple[Any, Any]] = await self._endpoint.emit(self._event.format(event), **payload)
        return emitted

    async def _whole(self, response: Any) -> AWSResponse:
        content = response.content
        if inspect.isawaitable(content):  # aiobotocore's own response objects
            headers: Any = HeadersDict(response.headers)
            return AWSResponse(response.url, response.status_code, headers, RawBody(await content))
        return await super()._whole(response)


class AsyncClusterEndpoint(ClusterEndpoint):
    """An endpoint that is a whole cluster, for aiobotocore's client."""

    _short_lane = _Short
    _compatible_lane = _Compatible
    _side_by_side = AsyncSideBySide

    def __init__(
        self,
        url: str,
        config: ClusterConfig,
        environment: Environment,
        sender: AsyncSender,
        events: Any,
        *,
        prepare: Prepare,
    ) -> None:
        super().__init__(url, config, environment, sender.shared, events, prepare=prepare)
        self.http_session: Any = _NoSession()
        self._async_sender = sender
        self._has_room = sender.has_room
        self._async_happy_path = AsyncHappyPath(config, environment, sender, prepare, self._make)

    async def make_request(  # type: ignore[override]  # aiobotocore's client awaits it
        self, operation_model: OperationModel, request_dict: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Send a request to the first node of its query plan, or to the next ones if it fails."""
        options = current(self._sender.key)
        timeouts = options.timeouts(self._config.timeouts)
        started = self._environment.clock()
        waiting = self._prepare(started, timeouts.total)
        if waiting is not None:
            await waiting
        return await self._go_through(operation_model, request_dict, options, started, timeouts)

    async def _go_through(  # type: ignore[override]
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
            return self._result(attempts, lane, await self._drive(attempts, lane))

    def call(self, operation: Operation, parameters: Any, body: bytes) -> Any:
        """The call of a client to which nothing listens. Raises what aiobotocore's client would raise."""
        return self._async_happy_path(operation, parameters, body)

    async def _make(self, request: Request, begun: Begun | None, end: Answer | TransportError | None) -> Any:
        if begun is None or end is None:
            timeouts = request.options.timeouts(self._config.timeouts)
            response, parsed = await self._go_through(
                request.operation.model, request_dict_of(request), request.options, request.started, timeouts
            )
        else:
            response, parsed = await self._go_on(request, begun, end)
        return self._answered(request, response, parsed)

    async def _go_on(  # type: ignore[override]
        self, request: Request, begun: Begun, end: Answer | TransportError
    ) -> tuple[Any, dict[str, Any]]:
        model, request_dict, options = request.operation.model, request_dict_of(request), request.options
        lane = self._short_lane(self._sender, model, request_dict, options)
        timeouts = options.timeouts(self._config.timeouts)
        with self._attempts(model.name, request_dict, options, request.started, timeouts, begun) as attempts:
            try:
                if isinstance(end, TransportError):
                    raise end
                answer = await lane.go_on(self._async_sender, begun, end, attempts)
            except TransportError as error:
                attempts.failed(error)
            else:
                if attempts.answered(answer):
                    return self._result(attempts, lane, answer)
            return self._result(attempts, lane, await self._drive(attempts, lane))

    async def _drive(self, attempts: Attempts, lane: _Short | _Compatible | AsyncSideBySide) -> Answer:
        sender, environment = self._async_sender, self._environment
        while True:
            step = attempts.next()
            if isinstance(step, Node):
                began = environment.clock()
                try:
                    answer = await lane.send(sender, step, attempts)
                except TransportError as error:
                    attempts.failed(error)
                    continue
                except asyncio.CancelledError:
                    # A cancelled task says nothing about the node's health. But perhaps the caller has cancelled it
                    # because the node does not answer. So the node is probed.
                    if environment.clock() - began >= WORTH_A_PROBE:
                        environment.membership.suspect(step)
                    raise
                if attempts.answered(answer):
                    return answer
            elif isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
            else:
                return step

    async def close(self) -> None:  # type: ignore[override]
        """Does nothing, because the pools belong to the cluster."""


async def _before_the_deadline(done: asyncio.Future[_T], watch: Watch) -> _T:
    timer = asyncio.timeout(watch.left())
    try:
        async with timer:
            return await done
    except TimeoutError:
        if timer.expired():
            # Perhaps the work has not even begun, because the application keeps all threads of the executor busy.
            raise watch.too_late() from None
        raise


class _NoSession:
    """Replaces aiobotocore's HTTP session, for ``async with client``. The end of the block closes nothing."""

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *exception: object) -> None:
        return None

    async def close(self) -> None:
        return None
