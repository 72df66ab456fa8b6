"""A line of the log for each DynamoDB request: where it came to, what it asked for, and how it ended.

The logger is ``pynamodb_alternator.local.requests``, at the level DEBUG. A key is shown only by its token, which the
server's own tools show too.
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
    """Log a request that took so many seconds in its node; `answer` is None where the client got none."""
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
