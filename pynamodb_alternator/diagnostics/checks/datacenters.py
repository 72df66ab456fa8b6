"""Does each datacenter have a seed, if the scope is the whole cluster? A node lists only its own datacenter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from ...errors import AlternatorError, SystemTableError
from ..values import Finding

if TYPE_CHECKING:
    from ..examination import Examination

__all__ = ["check"]


def check(examination: Examination) -> Iterator[Finding]:
    if not examination.config.discovery.enabled:
        return  # discovery is off, so no node is asked for its list
    if not examination.covers_whole_cluster:
        return
    try:
        locations = examination.locations
    except SystemTableError:
        yield Finding(
            "system_tables",
            "ok",
            examination.config.name,
            "The system tables may not be read, so the nodes' datacenters and racks are not known.",
        )
        return
    except (AlternatorError, BotoCoreError, ClientError, ValueError):
        return
    if examination.config.address_translator is not None:
        return  # the system tables have other addresses than the node list
    known = {node.host for node in examination.inside.membership.view.topology.ring}
    ours = {datacenter for address, (datacenter, _) in locations.items() if address in known}
    missing: dict[str, list[str]] = {}
    for address, (datacenter, _) in locations.items():
        if datacenter and datacenter not in ours:
            missing.setdefault(datacenter, []).append(address)
    for datacenter, addresses in missing.items():
        yield Finding(
            "datacenters",
            "warning",
            datacenter,
            f"The scope is the whole cluster, and no seed is in this datacenter: its {len(addresses)} nodes get no "
            "requests, because nodes list their own datacenter only.",
            f"Add one of its nodes to `seeds` ({addresses[0]}), or use DatacenterScope(...) if you do not want it.",
        )
