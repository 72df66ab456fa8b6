"""A wrong setting is refused when it is made, by a message that names it and says what to write instead."""

from __future__ import annotations

import contextlib
import copy
import ipaddress
import pickle
from collections.abc import Mapping
from typing import Any

import botocore.session
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.settings.config import (
    ClusterConfig,
    Credentials,
    Discovery,
    Health,
    KeyRouteAffinity,
    Retries,
    Timeouts,
)
from pynamodb_alternator.settings.scopes import ClusterScope, DatacenterScope, RackScope

many = settings(deadline=None, max_examples=150)


def refused(make: Any, *words: str) -> str:
    """The message of the ConfigurationError that `make` raises; it has all of these words."""
    with pytest.raises(ConfigurationError) as raised:
        make()
    message = str(raised.value)
    for word in words:
        assert word in message
    return message


class TestSeeds:
    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            (["10.0.0.1", "10.0.0.2:8001"], ("10.0.0.1", "10.0.0.2:8001")),
            ("10.0.0.1, 10.0.0.2,", ("10.0.0.1", "10.0.0.2")),
            (["[::1]", "[2001:db8::1]:8000", "fe80::1%eth0"], ("[::1]", "[2001:db8::1]:8000", "fe80::1%eth0")),
            (("db.example.com", "node_1", "a-b.c."), ("db.example.com", "node_1", "a-b.c.")),
            (iter(["b", "a", "b"]), ("b", "a")),
            ({"a": 1}.keys(), ("a",)),
        ],
    )
    def test_addresses_and_names_are_taken(self, given: Any, kept: tuple[str, ...]) -> None:
        assert ClusterConfig(given).seeds == kept

    @pytest.mark.parametrize("nothing", [[], "", " , ", [" "], ()])
    def test_an_empty_list_is_refused(self, nothing: Any) -> None:
        refused(lambda: ClusterConfig(nothing), "seeds is empty", "seeds=['10.0.0.1']")

    @pytest.mark.parametrize("no_list", [None, 5, b"10.0.0.1", {"10.0.0.1": 1}, object()])
    def test_what_is_no_list_is_refused(self, no_list: Any) -> None:
        refused(lambda: ClusterConfig(no_list), "seeds must be a list")

    @pytest.mark.parametrize("entry", [None, 5, b"a", ["a"]])
    def test_an_entry_that_is_no_string_is_refused(self, entry: Any) -> None:
        refused(lambda: ClusterConfig(["10.0.0.1", entry]), "no string", "'10.0.0.1'")

    @pytest.mark.parametrize(
        "seed",
        [
            *("10.0.0.256", "1.2.3", "a b", "-a", "a..b", "a/b", "a?b", "user@host", "x\r\nHost: y", "a\0", "bücher"),
            *("::g", "[::1", "[]", "[::1]x", "1:2:3", "[::1]:", "host:", ":8000", "a" * 300, "é", "1.2.3.4%x"),
            *("fe80::1%", "fe80::1%a\r\nX: y", "fe80::1%a b", "[fe80::1%\n]:8000"),
        ],
    )
    def test_what_is_no_address_is_refused(self, seed: str) -> None:
        refused(lambda: ClusterConfig([seed]), "seed")

    @pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "80 00", "9" * 5000, "８０"])
    def test_the_port_of_a_seed_is_checked(self, port: str) -> None:
        message = refused(lambda: ClusterConfig([f"10.0.0.1:{port}"]), "port must be a number from 1 to 65535")
        assert len(message) < 12_000

    def test_a_url_is_no_seed(self) -> None:
        refused(lambda: ClusterConfig(["http://10.0.0.1"]), "is a URL", "from_url")


