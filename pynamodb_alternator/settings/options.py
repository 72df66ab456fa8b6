"""Settings of single requests: those of a model, and those of a ``with cluster.options(...)`` block.

Theory of operation. A request has three layers of settings: the settings of the block win over those of the model, and
those of the model win over the cluster's. The layers of block and model are `RequestOptions`: immutable values, in
which a setting that is not given is None or `NOT_GIVEN`. `RequestOptions.over` makes one layer of two.

Two context variables hold the layers, so that they apply to threads and async tasks alike, and botocore's methods need
no extra argument. `orm.under_way` sets `model_options` for one request. `block` sets `_blocks` for the time of a
``with`` block: it has, for each cluster, the merged options of all blocks that are entered. Both name the cluster to
which they belong, because a receiver of a signal may send a request to another cluster while this one is made.
`current` returns the layers of block and model as one, for a request that begins now. The cluster's own settings are
the defaults that `RequestOptions.timeouts`, `RequestOptions.retries` and the transport fall back to.

Checks. `Cluster.options` checks a block's settings when it is called (`block_options`), and `orm.connection_settings`
checks a model's. So a request does not check them again. Blocks with equal settings mostly share one `RequestOptions`
object, so the transport can cache what it computes for this object.
"""

from __future__ import annotations

import contextlib
import contextvars
import enum
import functools
import inspect
import marshal
from collections.abc import Callable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, Self, TypeVar, cast

from ..errors import ConfigurationError
from . import checks, compression, headers, scopes, values
from .compression import Deflate, Gzip
from .config import ClusterConfig
from .scopes import Scope
from .values import CanonicalNumbers, Credentials, Hedge, KeyRouteAffinity, Retries, Timeouts

__all__ = [
    "BLOCK_SETTINGS",
    "NOT_GIVEN",
    "NO_OPTIONS",
    "NotGiven",
    "RequestOptions",
    "block",
    "block_options",
    "block_settings",
    "current",
    "model_options",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])


class NotGiven(enum.Enum):
    """The type of `NOT_GIVEN`, for settings that may have the value None."""

    NOT_GIVEN = "not given"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN


class RequestOptions(NamedTuple):
    """Settings of one request. None (for compression and `hedge`: `NOT_GIVEN`) means that the setting of the next layer
    is used.

    `connect_timeout`, `read_timeout`, `total_timeout`, `pool_timeout`: seconds. `all_timeouts`: all four timeouts; in
    it, a total or pool of None means no limit. `max_attempts`, `silent_writes`: as in `Retries`. `extra_headers`: sent
    in addition to the cluster's.
    `hedge`: None for no hedged reads. `credentials`, `region`: sign the request. `response_compression`: codings.
    `consistent_node`: the number that picks the node; False for no such node. `token_aware`, `canonical_numbers`: as in
    `ClusterConfig`.
    `is_lookup`: whether the library itself makes the request; then a failure does not count for the node.
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
    canonical_numbers: CanonicalNumbers | None = None
    is_lookup: bool = False

    def over(self, wider: RequestOptions) -> RequestOptions:
        """These settings, and those of `wider` where these are not given."""
        if wider is NO_OPTIONS:
            return self
        merged: dict[str, Any] = {
            name: of_wider if own is default else own
            for name, own, of_wider, default in zip(self._fields, self, wider, NO_OPTIONS, strict=True)
        }
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
        return Timeouts.of_checked(
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

model_options: contextvars.ContextVar[tuple[object, RequestOptions, Any]] = contextvars.ContextVar(
    "pynamodb_alternator_model_options", default=(None, NO_OPTIONS, None)
)
"""Three values: the object that identifies the cluster, the settings of the model whose request is being made, and a
value of the caller that sets the variable. A receiver of a signal may make a request to another cluster meanwhile, and
that cluster must not get these headers and credentials."""
_blocks: contextvars.ContextVar[Mapping[object, Any]] = contextvars.ContextVar(
    "pynamodb_alternator_block_options", default=MappingProxyType({})
)
"""The settings of the blocks that this code is in, by the object that identifies their cluster; and for each of these
blocks, the tokens that end it."""


def current(owner: object) -> RequestOptions:
    """The settings for a request that is made now. `owner`: identifies its cluster."""
    (of, model, _), blocks = model_options.get(), _blocks.get()
    if of is not owner:
        model = NO_OPTIONS
    if blocks and owner in blocks:
        options: RequestOptions = blocks[owner]
        return options if model is NO_OPTIONS else options.over(model)
    return model


class block(contextlib.ContextDecorator):
    """A context manager: `options` hold for the requests inside, and win over those of the blocks around it.

    As a decorator it is entered for each call. It is a class, because a generator would take longer to enter than the
    routing of a request takes.
    """

    __slots__ = ("_options", "_owner", "_token")

    def __init__(self, owner: object, options: RequestOptions) -> None:
        self._owner = owner
        self._options = options

    def __call__(self, function: _Function) -> _Function:
        """Decorate a function, or a coroutine function. Raises `ConfigurationError` for generators."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigurationError(
                f"Cluster.options cannot decorate {function.__name__!r}: the body of a generator runs after the call. "
                "Write `with cluster.options(...):` inside of it."
            )
        if not inspect.iscoroutinefunction(function):
            return super().__call__(function)

        @functools.wraps(function)
        async def inside(*args: Any, **kwargs: Any) -> Any:
            with self._recreate_cm():
                return await function(*args, **kwargs)

        return cast(_Function, inside)

    def _recreate_cm(self) -> Self:
        # Each call gets its own block, because several threads may call the function, and it may call itself.
        return type(self)(self._owner, self._options)

    def __enter__(self) -> None:
        outer, options = _blocks.get(), self._options
        inside: dict[object, Any]
        if outer:
            inside = {**outer, self._owner: options.over(outer.get(self._owner, NO_OPTIONS))}
        else:
            inside = {self._owner: options}
        # The token is kept in the context, and not in this object: several threads and tasks may be inside of one
        # block, and one thread may be inside twice.
        inside[self] = self._token = _blocks.set(inside)

    def __exit__(self, *_: object) -> None:
        # A generator may have left an outer block before this one. Then the context has no token of this block any
        # more.
        token = _blocks.get().get(self, self._token)
        try:
            _blocks.reset(token)
        except ValueError:
            raise ConfigurationError(
                "Cluster.options: the block was entered in one context and left in another, and what was called "
                "meanwhile did not see its settings. A generator that a framework runs in threads does so, such as a "
                "dependency of FastAPI with `def` and `yield`: write it with `async def`."
            ) from None


