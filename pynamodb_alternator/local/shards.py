"""The shards of a node, one for each core: which connections belong to each of them, and how many requests each got.

In the embedded cluster, one thread serves all shards: they are only counters. A new connection belongs to the shard
with the fewest connections (the first one, if there are several), as Seastar distributes the connections of a listener.
It stays there until it is closed.
"""

from __future__ import annotations

__all__ = ["Seat", "Shards"]


class Seat:
    """The assignment of one open connection to a shard."""

    __slots__ = ("shard",)

    def __init__(self, shard: int) -> None:
        self.shard: int = shard


class Shards:
    """The counters of each shard of one node. They are changed in the event loop, and may be read from any thread."""

    def __init__(self, count: int) -> None:
        self._seats: tuple[set[Seat], ...] = tuple(set() for _ in range(count))
        self._requests = [0] * count

    @property
    def connections(self) -> tuple[int, ...]:
        """How many connections each shard has now."""
        return tuple(len(seats) for seats in self._seats)

    @property
    def requests(self) -> tuple[int, ...]:
        """How many DynamoDB requests came to each shard."""
        return tuple(self._requests)

    def take(self) -> Seat:
        """Assign a new connection to a shard."""
        counts = self.connections
        seat = Seat(counts.index(min(counts)))
        self._seats[seat.shard].add(seat)
        return seat

    def leave(self, seat: Seat) -> None:
        """Remove a connection that was closed. A second call does nothing."""
        self._seats[seat.shard].discard(seat)

    def received(self, shard: int) -> None:
        """Count a request that came through a connection of this shard."""
        self._requests[shard] += 1

    def forget_requests(self) -> None:
        self._requests = [0] * len(self._requests)
