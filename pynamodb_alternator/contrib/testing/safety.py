"""Safe tests: while fixtures are active, no cluster of this process connects to another than the embedded one.

The rule is that of the tests' clusters and of the ini file. `core.admission` keeps it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from ...settings.config import ClusterConfig

__all__ = ["ALLOW_HOSTS", "safe"]

ALLOW_HOSTS = "alternator_allow_hosts"


class _Hosts(NamedTuple):
    """What `alternator_allow_hosts` lists: hosts, with a port or all ports, and networks."""

    patterns: tuple[tuple[str, int | None], ...]
    networks: tuple[IPv4Network | IPv6Network, ...]

    @classmethod
    def of(cls, entries: Iterable[str]) -> _Hosts:
        """Raises `pytest.UsageError`."""
        from ...errors import ConfigurationError
        from ...settings import addresses

        entries = list(entries)
        try:
            patterns = tuple(_pattern_of(entry) for entry in entries if "/" not in entry or "://" in entry)
            networks = addresses.networks(ALLOW_HOSTS, [entry for entry in entries if "/" in entry])
        except ConfigurationError as wrong:
            raise pytest.UsageError(
                f"The ini file of pytest: {wrong} Write hosts such as 10.0.0.1, 10.0.0.1:8000, *.test.example or "
                "10.0.0.0/8, with spaces between them."
            ) from None
        return cls(patterns, networks)

    def have(self, host: str, port: int) -> bool:
        """`host`: as `_plain` gives it."""
        from ...settings import addresses

        for pattern, only in self.patterns:
            if only in (None, port) and fnmatchcase(host, pattern):
                return True
        address = addresses.ip_address_of(host) if self.networks else None
        return address is not None and any(address in network for network in self.networks)


def _pattern_of(entry: str) -> tuple[str, int | None]:
    from ...errors import ConfigurationError
    from ...settings import addresses
    from ...settings.secrets import without_userinfo

    where = f"{ALLOW_HOSTS}: {without_userinfo(repr(entry))}"
    if "://" in entry:
        raise ConfigurationError(f"{where} is a URL. Write the host alone, or the host with its port.")
    host, port = addresses.split_port(entry, where)
    addresses.check_host(host.replace("*", "any"), where)
    return _plain(host), port


def _plain(host: str) -> str:
    """A host in the one spelling in which hosts are compared."""
    from ...settings import addresses

    host = addresses.without_brackets(host).lower().rstrip(".")
    address = addresses.ip_address_of(host)
    return host if address is None or "%" in host else str(address)


class _Rule:
    """A `core.admission.Rule`. `port`: of the tests' embedded cluster, which a test may close; None if it is another.

    `opened`: seeds that may be connected to besides, and then the nodes that they list as well.
    """

    def __init__(self, port: int | None, hosts: _Hosts, opened: Iterable[tuple[str, int]]) -> None:
        self._port = port
        self._hosts = hosts
        self._opened = frozenset((_plain(host), its_port) for host, its_port in opened)

    def refusal(self, config: ClusterConfig, origin: str, host: str, port: int) -> str | None:
        from ...settings.addresses import with_brackets

        if self._is_embedded(host, port) or self._is_opened(host, port):
            return None
        if all(self._is_opened(seed, its_port) for seed, its_port in config.seed_addresses):
            return None
        address = f"{with_brackets(host)}:{port}"
        return (
            f"{address} is not of the embedded cluster, and tests with the alternator fixtures connect to nothing "
            f"else. The address comes from {origin}. Use an alias there that means the embedded cluster: 'default', or "
            "one that @pytest.mark.alternator(aliases=[...]) or the fixture alternator_cluster_options names. Or allow "
            f"the address in the ini file of pytest: {ALLOW_HOSTS} = {address}"
        )

    def _is_embedded(self, host: str, port: int) -> bool:
        """Its nodes have one port, and loopback addresses. A client may still know those that were removed."""
        from ...settings.addresses import LOOPBACK, kind_of

        is_here = kind_of(host) == LOOPBACK
        return is_here and (port == self._port or any(port == cluster.port for cluster in _running_clusters()))

    def _is_opened(self, host: str, port: int) -> bool:
        host = _plain(host)
        return (host, port) in self._opened or self._hosts.have(host, port)


def _running_clusters() -> tuple[Any, ...]:
    """The embedded clusters of this process, whatever has started them."""
    module = sys.modules.get("pynamodb_alternator.local.running")
    return () if module is None else module.running_clusters()


@contextmanager
def safe(config: pytest.Config, port: int | None, opened: Iterable[tuple[str, int]] = ()) -> Iterator[None]:
    """Inside, clusters connect to embedded clusters alone, and to what the ini file allows. See `_Rule`."""
    from ...core.admission import only_where

    with only_where(_Rule(port, _Hosts.of(config.getini(ALLOW_HOSTS)), opened)):
        yield
