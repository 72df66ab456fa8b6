"""Which nodes hold a partition key: the token ranges of a table, and the replicas of each.

The server tells the ranges of a table (or of an index, which is a table of its own), each with the replicas of its
keys; `make_ring` makes a `TokenRing` of them, if they cover all tokens. A ring may be out of date: a request to a node
that does not hold the key (any more) is answered as well, with one hop more. So a wrong ring costs speed, and never an
answer.

Theory of operation. Rings are immutable, and requests read them without a lock (`Replicas.ring`). Replicas are kept as
addresses, because nodes come and go while a ring stays; which of a topology's nodes these are is found once for each
set of replicas and topology, when it is first asked for.

This module knows nodes and topologies. It never asks the server: `core.token_rings` does, and publishes here.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from .node import Node
from .view import Topology

__all__ = ["ANY_PORT", "Address", "Replicas", "TokenRange", "TokenRing", "make_ring"]

Address = tuple[str, int]
"""The host and port of a replica, by which it is found among the nodes."""
ANY_PORT: Final = 0
"""The port of a replica whose host alone is known."""

_FIRST, _LAST = -(1 << 63), (1 << 63) - 1
_MOST_TOPOLOGIES = 4
"""Topologies for which a ring remembers its nodes: that of the cluster, and those of requests with their own scope."""


class TokenRange(NamedTuple):
    """The tokens after `start` up to and with `end`, and one of their replicas. None: from the first, to the last."""

    start: int | None
    end: int | None
    replica: Address


class TokenRing:
    """The replicas of each token of one table. Immutable, except that it remembers what it has found.

    `ends`: the last token of each range, in order; the last one is the largest token. `sets`: for each range, the index
    of its replicas in `replicas`. `read_at`: when it was read, on the monotonic clock. `rows`: of the server's table.
    """

    __slots__ = ("_bound", "_ends", "_replicas", "_sets", "read_at", "rows")

    def __init__(
        self,
        ends: Iterable[int],
        sets: Iterable[int],
        replicas: Iterable[frozenset[Address]],
        read_at: float,
        rows: int,
    ) -> None:
        # Arrays: 100,000 ranges take 1.2 MB, and as lists of objects they would take 5.
        self._ends = array("q", ends)
        self._sets = array("I", sets)
        self._replicas = tuple(replicas)
        self.read_at: float = read_at
        self.rows: int = rows
        self._bound: tuple[_Bound, ...] = ()

    def __len__(self) -> int:
        """How many ranges there are."""
        return len(self._ends)

    def nodes(self, token: int, topology: Topology) -> tuple[Node, ...]:
        """The nodes of the topology's scope in use that hold the keys with this token, in canonical order."""
        index = self._sets[bisect_left(self._ends, token)]
        bound = self._bound
        known = bound[0] if bound and bound[0].topology is topology else self._bind(topology)
        holders = known.holders.get(index)
        if holders is None:
            holders = known.holders[index] = _among(self._replicas[index], topology.nodes, known.positions)
        return holders

    def all_nodes(self, token: int, topology: Topology) -> tuple[Node, ...]:
        """The nodes that hold the keys with this token, those out of the scope in use too, in canonical order."""
        replicas = self._replicas[self._sets[bisect_left(self._ends, token)]]
        return _among(replicas, topology.ring, _positions(topology.ring))

    def ranges(self) -> Iterator[tuple[int, frozenset[Address]]]:
        """The last token of each range, in order, and the addresses of its replicas."""
        for end, index in zip(self._ends, self._sets, strict=True):
            yield end, self._replicas[index]

    def alike(self, other: TokenRing) -> bool:
        """Whether both say the same of each token."""
        return len(self) == len(other) and all(
            mine == theirs for mine, theirs in zip(self.ranges(), other.ranges(), strict=True)
        )

    def _bind(self, topology: Topology) -> _Bound:
        """What is remembered for this topology, which becomes the one that is looked at first."""
        bound = self._bound
        for known in bound:
            if known.topology is topology:
                break
        else:
            known = _Bound(topology, _positions(topology.nodes), {})
        # Replaced as a whole: threads may bind at once and lose one, which is then made anew.
        others = [other for other in bound if other.topology is not topology]
        self._bound = (known, *others[: _MOST_TOPOLOGIES - 1])
        return known


class _Bound(NamedTuple):
    """What a ring remembers for one topology. `positions`: see `_positions`. `holders`: what was found so far, by the
    index of a set of replicas."""

    topology: Topology
    positions: Mapping[Address, Sequence[int]]
    holders: dict[int, tuple[Node, ...]]


