"""Can the token ring of a table be read, and are its replicas nodes that we know?"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ...core.system_tables import known_address, query_system_table, read_system_table
from ...core.token_ring_reader import (
    LargeTokenRingError,
    NoTokenRingError,
    TokenRingReader,
    UnusableTokenRingError,
)
from ...core.token_rings import MOST_ROWS
from ...errors import AlternatorError, SystemTableError, error_code
from ..values import Finding, Severity
from ..words import said, some_of

if TYPE_CHECKING:
    from ...topology.replicas import TokenRing
    from ..examination import Examination

__all__ = ["check"]

_ID = "token_ring"
_MAP_ADDRESSES = (
    "Check whether system.local and system.peers have each node's rpc_address. If they cannot have it, for example "
    "behind NAT, give an address_translator that maps these addresses to the addresses of the nodes."
)


def check(examination: Examination) -> Iterator[Finding]:
    """Reads at most one ring, and only a part of it if it is large."""
    config = examination.config
    if config.token_aware is False:
        yield Finding(_ID, "ok", config.name, "Token awareness is off, so no token ring is read.")
        return
    if config.token_aware == "auto" and not examination.inside.has_monitor:
        text = "Without a background thread token rings are read only with token_aware=True."
        yield Finding(_ID, "ok", config.name, text)
        return
    table = _a_table(examination)
    if table is not None:
        yield _of_table(examination, table)


def _a_table(examination: Examination) -> str | None:
    """A table that exists, preferably one that the application knows."""
    try:
        listed = [str(name) for name in examination.client.list_tables(Limit=100)["TableNames"]]
    except (AlternatorError, BotoCoreError, ClientError, LookupError, ValueError):
        return next(iter(examination.inside.tables.names()), None)
    known = frozenset(examination.inside.tables.names())
    return next((name for name in listed if name in known), listed[0] if listed else None)


def _of_table(examination: Examination, table: str) -> Finding:
    started = time.monotonic()
    hosts = {report.node.host for report in examination.nodes}
    reader = TokenRingReader(
        lambda: lambda name, equals: _rows(examination, name, equals),
        hosts=lambda: hosts,
        translate=examination.config.address_translator,
        port=examination.config.node_port,
        clock=time.monotonic,
    )

    def finding(severity: Severity, message: str, remedy: str = "") -> Finding:
        return Finding(_ID, severity, table, message, remedy)

    try:
        ring = reader.read(table, MOST_ROWS)
    except LargeTokenRingError as error:
        if examination.config.token_aware is True:
            return finding("ok", f"The token ring can be read. As {error}, only a part of it was.")
        return finding("ok", f"Token awareness leaves it out: {error}. To have it, set token_aware=True.")
    except NoTokenRingError as error:
        return finding("ok", f"There is no token awareness: {error}.")
    except UnusableTokenRingError as error:
        return finding(
            "warning",
            f"Requests are routed without it: {error}.",
            "This is normal for a moment while tablets or nodes move. If it lasts, compare the nodes' `nodetool ring`.",
        )
    except SystemTableError as error:
        return finding(*_not_read(error))
    except (AlternatorError, BotoCoreError, ClientError, LookupError, ValueError) as error:
        return finding("warning", f"The token ring could not be read: {said(error)}", "Try it again.")
    unlisted, strangers = _unknown(examination, ring, hosts)
    unknown = [*unlisted, *strangers]
    if unknown and not examination.config.discovery.enabled:
        # This happens behind a proxy: none of the replicas has its address.
        return finding(
            "warning" if examination.config.token_aware is True else "ok",
            f"Discovery is switched off, and these replicas are not among the seeds: {some_of(unknown)}. Token "
            "awareness has no effect for their keys.",
            "If the seeds are a proxy, set token_aware=False: then no token ring is read. Otherwise name all nodes.",
        )
    if strangers:
        return finding(
            "warning",
            f"The token ring names replicas that are not nodes which we know: {some_of(strangers)}. Requests for their "
            "keys are routed without them.",
            _MAP_ADDRESSES,
        )
    if unlisted:
        return finding(
            "warning",
            f"The token ring names replicas that no node lists in /localnodes: {some_of(unlisted)}. Requests for their "
            "keys go to the other replicas.",
            "`nodetool status` says whether they are down. A node that has just joined is listed soon.",
        )
    seconds = time.monotonic() - started
    return finding(
        "ok", f"The token ring is whole: {len(ring):,} ranges in {ring.rows:,} rows, read in {seconds:.2f} s."
    )


def _rows(examination: Examination, name: str, equals: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    read = query_system_table if equals else read_system_table
    return read(examination.client, name, equals, contextlib.nullcontext)


def _not_read(error: SystemTableError) -> tuple[Severity, str, str]:
    code = error_code(error.__cause__) if isinstance(error.__cause__, ClientError) else None
    if code == "AccessDeniedException":
        return "ok", "Token awareness has no effect: the token ring may not be read.", str(error)
    if code == "ResourceNotFoundException":
        return "ok", "There is no token awareness: this server has no table system.token_ring.", ""
    return "warning", f"The token ring could not be read: {error}", "Try it again."


def _unknown(examination: Examination, ring: TokenRing, hosts: set[str]) -> tuple[list[str], list[str]]:
    """The replicas that are not known nodes: those that the system tables name in our datacenters, and those that the
    system tables do not name."""
    replicas = {host for _, addresses in ring.ranges() for host, _ in addresses}
    # A listed node that is not in use, for example outside of the routing scope, is not a problem of the ring.
    listed = {node.host for report in examination.well for node in report.lists}
    unknown = sorted(replicas - hosts - listed)
    if not unknown:
        return [], []
    try:
        locations = examination.locations
    except (AlternatorError, BotoCoreError, ClientError, ValueError):
        locations = {}
    translate = examination.config.address_translator
    datacenters = {known_address(name, translate)[0]: datacenter for name, (datacenter, _) in locations.items()}
    ours = {datacenter for host, datacenter in datacenters.items() if host in hosts and datacenter is not None}
    return (
        [host for host in unknown if datacenters.get(host) in ours],
        [host for host in unknown if datacenters.get(host) is None],
    )
