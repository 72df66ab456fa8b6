"""A node with its state, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass

from .health import State

__all__ = ["NodeInfo"]


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One node with its state at one moment, for people to look at.

    `datacenter`, `rack`: as the server's system tables have them, else as they were asked for; None if neither says.
    `in_scope`: whether requests go to it, health permitting. `failures`: transport failures since its last success.
    `down_for`: seconds, if it is down. `error`: what was last heard of a node that is not active.
    """

    address: str
    state: State
    datacenter: str | None
    rack: str | None
    in_scope: bool
    failures: int
    down_for: float | None
    error: str | None
