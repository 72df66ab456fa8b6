"""Stores the cluster of the request that is under way.

A request of a connection finds its cluster once, and stays there, even if the connection's alias is configured again
meanwhile. The request and the settings of its connection are in a context variable. So PynamoDB's and botocore's
methods between the model and the transport need no extra argument, and threads and async tasks do not affect each
other.
"""

from __future__ import annotations

from ..cluster import Cluster
from ..settings.options import RequestOptions, model_options

__all__ = ["RequestUnderWay", "request_under_way"]


class RequestUnderWay:
    """One request of a connection, for a ``with`` block.

    `connection`: makes the request. `cluster`: serves the whole request. `options`: the connection's settings.
    """

    __slots__ = ("_options", "_serves", "_token")

    def __init__(self, connection: object, cluster: Cluster, options: RequestOptions) -> None:
        self._serves: tuple[object, Cluster] | None = (connection, cluster)
        self._options = options

    def __enter__(self) -> RequestUnderWay:
        serves = self._serves
        assert serves is not None
        self._token = model_options.set((serves[1].core.key, self._options, self))
        return self

    def __exit__(self, *_: object) -> None:
        model_options.reset(self._token)
        # A task that a signal's receiver has started keeps a copy of this context, and may live longer than the
        # request.
        self._serves = None

    def cluster_of(self, connection: object) -> Cluster | None:
        """The request's cluster, if it is a request of `connection` and has not ended."""
        serves = self._serves
        return serves[1] if serves is not None and serves[0] is connection else None

    def move_to(self, connection: object, cluster: Cluster) -> None:
        """Continue on another cluster, with the settings of `connection` there."""
        self._serves = (connection, cluster)
        model_options.set((cluster.core.key, self._options, self))


def request_under_way() -> RequestUnderWay | None:
    """The innermost request of a connection in this context, or None. A signal's receiver may make a request inside of
    another one."""
    request: RequestUnderWay | None = model_options.get()[2]
    return request
