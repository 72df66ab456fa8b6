"""What one request may have of its own: a model's settings, and those of a ``with cluster.options(...)`` block.

They travel in context variables, so they hold for threads and async tasks alike, and botocore's own methods need no
extra argument. A block's settings win over a model's, and these over the cluster's.
"""

from __future__ import annotations

import contextlib
import contextvars
import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Final, Literal

from ..errors import ConfigurationError
from . import checks, compression, headers, scopes, values
from .compression import Deflate, Gzip
from .config import ClusterConfig
from .scopes import Scope
from .values import Credentials, Hedge, KeyRouteAffinity, Retries, Timeouts

__all__ = [
    "NOT_GIVEN",
    "NO_OPTIONS",
    "NotGiven",
    "RequestOptions",
    "block",
    "block_settings",
    "current",
    "model_options",
]


class NotGiven(enum.Enum):
    """The type of `NOT_GIVEN`, for settings in which None means something."""

    NOT_GIVEN = "not given"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """Settings of one request; None means that the next wider setting holds, `NOT_GIVEN` for the compression and hedge.

    `connect_timeout`, `read_timeout`, `total_timeout`, `pool_timeout`: seconds. `all_timeouts`: all four, of which a
    total or pool of None means no limit. `max_attempts`, `silent_writes`: as in `Retries`. `extra_headers`: sent beside
    the cluster's.
    `hedge`: None for none. `credentials`, `region`: what signs the request. `response_compression`: codings.
    `consistent_node`: the number that picks the node; False for none. `token_aware`: as in `ClusterConfig`.
    `is_lookup`: the library asks for itself, and a failure counts for no node.
    """

    connect_timeout: float | None = None
    read_timeout: float | None = None
    total_timeout: float | None = None
    pool_timeout: float | None = None
    all_timeouts: Timeouts | None = None
    max_attempts: int | None = None
    silent_writes: Literal["raise", "wait", "repeat"] | None = None
    hedge: Hedge | NotGiven | None = NOT_GIVEN
    extra_headers: Mapping[str, str] | None = None
    credentials: Credentials | None = None
    region: str | None = None
    key_route_affinity: KeyRouteAffinity | None = None
    request_compression: Gzip | Deflate | NotGiven | None = NOT_GIVEN
    response_compression: tuple[str, ...] | None = None
    routing_scope: Scope | None = None
    consistent_node: int | Literal[False] | None = None
    token_aware: Literal["auto"] | bool | None = None
    is_lookup: bool = False

    def over(self, wider: RequestOptions) -> RequestOptions:
        """These settings, and those of `wider` where these say nothing."""
        if wider is NO_OPTIONS:
            return self
        merged = {}
        for option in fields(self):
            own = getattr(self, option.name)
            merged[option.name] = getattr(wider, option.name) if own is option.default else own
        if self.extra_headers and wider.extra_headers:
            own_names = {name.lower() for name in self.extra_headers}
            kept = {name: text for name, text in wider.extra_headers.items() if name.lower() not in own_names}
            merged["extra_headers"] = {**kept, **self.extra_headers}
        if self.all_timeouts is not None:
            for name in _TIMEOUTS:
                merged[name] = getattr(self, name)
        return RequestOptions(**merged)

    def timeouts(self, default: Timeouts) -> Timeouts:
        default = self.all_timeouts or default
        if (
            self.connect_timeout is None
            and self.read_timeout is None
            and self.total_timeout is None
            and self.pool_timeout is None
        ):
            return default
        return Timeouts(
            default.connect if self.connect_timeout is None else self.connect_timeout,
            default.read if self.read_timeout is None else self.read_timeout,
            default.total if self.total_timeout is None else self.total_timeout,
            default.pool if self.pool_timeout is None else self.pool_timeout,
        )

    def retries(self, default: Retries) -> Retries:
        if self.max_attempts is None and self.silent_writes is None:
            return default
        return Retries(
            default.max_attempts if self.max_attempts is None else self.max_attempts,
            default.backoff_base,
            default.backoff_max,
            default.silent_writes if self.silent_writes is None else self.silent_writes,
        )


