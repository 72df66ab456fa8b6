"""One structured line for each request, in the standard library's logging.

>>> from pynamodb_alternator.contrib import logging as requests_log
>>> handle = requests_log.instrument()

The logger is ``pynamodb_alternator.requests``. A line reads ``cluster=default operation=GetItem table=users
node=10.0.0.1:8000 attempts=1 status=200 duration_ms=1.234 policy=round_robin reason=read request_id=1f3-2``, and the
record carries the same as a dict in its attribute `alternator`, for formatters that write JSON. A read that was hedged
has ``hedge=won`` or ``hedge=lost`` too. Neither has keys or values of items, nor the text of an error, but only its
class.
"""

from __future__ import annotations

import logging
import re
import threading
from typing import Any

from .. import signals
from ..errors import ConfigurationError
from ._watch import Handle, Subscription, error_name

__all__ = ["Logging", "instrument"]

LOGGER = "pynamodb_alternator.requests"

_PLAIN = re.compile('[^ "=]+').fullmatch
"""Whether a text can stand in a line as it is, if it is printable."""

_lock = threading.Lock()
_active: dict[str, Logging] = {}


class Logging(Handle):
    """The subscription of `instrument`."""

    def __init__(self, logger: logging.Logger, level: int, trouble_level: int) -> None:
        self.logger = logger
        self.level = level
        self.trouble_level = trouble_level
        self._subscription = Subscription([(signals.request_completed, self._completed)])

    def uninstrument(self) -> None:
        """Write no more lines. May be called again."""
        with _lock:
            if _active.get(self.logger.name) is self:
                del _active[self.logger.name]
        self._subscription.close()

    def _completed(self, cluster: Any, *, event: signals.RequestCompleted, **_: Any) -> None:
        status = event.status
        trouble = (
            event.error is not None or status is None or status >= 500 or event.attempts > 1 + (event.hedge is not None)
        )
        level = self.trouble_level if trouble else self.level
        if not self.logger.isEnabledFor(level):
            return
        said: dict[str, Any] = {
            "cluster": event.cluster_name,
            "operation": event.operation,
            "table": event.table_name,
            "node": event.node,
            "attempts": event.attempts,
            "status": status,
            "duration_ms": round(event.duration * 1000, 3),
            "policy": event.policy,
            "reason": event.reason,
            "request_id": event.request_id,
        }
        if event.hedge is not None:
            said["hedge"] = event.hedge
        if event.error is not None:
            said["error"] = error_name(event.error)
        line = " ".join(f"{name}={_word(value)}" for name, value in said.items())
        self.logger.log(level, "%s", line, extra={"alternator": said})


def _word(value: object) -> str:
    if value is None:
        return "-"
    text = str(value)
    if _PLAIN(text) and text.isprintable():
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in escaped) + '"'


def instrument(
    logger: logging.Logger | str | None = None, *, level: int | str = "INFO", trouble_level: int | str = "WARNING"
) -> Logging:
    """Write a line for each request from now on, of all clusters.

    `logger`: another one than ``pynamodb_alternator.requests``. `level`: of a request that went well. `trouble_level`:
    of one that failed, got a status from 500 on, or took more than one attempt. A hedge does not count as an attempt
    here.

    A logger that is instrumented already stays as it is, with the levels given last. Raises `ConfigurationError`.
    """
    levels = _level("level", level), _level("trouble_level", trouble_level)
    if logger is not None and not isinstance(logger, str | logging.Logger):
        raise ConfigurationError(
            f"instrument(): logger must be a logging.Logger or the name of one (got {type(logger).__name__})."
        )
    target = logger if isinstance(logger, logging.Logger) else logging.getLogger(logger or LOGGER)
    with _lock:
        handle = _active.get(target.name)
        if handle is None:
            handle = _active[target.name] = Logging(target, *levels)
        else:
            handle.level, handle.trouble_level = levels
        return handle


def _level(name: str, level: int | str) -> int:
    known = logging.getLevelNamesMapping()
    if isinstance(level, str) and level.upper() in known:
        return known[level.upper()]
    if isinstance(level, int) and not isinstance(level, bool):
        return level
    raise ConfigurationError(
        f"instrument(): {name} must be a level of logging, such as 'INFO' or logging.DEBUG (got {level!r})."
    )
