"""Settings as text and as plain data: URLs, the environment, and the mappings of settings files.

The table `IN_TEXT` defines how each setting is read from text. The functions make keyword arguments of a
`ClusterConfig`, which checks them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from ..errors import ConfigurationError
from . import addresses, checks
from .compression import codings_in
from .scopes import DatacenterScope, RackScope
from .secrets import has_userinfo
from .tls import Tls
from .values import Credentials, Discovery, Health, Retries, Timeouts

__all__ = [
    "CREDENTIALS",
    "GROUPS",
    "IN_TEXT",
    "SCOPE_NAMES",
    "TLS_FILES",
    "Setting",
    "build",
    "merged",
    "of_environment",
    "of_url",
    "scope_from_names",
    "tls_from",
]


class Setting(NamedTuple):
    """How a setting is read from text.

    `read`: makes the value from the text; if it raises ValueError, this becomes a `ConfigurationError`. `group`: the
    setting to which it belongs, such as ``"timeouts"``; None if it is a setting of its own. `name`: its name in the
    group, if this is not its name in the text.
    """

    read: Callable[[str], Any]
    group: str | None = None
    name: str | None = None


def _switch_or(otherwise: Callable[[str], Any]) -> Callable[[str], Any]:
    """A function that reads a word for yes or no as a boolean, and any other text by `otherwise`."""

    def read(text: str) -> Any:
        try:
            return checks.boolean(text)
        except ValueError:
            return otherwise(text)

    return read


def _p99_or_seconds(text: str) -> float | str:
    word = text.strip().lower()
    try:
        return word if word == "p99" else float(word)
    except ValueError:
        raise ValueError("write seconds, or p99") from None


SCOPE_NAMES: Final = ("datacenter", "rack")
"""Two names that together mean a `routing_scope`."""
TLS_FILES: Final = ("ca", "client_cert", "client_key")
CREDENTIALS: Final = ("access_key", "secret_key", "session_token")
"""They are read from the environment and from settings files, but never from a URL, because URLs are logged."""

IN_TEXT: Final[Mapping[str, Setting]] = {
    **dict.fromkeys(SCOPE_NAMES, Setting(str)),
    "port": Setting(int),
    "name": Setting(str),
    "load_balancing": Setting(str),
    "slow_start": Setting(float),
    "subset": Setting(int),
    "process_number": Setting(int),
    "key_route_affinity": Setting(str),
    "rmw_rule": Setting(str),
    "affinity_ring": Setting(str),
    "affinity_ring_order": Setting(str),
    "token_aware": Setting(_switch_or(str)),
    "token_aware_after": Setting(int),
    "canonical_numbers": Setting(_switch_or(str)),
    "region": Setting(str),
    "request_compression": Setting(str),
    "response_compression": Setting(_switch_or(codings_in)),
    "user_agent": Setting(str),
    "force_read_before_write": Setting(checks.boolean),
    "retry_ambiguous_writes": Setting(checks.boolean),
    "monitor": Setting(checks.boolean),
    "sync_in_loop": Setting(str),
    "max_pool_connections": Setting(int),
    "max_connection_idle": Setting(float),
    "max_connection_age": Setting(float),
    "max_answer": Setting(int),
    "connect_timeout": Setting(float, "timeouts", "connect"),
    "read_timeout": Setting(float, "timeouts", "read"),
    "total_timeout": Setting(float, "timeouts", "total"),
    "pool_timeout": Setting(float, "timeouts", "pool"),
    "max_attempts": Setting(int, "retries"),
    "discovery_enabled": Setting(checks.boolean, "discovery", "enabled"),
    "health_enabled": Setting(checks.boolean, "health", "enabled"),
    "silent_writes": Setting(str, "retries"),
    "hedge_after": Setting(_p99_or_seconds, "hedge", "after"),
    "hedge_max_extra": Setting(float, "hedge", "max_extra"),
    **dict.fromkeys(TLS_FILES, Setting(str, "tls")),
    "verify_hostname": Setting(checks.boolean, "tls"),
    "insecure": Setting(checks.boolean, "tls"),
    "system_ca": Setting(checks.boolean, "tls"),
    "session_resumption": Setting(checks.boolean, "tls"),
}
"""The settings that the query of a URL may have."""

GROUPS: Final[Mapping[str, type[Any]]] = {
    "timeouts": Timeouts,
    "retries": Retries,
    "discovery": Discovery,
    "health": Health,
}
"""The groups of settings, which may be given as a mapping."""


# ---- URLs ------------------------------------------------------------------------------------------------------

_EXAMPLE = "Write it as http://10.0.0.1,10.0.0.2:8000/?datacenter=dc1&rack=r1"


def of_url(url: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a URL, changed by `changes`. Raises `ConfigurationError`.

    The port after the last host is the port of all hosts in the URL. It is also the port of the nodes that these hosts
    list, unless the query or `changes` has a ``port``: so a load balancer may have a port of its own. If hosts have
    different ports, such a ``port`` is needed, as for seeds in a list.
    """
    scheme, hosts, query = _parts_of(url)
    options: dict[str, Any] = {"scheme": scheme}
    pairs = parse_qsl(query, keep_blank_values=True)
    keys = [key for key, _ in pairs]
    checks.known_names(keys, IN_TEXT, "The query of the cluster URL")
    for key, text in pairs:
        if keys.count(key) > 1:
            raise ConfigurationError(f"The query of the cluster URL has {key!r} twice. Write it once.")
        _put(options, key, text)
    # A rack alone belongs to the datacenter of the URL. Any wider scope replaces the scope of the URL.
    if {"datacenter", "routing_scope"} & changes.keys():
        options.pop("datacenter", None)
    if {"datacenter", "rack", "routing_scope"} & changes.keys():
        options.pop("rack", None)
    options = merged(options, changes)
    last, port = addresses.split_port(hosts[-1], f"The cluster URL {url!r}")
    if port is not None:
        others = {_port_of(host) for host in hosts[:-1]} - {None, port}
        if options.get("port") is None and not others:
            options["port"], hosts[-1] = port, last
        else:
            # The nodes have another port. If the port is not known, the configuration is refused.
            hosts = [host if _port_of(host) else f"{host.strip()}:{port}" for host in hosts]
    options.setdefault("seeds", hosts)
    return options


