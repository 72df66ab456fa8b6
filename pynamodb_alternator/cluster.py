"""`Cluster`: the public methods of a cluster. A `ClusterCore` owns its parts."""

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
"""The settings of `Cluster.options` that are passed on unchanged: all except the timeouts."""
_NOTHING = (NOT_GIVEN, None, None, None, None, None, None, None, NOT_GIVEN)
"""The defaults of these settings."""


class Cluster:
    """A cluster of Alternator nodes, and one botocore client over all of them.

    It does not connect before the first request, or the first use of `nodes`, `topology` or `refresh`. Threads may
    share a cluster, and it is a context manager. A forked child may use it, with connections of its own.

    `config`: a `ClusterConfig`, a URL such as ``"http://10.0.0.1,10.0.0.2:8000/?datacenter=dc1"``, or a mapping.
    """

    def __init__(self, config: ClusterConfig | str | Mapping[str, Any]) -> None:
        config = ClusterConfig.of(config)
        self.config: ClusterConfig = config
        self.core: ClusterCore = ClusterCore(config, weakref.ref(self))
        """The inside, for this package's own modules. It may change with any version."""
        # The connections of threads, for debuggers and for scripts of bug reports.
        self._pools = self.core.pools
        self._client: Any = None
        self._finalizer = weakref.finalize(self, self.core.forgotten)
        self._finalizer.atexit = False  # `core.processes` stops the threads at exit

    # ---- what users call ---------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name of the cluster in signals and logs."""
        return self.config.name

    @property
    @with_client_type
    def client(self) -> Client:
        """A botocore DynamoDB client over all nodes, with every operation, paginator and waiter. There is one per
        cluster.

        Parameters are not validated here; the server does that. Closing the client closes nothing, because other code
        may use it too: close the cluster instead.
        """
        if self._client is None:
            with self.core.making():
                if self._client is None:
                    self._client = self.new_client()
        client: Client = self._client
        return client

    @property
    def session(self) -> Session:
        """The botocore session of the client. It reads no AWS configuration."""
        return self.core.session

    def nodes(self) -> tuple[NodeInfo, ...]:
        """Every node with its state, in ring order. Reads the node list if it has not been read yet.

        Datacenter and rack come from the system tables. They are read here, within at most a second, when nodes have
        come or gone. If they may not be read, both are None, unless the routing scope names them.
        """
        self.core.prepare(time.monotonic(), None)
        self.core.questions.locations.update()
        return self.core.membership.nodes()

    @property
    def topology(self) -> Topology:
        """The nodes that discovery has found, and the routing scope in use."""
        self.core.prepare(time.monotonic(), None)
        return self.core.membership.view.topology

    def refresh(self) -> bool:
        """Read the node list now. True if a node told it; otherwise the last list is kept."""
        self.core.prepare(time.monotonic(), None)
        return self.core.membership.refresh()

    def system_table(self, name: str, /, **partition_key: Any) -> Iterator[dict[str, Any]]:
        """The rows of one of ScyllaDB's system tables: ``cluster.system_table("system.peers")``.

        With a value for its partition key, only the rows with this value are read:
        ``cluster.system_table("system.config", name="alternator_write_isolation")``. A row is a dict. If Alternator has
        no type for a value, the value is text. All rows come from one node, because each node has its own rows. With
        ``cluster.options(consistent_node=...)`` you choose the node.

        Raises `ConfigurationError` at once for a wrong name. While rows are read, raises `SystemTableError`, which says
        what must be granted, and the errors of any request.
        """
        return read_system_table(self.client, name, partition_key, self.core.questions.at_one_node())

    def route(self, table_name: str, key: Any, index: str | None = None) -> KeyRoute:
        """Which nodes the requests of one partition key go to, in order, and why.

        `key`: the partition key's value (str, int, Decimal, bytes), or an attribute value such as ``{"S": "alice"}``.
        `index`: the name of an index, if the key is that of the index.

        No request is sent, with one exception: with ``token_aware=True``, the token ring is read now, if it is not
        known and was not requested before. Raises `ConfigurationError` for a wrong key.
        """
        from . import diagnostics

        return diagnostics.route(self.core, table_name, key, index)

    def check(self, *, timeout: float = 2.0) -> list[Finding]:
        """Check everything that can be wrong between this process and the cluster, and say what to do.

        It asks every node some harmless questions. `timeout`: seconds for each question. A problem of the cluster is a
        finding, and never an exception.
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
        """Set the name of a table's partition key, and an affinity mode that differs from the cluster's.

        `index_keys`: the partition key of each of its indexes, by the index's name. Models call this automatically.
        """
        self.core.tables.register(table_name, partition_key, key_route_affinity, index_keys)

    def learn_write_isolation(self, table_name: str, isolation: str) -> None:
        """Set the write isolation of a table, so that AUTO affinity does not have to look it up."""
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
        """Other settings for the requests inside of a block: ``with cluster.options(timeouts={"read": 3}): ...``.

        They apply in this thread or async task, for this cluster, and win over the settings of models and of the
        cluster. As a decorator, they apply to each call of a function or coroutine function. Blocks may be nested: the
        inner one wins. A setting that is not given, or is None, does not change. Only for `request_compression` and
        `hedge`, None means no compression and no hedged reads. A block may be kept, and entered by several threads and
        tasks at once.

        `timeouts`: a `Timeouts`, or a mapping of those that differ. `routing_scope`: a scope of the configured chain,
        or the datacenter of a rack there, because only their nodes are known. `consistent_node`: all requests inside
        prefer one node. A name of your own picks the node (the same one in all processes); True picks any node. If the
        node fails, they go to another one. False switches this off in an inner block. `silent_writes`: as in `Retries`.
        `token_aware`, `canonical_numbers`: as in `ClusterConfig`. `hedge`: a `Hedge`, or a mapping of its settings.

        Nodes, TLS and credentials belong to the cluster, and cannot be changed in this way. Raises `ConfigurationError`
        at once, and not at the first request.
        """
        settings: dict[str, Any] = {**others}
        if timeouts is not None:
            settings["timeouts"] = timeouts
        # Most blocks contain one request and have only a deadline, so this must be fast.
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
        """Whether the cluster was closed."""
        return self.core.closed

    def close(self) -> None:
        """Stop the background thread and close all connections. Later requests raise `ClusterClosedError`.

        May be called again. Takes at most two seconds. Requests under way end normally.
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

        `session`: the botocore session for it, in which tools may have registered handlers. `validate_parameters`:
        whether botocore checks parameters before they are sent.
        """
        client: Client = self.core.new_client(
            self.session if session is None else session, validate_parameters=validate_parameters, keep_alive=self
        )
        return client


def _number_of(consistent_node: object) -> int:
    """The number that picks the first node of a query plan."""
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
