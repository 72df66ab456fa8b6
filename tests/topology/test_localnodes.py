"""An answer of /localnodes is read entry by entry: the bad ones are dropped, with a reason, and the good ones stay."""

from __future__ import annotations

import contextlib
import ipaddress
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator.settings.scopes import ClusterScope, DatacenterScope, RackScope
from pynamodb_alternator.topology.localnodes import NodeFilter, path_for, read_answer
from pynamodb_alternator.topology.node import Node

SOURCE = Node("http", "10.0.0.9", 8000)
LINK = Node("http", "fe80::9%eth0", 8000)
LOCAL = Node("http", "127.0.0.1", 8000)
CLUSTER = ClusterScope()


def read(entries: Any, source: Node = SOURCE, **settings: Any) -> tuple[list[str], list[str]]:
    """Addresses of the nodes, and the reasons of what was refused."""
    nodes, refused = read_answer(json.dumps(entries).encode(), source, CLUSTER, NodeFilter(**settings))
    return [node.address for node in nodes], [reason for _, reason in refused]


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        (CLUSTER, "/localnodes"),
        (DatacenterScope("dc1"), "/localnodes?dc=dc1"),
        (RackScope("dc1", "r1"), "/localnodes?dc=dc1&rack=r1"),
        (RackScope("a&b c", "é/1"), "/localnodes?dc=a%26b%20c&rack=%C3%A9%2F1"),
    ],
)
def test_the_scope_decides_the_path(scope: Any, path: str) -> None:
    assert path_for(scope) == path


