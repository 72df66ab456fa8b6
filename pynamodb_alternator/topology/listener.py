"""The protocol of the object to which a `Membership` tells its changes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from blinker import NamedSignal

from .node import Node

__all__ = ["Listener"]


class Listener(Protocol):
    """What acts on the changes of a membership: the pools, the monitor, the signals. No lock is held meanwhile."""

    def emit(self, signal: NamedSignal, **payload: Any) -> None: ...

    def members_changed(self, nodes: Collection[Node]) -> None:
        """These nodes exist now; those that are missing have left."""

    def went_down(self, node: Node) -> None: ...

    def suspect(self, node: Node) -> None:
        """Traffic to this node failed, or waits: have it probed now, with `Membership.probe`."""
