"""Does the cluster have nodes in each datacenter and rack that the configuration names?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from ...errors import AlternatorError, TransportError
from ...settings.checks import did_you_mean
from ...settings.scopes import RackScope, Scope
from ..values import Finding

if TYPE_CHECKING:
    from ..examination import Examination

__all__ = ["check"]

_ID = "routing_scope"


def check(examination: Examination) -> Iterator[Finding]:
    if not examination.config.discovery.enabled:
        return  # discovery is off, so no node is asked for its list
    source = next((report.node for report in examination.well if report.rack_support), None)
    if source is None:
        return
    try:
        sizes = {scope: examination.size_of(scope, source) for scope in examination.named_scopes}
    except (TransportError, OSError, ValueError):
        return
    has_other = any(sizes.values()) or examination.covers_whole_cluster
    for scope, size in sizes.items():
        if size:
            message = f"The cluster knows {size} node{'s' if size > 1 else ''} of it."
            yield Finding(_ID, "ok", str(scope), message)
        else:
            yield Finding(
                _ID,
                "warning" if has_other else "error",
                str(scope),
                "The cluster has no node there" + ("." if has_other else ", so every request fails."),
                _hint_at_names(examination, scope),
            )


def _hint_at_names(examination: Examination, scope: Scope) -> str:
    try:
        locations = set(examination.locations.values())
    except (AlternatorError, BotoCoreError, ClientError, ValueError):
        return "Write the name as `nodetool status` shows it; upper and lower case count."
    racks: dict[str, set[str]] = {}
    for datacenter, rack in locations:
        racks.setdefault(datacenter or "?", set()).add(rack or "?")
    known = "; ".join(f"{name} (racks {', '.join(sorted(racks[name]))})" for name in sorted(racks))
    if isinstance(scope, RackScope) and scope.datacenter in racks:
        meant = did_you_mean(scope.rack, sorted(racks[scope.datacenter]))
    else:
        meant = did_you_mean(scope.datacenter or "", racks)
    return f"{meant} The cluster has: {known}.".lstrip()
