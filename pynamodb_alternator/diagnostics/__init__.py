"""Looking at a cluster: the doctor's findings, where the writes of a key go, and counters of each node."""

from .examiner import examine, ping
from .inside import Inside
from .routes import route
from .stats import stats
from .values import Finding, KeyRoute, NodeStats, Severity
from .words import milliseconds, said

__all__ = [
    "Finding",
    "Inside",
    "KeyRoute",
    "NodeStats",
    "Severity",
    "examine",
    "milliseconds",
    "ping",
    "route",
    "said",
    "stats",
]
