"""The rings of a cluster: the replicas of each table and each index at this moment.

`Rings` has the changing state: the placement of tablets changes when nodes join and leave, and a test may change it.
The rules are in `replicas`. Each use of a ring compares the nodes that have joined with the nodes for which the ring
was made, and makes a new ring if they differ.
"""

from __future__ import annotations

import threading

from ..errors import ConfigurationError
from ..settings import checks
from .members import Member, Members
from .options import Options
from .replicas import Ring, tablet_ring, vnode_ring

ALL_TABLES = "<ALL>"
"""The name of the ring of a keyspace without tablets."""
VNODES = 16
"""How many tokens each node has. A server has 256 by default; with fewer, the system tables are shorter."""


def ring_name(table: str, index: str | None = None, *, is_local: bool = False) -> str:
    """The server's name for a table or one of its indexes. An index is another table of the same keyspace."""
    return table if index is None else f"{table}{'!' if is_local else ''}:{index}"


class Rings:
    """One for each cluster. All methods may be called from any thread. `ring` takes no lock if the ring is up to
    date."""

    def __init__(self, options: Options, members: Members) -> None:
        self._options = options
        self._members = members
        self._lock = threading.Lock()
        self._rings: dict[str, tuple[list[Member], Ring]] = {}
        """By name: the nodes that had joined when the ring was made, and the ring."""

    def ring(self, name: str) -> Ring:
        """The present ring of this table or index. `name`: see `ring_name`."""
        key = name if self._options.tablets is not None else ALL_TABLES
        joined = [member for member in self._members() if member.joined]
        known = self._rings.get(key)
        if known is not None and known[0] == joined:
            return known[1]
        with self._lock:
            return self._renewed(key, joined)

    def _renewed(self, key: str, joined: list[Member]) -> Ring:
        known = self._rings.get(key)
        if known is not None and known[0] == joined:
            return known[1]
        count, factor = self._options.tablets, self._options.replication_factor
        if count is None:
            ring = vnode_ring(joined, VNODES, factor)
        else:
            ring = tablet_ring(count, joined, factor, seed=key, before=None if known is None else known[1])
        self._rings[key] = joined, ring
        return ring

    def forget(self, table: str) -> None:
        """Delete the rings of a table that was deleted, and of its indexes."""
        with self._lock:
            for name in [name for name in self._rings if name.partition(":")[0].rstrip("!") == table]:
                del self._rings[name]

    def move(self, name: str, tablet: int, source: Member, target: Member) -> None:
        """Move one replica of a tablet. It stays on `target` until the topology changes.

        Raises `ConfigurationError` for a move that is not possible.
        """
        where = "LocalCluster.move_tablet"
        if self._options.tablets is None:
            raise ConfigurationError(f"{where}: this cluster has vnodes, which do not move. Make it with tablets=16.")
        checks.whole(f"{where}: tablet", tablet, 0, self._options.tablets - 1)
        ring = self.ring(name)
        with self._lock:
            joined, ring = self._rings.get(name, ([], ring))
            replicas = ring.replicas[tablet]
            if source not in replicas:
                hosts = ", ".join(member.host for member in replicas)
                raise ConfigurationError(
                    f"{where}: {source.host} has no replica of tablet {tablet} of {name}; these have: {hosts}."
                )
            if target in replicas or target not in joined or target.datacenter != source.datacenter:
                raise ConfigurationError(
                    f"{where}: {target.host} must be a node of the datacenter {source.datacenter!r} that has joined, "
                    f"and has no replica of tablet {tablet} of {name} yet."
                )
            self._rings[name] = joined, ring.moved(tablet, source, target)
