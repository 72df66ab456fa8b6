"""The cluster as a user holds it: where the rooms are joined to one botocore client.

`Cluster` stands here and not in ``cluster/``, because it knows all three rooms and none of them may know the others.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import random
import socket
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from blinker import NamedSignal

from . import signals
from .core.lookups import Lookups
from .core.system_tables import NodeLocations, read_system_table
from .errors import ClusterClosedError, ConfigurationError, DeadlineBeforeSendError
from .routing.hashing import key_hash
from .routing.router import Router
from .routing.tables import Tables
from .settings import checks
from .settings.config import ClusterConfig, KeyRouteAffinity, Timeouts
from .settings.options import NOT_GIVEN, NotGiven, RequestOptions, block, block_settings, current
from .settings.scopes import Scope
from .settings.wire import Deflate, Gzip, Tls
from .topology.membership import Membership, NodeInfo
from .topology.monitor import Monitor
from .topology.node import Node
from .topology.view import Topology
from .transport._botocore import client_session, make_client
from .transport.attempts import Environment
from .transport.budget import RetryBudget
from .transport.control import ControlConnections
from .transport.endpoint import ClusterEndpoint
from .transport.lanes import RequestSerializer, Sender
from .transport.pool import AllPools, Pools, PoolStats
from .transport.tls import TlsContexts

if TYPE_CHECKING:
    from .diagnostics import Finding, Inside, KeyRoute, NodeStats
    from .transport.counts import Counts

__all__ = ["Cluster"]

_log = logging.getLogger("pynamodb_alternator.cluster")

_clusters: weakref.WeakSet[Cluster] = weakref.WeakSet()
"""All clusters of this process, for the hook that runs in a forked child."""

_CLOSE_TIMEOUT = 2.0
"""Seconds that `close` waits for the cluster's threads, which are daemons: none holds up the process."""

_PLACES_TIMEOUT = 1.0
"""Seconds that `nodes` spends, at most, on asking in which datacenter and rack the nodes are."""

_INLINE_PROBE_TIMEOUT = 0.5
"""Seconds for a probe that a request waits for, where there is no monitor. Enough for a node across an ocean."""


