"""What diagnostics need to know of the inside of a cluster, and all that they touch of it."""

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
    """The parts of one cluster that diagnostics look at."""

    @property
    def config(self) -> ClusterConfig: ...

    @property
    def membership(self) -> Membership:
        """The nodes: its `view`, and `nodes()` for people."""

    @property
    def tables(self) -> Tables:
        """What is known of tables: `names()` and `get()`."""

    @property
    def replicas(self) -> Replicas:
        """The token rings that are known: `ring()` and `is_wanted()`."""

    @property
    def questions(self) -> OwnQuestions:
        """What the library asks for itself: `token_rings`."""

    @property
    def key(self) -> object:
        """What stands for the cluster in context variables."""

    @property
    def has_monitor(self) -> bool:
        """Whether there is to be a background thread."""

    @property
    def router(self) -> Router:
        """Where requests go: `route_key()`."""

    @property
    def counts(self) -> Counts:
        """Answers and failures of each node by its address."""

    @property
    def loads(self) -> Loads | None:
        """How busy each node is; None where that does not decide about their order."""

    @property
    def control(self) -> ControlConnections:
        """GET requests beside the pools: `fetch()`."""

    @property
    def pools(self) -> Pools:
        """Connections for POST requests: `acquire()` and `release()`."""

    @property
    def sender(self) -> Sender:
        """The headers that requests of this cluster carry: `extra_headers()`, `signers()` and `signature()`."""

    def prepare(self, now: float, total: float | None, /) -> None:
        """Be awake, and have nodes, within `total` seconds if there is such a limit.

        `now`: what the monotonic clock says. Raises `ClusterClosedError`.
        """

    def pool_stats(self) -> Mapping[str, PoolStats]:
        """The connections to each node by its address, those of event loops included."""

    def resolve(self, name: str, /) -> Sequence[str]:
        """The addresses of a host name. Raises OSError. May take as long as the resolver does."""
