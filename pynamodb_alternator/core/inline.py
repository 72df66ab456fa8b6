"""The mode without threads, for a process that may stand still between two requests, as an AWS Lambda function does.

Nothing happens in the background there: a request refreshes the node list when it is stale, and probes one suspect, in
its own thread and within its own deadline.

An exception may come between any two lines of it (a signal handler raises in the thread of a request). So what is to be
probed is put together again with each reading, from what the membership knows: its suspects, and the nodes that are not
active. So a suspect that was lost through an exception is probed after the next reading.
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
"""Nodes that a request probes until one answers, where it has no node to go to."""
_PROBE_TIMEOUT = 0.5
"""Seconds for a probe that a request waits for. Enough for a node across an ocean."""


def can_be_frozen() -> bool:
    """Whether the process may stand still between two requests."""
    return "AWS_LAMBDA_FUNCTION_NAME" in os.environ


class DeadlinedFetch:
    """Fetches for discovery and probes, and resolves names. If a request does that in its thread, its deadline
    holds."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._of_thread = threading.local()

    @contextlib.contextmanager
    def until(self, deadline: float | None, names_until: float | None = None) -> Iterator[None]:
        """A context manager: inside, no fetch of this thread takes longer than `deadline`, and no name longer than
        `names_until`, which is `deadline` if it is not given."""
        try:
            # Inside, so that no exception comes before it is sure to be taken back.
            self._of_thread.deadline = deadline
            self._of_thread.names_until = deadline if names_until is None else names_until
            yield
        finally:
            self._of_thread.deadline = self._of_thread.names_until = None

    def resolver(self, resolve: Callable[[str, float | None], Sequence[str]]) -> Resolve:
        """`resolve`, which takes seconds as well, within the same deadline."""

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
    """What a request does where there is no monitor: it refreshes a stale node list and probes one suspect."""

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
        """Whether the next request has something to do here, and so would wait."""
        return self._list_is_stale(now) or bool(self._suspects) or self._lacks_a_node()

    def _list_is_stale(self, now: float) -> bool:
        last = self._membership.last_read
        return last is None or now - last >= self._membership.config.discovery.interval

    def _lacks_a_node(self) -> bool:
        """Whether requests have no node to go to, and there are new nodes, of which a probe may prove one."""
        view = self._membership.view
        return bool(view.unproven) and len(view.down) >= len(view.topology.ring)

    def _candidates(self) -> list[Node]:
        """Some new nodes of the scope in use: first the node that told the list, then others at random."""
        view = self._membership.view
        unproven = [node for node in view.topology.nodes if node in view.unproven]
        self._random.shuffle(unproven)
        source = self._membership.source
        return sorted(unproven, key=lambda node: node.address != source)[:_MOST_TRIED]

    def run(self, now: float, deadline: float | None) -> None:
        """Do what cannot wait, within `deadline`."""
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
                # One at a time, because a request waits for it. Another thread may be about to take the same.
                for node in tuple(self._suspects)[:1]:
                    if self._suspects.pop(node, False):
                        membership.probe(node, timeout)

    def _prove_one(self, timeout: float, deadline: float | None) -> None:
        """Probe new nodes until one answers: requests go only to nodes that have answered ``GET /``."""
        for node in self._candidates():
            if deadline is not None and self._clock() + timeout >= deadline:
                return
            self._membership.suspect(node)  # so that one that fails is not waited for
            self._suspects.pop(node, None)
            if self._membership.probe(node, timeout):
                return
