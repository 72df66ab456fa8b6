"""Do the nodes list each other, under addresses that can be used, and do they agree?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..values import Finding
from ..words import some_of

if TYPE_CHECKING:
    from ...topology.node import Node
    from ..examination import Examination
    from ..node_report import NodeReport

__all__ = ["check"]

_ID = "topology"
_MOST_ENTRIES, _MOST_VIEWS = 3, 4


def check(examination: Examination) -> Iterator[Finding]:
    if not examination.config.discovery.enabled:
        yield from _only_seeds(examination)
        return
    problems = [
        *_odd_lists(examination.well),
        *_disagreement(examination.well),
        *_other_addresses(examination.well),
    ]
    yield from problems
    if not problems:
        count = len({node for report in examination.well for node in report.lists})
        name = examination.config.name
        yield Finding(_ID, "ok", name, f"All nodes agree on the {count} nodes that there are.")


def _only_seeds(examination: Examination) -> Iterator[Finding]:
    """The finding if discovery is off. This is not an error, but its effect is reported."""
    name, scopes = examination.config.name, examination.named_scopes
    count = len(examination.inside.membership.view.topology.ring)
    yield Finding(
        _ID,
        "ok",
        name,
        f"Discovery is switched off: requests go to {count} seed{'' if count == 1 else 's'}, and to no other node. "
        "Whether the nodes agree was not asked.",
    )
    if scopes:
        yield Finding(
            "routing_scope",
            "warning",
            str(scopes[0]),
            "Discovery is switched off, so no node is asked for its list: requests go to all seeds.",
            "Name only seeds of this datacenter and rack, and leave the routing scope out; or switch discovery on.",
        )


def _odd_lists(well: Sequence[NodeReport]) -> Iterator[Finding]:
    for report in well:
        if report.list_error:
            yield Finding(
                _ID,
                "warning",
                report.subject,
                f"The node tells no node list: {report.list_error}.",
                "Is it ScyllaDB Alternator? Other DynamoDB servers have no /localnodes.",
            )
        elif report.refused:
            yield _refused_entries(report)
        elif not report.lists:
            yield Finding(
                _ID,
                "warning",
                report.subject,
                "The node lists no node, not even itself: it is joining or leaving.",
                "Wait until `nodetool status` shows it as UN.",
            )


def _refused_entries(report: NodeReport) -> Finding:
    reasons = "; ".join(f"{entry} is {why}" for entry, why in report.refused[:_MOST_ENTRIES])
    more = "; …" if len(report.refused) > _MOST_ENTRIES else ""
    return Finding(
        _ID,
        "warning" if report.lists else "error",
        report.subject,
        f"/localnodes names {len(report.refused)} nodes that cannot be used: {reasons}{more}.",
        "Set broadcast_rpc_address in each node's scylla.yaml to an address that clients can reach, or "
        "give an address_translator.",
    )


def _disagreement(well: Sequence[NodeReport]) -> Iterator[Finding]:
    """Nodes of different datacenters list different nodes. So two lists contradict each other only if one of the two
    nodes lists the other."""
    by_node = {report.node: report for report in well if report.lists}
    by_list: dict[frozenset[Node], list[NodeReport]] = {}
    contradicted: set[frozenset[Node]] = set()
    for report in by_node.values():
        own = frozenset(report.lists)
        by_list.setdefault(own, []).append(report)
        if any(frozenset(by_node[node].lists) != own for node in report.lists if node in by_node):
            contradicted.add(own)
    if not contradicted:
        return
    told = "; ".join(
        f"{', '.join(report.subject for report in by_list[nodes])}: {len(nodes)} nodes"
        for nodes in list(contradicted)[:_MOST_VIEWS]
    )
    common = frozenset.intersection(*contradicted)
    contested = sorted(node.address for node in frozenset.union(*contradicted) - common)
    yield Finding(
        _ID,
        "warning",
        some_of(contested),
        f"The nodes disagree about which nodes there are ({told}).",
        "This is normal for a moment while a node comes or goes. If it lasts, look at `nodetool status` and "
        "`nodetool gossipinfo` on each of them.",
    )


def _other_addresses(well: Sequence[NodeReport]) -> Iterator[Finding]:
    for report in well:
        if report.lists and report.node not in report.lists:
            yield Finding(
                _ID,
                "warning",
                report.subject,
                "The node answers under this address, and lists itself under another one: "
                f"{some_of([node.address for node in report.lists])}.",
                "Use in `seeds` the addresses that the nodes list (broadcast_rpc_address), so that this one is "
                "not taken for two nodes. Behind NAT, give an address_translator.",
            )
