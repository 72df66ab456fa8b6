"""What is told about a change: a signal with its payload, and a log line if people need it.

An `Emission` is made together with its change, under the lock of the `Membership`. It is emitted after the lock is
released.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

from blinker import NamedSignal

from .. import signals
from ..settings.scopes import Scope
from .health import State
from .health_book import StateChange
from .node import Node
from .set_aside import Aside

__all__ = [
    "Emission",
    "of_failed_reading",
    "of_reading",
    "of_return",
    "of_scope_change",
    "of_set_aside",
    "of_state_change",
]


class Emission(NamedTuple):
    """A signal and its payload. `level`, `line`: the log line, if there is one."""

    signal: NamedSignal
    payload: dict[str, Any]
    level: int = logging.DEBUG
    line: str = ""


def of_state_change(change: StateChange) -> Emission:
    """The emission for a node that has another state now."""
    node, after = change.node, change.after
    if after.state is State.ACTIVE:
        # A node that is new was never down.
        line = f"node {node} is active again, after {change.down_for:.1f} s" if change.before.generation else ""
        return Emission(signals.node_up, {"node": node.address, "down_for": change.down_for}, logging.INFO, line)
    payload = {"node": node.address, "failures": after.failures, "error": change.error}
    if after.state is State.DOWN:
        line = f"node {node} is down: {change.error or 'no reason known'}"
        return Emission(signals.node_down, payload, logging.WARNING, line)
    return Emission(signals.node_quarantined, payload)


def of_set_aside(node: Node, aside: Aside) -> Emission:
    """The emission for a node that is last in query plans from now on."""
    tally, period = aside.tally, aside.until - aside.since
    payload = {
        "node": node.address,
        "error": aside.error,
        "answers": tally.answers,
        "failed": tally.failed,
        "period": period,
        "times": aside.times,
    }
    line = f"node {node} is set aside for {period:.0f} s: {aside.reason}"
    return Emission(signals.node_set_aside, payload, logging.WARNING, line)


def of_return(node: Node, aside: Aside, now: float) -> Emission:
    """The emission for a node that was set aside, and gets traffic again."""
    seconds = now - aside.since
    line = f"node {node} gets traffic again, after it was set aside for {seconds:.1f} s"
    return Emission(signals.node_restored, {"node": node.address, "set_aside_for": seconds}, logging.INFO, line)


def of_scope_change(scopes: Sequence[Scope], before: int, after: int) -> Emission:
    """The emission for a change of the scope in use, from the one at index `before` to the one at index `after`."""
    from_scope, to_scope = str(scopes[before]), str(scopes[after])
    reason = "no_usable_node" if after > before else "usable_again"
    signal = signals.scope_fallback if after else signals.scope_restored
    payload = {"from_scope": from_scope, "to_scope": to_scope, "reason": reason}
    return Emission(signal, payload, logging.WARNING, f"routing scope is now {to_scope} instead of {from_scope}")


def of_reading(
    before: frozenset[Node],
    after: frozenset[Node],
    addresses: Sequence[str],
    *,
    scope: Scope,
    source: str,
    duration: float,
) -> list[Emission]:
    """The emissions for a reading that succeeded. `before`, `after`: the members before and after the reading.
    `addresses`: the sorted addresses of `after`."""
    added, removed = sorted(after - before, key=str), sorted(before - after, key=str)
    payload = {
        "nodes": list(addresses),
        "added": [node.address for node in added],
        "removed": [node.address for node in removed],
        "scope": str(scope),
        "source": source,
        "duration": duration,
    }
    line = f"{len(after)} nodes ({_in_words(added, removed)})" if added or removed else ""
    return [
        Emission(signals.topology_refreshed, payload, logging.INFO, line),
        *(Emission(signals.node_added, {"node": node.address}) for node in added),
        *(Emission(signals.node_removed, {"node": node.address}) for node in removed),
    ]


def of_failed_reading(error: Exception, tried: Sequence[str], consecutive: int, stale_for: float | None) -> Emission:
    """The emission for a reading that failed. Only the first failure of several in a row is logged."""
    payload = {"tried": tried, "error": str(error), "consecutive": consecutive, "stale_for": stale_for}
    line = (
        f"the node list cannot be read ({error}); going on with what is known. Asked: {', '.join(tried) or 'no node'}"
        if consecutive == 1
        else ""
    )
    return Emission(signals.discovery_failed, payload, logging.WARNING, line)


def _in_words(added: Sequence[Node], removed: Sequence[Node]) -> str:
    """The change of the members in words, with at most ten names."""
    parts = [f"{len(added)} added"] if added else []
    parts += [f"{len(removed)} removed"] if removed else []
    names = sorted(str(node) for node in (*added, *removed))
    more = ", …" if len(names) > 10 else ""
    return f"{', '.join(parts)}: {', '.join(names[:10])}{more}"