class Cluster:
    """A cluster of Alternator nodes, and one botocore client over all of them.

    `config`: a `ClusterConfig`, a URL such as ``"http://10.0.0.1,10.0.0.2:8000/?datacenter=dc1"``, or a mapping.
    Nothing is connected before the first request, or the first look at `nodes`, `topology` or `refresh`.

    A cluster may be shared by threads, and is a context manager. A forked child goes on with connections of its own.
    """

    def __init__(self, config: ClusterConfig | str | Mapping[str, Any]) -> None:
        self.config = config = ClusterConfig.of(config)
        self._reactions = reactions = _Reactions(weakref.ref(self))
        tls = TlsContexts(config.tls or Tls()) if config.scheme == "https" else None
        self._control = ControlConnections(tls=tls)
        self._inline = _Inline(self._control)
        self._tls = tls
        self._pools = Pools(limit=config.max_pool_connections, tls=tls)
        self._all_pools = AllPools(self._pools)
        self._membership = Membership(
            config,
            reactions,
            fetch=self._inline.fetch,
            resolve=resolve,
            clock=time.monotonic,
            random=random.Random(),
        )
        self._monitor = Monitor(
            self._membership,
            waits=self._all_pools.waits,
            clock=time.monotonic,
            random=random.Random(),
        )
        reactions.connect(self._monitor, self._all_pools, self._control)
        self._tables = Tables(config)
        self._environment = Environment(
            membership=self._membership,
            router=Router(config, self._tables, random.Random()),
            budget=RetryBudget(),
            emit=reactions.emit,
            clock=time.monotonic,
            random=random.Random(),
            retry_ambiguous_writes=config.retry_ambiguous_writes,
        )
        self._sender = Sender(config, self._pools)
        self._has_monitor = config.monitor if config.monitor is not None else not _can_be_frozen()
        # Through a weak reference: the thread that asks must not keep a forgotten cluster alive.
        this = weakref.ref(self)
        self._lookups = Lookups(
            self._tables,
            lambda: _alive(this).client,
            may_ask=self._has_monitor,
            clock=time.monotonic,
            random=random.Random(),
        )
        self._tables.on_unknown = self._lookups.ask
        self._locations = NodeLocations(
            self._membership,
            lambda: _alive(this)._system_tables_of_one_node(),
            translate=config.address_translator,
            clock=time.monotonic,
        )
        self._membership.trust_listed = not self._has_monitor
        self._client: Any = None
        self._session: Any = None
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._take_overs: dict[int, threading.RLock] = {}
        self._closed = False
        self._parts = _Parts(self._pid, self._monitor, self._lookups, self._all_pools, self._control)
        self._finalizer = weakref.finalize(self, self._parts.forgotten)
        self._finalizer.atexit = False  # `_close_all_at_exit` does it
        _clusters.add(self)

    # ---- what users call ---------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name that signals and logs carry."""
        return self.config.name

    @property
    def client(self) -> Any:
        """A botocore DynamoDB client over all nodes, with every operation, paginator and waiter. One per cluster.

        Parameters are not validated here; the server does that. Closing it closes nothing, because others may use it
        as well: close the cluster.
        """
        if self._client is None:
            self._check_process()
            session = self.session
            with self._lock:
                if self._client is None:
                    self._client = self.new_client(session)
        return self._client

    @property
    def session(self) -> Any:
        """The botocore session that the client was made in. It reads no AWS configuration."""
        if self._session is None:
            self._check_process()
            with self._lock:
                if self._session is None:
                    self._session = client_session()
        return self._session

    def nodes(self) -> tuple[NodeInfo, ...]:
        """Every node with its state, in ring order. Reads the node list if it has not been read yet.

        Datacenter and rack come from the system tables, which are read here, in a second at most, whenever nodes have
        come or gone. Where they may not be read, both are None, save those that the routing scope names.
        """
        self._prepare(time.monotonic(), None)
        self._locations.update()
        return self._membership.nodes()

    @property
    def topology(self) -> Topology:
        """The nodes as discovery found them, and the routing scope in use."""
        self._prepare(time.monotonic(), None)
        return self._membership.view.topology

    def refresh(self) -> bool:
        """Read the node list now. True if a node told it; else the last list stays."""
        self._prepare(time.monotonic(), None)
        return self._membership.refresh()

    def system_table(self, name: str, /, **partition_key: Any) -> Iterator[dict[str, Any]]:
        """The rows of one of ScyllaDB's system tables: ``cluster.system_table("system.peers")``.

        With a value for its partition key only the rows that have it:
        ``cluster.system_table("system.config", name="alternator_write_isolation")``. A row is a dict; what Alternator
        has no type for comes as text. All rows are of one node, because each has its own; with
        ``cluster.options(consistent_node=...)`` you pick which.

        Raises `ConfigurationError` here, and while rows are read `SystemTableError`, which says what must be granted,
        and the errors of any request.
        """
        return read_system_table(self.client, name, partition_key, self._at_one_node())

    def route(self, table_name: str, key: Any) -> KeyRoute:
        """Which nodes the writes of one partition key go to, in order, and why. No request is sent.

        `key`: the partition key's value (str, int, Decimal, bytes), or an attribute value such as ``{"S": "alice"}``.
        Raises `ConfigurationError` for a key that is neither.
        """
        from . import diagnostics

        return diagnostics.route(self.core, table_name, key)

    def check(self, *, timeout: float = 2.0) -> list[Finding]:
        """Look at everything that can be wrong between this process and the cluster, and say what to do about it.

        Asks every node some harmless questions; `timeout` is for each of them, in seconds. Trouble with the cluster
        is a finding and never an exception.
        """
        from . import diagnostics

        return list(diagnostics.examine(self.core, timeout=timeout))

    def stats(self) -> dict[str, NodeStats]:
        """Counters of each node by its address, since this process has known it. Asks nobody, and waits for nobody."""
        from . import diagnostics

        return diagnostics.stats(self.core)

    def register_table(
        self, table_name: str, partition_key: str, key_route_affinity: KeyRouteAffinity | None = None
    ) -> None:
        """Tell the name of a table's partition key, and an affinity mode that differs from the cluster's.

        Models do this by themselves.
        """
        self._tables.register(table_name, partition_key, key_route_affinity)

    def learn_write_isolation(self, table_name: str, isolation: str) -> None:
        """Tell which writes of a table use a lightweight transaction, so that AUTO affinity need not ask."""
        self._tables.learn_write_isolation(table_name, isolation)

    def allow_pool_connections(self, count: int) -> None:
        """Raise the limit of connections to one node to `count`, if it is lower."""
        self._pools.raise_limit(count)

    def options(
        self,
        *,
        request_compression: Gzip | Deflate | NotGiven | None = NOT_GIVEN,
        response_compression: bool | Sequence[str] | None = None,
        timeouts: Timeouts | Mapping[str, float | None] | None = None,
        key_route_affinity: KeyRouteAffinity | str | None = None,
        routing_scope: Scope | None = None,
        consistent_node: str | bool | None = None,
        extra_headers: Mapping[str, str] | None = None,
        silent_writes: Literal["raise", "wait", "repeat"] | None = None,
        **others: Any,
    ) -> AbstractContextManager[None]:
        """Other settings for the requests that are made inside: ``with cluster.options(timeouts={"read": 3}): ...``.

        They hold in this thread or async task, for this cluster, before those of models and of the cluster. Blocks
        nest: the inner one wins, and what it does not name stays. What is not given, or None, stays as well, save
        `request_compression`, where None means none.

        `timeouts`: a `Timeouts`, or a mapping of those that differ. `routing_scope`: one whose nodes the cluster knows,
        because it stands in the configured chain or is the datacenter of a rack there. `consistent_node`: all requests
        inside prefer one node, which a name of your own picks (the same in all processes), or True (any); they move on
        if it fails. False ends that in an inner block. `silent_writes`: as in `Retries`.

        Nodes, TLS and credentials belong to the cluster and cannot be changed so. Raises `ConfigurationError`, here and
        not at the first request.
        """
        settings = block_settings(
            {
                "request_compression": request_compression,
                "response_compression": response_compression,
                "timeouts": timeouts,
                "key_route_affinity": key_route_affinity,
                "routing_scope": routing_scope,
                "extra_headers": extra_headers,
                "silent_writes": silent_writes,
                **others,
            }
        )
        if routing_scope is not None:
            self._membership.view_for(routing_scope)
        if consistent_node is not None:
            settings["consistent_node"] = _number_of(consistent_node)
        return block(self._owner, RequestOptions(**settings))

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Stop the background thread and close all connections. Later requests raise `ClusterClosedError`.

        May be called again. Takes at most two seconds. Requests that are under way finish.
        """
        self._check_process()
        self._closed = True
        self._finalizer.detach()
        self._parts.shut_down()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        topology = self._membership.view.topology
        states: dict[str, int] = {}
        for node in self._membership.nodes():
            states[node.state.value] = states.get(node.state.value, 0) + 1
        if self._closed:
            state = "closed"
        elif not states:
            state = f"seeds {', '.join(self.config.seeds)}; not used yet"
        else:
            state = ", ".join(f"{count} {name}" for name, count in sorted(states.items()))
        return f"<Cluster {self.name!r}: {state}; scope: {topology.scope}>"

    # ---- the inside --------------------------------------------------------------------------------------------

    @property
    def core(self) -> Inside:
        """What diagnostics see of the inside. For the rooms of this library, and not for applications."""
        return _Core(
            config=self.config,
            membership=self._membership,
            tables=self._tables,
            router=self._environment.router,
            counts=self._environment.counts,
            control=self._control,
            pools=self._pools,
            sender=self._sender,
            prepare=self._prepare,
            pool_stats=self._all_pools.stats,
            resolve=resolve,
        )

    @property
    def _owner(self) -> object:
        """What stands for this cluster in context variables, which must not keep it alive."""
        return self._sender.owner

    def _at_one_node(self, **others: Any) -> Callable[[], AbstractContextManager[None]]:
        """Makes ``with`` blocks whose requests all prefer one node: the one chosen by the caller, else any."""
        number = current(self._owner).consistent_node
        if number is None or number is False:
            number = random.getrandbits(31)
        options = RequestOptions(consistent_node=number, **others)
        return lambda: block(self._owner, options)

    def _system_tables_of_one_node(self) -> Callable[[str], Iterator[dict[str, Any]]]:
        seconds = _PLACES_TIMEOUT / 2  # for each of the two tables
        at_one_node = self._at_one_node(
            all_timeouts=Timeouts(connect=seconds, read=seconds, total=seconds), max_attempts=2
        )
        return lambda name: read_system_table(self.client, name, {}, at_one_node)

    def new_client(self, session: Any = None, *, validate_parameters: bool = False) -> Any:
        """Another botocore client of this cluster, with event handlers of its own.

        `session`: the botocore session to make it in, for whoever has registered something there.
        `validate_parameters`: whether botocore checks parameters before they are sent.
        """
        url = self._seed_url()
        return make_client(
            self.session if session is None else session,
            region=self.config.region,
            url=url,
            serializer=RequestSerializer(validate=validate_parameters),
            user_agent=None,
            endpoint=lambda events: ClusterEndpoint(
                url, self.config, self._environment, self._sender, events, prepare=self._prepare
            ),
        )

    def _seed_url(self) -> str:
        """The address that botocore shows as its endpoint; requests go to all nodes."""
        host, port = checks.split_port(next(iter(self.config.seeds)), "seed")
        return Node(self.config.scheme, host, port or self.config.port).endpoint

    def _prepare(self, now: float, total: float | None) -> None:
        """Before each request: be awake, and have nodes to route to."""
        if os.getpid() != self._pid:
            self._take_over()
        if self._closed:
            raise ClusterClosedError(f"The cluster {self.name!r} is closed")
        if not self._has_monitor:
            self._refresh_inline(now, None if total is None else now + total)
            return
        monitor = self._monitor
        monitor.used(now)
        if not monitor.ready.is_set():
            wait = self.config.discovery.startup_wait
            monitor.ready.wait(wait if total is None else min(wait, total))
            if not self._membership.view.topology.ring and not monitor.running:
                # Not while it runs: it may wait for the resolver, and so would we.
                self._membership.begin()

    def _prepare_would_wait(self, now: float) -> bool:
        """Whether `_prepare` would wait for nodes now. An event loop must not call it then."""
        if self._has_monitor:
            return not self._monitor.ready.is_set()
        last = self._membership.last_read
        return last is None or now - last >= self.config.discovery.interval or bool(self._reactions.suspects)

    def _refresh_inline(self, now: float, deadline: float | None) -> None:
        """Without a monitor a request does what cannot wait, within its deadline."""
        membership, reactions = self._membership, self._reactions
        last = membership.last_read
        with self._inline.until(deadline):
            if last is None or now - last >= self.config.discovery.interval:
                membership.begin()
                most = {} if deadline is None else {"most": max(0.0, deadline - time.monotonic())}
                membership.refresh(wait=membership.last_success is None, **most)
                reactions.suspects.update(dict.fromkeys(membership.probes_due(now)))
            timeout = min(self.config.health.probe_timeout, _INLINE_PROBE_TIMEOUT)
            if deadline is None or time.monotonic() + timeout < deadline:
                # One at a time, because a request waits for it. Other threads may be about to take the same.
                for node in tuple(reactions.suspects)[:1]:
                    reactions.suspects.pop(node, None)
                    membership.probe(node, timeout)

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            self._take_over()

    def _take_over(self) -> None:
        """Called in a forked child: what the parent's threads and sockets were must not be touched."""
        pid = os.getpid()
        # A lock of this process alone: an inherited one may be held by a thread that exists in the parent only.
        with self._take_overs.setdefault(pid, threading.RLock()):
            parent = self._pid
            if parent == pid:
                return  # another thread has done it
            self._lock = threading.Lock()
            self._all_pools.after_fork()
            self._control.after_fork()
            self._membership.after_fork()
            self._environment.budget.after_fork()
            self._monitor.after_fork()
            self._tables.after_fork()
            self._lookups.after_fork()
            self._locations.after_fork()
            self._environment.counts.clear()
            self._pid = self._parts.pid = pid
        signals.emit(signals.client_forked, self, cluster_name=self.name, old_pid=parent, new_pid=pid)


