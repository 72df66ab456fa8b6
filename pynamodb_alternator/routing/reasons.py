"""The reasons why a request was not routed by key route affinity or by replicas, as they are in signals, logs and
metrics."""

from __future__ import annotations

from typing import Final

__all__ = [
    "AFFINITY_OFF",
    "MALFORMED_PARAMETERS",
    "NOT_AN_ITEM_WRITE",
    "NOT_READ_MODIFY_WRITE",
    "NO_AFFINITY_NODES",
    "NO_KEY_VALUE",
    "NO_LWT_IN_TABLE",
    "NO_PARTITION_KEY_NAME",
    "NO_REPLICA_IN_SCOPE",
    "NO_REPLICA_IN_SUBSET",
    "NO_TOKEN_RING",
    "READ",
    "TOKEN_AWARENESS_OFF",
    "UNSUPPORTED_KEY_TYPE",
]

# Affinity does not apply to the request, although everything is known.

READ: Final = "read"
"""The request reads: GetItem, BatchGetItem, Query, Scan."""

NOT_AN_ITEM_WRITE: Final = "not_an_item_write"
"""The request neither reads nor writes items by key: CreateTable, DescribeTable, TagResource, ..."""

AFFINITY_OFF: Final = "affinity_off"
"""The mode of the table or the request is `KeyRouteAffinity.NONE`."""

NOT_READ_MODIFY_WRITE: Final = "not_read_modify_write"
"""Affinity is for read-modify-writes only, and this write needs no read."""

NO_LWT_IN_TABLE: Final = "no_lwt_in_table"
"""The mode is `KeyRouteAffinity.AUTO`, and the table's write isolation has no lightweight transactions."""

MALFORMED_PARAMETERS: Final = "malformed_parameters"
"""The parameters do not have the shape of a request, so they cannot be analysed. The server will answer with an
error."""

# The request should go to the replicas of its key, but cannot.

NO_TOKEN_RING: Final = "no_token_ring"
"""The token ring of the table, or of the index, is not known (yet)."""

NO_REPLICA_IN_SCOPE: Final = "no_replica_in_scope"
"""The routing scope in use has no replica of the key."""

NO_REPLICA_IN_SUBSET: Final = "no_replica_in_subset"
"""None of the nodes that this process uses is a replica of the key."""

TOKEN_AWARENESS_OFF: Final = "token_awareness_off"
"""``token_aware=False`` is set. Only `Cluster.route` gives this reason; requests give the reason why they have no
affinity."""

# The request should have affinity, but cannot. The signal `affinity_fallback` has these reasons.

NO_PARTITION_KEY_NAME: Final = "no_partition_key_name"
"""The name of the table's partition key is not known (yet)."""

NO_KEY_VALUE: Final = "no_key_value"
"""The request has no value for the partition key, or none that can be sent."""

UNSUPPORTED_KEY_TYPE: Final = "unsupported_key_type"
"""The partition key's value is not one string, number or binary value."""

NO_AFFINITY_NODES: Final = "no_affinity_nodes"
"""The affinity ring has no node."""
