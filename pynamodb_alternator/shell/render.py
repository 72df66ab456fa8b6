"""Nodes, findings and routes as text, for the commands of the shell, of Flask and of Django."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ..diagnostics import duration, milliseconds
from .screen import BAD, DIM, GOOD, HEAD, PLAIN, WARN, Screen, Text

if TYPE_CHECKING:
    from ..diagnostics import Finding, KeyRoute
    from ..settings.values import RingOrder
    from ..topology.node_info import NodeInfo

__all__ = ["NodeLine", "show_finding", "show_nodes", "show_route", "show_total", "some"]

_STATES = {"active": GOOD, "quarantined": WARN, "set_aside": WARN, "down": BAD}
_FINDING_LABELS = 24
_ROUTE_LABELS = 15
_NARROW = 72
"""If a terminal has fewer columns than this, the label of a finding gets its own line."""
_NARROW_ROUTE = 48
"""The same limit for the label of a route, which is shorter."""
_MOST_NODES = 20


# ---- nodes ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NodeLine:
    """One node as it is shown. `latency`: seconds, None if it is not known. `note`: what is wrong with it. `in_subset`:
    whether the process uses it for requests that any node may serve. `start`: a text about its slow start.
    """

    address: str
    datacenter: str | None
    rack: str | None
    state: str
    in_scope: bool
    latency: float | None = None
    note: str = ""
    in_subset: bool = True
    start: str = ""

    @classmethod
    def of(cls, node: NodeInfo, answer: float | Exception | str) -> NodeLine:
        """The line of a node. Whether it has just answered counts more than its health, because the process has just
        started.

        `answer`: the seconds until it answered, or why it did not answer.
        """
        line = cls(node.address, node.datacenter, node.rack, "active", node.in_scope, in_subset=node.in_subset)
        if not isinstance(answer, float):
            return replace(line, state="down", note=str(answer))
        note = start = ""
        if node.condition == "set_aside":
            note = f"{node.address} goes last for {node.set_aside_for:.0f} s more: {node.set_aside_because}"
        if node.starts_for is not None:
            left = f"all in {node.starts_for:.0f} s"
            start = f"{node.address} starts slowly: it has {node.share:.0%} of its share now, {left}"
        state = node.condition if note else "active"
        return replace(line, state=state, latency=answer, note=note, start=start)


def show_nodes(screen: Screen, lines: Sequence[NodeLine], scope: str) -> None:
    """A table of the nodes, their problems, and a total."""
    unknown = screen.char("–", "-")
    rows: list[list[Text]] = []
    has_subset = any(line.in_scope and not line.in_subset for line in lines)
    for line in lines:
        style = PLAIN if line.in_scope else DIM
        row = [
            (line.address, style),
            (line.datacenter or unknown, style),
            (line.rack or unknown, style),
            (line.state, _STATES[line.state]),
        ]
        if has_subset:
            row.append(("in the subset" if line.in_subset else unknown, style))
        row.append((unknown if line.latency is None else milliseconds(line.latency), style))
        rows.append(row)
    if rows:
        head = ["address", "datacenter", "rack", "state", *(["subset"] if has_subset else []), "latency"]
        screen.table(head, rows, right=[len(head) - 1])
        screen.line()
    for line in lines:
        if line.note:
            screen.paragraph(line.note, BAD)
        if line.start:
            screen.paragraph(f"{line.start}.", WARN)
    _total_of_nodes(screen, lines, scope)


def _total_of_nodes(screen: Screen, lines: Sequence[NodeLine], scope: str) -> None:
    answering = sum(line.latency is not None for line in lines)
    outside = sum(not line.in_scope for line in lines)
    text = f"{some(len(lines), 'node')}{_how_many_answer(answering, len(lines))}; the scope is {scope}"
    text += f" ({outside} {'is' if outside == 1 else 'are'} outside of it)" if outside else ""
    if any(line.in_scope and not line.in_subset for line in lines):
        text += f"; {sum(line.in_subset for line in lines if line.in_scope)} of its nodes are in the subset"
    screen.paragraph(f"{text}.", DIM)
    if not lines:
        screen.paragraph("No node has told a list of nodes in this scope.", BAD)
    elif answering and all(line.datacenter is None for line in lines):
        screen.paragraph("Datacenter and rack are not known: the system tables may not be read.", DIM)


def _how_many_answer(answering: int, nodes: int) -> str:
    if nodes == 1:
        return ", which answers" if answering else ", which does not answer"
    return f", {answering or 'none'} of them answer{'s' if answering == 1 else ''}" if nodes else ""


# ---- findings ---------------------------------------------------------------------------------------------------


def show_finding(screen: Screen, finding: Finding, cluster_name: str) -> None:
    """One finding with its remedy. Its subject is left out if it is the cluster as a whole."""
    mark, style = {
        "ok": (screen.char("✓", "+"), GOOD),
        "warning": ("!", WARN),
        "error": (screen.char("✗", "x"), BAD),
    }[finding.severity]
    label = finding.id.replace("_", " ")
    text = finding.message if finding.subject in (cluster_name, "") else f"{finding.subject}: {finding.message}"
    if screen.width < _NARROW:
        screen.line((f"{mark} ", style), (label, HEAD))
        indent = 4
        screen.paragraph(text, PLAIN, indent=indent)
    else:
        indent = _FINDING_LABELS
        screen.paragraph(text, PLAIN, first=(f"{mark} {label}", style), indent=indent)
    if finding.remedy:
        arrow = " " * (indent - 2) + screen.char("→", ">") + " "
        screen.paragraph(finding.remedy, DIM, first=(arrow, style), indent=indent)


def show_total(screen: Screen, findings: Iterable[Finding]) -> None:
    """The number of findings of each severity."""
    counts = Counter(finding.severity for finding in findings)
    style = BAD if counts["error"] else WARN if counts["warning"] else GOOD
    warnings, errors = some(counts["warning"], "warning"), some(counts["error"], "error")
    screen.line()
    screen.line((f"{counts['ok']} fine, {warnings}, {errors}", style))


def some(count: int, word: str) -> str:
    """A count with its noun: ``3 nodes``, ``no warnings``."""
    return f"{count or 'no'} {word}{'' if count == 1 else 's'}"


# ---- the route of a key -----------------------------------------------------------------------------------------


_SORTED_BY: Final[Mapping[RingOrder, str]] = {
    "endpoint": "endpoint",
    "host": "host",
    "endpoint_with_port": "endpoint with port",
}


def show_route(
    screen: Screen,
    route: KeyRoute,
    key: str,
    *,
    write_isolation: str | None = None,
    silent: Collection[str] = (),
    notes: Iterable[str] = (),
) -> None:
    """Where the requests of a key go. `key`: as the user wrote it. `silent`: addresses that do not answer now."""

    def field(name: str, text: str, style: str = PLAIN) -> None:
        if screen.width < _NARROW_ROUTE:
            screen.line((name, DIM))
            screen.paragraph(text, style, indent=2)
        else:
            screen.paragraph(text, style, first=(name, DIM), indent=_ROUTE_LABELS)

    key_name = route.partition_key or "(name not known)"
    field("table", route.table + (f", write isolation {write_isolation}" if write_isolation else ""))
    if route.index is not None:
        field("index", route.index)
    field("key", f"{key_name} = {key} ({next(iter(route.key))})")
    if route.index is None:
        field("hash", str(route.hash) if route.hash is not None else "none")
        field("affinity", route.affinity.value, GOOD if route.reason is None else WARN)
        ring = f"{route.ring_scope}: {some(len(route.ring), 'node')}, sorted by {_SORTED_BY[route.ring_order]}"
        field("ring", ring)
        field("why", route.explanation)
    field("token", str(route.token) if route.token is not None else "none")
    _replicas(route, field)
    if route.nodes:
        screen.line()
        _plan(screen, route, silent)
    for address in silent:
        if address not in route.nodes:
            screen.paragraph(f"{address} does not answer, and has no place in the plan until it does.", WARN)
    for note in notes:
        screen.paragraph(note, WARN)


def _replicas(route: KeyRoute, field: Callable[[str, str], None]) -> None:
    """Where the key is, and where its reads and plain writes go."""
    if route.token_ring_age is None:
        field("replicas", f"not known. {route.replicas_explanation}")
        return
    outside = [address for address in route.all_replicas if address not in route.replicas]
    text = ", ".join(route.replicas) or "none"
    field("replicas", f"{text} (outside of the scope: {', '.join(outside)})" if outside else text)
    field("token ring", f"read {_ago(route.token_ring_age)} ago. {route.replicas_explanation}")
    if route.replicas_reason is not None:
        return
    field("next read", _in_order(route.reads))
    if route.plain_writes:
        field("plain writes", _in_order(route.plain_writes))


def _ago(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)


def _in_order(addresses: Sequence[str]) -> str:
    more = len(addresses) - _MOST_NODES
    return ", then ".join(addresses[:_MOST_NODES]) + (f", and {more} more" if more > 0 else "")


def _plan(screen: Screen, route: KeyRoute, silent: Collection[str]) -> None:
    title = "the plan of its writes" if route.reason is None else "what the plan would be with affinity"
    screen.line((title, HEAD))
    for number, address in enumerate(route.nodes[:_MOST_NODES], start=1):
        is_silent = address in silent
        style = WARN if is_silent else GOOD if number == 1 and route.reason is None else PLAIN
        screen.line((f"{number:4}  ", DIM), (address, style), ("  does not answer now" if is_silent else "", WARN))
    if len(route.nodes) > _MOST_NODES:
        screen.line((f"      and {len(route.nodes) - _MOST_NODES} more", DIM))
