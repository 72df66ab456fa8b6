"""The cluster as a user holds it: its public methods, over a `ClusterCore` that owns the inside."""

from __future__ import annotations

import random
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Never, NoReturn, Self

from ._stubs import with_client_type
from .core.cluster_core import ClusterCore
from .core.system_tables import read_system_table
from .errors import ConfigurationError
from .routing.hashing import key_hash
from .settings import checks
from .settings.compression import Deflate, Gzip
from .settings.config import ClusterConfig
from .settings.options import NOT_GIVEN, NotGiven, RequestOptions, block, block_options
from .settings.scopes import Scope
from .settings.values import CanonicalNumbers, Hedge, KeyRouteAffinity, Timeouts
from .topology.node_info import NodeInfo
from .topology.view import Topology

if TYPE_CHECKING:
    from botocore.session import Session

    from ._stubs import Client
    from .diagnostics import Finding, KeyRoute, NodeStats

__all__ = ["Cluster"]

_REST = (
    "request_compression",
    "response_compression",
    "key_route_affinity",
    "routing_scope",
    "extra_headers",
    "silent_writes",
    "token_aware",
    "canonical_numbers",
    "hedge",
)
"""The settings of `Cluster.options` that are passed on as they are given: all except the timeouts."""
_NOTHING = (NOT_GIVEN, None, None, None, None, None, None, None, NOT_GIVEN)
"""The defaults of these settings."""