_CHECKED: Mapping[str, Callable[[str, Any], Any]] = {
    "response_compression": compression.response_compression,
    "key_route_affinity": values.affinity,
    "extra_headers": lambda where, value: headers.check(where, value) or None,
    "silent_writes": values.silent_writes,
    "token_aware": values.token_aware,
    "canonical_numbers": values.canonical_numbers,
    "routing_scope": scopes.check,
    "request_compression": compression.request_compression,
    "hedge": values.hedge,
}
"""For each setting, the function that checks it and makes its value."""
_NONE_IS_A_VALUE = frozenset({"request_compression", "hedge"})
"""For the other settings, None means that the setting is not given."""
BLOCK_SETTINGS = frozenset(("consistent_node", "timeouts", *_CHECKED))
"""The settings that `Cluster.options` takes."""
_NAMES_OF_TIMEOUTS = frozenset(setting.name for setting in fields(Timeouts))
_OF_THE_CLUSTER = {setting.name for setting in fields(ClusterConfig)} | {"url", "host", "endpoint", "ca", "verify"}


_kept: dict[bytes, RequestOptions] = {}
"""The options of blocks by their settings, as `marshal` writes them, because this form distinguishes 1, 1.0 and True.
The blocks of a program mostly have the same few settings, so its requests get the same objects again."""
_MOST_KEPT = 256


def block_options(settings: dict[str, Any]) -> RequestOptions:
    """The options for what a user gave to `Cluster.options`, except `consistent_node`. Raises `ConfigurationError`."""
    try:
        written = marshal.dumps(settings, 2)
    except ValueError:  # a value is not plain data
        return RequestOptions(**block_settings(settings))
    options = _kept.get(written)
    if options is None:
        options = RequestOptions(**block_settings(settings))
        # Options with headers are not cached: headers may be secrets, and may differ each time.
        if options.extra_headers is None:
            if len(_kept) >= _MOST_KEPT:
                _kept.clear()
            _kept[written] = options
    return options


def block_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `RequestOptions` for what a user gave to `Cluster.options`, except `consistent_node`.

    Raises `ConfigurationError`.
    """
    where = "Cluster.options"
    if not settings.keys() <= BLOCK_SETTINGS:
        _refuse_others(where, settings)
    made: dict[str, Any] = {}
    for name, value in settings.items():
        if value is NOT_GIVEN or (value is None and name not in _NONE_IS_A_VALUE):
            continue
        if name == "timeouts":
            made.update(_timeouts(f"{where}: timeouts", value))
        else:
            made[name] = _CHECKED[name](f"{where}: {name}", value)
    return made


def _refuse_others(where: str, settings: Mapping[str, Any]) -> None:
    for name in settings:
        if name not in BLOCK_SETTINGS and name in _OF_THE_CLUSTER:
            raise ConfigurationError(
                f"{where}: {name} cannot be changed for some requests, because all requests of a cluster share their "
                "connections, nodes and signatures. Make another cluster for them: "
                f"Cluster(cluster.config.replace({name}=...))."
            )
    checks.known_names(settings, BLOCK_SETTINGS, where)


def _timeouts(where: str, value: object) -> dict[str, Any]:
    if isinstance(value, Timeouts):
        return {"all_timeouts": value}
    if isinstance(value, Mapping):
        if not value.keys() <= _NAMES_OF_TIMEOUTS:
            checks.known_names(value, _NAMES_OF_TIMEOUTS, where)
        for name, seconds in value.items():
            values.check_timeout(f"Timeouts: {name}", name, seconds)
        return {f"{name}_timeout": seconds for name, seconds in value.items()}
    raise ConfigurationError(
        f"{where} must be Timeouts(connect=..., read=..., total=..., pool=...), or a mapping of those that shall "
        f"differ, such as {{'read': 3}} (got {checks.shown(value)})."
    )
