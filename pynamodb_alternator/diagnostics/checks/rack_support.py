"""Does the server honour datacenter and rack in ``/localnodes``?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..values import Finding
from ..words import some_of

if TYPE_CHECKING:
    from ..examination import Examination

__all__ = ["check"]

_ID = "rack_support"


def check(examination: Examination) -> Iterator[Finding]:
    if not examination.config.discovery.enabled:
        return  # discovery is off, so no node is asked for its list
    old = [report.subject for report in examination.well if report.rack_support is False]
    scopes = examination.named_scopes
    message = "The server ignores datacenter and rack in /localnodes: it is older than ScyllaDB 2025.1."
    if old and scopes:
        yield Finding(
            _ID,
            "error",
            some_of(old),
            f"{message} So requests are not kept to {scopes[0]}.",
            "Upgrade the server, or use ClusterScope() with seeds in the datacenter that you want.",
        )
    elif old:
        yield Finding(_ID, "ok", some_of(old), message)
    elif any(report.rack_support for report in examination.well):
        yield Finding(_ID, "ok", examination.config.name, "The server knows datacenters and racks.")
