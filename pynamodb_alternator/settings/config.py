"""What the user asked for: frozen values, validated when they are made.

A wrong setting is refused here, with a message that names the field and the remedy, and not later by a request that
fails. Nothing in this module does I/O.
"""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, MISSING, dataclass, field, fields, replace
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Literal, Self
from urllib.parse import parse_qsl

from ..errors import ConfigurationError
from . import checks
from .scopes import ClusterScope, DatacenterScope, RackScope, Scope
from .wire import Deflate, Gzip, Tls

__all__ = [
    "ClusterConfig",
    "Credentials",
    "Discovery",
    "Health",
    "KeyRouteAffinity",
    "Retries",
    "Timeouts",
]


class KeyRouteAffinity(enum.Enum):
    """Which writes go to the one coordinator that their partition key picks."""

    NONE = "none"
    """No write: requests are spread over the nodes."""
    RMW = "rmw"
    """Writes for which the server must read before it writes, which are those that use a lightweight transaction
    in a table whose write isolation is ``only_rmw_uses_lwt``."""
    ANY_WRITE = "any_write"
    """All writes, for tables whose write isolation is ``always``."""
    AUTO = "auto"
    """What helps the table, learnt once from its ``system:write_isolation`` tag; RMW until it is known."""


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """An access key and its secret, with which requests are signed (SigV4).

    With ScyllaDB the access key is a role's name, and the secret key its salted hash. The secret is in no repr.
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

    def __repr__(self) -> str:
        return f"Credentials(access_key={self.access_key!r}, secret_key=<hidden>)"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long one call may wait, in seconds.

    `connect`: for one connection to one node, TLS included.
    `read`: for the next bytes of an answer. The server gives up by itself after 10 seconds, so a shorter value
    turns its error answers into outcomes that nobody knows.
    `total`: for the whole call, retries and back-off included; None means no such limit.
    `pool`: where all connections to a node are in use, how long none of them may come free before the call fails.
    Each one that comes free, for whichever call, starts the time again: a queue that moves is not a fault. None means
    no such limit.

    In an event loop, time in which something else holds the loop counts neither for `connect` nor for `read` nor for
    `pool`: it says nothing of a node.
    """

    connect: float = 2.0
    read: float = 15.0
    total: float | None = None
    pool: float | None = 30.0

    def __post_init__(self) -> None:
        checks.positive("Timeouts: connect", self.connect)
        checks.positive("Timeouts: read", self.read)
        for name in ("total", "pool"):
            seconds = getattr(self, name)
            if seconds is not None:
                checks.positive(f"Timeouts: {name}", seconds, remedy="or None for no limit")


@dataclass(frozen=True, slots=True)
class Retries:
    """How often one call is tried.

    `max_attempts`: how often a request may be sent, and how many cycles over the nodes it may take to find one that
    takes it. A node that refuses the connection costs no attempt: the request moves on at once, to every usable node
    if need be. 1 means that nothing is sent twice.
    `backoff_base`, `backoff_max`: seconds. After a whole cycle has failed, or an answer says that the cluster is
    shedding load, the call waits a random time up to ``base * 2**n``, at most ``backoff_max`` (full jitter).
    `silent_writes`: what becomes of a write whose node went silent, and may therefore still execute it, on top of
    newer writes. ``"raise"``: `OutcomeUnknownError`. ``"wait"``: the same, but the write is not given up when its node
    is declared down: it waits for the node's own answer, within `Timeouts.read`. ``"repeat"``: another node gets the
    write, if its second application equals the first; an older copy of it may undo newer writes of its key later.
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

    `interval`: between two reads of ``/localnodes`` while requests are made. `idle_interval`: while none are made;
    a request in that time wakes the reader at once. `idle_after`: how long without a request counts as idle.
    `timeout`: for one source to answer. `startup_wait`: how long the first request waits, at most, for the first
    node list; after that it goes to a seed.
    `scope_restore_after`: how long a better routing scope must have had active nodes before it is used again.
    """

    interval: float = 1.0
    idle_interval: float = 60.0
    idle_after: float = 10.0
    timeout: float = 2.0
    startup_wait: float = 1.0
    scope_restore_after: float = 3.0

    def __post_init__(self) -> None:
        for name in ("interval", "idle_interval", "idle_after", "timeout"):
            checks.positive(f"Discovery: {name}", getattr(self, name))
        for name in ("startup_wait", "scope_restore_after"):
            checks.not_negative(f"Discovery: {name}", getattr(self, name))


