"""Where the writes of a key go, and why. Nothing is sent."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..routing import reasons
from ..routing.attribute_value import attribute_value
from ..settings import checks
from ..settings.values import KeyRouteAffinity
from .values import KeyRoute

if TYPE_CHECKING:
    from .inside import Inside

__all__ = ["route"]


_EXPLANATIONS = {
    reasons.AFFINITY_OFF: "Affinity is off for this table: its writes are spread over the nodes.",
    reasons.NO_LWT_IN_TABLE: "No write of this table uses a lightweight transaction, so its writes are spread over "
    "the nodes.",
    reasons.NO_PARTITION_KEY_NAME: "The name of the table's partition key is not known yet: a write would ask for it "
    "in the background, and go to any node meanwhile.",
    reasons.NO_KEY_VALUE: "There is no value that can be hashed: the write would go to any node.",
    reasons.UNSUPPORTED_KEY_TYPE: "A partition key is one string, number or binary value; the write would go to any "
    "node.",
    reasons.NO_AFFINITY_NODES: "No node is known over which keys could be spread.",
}
_EXPLAINED_MODES = {
    KeyRouteAffinity.RMW: "Writes of this key that need a read first go to these nodes in this order; its other "
    "requests are spread.",
    KeyRouteAffinity.ANY_WRITE: "All writes of this key go to these nodes in this order; its reads are spread.",
}


def route(inside: Inside, table_name: str, key: Any) -> KeyRoute:
    """See `Cluster.route`."""
    if not isinstance(table_name, str) or not table_name:
        raise ConfigurationError(
            f"Cluster.route: the table's name must be a non-empty string (got {checks.shown(table_name)})."
        )
    value = _key(key)
    inside.prepare(time.monotonic(), None)  # reads the node list, if it was not read yet
    view = inside.membership.view
    planned = inside.router.route_key(table_name, value, view)
    if planned.reason is None:
        explanation = _EXPLAINED_MODES.get(planned.affinity, "")
    else:
        explanation = _EXPLANATIONS.get(planned.reason, planned.reason)
    return KeyRoute(
        table=table_name,
        partition_key=planned.partition_key,
        key=value,
        affinity=planned.affinity,
        hash=planned.hash,
        nodes=tuple(node.address for node in planned.nodes),
        ring=tuple(node.address for node in planned.ring),
        reason=planned.reason,
        explanation=explanation,
        ring_scope=str(view.topology.affinity_scope),
        ring_order=inside.config.affinity_ring_order,
    )


def _key(key: Any) -> Mapping[str, Any]:
    """The attribute value that a request would have for this Python value. Raises `ConfigurationError`."""
    if isinstance(key, Mapping):
        return key
    made = attribute_value(key)
    if made is None:
        raise ConfigurationError(
            "Cluster.route: the key must be a str, an int, a Decimal or bytes, or an attribute value such as "
            f"{{'S': 'alice'}} (got {checks.shown(key)}). The hash is that of a number's exact text, so write a float "
            "as Decimal('1.5')."
        )
    return made
