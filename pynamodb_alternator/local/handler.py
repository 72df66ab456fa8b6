"""The protocol between a node, which has sockets and faults, and its cluster, which has the dialect for all nodes."""

from __future__ import annotations

from typing import Protocol

from .answers import Answer
from .http import Request
from .members import Member
from .parsing import Parsed


class Handler(Protocol):
    """Makes the answers to requests. All methods are called in the event loop, by each of the nodes.

    A DynamoDB request takes three steps: `read`, `execute`, `encode`. Between them, its node counts it, delays it or
    applies faults. `get` answers every other request.
    """

    async def read(self, request: Request, asked: str) -> Parsed:
        """Verify, decompress and parse a request to the node whose host is `asked`. Raises `DialectError`."""

    @property
    def hop_delay(self) -> float:
        """How many seconds longer a request takes at a node that is not a replica of its partition."""

    async def is_replica(self, parsed: Parsed, asked: Member) -> bool | None:
        """Whether the node `asked` is a replica of the partition that a request uses; None if it does not use exactly
        one."""

    def token(self, parsed: Parsed) -> int | None:
        """The token of the partition that a request uses, for the log; None if it does not use exactly one."""

    async def execute(self, parsed: Parsed) -> Answer:
        """Execute a request. Refusals and failures of the engine are returned as answers, and not raised."""

    async def encode(self, request: Request, answer: Answer) -> tuple[bytes, str | None]:
        """The body of the answer as it is sent, and its Content-Encoding."""

    def get(self, request: Request, asked: Member) -> Answer:
        """The answer to a health check, to ``/localnodes`` and to an unknown path."""
