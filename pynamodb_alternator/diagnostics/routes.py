"""Where the requests of a key go, and why."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..routing import reasons
from ..routing.attribute_value import attribute_value
from ..routing.by_replica import ring_name
from ..routing.canonical_number import canonical_key
from ..settings import checks
from ..settings.options import current
from ..settings.values import KeyRouteAffinity
from .values import KeyRoute

if TYPE_CHECKING:
    from ..routing import router
    from ..routing.by_replica import TokenAware
    from ..topology.node import Node
    from ..topology.view import View
    from .inside import Inside

__all__ = ["route"]


_EXPLANATIONS = {
    reasons.AFFINITY_OFF: "Affinity is off for this table.",
    reasons.NO_LWT_IN_TABLE: "No write of this table uses a lightweight transaction, so its writes have no affinity.",
    reasons.NO_PARTITION_KEY_NAME: "The name of the table's partition key is not known yet: a write would ask for it "
    "in the background, and go to any node meanwhile.",
    reasons.NO_KEY_VALUE: "There is no value that can be hashed: the write would go to any node.",
    reasons.UNSUPPORTED_KEY_TYPE: "A partition key is one string, number or binary value; the write would go to any "
    "node.",
    reasons.NO_AFFINITY_NODES: "No node is known over which keys could be spread.",
    reasons.READ: "An index is only read: its reads have no affinity.",
}
_EXPLAINED_MODES = {
    KeyRouteAffinity.RMW: "Writes of this key that need a read first go to these nodes in this order.",
    KeyRouteAffinity.ANY_WRITE: "All writes of this key go to these nodes in this order.",
}


_NOT_TO_REPLICAS = {
    reasons.TOKEN_AWARENESS_OFF: "Token awareness is off, so reads and plain writes are spread over the nodes. With "
    "token_aware=True they go to the replicas of their key first.",
    reasons.NO_PARTITION_KEY_NAME: "The name of the partition key is not known, so requests cannot be routed by it.",
    reasons.NO_KEY_VALUE: "There is no value that has a token.",
    reasons.UNSUPPORTED_KEY_TYPE: "A partition key is one string, number or binary value.",
    reasons.NO_REPLICA_IN_SCOPE: "The routing scope in use has no replica of this key, so its requests are spread over "
    "the nodes of the scope.",
    reasons.NO_REPLICA_IN_SUBSET: "None of the nodes that this process uses is a replica of this key, so its requests "
    "are spread over these nodes.",
}


def route(inside: Inside, table_name: str, key: Any, index: str | None) -> KeyRoute:
    """See `Cluster.route`."""
    _check_name("the table's name", table_name)
    if index is not None:
        _check_name("index", index)
    value = _key(key)
    inside.prepare(time.monotonic(), None)  # wait for the node list, if it was not read yet
    options = current(inside.key)
    mode = inside.config.token_aware if options.token_aware is None else options.token_aware
    numbers = options.canonical_numbers
    if (inside.config.canonical_numbers if numbers is None else numbers) is True:
        value = canonical_key(value)  # as in requests
    name = ring_name(table_name, index)
    if mode is True and inside.replicas.ring(name) is None:
        inside.questions.token_rings.read_unless_tried(name)
    view = inside.membership.view
    planned = inside.router.route_key(table_name, value, view, index=index, token_aware=mode)
    replicas = planned.replicas
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
        nodes=_addresses(planned.nodes),
        ring=_addresses(planned.ring),
        reason=planned.reason,
        explanation=explanation,
        ring_scope=str(view.topology.affinity_scope),
        ring_order=inside.config.affinity_ring_order,
        index=index,
        token=replicas.token,
        replicas=_addresses(replicas.in_scope),
        all_replicas=_addresses(replicas.everywhere),
        token_ring_age=None if replicas.read_at is None else time.monotonic() - replicas.read_at,
        replicas_reason=replicas.reason,
        replicas_explanation=_about_replicas(inside, planned, name, mode, view),
        reads=_addresses(planned.reads),
        plain_writes=_addresses(planned.plain_writes),
        subset=_addresses(view.subset),
    )


def _about_replicas(inside: Inside, planned: router.KeyRoute, name: str, mode: TokenAware, view: View) -> str:
    reason = planned.replicas.reason
    if reason is None and view.subset:
        return "Of its replicas, its reads and plain writes go to those that this process uses."
    if reason is None:
        reads = "Reads of this key go to its replicas in turn"
        if not planned.plain_writes:
            return f"{reads}."
        return f"{reads}, and its plain writes go to one of them, the same for all clients that have this scope."
    if reason != reasons.NO_TOKEN_RING:
        return _NOT_TO_REPLICAS.get(reason, reason)
    return f"Reads and plain writes are spread over the nodes. {_why_no_ring(inside, name)}"


def _why_no_ring(inside: Inside, name: str) -> str:
    trouble = inside.questions.token_rings.trouble(name)
    if trouble is not None:
        return f"The token ring cannot be used: {trouble}"
    if inside.replicas.is_wanted(name):
        return "The token ring is being read in the background."
    if not inside.has_monitor:
        return "Without a background thread the token ring is read only with token_aware=True."
    return (
        f"The token ring is read once the table has had {inside.config.token_aware_after:,} requests in this process, "
        "and with token_aware=True at once."
    )


def _addresses(nodes: Iterable[Node]) -> tuple[str, ...]:
    return tuple(node.address for node in nodes)


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"Cluster.route: {what} must be a non-empty string (got {checks.shown(name)}).")


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
