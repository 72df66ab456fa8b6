"""Does each node answer ``GET /``, and how fast?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..values import Finding
from ..words import milliseconds, some_of

if TYPE_CHECKING:
    from ..examination import Examination
    from ..node_report import NodeReport

__all__ = ["check"]

_ID = "reachability"


def check(examination: Examination) -> Iterator[Finding]:
    if not examination.config.health.enabled:
        yield Finding(
            "health",
            "ok",
            examination.config.name,
            "Health checks are switched off: no node is probed or taken out. This check asks them all the same.",
        )
    config = examination.config
    if not examination.well:
        yield Finding(
            _ID,
            "error",
            config.name,
            _none_answers(len(examination.nodes)),
            "Look at the address, the port and the scheme (http or https) in the cluster's URL, and at firewalls "
            "between here and there.",
        )
    else:
        yield from _unreachable_lists(examination)
    for report in examination.nodes:
        yield _of_node(report, config.scheme)


def _none_answers(known: int) -> str:
    return "The only known node does not answer." if known == 1 else f"None of the {known} known nodes answers."


def _unreachable_lists(examination: Examination) -> Iterator[Finding]:
    """The case that nodes answer, but none of the addresses that they list."""
    well = {report.node for report in examination.well}
    listed = {node for report in examination.well for node in report.lists}
    if not listed or listed & well or not listed <= {report.node for report in examination.nodes}:
        return
    yield Finding(
        _ID,
        "error",
        some_of([report.subject for report in examination.well]),
        "None of the addresses that are listed here can be reached: "
        f"{some_of(sorted(node.address for node in listed))}.",
        "If the nodes have other addresses for clients (NAT, containers, a tunnel), give "
        "ClusterConfig(address_translator=...), or set broadcast_rpc_address in each node's scylla.yaml.",
    )


def _of_node(report: NodeReport, scheme: str) -> Finding:
    if report.is_well:
        return Finding(_ID, "ok", report.subject, f"answers in {milliseconds(report.latency)}")
    if report.error is None:
        return Finding(
            _ID,
            "warning",
            report.subject,
            f"GET / was answered with status {report.status}.",
            "Is that the port of Alternator? A proxy in between must let GET / through.",
        )
    message = str(report.error)
    return Finding(_ID, "warning", report.subject, message, _remedy(message.lower(), scheme))


def _remedy(error: str, scheme: str) -> str:
    if "not valid for" in error or "valid for none of" in error:
        return (
            "Issue the node's certificate for its address, or for the name by which a seed names it; or name the seeds "
            "as the certificates do."
        )
    if "wrong version number" in error or "record layer failure" in error:
        return "Write http:// in the cluster's URL, or the port for https."
    if "certificate" in error or "tls" in error or "ssl" in error:
        return (
            "Give the authority that signed the node's certificate: Tls(ca='/path/to/ca.pem'), or ?ca=... in the URL."
        )
    if "answered with" in error or "http" in error:
        other = "https" if scheme == "http" else "http"
        return f"Does this port speak {other}? Change the scheme in the cluster's URL."
    return "Is the node running (`nodetool status`), and may this machine reach it on this port?"
