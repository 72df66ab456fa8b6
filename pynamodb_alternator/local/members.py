"""The nodes of a cluster as its system tables and ``GET /localnodes`` list them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from .http import Request


class Member(Protocol):
    """The part of a node that other nodes and the system tables see."""

    @property
    def host(self) -> str: ...

    @property
    def datacenter(self) -> str: ...

    @property
    def rack(self) -> str: ...

    @property
    def up(self) -> bool:
        """Whether it accepts connections."""

    @property
    def joined(self) -> bool:
        """Whether it is part of the topology."""

    @property
    def listed(self) -> bool:
        """Whether its peers believe it to be up."""

    def under_way(self) -> list[Request]:
        """The DynamoDB requests that it has received and not answered yet."""


Members = Callable[[], Sequence[Member]]
"""The nodes of a cluster at this moment."""


def host_id(member: Member) -> str:
    """The host id of a node: a UUID that is always the same for the same host."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, member.host))


def internal_address(member: Member) -> str:
    """Another address of the same node, only for its peers: 10.0.0.1 for 127.0.0.1. Nothing listens there."""
    return f"10.{member.host.partition('.')[2]}"


def listed_hosts(members: Sequence[Member], asked: Member, query: bytes) -> list[str]:
    """The answer to ``GET /localnodes``: the hosts of the nodes in the datacenter, and in the rack if `query` has one.

    `asked`: the node that answers. If `query` has no datacenter, this node's datacenter is used.
    """
    parameters = parse_qs(query.decode("latin-1"))
    datacenter = parameters.get("dc", [""])[-1] or asked.datacenter
    rack = parameters.get("rack", [""])[-1]
    return [
        member.host
        for member in members
        if member.joined and member.listed and member.datacenter == datacenter and rack in ("", member.rack)
    ]
