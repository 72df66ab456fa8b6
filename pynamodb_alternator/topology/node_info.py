"""A node with its state, for people to look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .answer_book import AnswerBook
from .health import State
from .health_book import HealthBook
from .published import Published
from .reading import Location

__all__ = ["NodeInfo", "describe_all"]


class NodeInfo(NamedTuple):
    """One node with its state at one moment, for people to look at.

    `datacenter`, `rack`: from the server's system tables, else from the scope for which the node was listed; None if
    neither tells them. `in_scope`: whether it is in the routing scope in use. `failures`: failures since its last
    success: requests that failed in transport, and the failed probe after which it was down.
    `down_for`: for how many seconds it has been down; None if it is not down. `error`: its last error, if it is not
    active.
    `set_aside_for`: for how many more seconds it is set aside. `set_aside_because`: the reason in words. Both are None
    if it is not set aside.
    `in_subset`: whether the node is in the subset of this process; without a subset, the same value as `in_scope`.
    `starts_for`: for how many more seconds its slow start lasts; None if it is not in a slow start. `share`: the part
    of its turns that it takes during the slow start; else 1.
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
    in_subset: bool = True
    starts_for: float | None = None
    share: float = 1.0

    @property
    def condition(self) -> str:
        """One word: ``set_aside`` for a node that is set aside and not down, else the value of its state."""
        return self.state.value if self.set_aside_for is None or self.state is State.DOWN else "set_aside"


def describe_all(
    published: Published, health: HealthBook, answers: AnswerBook, locations: Mapping[str, Location], now: float
) -> tuple[NodeInfo, ...]:
    """All that is known of the nodes now, in ring order. `locations`: the location of each host, from the system
    tables."""
    view, starts = published.view, published.slow_starts
    in_scope, in_subset = frozenset(view.topology.nodes), frozenset(view.spread_over)
    described = []
    for node in view.topology.ring:
        status, aside = health.statuses[node], answers.aside(node, now)
        datacenter, rack = locations.get(node.host, (None, None))
        described.append(
            NodeInfo(
                address=node.address,
                state=status.state,
                datacenter=datacenter or node.datacenter,
                rack=rack or node.rack,
                in_scope=node in in_scope,
                failures=status.failures,
                down_for=health.down_for(node, now),
                error=health.error_of(node),
                set_aside_for=None if aside is None else aside.until - now,
                set_aside_because=None if aside is None else aside.reason,
                in_subset=node in in_subset,
                starts_for=starts.seconds_left(node, now) if node in view.starting else None,
                share=view.starting.get(node, 1.0),
            )
        )
    return tuple(described)