@dataclass(frozen=True, slots=True)
class Health:
    """When a node counts as down, and when it is trusted again.

    The names are those of ScyllaDB's specification for its drivers. `active_failure_threshold`: transport failures
    in a row that take an active node out. `quarantine_failure_threshold`: the same for one on trial.
    `quarantine_promotion_threshold`: answers that make a node on trial active. `down_recovery_threshold`: probes in a
    row that put a down node on trial again. `probe_interval`, `probe_timeout`: seconds. `suspect_after`: a request that
    has waited this long for a node makes us probe that node. `max_parallel_probes`: probes under way at once.
    """

    active_failure_threshold: int = 10
    down_recovery_threshold: int = 2
    quarantine_promotion_threshold: int = 10
    quarantine_failure_threshold: int = 3
    probe_interval: float = 1.0
    probe_timeout: float = 1.0
    suspect_after: float = 1.0
    max_parallel_probes: int = 4

    def __post_init__(self) -> None:
        for name in (
            "active_failure_threshold",
            "down_recovery_threshold",
            "quarantine_promotion_threshold",
            "quarantine_failure_threshold",
            "max_parallel_probes",
        ):
            checks.whole(f"Health: {name}", getattr(self, name), 1, 1000)
        for name in ("probe_interval", "probe_timeout", "suspect_after"):
            checks.positive(f"Health: {name}", getattr(self, name))


