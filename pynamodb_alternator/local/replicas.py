"""The placement of replicas, by tablets and by vnodes: which nodes hold which tokens.

A `Ring` is immutable: it says for each range of tokens which nodes have a replica. `tablet_ring` and `vnode_ring` make
a ring from the nodes of the topology, always the same ring from the same nodes. As in ScyllaDB, each datacenter has its
own replicas, in as many different racks as possible.
"""

from __future__ import annotations

import hashlib
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from .members import Member

BEFORE_ALL = -(1 << 63)
"""The start of the first tablet. It is not a token of any key."""

Replicas = tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Ring:
    """All tokens, divided into ranges. Range i has the tokens after the end of the previous range, up to `ends[i]`.

    `wraps`: with vnodes the first range also has the tokens after the last end; with tablets it starts at the first
    token, and the last range ends at the last token.
    """

    ends: tuple[int, ...]
    """Ascending."""
    replicas: tuple[Replicas, ...]
    """For each range, the nodes that hold it."""
    wraps: bool = False

    def range_of(self, token: int) -> int:
        """The number of the range that has this token. Raises LookupError if the ring has no node."""
        if not self.ends:
            raise LookupError("No node has joined, so there are no replicas")
        return bisect_left(self.ends, token) % len(self.ends)

    def replicas_of(self, token: int) -> Replicas:
        return self.replicas[self.range_of(token)] if self.ends else ()

    def starts(self) -> tuple[int, ...]:
        """For each range: the token after which it begins."""
        first = self.ends[-1:] if self.wraps else (BEFORE_ALL,)
        return (*first, *self.ends[:-1]) if self.ends else ()

    def moved(self, number: int, source: Member, target: Member) -> Ring:
        """The ring after the replica of range `number` has moved from `source` to `target`, which had no replica of
        it."""
        moved = tuple(target if member is source else member for member in self.replicas[number])
        return replace(self, replicas=(*self.replicas[:number], moved, *self.replicas[number + 1 :]))


# ---- tablets -----------------------------------------------------------------------------------------------------


def tablet_ring(
    count: int, members: Sequence[Member], replication_factor: int, *, seed: str, before: Ring | None = None
) -> Ring:
    """A ring of `count` tablets of equal size. `count` is a power of two.

    `replication_factor`: replicas in each datacenter, but not more than it has nodes. `seed`: decides between nodes
    that are equally good, so that each table has another placement. `before`: the previous ring. Its replicas stay on
    their nodes, except if a node is gone, if a tablet can get into more racks, or if nodes have unequal numbers of
    replicas.
    """
    chance = random.Random(seed)
    replicas: list[list[Member]] = [[] for _ in range(count)]
    for group in _by_datacenter(members):
        tablets = _kept(before, count, group)
        _fill(tablets, group, min(replication_factor, len(group)), chance)
        _even_out(tablets, group)
        for all_replicas, own in zip(replicas, tablets, strict=True):
            all_replicas.extend(own)
    return Ring(_tablet_ends(count), tuple(map(tuple, replicas)))


def _tablet_ends(count: int) -> tuple[int, ...]:
    bits = 64 - (count.bit_length() - 1)
    return tuple(((number + 1) << bits) - 1 + BEFORE_ALL for number in range(count))


def _kept(before: Ring | None, count: int, group: Sequence[Member]) -> list[list[Member]]:
    """For each tablet: its previous replicas that are on one of these nodes."""
    if before is None:
        return [[] for _ in range(count)]
    present = set(group)
    return [[member for member in replicas if member in present] for replicas in before.replicas]


def _fill(tablets: list[list[Member]], group: Sequence[Member], factor: int, chance: random.Random) -> None:
    """Give each tablet `factor` replicas: first in racks that have none, and there on the nodes with the fewest
    replicas."""
    load = Counter(member for replicas in tablets for member in replicas)
    racks = {member.rack for member in group}
    for replicas in tablets:
        for member in _crowded(replicas, factor, len(racks)):
            replicas.remove(member)
            load[member] -= 1
        if len(replicas) == factor:
            continue
        order = list(group)
        chance.shuffle(order)
        while len(replicas) < factor:
            used = Counter(member.rack for member in replicas)
            free = (member for member in order if member not in replicas)
            best = min(free, key=lambda member: (used[member.rack], load[member]))
            replicas.append(best)
            load[best] += 1


