"""All pools of a cluster: those of event loops come and go while something goes through them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import pytest

from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport.all_pools import AllPools
from pynamodb_alternator.transport.pool import Pools
from pynamodb_alternator.transport.pool_core import PoolStats

NODE = Node("http", "127.0.0.1", 1)


class LoopPools:
    """Pools of an event loop. `on_call`: what the garbage collector does while one of their methods runs."""

    def __init__(self, on_call: Callable[[], object] = lambda: None) -> None:
        self.calls: list[str] = []
        self.on_call = on_call

    def _called(self, name: str) -> None:
        self.calls.append(name)
        self.on_call()

    def waits(self, now: float) -> Iterator[tuple[Node, float]]:
        self._called("waits")
        yield NODE, now

    def in_flight(self, node: Node) -> int:
        self._called("in_flight")
        return 2

    def keep_only(self, nodes: Collection[Node]) -> None:
        self._called("keep_only")

    def cut(self, node: Node, reason: str = "") -> None:
        self._called("cut")

    def raise_limit(self, limit: int) -> None:
        self._called("raise_limit")

    def stats(self) -> dict[str, PoolStats]:
        self._called("stats")
        return {NODE.address: PoolStats(4, 3, 2, 1)}

    def close(self) -> None:
        self._called("close")

    def after_fork(self) -> None:
        self._called("after_fork")


CALLS: dict[str, Callable[[AllPools], object]] = {
    "in_flight": lambda pools: pools.in_flight(NODE),
    "waits": lambda pools: list(pools.waits(1.0)),
    "keep_only": lambda pools: pools.keep_only([NODE]),
    "cut": lambda pools: pools.cut(NODE, "a test says so"),
    "raise_limit": lambda pools: pools.raise_limit(100),
    "stats": lambda pools: pools.stats(),
    "close": lambda pools: pools.close(),
    "after_fork": lambda pools: pools.after_fork(),
}


@pytest.mark.parametrize("name", CALLS)
def test_pools_come_and_go_during_a_call(name: str) -> None:
    """The garbage collector runs where it likes, and removes pools; another thread adds some."""
    everything = AllPools(Pools())
    forgotten, added = LoopPools(), LoopPools()

    def change() -> None:
        everything.remove(forgotten)
        everything.add(added)

    changing, last = LoopPools(change), LoopPools()
    for pools in (changing, forgotten, last):
        everything.add(pools)
    CALLS[name](everything)
    assert (changing.calls, last.calls, added.calls) == ([name], [name], [])
    CALLS[name](everything)
    assert forgotten.calls in ([], [name])  # it may have been listed before it was removed
    assert added.calls == [name]


def test_pools_are_removed_while_others_are_added() -> None:
    """The garbage collector runs in the middle of `add`."""
    everything = AllPools(Pools())
    forgotten = LoopPools()
    everything.add(forgotten)

    class Collecting(LoopPools):
        def __hash__(self) -> int:
            everything.remove(forgotten)
            return 1

    added = Collecting()
    everything.add(added)
    everything.keep_only([NODE])
    assert (forgotten.calls, added.calls) == ([], ["keep_only"])


def test_the_sum_of_all() -> None:
    everything = AllPools(Pools())
    first, second = LoopPools(), LoopPools()
    everything.add(first)
    everything.add(second)
    assert everything.stats() == {NODE.address: PoolStats(8, 6, 4, 2)}
    everything.remove(first)
    everything.remove(first)
    assert everything.stats() == {NODE.address: PoolStats(4, 3, 2, 1)}
