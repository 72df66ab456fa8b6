"""Asking the cluster for its nodes.

Theory of operation. `Discovery` knows which scopes a configuration names, and reads the node list of each: `read` takes
the reading before and the nodes by their state, and gives the next `Reading`. The way through the sources of one
reading is a `SourceWalk`, the meaning of an answer is in `localnodes`, the seeds are in `seeds`. Most readings find
nothing new. Such a reading is recognised by its bytes, and needs no walk (`repeated`).

Between readings it remembers: the source of the last reading, whose connection is open; when to look again at seeds
that are not members; which members were seen alive, so that nodes which never answered are not kept as a datacenter;
whether the server honours scopes, and whether those of the configuration are empty; and what was logged already. Only
one thread reads at a time, so it needs no lock: `Membership.refresh` calls `read` in the thread that has the turn (the
reader thread of the monitor, the thread of a request where there is no monitor, or a user's). No lock is held then,
because a reading waits for the network and the resolver, which are passed in. An answer is reported to `answered`, and
a source that fails to `failed`, both in that thread.
"""

from __future__ import annotations

import logging
import random as _random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial

from ..settings.config import ClusterConfig
from ..settings.scopes import ClusterScope, DatacenterScope, Scope, chain
from .calm import sources_in_order
from .health_book import States
from .localnodes import IMPOSSIBLE_RACK_PATH, NodeFilter, path_for, read_answer
from .network import Fetch, Resolve
from .node import Node, with_names
from .reading import Location, Reading, location_of
from .repeated import Answer, Questions, Repeatable
from .seeds import Seeds
from .source_walk import FAILURES_PER_KIND, NothingUsableError, SourceWalk
from .view import ring_order

__all__ = ["Discovery", "DiscoveryError"]

_log = logging.getLogger("pynamodb_alternator.cluster")

READINGS_PER_SOURCE = 60
"""Readings in a row from one source, before another one has its turn."""
READINGS_PER_LOOK_OUTSIDE = 10
"""Seeds that are not members are asked (and names resolved) only so often, because some are dead and take long."""
MOST_LOGGED = 1_000
"""Different bad entries that are logged. A node that lists more is not worth more lines."""


class DiscoveryError(Exception):
    """No source told the node list. `tried` are the addresses that were asked."""

    def __init__(self, reason: str, tried: Sequence[str]) -> None:
        super().__init__(reason)
        self.tried: tuple[str, ...] = tuple(tried)


