"""One simulated client: the inside of a real `Cluster`, with simulated threads, clock and connections."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pynamodb_alternator import ClusterConfig
from pynamodb_alternator.core import cluster_core
from pynamodb_alternator.core.cluster_core import ClusterCore
from pynamodb_alternator.errors import TransportError
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport import control, pool
from pynamodb_alternator.transport.attempts import Attempts, Wait
from pynamodb_alternator.transport.http1 import Answer

from .rings import RingClient
from .tally import FAILED
from .wires import ControlWire, CountedControl, Network, RequestWire
from .world import World, now, virtual_time

__all__ = ["HOT", "TABLE", "Client", "Load", "simulated"]

TABLE, HOT = "t", "hot"
"""The name of the table, and the key of many requests."""


class Load(NamedTuple):
    """The requests of a client. `rate`: requests a second. `threads`: how many threads make them. `writes`: the part of
    them that are writes with key route affinity. `hot`: the part of them for one key. `keys`: how many other keys."""

    rate: float = 10.0
    threads: int = 2
    writes: float = 0.0
    hot: float = 0.0
    keys: int = 10_000


class Client:
    """One process with one cluster. `starts`: seconds after which its first request comes."""

    def __init__(self, world: World, config: ClusterConfig, load: Load, starts: float) -> None:
        self._load = load
        self.client: Any = RingClient(world.new_random())
        self._random = world.new_random()
        self.config = config
        self.core: ClusterCore | None = None
        world.spawn(self._begin, at=starts)

    def _begin(self) -> None:
        self.core = ClusterCore(self.config, weakref.ref(self))
        for _ in range(self._load.threads):
            World.running.spawn(self._work, self.core)

    def _work(self, core: ClusterCore) -> None:
        world, pause = World.running, self._load.threads / self._load.rate
        world.sleep(self._random.uniform(0.0, pause))
        while True:
            at = world.now
            with contextlib.suppress(TransportError):
                self._request(core, *self._next())
            # The pause is shorter by the duration of the request, so that trouble does not lower the rate.
            world.sleep(max(0.0, at + self._random.uniform(0.5, 1.5) * pause - world.now))

    def _next(self) -> tuple[str, Mapping[str, Any]]:
        load, random = self._load, self._random
        key = {"id": {"S": HOT if random.random() < load.hot else f"k{random.randrange(load.keys)}"}}
        if random.random() < load.writes:
            return "PutItem", {"TableName": TABLE, "Item": key}
        return "GetItem", {"TableName": TABLE, "Key": key}

    def _request(self, core: ClusterCore, operation: str, parameters: Mapping[str, Any]) -> Answer:
        """Send a request as `transport.endpoint` does."""
        started = now()
        core.prepare(started, None)
        with Attempts(
            core.environment,
            operation,
            parameters,
            started=started,
            timeouts=core.config.timeouts,
            retries=core.config.retries,
            has_room=core.sender.has_room,
        ) as attempts:
            while True:
                step = attempts.next()
                if isinstance(step, Node):
                    try:
                        answer = core.sender.exchange(step, b"POST /", b"", attempts)
                    except TransportError as error:
                        self._note(attempts.failed, error, step)
                        continue
                    if attempts.answered(answer):
                        return answer
                elif isinstance(step, Wait):
                    World.running.sleep(step.seconds)
                else:
                    return step

    @staticmethod
    def _note(tell: Any, error: TransportError, node: Node) -> None:
        try:
            tell(error)
        except TransportError:
            network = Network.running
            network.tally.add(FAILED, network.cluster.number[node.host], now())
            raise


class _Pools(pool.Pools):
    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, clock=now, **settings)


@contextlib.contextmanager
def simulated() -> Iterator[None]:
    """In the ``with`` block, clusters live in the world that runs, and connect to nothing else."""
    with virtual_time(
        {
            cluster_core: {"Pools": _Pools, "ControlConnections": CountedControl},
            pool: {"StepwiseConnection": RequestWire},
            control: {"StepwiseConnection": ControlWire},
        }
    ):
        yield
