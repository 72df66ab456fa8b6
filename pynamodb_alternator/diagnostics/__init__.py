"""Inspects a cluster: the doctor's findings, where the requests of a key go, and counters of each node."""

from .examiner import examine, ping, troubles
from .inside import Inside
from .questions import at_once
from .routes import route
from .stats import stats
from .values import Finding, KeyRoute, NodeStats, Severity
from .words import duration, milliseconds, said

__all__ = [
    "Finding",
    "Inside",
    "KeyRoute",
    "NodeStats",
    "Severity",
    "at_once",
    "duration",
    "examine",
    "milliseconds",
    "ping",
    "route",
    "said",
    "stats",
    "troubles",
]
