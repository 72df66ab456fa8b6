"""Waits for the names of seeds to be resolved: no node is known before the resolver has answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..settings.addresses import is_ip_address
from ..transport.resolver import under_way

if TYPE_CHECKING:
    from ..settings.config import ClusterConfig
    from ..topology.monitor import Monitor

__all__ = ["SeedNames"]

_A_WHILE = 0.5
"""Seconds between two checks whether the monitor thread, which calls the resolver, lives."""


class SeedNames:
    """The hosts of a configuration's seeds that are names and not addresses. Empty if there are none."""

    def __init__(self, config: ClusterConfig, clock: Callable[[], float]) -> None:
        self._names = tuple(dict.fromkeys(host for host, _ in config.seed_addresses if not is_ip_address(host)))
        self._read_timeout = config.timeouts.read
        self._clock = clock

    def __bool__(self) -> bool:
        return bool(self._names)

    def patience(self, total: float | None) -> float:
        """Seconds that a request waits for the resolver while no node is known. `total`: its total timeout.

        Without a total timeout, it waits as long as for a node's answer, because a resolver gives up after about this
        time.
        """
        return self._read_timeout if total is None else total

    def left_to(self, monitor: Monitor, until: float) -> bool:
        """Wait until the monitor thread has resolved the names, or has failed. `until`: a time of the clock.

        False if no name has to be resolved, or if there is no thread: then the request itself resolves them.
        """
        while self._names and monitor.is_coming and (left := until - self._clock()) > 0.0:
            if monitor.begun.wait(min(left, _A_WHILE)):
                break
        return bool(self._names) and monitor.is_coming

    def asked(self) -> Sequence[str]:
        """The names that are being resolved now."""
        asked = under_way() if self._names else ()
        return [name for name in self._names if name in asked]
