"""Safe tests: while tests have an embedded cluster, no cluster of this process connects to anything else.

The addresses of the tests' clusters are allowed, and those that a setting names. The module that starts the embedded
cluster, such as the pytest plugin, says in its `Words` how a test allows an address. `core.admission` applies the rule.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network
from typing import Any, NamedTuple

from ..core.admission import only_where
from ..errors import ConfigurationError
from ..settings import addresses
from ..settings.config import ClusterConfig
from ..settings.secrets import without_userinfo

__all__ = ["Hosts", "Words", "safe"]


class Words(NamedTuple):
    """The words of the error. `whose`: which tests connect to nothing else, as in "tests with ...". `aliases`: which
    aliases mean the embedded cluster. `allow`: what to write to allow an address, with ``{}`` in its place.
    """

    whose: str
    aliases: str
    allow: str


class Hosts(NamedTuple):
    """The hosts, with one port or all ports, and the networks that a setting allows."""

    patterns: tuple[tuple[str, int | None], ...]
    networks: tuple[IPv4Network | IPv6Network, ...]

    @classmethod
    def of(cls, entries: Iterable[str], setting: str) -> Hosts:
        """Make it of the entries of a setting. Raises `ConfigurationError`, which names the setting."""
        entries = list(entries)
        patterns = tuple(_pattern_of(entry, setting) for entry in entries if "/" not in entry or "://" in entry)
        return cls(patterns, addresses.networks(setting, [entry for entry in entries if "/" in entry]))

    def have(self, host: str, port: int) -> bool:
        """Whether an address is allowed. `host`: in the spelling of `_plain`."""
        for pattern, only in self.patterns:
            if only in (None, port) and fnmatchcase(host, pattern):
                return True
        address = addresses.ip_address_of(host) if self.networks else None
        return address is not None and any(address in network for network in self.networks)


def _pattern_of(entry: str, setting: str) -> tuple[str, int | None]:
    where = f"{setting}: {without_userinfo(repr(entry))}"
    if "://" in entry:
        raise ConfigurationError(f"{where} is a URL. Write the host alone, or the host with its port.")
    host, port = addresses.split_port(entry, where)
    addresses.check_host(host.replace("*", "any"), where)
    return _plain(host), port


def _plain(host: str) -> str:
    """A host in the spelling that is used to compare hosts."""
    host = addresses.without_brackets(host).lower().rstrip(".")
    address = addresses.ip_address_of(host)
    return host if address is None or "%" in host else str(address)


def safe(
    port: int | None, hosts: Hosts, words: Words, opened: Iterable[tuple[str, int]] = ()
) -> AbstractContextManager[None]:
    """A context manager: inside, clusters connect only to embedded clusters, and to what `hosts` allows. See
    `_Rule`."""
    return only_where(_Rule(port, hosts, words, opened))


class _Rule:
    """A `core.admission.Rule`. `port`: of the tests' embedded cluster, which a test may close; None if there is none.

    `opened`: further seeds that are allowed, with the nodes that they list.
    """

    def __init__(self, port: int | None, hosts: Hosts, words: Words, opened: Iterable[tuple[str, int]]) -> None:
        self._port = port
        self._hosts = hosts
        self._words = words
        self._opened = frozenset((_plain(host), its_port) for host, its_port in opened)

    def refusal(self, config: ClusterConfig, origin: str, host: str, port: int) -> str | None:
        if self._is_embedded(host, port) or self._is_opened(host, port):
            return None
        if all(self._is_opened(seed, its_port) for seed, its_port in config.seed_addresses):
            return None
        address = f"{addresses.with_brackets(host)}:{port}"
        return (
            f"{address} is not of the embedded cluster, and {self._words.whose} connect to nothing else. The address "
            f"comes from {origin}. Use an alias there that means the embedded cluster: {self._words.aliases}. Or allow "
            f"the address {self._words.allow.format(address)}"
        )

    def _is_embedded(self, host: str, port: int) -> bool:
        """Whether it is an address of an embedded cluster: its port and a loopback address. Nodes that were removed
        count too, because a client may still know them."""
        is_here = addresses.kind_of(host) == addresses.LOOPBACK
        return is_here and (port == self._port or any(port == cluster.port for cluster in _running_clusters()))

    def _is_opened(self, host: str, port: int) -> bool:
        host = _plain(host)
        return (host, port) in self._opened or self._hosts.have(host, port)


def _running_clusters() -> tuple[Any, ...]:
    """All embedded clusters of this process."""
    module = sys.modules.get("pynamodb_alternator.local.running")
    return () if module is None else module.running_clusters()