CredentialsSource = Credentials | Callable[[], Any] | Any
"""A `Credentials`, a botocore session or credentials object, or a callable that gives one of these."""


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """How to reach a cluster, and how to use it. Immutable; `replace` makes a changed copy.

    `seeds`: addresses to start from, at least one that answers; a list of ``"host"`` or ``"host:port"``, or one
    string with commas. A name is resolved, and all of its addresses are used. The other nodes are found through them.
    `port`, `scheme`: of every node of the cluster.
    `name`: the cluster's name in signals and logs.
    `routing_scope`: `ClusterScope`, `DatacenterScope` or `RackScope`, with fallbacks.
    `load_balancing`: the order of nodes for requests without affinity.
    `key_route_affinity`: see `KeyRouteAffinity`. `rmw_rule`: ``"server"`` decides as the server does, which
    updates need a read first; ``"driver"`` counts as ScyllaDB's other drivers do. `force_read_before_write`: set it
    where the server's option ``alternator_force_read_before_write`` is set.
    `partition_keys`: partition-key names of tables that have no model here.
    `affinity_ring_order`: ``"host"`` for fleets that mix this library with alternator-client 2.0.2.
    `credentials`: None sends unsigned requests; or `Credentials`, a botocore session, or a callable.
    `region`: the name in the signature's scope. The server takes any.
    `tls`: a `Tls`, for scheme https; None means ``Tls()``, which trusts the authorities that the system trusts. It
    holds for discovery, probes and requests alike.
    `request_compression`: `Gzip` or `Deflate`; None sends requests as they are. Servers before 2026.1 take none.
    `response_compression`: True, or the codings that answers may have, of ``"gzip"`` and ``"deflate"``, in the order in
    which they are preferred.
    `user_agent`: None sends none; True sends ``pynamodb_alternator/`` and the version; or a text of your own.
    `timeouts`, `retries`, `discovery`, `health`: see these classes.
    `retry_ambiguous_writes`: True repeats writes whose outcome is unknown, as AWS SDKs do: an increment may then be
    applied twice. It implies ``silent_writes="repeat"``.
    `allowed_networks`: listed nodes outside these networks (``"10.0.0.0/8"``) are refused, where any are given.
    `address_translator`: gives the address to use for a listed one (NAT), as ``"host"`` or ``"host:port"``; None
    refuses the node.
    `monitor`: whether a background thread keeps the node list and health up to date. None decides by itself: yes,
    except where the process can be frozen between requests (AWS Lambda). Without it a request reads the list when it
    is stale.
    `max_pool_connections`: connections to one node that are open at once.
    `extra_headers`: sent with every request.

    Raises `ConfigurationError`.
    """

    seeds: Iterable[str] | str
    port: int = 8000
    scheme: Literal["http", "https"] = "http"
    _: KW_ONLY
    name: str = "default"
    routing_scope: Scope = field(default_factory=ClusterScope)
    load_balancing: Literal["round_robin", "random"] = "round_robin"
    key_route_affinity: KeyRouteAffinity = KeyRouteAffinity.AUTO
    rmw_rule: Literal["server", "driver"] = "server"
    force_read_before_write: bool = False
    partition_keys: Mapping[str, str] = field(default_factory=dict)
    affinity_ring_order: Literal["endpoint", "host"] = "endpoint"
    credentials: CredentialsSource | None = None
    region: str = "us-east-1"
    tls: Tls | None = None
    request_compression: Gzip | Deflate | None = None
    response_compression: bool | Sequence[str] = ()
    user_agent: str | bool | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    retries: Retries = field(default_factory=Retries)
    retry_ambiguous_writes: bool = False
    discovery: Discovery = field(default_factory=Discovery)
    health: Health = field(default_factory=Health)
    allowed_networks: Sequence[IPv4Network | IPv6Network | str] = ()
    address_translator: Callable[[str], str | None] | None = None
    monitor: bool | None = None
    max_pool_connections: int = 50
    extra_headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        if not isinstance(self.scheme, str) or self.scheme not in ("http", "https"):
            raise ConfigurationError(
                f"ClusterConfig: scheme must be 'http' or 'https' (got {checks.shown(self.scheme)}). "
                "Write scheme='https' for a cluster with TLS."
            )
        checks.whole("ClusterConfig: port", self.port, 1, 65535)
        set_field(self, "seeds", checks.seeds(self.seeds))
        if not isinstance(self.name, str) or not self.name:
            raise ConfigurationError(f"ClusterConfig: name must be a non-empty string (got {self.name!r}).")
        if not isinstance(self.routing_scope, ClusterScope | DatacenterScope | RackScope):
            raise ConfigurationError(
                "ClusterConfig: routing_scope must be ClusterScope(), DatacenterScope('dc1') or "
                f"RackScope('dc1', 'r1') (got {self.routing_scope!r})."
            )
        checks.one_of("ClusterConfig: load_balancing", self.load_balancing, ("round_robin", "random"))
        checks.one_of("ClusterConfig: rmw_rule", self.rmw_rule, ("server", "driver"))
        checks.one_of("ClusterConfig: affinity_ring_order", self.affinity_ring_order, ("endpoint", "host"))
        set_field(self, "key_route_affinity", affinity("ClusterConfig: key_route_affinity", self.key_route_affinity))
        set_field(self, "partition_keys", checks.partition_keys(self.partition_keys))
        for name in ("force_read_before_write", "retry_ambiguous_writes"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigurationError(f"ClusterConfig: {name} must be True or False (got {getattr(self, name)!r}).")
        for name, kind in (("timeouts", Timeouts), ("retries", Retries), ("discovery", Discovery), ("health", Health)):
            value = getattr(self, name)
            if isinstance(value, Mapping):
                value = _build(kind, value, f"ClusterConfig: {name}")
                set_field(self, name, value)
            if not isinstance(value, kind):
                raise ConfigurationError(f"ClusterConfig: {name} must be {kind.__name__}(...) (got {value!r}).")
        if isinstance(self.credentials, Mapping):
            set_field(self, "credentials", _build(Credentials, self.credentials, "ClusterConfig: credentials"))
        if isinstance(self.credentials, str | bytes | int | float | tuple | list):
            raise ConfigurationError(
                "ClusterConfig: credentials must be Credentials(access_key, secret_key), a botocore session, or a "
                f"callable that gives credentials (got a {type(self.credentials).__name__})."
            )
        if not isinstance(self.region, str) or not re.fullmatch(r"[A-Za-z0-9_.-]+", self.region):
            raise ConfigurationError(
                f"ClusterConfig: region must be a name such as 'us-east-1' (got {self.region!r}). The server takes any."
            )
        set_field(self, "allowed_networks", checks.networks(self.allowed_networks))
        if self.address_translator is not None and not callable(self.address_translator):
            raise ConfigurationError(
                "ClusterConfig: address_translator must be a function from a listed address to the one to use "
                f"(got {self.address_translator!r})."
            )
        if self.monitor is not None and not isinstance(self.monitor, bool):
            raise ConfigurationError(f"ClusterConfig: monitor must be True, False or None (got {self.monitor!r}).")
        checks.whole("ClusterConfig: max_pool_connections", self.max_pool_connections, 1, 100_000)
        set_field(self, "extra_headers", checks.headers("ClusterConfig: extra_headers", self.extra_headers))
        self._check_wire()

    def _check_wire(self) -> None:
        set_field = object.__setattr__
        tls: Any = self.tls
        if tls is not None and self.scheme != "https":
            raise ConfigurationError(
                "ClusterConfig: tls is given, but the scheme is 'http', so that nothing would be encrypted. "
                "Write scheme='https' (or https:// in the URL), or leave tls out."
            )
        if isinstance(tls, Mapping):
            tls = _tls_from(tls)
            set_field(self, "tls", tls)
        if tls is not None and not isinstance(tls, Tls):
            raise ConfigurationError(
                f"ClusterConfig: tls must be Tls(...), such as Tls(ca='/path/to/ca.pem') (got {checks.shown(tls)})."
            )
        compression = request_compression("ClusterConfig: request_compression", self.request_compression)
        set_field(self, "request_compression", compression)
        accepted = response_compression("ClusterConfig: response_compression", self.response_compression)
        set_field(self, "response_compression", accepted)
        if self.user_agent is False:
            set_field(self, "user_agent", None)
        if self.user_agent is not None and self.user_agent is not True:
            if not isinstance(self.user_agent, str) or not self.user_agent:
                raise ConfigurationError(
                    "ClusterConfig: user_agent must be a text of your own, True for this library's name and version, "
                    f"or None to send none (got {checks.shown(self.user_agent)})."
                )
            checks.headers("ClusterConfig: user_agent", {"User-Agent": self.user_agent})
        if self.user_agent is not None and any(name.lower() == "user-agent" for name in self.extra_headers):
            raise ConfigurationError(
                "ClusterConfig: give the User-Agent once: either user_agent, or 'User-Agent' in extra_headers."
            )

    def __hash__(self) -> int:
        # Some settings are mappings. Equal configurations have equal seeds, and that is enough for a hash.
        return hash((self.seeds, self.port, self.scheme, self.name, self.routing_scope))

    def replace(self, **changes: Any) -> Self:
        """A copy with some settings changed, validated as a new one is."""
        checks.known_names(changes, _SETTINGS, "ClusterConfig.replace")
        return replace(self, **changes)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """From a mapping such as a settings file has.

        The keys are the field names. Instead of `routing_scope`, `datacenter` and `rack` may be given, and nested
        settings (`timeouts`, `retries`, `credentials`, ...) may be mappings themselves. ``{"url": ...}`` starts from
        a URL, and the other keys change it.
        """
        if not isinstance(settings, Mapping):
            raise ConfigurationError(f"ClusterConfig.from_dict takes a mapping (got {type(settings).__name__}).")
        options = dict(settings)
        url = options.pop("url", None)
        checks.known_names(options, (*_SETTINGS, *_FROM_NAMES, "url"), "ClusterConfig")
        if url is not None:
            return cls.from_url(url, **options)
        _scope_from_names(options)
        if "seeds" not in options:
            raise ConfigurationError("ClusterConfig: seeds is missing. Write seeds=['10.0.0.1', '10.0.0.2'].")
        return cls(**options)

    @classmethod
    def from_url(cls, url: str, **changes: Any) -> Self:
        """From a URL: ``http://10.0.0.1,10.0.0.2:8000/?datacenter=dc1&rack=r1``.

        Hosts are separated by commas. A port after the last one is the port of all. The query takes `datacenter`,
        `rack`, `connect_timeout`, `read_timeout`, `total_timeout`, `pool_timeout`, `max_attempts`, `silent_writes`, for
        https `ca`, `client_cert`, `client_key`, `verify_hostname` and `insecure`, and every field of `ClusterConfig`
        whose value is a word or a number. `changes` win over the URL.
        """
        options = _parse_url(url)
        # A rack alone is one of the datacenter that the URL names; anything wider replaces the URL's scope.
        if {"datacenter", "routing_scope"} & changes.keys():
            options.pop("datacenter", None)
        if {"datacenter", "rack", "routing_scope"} & changes.keys():
            options.pop("rack", None)
        for name in ("timeouts", "retries", "tls"):
            if isinstance(changes.get(name), Mapping) and name in options:
                changes[name] = {**options[name], **changes[name]}
        options.update(changes)
        return cls.from_dict(options)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **changes: Any) -> Self:
        """From the environment: ``ALTERNATOR_URL``, and optionally ``ALTERNATOR_DATACENTER``, ``ALTERNATOR_RACK``,
        ``ALTERNATOR_ACCESS_KEY``, ``ALTERNATOR_SECRET_KEY`` and ``ALTERNATOR_SESSION_TOKEN``, and for https
        ``ALTERNATOR_CA``, ``ALTERNATOR_CLIENT_CERT`` and ``ALTERNATOR_CLIENT_KEY``."""
        env = os.environ if environ is None else environ
        url = env.get("ALTERNATOR_URL")
        if not url:
            raise ConfigurationError(
                "The environment variable ALTERNATOR_URL is not set. "
                "Set it to a URL such as http://10.0.0.1,10.0.0.2:8000/?datacenter=dc1."
            )
        for name in ("datacenter", "rack"):
            value = env.get(f"ALTERNATOR_{name.upper()}")
            if value and "routing_scope" not in changes:
                changes.setdefault(name, value)
        access, secret = env.get("ALTERNATOR_ACCESS_KEY"), env.get("ALTERNATOR_SECRET_KEY")
        if bool(access) != bool(secret):
            missing = "ALTERNATOR_SECRET_KEY" if access else "ALTERNATOR_ACCESS_KEY"
            raise ConfigurationError(
                f"The environment variable {missing} is not set, but its partner is: set both to sign requests, "
                "or neither to send them unsigned."
            )
        if access and secret:
            token = env.get("ALTERNATOR_SESSION_TOKEN") or None
            changes.setdefault("credentials", Credentials(access, secret, token))
        tls = {name: env[f"ALTERNATOR_{name.upper()}"] for name in _TLS_FILES if env.get(f"ALTERNATOR_{name.upper()}")}
        if tls:
            changes.setdefault("tls", tls)
        return cls.from_url(url, **changes)

    @classmethod
    def of(cls, value: ClusterConfig | str | Mapping[str, Any], **changes: Any) -> ClusterConfig:
        """From whatever a user may write for a cluster: a config, a URL, or a mapping."""
        if isinstance(value, ClusterConfig):
            return value.replace(**changes) if changes else value
        if isinstance(value, str):
            return cls.from_url(value, **changes)
        if isinstance(value, Mapping):
            return cls.from_dict({**value, **changes})
        raise ConfigurationError(
            "A cluster is described by a ClusterConfig, a URL such as 'http://10.0.0.1:8000', or a mapping "
            f"(got {type(value).__name__})."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # The mappings are read-only views, which cannot be pickled.
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        for name in ("partition_keys", "extra_headers"):
            values[name] = dict(values[name])
        return _rebuild, (type(self), values)

    def __repr__(self) -> str:
        shown = [f"seeds={list(self.seeds)!r}"]
        for one in fields(self)[1:]:
            value = getattr(self, one.name)
            if value == (one.default if one.default_factory is MISSING else one.default_factory()):
                continue
            if one.name == "credentials" and not isinstance(value, Credentials):
                value = f"<{type(value).__name__}>"
            elif one.name == "extra_headers":
                value = sorted(value)  # the names only: a header may carry a secret
            elif one.name == "partition_keys":
                value = dict(value)
            shown.append(f"{one.name}={value!r}")
        return f"ClusterConfig({', '.join(shown)})"


def _rebuild(kind: type[ClusterConfig], values: dict[str, Any]) -> ClusterConfig:
    return kind(**values)


_SETTINGS = tuple(one.name for one in fields(ClusterConfig))
_FROM_NAMES = ("datacenter", "rack")
_SHORT: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "connect_timeout": ("timeouts", "connect", float),
    "read_timeout": ("timeouts", "read", float),
    "total_timeout": ("timeouts", "total", float),
    "pool_timeout": ("timeouts", "pool", float),
    "max_attempts": ("retries", "max_attempts", int),
    "silent_writes": ("retries", "silent_writes", str),
}
"""Settings of one level down that a URL may name directly, and what makes their value from its text."""
_TLS_FILES = ("ca", "client_cert", "client_key")
_TLS_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(_TLS_FILES, str),
    "verify_hostname": checks.boolean,
    "insecure": checks.boolean,
}

