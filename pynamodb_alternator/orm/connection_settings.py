"""Makes `RequestOptions` from the settings of a connection, which win over those of the cluster.

PynamoDB always has a value for each of its settings. One that equals PynamoDB's default counts as not given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pynamodb.settings import default_settings_dict

from ..errors import ConfigurationError
from ..settings import checks, headers, values
from ..settings.options import NO_OPTIONS, NOT_GIVEN, RequestOptions
from ..settings.values import Credentials

__all__ = ["LEGACY", "UNSET", "pool_connections", "request_options"]

LEGACY = "LEGACY"
"""PynamoDB's word that means: `max_retry_attempts` says how often a request is sent."""
UNSET = "UNSET"
"""PynamoDB's word that means: the setting is configured elsewhere."""


def _as_given(name: str, value: Any) -> Any:
    """A value of PynamoDB's setting `name`, or None if it is the default."""
    return None if value == default_settings_dict[name] else value


def pool_connections(who: str, most: Any) -> int:
    """How many connections to one node the setting asks for; 0 if it is not given. Raises `ConfigurationError`."""
    if _as_given("max_pool_connections", most) is None:
        return 0
    checks.whole(f"{who}: max_pool_connections", most, 0, 100_000)
    return int(most)


def request_options(
    who: str,
    *,
    connect_timeout_seconds: float,
    read_timeout_seconds: float,
    max_retry_attempts: int,
    retry_configuration: Any,
    silent_writes: Any,
    token_aware: Any,
    hedge: Any,
    canonical_numbers: Any,
    extra_headers: Mapping[str, str] | None,
    aws_access_key_id: str | None,
    aws_secret_access_key: str | None,
    aws_session_token: str | None,
    region: str | None,
) -> RequestOptions:
    """The options for these settings, which have PynamoDB's names. `who`: the name of the connection in errors.

    Raises `ConfigurationError`, which names the setting.
    """
    timeouts = {"connect_timeout_seconds": connect_timeout_seconds, "read_timeout_seconds": read_timeout_seconds}
    for name, seconds in timeouts.items():
        timeouts[name] = _as_given(name, seconds)
        if timeouts[name] is not None:
            checks.positive(f"{who}: {name}", seconds)
    sent = None if extra_headers is None else headers.check(f"{who}: extra_headers", extra_headers)
    options = RequestOptions(
        connect_timeout=timeouts["connect_timeout_seconds"],
        read_timeout=timeouts["read_timeout_seconds"],
        max_attempts=_max_attempts(who, max_retry_attempts, retry_configuration),
        silent_writes=None if silent_writes is None else values.silent_writes(f"{who}: silent_writes", silent_writes),
        token_aware=None if token_aware is None else values.token_aware(f"{who}: token_aware", token_aware),
        hedge=NOT_GIVEN if hedge is None else values.hedge(f"{who}: hedge", hedge),
        canonical_numbers=(
            None
            if canonical_numbers is None
            else values.canonical_numbers(f"{who}: canonical_numbers", canonical_numbers)
        ),
        extra_headers=sent or None,
        credentials=_credentials(who, aws_access_key_id, aws_secret_access_key, aws_session_token),
        region=region or None,
    )
    # Nearly all connections have no settings of their own. Requests check for exactly this object.
    return NO_OPTIONS if options == NO_OPTIONS else options


def _max_attempts(who: str, max_retry_attempts: int, retry_configuration: Any) -> int | None:
    """How often a request may be sent; None if the cluster's `Retries` are used."""
    if retry_configuration == LEGACY:
        if _as_given("max_retry_attempts", max_retry_attempts) is None:
            return None
        checks.whole(f"{who}: max_retry_attempts", max_retry_attempts, 0, 99)
        return max_retry_attempts + 1
    if retry_configuration is None or retry_configuration == UNSET:
        return None
    return _attempts_of(f"{who}: retry_configuration", retry_configuration)


def _attempts_of(where: str, retrying: object) -> int | None:
    """How often a request may be sent by botocore's setting `retries`. `total_max_attempts` counts all attempts,
    `max_attempts` only the retries. None if neither is given."""
    if not isinstance(retrying, Mapping):
        raise ConfigurationError(
            f"{where} must be a mapping such as {{'total_max_attempts': 3}}, 'LEGACY' or 'UNSET' "
            f"(got {checks.shown(retrying)})."
        )
    checks.known_names(retrying, ("max_attempts", "mode", "total_max_attempts"), where)
    mode = retrying.get("mode", "standard")
    if mode != "standard":
        raise ConfigurationError(
            f"{where}: the mode {checks.shown(mode)} does not exist here. Requests are retried on other nodes, with a "
            "budget and with jitter, which is nearest to 'standard': write that, or no mode."
        )
    if "total_max_attempts" in retrying:
        total: int = retrying["total_max_attempts"]
        checks.whole(f"{where}: total_max_attempts", total, 1, 100)
        return total
    if "max_attempts" in retrying:
        retries: int = retrying["max_attempts"]
        checks.whole(f"{where}: max_attempts", retries, 0, 99)
        return retries + 1
    return None


def _credentials(who: str, access: str | None, secret: str | None, token: str | None) -> Credentials | None:
    if bool(access) != bool(secret):
        missing = "aws_secret_access_key" if access else "aws_access_key_id"
        raise ConfigurationError(f"{who}: {missing} is missing. Give both keys, or neither.")
    if not access or not secret:
        return None
    return Credentials(access, secret, token or None)