@dataclass(frozen=True, slots=True)
class _Core:
    """`diagnostics.Inside`, made of a cluster's own parts."""

    config: ClusterConfig
    membership: Membership
    tables: Tables
    router: Router
    counts: Counts
    control: ControlConnections
    pools: Pools
    sender: Sender
    prepare: Callable[[float, float | None], None]
    pool_stats: Callable[[], Mapping[str, PoolStats]]
    resolve: Callable[[str], Sequence[str]]


class _Inline:
    """Fetches for discovery and probes, within the deadline of the request whose thread does it, if one does."""

    def __init__(self, control: ControlConnections) -> None:
        self._control = control
        self._of_thread = threading.local()

    @contextlib.contextmanager
    def until(self, deadline: float | None) -> Iterator[None]:
        self._of_thread.deadline = deadline
        try:
            yield
        finally:
            self._of_thread.deadline = None

    def fetch(self, node: Node, path: str, timeout: float) -> tuple[int, bytes]:
        deadline = getattr(self._of_thread, "deadline", None)
        if deadline is not None:
            timeout = min(timeout, deadline - time.monotonic())
            if timeout <= 0:
                raise DeadlineBeforeSendError("The deadline of the request that would have asked has passed")
        return self._control.fetch_answer(node, path, timeout)


