"""Asking the cluster for its nodes.

Theory of operation. `Discovery` knows which scopes a configuration names, and reads the node list of each: `read` takes
the reading before and the nodes by their state, and gives the next `Reading`. The way through the sources of one
reading is a `SourceWalk`, the meaning of an answer is in `localnodes`, the seeds are in `seeds`. Most readings find
nothing new. Such a reading is recognised by its bytes, and needs no walk (`repeated`).

Between readings it remembers: the source of the last reading, whose connection is open; when to look again at seeds
that are not members; which members were seen alive, so that nodes which never answered are not kept as a datacenter;
whether the server honours scopes, and whether the configured scopes are empty; and what was logged already. Only one
thread reads at a time, so it needs no lock: `Membership.refresh` calls `read` in the thread that has the turn (the
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
"""Readings in a row from one source. After them, another source is used."""
READINGS_PER_LOOK_OUTSIDE = 10
"""Seeds that are not members are asked, and names are resolved, only once in so many readings, because a dead seed
takes a long time."""
MOST_LOGGED = 1_000
"""The number of different bad entries that are logged. If there are more, further lines do not help."""


class DiscoveryError(Exception):
    """The node list could not be read from any source. `tried`: the addresses that were asked."""

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
        """Whether the source is a seed that was chosen only because no other node was active."""
        self._scopes_supported: bool | None = None
        self._scope_is_empty = False
        self._repeatable: Repeatable | None = None
        self._seeds_alone: tuple[Node, ...] = ()

    def seeds(self) -> tuple[Node, ...]:
        """The nodes that are used until a node has told which nodes the scopes have."""
        return () if self._scope_is_empty else self._seeds.nodes()

    def read(
        self, previous: Reading, *, active: Sequence[Node], quarantined: Sequence[Node] = (), down: Sequence[Node] = ()
    ) -> Reading:
        """Ask for all scopes. Raises `DiscoveryError` if no node answers, or every list is empty.

        A first reading may be empty: then the configured scopes do not exist. The result is `previous` itself if
        nothing has changed. If only the source has changed, the result has the members and groups of `previous`, as the
        same objects.
        """
        self._readings += 1
        if not self._config.discovery.enabled:
            return self._read_seeds(previous)
        # The first reading does not resolve the seeds, because they were resolved just before: see `seeds`.
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
            # As long as the seeds stay equal, the same objects are kept, so that the reading is recognised as
            # unchanged.
            if with_names(seeds) != with_names(self._seeds_alone):
                self._seeds_alone = seeds or self._seeds_alone
        if not self._seeds_alone:
            raise DiscoveryError("no seed can be resolved", tuple(self._config.seeds))
        members = {location_of(scope): self._seeds_alone for scope in self._scopes}
        reading = Reading(members, (frozenset(self._seeds_alone),), self._seeds_alone[0].address)
        return previous if reading.says_the_same_as(previous) else reading

    def _is_repeated(self, previous: Reading, states: States, questions: Questions) -> bool:
        """Whether the sources of the last reading tell the same bytes, and nothing else has to be checked."""
        last = self._repeatable
        if (
            last is None
            or (self._must_ask_more and not last.is_closed)
            or self._readings_from_source >= READINGS_PER_SOURCE
            or self._config.address_translator is not None  # because it may give another address each time
            or not last.begins_with(previous, states)
            or (self._is_makeshift and states != last.states)  # perhaps a better source is active now
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
                    # No node answered: the nodes that were known for this location are kept.
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
            # The source lists its own datacenter, but no node for the configured scopes. So it can be believed: these
            # scopes do not exist, and the seeds are outside of them.
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

        Any member of a datacenter may be asked. While no member answers, the datacenter keeps its last list.
        """
        if walk.exhausted:
            return previous.groups
        groups: list[frozenset[Node]] = []
        settled: set[Node] = set()
        known = [*previous.groups, *(frozenset(nodes) for nodes in members.values() if nodes)]
        # The largest group first: a rack is a part of its datacenter, and not another datacenter.
        for group in sorted(known, key=len, reverse=True):
            if group <= settled:
                continue
            live = [node for node in walk.live if node in group]
            fresh = group.difference(walk.live, walk.down)  # listed a moment ago, for another scope
            listed = walk.ask_some([*live, *ring_order(fresh)], ClusterScope())
            if listed is None:
                # One node that is down is enough, because these nodes are probed as well.
                listed = walk.ask_some([node for node in walk.down if node in group][:1], ClusterScope())
            if listed is None:
                # If no node of the group was ever seen alive, the list was wrong, and there is no such datacenter.
                listed = () if group.isdisjoint(self._seen_alive) else tuple(group - settled)
            settled |= group | set(listed)
            if listed:
                groups.append(frozenset(listed))
        if walk.source is None or self._look_again or self._readings % READINGS_PER_LOOK_OUTSIDE == 1:
            self._look_again = False
            for sources in walk.kinds():
                # These are mostly seeds, which may be in datacenters that are not known yet. The last kind are the
                # nodes that are down. They are asked only if no other node has answered.
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
                # This happens at the start, for a seed that has not answered its probe yet. The next reading asks it.
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
        """First the source of the last reading, because its connection is open; then the nodes that this reading has
        asked already; then the others in random order. The source is chosen anew after the first reading, because that
        has asked seeds, as the first readings of all clients do."""
        active = states.active
        only_seeds = all(map(self._seeds.includes, active))
        is_due = self._readings_from_source >= READINGS_PER_SOURCE or self._readings_that_told == 1
        if is_due or self._source not in active or (self._is_makeshift and not only_seeds):
            self._source, self._readings_from_source = None, 0
            self._is_makeshift = only_seeds
        order = sources_in_order(
            active, (*active, *states.quarantined, *states.down), self._seeds.includes, self._random
        )
        # Compared with `_source`, not replaced by it: what the list says about the node may have changed since.
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
        """Find out whether the server honours ``dc`` and ``rack``. Servers before 2025.1 ignore both, so they list
        nodes for a rack that cannot exist."""
        try:
            status, body = self._fetch(source, IMPOSSIBLE_RACK_PATH, self._config.discovery.timeout)
            listing = read_answer(body, source, ClusterScope(), self._filter, status=status)
        except Exception:
            return  # The answer is needed only for a warning. The next reading asks again.
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

    Key route affinity uses the nodes of the datacenter, unless `ClusterConfig.affinity_ring` is ``"scope"``. With
    ``"scope"`` too, these nodes can be asked for the list when the nodes of the rack cannot be asked.
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
        # This comes last, because the lists of the other scopes tell which datacenters there are.
        yield ClusterScope()


def _united(groups: Iterable[frozenset[Node]]) -> tuple[frozenset[Node], ...]:
    """Unite the groups that share a node: they are one datacenter, listed by members that know different parts of
    it."""
    united: list[frozenset[Node]] = []
    for group in groups:
        apart = [other for other in united if not other & group]
        united = [*apart, group.union(*(other for other in united if other & group))]
    return tuple(united)
