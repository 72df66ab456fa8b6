"""Checks of settings, each with an error that names the setting and the remedy."""

from __future__ import annotations

import difflib
import ipaddress
import math
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from ..errors import ConfigurationError

_HOST_NAME = re.compile(r"(?=.{1,253}\.?$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWN_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "expect", "x-amz-target", "authorization"}
    | {"x-amz-date", "x-amz-security-token", "content-encoding", "accept-encoding", "upgrade", "te", "trailer"}
)
"""Headers that the transport writes itself: a second value would make two readings of one request."""
_ZONE = re.compile(r"[A-Za-z0-9_.~-]{1,64}")
_LONGEST = 1_000_000
"""Seconds that a setting may say, at most: what sockets and locks of every platform can still count."""


def is_number(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def positive(where: str, value: Any, *, remedy: str = "") -> None:
    if not is_number(value) or not 0 < value <= _LONGEST:
        raise ConfigurationError(
            f"{where} must be a number of seconds greater than 0 and at most {_LONGEST:,}"
            f"{', ' + remedy if remedy else ''} (got {shown(value)})."
        )


def not_negative(where: str, value: Any) -> None:
    if not is_number(value) or not 0 <= value <= _LONGEST:
        raise ConfigurationError(
            f"{where} must be a number of seconds, 0 for not waiting, at most {_LONGEST:,} (got {shown(value)})."
        )


def shown(value: object) -> str:
    """The value as an error message shows it: short, whatever it is."""
    try:
        text = repr(value)
    except Exception:  # among others: a whole number with more digits than Python is willing to write
        return f"a {type(value).__name__}"
    return text if len(text) <= 200 else text[:200] + "…"


def whole(where: str, value: Any, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ConfigurationError(f"{where} must be a whole number from {least} to {most} (got {shown(value)}).")


def one_of(where: str, value: object, allowed: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in allowed:
        raise ConfigurationError(f"{where} must be one of {', '.join(map(repr, allowed))} (got {shown(value)}).")


def boolean(text: str) -> bool:
    """What a URL's or the environment's word for yes or no means; ValueError for others."""
    word = text.strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError("write true or false")


def boolean_or(text: str, otherwise: Callable[[str], Any]) -> Any:
    """What `boolean` makes of the text, or else `otherwise`."""
    try:
        return boolean(text)
    except ValueError:
        return otherwise(text)


def known_names(given: Iterable[str], known: Iterable[str], where: str) -> None:
    """Refuse a name that is not known, and tell which one was probably meant."""
    allowed = list(known)
    for name in given:
        if name in allowed:
            continue
        hint = did_you_mean(name, allowed) or f"It takes: {', '.join(sorted(allowed))}."
        raise ConfigurationError(f"{where} does not take {name!r}. {hint}")


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """``Did you mean 'orders'?``, if a name that is known resembles this one; otherwise an empty text.

    Upper and lower case do not count in the comparison, because they are a common slip; the answer has the name as it
    is known.
    """
    spelled: dict[str, str] = {}
    for candidate in known:
        spelled.setdefault(candidate.lower(), candidate)
    close = difflib.get_close_matches(str(name).lower(), spelled, n=1)
    return f"Did you mean {spelled[close[0]]!r}?" if close else ""


def no_control_characters(where: str, value: str) -> None:
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in value):
        raise ConfigurationError(f"{where} has a control character in it.")


def headers(where: str, value: Any) -> Mapping[str, str]:
    """Header names and values that cannot end a header early, nor stand for one that the transport writes."""
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where} must be a mapping of names to values (got {type(value).__name__}).")
    checked: dict[str, str] = {}
    for name, text in value.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ConfigurationError(f"{where}: {name!r} is no HTTP header name.")
        if any(name.lower() == other.lower() for other in checked):
            raise ConfigurationError(f"{where}: {name!r} is named twice, in different spellings.")
        if name.lower() in _OWN_HEADERS:
            raise ConfigurationError(f"{where}: {name!r} is written by the transport itself; leave it out.")
        if not isinstance(text, str):
            raise ConfigurationError(f"{where}: the value of {name!r} must be a string (got {type(text).__name__}).")
        if any((ord(c) < 0x20 and c != "\t") or ord(c) == 0x7F for c in text) or text != text.strip():
            raise ConfigurationError(
                f"{where}: the value of {name!r} has a control character, or a space at its start or end."
            )
        checked[name] = text
    return MappingProxyType(checked)


def partition_keys(value: Any) -> Mapping[str, str]:
    where = "ClusterConfig: partition_keys"
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"{where} must map table names to the names of their partition keys, such as {{'orders': 'customer_id'}} "
            f"(got {type(value).__name__})."
        )
    for table, key in value.items():
        if not isinstance(table, str) or not table or not isinstance(key, str) or not key:
            raise ConfigurationError(
                f"{where} must map a table name to the name of its partition key (got {table!r}: {key!r})."
            )
    return MappingProxyType(dict(value))