_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "name": str,
    "load_balancing": str,
    "key_route_affinity": str,
    "rmw_rule": str,
    "affinity_ring_order": str,
    "region": str,
    "request_compression": str,
    "response_compression": lambda text: checks.boolean_or(text, _codings),
    "user_agent": lambda text: checks.boolean_or(text, str),
    "force_read_before_write": checks.boolean,
    "retry_ambiguous_writes": checks.boolean,
    "max_pool_connections": int,
}
"""Settings that a URL may name, and what makes their value from its text."""


def _parse_url(url: str) -> dict[str, Any]:
    example = "Write it as http://10.0.0.1,10.0.0.2:8000/?datacenter=dc1&rack=r1"
    if not isinstance(url, str):
        raise ConfigurationError(f"The cluster URL must be a string (got {type(url).__name__}). {example}.")
    if "@" in url:
        # Not repeated in the message: it may hold a secret.
        raise ConfigurationError(
            "A cluster URL takes no user name or password (no '@'; in the query write it as %40). "
            "Give credentials=Credentials(access_key, secret_key), or set ALTERNATOR_ACCESS_KEY and "
            "ALTERNATOR_SECRET_KEY."
        )
    if "://" not in url:
        raise ConfigurationError(f"The cluster URL {url!r} has no scheme. {example}.")
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme not in ("http", "https"):
        raise ConfigurationError(f"The cluster URL has the unknown scheme {scheme!r}; use http or https. {example}.")
    # Not urlsplit(): it refuses a list of bracketed hosts, in newer versions of Python.
    address, _, query = rest.partition("?")
    netloc, _, path = address.partition("/")
    if path or "#" in rest:
        raise ConfigurationError(
            f"The cluster URL {scheme + '://' + address!r} has a path or fragment; Alternator has none. {example}."
        )
    hosts = [host for host in netloc.split(",") if host.strip()]
    if not hosts:
        raise ConfigurationError(f"The cluster URL {url!r} names no host. {example}.")
    options: dict[str, Any] = {"scheme": scheme}
    hosts[-1], port = checks.split_port(hosts[-1], f"The cluster URL {url!r}")
    if port is not None:
        options["port"] = port
    options["seeds"] = hosts
    known = (*_FROM_NAMES, *_SHORT, *_FROM_TEXT, *_TLS_FROM_TEXT)
    for key, text in parse_qsl(query, keep_blank_values=True):
        if key in _FROM_NAMES:
            options[key] = text
            continue
        checks.known_names([key], known, "The query of the cluster URL")
        try:
            if key in _SHORT:
                setting, inner, make = _SHORT[key]
                options.setdefault(setting, {})[inner] = make(text)
            elif key in _TLS_FROM_TEXT:
                options.setdefault("tls", {})[key] = _TLS_FROM_TEXT[key](text)
            else:
                options[key] = _FROM_TEXT[key](text)
        except ValueError as wrong:
            raise ConfigurationError(f"The query of the cluster URL: {key} cannot be {text!r} ({wrong}).") from None
    return options


