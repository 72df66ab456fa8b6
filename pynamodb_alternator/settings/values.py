"""Groups of settings, and the values that a setting may have: frozen, and validated when they are made.

A wrong setting is refused here with a message that names the field and the remedy, and not later by a request that
fails.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass, fields
from typing import Any, Literal

from ..errors import ConfigurationError
from . import checks
from .secrets import Secret

__all__ = [
    "CanonicalNumbers",
    "Credentials",
    "CredentialsSource",
    "Discovery",
    "Health",
    "Hedge",
    "KeyRouteAffinity",
    "LoadBalancing",
    "Retries",
    "RingNodes",
    "RingOrder",
    "Timeouts",
    "affinity",
    "canonical_numbers",
    "check_timeout",
    "hedge",
    "silent_writes",
    "token_aware",
]

LoadBalancing = Literal["round_robin", "random", "least_busy"]
"""The order of nodes for requests that any node may serve."""

RingNodes = Literal["datacenter", "scope"]
"""The nodes over which partition keys are spread if the scope in use is a rack: those of its datacenter, or those of
the rack."""

RingOrder = Literal["endpoint", "host", "endpoint_with_port"]
"""The sort key of these nodes: the canonical endpoint, the bare host, or the endpoint that always has its port, even if
this is the scheme's default."""


CanonicalNumbers = Literal["sets"] | bool
"""Which numbers are sent in DynamoDB's canonical form: those in sets, or with True the partition keys as well."""