def test_the_good_ones_stay_in_their_order_and_once() -> None:
    assert read(["10.0.0.2", "10.0.0.1", "10.0.0.2", " 10.0.0.1 "]) == (["10.0.0.2:8000", "10.0.0.1:8000"], [])


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (None, "no address"),
        (5, "no address"),
        (["10.0.0.1"], "no address"),
        ({}, "no address"),
        (True, "no address"),
        ("", "no address"),
        ("  ", "no address"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("127.0.0.1", "loopback"),
        ("127.8.8.8", "loopback"),
        ("::1", "loopback"),
        ("[::1]", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:7f00:1", "loopback"),
        ("localhost", "loopback"),
        ("LocalHost.", "loopback"),
        ("169.254.169.254", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("[febf::1%eth0]", "link-local"),
        ("224.0.0.1", "multicast"),
        ("239.1.2.3", "multicast"),
        ("::ffff:224.0.0.1", "multicast"),
        ("ff02::1%eth0", "multicast"),
        ("255.255.255.255", "broadcast"),
        ("::ffff:255.255.255.255", "broadcast"),
        ("::ffff:0.0.0.0", "unspecified"),
        ("0x7f000001", "neither"),
        ("0X7F000001", "neither"),
        ("0x7f.1", "neither"),
        ("0x7f.0.0.0x1", "neither"),
        ("0x0", "neither"),
        ("0x", "neither"),
        ("0", "neither"),
        ("0.0", "neither"),
        ("127.1", "neither"),
        ("127.0.1", "neither"),
        ("2130706433", "neither"),
        ("017700000001", "neither"),
        ("0177.0.0.1", "neither"),
        ("127.0.0.01", "neither"),
        ("127.0.0.1.", "neither"),
        ("0e1f3a5c-1111-4222-8333-abcdefabcdef", "host id"),
        ("10.0.0.256", "neither"),
        ("10.0.0.1:8000", "neither"),
        ("http://10.0.0.1", "neither"),
        ("10.0.0.1\r\nX-Evil: 1", "neither"),
        ("fe80::1%eth0\r\nX-Evil: 1", "neither"),
        ("fe80::1%", "neither"),
        ("a\0b", "neither"),
        ("x" * 1000, "neither"),
    ],
)
def test_a_bad_entry_is_dropped_and_its_neighbours_stay(entry: Any, reason: str) -> None:
    nodes, reasons = read(["10.0.0.1", entry, "10.0.0.2"])
    assert nodes == ["10.0.0.1:8000", "10.0.0.2:8000"]
    assert len(reasons) == 1
    assert reason in reasons[0]


def test_a_reason_is_short_and_safe_to_log() -> None:
    body = json.dumps(["x\n" * 5000]).encode()
    _, ((entry, _),) = read_answer(body, SOURCE, CLUSTER, NodeFilter())
    assert len(entry) <= 80
    assert "\n" not in entry


def test_ipv6_addresses_are_accepted() -> None:
    nodes, reasons = read(["2001:DB8::1", "fe80::1%eth0", "[2001:db8::2]"], LINK)
    assert nodes == ["[2001:db8::1]:8000", "[fe80::1%eth0]:8000", "[2001:db8::2]:8000"]
    assert reasons == []


def test_a_node_on_this_machine_may_list_loopback() -> None:
    assert read(["127.0.0.1", "127.0.0.2"], LOCAL)[0] == ["127.0.0.1:8000", "127.0.0.2:8000"]
    assert "unspecified" in read(["0.0.0.0"], LOCAL)[1][0]


@pytest.mark.parametrize("source", ["127.0.0.1", "169.254.1.1", "fe80::9%eth0"])
def test_a_node_on_this_link_may_list_link_local_addresses(source: str) -> None:
    nodes, _ = read(["169.254.1.2", "fe80::1%eth0"], Node("http", source, 8000))
    assert nodes == ["169.254.1.2:8000", "[fe80::1%eth0]:8000"]


def test_a_node_on_this_link_is_another_machine() -> None:
    assert "loopback" in read(["127.0.0.1"], LINK)[1][0]


@pytest.mark.parametrize("source", ["127.0.0.1", "fe80::9%eth0", "10.0.0.9"])
@pytest.mark.parametrize("entry", ["224.0.0.1", "ff02::1", "255.255.255.255", "0x7f000001", "127.1"])
def test_what_is_a_node_nowhere_is_refused_from_everybody(entry: str, source: str) -> None:
    assert read([entry], Node("http", source, 8000))[0] == []


def test_what_looks_nearly_like_a_number_is_a_name() -> None:
    names = ["0x7g", "x1", "10.0.0.1.example.com", "0xff.example.com", "1a", "node.7"]
    assert read(names)[0] == [f"{name}:8000" for name in names]


def test_where_a_name_leads_is_looked_at_when_it_is_connected() -> None:
    def node(entry: str, source: Node, **settings: Any) -> Node:
        (node,), _ = read_answer(json.dumps([entry]).encode(), source, CLUSTER, NodeFilter(**settings))
        return node

    listed = node("db.example.com", SOURCE)
    for allowed in ("10.0.0.1", "2001:db8::1"):
        listed.check_peer(allowed)
    for refused in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "169.254.169.254", "fe80::1%eth0", "ff02::1"):
        with pytest.raises(OSError, match=r"db\.example\.com is a name that a node has listed"):
            listed.check_peer(refused)
    # Of an address it is known already, a seed is the user's word, and so is what a translator gives.
    node("10.0.0.1", SOURCE).check_peer("127.0.0.1")
    node("db.example.com", LOCAL).check_peer("127.0.0.1")
    node("db.example.com", LINK).check_peer("169.254.1.2")
    node("10.0.0.1", SOURCE, translate=lambda _: "tunnel.example.com").check_peer("127.0.0.1")
    with pytest.raises(OSError, match="loopback"):
        node("db.example.com", SOURCE, translate=lambda listed: listed).check_peer("127.0.0.1")


