"""What both lanes have in common."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Protocol

from ...topology.node import Node
from ..attempts import Attempts
from ..http1 import Answer, Steps

__all__ = ["TARGET", "Lane", "RawBody", "explain_compression"]

TARGET = "X-Amz-Target"


class Lane(Protocol):
    def exchange(self, node: Node, attempts: Attempts) -> Answer:
        """Send the request to `node` and read its answer. Raises `TransportError`."""

    def steps(self, node: Node, attempts: Attempts) -> Steps[Answer]:
        """The same as `exchange`, in steps: see `http1.steps`."""

    def result(self, answer: Answer, attempts: int) -> tuple[Any, dict[str, Any]]:
        """What botocore's client expects from its endpoint for `answer`."""


class RawBody(BytesIO):
    """A body in the form in which botocore's response object reads it."""

    def stream(self, **_: Any) -> Any:
        yield self.read()


def explain_compression(parsed: dict[str, Any], coding: str | None) -> dict[str, Any]:
    """Say in an error answer that it may come from a server that does not know compressed requests."""
    error = parsed.get("Error")
    if coding is None or not error or error.get("Code") != "ValidationException":
        return parsed
    # An old server treats the compressed bytes as JSON, and its message says that they are not valid.
    if "JSON" in error.get("Message", ""):
        error["Message"] += (
            f" (The request was compressed with {coding}, and the server did not unpack it: ScyllaDB takes compressed "
            "requests since 2026.1, and this server is probably older. Set request_compression=None, or upgrade it.)"
        )
    return parsed
