"""PynamoDB models on a ScyllaDB Alternator cluster.

Set ``Meta.connection_class = AlternatorConnection`` on your models (or derive them from `Model`), tell with `configure`
which cluster is meant, and every request goes to the right node, survives the loss of nodes, and says on blinker
`signals` what it did.
"""

from typing import TYPE_CHECKING, Any

from . import errors, signals
from ._version import __version__ as __version__
from .client import Cluster
from .config import ClusterConfig, Credentials, Discovery, Health, KeyRouteAffinity, Retries, Timeouts
from .connection import AlternatorConnection
from .models import Model, install, uninstall
from .registry import close_all, configure, get_cluster
from .scopes import ClusterScope, DatacenterScope, RackScope
from .wire_config import Deflate, Gzip, Tls

if TYPE_CHECKING:
    from .aio import AsyncCluster as AsyncCluster

__all__ = [
    "AlternatorConnection",
    "Cluster",
    "ClusterConfig",
    "ClusterScope",
    "Credentials",
    "DatacenterScope",
    "Deflate",
    "Discovery",
    "Gzip",
    "Health",
    "KeyRouteAffinity",
    "Model",
    "RackScope",
    "Retries",
    "Timeouts",
    "Tls",
    "close_all",
    "configure",
    "errors",
    "get_cluster",
    "install",
    "signals",
    "uninstall",
]


def __getattr__(name: str) -> Any:
    if name == "AsyncCluster":  # only now: it needs the extra [async]
        from .aio import AsyncCluster

        return AsyncCluster
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
