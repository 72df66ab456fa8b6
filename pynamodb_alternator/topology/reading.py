"""What one round of questions to the cluster has told: immutable values."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ..settings.scopes import Scope
from .node import Node

__all__ = ["Location", "Reading", "location_of"]

Location = tuple[str | None, str | None]
"""A datacenter and a rack, as a scope names them; None where the scope does not name one."""


def location_of(scope: Scope) -> Location:
    return (scope.datacenter, scope.rack)


class Reading(NamedTuple):
    """The node lists of one reading.

    `members`: the nodes of each location that was asked for. `groups`: one set of nodes for each datacenter; empty
    unless the scopes include a `ClusterScope`. `source`: the address of the node that answered first.
    """

    members: Mapping[Location, tuple[Node, ...]] = MappingProxyType({})
    groups: tuple[frozenset[Node], ...] = ()
    source: str = ""

    @property
    def nodes(self) -> frozenset[Node]:
        """The nodes of all locations."""
        return frozenset(node for nodes in self.members.values() for node in nodes)

    @property
    def datacenters(self) -> Mapping[str | None, frozenset[Node]]:
        """The nodes of each datacenter that a scope names; of None for a scope that names none."""
        nodes: dict[str | None, frozenset[Node]] = {}
        for (datacenter, _), listed in self.members.items():
            nodes[datacenter] = nodes.get(datacenter, frozenset()).union(listed)
        return nodes

    def with_nodes_of(
        self, other: Reading, datacenters: Container[str | None], test: Callable[[Node], bool]
    ) -> Reading:
        """This reading, and in each location of these datacenters the nodes of `other` that pass the test. Those
        that are listed elsewhere now do not belong to the location any more.

        They are in no group: a datacenter whose nodes nobody lists is kept for as long as none of them answers.
        """
        listed = self.nodes
        stay = {
            location: tuple(node for node in nodes if node not in listed and test(node))
            for location, nodes in other.members.items()
            if location in self.members and location[0] in datacenters
        }
        if not any(stay.values()):
            return self
        members = {location: (*nodes, *stay.get(location, ())) for location, nodes in self.members.items()}
        return self._replace(members=members)

    def says_the_same_as(self, other: Reading) -> bool:
        """Whether all nodes of both readings are the same objects, in the same places. If this is False, the readings
        may still be equal."""
        return self.groups == other.groups and (
            self.members is other.members
            or (
                self.members.keys() == other.members.keys()
                and all(_same(nodes, other.members[location]) for location, nodes in self.members.items())
            )
        )


def _same(nodes: tuple[Node, ...], others: tuple[Node, ...]) -> bool:
    # Nodes that are equal may still differ, such as in the names of their certificates.
    return len(nodes) == len(others) and set(map(id, nodes)) == set(map(id, others))
