"""What a probe asks a node, and what the answer says about the node."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ClusterClosedError, ConnectTimeoutError, ReadTimeoutError
from .health import PROBE_PATH, is_well
from .network import Fetch
from .node import Node

__all__ = ["is_silence", "why_not_well"]


def is_silence(error: Exception | None) -> bool:
    """Whether the node has not answered at all within the time limit. A node that refuses is not silent."""
    return isinstance(error, ConnectTimeoutError | ReadTimeoutError)


def why_not_well(node: Node, fetch: Fetch, timeout: float, clock: Callable[[], float]) -> Exception | None:
    """Ask a node whether it is well. Returns None if it is, and else the reason why not.

    Raises `ClusterClosedError`, which says nothing about the node.
    """
    began = clock()
    error = _why_not_well(node, fetch, timeout)
    if error is not None and clock() > began + 1.5 * timeout:
        # This process did not run for a while, so the failure says nothing about the node.
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
