"""Asking the cluster for its nodes.

Which nodes are asked: those that are usable now, then the seeds, then the nodes that are down (they may know better
than nobody, and get no credit for it). The network and the resolver are passed in.
"""

from __future__ import annotations

import logging
import random as _random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .. import _checks as checks
from ..config import ClusterConfig
from ..scopes import ClusterScope, DatacenterScope, Scope, chain
from .localnodes import NodeFilter, path_for, read_answer
from .node import Node

__all__ = ["Discovery", "DiscoveryError", "Fetch", "Place", "Reading", "Resolve", "place"]

_log = logging.getLogger("pynamodb_alternator.cluster")

Fetch = Callable[[Node, str, float], tuple[int, bytes]]
"""``fetch(node, path, timeout)`` makes a GET request and gives status and body, or raises an exception."""
Resolve = Callable[[str], Sequence[str]]
"""``resolve(name)`` gives the addresses of a host name, or raises OSError."""
Place = tuple[str | None, str | None]
"""A datacenter and a rack, None where the scope has none: what a scope is without its fallback."""

_IMPOSSIBLE_RACK = "pynamodb_alternator/no-such-rack"
_FAILURES_PER_LIST = 3
"""Sources that may fail before one reading of one list gives up: the next reading starts with others."""
_READINGS_PER_SOURCE = 60


class DiscoveryError(Exception):
    """No source told the node list. `tried` are the addresses that were asked."""

    def __init__(self, reason: str, tried: Sequence[str]) -> None:
        super().__init__(reason)
        self.tried = tuple(tried)


