"""An embedded cluster for development and tests: real nodes on loopback addresses, without ScyllaDB.

>>> from pynamodb_alternator.local import LocalCluster
>>> with LocalCluster(nodes=3) as cluster:
...     cluster.url
...     cluster.nodes[1].kill()
"""

from __future__ import annotations

from .cluster import LocalCluster
from .engine import Engine
from .faults import Fault
from .node import LocalNode, Received
from .process import ProcessNode
from .tls import KeyPair, LocalTls, TlsFiles

__all__ = [
    "Engine",
    "Fault",
    "KeyPair",
    "LocalCluster",
    "LocalNode",
    "LocalTls",
    "ProcessNode",
    "Received",
    "TlsFiles",
]
