"""Which nodes hold a partition key: the token ranges of a table, and the replicas of each.

The server tells the ranges of a table (or of an index, which is a table of its own), each with its replicas.
`make_ring` makes a `TokenRing` of the ranges, if they cover all tokens. A ring may be out of date. A request to a node
that does not hold the key is answered too, with one more hop. So a wrong ring makes requests slower, but the answers
stay right.

Theory of operation. Rings are immutable, and requests read them without a lock (`Replicas.ring`). Replicas are stored
as addresses, because nodes come and go while a ring stays. Which nodes of a topology have these addresses is computed
once for each set of replicas and each topology, when a request first needs it.

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
"""The number of topologies for which a ring remembers its nodes: one of the cluster, and others of requests with a
scope of their own."""


class TokenRange(NamedTuple):
    """The tokens greater than `start` and up to `end` (included), and one of their replicas. A `start` of None means
    the first token, an `end` of None the last."""

    start: int | None
    end: int | None
    replica: Address


class TokenRing:
    """The replicas of each token of one table. Immutable, except that it remembers the nodes that it has computed.

    `ends`: the last token of each range, in order; the last one is the largest token. `sets`: for each range, the index
    of its replicas in `replicas`. `read_at`: when it was read, on the monotonic clock. `rows`: how many rows of the
    server's table it was made of.
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
        # Arrays take 1.2 MB for 100,000 ranges. Lists of objects would take 5 MB.
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
        """The nodes that hold the keys with this token, also nodes outside of the scope in use, in canonical order."""
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
        """What is remembered for this topology, which becomes the first one of the list."""
        bound = self._bound
        for known in bound:
            if known.topology is topology:
                break
        else:
            known = _Bound(topology, _positions(topology.nodes), {})
        # Replaced as a whole. If two threads do this at the same time, one result is lost, and is computed again later.
        others = [other for other in bound if other.topology is not topology]
        self._bound = (known, *others[: _MOST_TOPOLOGIES - 1])
        return known


class _Bound(NamedTuple):
    """What a ring remembers for one topology. `positions`: see `_positions`. `holders`: the nodes that were computed so
    far, by the index of the set of replicas."""

    topology: Topology
    positions: Mapping[Address, Sequence[int]]
    holders: dict[int, tuple[Node, ...]]


def _positions(nodes: Iterable[Node]) -> dict[Address, list[int]]:
    """The indexes of the nodes with each address. A cluster with vnodes may have as many sets of replicas as ranges,
    and a search through all nodes for each set would take too long."""
    positions: dict[Address, list[int]] = {}
    for number, node in enumerate(nodes):
        positions.setdefault((node.host, node.port), []).append(number)
        positions.setdefault((node.host, ANY_PORT), []).append(number)
    return positions


def _among(
    replicas: frozenset[Address], nodes: Sequence[Node], positions: Mapping[Address, Sequence[int]]
) -> tuple[Node, ...]:
    """The nodes that are replicas, in the order of `nodes`."""
    numbers = {number for address in replicas for number in positions.get(address, ())}
    return tuple(nodes[number] for number in sorted(numbers))


def make_ring(ranges: Iterable[TokenRange], read_at: float) -> TokenRing | None:
    """The ring of these ranges; None if they do not cover each token exactly once.

    One range may wrap, which means that its `start` is greater than its `end`: it holds the tokens after `start` and
    the tokens up to `end`. A range may be given several times, each time with another replica.
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
    """The ranges in order. A range that wraps becomes two ranges."""
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

    The name of an index is ``table:index``. `after`: in the mode "auto", the ring of a table is wanted after so many
    requests for the table in this process. `on_wanted`: is called when the ring of a table becomes wanted, with the
    table's name, and with True if the ring is wanted whatever its size. It must be fast.
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
        """Whether the ring of the table is wanted."""
        return name in self._demand

    def used(self, name: str, *, always: bool) -> bool:
        """A request for a table was made whose ring is not known. `always`: the ring is wanted from the first request
        on, and whatever its size. Returns whether the ring is wanted now.

        Requests are counted without a lock. Two requests at the same time may count as one. Then the ring is wanted one
        request later.
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
        """The ring of a table must not be used any more."""
        with self._lock:
            self._rings = {known: ring for known, ring in self._rings.items() if known != name}

    def names(self) -> Collection[str]:
        """The tables whose rings are known."""
        return tuple(self._rings)
