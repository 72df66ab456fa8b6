"""Decides whether a cluster takes requests, and where it may connect. It is asked before each request and connection.

An open cluster takes all requests. A test may set a `Rule` for all clusters of the process (`only_where`), those that
exist and those that are made later. The rule decides which addresses the test may use.

If the rule refuses the seeds of a cluster, its requests are refused, even if it has open connections. No retry and no
``except`` of PynamoDB hides the error. A node that a seed has listed is refused when a connection to it is made. If the
cluster itself wanted to connect, for example for a probe, the next request is refused too. Such a probe ends as if the
cluster were closed, so it does not change the node's health.
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
"""The largest number of settings that an error names. Many models that are made at run time may name the same URL."""


class Rule(Protocol):
    """Where the clusters of this process may connect."""

    def refusal(self, config: ClusterConfig, origin: str, host: str, port: int) -> str | None:
        """Why a cluster may not connect to an address; None if it may.

        `config`: the configuration of the cluster. `origin`: the setting, or the line of code, where the cluster was
        made.
        """


class Admission:
    """Decides for one cluster whether it takes requests, and where it may connect.

    `closed`: whether it refuses all requests. `before_request`: is called before each request, unless it is None. If it
    raises an error, the request ends with this error.
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
        _admissions.add(self)  # first, so that a rule that is set meanwhile reaches it too
        if _rules:
            self.obey(_rules[0])

    def comes_from(self, setting: str) -> None:
        """Remember a setting that names this cluster, for errors. There may be several, because models with the same
        URL share a cluster."""
        if len(self._origins) < _MOST_ORIGINS:
            self._origins[setting] = None
        elif setting not in self._origins:
            self._origins["others"] = None

    def close(self) -> None:
        """Refuse all requests from now on."""
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
        """Check that the cluster's own requests, such as probes, may connect to the node. Raises
        `ClusterClosedError`."""
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
"""The rule of the innermost block is first."""


@contextmanager
def only_where(rule: Rule) -> Iterator[None]:
    """Inside, all clusters of this process connect only where `rule` allows it; for tests.

    Blocks may be nested: then only the innermost rule is used. Only one thread at a time may begin or end a block.
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
    """The file and line of the code outside of this package that has called it."""
    for frame, line in traceback.walk_stack(None):
        if frame.f_globals.get("__name__", "").partition(".")[0] != _PACKAGE:
            return f"at {frame.f_code.co_filename}:{line}"
    return "in code"