def _parts_of(url: str) -> tuple[str, list[str], str]:
    """Scheme, hosts and query."""
    if not isinstance(url, str):
        raise ConfigurationError(f"The cluster URL must be a string (got {type(url).__name__}). {_EXAMPLE}.")
    if "@" in url or has_userinfo(url.partition("?")[0]):
        # The message does not repeat the URL, because it may contain a secret.
        raise ConfigurationError(
            "A cluster URL takes no user name or password (no '@'; in the query write it as %40). "
            "Give credentials=Credentials(access_key, secret_key), or set ALTERNATOR_ACCESS_KEY and "
            "ALTERNATOR_SECRET_KEY."
        )
    if "://" not in url:
        hint = _for_an_alias(url) if url.replace("-", "_").isidentifier() else f"{_EXAMPLE}."
        raise ConfigurationError(f"The cluster URL {url!r} has no scheme. {hint}")
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme not in ("http", "https"):
        raise ConfigurationError(f"The cluster URL has the unknown scheme {scheme!r}; use http or https. {_EXAMPLE}.")
    # urlsplit() is not used: in newer versions of Python it refuses a list of bracketed hosts.
    address, _, query = rest.partition("?")
    netloc, _, path = address.partition("/")
    if path or "#" in rest:
        raise ConfigurationError(
            f"The cluster URL {scheme + '://' + address!r} has a path or fragment; Alternator has none. {_EXAMPLE}."
        )
    hosts = [host for host in netloc.split(",") if host.strip()]
    if not hosts:
        raise ConfigurationError(f"The cluster URL {url!r} names no host. {_EXAMPLE}.")
    return scheme, hosts, query


def _for_an_alias(word: str) -> str:
    """What a single word in place of a URL may mean, and what to write for that."""
    return (
        f"For the cluster that the alias {word!r} means, call pynamodb_alternator.get_cluster({word!r}), or "
        f"pynamodb_alternator.aio.get_cluster({word!r}) in an event loop. For a node of that name, write the URL "
        f"'http://{word}:8000'."
    )


