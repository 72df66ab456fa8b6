"""Hosts and ports as users write them: brackets of IPv6, the port after a host, seeds, and networks."""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ..errors import ConfigurationError
from . import checks
from .secrets import has_userinfo, without_userinfo

__all__ = [
    "DEFAULT_PORT",
    "LINK_LOCAL",
    "LOOPBACK",
    "UNSPECIFIED",
    "check_host",
    "ip_address_of",
    "is_ip_address",
    "kind_of",
    "networks",
    "seeds",
    "shared_port",
    "split_port",
    "with_brackets",
    "without_brackets",
]

DEFAULT_PORT: Final = 8000
"""The port of nodes if no setting names one."""

LOOPBACK: Final = "a loopback address"
LINK_LOCAL: Final = "a link-local address"
UNSPECIFIED: Final = "the unspecified address"
"""The special kinds of addresses that a node may have. `kind_of` names other kinds too, which no node has."""

_BROADCAST = ipaddress.IPv4Address("255.255.255.255")
# Not compiled here: clusters whose nodes are known by address need none of these. `re` caches what it compiles.
_HOST_NAME = r"(?=.{1,253}\.?$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?"
_NUMBERS = r"(0[xX][0-9A-Fa-f]*|[0-9]+)(\.(0[xX][0-9A-Fa-f]*|[0-9]+))*\.?"
"""The texts that the C library's `inet_aton` may accept as an IPv4 address: one to four numbers, also octal or
hexadecimal. With ``0x7f000001`` or ``127.1``, a socket would connect to this machine, without the resolver."""
_ZONE = r"[A-Za-z0-9_.~-]{1,64}"


def with_brackets(host: str) -> str:
    """A host in the form that it has before a port: an IPv6 address gets brackets, any other host is unchanged."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def without_brackets(host: str) -> str:
    """A host in the form that sockets need: an IPv6 address loses its brackets, any other host is unchanged."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def split_port(address: str, where: str) -> tuple[str, int | None]:
    """The host (IPv6 in brackets, if it was given so), and the port or None.

    Raises `ConfigurationError`, which names the address as `where`.
    """
    address = address.strip()
    host, port = address, ""
    if address.startswith("["):
        inside, bracket, after = address.partition("]")
        if not bracket or (after and not after.startswith(":")):
            raise ConfigurationError(
                f"{where}: {without_userinfo(repr(address))} is not a bracketed IPv6 address. Write [2001:db8::1]:8000."
            )
        host, port = inside + "]", after[1:]
        if after == ":":
            raise ConfigurationError(f"{where}: the port after the colon is missing. Write it, or leave out the colon.")
    elif address.count(":") == 1:
        host, _, port = address.partition(":")
        if not port:
            raise ConfigurationError(f"{where}: the port after the colon is missing. Write it, or leave out the colon.")
    if not port:
        return host, None
    # The length is checked first: Python refuses to read a number with thousands of digits.
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise ConfigurationError(
            f"{where}: the port must be a number from 1 to 65535 (got {without_userinfo(checks.shown(port))})."
        )
    return host, int(port)


@functools.lru_cache(2_048)
def is_ip_address(host: str) -> bool:
    """Whether `host` is an IPv4 address, or an IPv6 one without brackets, perhaps with a ``%zone``."""
    bare, percent, zone = host.partition("%")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return False
    # The zone becomes a part of a Host header, so it must not contain characters that end the header.
    return not percent or (address.version == 6 and re.fullmatch(_ZONE, zone) is not None)


@functools.lru_cache(2_048)
def ip_address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address of a host without brackets; None for a name. A zone is left out.

    ``::ffff:127.0.0.1`` is 127.0.0.1, because a socket connects there. Results are cached, because each reading of the
    node list needs them for all nodes.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@functools.lru_cache(2_048)
def kind_of(host: str) -> str | None:
    """The kind of the address `host` in words, if it is a special address. An ordinary address belongs to one machine,
    and other machines reach it through routers.

    None for an ordinary address and for a name, except ``localhost``.
    """
    address = ip_address_of(host)
    if address is None:
        return LOOPBACK if host.rstrip(".").lower() == "localhost" else None
    if address.is_loopback:
        return LOOPBACK
    if address.is_unspecified:
        return UNSPECIFIED
    if address.is_link_local:
        return LINK_LOCAL
    if address.is_multicast:
        return "a multicast address"
    if address == _BROADCAST:
        return "the broadcast address"
    return None


