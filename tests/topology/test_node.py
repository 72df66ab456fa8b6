"""Nodes are equal by their canonical endpoint, and the ring is in its order."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynamodb_alternator.topology.node import Node, canonical_endpoint
from pynamodb_alternator.topology.view import ring_order

VECTORS = Path(__file__).parent.parent / "vectors" / "endpoint-order.tsv"


def vectors() -> list[tuple[str, list[str], list[str]]]:
    rows = [line.split("\t") for line in VECTORS.read_text().splitlines() if line and not line.startswith("#")]
    return [(row[0], row[1].split(","), row[2].split(",")) for row in rows]


@pytest.mark.parametrize(("urls", "expected"), [row[1:] for row in vectors()], ids=[row[0] for row in vectors()])
def test_endpoints_equal_the_published_vectors(urls: list[str], expected: list[str]) -> None:
    assert sorted({canonical_endpoint(url) for url in urls}, key=str.encode) == expected


@pytest.mark.parametrize(
    ("scheme", "host", "port", "endpoint", "address", "header"),
    [
        ("http", "10.0.0.1", 8000, "http://10.0.0.1:8000", "10.0.0.1:8000", "10.0.0.1:8000"),
        ("http", "Example.COM", 80, "http://example.com", "example.com:80", "example.com"),
        ("HTTPS", "a", 443, "https://a", "a:443", "a"),
        ("https", "a", 80, "https://a:80", "a:80", "a:80"),
        ("http", "2001:DB8::1", 8000, "http://[2001:db8::1]:8000", "[2001:db8::1]:8000", "[2001:db8::1]:8000"),
        ("http", "[::1]", 80, "http://[::1]", "[::1]:80", "[::1]"),
        ("http", "fe80::1%e0", 8000, "http://[fe80::1%e0]:8000", "[fe80::1%e0]:8000", "[fe80::1]:8000"),
        ("https", "[FE80::1%e0]", 443, "https://[fe80::1%e0]", "[fe80::1%e0]:443", "[fe80::1]"),
    ],
)
def test_each_spelling_makes_the_same_node(
    scheme: str, host: str, port: int, endpoint: str, address: str, header: str
) -> None:
    node = Node(scheme, host, port)
    assert (node.endpoint, node.address, node.host_header) == (endpoint, address, header)
    assert str(node) == address
    assert not node.host.startswith("[")


def test_only_the_endpoint_makes_a_node() -> None:
    node = Node("http", "A", 8000, datacenter="dc1", rack="r1", server_name="x")
    assert node == Node("http", "a", 8000)
    assert hash(node) == hash(Node("HTTP", "a", 8000))
    assert node != Node("http", "a", 8001)
    assert node != Node("https", "a", 8000)


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("127.0.0.1", "a loopback address"),
        ("127.9.9.9", "a loopback address"),
        ("::1", "a loopback address"),
        ("::ffff:127.0.0.1", "a loopback address"),
        ("LOCALHOST", "a loopback address"),
        ("0.0.0.0", "the unspecified address"),
        ("::", "the unspecified address"),
        ("::ffff:0.0.0.0", "the unspecified address"),
        ("169.254.0.1", "a link-local address"),
        ("fe80::1%lo", "a link-local address"),
        ("224.0.0.1", "a multicast address"),
        ("ff02::1", "a multicast address"),
        ("255.255.255.255", "the broadcast address"),
        ("10.0.0.1", None),
        ("2001:db8::1", None),
        ("example.com", None),
    ],
)
def test_addresses_that_are_not_those_of_one_machine_among_others(host: str, kind: str | None) -> None:
    assert Node("http", host, 8000).kind == kind


nodes = st.builds(Node, st.just("http"), st.ip_addresses().map(str), st.integers(1, 65535))


@given(st.lists(nodes, max_size=20), st.randoms())
def test_the_ring_does_not_depend_on_the_order_of_discovery(members: list[Node], random: object) -> None:
    shuffled = [*members, *members]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    ring = ring_order(shuffled)
    assert ring == ring_order(members)
    assert [node.endpoint for node in ring] == sorted({node.endpoint for node in members}, key=str.encode)
