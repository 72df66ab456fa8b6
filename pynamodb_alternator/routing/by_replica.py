"""Which nodes hold the key of a request, where that decides its query plan.

A node that holds a key answers an eventually consistent read by itself, and as the coordinator of any other request it
saves a hop to one of the replicas. What is needed for it: the table's token ring, the name of its partition key, and
the key's value in the request. Where one of them is missing, a reason says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ..settings.config import ClusterConfig
from ..topology.node import Node
from ..topology.replicas import Replicas, TokenRing
from ..topology.view import Topology
from . import reasons
from .hashing import key_hash
from .key_condition import queried_key
from .partition_key import KEY_PARAMETERS, as_mapping, key_content
from .tables import PARTITION_KEY, Tables
from .token import token_of

__all__ = ["ByReplica", "Holders", "TokenAware"]

TokenAware = Literal["auto"] | bool
Holders = tuple[Node, ...] | str | None


class ByReplica:
    """Finds the replicas of the key that a request is about. `replicas`: the token rings that are known."""

    def __init__(self, config: ClusterConfig, tables: Tables, replicas: Replicas) -> None:
        self._mode = config.token_aware
        self._tables = tables
        self._replicas = replicas

    def of_read(self, parameters: Mapping[str, Any], topology: Topology, mode: TokenAware | None) -> Holders:
        """The nodes in the scope in use that hold the item that a GetItem asks for; the reason why they are not known;
        or None, where the request is not to be routed so at all. `mode`: what the request's own options say."""
        table = parameters.get("TableName")
        ring = self._ring(table, mode)
        if not isinstance(ring, TokenRing):
            return ring
        content = self._key(table, parameters.get("Key"))
        return content if isinstance(content, str) else _holders(ring, content, topology)

    def of_write(
        self, operation: str, parameters: Mapping[str, Any], topology: Topology, mode: TokenAware | None
    ) -> tuple[tuple[Node, ...], int] | str | None:
        """The same of a write of one item, and the hash that picks one of them for all writers of the key."""
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
        """As `of_read`, of the partition that a Query asks for. An index is a table of its own, by its own partition
        key."""
        table, index = parameters.get("TableName"), parameters.get("IndexName")
        ring = self._ring(table if index is None else f"{table}:{index}", mode)
        if not isinstance(ring, TokenRing):
            return ring
        known = self._tables.get(table)
        name = known.partition_key if index is None else known.index_keys.get(index)
        value = queried_key(parameters, name)
        if value is reasons.NO_PARTITION_KEY_NAME:
            return self._no_name(table)
        content = value if isinstance(value, str) else key_content(value)
        return content if isinstance(content, str) else _holders(ring, content, topology)

    def _key(self, table: object, attributes: object) -> tuple[str, str | bytes] | str:
        """Type and content of the partition key's value, in a request's `Key` or `Item`, or the reason for none."""
        item = as_mapping(attributes)
        if item is None:
            return reasons.NO_KEY_VALUE
        name = self._tables.get(table).partition_key
        return self._no_name(table) if name is None else key_content(item.get(name))

    def _ring(self, name: object, mode: TokenAware | None) -> TokenRing | str | None:
        if mode is None:
            mode = self._mode
        if mode is False or not isinstance(name, str):
            return None
        ring = self._replicas.ring(name)
        if ring is not None:
            return ring
        return reasons.NO_TOKEN_RING if self._replicas.used(name, always=mode is True) else None

    def _no_name(self, table: object) -> str:
        if isinstance(table, str):
            self._tables.report_unknown(table, PARTITION_KEY)
        return reasons.NO_PARTITION_KEY_NAME


def _holders(ring: TokenRing, content: tuple[str, str | bytes], topology: Topology) -> tuple[Node, ...] | str:
    try:
        token = token_of(*content)
    except ValueError:  # not a number, or text that UTF-8 does not have: the server shall say so
        return reasons.NO_KEY_VALUE
    return ring.nodes(token, topology) or reasons.NO_REPLICA_IN_SCOPE
