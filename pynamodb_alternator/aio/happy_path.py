"""The happy path of a request in an event loop. It is like `transport.happy_path`, only the waiting differs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import TransportError
from ..settings.config import ClusterConfig
from ..transport import emit
from ..transport.environment import Environment
from ..transport.happy_path import Begun, FirstAttempt, Request, is_ordinary
from ..transport.http1 import Answer
from ..transport.parsing import loads

if TYPE_CHECKING:
    from ..transport._calls import Operation
    from ..transport.endpoint import Prepare
    from .endpoint import AsyncSender

__all__ = ["WORTH_A_PROBE", "AsyncHappyPath"]

WORTH_A_PROBE = 0.1
"""If a task is cancelled after it has waited for so many seconds for a node, the node is probed. A task that is
cancelled earlier was hardly cancelled because of the node."""


class AsyncHappyPath(FirstAttempt):
    """Makes the requests of a cluster whose first attempt goes well. `hand_over`: see `HappyPath`."""

    def __init__(
        self,
        config: ClusterConfig,
        environment: Environment,
        sender: AsyncSender,
        prepare: Prepare,
        hand_over: Callable[[Request, Begun | None, Answer | TransportError | None], Any],
    ) -> None:
        super().__init__(config, environment, sender.shared.key, sender.has_room, sender.any_has_room)
        self._sender = sender
        self._prepare = prepare
        self._hand_over = hand_over

    async def __call__(self, operation: Operation, parameters: Mapping[str, Any], body: bytes) -> Any:
        """Make the request. Returns the parsed answer, or the result of `hand_over`."""
        request, sender = self.request(operation, parameters, body), self._sender
        timeouts = self.timeouts(request)
        waiting = self._prepare(request.started, timeouts.total)
        if waiting is not None:
            await waiting
        if not self.allows(request):
            return await self._hand_over(request, None, None)
        deadline = None if timeouts.total is None else request.started + timeouts.total
        begun = self.begin(request, deadline)
        if begun is None:
            return await self._hand_over(request, None, None)
        pool_wait = self.pool_wait(begun, timeouts)
        node, head, began = begun.node, b"", self._environment.clock()
        try:
            signers = sender.shared.signers(request.options)
            would_wait = signers.would_wait()
            signer = await sender.signer(request.options, deadline) if would_wait else signers.current()
            head = sender.shared.head(node, operation.target, body, signer, request.options)
            answer = await sender.send(
                node, head, body, operation.name, timeouts, deadline, pool_wait, loads=self._environment.loads
            )
            end: Answer | TransportError = answer
            parsed = loads(answer.body, operation.model) if is_ordinary(answer) else None
        except TransportError as error:
            end, parsed = error, None
        except BaseException as error:
            # See `AsyncClusterEndpoint`.
            if isinstance(error, asyncio.CancelledError) and self._environment.clock() - began >= WORTH_A_PROBE:
                self._environment.membership.suspect(node)
            if begun.told is not None:
                emit.completed(begun.told, None, error)
            raise
        if parsed is None:
            return await self._hand_over(request, begun.with_head(head), end)
        return self.settled(begun, answer, parsed)