def test_a_name_on_this_machine_is_judged_alike_in_each_reading() -> None:
    """Seen: the second reading asked the node by its name, and refused what the first had taken; it flapped."""
    first = Node("http", "127.0.0.1", 8000)
    for _ in range(3):
        (first,), _ = read_answer(b'["myhost.test"]', first, CLUSTER, NodeFilter())
        first.check_peer("127.0.9.99")
    (stranger,), _ = read_answer(b'["myhost.test"]', SOURCE, CLUSTER, NodeFilter())
    (listed,), _ = read_answer(b'["other.test"]', stranger, CLUSTER, NodeFilter())
    with pytest.raises(OSError, match="loopback"):
        listed.check_peer("127.0.9.99")


def test_a_password_in_a_list_is_not_logged() -> None:
    _, ((entry, _),) = read_answer(b'["http://user:hunter2@10.0.0.1"]', SOURCE, CLUSTER, NodeFilter())
    assert "hunter2" not in entry


def test_what_a_node_inherits_from_its_source() -> None:
    source = Node("https", "10.0.0.9", 8043, server_name="db.example.com")
    (node,), _ = read_answer(b'["10.0.0.1"]', source, RackScope("dc1", "r1"), NodeFilter())
    assert (node.endpoint, node.datacenter, node.rack) == ("https://10.0.0.1:8043", "dc1", "r1")
    assert node.certificate_names == ("db.example.com", "10.0.0.1")


def test_what_a_listed_node_s_certificate_may_be_issued_for() -> None:
    """The name of the source, the name that resolves to it, its address, in this order: three at most."""
    names = {"10.0.0.1": ["n1"], "10.0.0.2": ["db", "n2"], "10.0.0.3": ["a", "b", "c"], "public.test": ["public.test"]}

    def listed(source: Node, address: str, **settings: Any) -> tuple[str, ...]:
        nodes = NodeFilter(names_of=lambda host: names.get(host, []), **settings)
        (node,), _ = read_answer(json.dumps([address]).encode(), source, CLUSTER, nodes)
        return node.certificate_names

    named = Node("https", "10.0.0.9", 8043, server_name="db")
    nameless = Node("https", "10.0.0.9", 8043)
    assert listed(named, "10.0.0.1") == ("db", "n1", "10.0.0.1")
    assert listed(named, "10.0.0.2") == ("db", "n2", "10.0.0.2")
    assert listed(named, "10.0.0.3") == ("db", "a", "10.0.0.3")
    assert listed(named, "10.0.0.4") == ("db", "10.0.0.4")
    assert listed(nameless, "10.0.0.3") == ("a", "b", "10.0.0.3")
    assert listed(nameless, "10.0.0.4") == ("10.0.0.4",)
    assert listed(named, "[2001:DB8::1]") == ("db", "2001:db8::1")
    assert listed(Node("https", "fe80::9", 8043), "fe80::1%eth0") == ("fe80::1",)
    assert listed(named, "10.0.0.1", translate=lambda host: "public.test:99") == ("db", "public.test")
    # A node that was listed hands on the name of its own source.
    (first,), _ = read_answer(b'["10.0.0.1"]', named, CLUSTER, NodeFilter())
    assert listed(first, "10.0.0.4") == ("db", "10.0.0.4")


def test_names_are_nothing_without_tls() -> None:
    def never(host: str) -> list[str]:
        raise AssertionError(host)

    (node,), _ = read_answer(b'["10.0.0.1"]', SOURCE, CLUSTER, NodeFilter(names_of=never))
    assert node.server_name is None


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b"null", b'"10.0.0.1"', b"[", b"<html>", b"\xff\xfe", b'["10.0.0.1"] x', b"[" * 100_000),
        b"[1" + b"0" * 5000 + b"]",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_an_answer_that_is_not_a_list_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"not JSON|not a list"):
        read_answer(body, SOURCE, CLUSTER, NodeFilter())


def test_a_list_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 10000"):
        read([f"n{number}" for number in range(10_001)])


