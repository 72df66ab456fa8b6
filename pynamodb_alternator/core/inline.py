"""The mode without threads, for a process that may stand still between two requests, as an AWS Lambda function does.

In this mode nothing happens in the background: a request reads the node list again when it is too old, and probes one
suspect, in its own thread and within its own deadline.

An exception may come between any two lines of it (a signal handler raises in the thread of a request). So with each
reading, the list of nodes to probe is made anew from the suspects of the membership and the nodes that are due for a
probe. A suspect that was lost through an exception is probed after the next reading.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING

from ..errors import DeadlineBeforeSendError

if TYPE_CHECKING:
    from ..topology.membership import Membership
    from ..topology.network import Fetch, Resolve
    from ..topology.node import Node

__all__ = ["DeadlinedFetch", "InlineUpkeep", "can_be_frozen"]

_MOST_TRIED = 3
"""The largest number of nodes that a request probes if no node can take it."""
_PROBE_TIMEOUT = 0.5
"""Seconds for a probe for which a request waits. They are enough for a node on another continent."""


def can_be_frozen() -> bool:
    """Whether the process may stand still between two requests."""
    return "AWS_LAMBDA_FUNCTION_NAME" in os.environ


class DeadlinedFetch:
    """Fetches node lists and probes, and resolves names. If a request does this in its thread, the deadline of the
    request limits the time."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._of_thread = threading.local()

    @contextlib.contextmanager
    def until(self, deadline: float | None, names_until: float | None = None) -> Iterator[None]:
        """A context manager: inside, no fetch of this thread goes on after `deadline`, and no name is resolved after
        `names_until`. If `names_until` is None, `deadline` is used for names too."""
        try:
            # Set inside of the `try`, so that an exception at any line leads to the `finally`.
            self._of_thread.deadline = deadline
            self._of_thread.names_until = deadline if names_until is None else names_until
            yield
        finally:
            self._of_thread.deadline = self._of_thread.names_until = None

    def resolver(self, resolve: Callable[[str, float | None], Sequence[str]]) -> Resolve:
        """A resolver that calls `resolve` with the seconds that are left until the deadline."""

        def within(name: str) -> Sequence[str]:
            deadline = getattr(self._of_thread, "names_until", None)
            return resolve(name, None if deadline is None else max(0.0, deadline - self._clock()))

        return within

    def __call__(self, node: Node, path: str, timeout: float) -> tuple[int, bytes]:
        deadline = getattr(self._of_thread, "deadline", None)
        if deadline is not None:
            timeout = min(timeout, deadline - self._clock())
            if timeout <= 0:
                raise DeadlineBeforeSendError("The deadline of the request that would have asked has passed.")
        return self._fetch(node, path, timeout)


class InlineUpkeep:
    """The work that a request does if there is no monitor: it reads the node list again if this is too old, and probes
    one suspect."""

    def __init__(
        self, membership: Membership, fetch: DeadlinedFetch, clock: Callable[[], float], random: Random
    ) -> None:
        self._random = random
        self._membership = membership
        self._fetch = fetch
        self._clock = clock
        self._suspects: dict[Node, bool] = {}

    def suspect(self, node: Node) -> None:
        """Have the next request probe the node."""
        self._suspects[node] = True

    def is_due(self, now: float) -> bool:
        """Whether the next request would have to read the list or to probe a node, and so would wait."""
        return self._list_is_stale(now) or bool(self._suspects) or self._lacks_a_node()

    def _list_is_stale(self, now: float) -> bool:
        last = self._membership.last_read
        return last is None or now - last >= self._membership.config.discovery.interval

    def _lacks_a_node(self) -> bool:
        """Whether no node can take requests, but there are unproven nodes that can be probed."""
        view = self._membership.view
        return bool(view.unproven) and len(view.down) >= len(view.topology.ring)

    def _candidates(self) -> list[Node]:
        """Some unproven nodes of the scope in use: first the node that told the list, then others at random."""
        view = self._membership.view
        unproven = [node for node in view.topology.nodes if node in view.unproven]
        self._random.shuffle(unproven)
        source = self._membership.source
        return sorted(unproven, key=lambda node: node.address != source)[:_MOST_TRIED]

    def run(self, now: float, deadline: float | None) -> None:
        """Do the work that is due, within `deadline`."""
        membership = self._membership
        membership.review(now)
        names_until = now + membership.config.timeouts.read if deadline is None else deadline
        with self._fetch.until(deadline, names_until):
            if self._list_is_stale(now):
                membership.begin()
                most = {} if deadline is None else {"most": max(0.0, deadline - self._clock())}
                membership.refresh(wait=membership.last_success is None, **most)
                self._suspects.update(dict.fromkeys((*membership.suspects(), *membership.probes_due(now)), True))
            timeout = min(membership.config.health.probe_timeout, _PROBE_TIMEOUT)
            if self._lacks_a_node():
                self._prove_one(timeout, deadline)
            elif deadline is None or self._clock() + timeout < deadline:
                # Only one, because a request waits for it. Another thread may take the same node, so `pop` decides.
                for node in tuple(self._suspects)[:1]:
                    if self._suspects.pop(node, False):
                        membership.probe(node, timeout)

    def _prove_one(self, timeout: float, deadline: float | None) -> None:
        """Probe unproven nodes until one answers: requests go only to nodes that have answered ``GET /``."""
        for node in self._candidates():
            if deadline is not None and self._clock() + timeout >= deadline:
                return
            self._membership.suspect(node)  # so that the node is down at once if its probe fails
            self._suspects.pop(node, None)
            if self._membership.probe(node, timeout):
                return
