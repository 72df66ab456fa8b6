"""What is known of the tables of one cluster: partition keys, affinity modes, and write isolation."""

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
    """What is known of one table. A field is None if its value is not known.

    `partition_key`: the attribute's name. `affinity`: the mode that a model sets for this table.
    `write_isolation`: ``always``, ``only_rmw_uses_lwt``, ``forbid_rmw`` or ``unsafe_rmw``.
    `is_stated`: the partition key comes from a model or the configuration, and not from a lookup. `index_keys`: for
    each index by its name, its partition key.
    """

    partition_key: str | None = None
    affinity: KeyRouteAffinity | None = None
    write_isolation: str | None = None
    is_stated: bool = False
    index_keys: Mapping[str, str] = MappingProxyType({})


_UNKNOWN = Table()


class Tables:
    """The tables of one cluster by name. Readers take no lock, because the mapping that they read is replaced as a
    whole.

    `config`: its `partition_keys` are known from the start. `on_unknown`: is called with a table's name and
    `PARTITION_KEY` or `WRITE_ISOLATION` for each request that needs this value when it is not known, or that shows that
    it may have changed. The function must be fast, and decides whether the value is looked up. Its exceptions are
    logged.
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
        """What is known of the table. A `Table` without any value if `name` is not the name of a known table."""
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
        """Store what a model says about its table. `index_keys`: the partition key of each of its indexes.

        Several models may name one table. If their partition keys differ, the last one is used, and a warning is logged
        once. A model that sets no `affinity` does not change the one that another model has set.
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
        """Store the result of a lookup. It does not replace what a model or the configuration says."""
        with self._lock:
            known, learnt = self.get(name), index_keys or {}
            if known.is_stated:
                self._put(name, known._replace(index_keys={**learnt, **known.index_keys}))
            else:
                self._put(name, known._replace(partition_key=partition_key, index_keys=learnt))

    def doubt_partition_key(self, name: object, attributes: Mapping[Any, Any] | None = None) -> None:
        """A request has no value for the partition key in its key condition, or in these attributes of its item.

        If the name of the key comes from a lookup, the table may have been created again with another key. So the name
        is looked up again. Called without any lock.
        """
        table = self.get(name)
        if not isinstance(name, str) or table.is_stated or table.partition_key in (attributes or ()):
            return
        self.report_unknown(name, PARTITION_KEY)

    def learn_write_isolation(self, name: str, isolation: str) -> bool:
        """Store the write isolation that a lookup has read, in any spelling that the server knows. Returns False for
        another text, and does not store it."""
        spelled = write_isolation.parse(isolation)
        if spelled is None:
            _log.debug("Table %r has the write isolation %r, which is not known here.", name, isolation)
            return False
        with self._lock:
            self._put(name, self.get(name)._replace(write_isolation=spelled))
        return True

    def report_unknown(self, name: str, what: str) -> None:
        """Report that a request needs a value that is not known. Called without any lock."""
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
    """The mode that is used. AUTO becomes the widest mode that helps this table; until the write isolation is known, it
    is RMW."""
    if affinity is not KeyRouteAffinity.AUTO:
        return affinity
    if table.write_isolation is None:
        return KeyRouteAffinity.RMW
    return _AFFINITY_THAT_HELPS[table.write_isolation]
