"""The facts for the checks: the seeds, the nodes, and the nodes' answers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..core.system_tables import read_locations, read_system_table
from ..settings.config import ClusterConfig
from ..settings.scopes import ClusterScope, Scope, chain
from ..topology.localnodes import path_for
from ..topology.node import Node
from ..topology.reading import Location
from ..topology.view import ring_order
from .node_report import NodeReport, look_at, reach
from .questions import NodesClient, Questions, at_once, refusal
from .seed_report import SeedReport, look_at_seeds

if TYPE_CHECKING:
    from ..transport.http1 import Answer
    from ..transport.signing import Signer
    from .inside import Inside

__all__ = ["Examination"]


class Examination:
    """One examination of a cluster. Each fact is gathered when the first check needs it, and does not change later.

    `timeout`: seconds for each question. `wall_clock`: is compared with the nodes' clocks. `signer`: see `Questions`.
    """

    def __init__(
        self,
        inside: Inside,
        timeout: float,
        wall_clock: Callable[[], float],
        signer: Callable[[], Signer | None] | None = None,
    ) -> None:
        self.inside = inside
        self.timeout = timeout
        self._wall_clock = wall_clock
        self._questions = Questions(inside, timeout, signer)

    @property
    def config(self) -> ClusterConfig:
        return self.inside.config

    @property
    def named_scopes(self) -> list[Scope]:
        """The routing scopes that name a datacenter, in the order of the fallbacks."""
        return [scope for scope in chain(self.config.routing_scope) if scope.datacenter is not None]

    @property
    def covers_whole_cluster(self) -> bool:
        """Whether a `ClusterScope` is among the routing scopes."""
        return any(isinstance(scope, ClusterScope) for scope in chain(self.config.routing_scope))

    # ---- facts -------------------------------------------------------------------------------------------------

    @cached_property
    def seeds(self) -> tuple[SeedReport, ...]:
        """The configured seeds, resolved."""
        return look_at_seeds(self.config, self.inside.resolve, self.timeout)

    @cached_property
    def nodes(self) -> tuple[NodeReport, ...]:
        """All nodes that the cluster knows or a seed names."""
        known = self.inside.membership.view.topology.ring
        nodes = ring_order([*known, *(node for seed in self.seeds for node in seed.nodes)])
        look = look_at if self.config.discovery.enabled else reach
        return tuple(at_once(lambda node: look(self._questions, node, self._wall_clock), nodes))

    @cached_property
    def well(self) -> tuple[NodeReport, ...]:
        """The nodes that answer well."""
        return tuple(report for report in self.nodes if report.is_well)

    @cached_property
    def listings(self) -> Mapping[Node, Answer | Exception]:
        """The answer of each well node to a ListTables, which is signed if the cluster has credentials."""
        return self.ask_each("ListTables", {"Limit": 1})

    @cached_property
    def is_admitted(self) -> bool:
        """Whether the server accepts our requests. If not, the later checks are useless."""
        return any(
            not isinstance(answer, Exception) and (answer.status < 300 or refusal(answer)[0] == "AccessDeniedException")
            for answer in self.listings.values()
        )

    @cached_property
    def locations(self) -> Mapping[str, Location]:
        """Datacenter and rack by the address of a node, from the system tables.

        Raises `SystemTableError`, the errors of requests, and ValueError for an answer that is not JSON.
        """
        return read_locations(lambda name: read_system_table(self.client, name, {}, contextlib.nullcontext))

    # ---- questions ---------------------------------------------------------------------------------------------

    @property
    def client(self) -> NodesClient:
        """A client that asks the well nodes, for any routing scope."""
        return NodesClient(self._questions, [report.node for report in self.well])

    def ask_each(self, operation: str, parameters: Mapping[str, Any], **more: Any) -> dict[Node, Answer | Exception]:
        """The answer of each well node to one request (`Questions.post`), or the error."""

        def ask(report: NodeReport) -> Answer | Exception:
            try:
                return self._questions.post(report.node, operation, parameters, **more)
            except Exception as error:
                return error

        nodes = [report.node for report in self.well]
        if more.get("signed", True):
            try:
                self._questions.signer()  # called once here, so that the threads do not all call it
            except Exception as error:
                return dict.fromkeys(nodes, error)
        return dict(zip(nodes, at_once(ask, self.well), strict=True))

    def size_of(self, scope: Scope, source: Node) -> int:
        """How many nodes `source` lists in this scope. Raises `TransportError`, OSError and ValueError."""
        return len(self._questions.node_list(source, path_for(scope), scope)[0])
