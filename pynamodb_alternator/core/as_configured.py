"""The parts of a core that are of another kind as the configuration has it. Of two modules, the one needed is imported.

That is done when a cluster is made, and not when a request fails: a process without a free file descriptor could
import nothing then.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from ..routing.router import Router
from ..settings.tls import Tls

if TYPE_CHECKING:
    from ..routing.load import Load
    from ..routing.tables import Tables
    from ..settings.config import ClusterConfig
    from ..topology.replicas import Replicas
    from ..transport.tls import TlsContexts

__all__ = ["router_for", "tls_contexts_for"]


def router_for(
    config: ClusterConfig, tables: Tables, random: Random, replicas: Replicas, load: Load | None = None
) -> Router:
    """The router of a cluster. `load`: how busy each node is, where that decides about their order."""
    if load is None:
        return Router(config, tables, random, replicas)
    from ..routing.least_busy import LeastBusyRouter

    return LeastBusyRouter(config, tables, random, replicas, load=load)


def tls_contexts_for(config: ClusterConfig) -> TlsContexts | None:
    """What TLS connections are made with; None where nodes are reached by http."""
    if config.scheme != "https":
        return None
    from ..transport.tls import TlsContexts

    return TlsContexts(config.tls or Tls())
