"""Asking the cluster for its nodes.

Which nodes are asked: those that are usable now, then the seeds, then the nodes that are down (they may know better
than nobody, and get no credit for it). The network and the resolver are passed in.
"""

from __future__ import annotations

import logging
import random as _random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import ClusterClosedError
from ..settings import addresses
from ..settings.config import ClusterConfig
from ..settings.scopes import ClusterScope, DatacenterScope, Scope, chain
from .localnodes import NodeFilter, path_for, read_answer
from .node import Node
from .view import ring_order

__all__ = ["Discovery", "DiscoveryError", "Fetch", "Location", "Reading", "Resolve", "location_of"]

_log = logging.getLogger("pynamodb_alternator.cluster")

Fetch = Callable[[Node, str, float], tuple[int, bytes]]
"""``fetch(node, path, timeout)`` makes a GET request and gives status and body, or raises an exception."""
Resolve = Callable[[str], Sequence[str]]
"""``resolve(name)`` gives the addresses of a host name, or raises OSError."""
Location = tuple[str | None, str | None]
"""A datacenter and a rack, None where the scope has none: what a scope is without its fallback."""

_IMPOSSIBLE_RACK = "pynamodb_alternator/no-such-rack"
_FAILURES_PER_LIST = 3
"""Sources of one kind that may fail before the next kind is asked: the next reading starts with others."""
_READINGS_PER_SOURCE = 60
"""Readings in a row from one source, before another one has its turn."""
_READINGS_PER_LOOK_OUTSIDE = 10
"""Seeds that are no members are asked (and names resolved) only so often, because some are dead and take long."""
_MOST_TOLD = 1_000
"""Different bad entries that are logged. Who lists more is not worth more lines."""


class DiscoveryError(Exception):
    """No source told the node list. `tried` are the addresses that were asked."""

    def __init__(self, reason: str, tried: Sequence[str]) -> None:
        super().__init__(reason)
        self.tried = tuple(tried)


class _NothingUsable(ValueError):
    """All entries of an answer were refused, which is not the same as an empty list."""


