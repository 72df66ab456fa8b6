"""What is known of the tables of one cluster: partition keys, wishes for affinity, and write isolation."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ..settings import write_isolation
from ..settings.config import ClusterConfig
from ..settings.values import KeyRouteAffinity

__all__ = ["PARTITION_KEY", "SYSTEM_TABLES", "WRITE_ISOLATION", "Table", "Tables", "effective_affinity"]

_log = logging.getLogger("pynamodb_alternator.routing")

PARTITION_KEY: Final = "partition_key"
WRITE_ISOLATION: Final = "write_isolation"

SYSTEM_TABLES: Final = ".scylla.alternator."
"""The names of ScyllaDB's system tables begin with this. Each node has its own system tables, so they have no
replicas."""

_AFFINITY_THAT_HELPS = {
    write_isolation.ALWAYS: KeyRouteAffinity.ANY_WRITE,
    write_isolation.ONLY_RMW: KeyRouteAffinity.RMW,
    # No write of such a table is a lightweight transaction.
    write_isolation.FORBID_RMW: KeyRouteAffinity.NONE,
    write_isolation.UNSAFE_RMW: KeyRouteAffinity.NONE,
}


class Table(NamedTuple):
    """What is known of one table; None where nothing is.

    `partition_key`: the attribute's name. `affinity`: what a model wants for this table.
    `write_isolation`: ``always``, ``only_rmw_uses_lwt``, ``forbid_rmw`` or ``unsafe_rmw``.
    `is_stated`: the partition key comes from a model or the configuration, and not from a lookup. `index_keys`: the
    partition keys of its indexes by the names of these.
    """

    partition_key: str | None = None
    affinity: KeyRouteAffinity | None = None
    write_isolation: str | None = None
    is_stated: bool = False
    index_keys: Mapping[str, str] = MappingProxyType({})


_UNKNOWN = Table()


class Tables:
    """The tables of one cluster by name. Readers take no lock: what they read is replaced as a whole.

    `config`: its `partition_keys` are where the registry starts. `on_unknown`: called with a table's name and
    `PARTITION_KEY` or `WRITE_ISOLATION` for each request that lacks it, or shows that it may be another one by now. It
    must be cheap, and decide by itself whether to look it up; what it raises is logged.
    """

    def __init__(
        self,
        config: ClusterConfig,
        on_unknown: Callable[[str, str], None] | None = None,
    ) -> None:
        self.on_unknown = on_unknown
        self._lock = threading.Lock()
        self._warned: frozenset[str] = frozenset()
        self._tables: dict[str, Table] = {
            name: Table(key, is_stated=True) for name, key in config.partition_keys.items()
        }

    def get(self, name: object) -> Table:
        """What is known of the table. An empty answer for anything that is not the name of a known table."""
        return self._tables.get(name, _UNKNOWN) if isinstance(name, str) else _UNKNOWN

    def names(self) -> tuple[str, ...]:
        """The tables of which something is known."""
        return tuple(self._tables)

    def register(
        self,
        name: str,
        partition_key: str,
        affinity: KeyRouteAffinity | None = None,
        index_keys: Mapping[str, str] | None = None,
    ) -> None:
        """What a model says of its table. `index_keys`: the partition key of each of its indexes.

        Several models may name one table. Where their partition keys differ, the last one holds, and a warning is
        logged once; a model without a wish for affinity leaves another's in place.
        """
        with self._lock:
            known = self.get(name)
            contradicted = known.is_stated and known.partition_key != partition_key and name not in self._warned
            if contradicted:
                self._warned |= {name}
            self._put(
                name,
                known._replace(
                    partition_key=partition_key,
                    affinity=affinity or known.affinity,
                    is_stated=True,
                    index_keys={**known.index_keys, **(index_keys or {})},
                ),
            )
        if contradicted:
            _log.warning(
                "Table %r is said to have the partition key %r, and now %r: the last one is used. "
                "Give the models of one table the same hash key.",
                name,
                known.partition_key,
                partition_key,
            )

    def learn_partition_key(self, name: str, partition_key: str, index_keys: Mapping[str, str] | None = None) -> None:
        """What a lookup found. It does not replace what a model or the configuration says."""
        with self._lock:
            known, learnt = self.get(name), index_keys or {}
            if known.is_stated:
                self._put(name, known._replace(index_keys={**learnt, **known.index_keys}))
            else:
                self._put(name, known._replace(partition_key=partition_key, index_keys=learnt))

    def doubt_partition_key(self, name: object, attributes: Mapping[Any, Any] | None = None) -> None:
        """A request has no value of the partition key, in its key condition or among these attributes of its item.

        If the name of the key comes from a lookup, the table may have been made anew with another one since: it is
        looked up again. Called without any lock.
        """
        table = self.get(name)
        if not isinstance(name, str) or table.is_stated or table.partition_key in (attributes or ()):
            return
        self.report_unknown(name, PARTITION_KEY)

    def learn_write_isolation(self, name: str, isolation: str) -> bool:
        """Learn what a lookup has read, in any spelling that the server knows. False for any other: nothing is learnt
        then."""
        spelled = write_isolation.parse(isolation)
        if spelled is None:
            _log.debug("Table %r has the write isolation %r, which is not known here.", name, isolation)
            return False
        with self._lock:
            self._put(name, self.get(name)._replace(write_isolation=spelled))
        return True

    def report_unknown(self, name: str, what: str) -> None:
        """Tell that a request lacks something. Called without any lock."""
        if self.on_unknown is None:
            return
        try:
            self.on_unknown(name, what)
        except Exception:
            _log.exception("Asking for the %s of table %r failed.", what, name)

    def after_fork(self) -> None:
        """In the child of a fork: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    def _put(self, name: str, table: Table) -> None:
        self._tables = {**self._tables, name: table}


def effective_affinity(affinity: KeyRouteAffinity, table: Table) -> KeyRouteAffinity:
    """The mode that holds. AUTO becomes the widest mode that helps this table; until that is known, it is RMW."""
    if affinity is not KeyRouteAffinity.AUTO:
        return affinity
    if table.write_isolation is None:
        return KeyRouteAffinity.RMW
    return _AFFINITY_THAT_HELPS[table.write_isolation]
