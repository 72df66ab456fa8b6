"""A node of the cluster, and the canonical spelling of its endpoint."""

from __future__ import annotations

import functools
import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..settings import addresses

__all__ = ["MOST_NAMES", "Node", "canonical_endpoint"]

MOST_NAMES = 3
"""For which a certificate may be issued: each may take a handshake of its own."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Node:
    """One address that requests can be sent to. Equal by `endpoint`, which is also what orders the ring.

    `host`: an address or a name, lower-case, IPv6 without brackets. `datacenter`, `rack`: where it stands, if that is
    known. `server_name`: the name that its certificate is checked against, if it is not `host`. `other_names`: names
    and addresses for which its certificate may be issued instead, in the order in which they are tried. `address`:
    ``host:port``, as signals and logs have it. `host_header`: the value of the Host header.
    """

    scheme: str = field(compare=False)
    host: str = field(compare=False)
    port: int = field(compare=False)
    datacenter: str | None = field(default=None, compare=False)
    rack: str | None = field(default=None, compare=False)
    server_name: str | None = field(default=None, compare=False)
    other_names: tuple[str, ...] = field(default=(), compare=False)
    endpoint: str = field(init=False)
    address: str = field(init=False, compare=False)
    host_header: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        host = addresses.without_brackets(self.host.lower())
        bracketed = addresses.with_brackets(host)
        object.__setattr__(self, "host", host)
        object.__setattr__(self, "address", f"{bracketed}:{self.port}")
        endpoint = _endpoint(self.scheme, bracketed, self.port)
        object.__setattr__(self, "endpoint", endpoint)
        object.__setattr__(self, "host_header", endpoint.partition("://")[2])

    def __str__(self) -> str:
        return self.address

    def __hash__(self) -> int:
        return hash(self.endpoint)

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """What its certificate may be issued for, in the order in which that is tried, without duplicates.

        An address has no scope in a certificate, and a name no dot at its end.
        """
        names = (self.server_name or self.host, *self.other_names)
        return tuple(dict.fromkeys(name.partition("%")[0].rstrip(".").lower() for name in names))

    @property
    def is_loopback(self) -> bool:
        address = _ip_address(self.host)
        return self.host == "localhost" if address is None else address.is_loopback

    @property
    def is_unspecified(self) -> bool:
        address = _ip_address(self.host)
        return address is not None and address.is_unspecified


@functools.lru_cache(2_048)
def _ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host is, None for a name. Kept, because each reading of the node list asks for all nodes."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    # ::ffff:127.0.0.1 is 127.0.0.1, in the sight of a socket.
    return getattr(address, "ipv4_mapped", None) or address


def _endpoint(scheme: str, host: str, port: int | None) -> str:
    scheme = scheme.lower()
    if port is None or _DEFAULT_PORTS.get(scheme) == port:
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{port}"


def canonical_endpoint(url: str) -> str:
    """The spelling by which all drivers order their rings: ``scheme://host[:port]``.

    Lower-case, without the scheme's default port, user, path, query or fragment; IPv6 in brackets.
    Source: the endpoint rules shared by ScyllaDB's Alternator drivers (``endpoint-order.tsv``).
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    return _endpoint(parts.scheme, addresses.with_brackets(host), parts.port)
