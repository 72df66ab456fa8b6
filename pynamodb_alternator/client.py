"""The cluster as a user holds it: where the rooms are joined to one botocore client.

`Cluster` stands here and not in ``cluster/``, because it knows all three rooms and none of them may know the others.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
import time
import weakref
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from blinker import NamedSignal

from . import signals
from .cluster.membership import Membership, NodeInfo
from .cluster.monitor import Monitor
from .cluster.node import Node
from .cluster.topology import Topology
from .config import ClusterConfig, KeyRouteAffinity
from .errors import ClusterClosedError
from .lookups import Lookups
from .routing.router import Router
from .routing.tables import Tables
from .transport._botocore import client_session, make_client
from .transport.attempts import Environment
from .transport.budget import RetryBudget
from .transport.control import Control
from .transport.endpoint import ClusterEndpoint
from .transport.lanes import RequestSerializer, Wire
from .transport.pool import Pools

__all__ = ["Cluster"]

_log = logging.getLogger("pynamodb_alternator.cluster")

_clusters: weakref.WeakSet[Cluster] = weakref.WeakSet()
"""All clusters of this process, for the hook that runs in a forked child."""

_CLOSE_TIMEOUT = 2.0
"""Seconds that `close` waits for the cluster's threads, which are daemons: none holds up the process."""


class Cluster:
    """A cluster of Alternator nodes, and one botocore client over all of them.

    `config`: a `ClusterConfig`, a URL such as ``"http://10.0.0.1,10.0.0.2:8000/?datacenter=dc1"``, or a mapping.
    Nothing is connected before the first request, or the first look at `nodes`, `topology` or `refresh`.

    A cluster may be shared by threads, and is a context manager. A forked child goes on with connections of its own.
    """

    def __init__(self, config: ClusterConfig | str | Mapping[str, Any]) -> None:
        self.config = config = ClusterConfig.of(config)
        reactions = _Reactions(weakref.ref(self))
        self._control = Control()
        self._pools = Pools(limit=config.max_pool_connections)
        self._membership = Membership(
            config,
            reactions,
            fetch=self._control.fetch_answer,
            resolve=_resolve,
            clock=time.monotonic,
            random=random.Random(),
        )
        self._monitor = Monitor(
            self._membership,
            waits=self._pools.waits,
            clock=time.monotonic,
            random=random.Random(),
        )
        reactions.connect(self._monitor, self._pools, self._control)
        self._tables = Tables(config)
        self._environment = Environment(
            membership=self._membership,
            router=Router(config, self._tables, random.Random()),
            budget=RetryBudget(),
            tell=reactions.emit,
            clock=time.monotonic,
            random=random.Random(),
            retry_ambiguous_writes=config.retry_ambiguous_writes,
        )
        self._wire = Wire(config, self._pools)
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
        self._tables.on_unknown = self._lookups.wanted
        self._membership.trust_listed = not self._has_monitor
        self._client: Any = None
        self._session: Any = None
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._closed = False
        self._finalizer = weakref.finalize(self, _shut_down, self._monitor, self._lookups, self._pools, self._control)
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
            session = self.session
            with self._lock:
                if self._client is None:
                    self._client = self._make_client(session)
        return self._client

    @property
    def session(self) -> Any:
        """The botocore session that the client was made in. It reads no AWS configuration."""
        if self._session is None:
            with self._lock:
                if self._session is None:
                    self._session = client_session()
        return self._session

    def nodes(self) -> tuple[NodeInfo, ...]:
        """Every node with its state, in ring order. Reads the node list if it has not been read yet."""
        self._prepare(time.monotonic(), None)
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

    def register_table(
        self, table_name: str, partition_key: str, key_route_affinity: KeyRouteAffinity | None = None
    ) -> None:
        """Tell the name of a table's partition key, and an affinity mode that differs from the cluster's.

        Models do this by themselves.
        """
        self._tables.register(table_name, partition_key, key_route_affinity)

    def allow_pool_connections(self, count: int) -> None:
        """Raise the limit of connections to one node to `count`, if it is lower."""
        self._pools.raise_limit(count)

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Stop the background thread and close all connections. Later requests raise `ClusterClosedError`.

        May be called again. Takes at most two seconds. Requests that are under way finish.
        """
        self._closed = True
        self._finalizer()

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

    def _make_client(self, session: Any) -> Any:
        seed = Node(self.config.scheme, next(iter(self.config.seeds)), self.config.port)
        url = f"{self.config.scheme}://{seed.host_header}"
        return make_client(
            session,
            region=self.config.region,
            url=url,
            serializer=RequestSerializer(),
            user_agent=None,
            endpoint=lambda events: ClusterEndpoint(
                url, self.config, self._environment, self._wire, events, prepare=self._prepare
            ),
        )

    def _prepare(self, now: float, total: float | None) -> None:
        """Before each request: be awake, and have nodes to route to."""
        if os.getpid() != self._pid:
            self._take_over()
        if self._closed:
            raise ClusterClosedError(f"The cluster {self.name!r} is closed")
        if not self._has_monitor:
            self._refresh_inline(now)
            return
        monitor = self._monitor
        monitor.used(now)
        if not monitor.ready.is_set():
            wait = self.config.discovery.startup_wait
            monitor.ready.wait(wait if total is None else min(wait, total))
            if not self._membership.view.topology.ring:
                self._membership.begin()

    def _refresh_inline(self, now: float) -> None:
        membership = self._membership
        last = membership.last_read
        if last is not None and now - last < self.config.discovery.interval:
            return
        membership.begin()
        membership.refresh(wait=membership.last_success is None)
        for node in membership.probes_due(now)[:1]:
            # One at a time and impatiently, because a request waits for it.
            membership.probe(node, min(self.config.health.probe_timeout, 0.25))

    def _take_over(self) -> None:
        """Called in a forked child: what the parent's threads and sockets were must not be touched."""
        parent, self._pid = self._pid, os.getpid()
        self._lock = threading.Lock()
        self._pools.forget()
        self._control.forget()
        self._membership.after_fork()
        self._environment.budget.after_fork()
        self._monitor.after_fork()
        self._tables.after_fork()
        self._lookups.after_fork()
        signals.emit(signals.client_forked, self, cluster_name=self.name, old_pid=parent, new_pid=self._pid)