class Cluster:
    """A cluster of Alternator nodes, and one botocore client over all of them.

    Nothing is connected before the first request, or the first look at `nodes`, `topology` or `refresh`. A cluster may
    be shared by threads, and is a context manager. A forked child goes on with connections of its own.

    `config`: a `ClusterConfig`, a URL such as ``"http://10.0.0.1,10.0.0.2:8000/?datacenter=dc1"``, or a mapping.
    """

    def __init__(self, config: ClusterConfig | str | Mapping[str, Any]) -> None:
        config = ClusterConfig.of(config)
        self.config: ClusterConfig = config
        self.core: ClusterCore = ClusterCore(config, weakref.ref(self))
        """The inside, for this package's own modules. It may change with any version."""
        # For people with a debugger, and for scripts of bug reports: the connections of threads.
        self._pools = self.core.pools
        self._client: Any = None
        self._finalizer = weakref.finalize(self, self.core.forgotten)
        self._finalizer.atexit = False  # `core.processes` stops the threads then

    # ---- what users call ---------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name that signals and logs carry."""
        return self.config.name

    @property
    @with_client_type
    def client(self) -> Client:
        """A botocore DynamoDB client over all nodes, with every operation, paginator and waiter. One per cluster.

        Parameters are not validated here; the server does that. Closing it closes nothing, because others may use it
        as well: close the cluster.
        """
        if self._client is None:
            with self.core.making():
                if self._client is None:
                    self._client = self.new_client()
        client: Client = self._client
        return client

    @property
    def session(self) -> Session:
        """The botocore session that the client was made in. It reads no AWS configuration."""
        return self.core.session

    def nodes(self) -> tuple[NodeInfo, ...]:
        """Every node with its state, in ring order. Reads the node list if it has not been read yet.

        Datacenter and rack come from the system tables, which are read here, in a second at most, whenever nodes have
        come or gone. Where they may not be read, both are None, except those that the routing scope names.
        """
        self.core.prepare(time.monotonic(), None)
        self.core.questions.locations.update()
        return self.core.membership.nodes()

    @property
    def topology(self) -> Topology:
        """The nodes as discovery found them, and the routing scope in use."""
        self.core.prepare(time.monotonic(), None)
        return self.core.membership.view.topology

    def refresh(self) -> bool:
        """Read the node list now. True if a node told it; else the last list stays."""
        self.core.prepare(time.monotonic(), None)
        return self.core.membership.refresh()

    def system_table(self, name: str, /, **partition_key: Any) -> Iterator[dict[str, Any]]:
        """The rows of one of ScyllaDB's system tables: ``cluster.system_table("system.peers")``.

        With a value for its partition key only the rows that have it:
        ``cluster.system_table("system.config", name="alternator_write_isolation")``. A row is a dict; what Alternator
        has no type for comes as text. All rows are of one node, because each has its own; with
        ``cluster.options(consistent_node=...)`` you pick which.

        Raises `ConfigurationError` here, and while rows are read `SystemTableError`, which says what must be granted,
        and the errors of any request.
        """
        return read_system_table(self.client, name, partition_key, self.core.questions.at_one_node())

    def route(self, table_name: str, key: Any, index: str | None = None) -> KeyRoute:
        """Which nodes the requests of one partition key go to, in order, and why.

        `key`: the partition key's value (str, int, Decimal, bytes), or an attribute value such as ``{"S": "alice"}``.
        `index`: the name of an index, if the key is that of the index.

        No request is sent, except that with ``token_aware=True`` the token ring is read now, if it is not known and was
        not asked for yet. Raises `ConfigurationError` for a key that is neither.
        """
        from . import diagnostics

        return diagnostics.route(self.core, table_name, key, index)

    def check(self, *, timeout: float = 2.0) -> list[Finding]:
        """Look at everything that can be wrong between this process and the cluster, and say what to do about it.

        Asks every node some harmless questions; `timeout` is for each of them, in seconds. Trouble with the cluster
        is a finding and never an exception.
        """
        from . import diagnostics

        return list(diagnostics.examine(self.core, timeout=timeout))

    def stats(self) -> dict[str, NodeStats]:
        """Counters of each node by its address, since this process has known it. It sends no request, and does not
        wait."""
        from . import diagnostics

        return diagnostics.stats(self.core)

    def register_table(
        self,
        table_name: str,
        partition_key: str,
        key_route_affinity: KeyRouteAffinity | None = None,
        index_keys: Mapping[str, str] | None = None,
    ) -> None:
        """Tell the name of a table's partition key, and an affinity mode that differs from the cluster's.

        `index_keys`: the partition key of each of its indexes, by the index's name. Models do this by themselves.
        """
        self.core.tables.register(table_name, partition_key, key_route_affinity, index_keys)

    def learn_write_isolation(self, table_name: str, isolation: str) -> None:
        """Tell which writes of a table use a lightweight transaction, so that AUTO affinity need not ask."""
        self.core.tables.learn_write_isolation(table_name, isolation)

    def allow_pool_connections(self, count: int) -> None:
        """Raise the limit of connections to one node to `count`, if it is lower."""
        self.core.all_pools.raise_limit(count)

    def options(
        self,
        /,
        *,
        request_compression: Gzip | Deflate | NotGiven | None = NOT_GIVEN,
        response_compression: bool | Sequence[str] | None = None,
        timeouts: Timeouts | Mapping[str, float | None] | None = None,
        key_route_affinity: KeyRouteAffinity | str | None = None,
        routing_scope: Scope | None = None,
        consistent_node: str | bool | None = None,
        extra_headers: Mapping[str, str] | None = None,
        silent_writes: Literal["raise", "wait", "repeat"] | None = None,
        token_aware: Literal["auto"] | bool | None = None,
        canonical_numbers: CanonicalNumbers | None = None,
        hedge: Hedge | Mapping[str, Any] | Literal[False] | NotGiven | None = NOT_GIVEN,
        **others: Never,
    ) -> block:
        """Other settings for the requests that are made inside: ``with cluster.options(timeouts={"read": 3}): ...``.

        They hold in this thread or async task, for this cluster, before those of models and of the cluster. As a
        decorator they hold for each call of a function or coroutine function. Blocks nest: the inner one wins, and what
        it does not name stays. A setting that is not given, or is None, stays too. Only for `request_compression` and
        `hedge` does None mean none. A block may be kept, and entered by several threads and tasks at once.

        `timeouts`: a `Timeouts`, or a mapping of those that differ. `routing_scope`: a scope of the configured chain,
        or the datacenter of a rack there, because only their nodes are known. `consistent_node`: all requests inside
        prefer one node, which a name of your own picks (the same in all processes), or True (any); they move on if it
        fails. False ends that in an inner block. `silent_writes`: as in `Retries`. `token_aware`,
        `canonical_numbers`: as in `ClusterConfig`. `hedge`: a `Hedge`, or a mapping of its settings.

        Nodes, TLS and credentials belong to the cluster and cannot be changed so. Raises `ConfigurationError`, here and
        not at the first request.
        """
        settings: dict[str, Any] = {**others}
        if timeouts is not None:
            settings["timeouts"] = timeouts
        # A block around one request mostly has a deadline and nothing else, and shall cost next to nothing.
        rest = (
            request_compression,
            response_compression,
            key_route_affinity,
            routing_scope,
            extra_headers,
            silent_writes,
            token_aware,
            canonical_numbers,
            hedge,
        )
        if rest != _NOTHING:
            settings.update(
                (name, value)
                for name, value, default in zip(_REST, rest, _NOTHING, strict=True)
                if value is not default
            )
        options = block_options(settings)
        if routing_scope is not None:
            self.core.membership.view_for(routing_scope)
        if consistent_node is not None:
            options = RequestOptions(consistent_node=_number_of(consistent_node)).over(options)
        return block(self.core.key, options)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self.core.closed

    def close(self) -> None:
        """Stop the background thread and close all connections. Later requests raise `ClusterClosedError`.

        May be called again. Takes at most two seconds. Requests that are under way finish.
        """
        self._finalizer.detach()
        self.core.shut_down()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "A Cluster cannot be pickled or copied, because it has sockets and threads. Pass its configuration, which "
            "is cluster.config, and make another one of it there: Cluster(config)."
        )

    def __repr__(self) -> str:
        topology = self.core.membership.view.topology
        states: dict[str, int] = {}
        for node in self.core.membership.nodes():
            states[node.condition] = states.get(node.condition, 0) + 1
        if self.closed:
            state = "closed"
        elif not states:
            state = f"seeds {', '.join(self.config.seeds)}; not used yet"
        else:
            state = ", ".join(f"{count} {name}" for name, count in sorted(states.items()))
        return f"<Cluster {self.name!r}: {state}; scope: {topology.scope}>"

    @with_client_type
    def new_client(self, session: object = None, *, validate_parameters: bool = False) -> Client:
        """Another botocore client of this cluster, with event handlers of its own.

        `session`: the botocore session to make it in, for tools that have registered something there.
        `validate_parameters`: whether botocore checks parameters before they are sent.
        """
        client: Client = self.core.new_client(
            self.session if session is None else session, validate_parameters=validate_parameters, keep_alive=self
        )
        return client


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