class KeyRouteAffinity(enum.Enum):
    """Which writes go to the coordinator that their partition key picks."""

    NONE = "none"
    """No write: requests are spread over the nodes."""
    RMW = "rmw"
    """Writes for which the server must read before it writes. In a table whose write isolation is
    ``only_rmw_uses_lwt``, these are the writes that use a lightweight transaction."""
    ANY_WRITE = "any_write"
    """All writes, for tables whose write isolation is ``always``."""
    AUTO = "auto"
    """The widest mode that helps the table, learnt once from its ``system:write_isolation`` tag; RMW until it is
    known."""


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """An access key and its secret, with which requests are signed (SigV4).

    With ScyllaDB the access key is a role's name, and the secret key its salted hash. The secret and the token are
    hidden in the repr, also in the repr of a dict that `dataclasses.asdict` makes.
    """

    access_key: str
    secret_key: str
    session_token: str | None = None

    def __post_init__(self) -> None:
        for name in ("access_key", "secret_key", "session_token"):
            value = getattr(self, name)
            if name == "session_token" and value is None:
                continue
            if not isinstance(value, str) or not value:
                raise ConfigurationError(
                    f"Credentials: {name} must be a non-empty string (got {type(value).__name__}). "
                    "Leave out `credentials` altogether to send unsigned requests."
                )
            if name != "secret_key":
                checks.no_control_characters(f"Credentials: {name}", value)
            if name != "access_key":
                object.__setattr__(self, name, Secret(value))

    def __repr__(self) -> str:
        return f"Credentials(access_key={self.access_key!r}, secret_key=<hidden>)"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long one call may wait, in seconds.

    `connect`: for one connection to one node, TLS included.
    `read`: for the next bytes of an answer. The server gives up after 10 seconds, and answers with an error. With a
    shorter value, the outcome is unknown instead.
    `total`: for the whole call, retries and back-off included; None means no such limit.
    `pool`: how long a call waits for a connection while all connections to a node stay in use. The time starts again
    each time that a connection comes free, also for another call, because a queue that moves is not a fault. None means
    no such limit.

    In an event loop, time in which other code blocks the loop does not count for `connect`, `read` and `pool`, because
    it says nothing about a node.
    """

    connect: float = 2.0
    read: float = 15.0
    total: float | None = None
    pool: float | None = 30.0

    def __post_init__(self) -> None:
        check_timeout("Timeouts: connect", "connect", self.connect)
        check_timeout("Timeouts: read", "read", self.read)
        check_timeout("Timeouts: total", "total", self.total)
        check_timeout("Timeouts: pool", "pool", self.pool)

    @classmethod
    def of_checked(cls, connect: float, read: float, total: float | None, pool: float | None) -> Timeouts:
        """Make it from values that were checked before. Each request with settings of its own does this."""
        made, set_field = object.__new__(cls), object.__setattr__
        set_field(made, "connect", connect)
        set_field(made, "read", read)
        set_field(made, "total", total)
        set_field(made, "pool", pool)
        return made


@dataclass(frozen=True, slots=True)
class Retries:
    """How often one call is tried.

    `max_attempts`: how often a request may be sent, and how many cycles over the nodes it may go through until a node
    takes it. If a node refuses the connection, this does not count as sent: the request goes to the next node at once,
    if necessary to every usable node. 1 means that nothing is sent twice.
    `backoff_base`, `backoff_max`: seconds. After a whole cycle has failed, or if the cluster refuses the request
    because of too much load, the call waits a random time up to ``base * 2**n``, at most ``backoff_max`` (full jitter).
    `silent_writes`: what happens to a write whose node went silent. The node may still execute the write, on top of
    newer writes. ``"raise"``: `OutcomeUnknownError`. ``"wait"``: the same, but the write does not end when its node is
    declared down: it waits for the node's own answer, within `Timeouts.read`. ``"repeat"``: another node gets the
    write, if its second application equals the first. The older copy may later undo newer writes of its key.
    """

    max_attempts: int = 4
    backoff_base: float = 0.025
    backoff_max: float = 1.0
    silent_writes: Literal["raise", "wait", "repeat"] = "raise"

    def __post_init__(self) -> None:
        checks.whole("Retries: max_attempts", self.max_attempts, 1, 100)
        checks.positive("Retries: backoff_base", self.backoff_base)
        checks.positive("Retries: backoff_max", self.backoff_max)
        silent_writes("Retries: silent_writes", self.silent_writes)


@dataclass(frozen=True, slots=True)
class Discovery:
    """How the node list is kept up to date; all in seconds.

    `interval`: time between two reads of ``/localnodes`` while requests are made. `idle_interval`: time between two
    reads while no requests are made; a request in this time has the list read at once. `idle_after`: time without a
    request after which the cluster counts as idle.
    `timeout`: time in which one source must answer. `startup_wait`: how long the first request waits, at most, for the
    first node list; after that it goes to any node that has answered a probe. It waits longer for a resolver that has
    not resolved the seeds yet: as long as the call may take, or `Timeouts.read` if there is no `total`.
    `scope_restore_after`: how long a better routing scope must have had active nodes before it is used again.
    `active_interval_max`: the longest value to which `interval` may grow while no node comes, goes or is in trouble;
    None if it must not grow. `active_interval`: another name of `interval`, which ScyllaDB's drivers use. `enabled`: if
    False, no list is read, and the seeds are the only nodes. This is for a proxy in front of the cluster.
    """

    interval: float = 1.0
    idle_interval: float = 60.0
    idle_after: float = 10.0
    timeout: float = 2.0
    startup_wait: float = 1.0
    scope_restore_after: float = 3.0
    active_interval_max: float | None = None
    enabled: bool = True
    active_interval: InitVar[float | None] = None

    def __post_init__(self, active_interval: float | None) -> None:
        if active_interval is not None:
            checks.positive("Discovery: active_interval", active_interval)
            object.__setattr__(self, "interval", active_interval)
        checks.each(self, "Discovery", ("enabled",), checks.flag)
        checks.each(self, "Discovery", ("interval", "idle_interval", "idle_after", "timeout"), checks.positive)
        checks.each(self, "Discovery", ("startup_wait", "scope_restore_after"), checks.not_negative)
        longest = self.active_interval_max
        if longest is not None:
            remedy = "or None for an interval that does not grow"
            checks.positive("Discovery: active_interval_max", longest, remedy=remedy)
            if longest < self.interval:
                raise ConfigurationError(
                    f"Discovery: active_interval_max must be at least interval, which is {self.interval:g} "
                    f"(got {longest:g}). Give a longer one, or None for an interval that does not grow."
                )

    @property
    def longest_interval(self) -> float:
        """The largest number of seconds between two readings while requests are made."""
        return self.interval if self.active_interval_max is None else self.active_interval_max


@dataclass(frozen=True, slots=True)
class Health:
    """When a node counts as down, and when it is trusted again.

    The names are those of ScyllaDB's specification for its drivers. `active_failure_threshold`: the number of transport
    failures in a row after which an active node is down. `quarantine_failure_threshold`: the same number for a
    quarantined node. `quarantine_promotion_threshold`: the number of answers after which a quarantined node is active.
    `down_recovery_threshold`: the number of successful probes in a row after which a node that was down is quarantined.
    `probe_interval`: seconds until a node that is down is probed again, varied at random by up to half. While other
    nodes serve, they become twice and then about five times as many after further failures. `probe_timeout`: seconds
    that a probe may take. `suspect_after`: a node is probed if a request has waited for it for so many seconds.
    `max_parallel_probes`: how many probes may be under way at once. `enabled`: if False, no node is probed, and no node
    is ever down: each node is tried as if it were well, and a request that fails goes to another node. This is for a
    proxy in front of the cluster that checks the nodes itself.
    """

    active_failure_threshold: int = 10
    down_recovery_threshold: int = 2
    quarantine_promotion_threshold: int = 10
    quarantine_failure_threshold: int = 3
    probe_interval: float = 1.0
    probe_timeout: float = 1.0
    suspect_after: float = 1.0
    max_parallel_probes: int = 4
    enabled: bool = True

    def __post_init__(self) -> None:
        checks.each(self, "Health", ("enabled",), checks.flag)
        counts = (
            "active_failure_threshold",
            "down_recovery_threshold",
            "quarantine_promotion_threshold",
            "quarantine_failure_threshold",
            "max_parallel_probes",
        )
        checks.each(self, "Health", counts, checks.whole, 1, 1000)
        checks.each(self, "Health", ("probe_interval", "probe_timeout", "suspect_after"), checks.positive)


@dataclass(frozen=True, slots=True)
class Hedge:
    """When a waiting read is sent to a second node as well, and how many reads may be sent so.

    `after`: a read is hedged if no answer has begun after so many seconds. ``"p99"`` means the time within which 99 %
    of the operation's last 1,000 answers came (at least 2 ms; no read is hedged before there were 100 answers).
    `max_extra`: the part of the reads of the last minute that may be hedged, in addition to a reserve of 100 hedges per
    minute.

    Only reads that need not be consistent are hedged: `GetItem`, `BatchGetItem` and `Query` without
    ``ConsistentRead=True``, and vector searches. Raises `ConfigurationError`.
    """

    after: float | Literal["p99"] = "p99"
    max_extra: float = 0.05

    def __post_init__(self) -> None:
        if self.after != "p99":
            checks.positive("Hedge: after", self.after, remedy="or 'p99'")
        if not checks.is_number(self.max_extra) or not 0 <= self.max_extra <= 1:
            raise ConfigurationError(
                "Hedge: max_extra must be a number from 0 to 1, such as 0.05 for 5 % more reads "
                f"(got {checks.shown(self.max_extra)})."
            )


CredentialsSource = Credentials | Callable[[], Any] | Any
"""A `Credentials`, a botocore session or credentials object, or a callable that returns one of these. An `AsyncCluster`
also accepts sessions and credentials objects of aiobotocore, and asynchronous functions."""


def hedge(where: str, value: object) -> Hedge | None:
    """The `Hedge` that `value` means: a `Hedge`, a mapping of its settings, or None or False for none.

    Raises `ConfigurationError`.
    """
    if value is None or value is False:
        return None
    if isinstance(value, Mapping):
        checks.known_names(value, [setting.name for setting in fields(Hedge)], where)
        return Hedge(**value)
    if isinstance(value, Hedge):
        return value
    raise ConfigurationError(
        f"{where} must be Hedge(...), such as Hedge(after=0.05), or None for no hedged reads "
        f"(got {checks.shown(value)})."
    )


def check_timeout(where: str, name: str, seconds: object) -> None:
    """Check the timeout with this name. Raises `ConfigurationError`."""
    if name in ("connect", "read"):
        checks.positive(where, seconds)
    elif seconds is not None:
        checks.positive(where, seconds, remedy="or None for no limit")


def connection_age(where: str, value: Any) -> float | None:
    """`value`, if it is an age in seconds; None for 0. Raises `ConfigurationError` otherwise."""
    if value is None or (checks.is_number(value) and value == 0):
        return None
    checks.positive(where, value, remedy="or None for connections that are used for as long as they last")
    seconds: float = value
    return seconds


def silent_writes(where: str, value: Any) -> Literal["raise", "wait", "repeat"]:
    """`value`, if it is a value of `Retries.silent_writes`. Raises `ConfigurationError` otherwise."""
    checks.one_of(where, value, ("raise", "wait", "repeat"))
    checked: Literal["raise", "wait", "repeat"] = value
    return checked


def token_aware(where: str, value: Any) -> Literal["auto"] | bool:
    """`value`, if it is a value of `ClusterConfig.token_aware`. Raises `ConfigurationError` otherwise."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value == "auto":
        return "auto"
    raise ConfigurationError(f"{where} must be 'auto', True or False (got {checks.shown(value)}).")


def canonical_numbers(where: str, value: Any) -> CanonicalNumbers:
    """`value`, if it is a value of `ClusterConfig.canonical_numbers`. Raises `ConfigurationError` otherwise."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value == "sets":
        return "sets"
    raise ConfigurationError(
        f"{where} must be 'sets', True (partition keys as well) or False (got {checks.shown(value)})."
    )


def affinity(where: str, value: object) -> KeyRouteAffinity:
    """The mode that `value` means: a `KeyRouteAffinity`, or its name in any case. Raises `ConfigurationError`."""
    if isinstance(value, KeyRouteAffinity):
        return value
    if isinstance(value, str):
        try:
            return KeyRouteAffinity(value.strip().lower())
        except ValueError:
            pass
    names = ", ".join(mode.name for mode in KeyRouteAffinity)
    raise ConfigurationError(f"{where} must be one of KeyRouteAffinity's {names} (got {checks.shown(value)}).")