class TestFields:
    @pytest.mark.parametrize(
        ("field", "value", "remedy"),
        [
            ("port", 0, "1 to 65535"),
            ("port", 65536, "1 to 65535"),
            ("port", "8000", "1 to 65535"),
            ("port", True, "1 to 65535"),
            pytest.param("port", 10**5000, "1 to 65535", id="port-huge"),
            ("scheme", "ftp", "scheme='https'"),
            ("scheme", None, "scheme='https'"),
            ("name", "", "non-empty"),
            ("name", 3, "non-empty"),
            ("routing_scope", "dc1", "DatacenterScope('dc1')"),
            ("load_balancing", "fast", "'round_robin', 'random'"),
            ("rmw_rule", None, "'server', 'driver'"),
            ("affinity_ring_order", "x", "'endpoint', 'host'"),
            ("key_route_affinity", "sometimes", "RMW, ANY_WRITE"),
            ("key_route_affinity", True, "RMW, ANY_WRITE"),
            ("partition_keys", ["orders"], "'orders': 'customer_id'"),
            ("partition_keys", {"orders": ""}, "partition key"),
            ("partition_keys", {"": "id"}, "partition key"),
            ("partition_keys", {1: "id"}, "partition key"),
            ("force_read_before_write", 1, "True or False"),
            ("retry_ambiguous_writes", "yes", "True or False"),
            ("timeouts", 5, "Timeouts(...)"),
            ("retries", 5, "Retries(...)"),
            ("discovery", None, "Discovery(...)"),
            ("health", [], "Health(...)"),
            ("credentials", "key", "Credentials(access_key, secret_key)"),
            ("credentials", ("a", "b"), "Credentials(access_key, secret_key)"),
            ("region", "", "'us-east-1'"),
            ("region", "eu west", "'us-east-1'"),
            ("region", "a\n", "'us-east-1'"),
            ("allowed_networks", "10.0.0.0/8", "list"),
            ("allowed_networks", 5, "list"),
            ("allowed_networks", ipaddress.ip_network("10.0.0.0/8"), "list"),
            ("allowed_networks", ["10.0.0.1/8"], "'10.0.0.0/8'"),
            ("allowed_networks", [()], "'10.0.0.0/8'"),
            ("allowed_networks", [None], "'10.0.0.0/8'"),
            ("address_translator", {"a": "b"}, "function"),
            ("monitor", "yes", "True, False or None"),
            ("monitor", 1, "True, False or None"),
            ("max_pool_connections", 0, "whole number from 1"),
            ("max_pool_connections", 2.0, "whole number from 1"),
        ],
    )
    def test_the_message_names_the_field_and_the_remedy(self, field: str, value: Any, remedy: str) -> None:
        refused(lambda: ClusterConfig("a", **{field: value}), f"ClusterConfig: {field}", remedy)

    @pytest.mark.parametrize(
        ("kind", "field", "value"),
        [
            *((Timeouts, name, bad) for name in ("connect", "read") for bad in (0, -1, None, "1", float("nan"), True)),
            *((Timeouts, "total", bad) for bad in (0, float("inf"), "x", 1e300)),
            *((Retries, "max_attempts", bad) for bad in (0, 101, 1.5, None, True)),
            *((Retries, name, 0) for name in ("backoff_base", "backoff_max")),
            *((Retries, "silent_writes", bad) for bad in ("", "RAISE", None, True, 1)),
            *((Discovery, name, 0) for name in ("interval", "idle_interval", "idle_after", "timeout")),
            *((Discovery, name, bad) for name in ("startup_wait", "scope_restore_after") for bad in (-1, None, 1e9)),
            *((Health, name, 0) for name in ("active_failure_threshold", "down_recovery_threshold")),
            *((Health, name, 0) for name in ("quarantine_promotion_threshold", "quarantine_failure_threshold")),
            *(
                (Health, name, 0)
                for name in ("max_parallel_probes", "probe_interval", "probe_timeout", "suspect_after")
            ),
        ],
    )
    def test_nested_settings(self, kind: type, field: str, value: Any) -> None:
        refused(lambda: kind(**{field: value}), f"{kind.__name__}: {field}")

    @pytest.mark.parametrize("digits", [400, 5000])
    def test_a_number_that_no_float_can_hold(self, digits: int) -> None:
        refused(lambda: Timeouts(connect=10**digits), "Timeouts: connect")

    def test_zero_means_not_waiting_where_that_makes_sense(self) -> None:
        assert Discovery(startup_wait=0, scope_restore_after=0).startup_wait == 0
        assert Timeouts(total=None).total is None
        assert (Timeouts().pool, Timeouts(pool=None).pool) == (30.0, None)
        refused(lambda: Timeouts(pool=0), "Timeouts: pool", "None for no limit")

    @pytest.mark.parametrize("text", ["auto", " RMW ", "Any_Write", KeyRouteAffinity.NONE])
    def test_affinity_by_name(self, text: Any) -> None:
        assert isinstance(ClusterConfig("a", key_route_affinity=text).key_route_affinity, KeyRouteAffinity)

    def test_networks_are_parsed(self) -> None:
        config = ClusterConfig("a", allowed_networks=["10.0.0.0/8", "2001:db8::/32"])
        assert config.allowed_networks == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32"))

    def test_a_config_does_not_change(self) -> None:
        keys = {"orders": "id"}
        config = ClusterConfig("a", partition_keys=keys)
        keys["orders"] = "other"
        assert config.partition_keys == {"orders": "id"}
        with pytest.raises(AttributeError):
            config.port = 1  # type: ignore[misc]
        with pytest.raises(TypeError):
            config.partition_keys["x"] = "y"  # type: ignore[index]


