"""Finds the nodes that hold the key of a request, if the query plan of the request depends on them.

A node that holds a key answers an eventually consistent read alone. For any other request with this key, it needs one
hop less to the replicas than another coordinator. Three things must be known to find such a node: the table's token
ring, the name of its partition key, and the key's value in the request. If one of them is missing, the reason tells
which one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from ..settings.config import ClusterConfig
from ..topology.node import Node
from ..topology.replicas import Replicas, TokenRing
from ..topology.view import Topology, View
from . import reasons
from .hashing import key_hash
from .key_condition import queried_key
from .partition_key import KEY_PARAMETERS, as_mapping, key_content
from .tables import PARTITION_KEY, SYSTEM_TABLES, Tables
from .token import token_of

__all__ = ["ByReplica", "Holders", "KeyReplicas", "TokenAware", "in_subset", "ring_name"]

TokenAware = Literal["auto"] | bool
Holders = tuple[Node, ...] | str | None


class KeyReplicas(NamedTuple):
    """What is known of the replicas of one partition key.

    `token`: the token of the key; None if its value has none. `in_scope`: the nodes of the scope in use that hold the
    key, in canonical order. `everywhere`: these nodes, and those outside of the scope. `read_at`: when the ring was
    read, on the monotonic clock; None if the ring is not known. `reason`: why requests do not go to these nodes first,
    as a word of `routing.reasons`; None if they do.
    """

    token: int | None = None
    in_scope: tuple[Node, ...] = ()
    everywhere: tuple[Node, ...] = ()
    read_at: float | None = None
    reason: str | None = None


def ring_name(table: str, index: str | None) -> str:
    """The name of the token ring of a table, or of an index, which is a table of its own."""
    return table if index is None else f"{table}:{index}"


def in_subset(holders: Holders, view: View) -> Holders:
    """Those of `holders` that are in the subset of this process, or the reason why there is none."""
    if not isinstance(holders, tuple):
        return holders
    return tuple(node for node in holders if node in view.subset) or reasons.NO_REPLICA_IN_SUBSET


class ByReplica:
    """Finds the replicas of the key in a request. `replicas`: the token rings that are known."""

    def __init__(self, config: ClusterConfig, tables: Tables, replicas: Replicas) -> None:
        self._mode = config.token_aware
        self._tables = tables
        self._replicas = replicas

    def of_read(self, parameters: Mapping[str, Any], topology: Topology, mode: TokenAware | None) -> Holders:
        """The nodes of the scope in use that hold the item of a GetItem. If they are not known, the reason; and None if
        the request must not be routed to replicas at all. `mode`: `token_aware` of the request's own options."""
        table = parameters.get("TableName")
        ring = self._ring(table, mode)
        if not isinstance(ring, TokenRing):
            return ring
        content = self._key(table, parameters.get("Key"))
        return content if isinstance(content, str) else _holders(ring, content, topology)

    def of_write(
        self, operation: str, parameters: Mapping[str, Any], topology: Topology, mode: TokenAware | None
    ) -> tuple[tuple[Node, ...], int] | str | None:
        """Like `of_read`, for a write of one item. The nodes come with the hash of the key, by which all writers of the
        key pick the same node."""
        table = parameters.get("TableName")
        ring = self._ring(table, mode)
        if not isinstance(ring, TokenRing):
            return ring
        content = self._key(table, parameters.get(KEY_PARAMETERS[operation]))
        if isinstance(content, str):
            return content
        holders = _holders(ring, content, topology)
        return holders if isinstance(holders, str) else (holders, key_hash(*content))

    def of_query(self, parameters: Mapping[str, Any], topology: Topology, mode: TokenAware | None) -> Holders:
        """Like `of_read`, for the partition that a Query asks for, in the table or in an index."""
        table, index = parameters.get("TableName"), parameters.get("IndexName")
        ring = self._ring(table if index is None else f"{table}:{index}", mode)
        if not isinstance(ring, TokenRing):
            return ring
        value = queried_key(parameters, self.key_name(table, index))
        if value is reasons.NO_PARTITION_KEY_NAME:
            return self._no_name(table)
        if value is reasons.NO_KEY_VALUE:
            self._tables.doubt_partition_key(table)
        content = value if isinstance(value, str) else key_content(value)
        return content if isinstance(content, str) else _holders(ring, content, topology)

    def of_key(
        self, table: str, index: str | None, value: object, topology: Topology, mode: TokenAware | None
    ) -> KeyReplicas:
        """What is known of the replicas of one partition key, for diagnostics. This does not count as a request for the
        table.

        `value`: its attribute value. Anything may be passed.
        """
        mode = self._mode if mode is None else mode
        content = key_content(value)
        token = content if isinstance(content, str) else _token(content)
        if isinstance(token, str):
            return KeyReplicas(reason=token)
        ring = self._replicas.ring(ring_name(table, index))
        if ring is None:
            return KeyReplicas(token, reason=reasons.TOKEN_AWARENESS_OFF if mode is False else reasons.NO_TOKEN_RING)
        holders = ring.nodes(token, topology)
        reason = None
        if mode is False:
            reason = reasons.TOKEN_AWARENESS_OFF
        elif self.key_name(table, index) is None:
            reason = reasons.NO_PARTITION_KEY_NAME
        elif not holders:
            reason = reasons.NO_REPLICA_IN_SCOPE
        return KeyReplicas(token, holders, ring.all_nodes(token, topology), ring.read_at, reason)

    def key_name(self, table: object, index: Any) -> str | None:
        """The name of the partition key of a table or of its index, if it is known."""
        known = self._tables.get(table)
        return known.partition_key if index is None else known.index_keys.get(index)

    def _key(self, table: object, attributes: object) -> tuple[str, str | bytes] | str:
        """Type and content of the partition key's value in a request's `Key` or `Item`, or the reason why there is
        none."""
        item = attributes if type(attributes) is dict else as_mapping(attributes)
        if item is None:
            return reasons.NO_KEY_VALUE
        name = self._tables.get(table).partition_key
        if name is None:
            return self._no_name(table)
        value = item.get(name)
        if value is None:
            self._tables.doubt_partition_key(table, item)
        return key_content(value)

    def _ring(self, name: object, mode: TokenAware | None) -> TokenRing | str | None:
        if mode is None:
            mode = self._mode
        if mode is False or not isinstance(name, str):
            return None
        ring = self._replicas.ring(name)
        if ring is not None:
            return ring
        if name.startswith(SYSTEM_TABLES):
            return None
        return reasons.NO_TOKEN_RING if self._replicas.used(name, always=mode is True) else None

    def _no_name(self, table: object) -> str:
        if isinstance(table, str):
            self._tables.report_unknown(table, PARTITION_KEY)
        return reasons.NO_PARTITION_KEY_NAME


def _holders(ring: TokenRing, content: tuple[str, str | bytes], topology: Topology) -> tuple[Node, ...] | str:
    try:
        token = token_of(*content)
    except ValueError:
        return reasons.NO_KEY_VALUE
    return ring.nodes(token, topology) or reasons.NO_REPLICA_IN_SCOPE


def _token(content: tuple[str, str | bytes]) -> int | str:
    try:
        return token_of(*content)
    except ValueError:  # not a number, or text that UTF-8 does not have: the server will refuse it
        return reasons.NO_KEY_VALUE