class TestNetworks:
    ALLOWED = (ipaddress.ip_network("10.0.0.0/24"), ipaddress.ip_network("2001:db8::/32"))

    def test_only_addresses_inside_the_networks_are_accepted(self) -> None:
        nodes, reasons = read(["10.0.0.1", "10.0.1.1", "2001:db8::5", "db.example.com"], allowed_networks=self.ALLOWED)
        assert nodes == ["10.0.0.1:8000", "[2001:db8::5]:8000"]
        assert reasons == ["outside allowed_networks"] * 2


class TestTranslator:
    def test_a_translator_changes_address_and_port(self) -> None:
        table = {"10.0.0.1": "203.0.113.1:9001", "10.0.0.2": "nat.example.com", "10.0.0.3": "[2001:db8::1]:9003"}
        nodes, reasons = read(["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"], translate=table.get)
        assert nodes == ["203.0.113.1:9001", "nat.example.com:8000", "[2001:db8::1]:9003"]
        assert reasons == ["refused by address_translator"]

    def test_a_tunnel_ends_on_this_machine(self) -> None:
        assert read(["10.0.0.1"], translate=lambda _: "127.0.0.1:9001")[0] == ["127.0.0.1:9001"]

    def test_an_address_that_the_translator_does_not_change_is_checked(self) -> None:
        nodes, reasons = read(["0.0.0.0", "127.0.0.1", "10.0.0.1"], translate=lambda address: address)
        assert nodes == ["10.0.0.1:8000"]
        assert "unspecified" in reasons[0]
        assert "loopback" in reasons[1]

    @pytest.mark.parametrize("address", ["169.254.1.2", "[fe80::1%eth0]", "localhost"])
    def test_what_it_gives_is_the_users_word(self, address: str) -> None:
        assert read(["10.0.0.1"], translate=lambda _: address)[0] == [f"{address}:8000"]

    @pytest.mark.parametrize("bad", [5, b"10.0.0.1", "", "a b", "10.0.0.1:0", "10.0.0.1:x", "[::1", "a\r\nb"])
    def test_what_it_gives_is_checked(self, bad: Any) -> None:
        nodes, reasons = read(["10.0.0.1", "10.0.0.2"], translate=lambda a: bad if a == "10.0.0.1" else a)
        assert nodes == ["10.0.0.2:8000"]
        assert len(reasons) == 1

    def test_what_it_raises_costs_one_entry(self) -> None:
        def translate(address: str) -> str:
            if address == "10.0.0.1":
                raise KeyError(address)
            return address

        nodes, reasons = read(["10.0.0.1", "10.0.0.2"], translate=translate)
        assert nodes == ["10.0.0.2:8000"]
        assert reasons == ["address_translator failed: KeyError('10.0.0.1')"]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.ip_addresses().map(str),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=8,
)


@settings(deadline=None, max_examples=200)
@given(st.lists(values, max_size=12) | values)
def test_any_json_is_read_or_refused(answer: Any) -> None:
    body = json.dumps(answer).encode()
    try:
        nodes, refused = read_answer(body, SOURCE, CLUSTER, NodeFilter())
    except ValueError:
        assert not isinstance(answer, list)
        return
    assert len(set(nodes)) == len(nodes) <= len(answer) - len(refused)
    for node in nodes:
        assert node.host_header.isascii()
        assert node.host_header.isprintable()
        assert node.kind is None


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(ValueError):
        read_answer(body, SOURCE, CLUSTER, NodeFilter())


def test_an_answer_with_another_status_is_not_a_list() -> None:
    with pytest.raises(ValueError, match="status 503"):
        read_answer(b'["10.0.0.1"]', SOURCE, CLUSTER, NodeFilter(), status=503)


@pytest.mark.parametrize(("body", "empty"), [(b"[]", True), (b'["10.0.0.1"]', False), (b'["0.0.0.0"]', False)])
def test_a_listing_is_empty_only_if_the_server_listed_nothing(body: bytes, empty: bool) -> None:
    assert read_answer(body, SOURCE, CLUSTER, NodeFilter()).is_empty is empty