class TestHeaders:
    @pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "é", None, 1])
    def test_names(self, name: Any) -> None:
        refused(lambda: ClusterConfig("a", extra_headers={name: "x"}), "extra_headers", "header name")

    @pytest.mark.parametrize("value", ["a\r\nb", "a\n", "\r", "a\0b", "\x7f", " a", "a "])
    def test_values(self, value: str) -> None:
        message = refused(lambda: ClusterConfig("a", extra_headers={"X-Team": value}), "extra_headers", "X-Team")
        assert repr(value) not in message

    @pytest.mark.parametrize("value", [None, 1, b"x"])
    def test_values_are_strings(self, value: Any) -> None:
        refused(lambda: ClusterConfig("a", extra_headers={"X-Team": value}), "must be a string")

    @pytest.mark.parametrize("name", ["Host", "content-LENGTH", "Authorization", "X-Amz-Target", "Transfer-Encoding"])
    def test_the_transports_own(self, name: str) -> None:
        refused(lambda: ClusterConfig("a", extra_headers={name: "x"}), "leave it out")

    def test_one_name_in_two_spellings(self) -> None:
        refused(lambda: ClusterConfig("a", extra_headers={"X-Team": "a", "x-team": "b"}), "twice")

    def test_no_mapping(self) -> None:
        refused(lambda: ClusterConfig("a", extra_headers=["X"]), "mapping")  # type: ignore[arg-type]

    def test_good_ones(self) -> None:
        assert ClusterConfig("a", extra_headers={"X-Team": "shop\tfront"}).extra_headers == {"X-Team": "shop\tfront"}


