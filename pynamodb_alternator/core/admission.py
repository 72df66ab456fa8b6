"""Whether a cluster takes requests, and where it may connect: what is asked before a request and before a connection.

An open cluster takes all requests. A test may set a `Rule` for all clusters of the process (`only_where`), those that
exist and those that are made later: the rule knows which addresses belong to the test.

If the rule refuses the seeds of a cluster, its requests are refused, whatever connections are open, with an error that
no retry and no ``except`` of PynamoDB's hides. A node that a seed has listed is refused at the moment of connecting. If
the cluster itself wanted to connect, such as for a probe, the next request is refused too. Such a probe ends as if the
cluster were closed, which says nothing of a node's health.
"""

from __future__ import annotations

import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from ..errors import BlockedConnectionError, ClusterClosedError

if TYPE_CHECKING:
    from ..settings.config import ClusterConfig
    from ..topology.node import Node

__all__ = ["Admission", "Rule", "only_where"]

_PACKAGE = __name__.partition(".")[0]
_MOST_ORIGINS = 4
"""How many settings an error names. There may be many models that are made at run time, and all name one URL."""


class Rule(Protocol):
    """Where the clusters of this process may connect."""

    def refusal(self, config: ClusterConfig, origin: str, host: str, port: int) -> str | None:
        """Why a cluster may not connect to an address; None if it may.

        `config`: that of the cluster. `origin`: the setting, or the line of code, that it comes from.
        """


class Admission:
    """Of one cluster: whether it takes requests, and where it may connect.

    `closed`: it takes none any more. `before_request`: is called before each request, unless it is None; raises what
    the request ends with.
    """

    __slots__ = ("__weakref__", "_config", "_listed", "_made_at", "_origins", "_rule", "before_request", "closed")

    def __init__(self, config: ClusterConfig) -> None:
        self.closed: bool = False
        self.before_request: Callable[[], None] | None = None
        self._config = config
        self._origins: dict[str, None] = {}
        self._made_at = _line_of_user()
        self._rule: Rule | None = None
        self._listed: Node | None = None
        _admissions.add(self)  # first: a rule that is laid down meanwhile finds it
        if _rules:
            self.obey(_rules[0])

    def comes_from(self, setting: str) -> None:
        """Remember a setting that means this cluster, as errors name it. Models that name one URL share a cluster."""
        if len(self._origins) < _MOST_ORIGINS:
            self._origins[setting] = None
        elif setting not in self._origins:
            self._origins["others"] = None

    def close(self) -> None:
        """Take no requests any more."""
        self.closed = True
        self.obey(self._rule)

    def obey(self, rule: Rule | None) -> None:
        """Connect only where `rule` allows it; None allows everything."""
        self._rule = rule
        self._listed = None
        if self.closed:
            self.before_request = self._say_closed
        else:
            self.before_request = None if rule is None else self._check_seeds

    def admit(self, node: Node) -> None:
        """Check that a request may connect to the node. Raises `BlockedConnectionError`."""
        if self._rule is not None:
            self._check(node.host, node.port)

    def admit_control(self, node: Node) -> None:
        """The same for what the cluster does by itself. Raises `ClusterClosedError`."""
        if self._rule is not None:
            try:
                self._check_seeds()
                self.admit(node)
            except BlockedConnectionError as blocked:
                self._listed = node
                raise ClusterClosedError(str(blocked)) from None

    def _check_seeds(self) -> None:
        for host, port in self._config.seed_addresses:
            self._check(host, port)
        if self._listed is not None:
            self.admit(self._listed)

    def _check(self, host: str, port: int) -> None:
        rule = self._rule
        origin = " and from ".join(self._origins) or f"a cluster that was made {self._made_at}"
        refusal = None if rule is None else rule.refusal(self._config, origin, host, port)
        if refusal is not None:
            raise BlockedConnectionError(refusal)

    def _say_closed(self) -> None:
        raise ClusterClosedError(f"The cluster {self._config.name!r} is closed. Make another Cluster for more.")


_admissions: weakref.WeakSet[Admission] = weakref.WeakSet()
_rules: tuple[Rule, ...] = ()
"""The innermost first."""


@contextmanager
def only_where(rule: Rule) -> Iterator[None]:
    """Inside, all clusters of this process connect only where `rule` allows it; for tests.

    Blocks nest, and the innermost rule holds. One thread at a time begins and ends them.
    """
    _lay_down((rule, *_rules))
    try:
        yield
    finally:
        _lay_down(tuple(other for other in _rules if other is not rule))


def _lay_down(rules: tuple[Rule, ...]) -> None:
    global _rules
    _rules = rules
    for admission in tuple(_admissions):
        admission.obey(rules[0] if rules else None)


def _line_of_user() -> str:
    """The place where code outside of this package has called it."""
    for frame, line in traceback.walk_stack(None):
        if frame.f_globals.get("__name__", "").partition(".")[0] != _PACKAGE:
            return f"at {frame.f_code.co_filename}:{line}"
    return "in code"