class _Reactions:
    """What happens when the membership changes. Refers to the cluster weakly: the monitor thread holds this object,
    and a cluster that nobody else holds shall be collected."""

    def __init__(self, cluster: weakref.ref[Cluster]) -> None:
        self._cluster = cluster
        self.suspects: dict[Node, None] = {}
        """Nodes that the next request probes, where there is no monitor."""

    def connect(self, monitor: Monitor, pools: AllPools, control: ControlConnections) -> None:
        self._monitor = monitor
        self._pools = pools
        self._control = control

    def emit(self, signal: NamedSignal, **payload: Any) -> None:
        if signal.receivers:
            cluster = self._cluster()
            if cluster is not None:
                signals.emit(signal, cluster, cluster_name=cluster.name, **payload)

    def members_changed(self, nodes: Collection[Node]) -> None:
        self._pools.keep_only(nodes)
        self._control.keep_only(nodes)
        cluster = self._cluster()
        if cluster is not None:
            cluster._environment.counts.forget_others(node.address for node in nodes)

    def went_down(self, node: Node) -> None:
        # Whoever is just connecting shall be told why: a bad certificate is found by a probe and by requests at once.
        cluster = self._cluster()
        trouble = None if cluster is None else cluster._membership.trouble_with(node)
        self._pools.cut(node, f"the node was declared down{f' ({trouble})' if trouble else ''}")

    def suspect(self, node: Node) -> None:
        cluster = self._cluster()
        if cluster is None or cluster._has_monitor:
            self._monitor.suspect(node)
        else:
            self.suspects[node] = None


