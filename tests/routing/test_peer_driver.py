"""Differential tests against ScyllaDB's published Python client, alternator-client 2.0.2."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import urlsplit

from alternator.config import Config, KeyRouteAffinityConfig, KeyRouteAffinityMode
from alternator.core import routing_scope as their_scopes
from alternator.core.deterministic_rand import DeterministicRand
from alternator.core.hashing import hash_attribute_value
from alternator.core.key_affinity import is_rmw_operation, select_affinity_node
from alternator.core.live_nodes import NodeList, SyncLiveNodesManager
from alternator.core.query_plan import LazyQueryPlan
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator.routing.generator import first_below, generator
from pynamodb_alternator.routing.hashing import key_hash
from pynamodb_alternator.routing.read_before_write import counts_as_read_modify_write
from pynamodb_alternator.routing.ring import AffinityRing
from pynamodb_alternator.routing.router import Router
from pynamodb_alternator.routing.tables import Tables
from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.settings.scopes import ClusterScope, DatacenterScope, RackScope, Scope
from pynamodb_alternator.settings.values import KeyRouteAffinity, RingNodes
from pynamodb_alternator.topology.discovery import Discovery
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.reading import Reading
from pynamodb_alternator.topology.selection import ScopeChoice, choose_scope, make_topology
from pynamodb_alternator.topology.view import Topology, View, ring_order
from tests.topology.fakes import FakeNetwork

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBER = st.one_of(st.integers().map(str), st.decimals(allow_nan=False, allow_infinity=False).map(str))
KEYS = st.one_of(
    TEXT.map(lambda text: {"S": text}), NUMBER.map(lambda text: {"N": text}), st.binary().map(lambda raw: {"B": raw})
)
HOSTS = st.lists(
    st.one_of(
        st.ip_addresses(v=4, network="10.0.0.0/24").map(str),
        st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,3})?", fullmatch=True),
        st.ip_addresses(v=6).map(str),
    ),
    min_size=1,
    max_size=40,
    unique=True,
)


def router(order: str = "host", affinity: KeyRouteAffinity = KeyRouteAffinity.ANY_WRITE) -> Router:
    config = ClusterConfig(
        "10.0.0.1", key_route_affinity=affinity, affinity_ring_order=order, partition_keys={"t": "id", "u": "key"}
    )
    return Router(config, Tables(config), random.Random(1))


def view_of(hosts: list[str], port: int = 8000) -> View:
    ring = ring_order(Node("http", host, port) for host in hosts)
    return View(Topology(ring, ring, ring))


@given(KEYS)
@settings(deadline=None, max_examples=500)
def test_the_other_driver_has_the_same_hashes(key: dict[str, Any]) -> None:
    ((kind, value),) = key.items()
    assert key_hash(kind, value) == hash_attribute_value(kind, value)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(2**30 + 1, 2**31 - 1))
@settings(deadline=None)
def test_equal_numbers_where_half_of_the_draws_are_rejected(seed: int, n: int) -> None:
    theirs, below = DeterministicRand(seed), generator(seed)
    expected = [theirs.intn(n) for _ in range(20)]
    assert [below(n) for _ in range(20)] == expected
    assert first_below(seed, n) == expected[0]


@given(KEYS, HOSTS, st.sampled_from([80, 8000, 9042]))
@settings(deadline=None, max_examples=300)
def test_equal_plans_in_host_order(key: dict[str, Any], hosts: list[str], port: int) -> None:
    ((kind, value),) = key.items()
    theirs = list(LazyQueryPlan(sorted(set(hosts)), hash_attribute_value(kind, value)))
    plan = router().plan("PutItem", {"TableName": "t", "Item": {"id": key}}, view_of(hosts, port))
    assert [node.host for node in plan.order(view_of(hosts, port))] == theirs


@given(KEYS, st.integers(1, 40), st.sampled_from([80, 8000]))
@settings(deadline=None, max_examples=300)
def test_equal_plans_in_canonical_order(key: dict[str, Any], count: int, port: int) -> None:
    """That client sorts as specified where no host is the beginning of another one."""
    hosts = [f"10.0.0.{number}" for number in range(100, 100 + count)]
    ((kind, value),) = key.items()
    theirs = list(LazyQueryPlan(sorted(set(hosts)), hash_attribute_value(kind, value)))
    view = view_of(hosts, port)
    plan = router("endpoint").plan("DeleteItem", {"TableName": "t", "Key": {"id": key}}, view)
    assert [node.host for node in plan.order(view)] == theirs


WRITES = st.lists(
    st.one_of(
        KEYS.map(lambda key: {"PutRequest": {"Item": {"id": key, "key": {"S": "k"}, "x": {"N": "1"}}}}),
        KEYS.map(lambda key: {"DeleteRequest": {"Key": {"id": key}}}),
        st.sampled_from([{}, {"PutRequest": {}}, {"PutRequest": {"Item": {}}, "DeleteRequest": {"Key": {}}}]),
        st.just({"PutRequest": {"Item": {"id": {"SS": ["a"]}}}}),
    ),
    max_size=25,
)


@given(st.dictionaries(st.sampled_from(["t", "u", "unknown"]), WRITES), HOSTS)
@settings(deadline=None, max_examples=300)
def test_equal_votes_of_batches(requests: dict[str, Any], hosts: list[str]) -> None:
    parameters = {"RequestItems": requests}
    listed = NodeList(nodes=tuple(hosts), scope_name="")
    theirs = select_affinity_node(
        mode="ANY_WRITE",
        operation_name="BatchWriteItem",
        params=parameters,
        nodes=listed,
        get_pk_name={"t": "id", "u": "key"}.get,
    )
    view = view_of(hosts)
    plan = router().plan("BatchWriteItem", parameters, view)
    if theirs is None:
        assert plan.reason is not None
    else:
        assert isinstance(theirs, tuple)
        assert plan.policy == "batch_affinity"
        order = [node.host for node in plan.order(view)]
        assert order == [*theirs, *sorted(set(hosts) - set(theirs))]


# ---- the nodes of the ring -------------------------------------------------------------------------------------------


PLACES = st.dictionaries(
    st.ip_addresses(v=4, network="10.0.0.0/25").map(str),
    st.tuples(st.sampled_from(["dc1", "dc2"]), st.sampled_from(["r1", "r2"])),
    min_size=1,
    max_size=12,
)
CHAINS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["dc1", "dc2", "dc3"])),
        st.tuples(st.sampled_from(["dc1", "dc2"]), st.sampled_from(["r1", "r2", "r3"])),
    ),
    max_size=4,
)
"""Datacenters, and racks with their datacenters, of scopes that are each the fallback of the one before."""


def our_chain(places: list[tuple[str, ...]], *, ends_at_cluster: bool) -> Scope:
    scope: Scope | None = ClusterScope() if ends_at_cluster or not places else None
    for place in reversed(places):
        scope = RackScope(*place, fallback=scope) if len(place) == 2 else DatacenterScope(*place, fallback=scope)
    assert scope is not None
    return scope


def their_chain(scope: Scope) -> their_scopes.RoutingScope:
    fallback = None if scope.fallback is None else their_chain(scope.fallback)
    if isinstance(scope, RackScope):
        return their_scopes.RackScope(scope.datacenter, scope.rack, fallback=fallback)
    if isinstance(scope, DatacenterScope):
        return their_scopes.DatacenterScope(scope.datacenter, fallback=fallback)
    return their_scopes.ClusterScope()


def their_nodes(network: FakeNetwork, scope: Scope) -> tuple[list[str], list[str]]:
    """What alternator-client sends ordinary requests to, and what its ring is."""
    config = Config(
        sorted(network.places),
        8000,
        routing_scope=their_chain(scope),
        key_affinity=KeyRouteAffinityConfig(mode=KeyRouteAffinityMode.ANY_WRITE),
    )

    def fetch(url: str) -> list[str]:
        parts = urlsplit(url)
        node = Node("http", parts.hostname or "", 8000)
        return list(json.loads(network.fetch(node, f"{parts.path}?{parts.query}", 1.0)[1]))

    manager = SyncLiveNodesManager(config, fetch)
    manager.refresh_nodes()
    return list(manager.nodes.nodes), list(manager.affinity_nodes.nodes)


def our_topology(network: FakeNetwork, scope: Scope, ring_nodes: RingNodes) -> Topology:
    config = ClusterConfig(sorted(network.places), port=8000, routing_scope=scope)
    nodes = [Node("http", host, 8000) for host in network.places]
    discovery = Discovery(
        config,
        fetch=network.fetch,
        resolve=network.resolve,
        random=random.Random(1),
        answered=lambda node: None,
        failed=lambda node: None,
    )
    reading = discovery.read(Reading(), active=nodes)
    choice = choose_scope(
        scope,
        reading,
        ScopeChoice(),
        usable=lambda node: True,
        active=lambda node: True,
        now=0.0,
        restore_after=0.0,
    )
    return make_topology(scope, reading, choice.chosen, 0, ring_nodes)


@given(PLACES, CHAINS, st.booleans())
@settings(deadline=None, max_examples=300)
def test_equal_rings_of_every_scope(
    places: dict[str, tuple[str, str]], chained: list[tuple[str, ...]], ends_at_cluster: bool
) -> None:
    """That client's ring is the datacenter of a rack, too, and stays there if the rack is listed as empty."""
    network = FakeNetwork(**places)
    scope = our_chain(chained, ends_at_cluster=ends_at_cluster)
    listed, ring = their_nodes(network, scope)
    topology = our_topology(network, scope, "datacenter")
    assert sorted(node.host for node in topology.nodes) == listed
    if not listed:
        return  # nobody can serve an ordinary request: what the ring would be is of no use
    assert [node.host for node in AffinityRing("host")(topology)] == ring


