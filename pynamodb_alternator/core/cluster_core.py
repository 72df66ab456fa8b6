"""The inside of a cluster: the rooms joined into one.

`ClusterCore` owns everything that a cluster consists of, and is made in one phase: each part is given what it needs
when it is made. `Cluster` and `AsyncCluster` hold a core; diagnostics and orm/ use the methods of a cluster's.

The references decide what the garbage collector takes: the threads and the botocore endpoints hold the core, the core
refers to its `Cluster` weakly, and only users (and the clients that users hold) hold a `Cluster`. So a cluster that
nobody holds is collected, and its finalizer shuts the core down.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .. import signals
from ..errors import ClusterClosedError
from ..routing.least_busy import router_for
from ..routing.plan import LEAST_BUSY
from ..routing.router import Router
from ..routing.tables import Tables
from ..settings.config import ClusterConfig
from ..settings.options import current
from ..settings.tls import Tls
from ..topology.membership import Membership
from ..topology.monitor import Monitor
from ..topology.node import Node
from ..topology.replicas import Replicas
from ..transport._botocore import Parts, make_client
from ..transport._session import client_session
from ..transport.all_pools import AllPools
from ..transport.budget import RetryBudget
from ..transport.canonical_numbers import NumberForms
from ..transport.control import ControlConnections
from ..transport.counts import Counts
from ..transport.endpoint import ClusterEndpoint
from ..transport.environment import Environment
from ..transport.lanes import RequestSerializer, Sender
from ..transport.loads import Loads
from ..transport.pool import Pools
from ..transport.pool_core import PoolStats
from ..transport.resolver import resolve
from ..transport.tls import TlsContexts
from ..transport.turnover import Renewal
from . import processes
from .admission import Admission
from .inline import DeadlinedFetch, InlineUpkeep, can_be_frozen
from .loop_watch import watched
from .own_questions import OwnQuestions
from .seed_names import SeedNames

if TYPE_CHECKING:
    from blinker import NamedSignal
    from botocore.session import Session

    from ..topology.network import Network, Resolve

__all__ = ["ClusterCore"]

_log = logging.getLogger("pynamodb_alternator.cluster")

_CLOSE_TIMEOUT = 2.0
"""Seconds that `shut_down` waits for all of the cluster's threads together. They are daemons: none holds up the
process."""


class ClientSource(Protocol):
    """What a `Cluster` is to its core: the sender of the signals, and the holder of the botocore client."""

    @property
    def client(self) -> Any: ...


class ClusterCore:
    """The inside of one cluster. Threads may share it; a forked child goes on with it.

    `config`: its settings. `owner`: refers to the `Cluster` that this is the inside of; it is not kept alive.
    `network`: what node lists and probes are fetched with, and names resolved; sockets, unless a test gives another.
    """

    def __init__(
        self, config: ClusterConfig, owner: weakref.ref[ClientSource], *, network: Network | None = None
    ) -> None:
        self.config = config
        self._owner = owner
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._take_overs: dict[int, threading.RLock] = {}
        self.admission: Admission = Admission(config)
        self._session: Session | None = None
        self._closed = self._has_said_so = self._is_forgotten = False
        self.seed_names: SeedNames = SeedNames(config, time.monotonic)
        self.has_monitor: bool = config.monitor if config.monitor is not None else not can_be_frozen()
        self.tls: TlsContexts | None = TlsContexts(config.tls or Tls()) if config.scheme == "https" else None
        admit, agent = self.admission.admit_control, config.user_agent_sent
        self.control: ControlConnections = ControlConnections(tls=self.tls, admit=admit, user_agent=agent)
        limit, max_idle = config.max_pool_connections, config.max_connection_idle
        own_random = random.Random()  # of all but the router; seeded anew after a fork
        renewal = Renewal.of(config.max_connection_age, own_random)
        admit, spare = self.admission.admit, self.control.hand_over
        self.pools: Pools = Pools(limit, max_idle=max_idle, tls=self.tls, renewal=renewal, admit=admit, hand_over=spare)
        self.all_pools: AllPools = AllPools(self.pools)
        """All connections: those of threads (`pools`), and those of the event loops that share the cluster."""
        fetch = DeadlinedFetch(self.control.fetch_answer if network is None else network.fetch, time.monotonic)
        self._until = fetch.until
        self._resolve: Resolve = fetch.resolver(resolve) if network is None else network.resolve
        counts = Counts()
        self.membership: Membership = Membership(
            config,
            self,
            fetch=fetch,
            resolve=self._resolve,
            clock=time.monotonic,
            random=own_random,
            answers_of=counts.answers_of,
        )
        waits, also = self.all_pools.waits, self._begin_what_waits
        self.monitor: Monitor = Monitor(
            self.membership, waits=waits, clock=time.monotonic, random=own_random, also=also
        )
        self.inline: InlineUpkeep = InlineUpkeep(self.membership, fetch, time.monotonic, own_random)
        self.tables: Tables = Tables(config, on_unknown=lambda table, what: self.questions.lookups.ask(table, what))
        self.replicas: Replicas = Replicas(
            config.token_aware_after, on_wanted=lambda table, always: self.questions.token_rings.want(table, always)
        )
        is_by_load = config.load_balancing == LEAST_BUSY
        self.loads: Loads | None = Loads(self.all_pools.in_flight, time.monotonic) if is_by_load else None
        self.router: Router = router_for(config, self.tables, random.Random(), self.replicas, self.loads)
        self.environment: Environment = Environment(
            membership=self.membership,
            router=self.router,
            budget=RetryBudget(),
            emit=self.emit,
            clock=time.monotonic,
            random=own_random,
            retry_ambiguous_writes=config.retry_ambiguous_writes,
            counts=counts,
            names_asked=self.seed_names.asked,
            loads=self.loads,
        )
        self.sender: Sender = Sender(config, self.pools)
        self.key: object = self.sender.key
        """What stands for this cluster in context variables, which must not keep it alive."""
        self._number_forms = NumberForms(config.canonical_numbers, lambda: current(self.key), self.tables)
        self.questions: OwnQuestions = OwnQuestions(
            config,
            key=self.key,
            client=lambda: self.owner().client,
            tables=self.tables,
            replicas=self.replicas,
            membership=self.membership,
            wake=self.monitor.wake,
            has_thread=lambda: self.has_monitor,
            works_inline=lambda: self.works_inline,
            random=own_random,
        )
        processes.keep(self)

    @property
    def name(self) -> str:
        """The name that signals and logs carry."""
        return self.config.name

    @property
    def counts(self) -> Counts:
        """Answers and failures of each node by its address."""
        return self.environment.counts

    def pool_stats(self) -> dict[str, PoolStats]:
        """The connections to each node by its address, those of event loops included."""
        return self.all_pools.stats()

    def resolve(self, name: str) -> Sequence[str]:
        """The addresses of a host name. Raises OSError. May take as long as the resolver does."""
        return self._resolve(name)

    @property
    def closed(self) -> bool:
        return self.admission.closed

    def owner(self) -> ClientSource:
        """The `Cluster`. Raises `ClusterClosedError` if it is gone."""
        cluster = self._owner()
        if cluster is None:
            raise ClusterClosedError("The cluster is gone: hold the Cluster while its client is used.")
        return cluster

    # ---- clients -----------------------------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The botocore session that the cluster's client is made in. It reads no AWS configuration."""
        if self._session is None:
            with self.making():
                if self._session is None:
                    self._session = client_session()
        return self._session

    @contextlib.contextmanager
    def making(self) -> Iterator[None]:
        """A lock: one thread at a time makes what a cluster has once, such as its client."""
        self.check_process()
        with self._lock:
            yield

    def new_client(self, session: Any, *, validate_parameters: bool, keep_alive: object) -> Any:
        """A botocore client over all nodes. `keep_alive`: what must live as long as the client does."""
        url, prepare = self.seed_url(), watched(self.prepare, self.config)
        parts = Parts(
            self.config.region,
            self.serializer(validate=validate_parameters),
            lambda events: ClusterEndpoint(
                url, self.config, self.environment, self.sender, events, prepare=prepare, keep_alive=keep_alive
            ),
        )
        return make_client(session, parts)

    def serializer(self, *, validate: bool) -> RequestSerializer:
        """What writes the requests of a client. `validate`: whether botocore checks their parameters first."""
        return RequestSerializer(validate=validate, numbers=self._number_forms)

    def seed_url(self) -> str:
        """The address that botocore shows as its endpoint; requests go to all nodes."""
        host, port = self.config.seed_addresses[0]
        return Node(self.config.scheme, host, port).endpoint

    # ---- before each request -----------------------------------------------------------------------------------

    def prepare(self, now: float, total: float | None) -> None:
        """Before each request: be awake, and have nodes to route to. Raises `ClusterClosedError`.

        `now`: on the monotonic clock. `total`: the call's total timeout in seconds, if it has one.
        """
        if self.prepare_at_once(now):
            return  # as nearly always
        monitor, deadline = self.monitor, None if total is None else now + total
        if not self.works_inline:
            wait = self.config.discovery.startup_wait
            monitor.ready.wait(wait if total is None else min(wait, total))
            names_until = now + self.seed_names.patience(total)
            if not self.membership.view.topology.ring and not self.seed_names.left_to(monitor, names_until):
                with self._until(deadline, names_until):
                    self.membership.begin()
        if self.works_inline:
            self._say_that_threads_are_missing()
            self.inline.run(now, deadline)
            self.questions.run_inline(now, deadline)

    def prepare_at_once(self, now: float) -> bool:
        """The part of `prepare` that waits for nothing. False: `prepare` has to be called."""
        self.use(now)
        return self.has_monitor and self.monitor.no_thread is None and self.monitor.ready.is_set()

    def use(self, now: float) -> None:
        """A request is about to be made: be awake, and have the monitor thread started. Waits for nothing.

        Raises `ClusterClosedError`, and in a test `BlockedConnectionError`.
        """
        if os.getpid() != self._pid:
            self.after_fork()
        if self.admission.before_request is not None:
            self.admission.before_request()
        if self.has_monitor:
            self.monitor.used(now)

    @property
    def works_inline(self) -> bool:
        """Whether requests do the work of the monitor: there is to be none, or its thread cannot be started."""
        return not self.has_monitor or self.monitor.no_thread is not None

    def prepare_would_wait(self, now: float) -> bool:
        """Whether `prepare` would wait for nodes now. An event loop must not call it then."""
        if self.works_inline:
            return self.inline.is_due(now) or self.questions.is_due_inline(now)
        return not self.monitor.ready.is_set()

    def _say_that_threads_are_missing(self) -> None:
        reason = self.monitor.no_thread
        if reason is not None and self.has_monitor and not self._has_said_so:
            self._has_said_so = True
            _log.warning(
                "Cluster %r: no thread can be started (%s). Requests read the node list and probe nodes themselves, "
                "until one can be started again.",
                self.name,
                reason,
            )

    # ---- what the membership tells -----------------------------------------------------------------------------

    def emit(self, signal: NamedSignal, **payload: Any) -> None:
        """Send a signal of this cluster. Costs next to nothing if nobody listens."""
        if signal.receivers:
            cluster = self._owner()
            if cluster is not None:
                payload["cluster_name"] = self.config.name
                signals.send(signal, cluster, payload)

    def members_changed(self, nodes: Collection[Node]) -> None:
        self.all_pools.keep_only(nodes)
        self.control.keep_only(nodes)
        self.environment.counts.forget_others(node.address for node in nodes)
        if self.loads is not None:
            self.loads.keep_only(nodes)
        self.questions.token_rings.nodes_changed(nodes)

    def went_down(self, node: Node) -> None:
        # Whatever is just connecting is told why: a bad certificate is found by a probe and by requests at once.
        trouble = self.membership.trouble_with(node)
        # The error of what is cut names the node, so that the cause need not do it again.
        cause = (trouble or "").removeprefix(f"Node {node}").lstrip(": ")
        self.all_pools.cut(node, f"the node was declared down{f' ({cause})' if cause else ''}")

    def _begin_what_waits(self) -> None:
        """In the monitor thread: do what other threads have asked for, because they start no threads themselves."""
        self.questions.begin()
        if self._is_forgotten:
            self.shut_down()

    def suspect(self, node: Node) -> None:
        if self.works_inline:
            self.inline.suspect(node)
        else:
            self.monitor.suspect(node)

    # ---- forks, and the end ------------------------------------------------------------------------------------

    def check_process(self) -> None:
        """Notice a fork that Python's hook did not tell of."""
        if os.getpid() != self._pid:
            self.after_fork()

    def after_fork(self) -> None:
        """In a forked child: drop what belongs to the parent's threads and sockets. May be called more than once."""
        pid = os.getpid()
        # A lock of this process alone: an inherited one may be held by a thread that exists in the parent only.
        with self._take_overs.setdefault(pid, threading.RLock()):
            parent = self._pid
            if parent == pid:
                return  # another thread has done it
            self._lock = threading.RLock()
            self.all_pools.after_fork()
            self.control.after_fork()
            self.membership.after_fork()
            self.environment.after_fork()
            self.monitor.after_fork()
            self.tables.after_fork()
            self.replicas.after_fork()
            self.questions.after_fork()
            if self.loads is not None:
                self.loads.after_fork()
            self._pid = pid
        self.emit(signals.client_forked, old_pid=parent, new_pid=pid)

    def shut_down(self) -> None:
        """Stop the threads and close all connections. May be called again. Takes at most two seconds."""
        self.check_process()
        self.admission.close()
        # The threads before the connections: a probe that is cut would take its node down.
        self._stop_threads()
        self.all_pools.close()
        self.control.close()

    def _stop_threads(self) -> None:
        end = time.monotonic() + _CLOSE_TIMEOUT
        self.questions.close(0.0)  # they stop meanwhile
        self.monitor.close(_CLOSE_TIMEOUT)
        self.questions.close(max(0.0, end - time.monotonic()))

    def go_on_without_threads(self) -> None:
        """The interpreter ends: stop the threads and close what is idle, but serve those that make requests still.

        Exit handlers that were registered before ours may still make requests. They use the mode without threads.
        """
        self.check_process()
        self.has_monitor = False
        self._stop_threads()
        self.all_pools.keep_only(())  # each connection is closed after its request: nothing is left open at the end
        self.control.keep_only(())

    def forgotten(self) -> None:
        """The garbage collector calls this, in any thread and at any place: the thread may hold a lock of ours. So
        nothing here takes a lock."""
        if os.getpid() != self._pid:
            self.all_pools.after_fork()
            self.control.after_fork()
            return
        try:
            threading.Thread(target=self.shut_down, name="pynamodb_alternator-close", daemon=True).start()
        except RuntimeError:
            # There are no more threads to be had. The monitor thread ends with what it closes, if there is one.
            self._is_forgotten = True
            self.monitor.wake()
