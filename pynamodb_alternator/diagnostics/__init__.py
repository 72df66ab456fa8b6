"""Looking at a cluster: the doctor's findings, where the requests of a key go, and counters of each node."""

from .examiner import examine, ping
from .inside import Inside
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
    "duration",
    "examine",
    "milliseconds",
    "ping",
    "route",
    "said",
    "stats",
]
