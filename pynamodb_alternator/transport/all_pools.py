"""All connections of a cluster: its own pools, and those of the event loops that share it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from .pool_core import PoolStats

if TYPE_CHECKING:
    from ..topology.node import Node

__all__ = ["AllPools", "SharedPools"]


class SharedPools(Protocol):
    """The connections of threads, or of an event loop, to the nodes of a cluster. Any thread may call these methods.

    See the methods of `PoolMap` for what they do.
    """

    def waits(self, now: float) -> Iterable[tuple[Node, float]]: ...

    def in_flight(self, node: Node) -> int: ...

    def keep_only(self, nodes: Collection[Node]) -> None: ...

    def cut(self, node: Node, reason: str = ...) -> None: ...

    def raise_limit(self, limit: int) -> None: ...

    def stats(self) -> dict[str, PoolStats]: ...

    def close(self) -> None: ...

    def after_fork(self) -> None: ...


class AllPools:
    """A cluster's own pools, and those of event loops that share its nodes and their health.

    There is no lock, because the garbage collector may call `remove` in any thread, even in the middle of `add`. Adding
    to a dict, removing from it and listing it are one step each.
    """

    def __init__(self, own: SharedPools) -> None:
        self._pools: dict[SharedPools, None] = {own: None}

    def add(self, pools: SharedPools) -> None:
        self._pools[pools] = None

    def remove(self, pools: SharedPools) -> None:
        self._pools.pop(pools, None)

    def all(self) -> list[SharedPools]:
        """A new list, so that it does not change while the caller goes through it."""
        return list(self._pools)

    def in_flight(self, node: Node) -> int:
        """Connections of this process to `node` that are in use."""
        count = 0
        for pools in self.all():
            count += pools.in_flight(node)
        return count

    def waits(self, now: float) -> Iterator[tuple[Node, float]]:
        for pools in self.all():
            yield from pools.waits(now)

    def keep_only(self, nodes: Collection[Node]) -> None:
        for pools in self.all():
            pools.keep_only(nodes)

    def cut(self, node: Node, reason: str) -> None:
        for pools in self.all():
            pools.cut(node, reason)

    def raise_limit(self, limit: int) -> None:
        for pools in self.all():
            pools.raise_limit(limit)

    def stats(self) -> dict[str, PoolStats]:
        """By node address: the sum over all pools."""
        total: dict[str, PoolStats] = {}
        for pools in self.all():
            for address, stats in pools.stats().items():
                total[address] = stats.plus(total[address]) if address in total else stats
        return total

    def close(self) -> None:
        for pools in self.all():
            pools.close()

    def after_fork(self) -> None:
        for pools in self.all():
            pools.after_fork()
