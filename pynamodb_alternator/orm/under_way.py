"""Which cluster the request that is under way belongs to.

A request of a connection looks its cluster up once, and all of it goes there, whatever the connection's alias means
meanwhile. The request and the settings of its connection travel in a context variable: PynamoDB's and botocore's
methods between the model and the transport need no extra argument, and threads and async tasks do not disturb each
other.
"""

from __future__ import annotations

from ..cluster import Cluster
from ..settings.options import RequestOptions, model_options

__all__ = ["RequestUnderWay", "request_under_way"]


class RequestUnderWay:
    """One request of a connection, to be used in a ``with``.

    `connection`: whose request it is. `cluster`: serves the whole of it. `options`: the connection's settings.
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
        # A task that a signal's receiver has started keeps a copy of this context, and outlives the request.
        self._serves = None

    def cluster_of(self, connection: object) -> Cluster | None:
        """The request's cluster, if it is a request of `connection` and has not ended."""
        serves = self._serves
        return serves[1] if serves is not None and serves[0] is connection else None

    def move_to(self, connection: object, cluster: Cluster) -> None:
        """Go on with another cluster, of which `connection`'s settings hold as well."""
        self._serves = (connection, cluster)
        model_options.set((cluster.core.key, self._options, self))


def request_under_way() -> RequestUnderWay | None:
    """The innermost request of a connection in this context, or None: a signal's receiver may make one inside of
    another."""
    request: RequestUnderWay | None = model_options.get()[2]
    return request
