"""The seeds of a configuration, and the nodes that they stand for."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from ..settings.addresses import is_ip_address
from ..settings.config import ClusterConfig
from .network import Resolve
from .node import Node

__all__ = ["Seeds"]

_log = logging.getLogger("pynamodb_alternator.cluster")


class Seeds:
    """Resolves the seeds. A name that cannot be resolved is logged once, until it can."""

    def __init__(self, config: ClusterConfig, resolve: Resolve) -> None:
        self._config = config
        self._resolve = resolve
        self._unresolved: set[str] = set()

    def nodes(self) -> tuple[Node, ...]:
        """A node for every address of every seed. A name that cannot be resolved gives none, and a log line."""
        config = self._config
        nodes: dict[Node, None] = {}
        for host, port in config.seed_addresses:
            for address, name in self._addresses(host):
                nodes[Node(config.scheme, address, port, server_name=name)] = None
        return tuple(nodes)

    def _addresses(self, host: str) -> Iterator[tuple[str, str | None]]:
        if is_ip_address(host):
            yield host, None
            return
        try:
            addresses = self._resolve(host)
        except (OSError, UnicodeError) as error:
            if host not in self._unresolved:
                self._unresolved.add(host)
                _log.warning("Cluster %r: the seed %s cannot be resolved: %s", self._config.name, host, error)
            return
        self._unresolved.discard(host)
        for address in addresses:
            # The certificate of a node that is known by its name is checked against that name.
            yield address, host
