"""What a node asks of its cluster: the protocol between the sockets and faults of one node and the dialect of all."""

from __future__ import annotations

from typing import Protocol

from .answers import Answer
from .http import Request
from .members import Member
from .parsing import Parsed


class Handler(Protocol):
    """From a request to its answer. All methods are called in the event loop, by each of the nodes.

    A DynamoDB request takes three steps, between which its node counts it, holds it back or spoils it: `read`,
    `execute`, `encode`. Every other request is answered by `get`.
    """

    async def read(self, request: Request, asked: str) -> Parsed:
        """Verify, decompress and parse a request to the node whose host is `asked`. Raises `DialectError`."""

    @property
    def hop_delay(self) -> float:
        """Seconds that a request takes longer at a node that is not a replica of what it is about."""

    async def is_replica(self, parsed: Parsed, asked: Member) -> bool | None:
        """Whether the node `asked` is a replica of the partition that a request is about; None if it is about none."""

    def token(self, parsed: Parsed) -> int | None:
        """The token of the partition that a request is about, for the log; None if it is about none."""

    async def execute(self, parsed: Parsed) -> Answer:
        """Execute it. Refusals and failures of the engine are answers."""

    async def encode(self, request: Request, answer: Answer) -> tuple[bytes, str | None]:
        """The answer's body as it goes onto the wire, and its Content-Encoding."""

    def get(self, request: Request, asked: Member) -> Answer:
        """The answer to health checks, discovery and unknown paths."""
