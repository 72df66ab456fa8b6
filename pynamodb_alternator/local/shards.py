"""The shards of a node, which are its cores: to which of them a connection belongs, and how much each has to do.

In the embedded cluster one core serves all of them, and they are only counted. A new connection belongs to the shard
that has the fewest connections, and of several to the first, as Seastar distributes the connections of a listener. It
stays there until it is closed.
"""

from __future__ import annotations

__all__ = ["Seat", "Shards"]


class Seat:
    """The place of one connection at a shard, as long as the connection is open."""

    __slots__ = ("shard",)

    def __init__(self, shard: int) -> None:
        self.shard: int = shard


class Shards:
    """Counts of each shard of one node. Changed in its event loop, and read from any thread."""

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
        """The seat of a new connection."""
        counts = self.connections
        seat = Seat(counts.index(min(counts)))
        self._seats[seat.shard].add(seat)
        return seat

    def leave(self, seat: Seat) -> None:
        """Its connection is closed. Any number of times."""
        self._seats[seat.shard].discard(seat)

    def received(self, shard: int) -> None:
        """A request came on a connection of this shard."""
        self._requests[shard] += 1

    def forget_requests(self) -> None:
        self._requests = [0] * len(self._requests)
