"""Structured log lines for requests and changes of nodes, in the standard library's logging.

>>> from pynamodb_alternator.contrib import logging as requests_log
>>> handle = requests_log.instrument()

The logger is ``pynamodb_alternator.requests``. A line reads ``cluster=default operation=GetItem table=users
node=10.0.0.1:8000 attempts=1 status=200 duration_ms=1.234 policy=round_robin reason=read request_id=1f3-2``, and the
record has the same as a dict in its attribute `alternator`, which `JsonFormatter` writes as JSON. A read that was
hedged has ``hedge=won`` or ``hedge=lost`` too. Keys and values of items are never logged. Of a request's error, only
the class is logged, and not the text.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .. import signals
from ..errors import ConfigurationError
from ..settings import checks
from ._watch import Handle, Receiver, Subscription, error_name

__all__ = ["JsonFormatter", "Logging", "instrument"]

LOGGER = "pynamodb_alternator.requests"

_PLAIN = re.compile('[^ "=]+').fullmatch
"""Matches a text that needs no quotes in a line, if it is printable."""

OF_NODES = {
    signals.node_added: False,
    signals.node_removed: False,
    signals.node_quarantined: False,
    signals.node_down: True,
    signals.node_up: False,
    signals.node_set_aside: True,
    signals.node_restored: False,
    signals.scope_fallback: True,
    signals.scope_restored: False,
    signals.discovery_failed: True,
}
"""The signals of nodes that become lines, and whether they mean trouble."""

_lock = threading.Lock()
_active: dict[str, Logging] = {}


class Logging(Handle):
    """The subscription of `instrument`."""

    def __init__(self, logger: logging.Logger, level: int, trouble_level: int, nodes: bool, own_requests: bool) -> None:
        self.logger = logger
        self.level = level
        self.trouble_level = trouble_level
        self.nodes = nodes
        self.own_requests = own_requests
        of_nodes = [(signal, self._of_nodes(signal.name, trouble)) for signal, trouble in OF_NODES.items()]
        self._subscription = Subscription([(signals.request_completed, self._completed), *of_nodes])

    def uninstrument(self) -> None:
        """Write no more lines. May be called again."""
        with _lock:
            if _active.get(self.logger.name) is self:
                del _active[self.logger.name]
        self._subscription.close()

    def _completed(self, cluster: Any, *, event: signals.RequestCompleted, **_: Any) -> None:
        if event.own and not self.own_requests:
            return
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
        if event.on_replica is not None:
            said["on_replica"] = event.on_replica
        if event.own:
            said["own"] = True
        if event.error is not None:
            said["error"] = error_name(event.error)
        self._write(level, said)

    def _of_nodes(self, name: str, trouble: bool) -> Receiver:
        def changed(cluster: Any, *, event: signals.Event, **_: Any) -> None:
            level = self.trouble_level if trouble else self.level
            if self.nodes and self.logger.isEnabledFor(level):
                fields = dict(vars(event))
                self._write(level, {"event": name.replace("-", "_"), "cluster": fields.pop("cluster_name"), **fields})

        return changed

    def _write(self, level: int, said: Mapping[str, Any]) -> None:
        line = " ".join(f"{name}={_word(value)}" for name, value in said.items())
        self.logger.log(level, "%s", line, extra={"alternator": said})


class JsonFormatter(logging.Formatter):
    """Writes each record as one line of JSON, also records of other loggers.

    The members are `time` (UTC, ISO 8601), `level`, `logger` and `message`; the object `alternator` has the data of
    `instrument`. `exception` has the trace of an exception, and `stack` that of ``stack_info=True``. `trace_id` and
    `span_id` are included if OpenTelemetry's instrumentation of logging has added them to the record.
    """

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, attribute in (("alternator", "alternator"), ("trace_id", "otelTraceID"), ("span_id", "otelSpanID")):
            if hasattr(record, attribute):
                said[name] = getattr(record, attribute)
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        elif record.exc_text:
            said["exception"] = record.exc_text  # for a record that another process has sent
        if record.stack_info:
            said["stack"] = self.formatStack(record.stack_info)
        try:
            return json.dumps(said, default=str, allow_nan=False)
        except (TypeError, ValueError):
            # JSON has neither a number that is none, nor a key that is a tuple. `instrument` puts none on a record.
            return json.dumps({name: value if isinstance(value, str) else repr(value) for name, value in said.items()})


def _word(value: object) -> str:
    if value is None:
        return "-"
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    if _PLAIN(text) and text.isprintable():
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in escaped) + '"'


def instrument(
    logger: logging.Logger | str | None = None,
    *,
    level: int | str = "INFO",
    trouble_level: int | str = "WARNING",
    nodes: bool = False,
    own_requests: bool = False,
) -> Logging:
    """Write a line for each request of all clusters, from now on.

    `logger`: another logger than ``pynamodb_alternator.requests``. `level`: for a request that went well.
    `trouble_level`: for a request that failed, got a status from 500 on, or took more than one attempt; a hedge does
    not count as an attempt here. `nodes`: also write a line for each change of a node or of the routing scope, and if
    no node tells the node list. These lines have ``event=node_down`` and the like. `own_requests`: also write lines for
    the library's own requests. These have ``own=True``.

    If the logger is instrumented already, the new arguments replace the old ones. Raises `ConfigurationError`.
    """
    checks.flag("instrument(): nodes", nodes)
    checks.flag("instrument(): own_requests", own_requests)
    levels = _level("level", level), _level("trouble_level", trouble_level)
    if logger is not None and not isinstance(logger, str | logging.Logger):
        raise ConfigurationError(
            f"instrument(): logger must be a logging.Logger or the name of one (got {type(logger).__name__})."
        )
    target = logger if isinstance(logger, logging.Logger) else logging.getLogger(logger or LOGGER)
    with _lock:
        handle = _active.get(target.name)
        if handle is None:
            handle = _active[target.name] = Logging(target, *levels, nodes, own_requests)
        else:
            handle.level, handle.trouble_level = levels
            handle.nodes, handle.own_requests = nodes, own_requests
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
