"""What one request may have of its own: a model's settings, and those of a ``with cluster.options(...)`` block.

They travel in context variables, so they hold for threads and async tasks alike, and botocore's own methods need no
extra argument. A block's settings win over a model's, and these over the cluster's.
"""

from __future__ import annotations

import contextvars
from collections.abc import Mapping
from dataclasses import dataclass, fields

from .config import Credentials, KeyRouteAffinity, Timeouts

__all__ = ["NO_OPTIONS", "RequestOptions", "block_options", "current", "model_options"]


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """Settings of one request; None means that the next wider setting holds.

    `connect_timeout`, `read_timeout`, `total_timeout`: seconds. `max_attempts`: as in `Retries`.
    `extra_headers`: sent beside the cluster's. `credentials`, `region`: what signs the request.
    """

    connect_timeout: float | None = None
    read_timeout: float | None = None
    total_timeout: float | None = None
    max_attempts: int | None = None
    extra_headers: Mapping[str, str] | None = None
    credentials: Credentials | None = None
    region: str | None = None
    key_route_affinity: KeyRouteAffinity | None = None

    def over(self, wider: RequestOptions) -> RequestOptions:
        """These settings, and those of `wider` where these are None."""
        if wider is NO_OPTIONS:
            return self
        merged = {}
        for one in fields(self):
            own = getattr(self, one.name)
            merged[one.name] = getattr(wider, one.name) if own is None else own
        if self.extra_headers and wider.extra_headers:
            merged["extra_headers"] = {**wider.extra_headers, **self.extra_headers}
        return RequestOptions(**merged)

    def timeouts(self, default: Timeouts) -> Timeouts:
        if self.connect_timeout is None and self.read_timeout is None and self.total_timeout is None:
            return default
        return Timeouts(
            default.connect if self.connect_timeout is None else self.connect_timeout,
            default.read if self.read_timeout is None else self.read_timeout,
            default.total if self.total_timeout is None else self.total_timeout,
        )


NO_OPTIONS = RequestOptions()

model_options: contextvars.ContextVar[RequestOptions] = contextvars.ContextVar(
    "pynamodb_alternator_model_options", default=NO_OPTIONS
)
block_options: contextvars.ContextVar[RequestOptions] = contextvars.ContextVar(
    "pynamodb_alternator_block_options", default=NO_OPTIONS
)


def current() -> RequestOptions:
    """What holds for a request that is made here and now."""
    model, block = model_options.get(), block_options.get()
    if block is NO_OPTIONS:
        return model
    return block.over(model)