@dataclass(slots=True)
class _Parts:
    """What is to be shut down when a cluster ends. It does not refer to the cluster."""

    pid: int
    monitor: Monitor
    lookups: Lookups
    pools: AllPools
    control: ControlConnections

    def shut_down(self) -> None:
        # The threads before the connections: a probe that is cut would take its node down.
        self.lookups.close(0.0)
        self.monitor.close(_CLOSE_TIMEOUT)
        self.pools.close()
        self.control.close()
        self.lookups.close(_CLOSE_TIMEOUT)

    def forgotten(self) -> None:
        """The garbage collector has found the cluster, in whatever thread, at whatever place: perhaps in one that holds
        a lock of ours. So nothing is done here that takes one."""
        if os.getpid() != self.pid:
            self.pools.after_fork()
            self.control.after_fork()
            return
        # When the interpreter ends there are no more threads; neither will there be any of ours.
        with contextlib.suppress(RuntimeError):
            threading.Thread(target=self.shut_down, name="pynamodb_alternator-close", daemon=True).start()


def _number_of(consistent_node: object) -> int:
    """The number by which a query plan picks its first node."""
    if isinstance(consistent_node, bool):
        return consistent_node and random.getrandbits(31)
    if isinstance(consistent_node, str) and consistent_node:
        try:
            return key_hash("S", consistent_node)
        except UnicodeEncodeError:
            pass
    raise ConfigurationError(
        "Cluster.options: consistent_node must be True, False, or a name of your own that picks the node "
        f"(got {checks.shown(consistent_node)})."
    )


def _alive(cluster: weakref.ref[Cluster]) -> Cluster:
    found = cluster()
    if found is None:
        raise ClusterClosedError("The cluster is gone")
    return found


def resolve(name: str) -> Sequence[str]:
    """The addresses of a host name, in the resolver's order. Raises OSError."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[4][0]) for address in found))


def _can_be_frozen() -> bool:
    """Whether the process may stand still between two requests, as an AWS Lambda function does."""
    return "AWS_LAMBDA_FUNCTION_NAME" in os.environ


def _after_fork_in_child() -> None:
    for cluster in list(_clusters):
        cluster._take_over()


def _close_all_at_exit() -> None:
    for cluster in list(_clusters):
        cluster.close()


atexit.register(_close_all_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
