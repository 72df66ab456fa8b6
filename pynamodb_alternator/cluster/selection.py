"""Choosing the routing scope in use, and making the topology of it. Pure functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..scopes import ClusterScope, DatacenterScope, Scope, chain
from .discovery import Reading, place
from .node import Node
from .topology import Topology, ring_order

__all__ = ["ScopeChoice", "choose_scope", "make_topology"]


@dataclass(frozen=True, slots=True)
class ScopeChoice:
    """Which scope of the chain is in use (0 is the preferred one), and since when a better one could be."""

    index: int = 0
    better_since: float | None = None


def choose_scope(
    preferred: Scope,
    reading: Reading,
    choice: ScopeChoice,
    *,
    usable: Callable[[Node], bool],
    active: Callable[[Node], bool],
    now: float,
    restore_after: float,
) -> ScopeChoice:
    """The first scope with usable nodes; a better one than that in use only after it has been good for a while.

    Moving down the chain is immediate, because the scope in use has nobody to answer. Moving up waits until a better
    scope has had an active node for `restore_after` seconds, so that a flapping node does not drag the traffic along.
    If no scope has usable nodes, the choice stays.
    """
    scopes = list(chain(preferred))

    def some(index: int, test: Callable[[Node], bool]) -> bool:
        return any(test(node) for node in reading.members.get(place(scopes[index]), ()))

    if not some(choice.index, usable):
        for index in range(len(scopes)):
            if some(index, usable):
                return ScopeChoice(index)
        return choice
    better = next((index for index in range(choice.index) if some(index, active)), None)
    if better is None:
        return choice if choice.better_since is None else ScopeChoice(choice.index)
    if choice.better_since is None:
        choice = ScopeChoice(choice.index, now)
    if choice.better_since is not None and now - choice.better_since >= restore_after:
        return ScopeChoice(better)
    return choice


def make_topology(preferred: Scope, reading: Reading, index: int, version: int) -> Topology:
    """The topology of a reading with the scope at `index` of the chain in use."""
    scope = list(chain(preferred))[index]
    nodes = ring_order(reading.members.get(place(scope), ()))
    affinity_ring = nodes
    if scope.datacenter is not None and scope.rack is not None:
        # A lightweight transaction is serial within the datacenter, so its ring is wider than a rack.
        datacenter = reading.members.get(place(DatacenterScope(scope.datacenter)), ())
        affinity_ring = ring_order([*datacenter, *nodes])
    datacenters = reading.groups if isinstance(scope, ClusterScope) and len(reading.groups) > 1 else ()
    everyone = [node for members in reading.members.values() for node in members]
    return Topology(
        ring=ring_order([*nodes, *everyone]),
        nodes=nodes,
        affinity_ring=affinity_ring,
        datacenters=datacenters,
        scope=scope,
        version=version,
    )
