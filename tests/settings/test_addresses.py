"""Hosts, ports, seeds and networks as users write them."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from pynamodb_alternator.settings import addresses
from pynamodb_alternator.settings.config import ClusterConfig

from .support import refused


@pytest.mark.parametrize(
    ("bare", "in_brackets"),
    [("2001:db8::1", "[2001:db8::1]"), ("fe80::1%eth0", "[fe80::1%eth0]"), ("10.0.0.1", "10.0.0.1"), ("db", "db")],
)
def test_brackets_are_for_ipv6_alone(bare: str, in_brackets: str) -> None:
    assert addresses.with_brackets(bare) == in_brackets
    assert addresses.with_brackets(in_brackets) == in_brackets
    assert addresses.without_brackets(in_brackets) == bare
    assert addresses.without_brackets(bare) == bare


@pytest.mark.parametrize("half", ["[2001:db8::1", "db]"])
def test_half_a_pair_of_brackets_is_not_a_pair(half: str) -> None:
    assert addresses.without_brackets(half) == half


class TestSeeds:
    @pytest.mark.parametrize(
        ("written", "kept"),
        [
            (["10.0.0.1", "10.0.0.2:8001"], ("10.0.0.1", "10.0.0.2:8001")),
            ("10.0.0.1, 10.0.0.2,", ("10.0.0.1", "10.0.0.2")),
            (["[::1]", "[2001:db8::1]:8000", "fe80::1%eth0"], ("[::1]", "[2001:db8::1]:8000", "fe80::1%eth0")),
            (("db.example.com", "node_1", "a-b.c."), ("db.example.com", "node_1", "a-b.c.")),
            (iter(["b", "a", "b"]), ("b", "a")),
            ({"a": 1}.keys(), ("a",)),
        ],
    )
    def test_addresses_and_names_are_taken(self, written: Any, kept: tuple[str, ...]) -> None:
        assert ClusterConfig(written, port=8000).seeds == kept

    @pytest.mark.parametrize("nothing", [[], "", " , ", [" "], ()])
    def test_an_empty_list_is_refused(self, nothing: Any) -> None:
        refused(lambda: ClusterConfig(nothing), "seeds is empty", "seeds=['10.0.0.1']")

    @pytest.mark.parametrize("no_list", [None, 5, b"10.0.0.1", {"10.0.0.1": 1}, object()])
    def test_seeds_that_are_not_a_list_are_refused(self, no_list: Any) -> None:
        refused(lambda: ClusterConfig(no_list), "seeds must be a list")

    @pytest.mark.parametrize("entry", [None, 5, b"a", ["a"]])
    def test_an_entry_that_is_not_a_string_is_refused(self, entry: Any) -> None:
        refused(lambda: ClusterConfig(["10.0.0.1", entry]), "not a string", "'10.0.0.1'")

    @pytest.mark.parametrize(
        "seed",
        [
            *("10.0.0.256", "1.2.3", "a b", "-a", "a..b", "a/b", "a?b", "user@host", "x\r\nHost: y", "a\0", "bücher"),
            *("::g", "[::1", "[]", "[::1]x", "1:2:3", "[::1]:", "host:", ":8000", "a" * 300, "é", "1.2.3.4%x"),
            *("0x7f000001", "0x0", "127.1", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "127.0.0.1."),
            *("fe80::1%", "fe80::1%a\r\nX: y", "fe80::1%a b", "[fe80::1%\n]:8000"),
        ],
    )
    def test_wrong_addresses_are_refused(self, seed: str) -> None:
        refused(lambda: ClusterConfig([seed]), "seed")

    @pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "80 00", "9" * 5000, "８０"])
    def test_the_port_of_a_seed_is_checked(self, port: str) -> None:
        message = refused(lambda: ClusterConfig([f"10.0.0.1:{port}"]), "port must be a number from 1 to 65535")
        assert len(message) < 12_000

    @pytest.mark.parametrize(
        "seeds",
        [
            "user:hunter2@a",
            "http://user:hunter2@a:8000",
            "a,user:hun,ter2@b",
            "user:hun@ter2@b",
            "u1:hunter2@a,u2:hunter2@b",
            ["a", "user:hunter2@b:8000"],
            ["user:hunter2", "ter2@b"],  # a URL that was split at a comma of its password
            ["b:hunter2", " user:x@a"],
            ["[user:hunter2@a"],
            "user:hunter2%40a",
            ["http://user:hunter2%40a:8000"],
            [b"user:hunter2@a"],
            [("user:hunter2@a",)],
        ],
    )
    def test_a_password_is_refused_and_not_repeated(self, seeds: Any) -> None:
        message = refused(lambda: ClusterConfig(seeds), "ClusterConfig: ")
        assert "hun" not in message
        assert "ter2" not in message
        refused(lambda: ClusterConfig.from_dict({"seeds": ["user:hunter2@b"]}), "<hidden>@b", "credentials=")

    def test_a_url_in_seeds_is_refused(self) -> None:
        refused(lambda: ClusterConfig(["http://10.0.0.1"]), "is a URL", "from_url")


def test_networks_are_parsed() -> None:
    config = ClusterConfig("a", allowed_networks=["10.0.0.0/8", "2001:db8::/32"])
    assert config.allowed_networks == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32"))
