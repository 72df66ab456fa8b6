"""The inside of a cluster: it makes the parts of all rooms, and connects them.

`ClusterCore` owns all parts of a cluster, and is made in one phase: each part gets what it needs when it is made.
`Cluster` and `AsyncCluster` hold a core; diagnostics and orm/ use the methods of a cluster's core.

The references decide what the garbage collector collects: the threads and the botocore endpoints hold the core, the
core refers to its `Cluster` weakly, and only users (and the clients that users hold) hold a `Cluster`. So a cluster
that no user holds is collected, and its finalizer shuts the core down.
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
"""Seconds that `shut_down` waits for all of the cluster's threads together. They are daemon threads, so none of them
keeps the process from ending."""


class ClientSource(Protocol):
    """What a core uses of its `Cluster`, which is the sender of the signals, and holds the botocore client."""

    @property
    def client(self) -> Any: ...


class ClusterCore:
    """The inside of one cluster. Threads may share it, and a forked child may go on using it.

    `config`: its settings. `owner`: a weak reference to its `Cluster`. `network`: fetches node lists, probes nodes, and
    resolves names; it uses sockets, unless a test passes another network.
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
        own_random = random.Random()  # for all parts except the router; seeded anew after a fork
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
        """Identifies this cluster in context variables, which must not keep the cluster alive."""
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
        """The name of the cluster in signals and logs."""
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
        """A lock for parts that a cluster has only once, such as its client: one thread at a time makes them."""
        self.check_process()
        with self._lock:
            yield

    def new_client(self, session: Any, *, validate_parameters: bool, keep_alive: object) -> Any:
        """A botocore client over all nodes. `keep_alive`: an object that must live as long as the client."""
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
        """The serializer for the requests of a client. `validate`: whether botocore checks their parameters first."""
        return RequestSerializer(validate=validate, numbers=self._number_forms)

    def seed_url(self) -> str:
        """The address that botocore shows as its endpoint; requests go to all nodes."""
        host, port = self.config.seed_addresses[0]
        return Node(self.config.scheme, host, port).endpoint

    # ---- before each request -----------------------------------------------------------------------------------

    def prepare(self, now: float, total: float | None) -> None:
        """Before each request: wake the monitor, and wait until nodes are known. Raises `ClusterClosedError`.

        `now`: the time of the monotonic clock. `total`: the call's total timeout in seconds, or None.
        """
        if self.prepare_at_once(now):
            return  # nearly always
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
        """The part of `prepare` that does not wait. If it returns False, `prepare` must be called."""
        self.use(now)
        return self.has_monitor and self.monitor.no_thread is None and self.monitor.ready.is_set()

    def use(self, now: float) -> None:
        """A request is about to be made: wake the monitor thread, or have it started. Does not wait.

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
        """Whether requests do the work of the monitor: the cluster has no monitor thread, or cannot start it."""
        return not self.has_monitor or self.monitor.no_thread is not None

    def prepare_would_wait(self, now: float) -> bool:
        """Whether `prepare` would wait for nodes now. An event loop must not call it then."""
        if self.works_inline:
            return self.inline.is_due(now) or self.questions.is_due_inline(now)
        return not self.monitor.ready.is_set()

    def _say_that_threads_are_missing(self) -> None:
        reason = self.monitor.no_thread
        if reason is not None and self.has_monitor and not (self._has_said_so or processes.is_ending()):
            self._has_said_so = True
            _log.warning(
                "Cluster %r: no thread can be started (%s). Requests read the node list and probe nodes themselves, "
                "until one can be started again.",
                self.name,
                reason,
            )

    # ---- what the membership tells -----------------------------------------------------------------------------

    def emit(self, signal: NamedSignal, **payload: Any) -> None:
        """Send a signal of this cluster. Takes hardly any time if the signal has no receiver."""
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
        # Attempts that are connecting now get the cause in their error, such as a bad certificate that a probe has
        # found.
        trouble = self.membership.trouble_with(node)
        # The error of a cut connection names the node already, so the cause must not name it again.
        cause = (trouble or "").removeprefix(f"Node {node}").lstrip(": ")
        self.all_pools.cut(node, f"the node was declared down{f' ({cause})' if cause else ''}")

    def _begin_what_waits(self) -> None:
        """In the monitor thread: begin the work that other threads have requested, because they start no threads."""
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
        """Notice a fork of which Python's hook has not told this process."""
        if os.getpid() != self._pid:
            self.after_fork()

    def after_fork(self) -> None:
        """In a forked child: drop the parent's threads and sockets. May be called more than once."""
        pid = os.getpid()
        # A lock that was made in this process: an inherited lock may be held by a thread of the parent.
        with self._take_overs.setdefault(pid, threading.RLock()):
            parent = self._pid
            if parent == pid:
                return  # another thread has done this
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
        # The threads stop before the connections are closed: a probe that is cut would mark its node as down.
        self._stop_threads()
        self.all_pools.close()
        self.control.close()

    def _stop_threads(self) -> None:
        end = time.monotonic() + _CLOSE_TIMEOUT
        self.questions.close(0.0)  # so that they end while the monitor is closed
        self.monitor.close(_CLOSE_TIMEOUT)
        self.questions.close(max(0.0, end - time.monotonic()))

    def go_on_without_threads(self) -> None:
        """The interpreter ends: stop the threads and close idle connections, but still serve requests.

        Exit handlers that were registered before ours may still make requests. They use the mode without threads.
        """
        self.check_process()
        self.has_monitor = False
        self._stop_threads()
        self.all_pools.keep_only(())  # each connection is closed after its request: nothing is left open at the end
        self.control.keep_only(())

    def forgotten(self) -> None:
        """The garbage collector calls this in any thread, which may hold a lock of ours. So this method takes no
        lock."""
        if os.getpid() != self._pid:
            self.all_pools.after_fork()
            self.control.after_fork()
            return
        try:
            threading.Thread(target=self.shut_down, name="pynamodb_alternator-close", daemon=True).start()
        except RuntimeError:
            # No thread can be started. So the monitor thread, if there is one, shuts the core down and ends.
            self._is_forgotten = True
            self.monitor.wake()
