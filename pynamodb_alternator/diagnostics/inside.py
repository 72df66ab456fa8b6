"""The protocol of the parts of a cluster that diagnostics use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..core.own_questions import OwnQuestions
    from ..routing.router import Router
    from ..routing.tables import Tables
    from ..settings.config import ClusterConfig
    from ..topology.membership import Membership
    from ..topology.replicas import Replicas
    from ..transport.control import ControlConnections
    from ..transport.counts import Counts
    from ..transport.lanes import Sender
    from ..transport.loads import Loads
    from ..transport.pool import Pools
    from ..transport.pool_core import PoolStats

__all__ = ["Inside"]


class Inside(Protocol):
    """The parts of one cluster that diagnostics use."""

    @property
    def config(self) -> ClusterConfig: ...

    @property
    def membership(self) -> Membership:
        """The nodes. Diagnostics use its `view` and `nodes()`."""

    @property
    def tables(self) -> Tables:
        """What is known of tables. Diagnostics use `names()` and `get()`."""

    @property
    def replicas(self) -> Replicas:
        """The known token rings. Diagnostics use `ring()` and `is_wanted()`."""

    @property
    def questions(self) -> OwnQuestions:
        """The library's own questions. Diagnostics use `token_rings`."""

    @property
    def key(self) -> object:
        """Identifies the cluster in context variables."""

    @property
    def has_monitor(self) -> bool:
        """Whether the cluster has a background thread."""

    @property
    def router(self) -> Router:
        """Decides where requests go. Diagnostics use `route_key()`."""

    @property
    def counts(self) -> Counts:
        """Answers and failures of each node by its address."""

    @property
    def loads(self) -> Loads | None:
        """How busy each node is; None if the order of the nodes does not depend on it."""

    @property
    def control(self) -> ControlConnections:
        """Makes GET requests outside of the pools, by `fetch()`."""

    @property
    def pools(self) -> Pools:
        """Connections for POST requests. Diagnostics use `acquire()` and `release()`."""

    @property
    def sender(self) -> Sender:
        """The headers of this cluster's requests. Diagnostics use `extra_headers()`, `signers()` and `signature()`."""

    def prepare(self, now: float, total: float | None, /) -> None:
        """Wait until nodes are known, for at most `total` seconds; None for no limit.

        `now`: the time of the monotonic clock. Raises `ClusterClosedError`.
        """

    def pool_stats(self) -> Mapping[str, PoolStats]:
        """The connections to each node by its address, those of event loops included."""

    def resolve(self, name: str, /) -> Sequence[str]:
        """The addresses of a host name. Raises OSError. May take as long as the resolver does."""
