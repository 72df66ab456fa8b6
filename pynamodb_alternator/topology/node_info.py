"""A node with its state, for people to look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .answer_book import AnswerBook
from .health import State
from .health_book import HealthBook
from .node import Node
from .reading import Location
from .set_aside import Aside
from .view import Topology

__all__ = ["NodeInfo", "describe_all"]


class NodeInfo(NamedTuple):
    """One node with its state at one moment, for people to look at.

    `datacenter`, `rack`: as the server's system tables have them, else as they were asked for; None if neither says.
    `in_scope`: whether requests go to it, health permitting. `failures`: failures since its last success,
    of requests in transport and of the probe that took it down.
    `down_for`: seconds, if it is down. `error`: what was last heard of a node that is not active.
    `set_aside_for`: for how many seconds more it goes last, because its answers failed, and `set_aside_because`: why in
    words; None if it is not set aside.
    """

    address: str
    state: State
    datacenter: str | None
    rack: str | None
    in_scope: bool
    failures: int
    down_for: float | None
    error: str | None
    set_aside_for: float | None = None
    set_aside_because: str | None = None

    @property
    def condition(self) -> str:
        """In one word: the value of its state, or ``set_aside`` for a node that is not down and is set aside."""
        return self.state.value if self.set_aside_for is None or self.state is State.DOWN else "set_aside"


def describe_all(
    topology: Topology, health: HealthBook, answers: AnswerBook, locations: Mapping[str, Location], now: float
) -> tuple[NodeInfo, ...]:
    """Every node in ring order, with what is known of it now. `locations`: by host, as the system tables say."""
    in_scope = frozenset(topology.nodes)
    return tuple(
        _describe(
            node,
            health,
            answers.aside(node, now),
            location=locations.get(node.host, (None, None)),
            in_scope=node in in_scope,
            now=now,
        )
        for node in topology.ring
    )


def _describe(
    node: Node, health: HealthBook, aside: Aside | None, *, location: Location, in_scope: bool, now: float
) -> NodeInfo:
    """All that is known of a node now. `aside`: why it is set aside, if it is. `location`: as the system tables say."""
    status = health.statuses[node]
    datacenter, rack = location
    return NodeInfo(
        address=node.address,
        state=status.state,
        datacenter=datacenter or node.datacenter,
        rack=rack or node.rack,
        in_scope=in_scope,
        failures=status.failures,
        down_for=health.down_for(node, now),
        error=health.error_of(node),
        set_aside_for=None if aside is None else aside.until - now,
        set_aside_because=None if aside is None else aside.reason,
    )