def _crowded(replicas: Sequence[Member], factor: int, racks: int) -> list[Member]:
    """The replicas that must leave their rack, so that the tablet can be in as many racks as possible."""
    used = Counter(member.rack for member in replicas)
    surplus = min(factor, racks) - len(used) - (factor - len(replicas))
    leaving: list[Member] = []
    for member in reversed(replicas):
        if len(leaving) < surplus and used[member.rack] > 1:
            used[member.rack] -= 1
            leaving.append(member)
    return leaving


def _even_out(tablets: list[list[Member]], group: Sequence[Member]) -> None:
    """Move replicas from full nodes to empty ones, if no tablet is in fewer racks afterwards.

    This ends, because each move makes the sum of the squares of the nodes' loads smaller.
    """
    load = Counter(dict.fromkeys(group, 0))
    load.update(member for replicas in tablets for member in replicas)
    racks: dict[str, list[Member]] = {}
    for member in group:
        racks.setdefault(member.rack, []).append(member)
    while (move := _next_move(tablets, list(racks.values()), load)) is not None:
        replicas, full, empty = move
        replicas[replicas.index(full)] = empty
        load[full] -= 1
        load[empty] += 1


def _next_move(
    tablets: list[list[Member]], racks: Sequence[Sequence[Member]], load: Counter[Member]
) -> tuple[list[Member], Member, Member] | None:
    for full, empty in _pairs(racks, load):
        for replicas in tablets:
            if full not in replicas or empty in replicas:
                continue
            used = Counter(member.rack for member in replicas)
            if full.rack == empty.rack or used[empty.rack] < used[full.rack]:
                return replicas, full, empty
    return None


def _pairs(racks: Sequence[Sequence[Member]], load: Counter[Member]) -> Iterator[tuple[Member, Member]]:
    """Pairs of the fullest node of a rack and the emptiest node of a rack, between which a move makes the loads more
    equal."""
    for source in racks:
        full = max(source, key=lambda member: load[member])
        for target in racks:
            empty = min(target, key=lambda member: load[member])
            if load[full] - load[empty] >= 2:
                yield full, empty


# ---- vnodes ------------------------------------------------------------------------------------------------------


def vnode_ring(members: Sequence[Member], per_node: int, replication_factor: int) -> Ring:
    """The ring of a keyspace without tablets: each node has `per_node` tokens, which are computed from its address.

    The replicas follow the rules of ScyllaDB's NetworkTopologyStrategy: along the ring, from the range's own node on,
    first one in each rack, then others. Each datacenter has `replication_factor` replicas, but not more than it has
    nodes.
    """
    owners = {token: member for member in members for token in _vnode_tokens(member.host, per_node)}
    ends = tuple(sorted(owners))
    walk = [owners[token] for token in ends]
    groups = _by_datacenter(members)
    replicas = tuple(
        tuple(
            member
            for group in groups
            for member in _along([*walk[number:], *walk[:number]], group, min(replication_factor, len(group)))
        )
        for number in range(len(ends))
    )
    return Ring(ends, replicas, wraps=True)


def _vnode_tokens(host: str, per_node: int) -> Iterator[int]:
    for number in range(per_node):
        digest = hashlib.blake2b(f"{host}/{number}".encode(), digest_size=8).digest()
        yield max(int.from_bytes(digest, "big", signed=True), BEFORE_ALL + 1)


def _along(walk: Iterable[Member], group: Sequence[Member], factor: int) -> list[Member]:
    """The replicas in one datacenter, whose nodes are `group`."""
    racks = {member.rack for member in group}
    seen: set[str] = set()
    chosen: list[Member] = []
    passed: list[Member] = []
    """Nodes whose rack already has a replica: they can be chosen when every rack has one."""
    for member in walk:
        if len(chosen) == factor:
            break
        if member.datacenter != group[0].datacenter or member in chosen or member in passed:
            continue
        if member.rack in seen and seen != racks:
            passed.append(member)
            continue
        seen.add(member.rack)
        chosen.append(member)
        if seen == racks:
            chosen.extend(passed[: factor - len(chosen)])
            passed.clear()
    return chosen


def _by_datacenter(members: Sequence[Member]) -> list[list[Member]]:
    groups: dict[str, list[Member]] = {}
    for member in members:
        groups.setdefault(member.datacenter, []).append(member)
    return list(groups.values())
