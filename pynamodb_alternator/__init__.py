"""PynamoDB models on a ScyllaDB Alternator cluster.

Set ``Meta.connection_class = AlternatorConnection`` on your models, or derive them from `Model`, and name the cluster
with `configure`. Then every request goes to the right node and survives the loss of nodes, and blinker `signals` report
what happens.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from . import errors, signals
    from .aio import AsyncCluster as AsyncCluster
    from .cluster import Cluster
    from .orm.connection import AlternatorConnection
    from .orm.install import install, uninstall
    from .orm.model import Model
    from .orm.table_connection import TableConnection
    from .orm.vector_attribute import VectorAttribute
    from .orm.vector_index import VectorIndex
    from .registry import close_all, configure, get_cluster
    from .settings.compression import Deflate, Gzip
    from .settings.config import ClusterConfig
    from .settings.scopes import ClusterScope, DatacenterScope, RackScope
    from .settings.tls import Tls
    from .settings.values import Credentials, Discovery, Health, Hedge, KeyRouteAffinity, Retries, Timeouts

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
    "Hedge",
    "KeyRouteAffinity",
    "Model",
    "RackScope",
    "Retries",
    "TableConnection",
    "Timeouts",
    "Tls",
    "VectorAttribute",
    "VectorIndex",
    "close_all",
    "configure",
    "errors",
    "get_cluster",
    "install",
    "signals",
    "uninstall",
]

# Names are imported when they are first used. To import botocore and PynamoDB takes a quarter of a second, and a
# program that only finds this package through an entry point, such as pytest, must not wait for this.
_HOMES = {
    "aio": ("AsyncCluster",),  # needs the extra [async]
    "cluster": ("Cluster",),
    "settings.config": ("ClusterConfig",),
    "orm.connection": ("AlternatorConnection",),
    "orm.install": ("install", "uninstall"),
    "orm.model": ("Model",),
    "orm.table_connection": ("TableConnection",),
    "orm.vector_attribute": ("VectorAttribute",),
    "orm.vector_index": ("VectorIndex",),
    "registry": ("close_all", "configure", "get_cluster"),
    "settings.scopes": ("ClusterScope", "DatacenterScope", "RackScope"),
    "settings.compression": ("Deflate", "Gzip"),
    "settings.tls": ("Tls",),
    "settings.values": ("Credentials", "Discovery", "Health", "Hedge", "KeyRouteAffinity", "Retries", "Timeouts"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = ("errors", "signals")


if not TYPE_CHECKING:  # for type checkers, a module with `__getattr__` has every name, also misspelt ones

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return importlib.import_module(f".{name}", __name__)
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(importlib.import_module(f".{home}", __name__), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
