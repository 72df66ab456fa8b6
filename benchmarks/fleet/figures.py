"""The figures of a fleet, and the limits of some of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.subset import Subset
from pynamodb_alternator.topology.view import ring_order

from .scenarios import CLIENTS, DEATH, RETURN, SEEDS
from .tally import BYTES, HANDSHAKES, OWN_HANDSHAKES, PROBES, READINGS, REQUESTS, RING_BYTES, SLOTS, Tally

__all__ = ["Figure", "figures"]

_SETTLED = 30
"""Seconds after a node's death at which the count of its probes begins."""
_START = 5
"""Seconds for which connections are counted after the second in which the clients start."""


class Figure(NamedTuple):
    """One figure. `limit`: the largest allowed value; None if there is no limit."""

    words: str
    value: float
    unit: str = ""
    limit: float | None = None

    @property
    def holds(self) -> bool:
        return self.limit is None or self.value <= self.limit


def figures(tallies: Mapping[str, Tally], megabytes: float | None = None) -> dict[str, Figure]:
    """The figures of all scenarios that were run, by fixed names. `megabytes`: see `memory.megabytes`."""
    judged = {
        f"{name}: {figure.words}": figure
        for name, judge in _JUDGES.items()
        if name in tallies
        for figure in judge(tallies[name])
    }
    if megabytes is not None:
        judged["memory"] = Figure("memory of one client that knows 1,000 nodes", megabytes, " MB", 3.0)
    return judged


def _start(tally: Tally) -> list[Figure]:
    readings, seeds = tally.sum(READINGS), range(SEEDS)
    of_seeds = [
        mine + own for mine, own in zip(tally.mean(HANDSHAKES, seeds), tally.mean(OWN_HANDSHAKES, seeds), strict=True)
    ]
    return [
        Figure("start, 100 nodes: handshakes in the busiest second", max(_handshakes(tally))),
        Figure("… handshakes of one seed in that second", max(of_seeds)),
        _own_connections(tally),
        Figure("… the most requests of a seed in a second, relative to the mean", _most_of_share(tally, seeds, 1)),
        Figure("… seconds in which a seed gets over twice the mean", _seconds_over(tally, seeds, 2.0), " s"),
        Figure(
            "… list readings of the first minute that go to seeds",
            100 * sum(tally.sum(READINGS, seeds)) / sum(readings),
            " %",
        ),
        Figure("… list readings of one seed in a second, from second 10 on", max(tally.mean(READINGS, seeds)[10:])),
        Figure("… bytes of node lists in a second, from second 10 on", _steady(tally, BYTES) / 1e6, " MB"),
    ]


def _start_1000(tally: Tally) -> list[Figure]:
    return [
        Figure("start, 1,000 nodes: handshakes in the busiest second", max(_handshakes(tally))),
        _own_connections(tally),
        Figure("… bytes of node lists in a second, from second 5 on", sum(tally.sum(BYTES)[5:]) / 5 / 1e6, " MB"),
    ]


def _own_connections(tally: Tally) -> Figure:
    opened = _at_start(tally, OWN_HANDSHAKES) / CLIENTS
    return Figure("… for readings and probes, per client in five seconds", opened, "", 16.0)


def _subset(tally: Tally) -> list[Figure]:
    opened = _at_start(tally, OWN_HANDSHAKES) + _at_start(tally, HANDSHAKES)
    return [
        Figure("start, 100 nodes, subset=8: handshakes in the busiest second", max(_handshakes(tally))),
        Figure("… all connections, per client in five seconds", opened / CLIENTS, "", 16.0),
        *_subsets(100, 8),
    ]


def _subsets(count: int, size: int) -> list[Figure]:
    """The figures of all 10,000 subsets, computed by the rule itself and not from a sample."""
    nodes = ring_order(Node("http", f"10.0.0.{number}", 8000) for number in range(count))
    used, moved = Counter[Node](), 0
    for number in range(CLIENTS):
        subset = Subset(size, number, Random(0))
        before = subset.among(nodes, (), ())
        used.update(before)
        moved += len({*before}.difference(nodes[:1]) - {*subset.among(nodes[1:], (), ())})
    return [
        Figure(
            "… subsets that the most used node is in, relative to the mean", max(used.values()) * count / used.total()
        ),
        Figure("… other connections that move when one node leaves", float(moved)),
    ]


