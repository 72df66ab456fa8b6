"""Finds requests that wait in the thread of a running event loop, as `ClusterConfig.sync_in_loop` asks."""

from __future__ import annotations

import inspect
import sys
import warnings
from types import FrameType

from ..errors import SyncInLoopError
from ..settings.config import ClusterConfig
from ..transport.endpoint import Prepare

__all__ = ["SyncInLoopWarning", "watched"]

_OF_LIBRARIES = ("pynamodb_alternator", "pynamodb", "botocore", "boto3")


class SyncInLoopWarning(RuntimeWarning):
    """With ``sync_in_loop="warn"``: a request that blocks its thread was made in the thread of a running event loop."""


def watched(prepare: Prepare, config: ClusterConfig) -> Prepare:
    """`prepare`, which is called before each request of a thread. If `config` asks for it, a check for a running event
    loop comes before it."""
    if config.sync_in_loop == "allow":
        return prepare

    def look_and_prepare(now: float, total: float | None) -> None:
        if _runs_an_event_loop():
            _complain(config)
        prepare(now, total)

    return look_and_prepare


def _runs_an_event_loop() -> bool:
    # asyncio is not imported here: if no code has imported it, no event loop runs.
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _complain(config: ClusterConfig) -> None:
    what = (
        f"Cluster {config.name!r}: a request was made in the thread of a running event loop, which stands still until "
        "the answer comes. Write `await User.aio.get(...)` in the place of `User.get(...)`, `await aio.run(function)` "
        "for a function that makes requests, or `await aio.get_client()` for a client; or call it in a thread, by "
        f"`await asyncio.to_thread(...)`. (sync_in_loop={config.sync_in_loop!r} of the cluster looks for this.)"
    )
    if config.sync_in_loop == "error":
        raise SyncInLoopError(what)
    warnings.warn(what, SyncInLoopWarning, stacklevel=_level_of_caller())


def _level_of_caller() -> int:
    """The `stacklevel` for `warnings.warn` in `_complain`. It leads to the first code outside of this package, PynamoDB
    and botocore."""
    level, frame = 0, inspect.currentframe()
    while frame is not None and _is_of_a_library(frame):
        level, frame = level + 1, frame.f_back
    return level


def _is_of_a_library(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] in _OF_LIBRARIES
