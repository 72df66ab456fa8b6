"""The happy path of a request in an event loop: that of `transport.happy_path`, only the waiting differs."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import TransportError
from ..settings.config import ClusterConfig
from ..settings.options import NO_OPTIONS
from ..transport.environment import Environment
from ..transport.happy_path import Begun, Request, Rules, is_ordinary
from ..transport.http1 import Answer
from ..transport.parsing import loads, response_metadata

if TYPE_CHECKING:
    from ..transport._calls import Operation
    from ..transport.endpoint import Prepare
    from .endpoint import AsyncSender

__all__ = ["WORTH_A_PROBE", "AsyncHappyPath"]

WORTH_A_PROBE = 0.1
"""Seconds that a task has waited for a node before it was cancelled. Others are cancelled for reasons of their own."""


class AsyncHappyPath:
    """Makes the requests of a cluster whose first attempt goes well. `hand_over`: see `HappyPath`."""

    def __init__(
        self,
        config: ClusterConfig,
        environment: Environment,
        sender: AsyncSender,
        prepare: Prepare,
        hand_over: Callable[[Request, Begun | None, Answer | TransportError | None], Any],
    ) -> None:
        self._rules = Rules(config, environment, sender.shared.key)
        self._timeouts = config.timeouts
        self._pool_patience = math.inf if config.timeouts.pool is None else config.timeouts.pool
        self._environment = environment
        self._sender = sender
        self._pools = sender.pools
        self._prepare = prepare
        self._hand_over = hand_over

    async def __call__(self, operation: Operation, parameters: Mapping[str, Any], body: bytes) -> Any:
        """The parsed answer, or what `hand_over` makes of the request."""
        environment, timeouts, sender = self._environment, self._timeouts, self._sender
        started = environment.clock()
        request = Request(operation, parameters, body, started)
        if not self._rules.allow(operation.name, body):
            return await self._hand_over(request, None, None)
        await self._prepare(started, timeouts.total)
        membership, pools = environment.membership, self._pools
        plan = environment.router.plan(operation.name, parameters, membership.view)
        order = plan.order(membership.view)
        node = next(order, None)
        if node is None or not pools.has_room(node):
            return await self._hand_over(request, None, None)
        generation, head, began = membership.generation(node), b"", environment.clock()
        deadline = None if timeouts.total is None else started + timeouts.total
        try:
            signer = await sender.signer(NO_OPTIONS, deadline)
            head = sender.shared.head(node, operation.target, body, signer)
            connection = await pools.acquire(node, timeouts.connect, deadline, self._pool_patience)
            try:
                answer = await connection.exchange(
                    head,
                    body,
                    read_timeout=timeouts.read,
                    deadline=deadline,
                    max_body=sender.shared.max_body(operation.name),
                )
            finally:
                pools.release(connection)
            end: Answer | TransportError = answer
            parsed = loads(answer.body, operation.model) if is_ordinary(answer) else None
        except TransportError as error:
            end, parsed = error, None
        except asyncio.CancelledError:
            # See `AsyncClusterEndpoint`.
            if environment.clock() - began >= WORTH_A_PROBE:
                membership.suspect(node)
            raise
        if parsed is None:
            return await self._hand_over(request, Begun(plan, order, node, generation, head), end)
        environment.counts[node.address].answers += 1
        membership.succeeded(node, generation)
        environment.budget.deposit()
        parsed["ResponseMetadata"] = response_metadata(answer.status, answer.headers)
        return parsed