def location_of(scope: Scope) -> Location:
    return (scope.datacenter, scope.rack)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one round of questions found.

    `members`: the nodes of each place that was asked for. `groups`: one set of nodes for each datacenter, as far as
    a `ClusterScope` made us ask for all of them. `source`: the address that answered first.
    """

    members: Mapping[Location, tuple[Node, ...]] = field(default_factory=dict)
    groups: tuple[frozenset[Node], ...] = ()
    source: str = ""


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
        failed: Callable[[Node, Exception], None],
    ) -> None:
        self._config = config
        self._fetch = fetch
        self._resolve = resolve
        self._random = random
        self._answered = answered
        self._failed = failed
        self._filter = NodeFilter(
            allowed_networks=[n for n in config.allowed_networks if not isinstance(n, str)],
            translate=config.address_translator,
            port=config.node_port,
        )
        self._scopes = tuple(_places_to_ask(config.routing_scope))
        self._told: set[tuple[str, str]] = set()
        self._unresolved: set[str] = set()
        self._readings = 0
        self._seen_alive: frozenset[Node] = frozenset()
        self._look_again = False
        self._source: Node | None = None
        self._readings_from_source = 0
        self._scopes_supported: bool | None = None
        self._scope_is_empty = False

    def seeds(self) -> tuple[Node, ...]:
        """The nodes to begin with, as long as nobody has told which nodes the scopes have."""
        return () if self._scope_is_empty else self.resolved_seeds()

    def resolved_seeds(self) -> tuple[Node, ...]:
        """A node for every address of every seed. A name that cannot be resolved gives none, and a log line."""
        found: dict[Node, None] = {}
        for host, port in self._config.seed_addresses:
            for address, name in self._addresses(host):
                found[Node(self._config.scheme, address, port, server_name=name)] = None
        return tuple(found)

    def _addresses(self, host: str) -> Iterator[tuple[str, str | None]]:
        if addresses.is_ip_address(host):
            yield host, None
            return
        try:
            resolved = self._resolve(host)
        except (OSError, UnicodeError) as error:
            if host not in self._unresolved:
                self._unresolved.add(host)
                _log.warning("Cluster %r: the seed %s cannot be resolved: %s", self._config.name, host, error)
            return
        self._unresolved.discard(host)
        for address in resolved:
            # The certificate of a node that was found by name is checked against that name.
            yield address, host

    def read(
        self, previous: Reading, *, active: Sequence[Node], quarantined: Sequence[Node] = (), down: Sequence[Node] = ()
    ) -> Reading:
        """Ask for all scopes. Raises `DiscoveryError` if nobody answers, or every list is empty.

        A first reading may be empty: then the scopes that are wanted do not exist.
        """
        self._seen_alive = self._seen_alive.intersection((*quarantined, *down)).union(active)
        walk = SourceWalk(self, self._in_asking_order(active), self._shuffled(quarantined), self._shuffled(down))
        self._readings += 1
        members: dict[Location, tuple[Node, ...]] = {}
        groups: tuple[frozenset[Node], ...] = ()
        for scope in self._scopes:
            if isinstance(scope, ClusterScope):
                groups = self._read_every_datacenter(walk, previous, members)
                members[location_of(scope)] = tuple(dict.fromkeys(node for group in groups for node in group))
            else:
                listed = walk.ask(scope)
                if listed is None:
                    # Nobody answered: what was known of this place is the best there is.
                    listed = previous.members.get(location_of(scope), ())
                members[location_of(scope)] = listed
        if walk.source is None:
            raise DiscoveryError(f"no node answered: {walk.error}", walk.tried)
        self._remember_source(walk.source)
        if not any(members.values()):
            nothing = f"{walk.source.address} lists no node for {self._config.routing_scope}"
            if any(previous.members.values()) or not walk.ask_some([walk.source], ClusterScope()):
                raise DiscoveryError(nothing, walk.tried)
            # Whoever lists its own datacenter, and none for the scopes that are wanted, is to be believed: these do
            # not exist, and the seeds are outside of them.
            if not self._scope_is_empty:
                _log.warning(
                    "Cluster %r: %s. Is the name right? Requests fail until it has a node.", self._config.name, nothing
                )
        self._scope_is_empty = not any(members.values())
        if self._scopes_supported is None and any(scope.datacenter for scope in self._scopes):
            self._check_support(walk.source)
        return Reading(members, groups, walk.source.address)

    def _read_every_datacenter(
        self, walk: SourceWalk, previous: Reading, members: Mapping[Location, tuple[Node, ...]]
    ) -> tuple[frozenset[Node], ...]:
        """One set of nodes per datacenter: a node without ``dc`` in the question lists its own datacenter.

        A datacenter is asked through any of its members, and keeps its last list while none of them tells one.
        """
        if walk.nobody:
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
                # Nodes of which none was ever seen alive are no datacenter that cannot be reached, but a lie.
                listed = () if group.isdisjoint(self._seen_alive) else tuple(group - settled)
            settled |= group | set(listed)
            if listed:
                groups.append(frozenset(listed))
        if walk.source is None or self._look_again or self._readings % _READINGS_PER_LOOK_OUTSIDE == 1:
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
            if failures >= _FAILURES_PER_LIST:
                return

    def _in_asking_order(self, active: Sequence[Node]) -> list[Node]:
        """The source of the last reading first (its connection is open), the others in random order."""
        if self._readings_from_source >= _READINGS_PER_SOURCE or self._source not in active:
            self._source, self._readings_from_source = None, 0
        others = self._shuffled(node for node in active if node != self._source)
        return others if self._source is None else [self._source, *others]

    def _shuffled(self, nodes: Iterable[Node]) -> list[Node]:
        shuffled = list(nodes)
        self.shuffle(shuffled)
        return shuffled

    def shuffle(self, nodes: list[Node]) -> None:
        self._random.shuffle(nodes)

    def _remember_source(self, source: Node) -> None:
        if source == self._source:
            self._readings_from_source += 1
        else:
            self._source, self._readings_from_source = source, 1

    def _check_support(self, source: Node) -> None:
        """Servers before 2025.1 ignore ``dc`` and ``rack``: they list nodes of a rack that cannot exist."""
        try:
            status, body = self._fetch(source, f"/localnodes?rack={_IMPOSSIBLE_RACK}", self._config.discovery.timeout)
            if status != 200:
                return
            listed, refused = read_answer(body, source, ClusterScope(), self._filter)
        except Exception:
            return  # The question was a courtesy, and is asked again with the next reading.
        self._scopes_supported = not (listed or refused)
        if not self._scopes_supported:
            _log.warning(
                "Cluster %r: the server ignores datacenter and rack (it is older than ScyllaDB 2025.1), so %s is the "
                "datacenter of whichever node is asked. Upgrade the server, or use ClusterScope().",
                self._config.name,
                self._config.routing_scope,
            )

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The scopes whose nodes are asked for, without their fallbacks."""
        return self._scopes

    @property
    def scopes_supported(self) -> bool | None:
        """Whether the server honours datacenter and rack; None until it was asked."""
        return self._scopes_supported

    def contact(self, node: Node, scope: Scope, *, credit: bool) -> tuple[Node, ...]:
        """The nodes that `node` lists for `scope`. Raises whatever the network raises, and ValueError."""
        status, body = self._fetch(node, path_for(scope), self._config.discovery.timeout)
        if status != 200:
            raise ValueError(f"/localnodes was answered with status {status}")
        self._seen_alive |= {node}
        listed, refused = read_answer(body, node, scope, self._filter)
        for entry, reason in refused:
            self._tell_once(entry, reason)
        if credit:
            self._answered(node)
        if refused and not listed:
            raise _NothingUsable(f"{node} lists nothing usable: {refused[0][0]} is {refused[0][1]}")
        return listed

    def report_failure(self, node: Node, error: Exception) -> None:
        self._failed(node, error)

    def _tell_once(self, entry: str, reason: str) -> None:
        if (entry, reason) in self._told or len(self._told) >= _MOST_TOLD:
            return
        self._told.add((entry, reason))
        _log.warning("Cluster %r: an entry of /localnodes was dropped: %s (%s).", self._config.name, entry, reason)
        if len(self._told) == _MOST_TOLD:
            _log.warning("Cluster %r: no more bad entries of /localnodes are logged.", self._config.name)