class TestUrl:
    @pytest.mark.parametrize(
        ("url", "seeds", "port", "scheme"),
        [
            ("http://10.0.0.1,10.0.0.2:8000/", ("10.0.0.1", "10.0.0.2"), 8000, "http"),
            ("HTTPS://db.example.com:8043", ("db.example.com",), 8043, "https"),
            ("http://10.0.0.1", ("10.0.0.1",), 8000, "http"),
            ("http://a:1,b:2", ("a:1", "b"), 2, "http"),
            ("http://[::1]:9000", ("[::1]",), 9000, "http"),
            ("http://[2001:db8::1],[2001:db8::2]:9000/?region=eu", ("[2001:db8::1]", "[2001:db8::2]"), 9000, "http"),
            ("http://10.0.0.1,[::1]:9000?region=eu", ("10.0.0.1", "[::1]"), 9000, "http"),
        ],
    )
    def test_addresses(self, url: str, seeds: tuple[str, ...], port: int, scheme: str) -> None:
        config = ClusterConfig.from_url(url)
        assert (config.seeds, config.port, config.scheme) == (seeds, port, scheme)

    def test_query(self) -> None:
        config = ClusterConfig.from_url(
            "http://a/?datacenter=dc1&rack=r%201&connect_timeout=0.5&read_timeout=3&total_timeout=9"
            "&pool_timeout=8&max_attempts=2&silent_writes=wait"
            "&name=shop&load_balancing=random&key_route_affinity=any_write&rmw_rule=driver&region=eu"
            "&force_read_before_write=yes&retry_ambiguous_writes=0&max_pool_connections=7&affinity_ring_order=host"
        )
        assert config.routing_scope == RackScope("dc1", "r 1")
        assert config.timeouts == Timeouts(0.5, 3, 9, 8)
        assert (config.retries.max_attempts, config.retries.silent_writes) == (2, "wait")
        assert (config.name, config.load_balancing, config.region) == ("shop", "random", "eu")
        assert config.key_route_affinity is KeyRouteAffinity.ANY_WRITE
        assert (config.force_read_before_write, config.retry_ambiguous_writes) == (True, False)
        assert (config.max_pool_connections, config.affinity_ring_order) == (7, "host")

    @pytest.mark.parametrize(
        ("url", "word"),
        [
            ("10.0.0.1:8000", "has no scheme"),
            ("ftp://a", "unknown scheme 'ftp'"),
            ("http://", "names no host"),
            ("http:///?datacenter=x", "names no host"),
            ("http://:8000/", "seeds is empty"),
            ("http://a/path", "path"),
            ("http://a/#x", "fragment"),
            ("http://a:99999", "port"),
            ("http://a:x", "port"),
            ("http://[::1", "IPv6"),
            ("http://::1]", "seed"),
            ("http://a/?datacentre=dc1", "Did you mean 'datacenter'"),
            ("http://a/?zzz=dc1", "It takes: "),
            ("http://a/?connect_timeout=soon", "connect_timeout cannot be 'soon'"),
            ("http://a/?max_attempts=1.5", "max_attempts"),
            ("http://a/?silent_writes=maybe", "silent_writes must be one of 'raise', 'wait', 'repeat' (got 'maybe')"),
            ("http://a/?retry_ambiguous_writes=perhaps", "write true or false"),
            ("http://a/?total_timeout=inf", "Timeouts: total"),
            ("http://a/?rack=r1", "without its datacenter"),
            ("http://a/?datacenter=", "datacenter"),
            ("http://a\nb/", "seed"),
        ],
    )
    def test_mistakes(self, url: str, word: str) -> None:
        refused(lambda: ClusterConfig.from_url(url), word)

    @pytest.mark.parametrize(
        "url",
        [
            *("http://user:hunter2@a/", "user:hunter2@a:8000", "http://user:hun/ter2@a", "http://u:hunter2@a/x"),
            *("http://u:hun?ter2@a/", "ftp://u:hunter2@a/", "http://a/x?secret_key=hunter2"),
        ],
    )
    def test_a_password_is_refused_and_not_repeated(self, url: str) -> None:
        message = refused(lambda: ClusterConfig.from_url(url))
        assert "hun" not in message
        assert "ter2" not in message

    @pytest.mark.parametrize("url", [None, 5, b"http://a", ["http://a"]])
    def test_no_string(self, url: Any) -> None:
        refused(lambda: ClusterConfig.from_url(url), "must be a string")

    def test_changes_win(self) -> None:
        url = "http://a:1/?datacenter=dc1&rack=r1&connect_timeout=5&region=eu"
        assert ClusterConfig.from_url(url, datacenter="dc2").routing_scope == DatacenterScope("dc2")
        assert ClusterConfig.from_url(url, rack="r2").routing_scope == RackScope("dc1", "r2")
        assert ClusterConfig.from_url(url, routing_scope=ClusterScope()).routing_scope == ClusterScope()
        assert ClusterConfig.from_url(url, port=2, region="us").port == 2
        assert ClusterConfig.from_url(url, timeouts={"read": 9}).timeouts == Timeouts(connect=5, read=9)
        assert ClusterConfig.from_url(url, timeouts=Timeouts()).timeouts == Timeouts()


class TestEnvironment:
    def test_all_of_it(self) -> None:
        config = ClusterConfig.from_env(
            {
                "ALTERNATOR_URL": "http://a",
                "ALTERNATOR_DATACENTER": "dc1",
                "ALTERNATOR_RACK": "r1",
                "ALTERNATOR_ACCESS_KEY": "key",
                "ALTERNATOR_SECRET_KEY": "secret",
                "ALTERNATOR_SESSION_TOKEN": "token",
            }
        )
        assert config.routing_scope == RackScope("dc1", "r1")
        assert config.credentials == Credentials("key", "secret", "token")

    def test_a_rack_of_the_datacenter_in_the_url(self) -> None:
        env = {"ALTERNATOR_URL": "http://a/?datacenter=dc1", "ALTERNATOR_RACK": "r1"}
        assert ClusterConfig.from_env(env).routing_scope == RackScope("dc1", "r1")

    def test_a_scope_in_the_program_wins(self) -> None:
        env = {"ALTERNATOR_URL": "http://a/?datacenter=dc1", "ALTERNATOR_RACK": "r1"}
        assert ClusterConfig.from_env(env, routing_scope=ClusterScope()).routing_scope == ClusterScope()

    def test_the_processs_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ALTERNATOR_URL", "http://a:1")
        assert ClusterConfig.from_env().port == 1

    @pytest.mark.parametrize("env", [{}, {"ALTERNATOR_URL": ""}])
    def test_missing(self, env: dict[str, str]) -> None:
        refused(lambda: ClusterConfig.from_env(env), "ALTERNATOR_URL is not set", "http://")

    @pytest.mark.parametrize("there", ["ACCESS", "SECRET"])
    def test_half_of_the_credentials(self, there: str) -> None:
        env = {"ALTERNATOR_URL": "http://a", f"ALTERNATOR_{there}_KEY": "hunter2"}
        missing = {"ACCESS": "SECRET", "SECRET": "ACCESS"}[there]
        message = refused(lambda: ClusterConfig.from_env(env), f"ALTERNATOR_{missing}_KEY is not set", "both")
        assert "hunter2" not in message