class _Reactions:
    """What happens when the membership changes. Refers to the cluster weakly: the monitor thread holds this object,
    and a cluster that nobody else holds shall be collected."""

    def __init__(self, cluster: weakref.ref[Cluster]) -> None:
        self._cluster = cluster

    def connect(self, monitor: Monitor, pools: Pools, control: Control) -> None:
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

    def went_down(self, node: Node) -> None:
        self._pools.cut(node)

    def doubt(self, node: Node) -> None:
        cluster = self._cluster()
        if cluster is None or cluster._has_monitor:
            self._monitor.doubt(node)


def _shut_down(monitor: Monitor, lookups: Lookups, pools: Pools, control: Control) -> None:
    lookups.close(0.0)
    monitor.close(_CLOSE_TIMEOUT)
    pools.close()
    control.close()
    lookups.close(_CLOSE_TIMEOUT)


def _alive(cluster: weakref.ref[Cluster]) -> Cluster:
    found = cluster()
    if found is None:
        raise ClusterClosedError("The cluster is gone")
    return found


def _resolve(name: str) -> Sequence[str]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[4][0]) for address in found))


def _can_be_frozen() -> bool:
    """Whether the process may stand still between two requests, as an AWS Lambda function does."""
    return "AWS_LAMBDA_FUNCTION_NAME" in os.environ


def _after_fork_in_child() -> None:
    for cluster in list(_clusters):
        cluster._take_over()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
