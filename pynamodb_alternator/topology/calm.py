"""When nodes are probed, and when and from which nodes the node list is read, without a burden for the cluster.

One client is not a burden for a cluster. Ten thousand clients that do the same at the same moment are. So each wait
here is varied at random, grows while all is well, and is short again when there is trouble. All functions are pure:
values, clock and random source are passed in, so that a simulation of a fleet can run the same rules.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from random import Random
from typing import NamedTuple

from ..settings.values import Discovery, Health
from .node import Node

__all__ = [
    "SPARES",
    "UNASKED",
    "Pace",
    "Wave",
    "after_reading",
    "beside",
    "in_trouble",
    "jittered",
    "next_in_wave",
    "share_of_unasked",
    "sources_in_order",
    "unasked",
    "until_next_probe",
]

_BACK_OFF = (1.0, 2.0, 5.5)
"""Probe intervals after the first, the second and each later failed probe in a row, while other nodes serve. With the
last one, ten thousand clients send a dead node fewer than 2,000 probes a second."""
_IMPATIENCE = 0.1
"""The part of a probe interval that passes before a node that has begun to answer is probed again."""
_BESIDE = 8
"""The number of other nodes that are probed when a node has gone silent."""
_GROWTH = 1.5
"""The factor by which the interval of readings grows after each reading that finds nothing new."""
UNASKED = 8
"""The number of nodes, seeds included, that are probed at the start before a request names them."""
SPARES = 2
"""The number of them in each fallback of the routing scope, so that the fallback can be used at once."""
_FIRST_OF_WAVE, _SECONDS_OF_WAVE = 3, 5.0


def jittered(seconds: float, random: Random) -> float:
    """These seconds, varied by up to half, so that the clients of a fleet do not do the same at the same moment."""
    return seconds * random.uniform(0.5, 1.5)


# ---- probes ------------------------------------------------------------------------------------------------------


def until_next_probe(policy: Health, *, failures: int, others_serve: bool, random: Random) -> float:
    """Seconds until a node that is not active is probed again.

    `failures`: its failed probes in a row, the last one included. 0 for a node that has answered: it is probed again
    soon, because it needs several answers. `others_serve`: whether requests can go to other nodes. While they cannot,
    there is no back-off.
    """
    if not failures:
        factor = _IMPATIENCE
    elif others_serve:
        factor = _BACK_OFF[min(failures, len(_BACK_OFF)) - 1]
    else:
        factor = _BACK_OFF[0]
    return jittered(policy.probe_interval * factor, random)


def beside(node: Node, active: Sequence[Node], random: Random) -> list[Node]:
    """The nodes to probe because this one has gone silent: its whole rack or network may be silent.

    `active`: the nodes to choose from. Those of its rack come first, if the rack is known. If one of the probed nodes
    is silent too, further nodes are probed because of it.
    """
    near = [other for other in active if (other.datacenter, other.rack) == (node.datacenter, node.rack)]
    far = [other for other in active if other not in near]
    few = (random.sample(nodes, min(_BESIDE, len(nodes))) for nodes in (near, far))
    return [*next(few), *next(few)][:_BESIDE]


def share_of_unasked(scopes: int) -> tuple[int, ...]:
    """How many nodes of each scope of the chain are probed at the start before a request names them: `SPARES` of each
    fallback, as far as `UNASKED` allows, and the rest of the preferred scope."""
    spares = min(SPARES * (scopes - 1), UNASKED - SPARES)
    return (UNASKED - spares, *(max(0, min(SPARES, spares - SPARES * number)) for number in range(scopes - 1)))


def unasked(
    lists: Sequence[Collection[Node]],
    everyone: Iterable[Node],
    *,
    own: Collection[Node] = (),
    starts: bool,
    is_tried: Callable[[Node], bool],
    serves: Callable[[Node], bool],
    random: Random,
) -> list[Node]:
    """The nodes to probe although no request has named them.

    `lists`: the nodes of each scope of the chain, in its order. `everyone`: all members. They include the nodes of the
    datacenter of a rack scope, because keys are spread over the whole datacenter. `own`: the subset that this process
    uses, which is picked first. `starts`: whether no node list was read before. `is_tried`: whether a node has answered
    a probe, or is due for one. `serves`: whether a node is active.

    After the start, these are some nodes of each scope in which no node serves. Nodes that also belong to a better
    scope are left out. Requests may go to another scope, and then they name none of these nodes, so they must be probed
    here.
    """
    picked: dict[Node, None] = {}

    def pick(nodes: Collection[Node], most: int) -> None:
        strangers = [node for node in nodes if node not in picked and not is_tried(node)]
        most = min(most, UNASKED - len(picked), len(strangers))
        if most > 0:
            shuffled = random.sample(strangers, len(strangers) if own else most)
            shuffled.sort(key=lambda node: node not in own)
            picked.update(dict.fromkeys(shuffled[:most]))

    better: set[Node] = set()
    for nodes, share in zip(lists, share_of_unasked(len(lists)), strict=True):
        not_better = [node for node in nodes if node not in better]
        better.update(not_better)
        if starts:
            pick(not_better, share - sum(map(is_tried, not_better)))
        elif not any(map(serves, not_better)):
            pick(not_better, SPARES)
    if starts:
        members = dict.fromkeys(everyone)
        pick(members, UNASKED - len(picked) - sum(map(is_tried, members)))
    return list(picked)


class Wave(NamedTuple):
    """New nodes, which are probed when requests name them. `since`: when they were listed. `probed`: how many of them
    were probed since then because a request named them."""

    since: float
    probed: int = 0


def next_in_wave(wave: Wave, now: float) -> Wave | None:
    """The wave after one more of its nodes is probed; None if this probe must wait.

    A client of a large cluster names all nodes within a second. Ten thousand clients that start together would open a
    million connections in that second. So three nodes may be probed at once, and eight within five seconds. Then the
    number grows faster: a hundred within 22 seconds, and a thousand within 71.
    """
    most = _FIRST_OF_WAVE + (now - wave.since) ** 2 / _SECONDS_OF_WAVE
    return wave._replace(probed=wave.probed + 1) if wave.probed + 1 <= most else None


# ---- readings ----------------------------------------------------------------------------------------------------


class Pace(NamedTuple):
    """How often the node list is read while requests are made. `interval`: seconds from the last reading to the next.
    `is_calm`: whether there was no trouble since the last reading."""

    interval: float
    is_calm: bool = True


def after_reading(pace: Pace, settings: Discovery, *, is_calm: bool) -> Pace:
    """The pace after a reading. `is_calm`: whether it found nothing new, and all nodes are well."""
    if not (is_calm and pace.is_calm):
        return Pace(settings.interval)
    return Pace(min(pace.interval * _GROWTH, settings.longest_interval))


def in_trouble(pace: Pace, settings: Discovery, *, since_reading: float, random: Random) -> Pace:
    """The pace when something has gone wrong: the list is read within one `Discovery.interval`. The moment is random,
    because all clients of a node see its trouble at once. `since_reading`: seconds since the last reading."""
    if not pace.is_calm:
        return pace
    soon = since_reading + random.uniform(0.0, settings.interval)
    return Pace(min(pace.interval, max(settings.interval, soon)), is_calm=False)


def sources_in_order(
    active: Iterable[Node], members: Sequence[Node], is_seed: Callable[[Node], bool], random: Random
) -> list[Node]:
    """The active nodes in the order in which the list is requested from them.

    At first all clients of a fleet know the same few seeds, and each client knows a few other nodes. If 3 of 100
    members are seeds, a seed comes first with a probability of 3 %. So the list is read equally often from all nodes.
    """
    order = list(active)
    random.shuffle(order)
    seed_first = bool(members) and is_seed(random.choice(members))
    return sorted(order, key=lambda node: is_seed(node) is not seed_first)
