"""`ClusterConfig`, the settings of a cluster. It is frozen, and validated when it is made.

A wrong setting is refused here with a message that names the field and the remedy, and not later by a request that
fails. Nothing in this module does I/O. The module `text` reads a configuration from text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, MISSING, dataclass, field, fields, replace
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack, get_args

from ..errors import ConfigurationError
from . import addresses, checks, compression, headers, scopes, text, values
from .compression import Deflate, Gzip
from .mapping import FrozenMapping
from .scopes import ClusterScope, Scope
from .tls import Tls
from .values import (
    CanonicalNumbers,
    Credentials,
    CredentialsSource,
    Discovery,
    Health,
    Hedge,
    KeyRouteAffinity,
    LoadBalancing,
    Retries,
    RingNodes,
    RingOrder,
    Timeouts,
)

if TYPE_CHECKING:
    from .changes import Changes, TextChanges

__all__ = ["ClusterConfig", "named_by"]


@dataclass(frozen=True, slots=True, repr=False)
class ClusterConfig:
    """How to reach a cluster, and how to use it. Immutable; `replace` makes a changed copy.

    `seeds`: addresses to start from, of which at least one must answer; a list of ``"host"`` or ``"host:port"``, or one
    string with commas. A name is resolved, and all of its addresses are used. The other nodes are found through the
    seeds. `scheme`: the scheme of every node of the cluster.
    `port`: the port of every listed node, and of the seeds that name no port. None: the port that the seeds name, which
    must be the same in all of them; 8000 if they name none. `node_port` is the resulting number.
    `name`: the cluster's name in signals and logs.
    `routing_scope`: `ClusterScope`, `DatacenterScope` or `RackScope`, with fallbacks.
    `load_balancing`: the order of nodes for requests without affinity. ``"round_robin"``: the nodes take turns.
    ``"random"``: a random order. ``"least_busy"``: of two random nodes, the less busy one comes first. A node is less
    busy if it has fewer requests of this process in flight, and answers faster; docs/routing.md has the rule.
    `slow_start`: seconds in which the share of a node that returns or joins grows. This is its share of the requests
    that any node may serve, and of the reads that the replicas of a key share. 0 for no slow start.
    `subset`: how many nodes of the routing scope this process uses for requests that any node may serve; None for all.
    `process_number`: the number of this process in its fleet, which decides which nodes are in the subset; None picks
    them at random. See docs/routing.md.
    `key_route_affinity`: see `KeyRouteAffinity`. `rmw_rule`: which updates count as reads before a write: ``"server"``
    as the server decides, ``"driver"`` as ScyllaDB's other drivers count. `force_read_before_write`: set it to True if
    the server's option ``alternator_force_read_before_write`` is set.
    `partition_keys`: the names of the partition keys of tables that have no model here.
    `token_aware`: whether reads, and writes without affinity, go to the replicas of their key first. ``"auto"``: only
    for tables that had `token_aware_after` requests in this process and whose token ring is not large (at most 20,000
    rows), and only if there are background threads.
    `token_aware_after`: that number of requests of this process, for each table.
    `canonical_numbers`: which numbers are sent as DynamoDB writes them (1, and not 1.0 or 1e0). ``"sets"``: the
    elements of number sets, and the numbers with which a condition or filter compares. True: partition keys as well,
    because for the server, different spellings are different keys. False: none. docs/configuration.md tells which value
    to use. `affinity_ring`: the nodes over which partition keys are spread if the routing scope in use is a rack:
    ``"datacenter"`` for all nodes of its datacenter, ``"scope"`` for the nodes of the rack only, as in most of
    ScyllaDB's drivers.
    `affinity_ring_order`: how the nodes of the affinity ring are sorted. ``"host"`` and ``"endpoint_with_port"`` are
    for fleets that also use drivers with this order; docs/routing.md names them.
    `credentials`: `Credentials`, a botocore session, or a callable; None sends unsigned requests. An `AsyncCluster`
    also accepts an aiobotocore session or an async function.
    `region`: the name in the signature's scope. The server accepts any name.
    `tls`: a `Tls`, for scheme https, for discovery, probes and requests. None means ``Tls()``, which trusts the
    authorities that the system trusts.
    `request_compression`: `Gzip` or `Deflate`; None sends requests uncompressed. Servers before 2026.1 do not accept
    compressed requests. `response_compression`: the codings that answers may have, of ``"gzip"`` and ``"deflate"``, the
    preferred one first; True for both.
    `user_agent`: True sends ``pynamodb-alternator/`` and the version. A text of your own replaces it. A callable gets
    the default text and returns the text to send. None, False and the words
    ``"none"`` and ``"off"`` send no User-Agent.
    `timeouts`, `retries`, `discovery`, `health`: see these classes.
    `hedge`: with a `Hedge`, reads that wait for a long time are sent to a second node as well; None for no hedged
    reads. `retry_ambiguous_writes`: True sends writes whose outcome is unknown again, as AWS SDKs do. An increment may
    then be applied twice. It implies ``silent_writes="repeat"``.
    `allowed_networks`: if it is not empty, listed nodes outside these networks (``"10.0.0.0/8"``) are refused.
    `address_translator`: returns the address to use instead of a listed one (NAT), as ``"host"`` or ``"host:port"``;
    None refuses the node.
    `monitor`: whether a background thread keeps the node list and health up to date. None means True, except in a
    process that can be frozen between requests (AWS Lambda). Without the thread, a request reads the list when it is
    too old.
    `sync_in_loop`: what happens to a request that blocks a thread in which an event loop runs. ``"allow"``: it is made.
    ``"warn"``: it is made, with a `SyncInLoopWarning`. ``"error"``: it raises `SyncInLoopError`.
    `max_pool_connections`: how many connections to one node may be open at once. `max_connection_idle`: seconds after
    which an idle connection is no longer used; a later request closes it. `max_connection_age`: seconds, varied by a
    tenth, after which a connection is closed between two requests and a new one is opened. A connection that has not
    replaced another one may end earlier, after a tenth of this time or more. None or 0 for no such limit.
    `max_answer`: the largest answer in bytes, before and after it is unpacked; at least 1 MiB. A larger answer raises
    `MalformedAnswerError`. For writes of one item, and for errors, the limit is never more than 32 MiB.
    `extra_headers`: headers that are sent with every request.

    Raises `ConfigurationError`.
    """

    seeds: Iterable[str] | str
    port: int | None = None
    scheme: Literal["http", "https"] = "http"
    _: KW_ONLY
    name: str = "default"
    routing_scope: Scope = field(default_factory=ClusterScope)
    load_balancing: LoadBalancing = "round_robin"
    slow_start: float = 10.0
    subset: int | None = None
    process_number: int | None = None
    key_route_affinity: KeyRouteAffinity = KeyRouteAffinity.AUTO
    rmw_rule: Literal["server", "driver"] = "server"
    force_read_before_write: bool = False
    partition_keys: Mapping[str, str] = field(default_factory=dict)
    affinity_ring: RingNodes = "datacenter"
    affinity_ring_order: RingOrder = "endpoint"
    token_aware: Literal["auto"] | bool = "auto"
    token_aware_after: int = 1000
    canonical_numbers: CanonicalNumbers = "sets"
    credentials: CredentialsSource | None = None
    region: str = "us-east-1"
    tls: Tls | None = None
    request_compression: Gzip | Deflate | None = None
    response_compression: bool | Sequence[str] = ()
    user_agent: str | bool | Callable[[str], str] | None = True
    timeouts: Timeouts = field(default_factory=Timeouts)
    retries: Retries = field(default_factory=Retries)
    hedge: Hedge | None = None
    retry_ambiguous_writes: bool = False
    discovery: Discovery = field(default_factory=Discovery)
    health: Health = field(default_factory=Health)
    allowed_networks: Sequence[IPv4Network | IPv6Network | str] = ()
    address_translator: Callable[[str], str | None] | None = None
    monitor: bool | None = None
    sync_in_loop: Literal["allow", "warn", "error"] = "allow"
    max_pool_connections: int = 50
    max_connection_idle: float = 60.0
    max_connection_age: float | None = 600.0
    max_answer: int = 256 * 1024 * 1024
    extra_headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        if not isinstance(self.scheme, str) or self.scheme not in ("http", "https"):
            raise ConfigurationError(
                f"ClusterConfig: scheme must be 'http' or 'https' (got {checks.shown(self.scheme)}). "
                "Write scheme='https' for a cluster with TLS."
            )
        if self.port is not None:
            checks.whole("ClusterConfig: port", self.port, 1, 65535)
        set_field(self, "seeds", addresses.seeds(self.seeds))
        if self.port is None:
            addresses.shared_port(self.seeds)
        if not isinstance(self.name, str) or not self.name:
            raise ConfigurationError(f"ClusterConfig: name must be a non-empty string (got {checks.shown(self.name)}).")
        scopes.check("ClusterConfig: routing_scope", self.routing_scope)
        checks.one_of("ClusterConfig: load_balancing", self.load_balancing, get_args(LoadBalancing))
        self._check_spread()
        checks.one_of("ClusterConfig: rmw_rule", self.rmw_rule, ("server", "driver"))
        checks.one_of("ClusterConfig: affinity_ring", self.affinity_ring, get_args(RingNodes))
        checks.one_of("ClusterConfig: affinity_ring_order", self.affinity_ring_order, get_args(RingOrder))
        values.token_aware("ClusterConfig: token_aware", self.token_aware)
        checks.whole("ClusterConfig: token_aware_after", self.token_aware_after, 1, 10**9)
        values.canonical_numbers("ClusterConfig: canonical_numbers", self.canonical_numbers)
        mode = values.affinity("ClusterConfig: key_route_affinity", self.key_route_affinity)
        set_field(self, "key_route_affinity", mode)
        set_field(self, "partition_keys", _partition_keys(self.partition_keys))
        checks.each(self, "ClusterConfig", ("force_read_before_write", "retry_ambiguous_writes"), checks.flag)
        self._check_groups()
        if not isinstance(self.region, str) or not re.fullmatch(r"[A-Za-z0-9_.-]+", self.region):
            raise ConfigurationError(
                f"ClusterConfig: region must be a name such as 'us-east-1' (got {checks.shown(self.region)}). "
                "The server takes any."
            )
        set_field(
            self, "allowed_networks", addresses.networks("ClusterConfig: allowed_networks", self.allowed_networks)
        )
        if self.address_translator is not None and not callable(self.address_translator):
            raise ConfigurationError(
                "ClusterConfig: address_translator must be a function from a listed address to the one to use "
                f"(got {checks.shown(self.address_translator)})."
            )
        if self.monitor is not None and not isinstance(self.monitor, bool):
            raise ConfigurationError(
                f"ClusterConfig: monitor must be True, False or None (got {checks.shown(self.monitor)})."
            )
        checks.one_of("ClusterConfig: sync_in_loop", self.sync_in_loop, ("allow", "warn", "error"))
        checks.whole("ClusterConfig: max_pool_connections", self.max_pool_connections, 1, 100_000)
        checks.positive("ClusterConfig: max_connection_idle", self.max_connection_idle)
        age = values.connection_age("ClusterConfig: max_connection_age", self.max_connection_age)
        set_field(self, "max_connection_age", age)
        checks.whole("ClusterConfig: max_answer", self.max_answer, 1024 * 1024, 2**40)
        set_field(self, "extra_headers", headers.check("ClusterConfig: extra_headers", self.extra_headers))
        self._check_wire()

    def _check_spread(self) -> None:
        checks.not_negative("ClusterConfig: slow_start", self.slow_start, zero="no slow start")
        if self.subset is not None:
            checks.whole("ClusterConfig: subset", self.subset, 1, 100_000)
        if self.process_number is not None:
            checks.whole("ClusterConfig: process_number", self.process_number, 0, 2**63 - 1)

    def _check_groups(self) -> None:
        for name, kind in text.GROUPS.items():
            value = getattr(self, name)
            if isinstance(value, Mapping):
                value = text.build(kind, value, f"ClusterConfig: {name}")
                object.__setattr__(self, name, value)
            if not isinstance(value, kind):
                raise ConfigurationError(
                    f"ClusterConfig: {name} must be {kind.__name__}(...) (got {checks.shown(value)})."
                )
        object.__setattr__(self, "hedge", values.hedge("ClusterConfig: hedge", self.hedge))
        if isinstance(self.credentials, Mapping):
            made = text.build(Credentials, self.credentials, "ClusterConfig: credentials")
            object.__setattr__(self, "credentials", made)
        if isinstance(self.credentials, str | bytes | int | float | tuple | list):
            raise ConfigurationError(
                "ClusterConfig: credentials must be Credentials(access_key, secret_key), a botocore session, or a "
                f"callable that gives credentials (got a {type(self.credentials).__name__})."
            )

    def _check_wire(self) -> None:
        set_field = object.__setattr__
        tls: Any = self.tls
        if tls is not None and self.scheme != "https":
            raise ConfigurationError(
                "ClusterConfig: tls is given, but the scheme is 'http', so that nothing would be encrypted. "
                "Write scheme='https' (or https:// in the URL), or leave tls out."
            )
        if isinstance(tls, Mapping):
            tls = text.tls_from(tls)
            set_field(self, "tls", tls)
        if tls is not None and not isinstance(tls, Tls):
            raise ConfigurationError(
                f"ClusterConfig: tls must be Tls(...), such as Tls(ca='/path/to/ca.pem') (got {checks.shown(tls)})."
            )
        how = compression.request_compression("ClusterConfig: request_compression", self.request_compression)
        set_field(self, "request_compression", how)
        accepted = compression.response_compression("ClusterConfig: response_compression", self.response_compression)
        set_field(self, "response_compression", accepted)
        agent: Any = headers.check_user_agent("ClusterConfig: user_agent", self.user_agent, self.extra_headers)
        set_field(self, "user_agent", agent)

    def __hash__(self) -> int:
        # Some settings are mappings, which have no hash. Equal configurations have equal seeds, which is enough for a
        # hash.
        return hash((self.seeds, self.port, self.scheme, self.name, self.routing_scope))

    @property
    def user_agent_sent(self) -> str | None:
        """The User-Agent of requests, list readings and probes; None if there is none, or if `extra_headers` has
        one."""
        agent: Any = self.user_agent
        return headers.user_agent_sent(agent, self.extra_headers)

    @property
    def node_port(self) -> int:
        """The port of every listed node."""
        return self.port or addresses.shared_port(self.seeds) or addresses.DEFAULT_PORT

    @property
    def seed_addresses(self) -> tuple[tuple[str, int], ...]:
        """The host (IPv6 without brackets) and the port of each seed."""
        default = self.node_port
        split = (addresses.split_port(seed, "seed") for seed in self.seeds)
        return tuple((addresses.without_brackets(host), port or default) for host, port in split)

    def replace(self, **changes: Unpack[Changes]) -> Self:
        """A copy with some settings changed. It is validated like a new one."""
        checks.known_names(changes, _SETTINGS, "ClusterConfig.replace")
        settings: Any = changes  # the constructor also accepts mappings, but its types do not say this
        return replace(self, **settings)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Make it from a mapping, for example from a settings file.

        The keys are the field names. Instead of `routing_scope`, `datacenter` and `rack` may be given, and nested
        settings (`timeouts`, `retries`, `credentials`, ...) may be mappings themselves. ``{"url": ...}`` starts from
        a URL, and the other keys change it.
        """
        if not isinstance(settings, Mapping):
            raise ConfigurationError(f"ClusterConfig.from_dict takes a mapping (got {type(settings).__name__}).")
        options = dict(settings)
        url = options.pop("url", None)
        checks.known_names(options, (*_SETTINGS, *text.SCOPE_NAMES, "url"), "ClusterConfig")
        if url is not None:
            return cls.from_url(url, **options)
        text.scope_from_names(options)
        if "seeds" not in options:
            raise ConfigurationError("ClusterConfig: seeds is missing. Write seeds=['10.0.0.1', '10.0.0.2'].")
        return cls(**options)

    @classmethod
    def from_url(cls, url: str, **changes: Unpack[TextChanges]) -> Self:
        """Make it from a URL: ``http://10.0.0.1,10.0.0.2:8000/?datacenter=dc1&rack=r1``.

        Hosts are separated by commas. A port after the last host is the port of all hosts, and of the nodes that they
        list, unless the query has another ``port=``. Hosts may name different ports only if the query has ``port=``.
        The query takes `datacenter`, `rack`, `connect_timeout`, `read_timeout`, `total_timeout`, `pool_timeout`,
        `max_attempts`, `silent_writes`, `hedge_after`, `hedge_max_extra`, for https `ca`, `client_cert`, `client_key`,
        `verify_hostname` and `insecure`, and every field of `ClusterConfig` whose value is a word or a number.
        `changes` win over the URL.
        """
        return cls.from_dict(text.of_url(url, changes))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **changes: Unpack[TextChanges]) -> Self:
        """Make it from the environment: ``ALTERNATOR_URL``, and optionally ``ALTERNATOR_DATACENTER``,
        ``ALTERNATOR_RACK``, ``ALTERNATOR_ACCESS_KEY``, ``ALTERNATOR_SECRET_KEY``, ``ALTERNATOR_SESSION_TOKEN`` and
        ``ALTERNATOR_PROCESS_NUMBER``, and for https ``ALTERNATOR_CA``, ``ALTERNATOR_CLIENT_CERT`` and
        ``ALTERNATOR_CLIENT_KEY``. `changes` win over them."""
        url, options = text.of_environment(os.environ if environ is None else environ, changes)
        return cls.from_url(url, **options)

    @classmethod
    def of(cls, value: ClusterConfig | str | Mapping[str, Any], **changes: Any) -> ClusterConfig:
        """Make it from any form in which a user may describe a cluster: a config, a URL, or a mapping."""
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
        # A copy is made by the constructor, so that it is checked and immutable too.
        return _rebuild, (type(self), {setting.name: getattr(self, setting.name) for setting in fields(self)})

    def __repr__(self) -> str:
        parts = [f"seeds={list(self.seeds)!r}"]
        for setting in fields(self)[1:]:
            value = getattr(self, setting.name)
            if value == (setting.default if setting.default_factory is MISSING else setting.default_factory()):
                continue
            if setting.name == "credentials" and not isinstance(value, Credentials):
                value = f"<{type(value).__name__}>"
            elif setting.name == "extra_headers":
                value = sorted(value)  # the names only: a header may carry a secret
            parts.append(f"{setting.name}={value!r}")
        return f"ClusterConfig({', '.join(parts)})"


def named_by(config: ClusterConfig, alias: str) -> ClusterConfig:
    """`config` with the alias as its name, unless it has a name of its own."""
    return config.replace(name=alias) if config.name == "default" else config


def _rebuild(kind: type[ClusterConfig], settings: dict[str, Any]) -> ClusterConfig:
    return kind(**settings)


_SETTINGS = tuple(setting.name for setting in fields(ClusterConfig))


def _partition_keys(value: Any) -> Mapping[str, str]:
    where = "ClusterConfig: partition_keys"
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"{where} must map table names to the names of their partition keys, such as {{'orders': 'customer_id'}} "
            f"(got {type(value).__name__})."
        )
    for table, key in value.items():
        if not isinstance(table, str) or not table or not isinstance(key, str) or not key:
            raise ConfigurationError(
                f"{where} must map a table name to the name of its partition key "
                f"(got {checks.shown(table)}: {checks.shown(key)})."
            )
    return FrozenMapping(value)
