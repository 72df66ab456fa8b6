"""The plug behind the nodes: something that executes DynamoDB requests."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

EngineAnswer = tuple[int, Mapping[str, str], bytes]
"""HTTP status, headers, body."""


@runtime_checkable
class Engine(Protocol):
    """What stores the data of a `LocalCluster`.

    `call` executes one DynamoDB request: `headers` has ``x-amz-target``, `body` is the uncompressed JSON. It is
    called from several threads at once, must be atomic for each item, and answers DynamoDB's errors as DynamoDB
    does; the nodes turn them into Alternator's. An engine that also has a `lock` (a `threading.RLock`, held for every
    call) says that its calls are quick and in process: a node then calls it without a change of thread.

    The optional `close()` is called when the cluster closes.
    """

    def call(self, headers: Mapping[str, str], body: bytes) -> EngineAnswer: ...


def lock_of(engine: Engine) -> threading.RLock | None:
    return getattr(engine, "lock", None)


def batch_limit_of(engine: Engine) -> int:
    """How many items the engine takes in one BatchWriteItem: DynamoDB's limit is 25, Alternator's is 100."""
    limit = getattr(engine, "batch_limit", 25)
    return int(limit)