class TestMappings:
    def test_nested(self) -> None:
        config = ClusterConfig.from_dict(
            {
                "seeds": ["a"],
                "datacenter": "dc1",
                "timeouts": {"read": 3},
                "retries": {"max_attempts": 1},
                "health": {"probe_interval": 2},
                "discovery": {"interval": 2},
                "credentials": {"access_key": "a", "secret_key": "b"},
            }
        )
        assert config.routing_scope == DatacenterScope("dc1")
        assert (config.timeouts, config.retries) == (Timeouts(read=3), Retries(max_attempts=1))
        assert (config.health, config.discovery) == (Health(probe_interval=2), Discovery(interval=2))
        assert config.credentials == Credentials("a", "b")

    def test_with_a_url(self) -> None:
        config = ClusterConfig.of({"url": "http://a:1/?connect_timeout=5", "timeouts": {"read": 3}, "rack": None})
        assert (config.port, config.timeouts) == (1, Timeouts(connect=5, read=3))

    @pytest.mark.parametrize(
        ("mapping", "word"),
        [
            ({}, "seeds is missing"),
            ({"seds": "a"}, "Did you mean 'seeds'"),
            ({"seeds": "a", "timeout": {}}, "Did you mean 'timeouts'"),
            ({"seeds": "a", "timeouts": {"conect": 1}}, "Did you mean 'connect'"),
            ({"seeds": "a", "credentials": {"access_key": "a"}}, "secret_key"),
            ({"seeds": "a", "credentials": {"access_key": "a", "password": "b"}}, "password"),
            ({"seeds": "a", "routing_scope": ClusterScope(), "datacenter": "dc1"}, "not both"),
            ({"seeds": "a", "rack": "r1"}, "without its datacenter"),
            ({"seeds": "a", 5: 6}, "does not take 5"),
            ({"url": "http://a", 5: 6}, "does not take 5"),
            ({"url": "http://a", "prot": 6}, "Did you mean 'port'"),
            ({"url": 5}, "must be a string"),
        ],
    )
    def test_mistakes(self, mapping: Mapping[str, Any], word: str) -> None:
        refused(lambda: ClusterConfig.of(mapping), word)

    @pytest.mark.parametrize("thing", [None, 5, ["http://a"], b"http://a"])
    def test_of_something_else(self, thing: Any) -> None:
        refused(lambda: ClusterConfig.of(thing), "a URL such as")

    def test_from_dict_of_something_else(self) -> None:
        refused(lambda: ClusterConfig.from_dict("http://a"), "mapping")  # type: ignore[arg-type]

    def test_of_a_config(self) -> None:
        config = ClusterConfig("a")
        assert ClusterConfig.of(config) is config
        assert ClusterConfig.of(config, port=1).port == 1
        assert ClusterConfig.of("http://a", port=1).port == 1
        assert ClusterConfig.of({"seeds": "a"}, port=1).port == 1


