"""The question of a probe to a node, and what the answer says of the node."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ClusterClosedError, ConnectTimeoutError, ReadTimeoutError
from .health import PROBE_PATH, is_well
from .network import Fetch
from .node import Node

__all__ = ["is_silence", "why_not_well"]


def is_silence(error: Exception | None) -> bool:
    """Whether the node has not said anything within the time, instead of refusing."""
    return isinstance(error, ConnectTimeoutError | ReadTimeoutError)


def why_not_well(node: Node, fetch: Fetch, timeout: float, clock: Callable[[], float]) -> Exception | None:
    """Ask a node whether it lives: why it is not well; None if it is.

    Raises `ClusterClosedError`, which says nothing of the node.
    """
    began = clock()
    error = _why_not_well(node, fetch, timeout)
    if error is not None and clock() > began + 1.5 * timeout:
        # This process was held up, so that the failure says nothing of the node.
        error = _why_not_well(node, fetch, timeout)
    return error


def _why_not_well(node: Node, fetch: Fetch, timeout: float) -> Exception | None:
    try:
        status, _ = fetch(node, PROBE_PATH, timeout)
    except ClusterClosedError:
        raise
    except Exception as failure:
        return failure
    return None if is_well(status) else ValueError(f"GET {PROBE_PATH} was answered with status {status}")