def check_host(host: str, where: str) -> None:
    """Raises `ConfigurationError` if `host` is not an IP address or a host name."""
    bare = without_brackets(host)
    if is_ip_address(bare):
        return
    # A text that looks like an address must be one: 10.0.0.256 is a mistake, and not the name of a host.
    if ":" in bare or re.fullmatch(_NUMBERS, bare) or not re.fullmatch(_HOST_NAME, bare):
        raise ConfigurationError(f"{where} is neither an IP address nor a host name. Write one, as '10.0.0.1'.")


def seeds(value: Any) -> tuple[str, ...]:
    """Seeds as a tuple of ``host`` or ``host:port``. An IPv6 address has brackets if a port follows.

    Raises `ConfigurationError`, whose text never contains a user name or password of a seed.
    """
    if isinstance(value, str):
        # The whole text is checked before it is split, because a password may contain a comma.
        _refuse_userinfo(value)
        value = value.split(",")
    if not isinstance(value, Iterable) or isinstance(value, bytes | Mapping):
        raise ConfigurationError(
            "ClusterConfig: seeds must be a list of addresses such as ['10.0.0.1', '10.0.0.2:8000'] "
            f"(got {type(value).__name__})."
        )
    entries = list(value)
    for seed in entries:  # before any other error: a URL that was split at commas may have its password in two
        if isinstance(seed, str):
            _refuse_userinfo(seed)
    addresses: dict[str, None] = {}
    for seed in entries:
        if not isinstance(seed, str):
            raise ConfigurationError(
                f"ClusterConfig: seeds holds {without_userinfo(checks.shown(seed))}, which is not a string. "
                "Write '10.0.0.1'."
            )
        if seed.strip():
            addresses[_checked_seed(seed.strip())] = None
    if not addresses:
        raise ConfigurationError(
            "ClusterConfig: seeds is empty. Name at least one node of the cluster, such as seeds=['10.0.0.1']."
        )
    return tuple(addresses)


def _refuse_userinfo(seed: str) -> None:
    if has_userinfo(seed):
        raise ConfigurationError(
            f"ClusterConfig: the seed {without_userinfo(repr(seed))} has a user name or a password. "
            "Write the address alone, and give credentials=Credentials(access_key, secret_key)."
        )


def _checked_seed(seed: str) -> str:
    where = f"ClusterConfig: the seed {seed!r}"
    if "://" in seed:
        raise ConfigurationError(
            f"{where} is a URL. Write the address alone, with scheme=... and port=... beside it, "
            "or use ClusterConfig.from_url()."
        )
    host, _ = split_port(seed, where)
    check_host(host, where)
    return seed


def shared_port(addresses: Iterable[str]) -> int | None:
    """The only port that these seeds name; None if they name none. A seed without a port has the port of the others.

    Raises `ConfigurationError` if they name several.
    """
    ports = sorted({port for _, port in (split_port(address, "seed") for address in addresses) if port is not None})
    if len(ports) > 1:
        raise ConfigurationError(
            f"ClusterConfig: the seeds name different ports ({', '.join(map(str, ports))}), and port is not given, so "
            "that the port of the nodes which they list is not known. Give port=..., which is the port of each listed "
            "node."
        )
    return ports[0] if ports else None


def networks(where: str, value: Any) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """The networks that `value` names. Raises `ConfigurationError`."""
    network = ipaddress.IPv4Network | ipaddress.IPv6Network
    # A single network is iterable too: it gives each of its addresses.
    if isinstance(value, str | bytes | network) or not isinstance(value, Iterable):
        raise ConfigurationError(f"{where} must be a list such as ['10.0.0.0/8'] (got {checks.shown(value)}).")
    parsed = []
    for entry in value:
        if not isinstance(entry, str | network):
            raise ConfigurationError(f"{where} holds {checks.shown(entry)}. Write networks such as '10.0.0.0/8'.")
        try:
            parsed.append(ipaddress.ip_network(entry))
        except ValueError as wrong:
            raise ConfigurationError(f"{where}: {wrong}. Write networks such as '10.0.0.0/8'.") from None
    return tuple(parsed)
