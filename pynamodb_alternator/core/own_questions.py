"""The library's own questions to the cluster: about tables, the locations of the nodes, and which nodes hold which
keys.

The questions go through the cluster's ordinary client. Their failures count for no node (`RequestOptions.is_lookup`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from random import Random
from typing import Any

from ..routing.tables import Tables
from ..settings.config import ClusterConfig
from ..settings.options import RequestOptions, block, current
from ..settings.values import Timeouts
from ..topology.membership import Membership
from ..topology.replicas import Replicas
from .lookups import Lookups
from .own_requests import surrounded
from .system_tables import NodeLocations, query_system_table, read_system_table
from .token_ring_reader import Query, TokenRingReader
from .token_rings import TokenRings
from .vector_search import LearntDialect

__all__ = ["OwnQuestions"]

_FOR_LOCATIONS = 1.0
"""The largest number of seconds in which the locations of the nodes are read, because a user waits for them."""
_FOR_TOKEN_RING, _FOR_TOKEN_RING_INLINE = 15.0, 1.0
"""The largest number of seconds for one page of a token ring: in the background, and while a request waits for it."""


class OwnQuestions:
    """`lookups`, `locations`, `token_rings` and `vector_dialect` of one cluster.

    `key`: identifies the cluster in context variables. `client`: returns its botocore client. `wake`: has the monitor
    thread call `begin`. `has_thread`: whether the cluster has a monitor thread. `works_inline`: whether requests do the
    work of this thread.
    """

    def __init__(
        self,
        config: ClusterConfig,
        *,
        key: object,
        client: Callable[[], Any],
        tables: Tables,
        replicas: Replicas,
        membership: Membership,
        wake: Callable[[], None],
        has_thread: Callable[[], bool],
        works_inline: Callable[[], bool],
        random: Random,
    ) -> None:
        self._key = key
        self._client = client
        self._works_inline = works_inline
        self._random = random
        self.vector_dialect: LearntDialect = LearntDialect()
        """Which dialect of vector search the cluster speaks."""
        self.lookups: Lookups = Lookups(
            tables,
            client,
            may_ask=has_thread(),
            wake=wake,
            asking=lambda: surrounded(block(key, RequestOptions(is_lookup=True))),
            clock=time.monotonic,
            random=random,
        )
        self.locations: NodeLocations = NodeLocations(
            membership,
            self._tables_of_one_node,
            translate=config.address_translator,
            clock=time.monotonic,
        )
        reader = TokenRingReader(
            self._query_of_one_node,
            hosts=lambda: frozenset(node.host for node in membership.view.topology.ring),
            translate=config.address_translator,
            port=config.node_port,
            clock=time.monotonic,
        )
        self.token_rings: TokenRings = TokenRings(
            replicas,
            reader.read,
            bytes_read=lambda: reader.bytes_read,
            may_read=has_thread,
            wake=wake,
            clock=time.monotonic,
            random=random,
        )

    def begin(self) -> None:
        """In the monitor thread: start to ask the waiting questions. Returns at once."""
        self.lookups.begin()
        self.token_rings.begin()

    def is_due_inline(self, now: float) -> bool:
        """Whether `run_inline` would ask a question."""
        return self.token_rings.is_due_inline(now)

    def run_inline(self, now: float, deadline: float | None) -> None:
        """In a request, if there is no monitor thread: ask the questions that are needed in any case, if the request
        has enough time."""
        if deadline is None or deadline - now > 2 * _FOR_TOKEN_RING_INLINE:
            self.token_rings.run_inline(now)

    @property
    def busy(self) -> bool:
        """Whether a question is being asked."""
        return self.lookups.busy or self.token_rings.busy

    def after_fork(self) -> None:
        """In the child of a fork: the parent's threads do not exist here."""
        self.lookups.after_fork()
        self.locations.after_fork()
        self.token_rings.after_fork()

    def close(self, timeout: float) -> None:
        """Ask no more questions. Waits at most `timeout` seconds for a question that is being asked."""
        end = time.monotonic() + timeout
        self.lookups.close(timeout)
        self.token_rings.close(max(0.0, end - time.monotonic()))

    # ---- system tables -----------------------------------------------------------------------------------------

    def at_one_node(self, **settings: Any) -> Callable[[], AbstractContextManager[None]]:
        """Returns a function that makes ``with`` blocks in which all requests prefer the same node: the one that the
        caller has chosen, else any."""
        number = current(self._key).consistent_node
        if number is None or number is False:
            number = self._random.getrandbits(31)
        options = RequestOptions(consistent_node=number, **settings)
        return lambda: block(self._key, options)

    def _asking_one_node(self, seconds: float) -> Callable[[], AbstractContextManager[None]]:
        at_one_node = self.at_one_node(
            all_timeouts=Timeouts(connect=min(seconds, 2.0), read=seconds, total=seconds),
            max_attempts=2,
            is_lookup=True,
        )
        return lambda: surrounded(at_one_node())

    def _tables_of_one_node(self) -> Callable[[str], Iterator[Mapping[str, Any]]]:
        at_one_node = self._asking_one_node(_FOR_LOCATIONS / 2)  # for each of the two tables
        return lambda name: read_system_table(self._client(), name, {}, at_one_node)

    def _query_of_one_node(self) -> Query:
        at_one_node = self._asking_one_node(_FOR_TOKEN_RING_INLINE if self._works_inline() else _FOR_TOKEN_RING)

        def query(name: str, equals: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
            read = query_system_table if equals else read_system_table
            return read(self._client(), name, equals, at_one_node)

        return query
