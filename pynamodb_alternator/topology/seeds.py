"""The seeds of a configuration, and the nodes that they stand for."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from ..settings.addresses import is_ip_address, without_brackets
from ..settings.config import ClusterConfig
from .network import Resolve
from .node import MOST_NAMES, Node

__all__ = ["Seeds"]

_log = logging.getLogger("pynamodb_alternator.cluster")


class Seeds:
    """Resolves the seeds, and remembers which name stood for which address. A name that cannot be resolved is logged
    once, until it can.

    The certificate of a node that was found by a name must have this name. Its address is not enough until another node
    has listed it, because the answer of a resolver may be wrong or forged.
    """

    def __init__(self, config: ClusterConfig, resolve: Resolve) -> None:
        self._config = config
        self._resolve = resolve
        self._unresolved: set[str] = set()
        self._resolved: Mapping[str, Mapping[str, str]] = {}
        """By name: the addresses that the name resolves to, each with its canonical spelling (see `_key`)."""
        self._has_names = any(not is_ip_address(host) for host, _ in config.seed_addresses)
        self._nameless: set[str] = set()
        self._is_stale = False
        self._may_resolve = False

    def nodes(self) -> tuple[Node, ...]:
        """A node for every address of every seed. A name that cannot be resolved gives none, and a log line."""
        config = self._config
        self._is_stale = self._may_resolve = False
        self._nameless = set()
        names: dict[Node, dict[str, None]] = {}
        for host in dict.fromkeys(host for host, _ in config.seed_addresses if not is_ip_address(host)):
            self._resolve_name(host)
        for host, port in config.seed_addresses:
            if is_ip_address(host):
                # The user has written this address, so it may be in the certificate.
                names.setdefault(Node(config.scheme, host, port), {})[host] = None
            elif host not in self._unresolved:
                for address in self._resolved.get(host, {}):
                    names.setdefault(Node(config.scheme, address, port), {})[host] = None
        return tuple(self._named(node, known) for node, known in names.items())

    @property
    def addresses(self) -> tuple[Node, ...] | None:
        """The nodes, if all seeds are addresses; None if a name has to be resolved."""
        return None if self._has_names else self.nodes()

    def includes(self, node: Node) -> bool:
        """Whether a node is one of the seeds, as far as their names are resolved."""
        if (node.host, node.port) in self._config.seed_addresses:
            return True
        return self._has_names and bool(self._known_names(_key(node.host)))

    def _named(self, node: Node, names: Iterable[str]) -> Node:
        # Names are tried before the address, as for listed nodes.
        first, *others = sorted(names, key=is_ip_address)
        if is_ip_address(first):
            return node
        return Node(node.scheme, node.host, node.port, server_name=first, other_names=tuple(others[: MOST_NAMES - 1]))

    def _resolve_name(self, host: str) -> None:
        try:
            # A new dict, because a reading that takes long may still use the old one.
            addresses = {address: _key(address) for address in self._resolve(host)}
            self._resolved = {**self._resolved, host: addresses}
        except (OSError, UnicodeError) as error:
            if host not in self._unresolved:
                self._unresolved.add(host)
                _log.warning("Cluster %r: the seed %s cannot be resolved: %s", self._config.name, host, error)
            return
        self._unresolved.discard(host)

    # ---- names of listed nodes ---------------------------------------------------------------------------------

    def new_reading(self, *, may_resolve: bool, look_again: bool) -> None:
        """A reading of the node lists begins. `may_resolve`: whether names may be resolved again when a listed address
        is new. `look_again`: whether they are resolved again even if no listed address is new."""
        self._may_resolve = may_resolve
        self._is_stale = self._is_stale or look_again

    def names_of(self, host: str) -> tuple[str, ...]:
        """The names of seeds that resolve to a listed host.

        For a new address, the names are resolved again, at most once per reading, because the name may resolve to the
        new address only now.
        """
        if not self._has_names:
            return ()
        key = _key(host)
        names = self._known_names(key)
        if self._may_resolve and (self._is_stale or not (names or key in self._nameless)):
            self.nodes()
            names = self._known_names(key)
        if not names:
            self._nameless.add(key)
        return names

    def _known_names(self, key: str) -> tuple[str, ...]:
        return tuple(name for name, known in self._resolved.items() if key in known.values())


def _key(host: str) -> str:
    """The canonical spelling of an address, without its zone."""
    bare = without_brackets(host).partition("%")[0].lower()
    try:
        return str(ip_address(bare))
    except ValueError:
        return bare
