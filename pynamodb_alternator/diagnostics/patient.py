"""What the doctor knows of one node while it looks at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..cluster.node import Node

if TYPE_CHECKING:
    from ..transport.http1 import Answer

__all__ = ["Patient"]


@dataclass(slots=True)
class Patient:
    """What is known of one node."""

    node: Node
    error: Exception | None = None
    status: int = 0
    latency: float = 0.0
    skew: float | None = None
    lists: tuple[Node, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    list_error: str = ""
    rack_support: bool | None = None
    answers: dict[str, Answer | Exception] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        return self.node.address

    @property
    def is_well(self) -> bool:
        return self.error is None and self.status == 200
