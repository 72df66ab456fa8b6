"""The doctor: looks at a cluster, and tells each finding with its remedy.

The doctor asks questions that change nothing: ``GET /``, ``GET /localnodes``, ListTables, ListTagsOfResource, and the
system tables. It asks each node by itself, so it uses no query plan, and what it hears does not count for health.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from .. import _checks as checks
from ..client import resolve
from ..cluster.discovery import Place
from ..cluster.localnodes import NodeFilter, path_for, read_answer
from ..cluster.node import Node
from ..cluster.topology import ring_order
from ..config import KeyRouteAffinity
from ..errors import AlternatorError, NoNodesAvailableError, SystemTableError, TransportError
from ..isolation import read_write_isolation
from ..options import NO_OPTIONS
from ..routing.tables import effective_affinity
from ..scopes import ClusterScope, RackScope, Scope, chain
from ..system_tables import read_places, read_system_table
from ..transport.compression import compress
from ..transport.request import build_head
from ..wire_config import Compression, Gzip

if TYPE_CHECKING:
    from ..client import Cluster
    from ..transport.http1 import Answer

from .patient import Patient
from .values import Finding, Severity
from .words import (
    clock_skew,
    duration,
    explain_refusal,
    is_compressed,
    milliseconds,
    refusal,
    remedy_for_unreachable,
    said,
    some_of,
    what_it_means,
)

__all__ = ["examine", "ping"]

SKEW_ALLOWED = 15 * 60
"""Seconds between the time of a signature and the server's clock that the server accepts."""
_SKEW_WORTH_A_WARNING = 60
_AT_ONCE = 8
"""Nodes that are asked at the same time."""
_MOST_TABLES = 100
_IMPOSSIBLE_RACK = "/localnodes?rack=pynamodb_alternator/no-such-rack"
_OTHER_PROTOCOLS = {
    9042: "CQL",
    9142: "CQL over TLS",
    19042: "shard-aware CQL",
    10000: "ScyllaDB's REST API",
    9180: "Prometheus metrics",
}


# ---- the doctor -------------------------------------------------------------------------------------------------


def examine(
    cluster: Cluster, *, timeout: float = 2.0, wall_clock: Callable[[], float] = time.time
) -> Iterator[Finding]:
    """The doctor's findings as they come. `timeout`: seconds for each question."""
    checks.positive("Cluster.check: timeout", timeout)
    return _Doctor(cluster, timeout, wall_clock).findings()


class _AtNodes:
    """As much of a client as the doctor needs. It asks well nodes, whatever the routing scope is."""

    def __init__(self, doctor: _Doctor) -> None:
        self._ask = doctor.ask_any

    def list_tables(self, **parameters: Any) -> dict[str, Any]:
        return self._ask("ListTables", parameters)

    def list_tags_of_resource(self, **parameters: Any) -> dict[str, Any]:
        return self._ask("ListTagsOfResource", parameters)

    def scan(self, **parameters: Any) -> dict[str, Any]:
        return self._ask("Scan", parameters)

    def query(self, **parameters: Any) -> dict[str, Any]:
        return self._ask("Query", parameters)


def ping(cluster: Cluster, *, timeout: float = 2.0) -> dict[str, float | Exception]:
    """For each node by its address: how long it took to answer, in seconds, or why it did not."""
    doctor = _Doctor(cluster, timeout, time.time)
    cluster._prepare(time.monotonic(), timeout)
    patients = doctor.each(doctor.reach, [Patient(node) for node in cluster._membership.view.topology.ring])
    return {one.node.address: one.error or one.latency for one in patients}