def _positions(nodes: Iterable[Node]) -> dict[Address, list[int]]:
    """Where the nodes of an address stand among these. A cluster with vnodes may have as many sets of replicas as
    ranges, and going through all nodes for each would take too long."""
    positions: dict[Address, list[int]] = {}
    for number, node in enumerate(nodes):
        positions.setdefault((node.host, node.port), []).append(number)
        positions.setdefault((node.host, ANY_PORT), []).append(number)
    return positions


def _among(
    replicas: frozenset[Address], nodes: Sequence[Node], positions: Mapping[Address, Sequence[int]]
) -> tuple[Node, ...]:
    """The nodes that are replicas, in their order."""
    numbers = {number for address in replicas for number in positions.get(address, ())}
    return tuple(nodes[number] for number in sorted(numbers))


def make_ring(ranges: Iterable[TokenRange], read_at: float) -> TokenRing | None:
    """The ring of these ranges; None if they do not cover each token exactly once.

    One range may wrap, from a token to a smaller one: it holds what comes after the first and what comes before the
    second. A range may be given several times, with a replica each.
    """
    holders: dict[tuple[int, int], set[Address]] = {}
    rows = 0
    for start, end, replica in ranges:
        rows += 1
        key = (_FIRST if start is None else start, _LAST if end is None else end)
        holders.setdefault(key, set()).add(replica)
    ends: list[int] = []
    sets: list[int] = []
    numbers: dict[frozenset[Address], int] = {}
    covered = _FIRST
    for start, end, replicas in _unwrapped(holders):
        if start != covered or end <= start:
            return None
        ends.append(end)
        sets.append(numbers.setdefault(frozenset(replicas), len(numbers)))
        covered = end
    return TokenRing(ends, sets, numbers, read_at, rows) if covered == _LAST else None


def _unwrapped(holders: dict[tuple[int, int], set[Address]]) -> list[tuple[int, int, set[Address]]]:
    """The ranges in order, and the one that wraps as two."""
    ranges = []
    for (start, end), replicas in holders.items():
        if start < end:
            ranges.append((start, end, replicas))
            continue
        if start < _LAST:
            ranges.append((start, _LAST, replicas))
        if end > _FIRST:
            ranges.append((_FIRST, end, replicas))
    return sorted(ranges, key=lambda part: part[:2])


class Replicas:
    """The rings of a cluster's tables by name, and which tables are in such use that their rings are worth reading.

    An index goes by ``table:index``. `after`: requests for one table in this process from which on its ring is wanted
    (of the mode "auto"). `on_wanted`: called once with the table's name, and whether it is wanted whatever its size;
    it must be cheap.
    """

    def __init__(self, after: int, on_wanted: Callable[[str, bool], None] | None = None) -> None:
        self._after = after
        self._on_wanted = on_wanted
        self._rings: dict[str, TokenRing] = {}
        self._requests: dict[str, int] = {}
        self._demand: dict[str, bool] = {}
        self.after_fork()

    def after_fork(self) -> None:
        """In the child of a fork: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    def ring(self, name: str) -> TokenRing | None:
        """The ring of a table, if it is known."""
        return self._rings.get(name)

    def is_wanted(self, name: str) -> bool:
        """Whether the table's ring is to be read."""
        return name in self._demand

    def used(self, name: str, *, always: bool) -> bool:
        """A request for the table was made that lacks its ring. `always`: it is wanted from the first request on, and
        whatever its size. Whether the ring is wanted now.

        Requests are counted without a lock. Two at once may count as one, which delays the wish by one request.
        """
        demand = self._demand.get(name)
        if demand is None or (always and not demand):
            if not always:
                count = self._requests[name] = self._requests.get(name, 0) + 1
                if count < self._after:
                    return False
            self._demand[name] = always
            if self._on_wanted is not None:
                self._on_wanted(name, always)
        return True

    def publish(self, name: str, ring: TokenRing) -> None:
        """The ring of a table was read."""
        with self._lock:
            self._rings = {**self._rings, name: ring}

    def drop(self, name: str) -> None:
        """The ring of a table is not to be used any more."""
        with self._lock:
            self._rings = {known: ring for known, ring in self._rings.items() if known != name}

    def names(self) -> Collection[str]:
        """The tables whose rings are known."""
        return tuple(self._rings)
