"""Looking at a cluster: the doctor's findings, where the writes of a key go, and counters per node."""

from .doctor import examine, ping
from .routes import route, stats
from .values import Finding, KeyRoute, NodeStats, Severity
from .words import milliseconds

__all__ = ["Finding", "KeyRoute", "NodeStats", "Severity", "examine", "milliseconds", "ping", "route", "stats"]