class SourceWalk:
    """One reading under way: its sources, whom it asked, and what went wrong."""

    def __init__(self, discovery: Discovery, active: list[Node], quarantined: list[Node], down: list[Node]) -> None:
        self._discovery = discovery
        self.live = [*active, *quarantined]
        self.quarantined = frozenset(quarantined)
        self.down = down
        self.tried: list[str] = []
        self.failed: set[Node] = set()
        self.source: Node | None = None
        self.error: Exception | str = "there is no seed that can be resolved"
        self._seeds: list[Node] | None = None
        self.nobody = False
        """Whether every source that we were willing to ask has failed."""

    def kinds(self) -> Iterator[list[Node]]:
        """The sources in the order in which they are asked. The seeds are resolved when their turn comes."""
        yield self.live
        if self._seeds is None:
            members = {*self.live, *self.down}
            self._seeds = [seed for seed in self._discovery.resolved_seeds() if seed not in members]
            self._discovery.shuffle(self._seeds)
        yield self._seeds
        yield self.down

    def ask(self, scope: Scope) -> tuple[Node, ...] | None:
        """The nodes of `scope` as the first source that answers lists them, or None if none does."""
        if not self.nobody:
            for sources in self.kinds():
                listed = self.ask_some(sources, scope)
                if listed is not None:
                    return listed
            self.nobody = True
        return None

    def ask_some(self, sources: Sequence[Node], scope: Scope) -> tuple[Node, ...] | None:
        """The same, from these sources only, and giving up after a few failures."""
        failures = 0
        for node in sources:
            if node in self.failed:
                continue
            if failures >= _FAILURES_PER_LIST:
                return None
            if node.address not in self.tried:
                self.tried.append(node.address)
            try:
                listed = self._discovery.contact(node, scope, credit=node not in self.down)
            except _NothingUsable as error:
                # It may well tell other scopes.
                self.error = error
                failures += 1
                continue
            except ClusterClosedError:
                raise
            except Exception as error:
                self.error = error
                self.failed.add(node)
                failures += 1
                if node not in self.down:
                    self._discovery.report_failure(node, error)
                continue
            if not listed and isinstance(scope, ClusterScope):
                # A node that lists nobody, not even itself, is about to join or to leave.
                self.error = f"{node} lists no node"
                failures += 1
                continue
            self.source = self.source or node
            return listed
        return None


def _places_to_ask(preferred: Scope) -> Iterator[Scope]:
    """Every scope of the chain without its fallback, and the datacenter of each rack, because affinity uses it."""
    seen: set[Location] = set()
    cluster = False
    for scope in chain(preferred):
        wanted: list[Scope] = [scope]
        if scope.rack is not None and scope.datacenter is not None:
            wanted.append(DatacenterScope(scope.datacenter))
        for one in wanted:
            if isinstance(one, ClusterScope):
                cluster = True
            elif location_of(one) not in seen:
                seen.add(location_of(one))
                yield one
    if cluster:
        # Last, because what the others list tells which datacenters there are.
        yield ClusterScope()


def _united(groups: Iterable[frozenset[Node]]) -> tuple[frozenset[Node], ...]:
    """Groups that share a node are one datacenter, seen by members with different news."""
    united: list[frozenset[Node]] = []
    for group in groups:
        apart = [one for one in united if not one & group]
        united = [*apart, group.union(*(one for one in united if one & group))]
    return tuple(united)