def place(scope: Scope) -> Place:
    return (scope.datacenter, scope.rack)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one round of questions found.

    `members`: the nodes of each place that was asked for. `groups`: one set of nodes for each datacenter, as far as
    a `ClusterScope` made us ask for all of them. `source`: the address that answered first.
    """

    members: Mapping[Place, tuple[Node, ...]] = field(default_factory=dict)
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
        )
        self._scopes = tuple(_places_to_ask(config.routing_scope))
        self._told: set[tuple[str, str]] = set()
        self._source: Node | None = None
        self._readings_from_source = 0
        self._scopes_supported: bool | None = None

    def seeds(self) -> tuple[Node, ...]:
        """A node for every address of every seed. A name that cannot be resolved gives none, and a log line."""
        found: dict[Node, None] = {}
        for seed in self._config.seeds:
            host, port = checks.split_port(seed, "seed")
            host = host.removeprefix("[").removesuffix("]")
            for address, name in self._addresses(host):
                found[Node(self._config.scheme, address, port or self._config.port, server_name=name)] = None
        return tuple(found)

    def _addresses(self, host: str) -> Iterator[tuple[str, str | None]]:
        if checks.is_ip_address(host):
            yield host, None
            return
        try:
            addresses = self._resolve(host)
        except OSError as error:
            self._tell_once("seed", host, f"The seed {host} cannot be resolved: {error}.")
            return
        self._told.discard(("seed", host))
        for address in addresses:
            # The certificate of a node that was found by name is checked against that name.
            yield address, host

    def read(self, previous: Reading, *, usable: Sequence[Node], down: Sequence[Node]) -> Reading:
        """Ask for all scopes. Raises `DiscoveryError` if nobody answers, or every list is empty."""
        live = self._in_asking_order(usable)
        attempt = _Attempt(self, [*live, *self._seeds_beside(live), *down], set(down))
        members: dict[Place, tuple[Node, ...]] = {}
        groups: tuple[frozenset[Node], ...] = ()
        for scope in self._scopes:
            if isinstance(scope, ClusterScope):
                groups = self._read_every_datacenter(attempt, previous, members)
                members[place(scope)] = tuple(dict.fromkeys(node for group in groups for node in group))
            else:
                listed = attempt.ask(scope)
                if listed is None:
                    # Nobody answered: what was known of this place is the best there is.
                    listed = previous.members.get(place(scope), ())
                members[place(scope)] = listed
        if attempt.source is None:
            raise DiscoveryError(f"no node answered: {attempt.error}", attempt.tried)
        self._remember_source(attempt.source)
        if not any(members.values()):
            raise DiscoveryError(
                f"{attempt.source.address} lists no node for {self._config.routing_scope}", attempt.tried
            )
        if self._scopes_supported is None and any(scope.datacenter for scope in self._scopes):
            self._check_support(attempt.source)
        return Reading(members, groups, attempt.source.address)

    def _read_every_datacenter(
        self, attempt: _Attempt, previous: Reading, members: Mapping[Place, tuple[Node, ...]]
    ) -> tuple[frozenset[Node], ...]:
        """One set of nodes per datacenter: a node without ``dc`` in the question lists its own datacenter.

        A datacenter is asked through any of its members, and keeps its last list while none of them answers.
        """
        groups: list[frozenset[Node]] = []
        settled: set[Node] = set()
        known = [*previous.groups, *(frozenset(nodes) for nodes in members.values() if nodes)]
        for group in known:
            if group <= settled:
                continue
            asked = [node for node in attempt.sources if node in group]
            listed = attempt.ask(ClusterScope(), asked)
            if listed is None:
                listed = tuple(group - settled)
            settled |= group | set(listed)
            if listed:
                groups.append(frozenset(listed))
        for source in attempt.sources:
            # Seeds, mostly. Those that are down are asked only if nothing else is known.
            if source in settled or (groups and source in attempt.down):
                continue
            listed = attempt.ask(ClusterScope(), [source])
            if listed:
                settled |= set(listed) | {source}
                groups.append(frozenset(listed))
        return _united(groups)

    def _in_asking_order(self, usable: Sequence[Node]) -> list[Node]:
        """The source of the last reading first (its connection is open), the others in random order."""
        if self._readings_from_source >= _READINGS_PER_SOURCE or self._source not in usable:
            self._source, self._readings_from_source = None, 0
        others = [node for node in usable if node != self._source]
        self._random.shuffle(others)
        return others if self._source is None else [self._source, *others]

    def _remember_source(self, source: Node) -> None:
        if source == self._source:
            self._readings_from_source += 1
        else:
            self._source, self._readings_from_source = source, 1

    def _seeds_beside(self, live: Sequence[Node]) -> Iterator[Node]:
        # Seeds that are addresses cost nothing to look at; names are resolved only when a source is wanted.
        known = set(live)
        return (seed for seed in self.seeds() if seed not in known)

    def _check_support(self, source: Node) -> None:
        """Servers before 2025.1 ignore ``dc`` and ``rack``: they list nodes of a rack that cannot exist."""
        try:
            status, body = self._fetch(source, f"/localnodes?rack={_IMPOSSIBLE_RACK}", self._config.discovery.timeout)
            listed = read_answer(body, source, ClusterScope(), self._filter)[0] if status == 200 else ()
        except Exception:
            return  # The question was a courtesy, and is asked again with the next reading.
        self._scopes_supported = not listed
        if listed:
            _log.warning(
                "Cluster %r: the server ignores datacenter and rack (it is older than ScyllaDB 2025.1), so %s is the "
                "datacenter of whichever node is asked. Upgrade the server, or use ClusterScope().",
                self._config.name,
                self._config.routing_scope,
            )

    @property
    def scopes_supported(self) -> bool | None:
        """Whether the server honours datacenter and rack; None until it was asked."""
        return self._scopes_supported

    def contact(self, node: Node, scope: Scope, *, credit: bool) -> tuple[Node, ...]:
        """The nodes that `node` lists for `scope`. Raises whatever the network raises, and ValueError."""
        status, body = self._fetch(node, path_for(scope), self._config.discovery.timeout)
        if status != 200:
            raise ValueError(f"/localnodes was answered with status {status}")
        listed, refused = read_answer(body, node, scope, self._filter)
        for entry, reason in refused:
            self._tell_once(entry, reason, f"An entry of /localnodes was dropped: {entry} is {reason}.")
        if credit:
            self._answered(node)
        return listed

    def report_failure(self, node: Node, error: Exception) -> None:
        self._failed(node, error)

    def _tell_once(self, subject: str, detail: str, message: str) -> None:
        if (subject, detail) not in self._told:
            if len(self._told) > 1000:
                self._told.clear()
            self._told.add((subject, detail))
            _log.warning("Cluster %r: %s", self._config.name, message)


class _Attempt:
    """One reading under way: its sources, whom it asked, and what went wrong."""

    def __init__(self, discovery: Discovery, sources: Iterable[Node], down: set[Node]) -> None:
        self._discovery = discovery
        self.sources = list(dict.fromkeys(sources))
        self.down = down
        self.tried: list[str] = []
        self.failed: set[Node] = set()
        self.source: Node | None = None
        self.error: Exception | str = "there is no seed that can be resolved"

    def ask(self, scope: Scope, sources: Sequence[Node] | None = None) -> tuple[Node, ...] | None:
        """The nodes of `scope` as the first source that answers lists them, or None if none does."""
        failures = 0
        for node in self.sources if sources is None else sources:
            if node in self.failed:
                continue
            if failures >= _FAILURES_PER_LIST and self.source is not None:
                break
            if node.address not in self.tried:
                self.tried.append(node.address)
            try:
                listed = self._discovery.contact(node, scope, credit=node not in self.down)
            except Exception as error:
                self.error = error
                self.failed.add(node)
                failures += 1
                if node not in self.down:
                    self._discovery.report_failure(node, error)
                continue
            self.source = self.source or node
            return listed
        return None


def _places_to_ask(preferred: Scope) -> Iterator[Scope]:
    """Every scope of the chain without its fallback, and the datacenter of each rack, because affinity uses it."""
    seen: set[Place] = set()
    cluster = False
    for scope in chain(preferred):
        wanted: list[Scope] = [scope]
        if scope.rack is not None and scope.datacenter is not None:
            wanted.append(DatacenterScope(scope.datacenter))
        for one in wanted:
            if isinstance(one, ClusterScope):
                cluster = True
            elif place(one) not in seen:
                seen.add(place(one))
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