class _Doctor:
    def __init__(self, cluster: Cluster, timeout: float, wall_clock: Callable[[], float]) -> None:
        self._cluster = cluster
        self._config = cluster.config
        self._timeout = timeout
        self._wall_clock = wall_clock
        self._filter = NodeFilter(
            allowed_networks=[one for one in self._config.allowed_networks if not isinstance(one, str)],
            translate=self._config.address_translator,
        )
        self._seeds: list[Node] = []
        self._well: list[Patient] = []
        self._may_ask = False
        """Whether requests are let in: what comes after authentication makes no sense without it."""

    def findings(self) -> Iterator[Finding]:
        self._cluster._prepare(time.monotonic(), self._timeout)  # raises if the cluster is closed
        yield from self._check_seeds()
        nodes = ring_order([*self._cluster._membership.view.topology.ring, *self._seeds])
        patients = self.each(self._look_at, [Patient(node) for node in nodes])
        self._well = [one for one in patients if one.is_well]
        yield from self._check_reachability(patients)
        if not self._well:
            return
        yield from self._check_topology()
        yield from self._check_rack_support()
        yield from self._check_scopes()
        yield from self._check_skew()
        yield from self._check_authentication()
        yield from self._check_compression()
        if self._may_ask:
            yield from self._check_datacenters()
            yield from self._check_tables()

    def each(self, look: Callable[[Patient], None], patients: Sequence[Patient]) -> Sequence[Patient]:
        """Look at some patients at a time."""
        if len(patients) < 2:
            for one in patients:
                look(one)
            return patients
        with ThreadPoolExecutor(min(_AT_ONCE, len(patients)), "pynamodb_alternator-check") as pool:
            for _ in pool.map(look, patients):
                pass
        return patients

    # ---- names -------------------------------------------------------------------------------------------------

    def _check_seeds(self) -> Iterator[Finding]:
        id = "seeds"
        names: dict[str, Future[Sequence[str]]] = {}
        pool = ThreadPoolExecutor(_AT_ONCE, "pynamodb_alternator-check")
        try:
            for seed in self._config.seeds:
                host, port = self._split(seed)
                if not checks.is_ip_address(host):
                    names[seed] = pool.submit(resolve, host)
            deadline = time.monotonic() + self._timeout
            for seed in self._config.seeds:
                host, port = self._split(seed)
                addresses: Sequence[str] = [host]
                if seed in names:
                    try:
                        addresses = names[seed].result(max(0.0, deadline - time.monotonic()))
                    except TimeoutError:
                        yield Finding(
                            id,
                            "warning",
                            seed,
                            f"The resolver gave no answer for {host} within {self._timeout:g} s.",
                            "Look at /etc/resolv.conf and at the name server, or name nodes by their IP addresses.",
                        )
                        continue
                    except (OSError, UnicodeError) as error:
                        yield Finding(
                            id,
                            "warning" if len(tuple(self._config.seeds)) > 1 else "error",
                            seed,
                            f"The name {host} cannot be resolved: {error}.",
                            "Correct the name in `seeds`, or name nodes by their IP addresses.",
                        )
                        continue
                    yield Finding(id, "ok", seed, f"{host} is {', '.join(addresses)}.")
                name = host if seed in names else None
                nodes = [Node(self._config.scheme, one, port, server_name=name) for one in addresses]
                self._seeds += nodes
                yield from self._judge_seed(seed, nodes, port)
        finally:
            # A resolver may hang for longer than anybody wants to wait.
            pool.shutdown(wait=False, cancel_futures=True)

    def _judge_seed(self, seed: str, nodes: Sequence[Node], port: int) -> Iterator[Finding]:
        if any(node.is_unspecified for node in nodes):
            yield Finding(
                "seeds",
                "error",
                seed,
                "This is the address on which a server listens, and not one to connect to.",
                "Name a node by an address that this machine can reach, such as the node's broadcast_rpc_address.",
            )
        if port in _OTHER_PROTOCOLS:
            yield Finding(
                "port",
                "warning",
                seed,
                f"Port {port} is usually that of {_OTHER_PROTOCOLS[port]}, and not Alternator's.",
                "Use the server's alternator_port (often 8000), or alternator_https_port (often 8043) with https.",
            )

    def _split(self, seed: str) -> tuple[str, int]:
        host, port = checks.split_port(seed, "seed")
        return host.removeprefix("[").removesuffix("]"), port or self._config.port

    # ---- reaching the nodes ------------------------------------------------------------------------------------

    def reach(self, patient: Patient) -> None:
        """See whether the node answers, and how fast."""
        fetch = self._cluster._control.fetch
        try:
            fetch(patient.node, "/", timeout=self._timeout)
            # The second one goes over an open connection, and so tells the way there and back.
            started, before = time.monotonic(), self._wall_clock()
            answer = fetch(patient.node, "/", timeout=self._timeout)
        except (TransportError, OSError) as error:
            patient.error = error
            return
        patient.latency = time.monotonic() - started
        patient.status = answer.status
        patient.skew = clock_skew(answer, before, self._wall_clock())

    def _look_at(self, patient: Patient) -> None:
        self.reach(patient)
        if not patient.is_well:
            return
        try:
            patient.lists, patient.refused = self._list(patient.node, ClusterScope())
            unknown = self._fetch_list(patient.node, _IMPOSSIBLE_RACK, ClusterScope())
            patient.rack_support = not (unknown[0] or unknown[1])
        except (TransportError, OSError, ValueError) as error:
            patient.list_error = str(error)

    def _list(self, node: Node, scope: Scope) -> tuple[tuple[Node, ...], tuple[tuple[str, str], ...]]:
        return self._fetch_list(node, path_for(scope), scope)

    def _fetch_list(self, node: Node, path: str, scope: Scope) -> tuple[tuple[Node, ...], tuple[tuple[str, str], ...]]:
        answer = self._cluster._control.fetch(node, path, timeout=self._timeout)
        if answer.status != 200:
            raise ValueError(f"/localnodes was answered with status {answer.status}")
        return read_answer(answer.body, node, scope, self._filter)

    def _check_reachability(self, patients: Sequence[Patient]) -> Iterator[Finding]:
        id = "reachability"
        if not self._well:
            yield Finding(
                id,
                "error",
                self._config.name,
                f"None of the {len(patients)} known nodes answers.",
                "Look at the address, the port and the scheme (http or https) in the cluster's URL, and at firewalls "
                "between here and there.",
            )
        for one in patients:
            if one.is_well:
                yield Finding(id, "ok", one.subject, f"answers in {milliseconds(one.latency)}")
            elif one.error is None:
                yield Finding(
                    id,
                    "warning",
                    one.subject,
                    f"GET / was answered with status {one.status}.",
                    "Is that the port of Alternator? A proxy in between must let GET / through.",
                )
            else:
                yield Finding(
                    id,
                    "warning",
                    one.subject,
                    str(one.error),
                    remedy_for_unreachable(one, self._config.scheme),
                )

    # ---- what the nodes say of each other ----------------------------------------------------------------------

    def _check_topology(self) -> Iterator[Finding]:
        id = "topology"
        fine = True
        for one in self._well:
            if one.list_error:
                fine = False
                yield Finding(
                    id,
                    "warning",
                    one.subject,
                    f"The node tells no node list: {one.list_error}.",
                    "Is it ScyllaDB Alternator? Other DynamoDB servers have no /localnodes.",
                )
            elif one.refused:
                fine = False
                yield Finding(
                    id,
                    "warning" if one.lists else "error",
                    one.subject,
                    f"/localnodes names {len(one.refused)} nodes that cannot be used: "
                    + "; ".join(f"{entry} is {why}" for entry, why in one.refused[:3])
                    + ("; …" if len(one.refused) > 3 else "")
                    + ".",
                    "Set broadcast_rpc_address in each node's scylla.yaml to an address that clients can reach, or "
                    "give an address_translator.",
                )
            elif not one.lists:
                fine = False
                yield Finding(
                    id,
                    "warning",
                    one.subject,
                    "The node lists nobody, not even itself: it is joining or leaving.",
                    "Wait until `nodetool status` shows it as UN.",
                )
        groups: dict[frozenset[Node], list[Patient]] = {}
        by_node = {one.node: one for one in self._well if one.lists}
        disagree: list[Patient] = []
        for one in by_node.values():
            groups.setdefault(frozenset(one.lists), []).append(one)
            others = [by_node[node] for node in one.lists if node in by_node]
            if any(frozenset(other.lists) != frozenset(one.lists) for other in others):
                disagree.append(one)
        if disagree:
            fine = False
            views = {frozenset(one.lists) for one in disagree}
            told = "; ".join(
                f"{', '.join(one.subject for one in groups[view])}: {len(view)} nodes" for view in list(views)[:4]
            )
            common = frozenset.intersection(*views)
            contested = sorted(node.address for node in frozenset.union(*views) - common)
            yield Finding(
                id,
                "warning",
                some_of(contested),
                f"The nodes disagree about who is in the cluster ({told}).",
                "That is so for a moment while a node comes or goes. If it stays, look at `nodetool status` and "
                "`nodetool gossipinfo` on each of them.",
            )
        for one in self._well:
            if one.lists and one.node not in one.lists:
                fine = False
                yield Finding(
                    id,
                    "warning",
                    one.subject,
                    "The node answers under this address, and lists itself under another one: "
                    f"{some_of([node.address for node in one.lists])}.",
                    "Use in `seeds` the addresses that the nodes list (broadcast_rpc_address), so that this one is "
                    "not taken for two nodes. Behind NAT, give an address_translator.",
                )
        if fine:
            count = len({node for one in self._well for node in one.lists})
            yield Finding(id, "ok", self._config.name, f"All nodes agree on the {count} nodes that there are.")

    def _check_rack_support(self) -> Iterator[Finding]:
        id = "rack_support"
        named = [scope for scope in chain(self._config.routing_scope) if scope.datacenter is not None]
        old = [one.subject for one in self._well if one.rack_support is False]
        if old:
            yield Finding(
                id,
                "error" if named else "ok",
                some_of(old),
                "The server ignores datacenter and rack in /localnodes: it is older than ScyllaDB 2025.1."
                + (f" So requests are not kept to {named[0]}." if named else ""),
                "Upgrade the server, or use ClusterScope() with seeds in the datacenter that you want."
                if named
                else "",
            )
        elif any(one.rack_support for one in self._well):
            yield Finding(id, "ok", self._config.name, "The server knows datacenters and racks.")

    def _check_scopes(self) -> Iterator[Finding]:
        id = "routing_scope"
        if not any(one.rack_support for one in self._well):
            return
        source = next(one.node for one in self._well if one.rack_support)
        scopes = [scope for scope in chain(self._config.routing_scope) if scope.datacenter is not None]
        sizes: dict[Scope, int] = {}
        for scope in scopes:
            try:
                sizes[scope] = len(self._list(source, scope)[0])
            except (TransportError, OSError, ValueError):
                return
        has_other = any(sizes.values()) or any(
            isinstance(scope, ClusterScope) for scope in chain(self._config.routing_scope)
        )
        for wanted, size in sizes.items():
            bare = str(wanted)
            if size:
                yield Finding(id, "ok", bare, f"The cluster knows {size} node{'s' if size > 1 else ''} of it.")
                continue
            yield Finding(
                id,
                "warning" if has_other else "error",
                bare,
                "The cluster has no node there" + ("." if has_other else ", so every request fails."),
                self._hint_at_names(wanted),
            )

    def _hint_at_names(self, scope: Scope) -> str:
        try:
            places = set(self._places().values())
        except (AlternatorError, BotoCoreError, ClientError, ValueError):
            return "Write the name as `nodetool status` shows it; upper and lower case count."
        racks: dict[str, set[str]] = {}
        for datacenter, rack in places:
            racks.setdefault(datacenter or "?", set()).add(rack or "?")
        known = "; ".join(f"{name} (racks {', '.join(sorted(racks[name]))})" for name in sorted(racks))
        wanted, names = scope.datacenter or "", list(racks)
        if isinstance(scope, RackScope) and scope.datacenter in racks:
            wanted, names = scope.rack, list(racks[scope.datacenter])
        lower = {name.lower(): name for name in names}
        close = difflib.get_close_matches(wanted.lower(), lower, n=1)
        meant = f"Did you mean {lower[close[0]]!r}? " if close else ""
        return f"{meant}The cluster has: {known}."

    # ---- clocks ------------------------------------------------------------------------------------------------

    def _check_skew(self) -> Iterator[Finding]:
        id = "clock_skew"
        told = [(abs(one.skew), one) for one in self._well if one.skew is not None]
        if not told:
            yield Finding(
                id, "ok", self._config.name, "The nodes tell no time (no Date header), so clocks are unknown."
            )
            return
        fine = True
        for size, one in told:
            if size <= _SKEW_WORTH_A_WARNING:
                continue
            fine = False
            signed = self._config.credentials is not None
            ahead = "ahead of" if one.skew is not None and one.skew > 0 else "behind"
            if size > SKEW_ALLOWED:
                consequence = (
                    "signed requests are refused"
                    if signed
                    else "signed requests would be refused; yours are not signed"
                )
            else:
                consequence = "from 15 minutes on signed requests are refused"
            yield Finding(
                id,
                "error" if size > SKEW_ALLOWED and signed else "warning",
                one.subject,
                f"This machine's clock is {duration(size)} {ahead} the node's: {consequence}.",
                "Set both clocks by NTP (`timedatectl status`, `chronyc tracking`).",
            )
        if fine:
            most = max(size for size, _ in told)
            yield Finding(id, "ok", self._config.name, f"Clocks agree within {max(1.0, most):.0f} s.")

    # ---- requests to one node ----------------------------------------------------------------------------------

    def _post(
        self,
        node: Node,
        operation: str,
        parameters: Mapping[str, Any],
        *,
        signed: bool = True,
        compression: Compression | None = None,
        accept: str = "",
    ) -> Answer:
        """One request to this node and no other, which health and signals do not hear of."""
        wire, pools = self._cluster._wire, self._cluster._pools
        target = f"DynamoDB_20120810.{operation}"
        body, coding = json.dumps(parameters).encode(), None
        if compression is not None:
            body, coding = compress(compression, body)
        headers = [pair for pair in wire.extra_headers(NO_OPTIONS) if pair[0].lower() != "accept-encoding"]
        headers += [("Content-Encoding", coding)] if coding else []
        headers += [("Accept-Encoding", accept)] if accept else []
        if signed:
            headers += wire.authentication(NO_OPTIONS, node, target, body)
        head = build_head(target, node.host_header, len(body), headers)
        deadline = time.monotonic() + self._timeout
        connection = pools.acquire(node, self._timeout, deadline)
        try:
            return connection.exchange(head, body, read_timeout=self._timeout, deadline=deadline)
        finally:
            pools.release(connection)

    def _ask_each(self, name: str, *arguments: Any, **more: Any) -> None:
        """Keep every well node's answer to one request, or what went wrong, under `name`."""

        def ask(patient: Patient) -> None:
            try:
                patient.answers[name] = self._post(patient.node, *arguments, **more)
            except Exception as error:  # credentials come from a callable of the user's
                patient.answers[name] = error

        self.each(ask, self._well)

    def _places(self) -> dict[str, Place]:
        return read_places(lambda name: read_system_table(_AtNodes(self), name, {}, contextlib.nullcontext))

    def ask_any(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of the first well node that gives one, as botocore's client has it."""
        error: TransportError = NoNodesAvailableError("No node answers")
        for one in self._well:
            try:
                answer = self._post(one.node, operation, parameters)
            except TransportError as failure:
                error = failure
                continue
            if answer.status >= 300:
                code, message = refusal(answer)
                raise ClientError({"Error": {"Code": code, "Message": message}}, operation)
            parsed = json.loads(answer.body)
            return parsed if isinstance(parsed, dict) else {}
        raise error

    def _check_authentication(self) -> Iterator[Finding]:
        id = "authentication"
        has_credentials = self._config.credentials is not None
        self._ask_each("listed", "ListTables", {"Limit": 1})
        if has_credentials:
            self._ask_each("unsigned", "ListTables", {"Limit": 1}, signed=False)
        problems: dict[tuple[Severity, str, str], list[str]] = {}
        enforcing = 0
        for one in self._well:
            answer = one.answers["listed"]
            if isinstance(answer, Exception):
                kind: Severity = "warning" if isinstance(answer, TransportError) else "error"
                remedy = "" if kind == "warning" else "Correct the `credentials` of the cluster's configuration."
                problems.setdefault((kind, f"ListTables failed: {said(answer)}", remedy), []).append(one.subject)
                continue
            code, message = ("", "") if answer.status < 300 else refusal(answer)
            if not code and answer.status < 300:
                self._may_ask = True
                unsigned = one.answers.get("unsigned")
                enforcing += not isinstance(unsigned, Exception | None) and unsigned.status >= 400
                continue
            if code == "AccessDeniedException":
                self._may_ask = True
            severity, explanation, remedy = explain_refusal(code, message)
            problems.setdefault((severity, explanation, remedy), []).append(one.subject)
        for (severity, message, remedy), subjects in problems.items():
            yield Finding(id, severity, some_of(subjects), message, remedy)
        if problems or not self._may_ask:
            return
        if not has_credentials:
            message = "The server takes unsigned requests."
        elif enforcing:
            message = "The server demands signed requests, and takes ours."
        else:
            message = "Requests are signed; the server takes unsigned ones as well (alternator_enforce_authorization)."
        yield Finding(id, "ok", self._config.name, message)

    # ---- compression -------------------------------------------------------------------------------------------

    def _check_compression(self) -> Iterator[Finding]:
        if not self._may_ask:
            return
        how = self._config.request_compression or Gzip()
        # A name that is long enough to be worth compressing; the request ends before any table.
        self._ask_each(
            "compressed",
            "ListTables",
            {"Limit": 1, "ExclusiveStartTableName": "a" * 190},
            compression=type(how)(how.level, 0),
        )
        refusing = [
            one.subject
            for one in self._well
            if not isinstance(one.answers["compressed"], Exception) and one.answers["compressed"].status >= 400
        ]
        wanted = self._config.request_compression is not None
        if refusing:
            yield Finding(
                "request_compression",
                "error" if wanted else "ok",
                some_of(refusing),
                f"The server does not take requests compressed with {how.coding}: it is older than ScyllaDB 2026.1"
                + ("." if wanted else " (and yours are not compressed)."),
                "Set request_compression=None, or upgrade the server." if wanted else "",
            )
        elif any(not isinstance(one.answers["compressed"], Exception) for one in self._well):
            used = "and gets them" if wanted else "and yours are not compressed"
            yield Finding(
                "request_compression", "ok", self._config.name, f"The server takes compressed requests, {used}."
            )
        yield from self._check_response_compression()

    def _check_response_compression(self) -> Iterator[Finding]:
        id, wanted = "response_compression", self._config.response_compression
        codings = ", ".join(wanted if isinstance(wanted, tuple) and wanted else ("gzip", "deflate"))
        self._ask_each("config", "Scan", {"TableName": ".scylla.alternator.system.config"}, accept=codings)
        without: list[str] = []
        with_it = 0
        for one in self._well:
            able = is_compressed(one.answers["config"])
            with_it += able is True
            if able is False:
                without.append(one.subject)
        if without:
            yield Finding(
                id,
                "warning" if wanted else "ok",
                some_of(without),
                "The server does not compress its answers" + ("." if wanted else " (and you have not asked for it)."),
                "Set alternator_response_gzip_compression_level in the nodes' scylla.yaml (since ScyllaDB 2026.1), or "
                "leave out response_compression."
                if wanted
                else "",
            )
        elif with_it:
            asked = "and is asked for it" if wanted else "if response_compression asks for it"
            yield Finding(id, "ok", self._config.name, f"The server compresses long answers, {asked}.")
        elif wanted:
            yield Finding(
                id,
                "ok",
                self._config.name,
                "Whether the server compresses its answers cannot be told: it does not let us read system.config.",
            )

    # ---- datacenters that nobody has told us of ----------------------------------------------------------------

    def _check_datacenters(self) -> Iterator[Finding]:
        if not any(isinstance(scope, ClusterScope) for scope in chain(self._config.routing_scope)):
            return
        try:
            places = self._places()
        except SystemTableError:
            yield Finding(
                "system_tables",
                "ok",
                self._config.name,
                "The system tables may not be read, so that the nodes' datacenters and racks stay unknown.",
            )
            return
        except (AlternatorError, BotoCoreError, ClientError, ValueError):
            return
        known = {node.host for node in self._cluster._membership.view.topology.ring}
        if self._config.address_translator is not None:
            return
        ours = {place[0] for address, place in places.items() if address in known}
        missing: dict[str, list[str]] = {}
        for address, (datacenter, _) in places.items():
            if datacenter and datacenter not in ours:
                missing.setdefault(datacenter, []).append(address)
        for datacenter, addresses in missing.items():
            yield Finding(
                "datacenters",
                "warning",
                datacenter,
                f"The scope is the whole cluster, and no seed is in this datacenter: its {len(addresses)} nodes get no "
                "requests, because nodes list their own datacenter only.",
                f"Add one of its nodes to `seeds` ({addresses[0]}), or say with DatacenterScope(...) that you do not "
                "want it.",
            )

    # ---- tables ------------------------------------------------------------------------------------------------

    def _check_tables(self) -> Iterator[Finding]:
        id = "write_isolation"
        client = _AtNodes(self)
        names = dict.fromkeys(self._cluster._tables.names())
        try:
            names.update(dict.fromkeys(client.list_tables(Limit=_MOST_TABLES)["TableNames"]))
        except (BotoCoreError, ClientError, LookupError, ValueError) as error:
            if not names:
                yield Finding(id, "ok", "tables", f"The tables cannot be listed: {said(error)}")
                return
        for name in list(names)[:_MOST_TABLES]:
            try:
                found = read_write_isolation(client, name)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
                    yield Finding(
                        id,
                        "warning",
                        name,
                        "The application names this table, and the cluster does not have it.",
                        "Create it (Model.create_table()), or correct the name.",
                    )
                else:
                    yield Finding(id, "ok", name, f"Its write isolation may not be read: {said(error)}")
            except (BotoCoreError, LookupError, ValueError) as error:
                yield Finding(
                    id, "warning", name, f"Its write isolation could not be read: {said(error)}", "Try it again."
                )
            else:
                yield self._judge_isolation(name, found)
        if len(names) >= _MOST_TABLES:
            yield Finding(id, "ok", "tables", f"Only {_MOST_TABLES} tables were looked at.")

    def _judge_isolation(self, name: str, found: str | None) -> Finding:
        id = "write_isolation"
        table = self._cluster._tables.get(name)
        wish = table.affinity or self._config.key_route_affinity
        if found is None:
            return Finding(id, "ok", name, "It has no tag, and the server's default may not be read.")
        best = effective_affinity(KeyRouteAffinity.AUTO, replace(table, write_isolation=found))
        if wish in (KeyRouteAffinity.AUTO, best):
            return Finding(id, "ok", name, f"{found}, with affinity {wish.name}{what_it_means(wish, best)}.")
        problem = {
            ("always", KeyRouteAffinity.RMW): "every write is a lightweight transaction, and only those that need a "
            "read first go to their key's coordinator",
            ("always", KeyRouteAffinity.NONE): "every write is a lightweight transaction, and writers of one key meet "
            "at different coordinators",
            ("only_rmw_uses_lwt", KeyRouteAffinity.NONE): "writes that need a read first are lightweight "
            "transactions, and writers of one key meet at different coordinators",
            ("only_rmw_uses_lwt", KeyRouteAffinity.ANY_WRITE): "plain writes use no lightweight transaction, and "
            "sending them to their key's coordinator makes hot keys hot nodes for nothing",
        }.get(
            (found, wish), "no write uses a lightweight transaction, and affinity makes hot keys hot nodes for nothing"
        )
        return Finding(
            id,
            "warning",
            name,
            f"The table's write isolation is {found}, and key_route_affinity is {wish.name}: {problem}.",
            f"Set key_route_affinity to AUTO or {best.name} for this table"
            + (", or its write isolation to what the application needs." if best is KeyRouteAffinity.NONE else "."),
        )
