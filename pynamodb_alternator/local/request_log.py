"""Writes a log line for each DynamoDB request: the node, the operation, and the answer.

The logger is ``pynamodb_alternator.local.requests``, at the level DEBUG. The line has the token of a key, as the
server's own tools do, and not the key.
"""

from __future__ import annotations

import logging

import orjson

from .answers import Answer

LOGGER = logging.getLogger("pynamodb_alternator.local.requests")
_REPLICA = {True: "replica", False: "no replica", None: "-"}


def is_on() -> bool:
    return LOGGER.isEnabledFor(logging.DEBUG)


def note(
    address: str,
    shard: int,
    operation: str,
    table: str | None,
    token: int | None,
    answer: Answer | None,
    seconds: float,
    replica: bool | None,
) -> None:
    """Log a request. `seconds`: how long it took in its node. `answer`: None if the client got none."""
    LOGGER.debug(
        "%s %s %s %s %s %.1f ms %s shard=%d",
        address,
        operation,
        table or "-",
        "-" if token is None else f"token={token}",
        _status(answer),
        seconds * 1000,
        _REPLICA[replica],
        shard,
    )


def _status(answer: Answer | None) -> str:
    if answer is None:
        return "no answer"
    if not answer.is_error:
        return str(answer.status)
    try:
        kind = str(orjson.loads(answer.body)["__type"]).rpartition("#")[2]
    except (ValueError, KeyError, TypeError):
        return str(answer.status)
    return f"{answer.status} {kind}"
