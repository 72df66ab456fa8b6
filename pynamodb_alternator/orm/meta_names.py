"""Checks the names in a model's `Meta`: settings of a cluster that it does not take, and misspelt names of settings.

In PynamoDB, a `Meta` may have any attribute, also for the application. So only a certain mistake is an error: a setting
of ours whose name has several words, or whose value has one of our types. If a name only looks like a mistake, a
warning is logged.
"""

from __future__ import annotations

import logging
from dataclasses import fields
from typing import Any

from ..errors import ConfigurationError
from ..settings.checks import did_you_mean
from ..settings.config import ClusterConfig
from ..settings.options import BLOCK_SETTINGS

__all__ = ["OF_CONNECTIONS", "OF_OUR_CONNECTIONS", "check_names"]

_log = logging.getLogger("pynamodb_alternator.orm")

OF_CONNECTIONS = (
    "region",
    "host",
    "connect_timeout_seconds",
    "read_timeout_seconds",
    "max_retry_attempts",
    "max_pool_connections",
    "extra_headers",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
)
"""The names in a model's `Meta` that PynamoDB passes to its connection."""
OF_OUR_CONNECTIONS = (
    "cluster",
    "key_route_affinity",
    "write_isolation",
    "silent_writes",
    "token_aware",
    "hedge",
    "canonical_numbers",
)
"""Further names that are passed to an `AlternatorConnection`."""
_OF_PYNAMODB = frozenset(
    (
        *OF_CONNECTIONS,
        "table_name",
        "billing_mode",
        "read_capacity_units",
        "write_capacity_units",
        "stream_view_type",
        "tags",
        "retry_configuration",
        "session_cls",
        "request_timeout_seconds",
        "base_backoff_ms",
    )
)
_OURS = frozenset(("connection_class", *OF_OUR_CONNECTIONS))
_OF_A_CLUSTER = frozenset(setting.name for setting in fields(ClusterConfig)) - {"name"}
_IN_META = {
    "timeouts": "Meta.connect_timeout_seconds and Meta.read_timeout_seconds",
    "retries": "Meta.max_retry_attempts and Meta.silent_writes",
    "credentials": "Meta.aws_access_key_id and Meta.aws_secret_access_key",
}
"""By a cluster's setting: what to write into a `Meta` instead."""


def check_names(model: str, meta: Any, *, is_first: bool) -> None:
    """Raise `ConfigurationError` for a setting that `Meta` does not take; log a warning for a name that may be a
    mistake.

    `model`: the name of its class. `is_first`: whether the warnings were not logged yet.
    """
    for name in dir(meta):
        if name.startswith("_") or name in _OF_PYNAMODB or name in _OURS:
            continue
        if name in _OF_A_CLUSTER or name in BLOCK_SETTINGS:
            text = f"{model}: Meta does not take {name}. {_remedy(name)}"
            if "_" in name or _is_ours(getattr(meta, name)):
                raise ConfigurationError(text)
        elif meant := did_you_mean(name, _OURS):
            text = f"{model}: Meta.{name} is not a setting of this library. {meant}"
        else:
            continue
        if is_first:
            _log.warning("%s Requests go on without it. If it is your own, give it another name.", text)


def _remedy(name: str) -> str:
    remedies = []
    if name in _OF_A_CLUSTER:
        remedies.append(f"ClusterConfig({name}=...) holds for a cluster, which Meta.cluster may name")
    if name in BLOCK_SETTINGS:
        remedies.append(f"`with cluster.options({name}=...)` for the requests inside")
    if name in _IN_META:
        remedies.append(f"{_IN_META[name]} for those of this model")
    return f"Write it where it is taken: {'; '.join(remedies)}."


def _is_ours(value: object) -> bool:
    return type(value).__module__.startswith(f"{__package__.partition('.')[0]}.")