class TestValues:
    def test_replace(self) -> None:
        config = ClusterConfig("a", allowed_networks=["10.0.0.0/8"], extra_headers={"X": "y"})
        changed = config.replace(port=1)
        assert (changed.port, changed.allowed_networks, changed.extra_headers) == (
            1,
            config.allowed_networks,
            {"X": "y"},
        )
        assert config.port == 8000
        refused(lambda: config.replace(port=0), "port")
        refused(lambda: config.replace(prt=1), "Did you mean 'port'")

    def test_equal_and_hashed(self) -> None:
        one, same = (ClusterConfig(["a"], partition_keys={"t": "k"}) for _ in range(2))
        assert one == same
        assert hash(one) == hash(same)
        assert {one: 1}[same] == 1
        assert one != ClusterConfig(["a"])
        assert one != ClusterConfig(["a"], partition_keys={"t": "k"}, port=1)

    @pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
    def test_copies_and_pickles(self, again: Any) -> None:
        config = ClusterConfig(
            "a", partition_keys={"t": "k"}, extra_headers={"X": "y"}, routing_scope=RackScope("d", "r", ClusterScope())
        )
        assert again(config) == config

    def test_no_secret_in_any_repr(self) -> None:
        credentials = Credentials("AKID", "hunter2", "t0ken")
        session = botocore.session.Session()
        session.set_credentials("AKID", "hunter2", "t0ken")
        for one in (credentials, {"access_key": "AKID", "secret_key": "hunter2"}, session, lambda: "hunter2"):
            config = ClusterConfig("a", credentials=one, extra_headers={"X-Token": "hunter2"})
            for text in (repr(config), str(config), f"{config}", repr(config.credentials)[: 10**6]):
                assert "hunter2" not in text
                assert "t0ken" not in text
        assert "X-Token" in repr(config)

    def test_the_repr_shows_what_was_set(self) -> None:
        assert repr(ClusterConfig("a")) == "ClusterConfig(seeds=['a'])"
        text = repr(ClusterConfig("a", port=1, partition_keys={"t": "k"}))
        assert text == "ClusterConfig(seeds=['a'], port=1, partition_keys={'t': 'k'})"

    @pytest.mark.parametrize(
        "arguments",
        [("", "s"), ("a", ""), (None, "s"), ("a", None), (b"a", "s"), ("a\n", "s"), ("a", "s", ""), ("a", "s", "t\r")],
    )
    def test_credentials(self, arguments: tuple[Any, ...]) -> None:
        refused(lambda: Credentials(*arguments), "Credentials: ")


garbage: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**400)])
    | st.floats()
    | st.text()
    | st.binary(max_size=8)
    | st.ip_addresses()
    | st.ip_addresses(network="10.0.0.0/8").map(lambda one: ipaddress.ip_network(one)),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=5,
)
hostile = st.text(st.sampled_from("0123456789abcdef:.,[]%/?#@&=; \r\n\0\x7fé٣-_~")) | st.text()


def never_anything_else(make: Any) -> None:
    with contextlib.suppress(ConfigurationError):
        make()


FIELDS = [name for name in ClusterConfig.__dataclass_fields__ if name != "_"]


@many
@given(st.dictionaries(st.sampled_from([*FIELDS, "datacenter", "rack", "url"]) | st.text(), garbage, max_size=4))
def test_garbage_in_a_mapping(mapping: dict[Any, Any]) -> None:
    never_anything_else(lambda: ClusterConfig.of(mapping))
    never_anything_else(lambda: ClusterConfig.of({"seeds": "a", **mapping}))
    never_anything_else(lambda: ClusterConfig.of({"url": "http://a", **mapping}))


@many
@given(st.sampled_from(FIELDS[1:]), garbage)
def test_garbage_in_a_field(field: str, value: Any) -> None:
    never_anything_else(lambda: ClusterConfig("a", **{field: value}))


@many
@given(hostile, hostile, st.sampled_from(["http://", "HTTPS://", "", "x://"]))
def test_garbage_in_a_url(netloc: str, query: str, scheme: str) -> None:
    never_anything_else(lambda: ClusterConfig.of(f"{scheme}{netloc}"))
    never_anything_else(lambda: ClusterConfig.of(f"{scheme}{netloc}/?{query}"))


@many
@given(hostile)
def test_a_seed_that_is_taken_can_be_written_into_a_header(seed: str) -> None:
    try:
        seeds = ClusterConfig([seed]).seeds
    except ConfigurationError:
        return
    assert all(c.isascii() and c.isprintable() and c not in " /?#@," for one in seeds for c in one)


@many
@given(
    st.sampled_from([Timeouts, Retries, Discovery, Health, Credentials, DatacenterScope, RackScope]),
    garbage,
    garbage,
)
def test_garbage_in_nested_settings(kind: Any, one: Any, two: Any) -> None:
    never_anything_else(lambda: kind(one, two))
