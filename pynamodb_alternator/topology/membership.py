"""The state of the cluster as this process sees it. Requests read it, and requests and probes report to it.

Theory of operation. `Membership` owns what is published (`Published`: the members, the scope in use, the view with its
subset and slow starts), the health of the members (`HealthBook`), which of them are set aside (`AnswerBook`), which new
ones are probed (`Newcomers`), and the pace of readings (`ReadingPace`). Decisions are pure functions of `health`,
`selection`, `set_aside`, `slow_start` and `calm`; what requests read is immutable and swapped as a whole.

Threads. Requests read `view`, `view_for`, `generation` and `is_down` without a lock, so they never wait. They report by
`succeeded`, `failed`, `answer_failed`, `suspect` and `named`. The monitor calls `review`, its reader thread `refresh`,
its probe threads `probe`; without a monitor, requests call these. Users may call `refresh` in any thread.

Locks. `_lock` guards every change, and is held for a few microseconds: no I/O, no log line, no signal and no callback
happens under it. A change makes a list of `Emission` under the lock. When the lock is released, the listener is told
first of what requests wait for (`went_down`), and then the signals are sent. The turn to read the list (`turns`) is not
a lock: a thread that reads holds no lock, and other threads may wait for its result.

Exceptions. `gevent.Timeout` or a signal handler may raise in the thread of a request, between any two lines here. So
each change is made in such an order that a later step repairs what an interrupted one left: a suspect that the listener
was not told of is in `suspects()`, and is probed from there; a status that did not reach the view gets there with the
next reading; the listener is told of members that it missed after the next reading too; and a turn ends with its call.
"""

from __future__ import annotations

import logging
import random as _random
import threading
from collections.abc import Callable, Collection, Iterable, Mapping

from ..errors import ClusterClosedError
from ..settings.config import ClusterConfig
from ..settings.scopes import Scope, chain
from .answer_book import AnswerBook
from .asking import is_silence, why_not_well
from .discovery import Discovery, DiscoveryError
from .emission import Emission, of_failed_reading, of_reading, of_return, of_set_aside, of_state_change
from .health import HealthStatus, Observation, State
from .health_book import HISTORY, HealthBook, Snapshot, StateChange, States
from .listener import Listener
from .network import Fetch, Resolve
from .newcomers import Newcomers
from .node import Node, with_names
from .node_info import NodeInfo, describe_all
from .pacing import ReadingPace
from .published import Published
from .reading import Location, Reading, location_of
from .slow_start import earliest
from .turns import Turn, Turns
from .view import View

__all__ = ["Membership"]

_log = logging.getLogger("pynamodb_alternator.cluster")

LONGEST_READING = 60.0
"""Seconds that a thread without a deadline waits, at most, for the reading of another thread to end. If a reading lasts
longer, another thread may begin one."""