def _death(tally: Tally) -> list[Figure]:
    begin, end = int(DEATH + _SETTLED), int(RETURN)
    probes = tally.of_node(PROBES, 1)[begin:end]
    mean = sum(probes) / len(probes)
    slots = tally.per_slot(PROBES, 1)[begin * SLOTS : end * SLOTS]
    mine, total = tally.of_node(REQUESTS, 1), tally.sum(REQUESTS)
    shares = [share * 3 / of for share, of in zip(mine, total, strict=True)][int(RETURN) :]
    reached = next((second for second, share in enumerate(shares) if share >= 0.9), len(shares))
    return [
        Figure("death: probes of the dead node a second, from 30 s after its death on", mean, "", 2000.0),
        Figure(
            "… the most probes in a tenth of a second, relative to the mean",
            max(slots) * SLOTS / mean if mean else 0.0,
            "",
            3.0,
        ),
        Figure("… the most requests of the returning node in a second, relative to its share", max(shares), "", 1.2),
        Figure("… seconds from its return until it has nine tenths of its share", reached, " s"),
    ]


def _rack_cut(tally: Tally) -> list[Figure]:
    rack = range(0, tally.nodes, 3)
    lost = tally.sum(PROBES, rack)[20:40]
    requests = tally.sum(REQUESTS)
    usual = sum(requests[5:10]) / 5
    cut = requests[10:40]
    return [
        Figure(
            "rack cut: requests of the fleet in the worst second, relative to the usual number",
            100 * min(cut) / usual,
            " %",
        ),
        Figure(
            "… seconds with less than nine tenths of the usual number", sum(count < 0.9 * usual for count in cut), " s"
        ),
        Figure("… probes of one silent node a second, from 10 s on", sum(lost) / len(lost) / len(rack)),
        Figure("… handshakes in the busiest second after the rack's return", max(_handshakes(tally)[40:])),
        Figure(
            "… the most requests of the rack in a second after that, relative to its share",
            _most_of_share(tally, rack, 40),
        ),
    ]


def _rolling(tally: Tally) -> list[Figure]:
    return [
        Figure("rolling restart: the most probes of one node in a second", max(tally.busiest(PROBES)[5:])),
        Figure("… the most handshakes of one node in a second", max(tally.busiest(HANDSHAKES)[5:])),
    ]


def _scale_out(tally: Tally) -> list[Figure]:
    return [
        Figure("scale from 3 to 30: the most handshakes in a second", max(_handshakes(tally)[9:])),
        Figure("… the busiest node's requests at the end, relative to the mean", _evenness(tally)),
    ]


def _hot_key(tally: Tally) -> list[Figure]:
    return [
        Figure("hot key: the busiest node's requests, relative to the mean", _evenness(tally)),
        Figure("… bytes of token rings, for each client and table", sum(tally.sum(RING_BYTES)) / CLIENTS / 1e6, " MB"),
    ]


_JUDGES = {
    "start": _start,
    "start-1000": _start_1000,
    "start-subset": _subset,
    "death": _death,
    "rack-cut": _rack_cut,
    "rolling-restart": _rolling,
    "scale-out": _scale_out,
    "hot-key": _hot_key,
}


def _handshakes(tally: Tally) -> list[float]:
    return [mine + own for mine, own in zip(tally.sum(HANDSHAKES), tally.sum(OWN_HANDSHAKES), strict=True)]


def _at_start(tally: Tally, kind: str) -> float:
    """The counts of all clients' first five seconds. They start within the first second, so six seconds are summed."""
    return sum(tally.sum(kind)[: _START + 1])


def _steady(tally: Tally, kind: str) -> float:
    counts = tally.sum(kind)[10:]
    return sum(counts) / len(counts)


def _most_of_share(tally: Tally, nodes: Sequence[int], begin: int) -> float:
    """The requests of these nodes in their busiest second from `begin` on, relative to the mean of all nodes."""
    shares = zip(tally.mean(REQUESTS, nodes), tally.mean(REQUESTS), strict=True)
    return max(mine / mean for mine, mean in list(shares)[begin:] if mean)


def _seconds_over(tally: Tally, nodes: Sequence[int], times: float) -> int:
    shares = zip(tally.mean(REQUESTS, nodes), tally.mean(REQUESTS), strict=True)
    return sum(mine > times * mean for mine, mean in shares)


def _evenness(tally: Tally) -> float:
    """The requests of the busiest node in the last ten seconds, relative to the mean of all nodes."""
    counts = [sum(tally.of_node(REQUESTS, node)[-10:]) for node in range(tally.nodes)]
    return max(counts) * len(counts) / sum(counts)