@given(PLACES, CHAINS)
@settings(deadline=None, max_examples=150)
def test_the_ring_of_a_scope_is_what_that_client_sends_ordinary_requests_to(
    places: dict[str, tuple[str, str]], chained: list[tuple[str, ...]]
) -> None:
    """Which is what the drivers of other languages take for their rings."""
    network = FakeNetwork(**places)
    scope = our_chain(chained, ends_at_cluster=True)
    listed, _ = their_nodes(network, scope)
    assert [node.host for node in AffinityRing("host")(our_topology(network, scope, "scope"))] == listed


UPDATES = st.fixed_dictionaries(
    {},
    optional={
        "ConditionExpression": st.sampled_from([None, "", "attribute_exists(a)"]),
        "Expected": st.sampled_from([None, {}, {"a": {"Exists": False}}]),
        "ReturnValues": st.sampled_from([None, "", "NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"]),
        "UpdateExpression": st.sampled_from([None, "", "SET a = :v", "ADD a :v", "nonsense"]),
        "AttributeUpdates": st.sampled_from(
            [
                None,
                {},
                {"a": {"Action": "PUT", "Value": {"N": "1"}}},
                {"a": {"Action": "ADD", "Value": {"N": "1"}}},
                {"a": {"Action": "DELETE"}},
                {"a": {"Action": "DELETE", "Value": {"SS": ["x"]}}},
                {"a": "nonsense"},
            ]
        ),
    },
)


@given(st.sampled_from(["PutItem", "UpdateItem", "DeleteItem", "GetItem", "BatchWriteItem"]), UPDATES)
@settings(deadline=None, max_examples=500)
def test_the_driver_rule_counts_as_they_do(operation: str, parameters: dict[str, Any]) -> None:
    assert counts_as_read_modify_write(operation, parameters) == is_rmw_operation(operation, parameters)