def _scope_from_names(options: dict[str, Any]) -> None:
    """Replace `datacenter` and `rack` by the scope that they name."""
    datacenter, rack = options.pop("datacenter", None), options.pop("rack", None)
    if datacenter is None and rack is None:
        return
    if "routing_scope" in options:
        raise ConfigurationError(
            "ClusterConfig: give either routing_scope or datacenter and rack, not both. "
            "For fallbacks write routing_scope=RackScope('dc1', 'r1', fallback=DatacenterScope('dc1'))."
        )
    if datacenter is None:
        raise ConfigurationError(f"ClusterConfig: rack {rack!r} is given without its datacenter. Add datacenter='...'.")
    options["routing_scope"] = DatacenterScope(datacenter) if rack is None else RackScope(datacenter, rack)


def _build(kind: type[Any], values: Mapping[str, Any], where: str) -> Any:
    checks.known_names(values, [one.name for one in fields(kind)], where)
    try:
        return kind(**values)
    except TypeError as wrong:
        raise ConfigurationError(f"{where}: {wrong}.") from None


def _tls_from(settings: Mapping[str, Any]) -> Tls:
    """A `Tls` from a mapping, in which the client's key may stand by itself."""
    options = dict(settings)
    key = options.pop("client_key", None)
    if key is not None:
        if not isinstance(options.get("client_cert"), str | os.PathLike):
            raise ConfigurationError(
                "ClusterConfig: tls: client_key is given without its client_cert. Name the file of the certificate too."
            )
        options["client_cert"] = (options["client_cert"], key)
    made: Tls = _build(Tls, options, "ClusterConfig: tls")
    return made