class Discovery:
    """Reads the node lists of all scopes that a configuration names."""

    def __init__(
        self,
        config: ClusterConfig,
        *,
        fetch: Fetch,
        resolve: Resolve,
        random: _random.Random,
        answered: Callable[[Node], None],
        failed: Callable[[Node], None],
    ) -> None:
        self._config = config
        self._fetch = fetch
        self._seeds = Seeds(config, resolve)
        self._random = random
        self._answered = answered
        self._failed = failed
        self._filter = NodeFilter.of(config, self._seeds.names_of)
        self._scopes = tuple(_scopes_to_ask(config.routing_scope))
        self._logged: set[tuple[str, str]] = set()
        self._readings = 0
        self._seen_alive: frozenset[Node] = frozenset()
        self._look_again = False
        self._source: Node | None = None
        self._readings_from_source = 0
        self._readings_that_told = 0
        self._is_makeshift = False
        """Whether the source is a seed because no other node was active when it was chosen."""
        self._scopes_supported: bool | None = None
        self._scope_is_empty = False
        self._repeatable: Repeatable | None = None
        self._seeds_alone: tuple[Node, ...] = ()

    def seeds(self) -> tuple[Node, ...]:
        """The nodes to begin with, as long as no node has told which nodes the scopes have."""
        return () if self._scope_is_empty else self._seeds.nodes()

    def read(
        self, previous: Reading, *, active: Sequence[Node], quarantined: Sequence[Node] = (), down: Sequence[Node] = ()
    ) -> Reading:
        """Ask for all scopes. Raises `DiscoveryError` if no node answers, or every list is empty.

        A first reading may be empty: then the configured scopes do not exist. It is `previous` itself if its sources
        tell the same bytes as before, and has its members and groups if nothing else has changed.
        """
        self._readings += 1
        if not self._config.discovery.enabled:
            return self._read_seeds(previous)
        # Just before the first reading they were resolved: see `seeds`.
        self._seeds.new_reading(
            may_resolve=self._readings > 1, look_again=self._readings % READINGS_PER_LOOK_OUTSIDE == 0
        )
        states = States(tuple(active), tuple(quarantined), tuple(down))
        questions = Questions(self._ask)
        if self._is_repeated(previous, states, questions):
            return previous
        self._seen_alive = self._seen_alive.intersection((*quarantined, *down)).union(active)
        walk = SourceWalk(
            active=self._in_asking_order(states, questions.asked_early()),
            quarantined=self._shuffled(quarantined),
            down=self._shuffled(down),
            contact=partial(self._contact, questions),
            seeds=lambda: self._shuffled(self._seeds.nodes()),
            blame=self._failed,
        )
        reading = self._read_anew(walk, previous)
        if not reading.says_the_same_as(previous):
            self._repeatable = None
            return reading
        reading = previous._replace(source=reading.source) if reading.source != previous.source else previous
        if not self._must_ask_more:
            of = Repeatable.of(reading, states, questions.answers, self._seeds.addresses)
            self._repeatable = of if walk.smooth else None
        return reading

    def _read_seeds(self, previous: Reading) -> Reading:
        """Where discovery is switched off: the seeds are the nodes of each scope. Asks the resolver, and no node."""
        if self._readings % READINGS_PER_LOOK_OUTSIDE == 1 or not self._seeds_alone:
            seeds = ring_order(self._seeds.nodes())
            # The very nodes of before, as long as they are the same: then nothing has changed for anybody.
            if with_names(seeds) != with_names(self._seeds_alone):
                self._seeds_alone = seeds or self._seeds_alone
        if not self._seeds_alone:
            raise DiscoveryError("no seed can be resolved", tuple(self._config.seeds))
        members = {location_of(scope): self._seeds_alone for scope in self._scopes}
        reading = Reading(members, (frozenset(self._seeds_alone),), self._seeds_alone[0].address)
        return previous if reading.says_the_same_as(previous) else reading

    def _is_repeated(self, previous: Reading, states: States, questions: Questions) -> bool:
        """Whether the sources of the last reading tell the same bytes, and nothing else has to be looked at."""
        last = self._repeatable
        if (
            last is None
            or (self._must_ask_more and not last.is_closed)
            or self._readings_from_source >= READINGS_PER_SOURCE
            or self._config.address_translator is not None  # which may say something else each time
            or not last.begins_with(previous, states)
            or (self._is_makeshift and states != last.states)  # a better source has come, perhaps
            or not all(questions.tells_again(answer) for answer in last.answers)
        ):
            return False
        for answer in last.answers:
            self._answered(answer.node)
        self._remember_source(last.answers[0].node)
        return True

    @property
    def _must_ask_more(self) -> bool:
        """Whether this reading asks nodes that are not members, what names resolve to, or what the server honours."""
        return (
            self._look_again
            or self._readings % READINGS_PER_LOOK_OUTSIDE in (0, 1)
            or (self._scopes_supported is None and self._has_datacenters)
        )

    @property
    def _has_datacenters(self) -> bool:
        return any(scope.datacenter for scope in self._scopes)

    def _read_anew(self, walk: SourceWalk, previous: Reading) -> Reading:
        members: dict[Location, tuple[Node, ...]] = {}
        groups: tuple[frozenset[Node], ...] = ()
        for scope in self._scopes:
            if isinstance(scope, ClusterScope):
                groups = self._read_every_datacenter(walk, previous, members)
                members[location_of(scope)] = tuple(dict.fromkeys(node for group in groups for node in group))
            else:
                listed = walk.ask(scope)
                if listed is None:
                    # Nobody answered: what was known of this location is the best there is.
                    listed = previous.members.get(location_of(scope), ())
                members[location_of(scope)] = listed
        if walk.source is None:
            raise DiscoveryError(f"no node answered: {walk.error}", walk.tried)
        self._remember_source(walk.source)
        self._readings_that_told += 1
        if not any(members.values()):
            nothing = f"{walk.source.address} lists no node for {self._config.routing_scope}"
            if any(previous.members.values()) or not walk.ask_some([walk.source], ClusterScope()):
                raise DiscoveryError(nothing, walk.tried)
            # A source that lists its own datacenter, and no node for the configured scopes, is to be believed: these
            # do not exist, and the seeds are outside of them.
            if not self._scope_is_empty:
                _log.warning(
                    "Cluster %r: %s. Is the name right? Requests fail until it has a node.", self._config.name, nothing
                )
        self._scope_is_empty = not any(members.values())
        if self._scopes_supported is None and self._has_datacenters:
            self._check_support(walk.source)
        return Reading(members, groups, walk.source.address)

    def _read_every_datacenter(
        self, walk: SourceWalk, previous: Reading, members: Mapping[Location, tuple[Node, ...]]
    ) -> tuple[frozenset[Node], ...]:
        """One set of nodes per datacenter: a node without ``dc`` in the question lists its own datacenter.

        A datacenter is asked through any of its members, and keeps its last list while none of them tells one.
        """
        if walk.exhausted:
            return previous.groups
        groups: list[frozenset[Node]] = []
        settled: set[Node] = set()
        known = [*previous.groups, *(frozenset(nodes) for nodes in members.values() if nodes)]
        # The widest first: a rack is a part of its datacenter and not another one.
        for group in sorted(known, key=len, reverse=True):
            if group <= settled:
                continue
            live = [node for node in walk.live if node in group]
            fresh = group.difference(walk.live, walk.down)  # listed a moment ago, for another scope
            listed = walk.ask_some([*live, *ring_order(fresh)], ClusterScope())
            if listed is None:
                # One of those that are down is enough: they are being probed as well.
                listed = walk.ask_some([node for node in walk.down if node in group][:1], ClusterScope())
            if listed is None:
                # Nodes of which none was ever seen alive are not a datacenter that cannot be reached, but a lie.
                listed = () if group.isdisjoint(self._seen_alive) else tuple(group - settled)
            settled |= group | set(listed)
            if listed:
                groups.append(frozenset(listed))
        if walk.source is None or self._look_again or self._readings % READINGS_PER_LOOK_OUTSIDE == 1:
            self._look_again = False
            for sources in walk.kinds():
                # Seeds, mostly: they may be of datacenters that we do not know yet. The last kind are those that are
                # down, which are asked only if nobody else tells anything.
                if sources is walk.down and walk.source is not None:
                    break
                self._ask_outsiders(walk, sources, settled, groups)
        return _united(groups)

    def _ask_outsiders(
        self, walk: SourceWalk, sources: Sequence[Node], settled: set[Node], groups: list[frozenset[Node]]
    ) -> None:
        failures = 0
        for source in sources:
            if source in settled or source in walk.failed:
                continue
            if source in walk.quarantined and walk.source is not None:
                # At the start, a seed that has not answered its probe yet. The next reading has time for it.
                self._look_again = True
                continue
            listed = walk.ask_some([source], ClusterScope())
            if listed is not None:
                settled |= set(listed) | {source}
                groups.append(frozenset(listed))
                continue
            failures += 1
            if failures >= FAILURES_PER_KIND:
                return

    def _in_asking_order(self, states: States, asked: Collection[Node]) -> list[Node]:
        """The source of the last reading first (its connection is open), then those that were asked in this one, and
        the others in random order. What the first reading has asked were seeds, as all clients do."""
        active = states.active
        only_seeds = all(map(self._seeds.includes, active))
        is_due = self._readings_from_source >= READINGS_PER_SOURCE or self._readings_that_told == 1
        if is_due or self._source not in active or (self._is_makeshift and not only_seeds):
            self._source, self._readings_from_source = None, 0
            self._is_makeshift = only_seeds
        order = sources_in_order(
            active, (*active, *states.quarantined, *states.down), self._seeds.includes, self._random
        )
        # Not `_source` itself, which is equal: what the list says of the node may have changed since.
        return sorted(order, key=lambda node: (node != self._source, node not in asked))

    def _shuffled(self, nodes: Iterable[Node]) -> list[Node]:
        shuffled = list(nodes)
        self._random.shuffle(shuffled)
        return shuffled

    def _remember_source(self, source: Node) -> None:
        if source == self._source:
            self._readings_from_source += 1
        else:
            self._source, self._readings_from_source = source, 1

    def _check_support(self, source: Node) -> None:
        """Servers before 2025.1 ignore ``dc`` and ``rack``: they list nodes of a rack that cannot exist."""
        try:
            status, body = self._fetch(source, IMPOSSIBLE_RACK_PATH, self._config.discovery.timeout)
            listing = read_answer(body, source, ClusterScope(), self._filter, status=status)
        except Exception:
            return  # The question was a courtesy, and is asked again with the next reading.
        self._scopes_supported = listing.is_empty
        if not self._scopes_supported:
            _log.warning(
                "Cluster %r: the server ignores datacenter and rack (it is older than ScyllaDB 2025.1), so %s is the "
                "datacenter of whichever node is asked. Upgrade the server, or use ClusterScope().",
                self._config.name,
                self._config.routing_scope,
            )

    def stranger_that_told(self, reading: Reading) -> str | None:
        """The address of the node that told the list, if it is not in the list, and no node in it was ever seen alive.

        Then the listed addresses are probably not those under which the nodes can be reached from here.
        """
        source = reading.source
        if not source or source in {node.address for node in reading.nodes}:
            return None
        return source if self._seen_alive.isdisjoint(reading.nodes) else None

    def is_seed(self, node: Node) -> bool:
        """See `Seeds.includes`."""
        return self._seeds.includes(node)

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The scopes whose nodes are asked for, without their fallbacks."""
        return self._scopes

    @property
    def scopes_supported(self) -> bool | None:
        """Whether the server honours datacenter and rack; None until it was asked."""
        return self._scopes_supported

    def _ask(self, node: Node, scope: Scope) -> Answer:
        return Answer(node, scope, *self._fetch(node, path_for(scope), self._config.discovery.timeout))

    def _contact(self, questions: Questions, node: Node, scope: Scope, *, credit: bool) -> tuple[Node, ...]:
        """See `Contact`."""
        answer = questions.answer(node, scope)
        if answer.status == 200:
            self._seen_alive |= {node}
        listing = read_answer(answer.body, node, scope, self._filter, status=answer.status)
        for entry, reason in listing.refused:
            self._log_once(entry, reason)
        if credit:
            self._answered(node)
        if listing.refused and not listing.nodes:
            entry, reason = listing.refused[0]
            raise NothingUsableError(f"{node} lists nothing usable: {entry} is {reason}")
        return listing.nodes

    def _log_once(self, entry: str, reason: str) -> None:
        if (entry, reason) in self._logged or len(self._logged) >= MOST_LOGGED:
            return
        self._logged.add((entry, reason))
        _log.warning("Cluster %r: an entry of /localnodes was dropped: %s (%s).", self._config.name, entry, reason)
        if len(self._logged) == MOST_LOGGED:
            _log.warning("Cluster %r: no more bad entries of /localnodes are logged.", self._config.name)


def _scopes_to_ask(preferred: Scope) -> Iterator[Scope]:
    """Every scope of the chain without its fallback, and the datacenter of each rack.

    Affinity uses the datacenter, unless `ClusterConfig.affinity_ring` is ``"scope"``; and then as well its nodes can
    be asked for the list when those of the rack cannot.
    """
    seen: set[Location] = set()
    cluster = False
    for scope in chain(preferred):
        if isinstance(scope, ClusterScope):
            cluster = True
            continue
        asked: list[Scope] = [scope]
        if scope.rack is not None and scope.datacenter is not None:
            asked.append(DatacenterScope(scope.datacenter))
        for part in asked:
            if location_of(part) not in seen:
                seen.add(location_of(part))
                yield part
    if cluster:
        # Last, because what the others list tells which datacenters there are.
        yield ClusterScope()


def _united(groups: Iterable[frozenset[Node]]) -> tuple[frozenset[Node], ...]:
    """Groups that share a node are one datacenter, seen by members of which one knows more than another."""
    united: list[frozenset[Node]] = []
    for group in groups:
        apart = [other for other in united if not other & group]
        united = [*apart, group.union(*(other for other in united if other & group))]
    return tuple(united)
