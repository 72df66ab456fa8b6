"""The doctor: examines a cluster, and reports findings with their remedies.

It asks questions that change nothing: ``GET /``, ``GET /localnodes``, ListTables, DescribeTable, ListTagsOfResource,
the system tables, and some keys of tables whose partition keys are numbers. It asks each node directly, so it uses no
query plan, and the answers do not count for health.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..settings import checks as settings
from .checks import (
    authentication,
    canonical_numbers,
    clock_skew,
    datacenters,
    rack_support,
    reachability,
    request_compression,
    response_compression,
    routing_scope,
    seeds,
    set_aside,
    token_ring,
    topology,
    write_isolation,
)
from .examination import Examination
from .node_report import NodeReport, reach
from .questions import Questions, at_once
from .values import Finding

if TYPE_CHECKING:
    from ..topology.node import Node
    from ..transport.signing import Signer
    from .inside import Inside

__all__ = ["examine", "ping", "troubles"]

Check = Callable[[Examination], Iterator[Finding]]

_ALWAYS: tuple[Check, ...] = (seeds.check, reachability.check, set_aside.check)
_WHY_NO_NODE: tuple[Check, ...] = (seeds.check, reachability.check, routing_scope.check)
_IF_A_NODE_ANSWERS: tuple[Check, ...] = (
    topology.check,
    rack_support.check,
    routing_scope.check,
    clock_skew.check,
    authentication.check,
)
_IF_REQUESTS_ARE_LET_IN: tuple[Check, ...] = (
    request_compression.check,
    response_compression.check,
    datacenters.check,
    write_isolation.check,
    token_ring.check,
    canonical_numbers.check,
)


def examine(
    inside: Inside,
    *,
    timeout: float = 2.0,
    wall_clock: Callable[[], float] = time.time,
    signer: Callable[[], Signer | None] | None = None,
) -> Iterator[Finding]:
    """The findings, one after another. `timeout`: seconds for each question. `signer`: returns the signer of requests;
    None to ask the cluster's credentials, once.

    Raises `ConfigurationError` for a wrong timeout, and `ClusterClosedError` when the first finding is requested.
    """
    settings.positive("Cluster.check: timeout", timeout)
    return _findings(Examination(inside, timeout, wall_clock, signer))


def _findings(examination: Examination) -> Iterator[Finding]:
    examination.inside.prepare(time.monotonic(), examination.timeout)
    for check in _ALWAYS:
        yield from check(examination)
    if not examination.well:
        return
    for check in _IF_A_NODE_ANSWERS:
        yield from check(examination)
    if not examination.is_admitted:
        return
    for check in _IF_REQUESTS_ARE_LET_IN:
        yield from check(examination)


def ping(inside: Inside, *, timeout: float = 2.0) -> dict[str, float | Exception]:
    """For each node by its address: the seconds until it answered, or the error.

    `timeout`: seconds for each of two questions to a node. Raises `ClusterClosedError`.
    """
    inside.prepare(time.monotonic(), timeout)
    questions = Questions(inside, timeout)

    def look(node: Node) -> NodeReport:
        return reach(questions, node, time.time)

    reports = at_once(look, inside.membership.view.topology.ring)
    return {report.node.address: report.error or report.latency for report in reports}


def troubles(inside: Inside, *, timeout: float = 2.0) -> list[Finding]:
    """Why the cluster, or the routing scope, has no node: the warnings and errors that `examine` has about this.

    `timeout`: seconds for each question. Raises `ClusterClosedError`.
    """
    examination = Examination(inside, timeout, time.time)
    inside.prepare(time.monotonic(), timeout)
    findings = (finding for check in _WHY_NO_NODE for finding in check(examination))
    return [finding for finding in findings if finding.severity != "ok"]