_CODINGS: dict[str, type[Gzip | Deflate]] = {"gzip": Gzip, "deflate": Deflate}


def request_compression(where: str, value: object) -> Gzip | Deflate | None:
    """What `value` means: None, a `Gzip` or `Deflate`, or the name of one."""
    if value is None or isinstance(value, Gzip | Deflate):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in ("none", "false", "off"):
        return None
    if word in _CODINGS:
        return _CODINGS[word]()
    raise ConfigurationError(f"{where} must be Gzip(), Deflate() or None (got {checks.shown(value)}).")


def response_compression(where: str, value: object) -> tuple[str, ...]:
    """The codings that `value` means, the preferred one first."""
    if value is True:
        return tuple(_CODINGS)
    if value is False or value is None:
        return ()
    if isinstance(value, str):
        value = _codings(value)
    if isinstance(value, Iterable):
        found = tuple(value)
        if all(isinstance(one, str) and one in _CODINGS for one in found):
            return tuple(dict.fromkeys(found))
    raise ConfigurationError(
        f"{where} must be True, False, or some of 'gzip' and 'deflate', such as ('gzip',) (got {checks.shown(value)})."
    )


def _codings(text: str) -> tuple[str, ...]:
    return tuple(word.strip().lower() for word in text.split(",") if word.strip())


def silent_writes(where: str, value: Any) -> Literal["raise", "wait", "repeat"]:
    """`value`, if it is a way to treat writes whose node went silent. Raises `ConfigurationError` otherwise."""
    checks.one_of(where, value, ("raise", "wait", "repeat"))
    checked: Literal["raise", "wait", "repeat"] = value
    return checked


def affinity(where: str, value: object) -> KeyRouteAffinity:
    """The mode that `value` means: a `KeyRouteAffinity`, or its name in any case."""
    if isinstance(value, KeyRouteAffinity):
        return value
    if isinstance(value, str):
        try:
            return KeyRouteAffinity(value.strip().lower())
        except ValueError:
            pass
    names = ", ".join(mode.name for mode in KeyRouteAffinity)
    raise ConfigurationError(f"{where} must be one of KeyRouteAffinity's {names} (got {value!r}).")
