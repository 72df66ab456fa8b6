"""Clusters of a user's application: settings, options, nodes, and what is asked of them."""

from __future__ import annotations

from typing import assert_type

from pynamodb_alternator import (
    AsyncCluster,
    Cluster,
    ClusterConfig,
    Credentials,
    DatacenterScope,
    Deflate,
    Discovery,
    Gzip,
    Health,
    KeyRouteAffinity,
    RackScope,
    Retries,
    Timeouts,
    Tls,
    close_all,
    configure,
    get_cluster,
)

CONFIG = ClusterConfig(
    ["10.0.0.1", "10.0.0.2"],
    port=8043,
    scheme="https",
    tls=Tls(ca="/etc/ssl/alternator.pem"),
    routing_scope=RackScope("dc1", "r1", fallback=DatacenterScope("dc1")),
    credentials=Credentials("role", "hash"),
    timeouts=Timeouts(connect=1, read=3.0, total=None),
    retries=Retries(max_attempts=4, silent_writes="wait"),
    discovery=Discovery(),
    health=Health(),
    request_compression=Gzip(),
    token_aware="auto",
    load_balancing="least_busy",
    max_connection_idle=30,
    max_connection_age=300,
)
CHANGED = CONFIG.replace(port=8000, scheme="http", tls=None, timeouts=Timeouts(read=5))
FROM_URL = ClusterConfig.from_url(
    "http://10.0.0.1:8000", datacenter="dc1", timeouts={"read": 5}, credentials=lambda: Credentials("role", "hash")
)
FROM_ENV = ClusterConfig.from_env({"ALTERNATOR_URL": "http://10.0.0.1:8000"}, key_route_affinity="rmw", hedge=None)
configure(default=CONFIG, analytics="http://10.0.0.3:8000", other={"seeds": ["10.0.0.4"]})


def look() -> list[str]:
    cluster = get_cluster("analytics")
    assert_type(cluster, Cluster)
    assert_type(cluster.config, ClusterConfig)
    assert_type(cluster.config.port, int | None)
    assert_type(cluster.config.node_port, int)
    slow = [address for address, stats in cluster.stats().items() if stats.connections_in_use]
    return slow + [node.address for node in cluster.nodes() if node.datacenter == "dc1"]


@get_cluster().options(timeouts={"read": 20}, request_compression=None)
def report(day: str, *, rows: int = 10) -> list[str]:
    return [day] * rows


@get_cluster().options(key_route_affinity=KeyRouteAffinity.NONE, request_compression=Deflate())
async def report_later(day: str) -> int:
    return len(day)


async def both(cluster: AsyncCluster) -> None:
    assert_type(report("monday", rows=3), list[str])
    assert_type(await report_later("monday"), int)
    with get_cluster().options(hedge=False, consistent_node="report") as nothing:
        assert_type(nothing, None)
    with cluster.options(silent_writes="repeat", token_aware=False):
        assert_type(await cluster.refresh(), bool)


def ask(cluster: Cluster) -> list[str]:
    route = cluster.route("users", "alice", index="by-city")
    rows = [row["peer"] for row in cluster.system_table("system.peers")]
    ids = [finding.id for finding in cluster.check(timeout=1)]
    close_all()
    return [*route.nodes, *rows, *ids]