_TIMEOUTS = ("connect_timeout", "read_timeout", "total_timeout", "pool_timeout")
NO_OPTIONS = RequestOptions()

model_options: contextvars.ContextVar[tuple[object, RequestOptions]] = contextvars.ContextVar(
    "pynamodb_alternator_model_options", default=(None, NO_OPTIONS)
)
"""The settings of the model whose request is being made, paired with the object that stands for its cluster: a receiver
of a signal may make a request of its own meanwhile, and another cluster must not get these headers and credentials."""
_blocks: contextvars.ContextVar[Mapping[object, RequestOptions]] = contextvars.ContextVar(
    "pynamodb_alternator_block_options", default=MappingProxyType({})
)
"""The settings of the blocks that we are in, by the object that stands for their cluster."""


def current(owner: object) -> RequestOptions:
    """What holds for a request that is made here and now, on the cluster that `owner` stands for."""
    (of, model), blocks = model_options.get(), _blocks.get()
    if of is not owner:
        model = NO_OPTIONS
    if blocks and owner in blocks:
        return blocks[owner].over(model)
    return model


@contextlib.contextmanager
def block(owner: object, options: RequestOptions) -> Iterator[None]:
    """``with`` it, and `options` hold for what is requested inside, over those of the blocks around it."""
    outer = _blocks.get()
    token = _blocks.set({**outer, owner: options.over(outer.get(owner, NO_OPTIONS))})
    try:
        yield
    finally:
        _blocks.reset(token)


_CHECKED: Mapping[str, Callable[[str, Any], Any]] = {
    "response_compression": compression.response_compression,
    "key_route_affinity": values.affinity,
    "extra_headers": lambda where, value: headers.check(where, value) or None,
    "silent_writes": values.silent_writes,
    "token_aware": values.token_aware,
    "routing_scope": scopes.check,
}
"""What makes the value of each setting in which None means that it is not given."""
_FOR_A_BLOCK = ("consistent_node", "hedge", "request_compression", "timeouts", *_CHECKED)
_OF_THE_CLUSTER = {setting.name for setting in fields(ClusterConfig)} | {"url", "host", "endpoint", "ca", "verify"}


def block_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `RequestOptions` for what a user gave to `Cluster.options`, except `consistent_node`.

    Raises `ConfigurationError`.
    """
    where = "Cluster.options"
    for name in settings:
        if name not in _FOR_A_BLOCK and name in _OF_THE_CLUSTER:
            raise ConfigurationError(
                f"{where}: {name} cannot be changed for some requests, because all requests of a cluster share their "
                "connections, nodes and signatures. Make another cluster for them: "
                f"Cluster(cluster.config.replace({name}=...))."
            )
    checks.known_names(settings, _FOR_A_BLOCK, where)
    made: dict[str, Any] = {}
    how = settings.get("request_compression", NOT_GIVEN)
    if how is not NOT_GIVEN:
        made["request_compression"] = compression.request_compression(f"{where}: request_compression", how)
    if settings.get("hedge", NOT_GIVEN) is not NOT_GIVEN:
        made["hedge"] = values.hedge(f"{where}: hedge", settings["hedge"])
    for name, check in _CHECKED.items():
        if settings.get(name) is not None:
            made[name] = check(f"{where}: {name}", settings[name])
    made.update(_timeouts(f"{where}: timeouts", settings.get("timeouts")))
    return made


def _timeouts(where: str, value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, Timeouts):
        return {"all_timeouts": value}
    if isinstance(value, Mapping):
        checks.known_names(value, [setting.name for setting in fields(Timeouts)], where)
        Timeouts(**value)  # checks them
        return {f"{name}_timeout": seconds for name, seconds in value.items()}
    raise ConfigurationError(
        f"{where} must be Timeouts(connect=..., read=..., total=..., pool=...), or a mapping of those that shall "
        f"differ, such as {{'read': 3}} (got {checks.shown(value)})."
    )
