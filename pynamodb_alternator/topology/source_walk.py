"""One reading of the node lists while it is made: which sources it asks, in which order, and what failed.

A source is a node that is asked for a list. There are three kinds, and a walk goes on to the next kind when a few
sources of one kind have failed: the nodes that are usable now (active ones before those on trial), the seeds that are
not members, and the nodes that are down (they may still know the list; an answer does not count for their health).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from ..errors import ClusterClosedError
from ..settings.scopes import ClusterScope, Scope
from .node import Node

__all__ = ["FAILURES_PER_KIND", "Contact", "NothingUsableError", "SourceWalk"]

FAILURES_PER_KIND = 3
"""How many sources of one kind may fail before the next kind is asked. The next reading begins with other sources."""


class NothingUsableError(ValueError):
    """All entries of an answer were refused, which is not the same as an empty list."""


class Contact(Protocol):
    """Asks one node for a list."""

    def __call__(self, node: Node, scope: Scope, *, credit: bool) -> tuple[Node, ...]:
        """The nodes that `node` lists for `scope`. `credit`: whether an answer counts for the health of `node`.

        Raises whatever the network raises, and ValueError.
        """


class SourceWalk:
    """One reading while it is made. `source`: the first node that told a list. `tried`: the addresses that were asked.
    `smooth`: whether each node that was asked has told a list.

    `seeds`: resolves the seeds, and returns them in the order in which they are asked; it is called only when they are
    needed. `blame`: is called with each source that fails, unless it is known to be down.
    """

    def __init__(
        self,
        *,
        active: Sequence[Node],
        quarantined: Sequence[Node],
        down: Sequence[Node],
        contact: Contact,
        seeds: Callable[[], Sequence[Node]],
        blame: Callable[[Node], None],
    ) -> None:
        self.live: list[Node] = [*active, *quarantined]
        self.quarantined: frozenset[Node] = frozenset(quarantined)
        self.down: list[Node] = list(down)
        self.tried: list[str] = []
        self.failed: set[Node] = set()
        self.source: Node | None = None
        self.error: Exception | str = "none of the seeds can be resolved"
        self.smooth: bool = True
        self.exhausted: bool = False
        """Whether every source that may be asked has failed."""
        self._contact = contact
        self._resolve_seeds = seeds
        self._blame = blame
        self._seeds: list[Node] | None = None

    def kinds(self) -> Iterator[list[Node]]:
        """The sources in the order in which they are asked. The seeds are resolved when their turn comes."""
        yield self.live
        if self._seeds is None:
            members = {*self.live, *self.down}
            self._seeds = [seed for seed in self._resolve_seeds() if seed not in members]
        yield self._seeds
        yield self.down

    def ask(self, scope: Scope) -> tuple[Node, ...] | None:
        """The nodes of `scope` as the first source that answers lists them, or None if none does."""
        if not self.exhausted:
            for sources in self.kinds():
                listed = self.ask_some(sources, scope)
                if listed is not None:
                    return listed
            self.exhausted = True
        return None

    def ask_some(self, sources: Sequence[Node], scope: Scope) -> tuple[Node, ...] | None:
        """Like `ask`, but only these sources are asked, and only until a few of them have failed."""
        failures = 0
        for node in sources:
            if node in self.failed:
                continue
            if failures >= FAILURES_PER_KIND:
                return None
            listed = self._ask_one(node, scope)
            if listed is not None:
                return listed
            failures += 1
        return None

    def _ask_one(self, node: Node, scope: Scope) -> tuple[Node, ...] | None:
        if node.address not in self.tried:
            self.tried.append(node.address)
        listed = self._listed_by(node, scope)
        self.smooth = self.smooth and listed is not None
        return listed

    def _listed_by(self, node: Node, scope: Scope) -> tuple[Node, ...] | None:
        try:
            listed = self._contact(node, scope, credit=node not in self.down)
        except NothingUsableError as error:
            self.error = error  # the node is not `failed`: it may list other scopes
            return None
        except ClusterClosedError:
            raise
        except Exception as error:
            self.error = error
            self.failed.add(node)
            if node not in self.down:
                self._blame(node)
            return None
        if not listed and isinstance(scope, ClusterScope):
            # A node that lists no node, not even itself, is about to join or to leave.
            self.error = f"{node} lists no node"
            return None
        self.source = self.source or node
        return listed
