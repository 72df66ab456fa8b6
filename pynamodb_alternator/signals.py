"""What the library tells whoever wants to watch: blinker signals.

The sender of each is the `Cluster`. Receivers get keyword arguments only and should take ``**extra``, because later
versions may add some. `cluster_name` is in every signal. Keys and item values are in none.

They are sent outside every lock, in the thread in which the thing happened. What a receiver raises is logged and
swallowed: watching a request never breaks it.
"""

from __future__ import annotations

import logging
from typing import Any

from blinker import NamedSignal, Namespace

__all__ = [
    "affinity_fallback",
    "client_forked",
    "discovery_failed",
    "emit",
    "namespace",
    "no_nodes_available",
    "node_added",
    "node_down",
    "node_quarantined",
    "node_removed",
    "node_up",
    "request_completed",
    "request_retried",
    "request_routed",
    "scope_fallback",
    "scope_restored",
    "topology_refreshed",
]

_log = logging.getLogger("pynamodb_alternator.cluster")

namespace = Namespace()

request_routed = namespace.signal(
    "request-routed",
    """An attempt is about to be sent: operation, table_name, node, attempt (from 1), policy, reason, request_id.""",
)
request_retried = namespace.signal(
    "request-retried",
    """An attempt failed and another one follows: operation, table_name, from_node, to_node, attempt, error,
    request_id.""",
)
request_completed = namespace.signal(
    "request-completed",
    """The caller gets an answer or an error: operation, table_name, node, attempts, status (HTTP, or None), error,
    duration (seconds), policy, request_id.""",
)
affinity_fallback = namespace.signal(
    "affinity-fallback",
    """Affinity was wanted and could not be used: operation, table_name, reason, request_id.""",
)
scope_fallback = namespace.signal(
    "scope-fallback", """The scope in use is not the preferred one any more: from_scope, to_scope, reason."""
)
scope_restored = namespace.signal(
    "scope-restored", """The preferred scope is in use again: from_scope, to_scope, reason."""
)
topology_refreshed = namespace.signal(
    "topology-refreshed",
    """The node list was read: nodes, added, removed, scope, source, duration (seconds).""",
)
node_added = namespace.signal("node-added", """The topology gained a node: node.""")
node_removed = namespace.signal("node-removed", """The topology lost a node: node.""")
node_quarantined = namespace.signal(
    "node-quarantined", """A node is on trial: it gets traffic only after the active ones: node, failures, error."""
)
node_down = namespace.signal("node-down", """A node gets no traffic any more: node, failures, error.""")
node_up = namespace.signal("node-up", """A node is active again: node, down_for (seconds).""")
discovery_failed = namespace.signal(
    "discovery-failed", """No source told the node list: tried, error, consecutive, stale_for (seconds)."""
)
no_nodes_available = namespace.signal(
    "no-nodes-available", """A request found nothing to route to: operation, table_name, scope, error."""
)
client_forked = namespace.signal("client-forked", """A child process took over its copy: old_pid, new_pid.""")


def emit(signal: NamedSignal, sender: Any, /, **payload: Any) -> None:
    """Send `signal` to each of its receivers. What one raises is logged, and the others still hear of it."""
    if not signal.receivers or signal.is_muted:
        return
    for receiver in signal.receivers_for(sender):
        try:
            receiver(sender, **payload)
        except Exception:
            _log.exception("A receiver of the signal %r raised; the request goes on.", signal.name)
