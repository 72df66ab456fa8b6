"""The token ring of a simulated cluster: the answers that the nodes give to a client that reads it."""

from __future__ import annotations

import functools
import random
from typing import Any

from .tally import RING_BYTES
from .wires import Network
from .world import now

__all__ = ["RingClient"]

_TABLETS = 16
"""How many token ranges each node has."""
_REPLICAS = 3
_FIRST, _SPAN = -(1 << 63), 1 << 64
_RING = "system.token_ring"


@functools.lru_cache(maxsize=8)
def _rows(hosts: tuple[str, ...]) -> list[dict[str, dict[str, str]]]:
    """The rows of the server's table: for each range, one row for each replica."""
    count = _TABLETS * len(hosts)
    ends = [_FIRST + _SPAN * number // count for number in range(1, count)]
    tokens = ["", *map(str, ends), ""]
    return [
        {
            "start_token": {"S": tokens[number]},
            "end_token": {"S": tokens[number + 1]},
            "endpoint": {"S": hosts[(number + replica) % len(hosts)]},
            "dc": {"S": "dc1"},
            "rack": {"S": f"rack{(number + replica) % 3}"},
        }
        for number in range(count)
        for replica in range(min(_REPLICAS, len(hosts)))
    ]


@functools.lru_cache(maxsize=8)
def _size(hosts: tuple[str, ...]) -> int:
    return sum(len(repr(row)) for row in _rows(hosts))


class RingClient:
    """Answers the requests of `core.token_ring_reader`. `chance`: picks the node that gets a request."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def query(self, **parameters: Any) -> dict[str, Any]:
        """The same as `query` of a botocore client."""
        if not parameters["TableName"].endswith(_RING):
            return {"Items": []}
        network = Network.running
        hosts = tuple(network.cluster.hosts)
        network.tally.add(RING_BYTES, self._chance.randrange(len(hosts)), now(), _size(hosts))
        return {"Items": _rows(hosts)}
