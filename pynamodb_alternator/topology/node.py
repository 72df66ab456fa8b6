"""A node of the cluster, and the canonical spelling of its endpoint."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..settings import addresses

__all__ = ["MOST_NAMES", "Node", "canonical_endpoint", "with_names"]

MOST_NAMES = 3
"""The largest number of names that are tried with a certificate: each may take a handshake of its own."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One address that requests can be sent to. Nodes with the same `endpoint` are equal. The ring is sorted by
    `endpoint`.

    `host`: an address or a name, lower-case, IPv6 without brackets. `datacenter`, `rack`: its location, if it is known.
    `server_name`: the name that its certificate must have, if this is not `host`. `other_names`: names and addresses
    for which its certificate may be issued instead, in the order in which they are tried. `address`: ``host:port``, as
    signals and logs have it. `host_header`: the value of the Host header, without an IPv6 zone. `is_listed_name`:
    whether `host` is a name that came from a node list of another machine, so that it must not lead to this machine;
    see `check_peer`.
    """

    scheme: str
    host: str
    port: int
    datacenter: str | None = None
    rack: str | None = None
    server_name: str | None = None
    other_names: tuple[str, ...] = ()
    is_listed_name: bool = False
    endpoint: str = field(init=False)
    address: str = field(init=False)
    host_header: str = field(init=False)

    def __post_init__(self) -> None:
        host = addresses.without_brackets(self.host.lower())
        if host == self.host:
            host = self.host  # one text object instead of two: there may be thousands of nodes
        bracketed = addresses.with_brackets(host)
        object.__setattr__(self, "host", host)
        object.__setattr__(self, "address", f"{bracketed}:{self.port}")
        endpoint = _endpoint(self.scheme, bracketed, self.port)
        object.__setattr__(self, "endpoint", endpoint)
        # RFC 6874: a zone means something on this machine only, and does not leave it.
        header = _endpoint(self.scheme, addresses.with_brackets(host.partition("%")[0]), self.port)
        header = header.partition("://")[2]
        object.__setattr__(self, "host_header", self.address if header == self.address else header)

    def __str__(self) -> str:
        return self.address

    def __eq__(self, other: object) -> bool:
        return self.endpoint == other.endpoint if isinstance(other, Node) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.endpoint)

    @property
    def kind(self) -> str | None:
        """The kind of address that `host` is, if an ordinary node does not have such an address. See
        `addresses.kind_of`."""
        return addresses.kind_of(self.host)

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """The names and addresses that its certificate may have, in the order in which they are tried, without
        duplicates.

        In a certificate, an address has no zone, and a name has no dot at its end.
        """
        names = (self.server_name or self.host, *self.other_names)
        return tuple(dict.fromkeys(name.partition("%")[0].rstrip(".").lower() for name in names))

    @property
    def may_name_this_machine(self) -> bool:
        """Whether the names that this node lists may resolve to this machine. They may if its host is a special
        address, such as a loopback one, or is a name that the configuration or such a node has given. So the result of
        a reading does not depend on which of these nodes is asked."""
        return self.kind is not None or (addresses.ip_address_of(self.host) is None and not self.is_listed_name)

    def check_peer(self, address: str) -> None:
        """A connection has been made to `address`: check that this is allowed, before anything is sent.

        Raises OSError if a name that a node has listed resolves to an address that this node must not list.
        """
        if self.is_listed_name:
            kind = addresses.kind_of(address)
            if kind is not None:
                raise PermissionError(f"{self.host} is a name that a node has listed, and leads to {address}, {kind}")


def _endpoint(scheme: str, host: str, port: int | None) -> str:
    scheme = scheme.lower()
    if port is None or _DEFAULT_PORTS.get(scheme) == port:
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{port}"


def canonical_endpoint(url: str) -> str:
    """The spelling by which ScyllaDB wants its drivers to order their rings: ``scheme://host[:port]``.

    Lower-case, without the scheme's default port, user, path, query or fragment; IPv6 in brackets.
    Source: the endpoint rules that ScyllaDB specifies for its Alternator drivers (``endpoint-order.tsv``).
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    return _endpoint(parts.scheme, addresses.with_brackets(host), parts.port)


def with_names(nodes: Iterable[Node]) -> frozenset[object]:
    """What connections depend on: the nodes, and the names in their certificates where these are not only the host."""
    return frozenset((node, node.certificate_names) if node.server_name or node.other_names else node for node in nodes)