class Membership:
    """Nodes, their health, and the routing scope in use. `pace`: how often the node list is read.

    `answers_of`: how many answers a node has given to requests so far, to compare this number with the failed answers.
    `history`: how many nodes that left are remembered with their health.
    """

    def __init__(
        self,
        config: ClusterConfig,
        listener: Listener,
        *,
        fetch: Fetch,
        resolve: Resolve,
        clock: Callable[[], float],
        random: _random.Random,
        answers_of: Callable[[Node], int] = lambda node: 0,
        history: int = HISTORY,
    ) -> None:
        self.config = config
        self.last_read: float | None = None
        self.last_success: float | None = None
        self.failed_readings: int = 0
        self._listener = listener
        self._clock = clock
        self._fetch = fetch
        self.pace: ReadingPace = ReadingPace(config.discovery, clock, random)
        self._health = HealthBook(config.health, random, history=history)
        self._newcomers = Newcomers(self._health, random)
        self._answers = AnswerBook(answers_of, sets_aside=config.health.enabled)
        self._members_told: frozenset[object] = frozenset()
        self._told_of: frozenset[Node] = frozenset()
        self._asked_in: Mapping[Node, HealthStatus] = {}
        self._locations: Mapping[str, Location] = {}
        self._discovery = Discovery(
            config, fetch=fetch, resolve=resolve, random=random, answered=self._answered, failed=self.suspect
        )
        self._turns = Turns(LONGEST_READING)
        scopes, is_seed = self._discovery.scopes, self._discovery.is_seed
        self._published = Published(config, self._health, scopes_read=scopes, random=random, is_seed=is_seed)
        self.after_fork()

    def after_fork(self) -> None:
        """Fresh locks: another thread of the parent may have held the old ones."""
        self._lock = threading.Lock()
        self._turns.after_fork()
        # The suspects are probed by threads of the parent, which this process does not have.
        self._health.forget_suspects()
        self._published.after_fork()
        self._answers.after_fork()

    # ---- what a request asks: no lock is taken here ------------------------------------------------------------

    @property
    def view(self) -> View:
        return self._published.view

    def view_for(self, scope: Scope) -> View:
        """What a request with a routing scope of its own sees.

        Raises `ConfigurationError` for a scope whose nodes are not asked for.
        """
        return self._published.view_for(scope)

    def generation(self, node: Node) -> int:
        return 0 if (status := self._health.statuses.get(node)) is None else status.generation

    def trouble_with(self, node: Node) -> str | None:
        """The last error of a node that is not active."""
        return self._health.error_of(node)

    def is_suspect(self, node: Node) -> bool:
        """Whether a probe of the node was requested and has no result yet."""
        return self._health.is_suspect(node)

    def is_down(self, node: Node) -> bool:
        return node in self.view.down

    @property
    def source(self) -> str:
        """The address of the node that told the last list."""
        return self._published.reading.source

    def stranger_that_tells(self) -> str | None:
        """See `Discovery.stranger_that_told`. None while the list cannot be read."""
        return None if self.failed_readings else self._discovery.stranger_that_told(self._published.reading)

    # ---- what requests report ----------------------------------------------------------------------------------

    def succeeded(self, node: Node, generation: int) -> None:
        """The node gave a final answer. Takes hardly any time for a node that is well."""
        status = self._health.statuses.get(node)
        if status is None or (status.state is State.ACTIVE and not status.failures):
            return
        self._observe(node, Observation.TRAFFIC_SUCCESS, generation)

    def failed(self, node: Node, generation: int, error: Exception, *, counts: bool = True) -> None:
        """A request failed in transport. `counts` is False for a failure that an idle connection may explain."""
        if counts:
            self._observe(node, Observation.TRAFFIC_FAILURE, generation, error)
        self.suspect(node)

    def answer_failed(self, node: Node, error: str, *, counted: bool = True) -> None:
        """An answer of the node failed. `error`: what it said. `counted`: whether `answers_of` has counted it."""
        with self._lock:
            now, members = self._clock(), self._published.members
            aside = self._answers.failed(node, error, now, members, self._published.groups(), counted=counted)
            emissions = [] if aside is None else [of_set_aside(node, aside), *self._review_answers(now)]
        self._emit(emissions)

    def review(self, now: float) -> float | None:
        """End the time aside of nodes that are due to return, and let the shares of starting nodes grow. Returns the
        time of the next change."""
        due = earliest(self._answers.next_change, self._published.slow_starts.next_change)
        if due is not None and due <= now:
            with self._lock:
                emissions = self._review_answers(now)
                self._published.let_grow(now)
            self._emit(emissions)
        return earliest(self._answers.next_change, self._published.slow_starts.next_change)

    def _review_answers(self, now: float) -> list[Emission]:
        back = self._answers.review(now, self._published.members, self._published.groups())
        self._published.go_last(self._answers.set_aside(now), self._answers.returning(now))
        return [of_return(node, aside, now) for node, aside in back]

    def suspect(self, node: Node, *, hedged: bool = False) -> None:
        """Have the node probed at once, unless it is being probed or is down. `hedged`: a read had to be hedged because
        of it, so it is last for reads until the probe has a result."""
        with self._lock:
            is_new = self._health.suspect(node)
            if is_new and node not in self.view.unproven:
                self.pace.trouble(self.last_read)
            if hedged and self._health.is_suspect(node):
                self._published.reads_go_last(self.view.hedged | {node})
        if is_new:
            self._listener.suspect(node)

    def named(self, node: Node) -> None:
        """A query plan names this unproven node: have it probed, unless too many nodes were probed just now."""
        if not self.is_suspect(node):
            with self._lock:
                may_probe = self._newcomers.may_probe(self._clock())
            if may_probe:
                self.suspect(node)

    def needed(self, nodes: Collection[Node]) -> bool:
        """No request can go to these nodes now: have them probed soon. Returns whether some of them are unproven."""
        unproven = [node for node in nodes if node in self.view.unproven]
        for node in unproven:
            self.suspect(node)
        with self._lock:
            self._health.hasten(nodes, self._clock())
        return bool(unproven)

    # ---- health ------------------------------------------------------------------------------------------------

    def suspects(self) -> tuple[Node, ...]:
        """The nodes that are to be probed, or are being probed, because of a suspicion."""
        with self._lock:
            return self._health.suspects()

    def probes_due(self, now: float) -> list[Node]:
        """Nodes that are not active and have not been probed for a while."""
        with self._lock:
            return self._health.due(now, self._published.members)

    def next_probe_at(self, now: float) -> float | None:
        """When the next node will be due. Nodes that are already due are left out: their probe has begun."""
        with self._lock:
            return self._health.next_due(now, self._published.members)

    def probe(self, node: Node, timeout: float) -> bool:
        """Ask the node whether it lives, and judge it by that. True if it does."""
        generation = self.generation(node)
        try:
            error = why_not_well(self._published.current(node), self._fetch, timeout, self._clock)
        except ClusterClosedError:
            return False
        with self._lock:
            if error is None:
                observation = Observation.PROBE_SUCCESS
            elif self._health.is_suspect(node):
                # The node may also have become a suspect while this probe was under way. The probe counts all the same.
                observation = Observation.SUSPICION_CONFIRMED
            else:
                observation = Observation.PROBE_FAILURE
            self._health.plan_next_probe(node, well=error is None, others_serve=self.view.serves, now=self._clock())
            change, emissions = self._judge(node, observation, generation, error)
            self._published.reads_go_last(self.view.hedged - {node})
            self._health.settle(node)  # last: if an exception comes before, the node is probed again
        self._tell(change, emissions)
        return error is None

    def _answered(self, node: Node) -> None:
        """A node told its list. It counts as a successful probe, unless the node is unproven or has gone down since."""
        if (status := self._asked_in.get(node)) is None or not status.is_unproven:
            self._observe(node, Observation.PROBE_SUCCESS, None if status is None else status.generation)

    def _observe(
        self, node: Node, observation: Observation, generation: int | None = None, error: Exception | None = None
    ) -> None:
        with self._lock:
            change, emissions = self._judge(node, observation, generation, error)
        self._tell(change, emissions)

    def _judge(
        self, node: Node, observation: Observation, generation: int | None, error: Exception | None
    ) -> tuple[StateChange | None, list[Emission]]:
        """Change the state of a node, publish it, and return the emissions. The caller holds the lock."""
        now = self._clock()
        change = self._health.observe(node, observation, generation, error, now)
        if change is None:
            return None, []
        emissions = [of_state_change(change), *self._published.state_changed(node, change.after.state, now)]
        if change.after.state is State.DOWN:
            self.pace.trouble(self.last_read)
            if observation is Observation.SUSPICION_CONFIRMED and is_silence(error):
                self._health.suspect_beside(node, self.view.spread_over)
            if not self.view.serves:
                self._health.hasten(self._published.members, now)
        return change, emissions

    def _tell(self, change: StateChange | None, emissions: Iterable[Emission]) -> None:
        # The listener comes first, because requests wait for it, and a receiver of a signal may be slow.
        if change is not None and change.after.state is State.DOWN:
            self._listener.went_down(change.node)
        self._emit(emissions)

    # ---- the node list -----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start with the seeds as the nodes, on trial, until a node list has been read."""
        if self._published.members:
            return  # before the names of the seeds are resolved, which may take long
        seeds = self._discovery.seeds()
        reading = Reading({location_of(scope): seeds for scope in chain(self.config.routing_scope)})
        with self._lock:
            if self._published.members:
                return
            emissions = self._take(reading)
            self._members_told = with_names(self._published.members)  # there are no connections yet
        self._emit(emissions)

    def refresh(self, *, wait: bool = True, most: float = LONGEST_READING) -> bool:
        """Read the node list now, or wait for the reading that is under way. False if no source told it.

        With `wait` False it does nothing while another thread reads. `most`: seconds to wait for that thread.
        """
        has_list = self.last_success is not None
        return self._turns.run(self._read, self._clock(), waits=wait, most=most, otherwise=has_list)

    def _read(self, turn: Turn) -> bool:
        started = self._clock()
        self.last_read = started
        previous, states = self._sources()
        try:
            reading = self._discovery.read(
                previous, active=states.active, quarantined=states.quarantined, down=states.down
            )
        except ClusterClosedError:
            return False
        except DiscoveryError as error:
            self._reading_failed(error, started)
            return False
        with self._lock:
            before = self._published.members if self.last_success is not None else frozenset()
            is_calm = self._published.has(reading, self._health.changes) and self.view.all_well
            emissions = self._take(reading)
            self.pace.read(is_calm=is_calm)
            now = self.last_success = self._clock()
            failures, self.failed_readings = self.failed_readings, 0
            members, addresses, scope = self._published.members, self._published.addresses, self.view.topology.scope
        turn.succeeded = True
        if members is not self._told_of:
            self._tell_members(members)
        if failures:
            _log.info("Cluster %r: the node list is readable again.", self.config.name)
        told = of_reading(before, members, addresses, scope=scope, source=reading.source, duration=now - started)
        self._emit([*emissions, *told])
        return True

    def _tell_members(self, members: frozenset[Node]) -> None:
        if (named := with_names(members)) != self._members_told:
            self._listener.members_changed(members)
        self._members_told, self._told_of = named, members

    def _sources(self) -> tuple[Reading, States]:
        """The last reading, and the members by their state: what the next reading begins with."""
        with self._lock:
            self._asked_in = dict(self._health.statuses)
            # Before the first reading, the members are the seeds, which `Discovery` knows already.
            previous = self._published.reading if self.last_success is not None else Reading()
            return previous, self._health.by_state(self._published.members)

    def _reading_failed(self, error: DiscoveryError, now: float) -> None:
        with self._lock:
            self.failed_readings += 1
            consecutive = self.failed_readings
            self.pace.read(is_calm=False)
            self._newcomers.listed(self._published, self._published.reading, self._clock(), starts=False)
            # The scope in use may still have to change, because time has passed.
            emissions = self._published.choose(self._clock())
        stale_for = None if self.last_success is None else now - self.last_success
        self._emit([*emissions, of_failed_reading(error, error.tried, consecutive, stale_for)])

    def _take(self, reading: Reading) -> list[Emission]:
        """Make `reading` the current one. The caller holds the lock."""
        now = self._clock()
        if self._published.has(reading, self._health.changes):
            return [*self._published.take_again(reading, now), *self._review_answers(now)]
        listed = reading.nodes
        # A node gets its status before it becomes a member: the process may be forked between two of these lines.
        self._health.admit(listed)
        self._newcomers.listed(self._published, reading, now, starts=self.last_success is None)
        self._health.hasten(listed - self._published.members, now)
        emissions = self._published.take(reading, now, self._health.changes)
        self._health.forget_long_gone(self._published.members)
        return [*emissions, *self._review_answers(now)]

    def _emit(self, emissions: Iterable[Emission]) -> None:
        for emission in emissions:
            if emission.line:
                _log.log(emission.level, "Cluster %r: %s", self.config.name, emission.line)
            self._listener.emit(emission.signal, **emission.payload)

    # ---- for people and tests ----------------------------------------------------------------------------------

    def learn_locations(self, locations: Mapping[str, Location]) -> None:
        """Store datacenter and rack by host, to show them to people. Routing uses only what `/localnodes` says."""
        self._locations = dict(locations)

    def nodes(self) -> tuple[NodeInfo, ...]:
        """Every known node in ring order, with its state."""
        with self._lock:
            return describe_all(self._published, self._health, self._answers, self._locations, self._clock())

    def snapshot(self) -> Snapshot:
        """All that is known, as copies."""
        with self._lock:
            return self._health.snapshot(self._published.members)
