"""The protocol of an engine: it executes DynamoDB requests for the nodes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

EngineAnswer = tuple[int, Mapping[str, str], bytes]
"""HTTP status, headers, body."""


@runtime_checkable
class Engine(Protocol):
    """The storage of a `LocalCluster`.

    `call` executes one DynamoDB request: `headers` has ``x-amz-target``, and `body` is the uncompressed JSON. Several
    threads call it at the same time, and it must be atomic for each item. It answers with DynamoDB's errors; the nodes
    turn them into Alternator's. If an engine also has a `lock` (a `threading.RLock`, held during every call), its calls
    must be quick and in process: a node then calls it without a change of threads.

    The optional `close()` is called when the cluster closes.
    """

    def call(self, headers: Mapping[str, str], body: bytes) -> EngineAnswer: ...


def lock_of(engine: Engine) -> threading.RLock | None:
    return getattr(engine, "lock", None)


def batch_limit_of(engine: Engine) -> int:
    """How many items the engine accepts in one BatchWriteItem. DynamoDB's limit is 25, Alternator's is 100."""
    limit = getattr(engine, "batch_limit", 25)
    return int(limit)