def _port_of(host: str) -> int | None:
    return addresses.split_port(host, f"The host {host!r} of the cluster URL")[1]


def _put(options: dict[str, Any], key: str, text: str) -> None:
    setting = IN_TEXT[key]
    try:
        value = setting.read(text)
    except ValueError as wrong:
        raise ConfigurationError(f"The query of the cluster URL: {key} cannot be {text!r} ({wrong}).") from None
    into = options if setting.group is None else options.setdefault(setting.group, {})
    into[setting.name or key] = value


# ---- the environment -------------------------------------------------------------------------------------------


def of_environment(env: Mapping[str, str], changes: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The URL in ``ALTERNATOR_URL``, and `changes`, completed by the settings of the other variables.

    Raises `ConfigurationError`.
    """
    url = env.get("ALTERNATOR_URL")
    if not url:
        raise ConfigurationError(
            "The environment variable ALTERNATOR_URL is not set. "
            "Set it to a URL such as http://10.0.0.1,10.0.0.2:8000/?datacenter=dc1."
        )
    options: dict[str, Any] = dict(changes)
    if "routing_scope" not in options:
        options = {**_variables(env, SCOPE_NAMES), **options}
    credentials = _variables(env, CREDENTIALS)
    if ("access_key" in credentials) != ("secret_key" in credentials):
        missing = "ALTERNATOR_SECRET_KEY" if "access_key" in credentials else "ALTERNATOR_ACCESS_KEY"
        raise ConfigurationError(
            f"The environment variable {missing} is not set, but its partner is: set both to sign requests, "
            "or neither to send them unsigned."
        )
    if "access_key" in credentials:
        options.setdefault("credentials", Credentials(**credentials))
    tls = _variables(env, TLS_FILES)
    if tls:
        options.setdefault("tls", tls)
    if "process_number" not in options and (number := _variables(env, ("process_number",))):
        options["process_number"] = _process_number(number["process_number"])
    return url, options


def _process_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigurationError(
            "The environment variable ALTERNATOR_PROCESS_NUMBER must be a whole number, such as the 3 of a pod that is "
            f"called web-3 (got {checks.shown(text)})."
        ) from None


def _variables(env: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The values of the variables of these settings. An empty variable counts as not set."""
    return {name: text for name in names if (text := env.get(f"ALTERNATOR_{name.upper()}"))}


# ---- mappings --------------------------------------------------------------------------------------------------


def merged(options: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`options`, changed by `changes`. Settings within a mapping are merged one by one."""
    result = {**options, **changes}
    for name in ("timeouts", "retries", "hedge", "tls"):
        if isinstance(changes.get(name), Mapping) and name in options:
            result[name] = {**options[name], **changes[name]}
    return result


def scope_from_names(options: dict[str, Any]) -> None:
    """Replace `datacenter` and `rack` in `options` by the scope that they name. Raises `ConfigurationError`."""
    datacenter, rack = (options.pop(name, None) for name in SCOPE_NAMES)
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


def build(kind: type[Any], values: Mapping[str, Any], where: str) -> Any:
    """A `kind`, made of these values. Raises `ConfigurationError`, also for an unknown name."""
    checks.known_names(values, [setting.name for setting in fields(kind)], where)
    try:
        return kind(**values)
    except TypeError as wrong:
        raise ConfigurationError(f"{where}: {wrong}.") from None


def tls_from(settings: Mapping[str, Any]) -> Tls:
    """A `Tls` from a mapping, which may have the client's key as `client_key`. Raises `ConfigurationError`."""
    options = dict(settings)
    key = options.pop("client_key", None)
    if key is not None:
        if callable(options.get("client_cert")):
            raise ConfigurationError(
                "ClusterConfig: tls: client_key is given beside a function for client_cert. Have it give both."
            )
        if not isinstance(options.get("client_cert"), str | bytes | os.PathLike):
            raise ConfigurationError(
                "ClusterConfig: tls: client_key is given without its client_cert. Name the file of the certificate too."
            )
        options["client_cert"] = (options["client_cert"], key)
    made: Tls = build(Tls, options, "ClusterConfig: tls")
    return made
