"""Are the seeds names that resolve, and addresses and ports that make sense?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...settings.addresses import UNSPECIFIED
from ..values import Finding

if TYPE_CHECKING:
    from ..examination import Examination
    from ..seed_report import SeedReport

__all__ = ["check"]

_ID = "seeds"
_OTHER_PROTOCOLS = {
    9042: "CQL",
    9142: "CQL over TLS",
    19042: "shard-aware CQL",
    10000: "ScyllaDB's REST API",
    9180: "Prometheus metrics",
}


def check(examination: Examination) -> Iterator[Finding]:
    for report in examination.seeds:
        if report.error is not None:
            yield _not_resolved(report, report.error, examination)
            continue
        if report.is_name:
            addresses = ", ".join(node.host for node in report.nodes)
            yield Finding(_ID, "ok", report.seed, f"{report.host} is {addresses}.")
        yield from _address(report)
        yield from _port(report)


def _not_resolved(report: SeedReport, error: Exception, examination: Examination) -> Finding:
    if isinstance(error, TimeoutError):
        return Finding(
            _ID,
            "warning",
            report.seed,
            f"The resolver gave no answer for {report.host} within {examination.timeout:g} s.",
            "Look at /etc/resolv.conf and at the name server, or name nodes by their IP addresses.",
        )
    return Finding(
        _ID,
        "warning" if len(examination.seeds) > 1 else "error",
        report.seed,
        f"The name {report.host} cannot be resolved: {error}.",
        "Correct the name in `seeds`, or name nodes by their IP addresses.",
    )


def _address(report: SeedReport) -> Iterator[Finding]:
    if any(node.kind == UNSPECIFIED for node in report.nodes):
        yield Finding(
            _ID,
            "error",
            report.seed,
            "This is the address on which a server listens, and not one to connect to.",
            "Name a node by an address that this machine can reach, such as the node's broadcast_rpc_address.",
        )


def _port(report: SeedReport) -> Iterator[Finding]:
    if report.port in _OTHER_PROTOCOLS:
        yield Finding(
            "port",
            "warning",
            report.seed,
            f"Port {report.port} is usually that of {_OTHER_PROTOCOLS[report.port]}, and not Alternator's.",
            "Use the server's alternator_port (often 8000), or alternator_https_port (often 8043) with https.",
        )