def networks(value: Any) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    where = "ClusterConfig: allowed_networks"
    network = ipaddress.IPv4Network | ipaddress.IPv6Network
    # A network is iterable itself: over each of its addresses.
    if isinstance(value, str | bytes | network) or not isinstance(value, Iterable):
        raise ConfigurationError(f"{where} must be a list such as ['10.0.0.0/8'] (got {shown(value)}).")
    found = []
    for one in value:
        if not isinstance(one, str | network):
            raise ConfigurationError(f"{where} holds {shown(one)}. Write networks such as '10.0.0.0/8'.")
        try:
            found.append(ipaddress.ip_network(one))
        except ValueError as wrong:
            raise ConfigurationError(f"{where}: {wrong}. Write networks such as '10.0.0.0/8'.") from None
    return tuple(found)


def seeds(value: Any) -> tuple[str, ...]:
    """Seeds as a tuple of ``host`` or ``host:port``, IPv6 in brackets where a port follows."""
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, Iterable) or isinstance(given, bytes | Mapping):
        raise ConfigurationError(
            "ClusterConfig: seeds must be a list of addresses such as ['10.0.0.1', '10.0.0.2:8000'] "
            f"(got {type(value).__name__})."
        )
    found: dict[str, None] = {}
    for seed in given:
        if not isinstance(seed, str):
            raise ConfigurationError(f"ClusterConfig: seeds holds {shown(seed)}, which is no string. Write '10.0.0.1'.")
        if seed.strip():
            found[seed_address(seed.strip())] = None
    if not found:
        raise ConfigurationError(
            "ClusterConfig: seeds is empty. Name at least one node of the cluster, such as seeds=['10.0.0.1']."
        )
    return tuple(found)


def seed_address(seed: str) -> str:
    where = f"ClusterConfig: the seed {seed!r}"
    if "://" in seed:
        raise ConfigurationError(
            f"{where} is a URL. Write the address alone, with scheme=... and port=... beside it, "
            "or use ClusterConfig.from_url()."
        )
    host, _ = split_port(seed, where)
    check_host(host, where)
    return seed


def split_port(address: str, where: str) -> tuple[str, int | None]:
    """The host (IPv6 in its brackets, if it came with them) and the port, or None."""
    address = address.strip()
    host, port = address, ""
    if address.startswith("["):
        inside, bracket, after = address.partition("]")
        if not bracket or (after and not after.startswith(":")):
            raise ConfigurationError(f"{where}: {address!r} is no bracketed IPv6 address. Write [2001:db8::1]:8000.")
        host, port = inside + "]", after[1:]
        if after == ":":
            raise ConfigurationError(f"{where}: the port after the colon is missing.")
    elif address.count(":") == 1:
        host, _, port = address.partition(":")
        if not port:
            raise ConfigurationError(f"{where}: the port after the colon is missing.")
    if not port:
        return host, None
    # The length first: Python refuses to read a number of thousands of digits.
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise ConfigurationError(f"{where}: the port must be a number from 1 to 65535 (got {shown(port)}).")
    return host, int(port)


def with_brackets(host: str) -> str:
    """A host as it stands before a port: an IPv6 address in brackets, everything else as it is."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def without_brackets(host: str) -> str:
    """A host as sockets take it: an IPv6 address loses its brackets, everything else stays as it is."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def is_ip_address(host: str) -> bool:
    """Whether `host` is an IPv4 address, or an IPv6 one without brackets, perhaps with a ``%zone``."""
    bare, percent, zone = host.partition("%")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return False
    # The zone ends up in a Host header and must not be able to end it.
    return not percent or (address.version == 6 and _ZONE.fullmatch(zone) is not None)


def check_host(host: str, where: str) -> None:
    bare = without_brackets(host)
    if is_ip_address(bare):
        return
    # What looks like a number or an IPv6 address must be one: 10.0.0.256 is a slip, and not the name of a host.
    if ":" in bare or re.fullmatch(r"[0-9.]+", bare) or not _HOST_NAME.fullmatch(bare):
        raise ConfigurationError(f"{where} is neither an IP address nor a host name.")
