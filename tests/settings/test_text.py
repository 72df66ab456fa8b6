"""Settings as text: what a URL, the environment and a mapping mean, and the errors of mistakes in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator.settings import text
from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.settings.scopes import ClusterScope, DatacenterScope, RackScope
from pynamodb_alternator.settings.tls import Tls
from pynamodb_alternator.settings.values import (
    Credentials,
    Discovery,
    Health,
    Hedge,
    KeyRouteAffinity,
    Retries,
    Timeouts,
)

from .support import refused


class TestUrl:
    @pytest.mark.parametrize(
        ("url", "seeds", "port", "scheme"),
        [
            ("http://10.0.0.1,10.0.0.2:8000/", ("10.0.0.1", "10.0.0.2"), 8000, "http"),
            ("HTTPS://db.example.com:8043", ("db.example.com",), 8043, "https"),
            ("http://10.0.0.1", ("10.0.0.1",), None, "http"),
            ("http://a:1,b:1", ("a:1", "b"), 1, "http"),
            ("http://[::1]:9000", ("[::1]",), 9000, "http"),
            ("http://[2001:db8::1],[2001:db8::2]:9000/?region=eu", ("[2001:db8::1]", "[2001:db8::2]"), 9000, "http"),
            ("http://10.0.0.1,[::1]:9000?region=eu", ("10.0.0.1", "[::1]"), 9000, "http"),
        ],
    )
    def test_a_url_names_seeds_port_and_scheme(
        self, url: str, seeds: tuple[str, ...], port: int | None, scheme: str
    ) -> None:
        config = ClusterConfig.from_url(url)
        assert (config.seeds, config.port, config.scheme) == (seeds, port, scheme)

    def test_the_query_of_a_url_has_settings(self) -> None:
        config = ClusterConfig.from_url(
            "http://a/?datacenter=dc1&rack=r%201&connect_timeout=0.5&read_timeout=3&total_timeout=9"
            "&pool_timeout=8&max_attempts=2&silent_writes=wait&hedge_after=P99&hedge_max_extra=0.1"
            "&name=shop&load_balancing=random&key_route_affinity=any_write&rmw_rule=driver&region=eu"
            "&force_read_before_write=yes&retry_ambiguous_writes=0&max_pool_connections=7&affinity_ring_order=host"
            "&affinity_ring=scope"
            "&max_connection_idle=2.5&monitor=no&max_answer=2000000&slow_start=2.5&subset=8&process_number=41"
        )
        assert config.routing_scope == RackScope("dc1", "r 1")
        assert config.timeouts == Timeouts(0.5, 3, 9, 8)
        assert (config.retries.max_attempts, config.retries.silent_writes) == (2, "wait")
        assert config.hedge == Hedge("p99", 0.1)
        assert (config.name, config.load_balancing, config.region) == ("shop", "random", "eu")
        assert config.key_route_affinity is KeyRouteAffinity.ANY_WRITE
        assert (config.force_read_before_write, config.retry_ambiguous_writes) == (True, False)
        assert (config.max_pool_connections, config.affinity_ring_order) == (7, "host")
        assert config.affinity_ring == "scope"
        assert (config.max_connection_idle, config.monitor, config.max_answer) == (2.5, False, 2_000_000)
        assert (config.slow_start, config.subset, config.process_number) == (2.5, 8, 41)

    @pytest.mark.parametrize(
        ("url", "word"),
        [
            ("10.0.0.1:8000", "has no scheme. Write it as http://10.0.0.1,"),
            (
                "default",
                "alias 'default' means, call pynamodb_alternator.get_cluster('default'), or pynamodb_alternator.aio",
            ),
            ("scylla-1", "For a node of that name, write the URL 'http://scylla-1:8000'."),
            ("", "has no scheme. Write it as"),
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
            ("http://a/?read_timeout=3&rack=r1&read_timeout=4", "has 'read_timeout' twice. Write it once."),
            ("http://a/?connect_timeout=soon", "connect_timeout cannot be 'soon'"),
            ("http://a/?max_attempts=1.5", "max_attempts"),
            ("http://a/?silent_writes=maybe", "silent_writes must be one of 'raise', 'wait', 'repeat' (got 'maybe')"),
            ("http://a/?hedge_after=soon", "hedge_after cannot be 'soon' (write seconds, or p99)"),
            ("http://a/?hedge_after=0", "Hedge: after"),
            ("http://a/?hedge_max_extra=2", "Hedge: max_extra"),
            ("http://a/?retry_ambiguous_writes=perhaps", "write true or false"),
            ("http://a/?total_timeout=inf", "Timeouts: total"),
            ("http://a/?rack=r1", "without its datacenter"),
            ("http://a/?datacenter=", "datacenter"),
            ("http://a\nb/", "seed"),
        ],
    )
    def test_a_mistake_is_an_error_with_a_remedy(self, url: str, word: str) -> None:
        refused(lambda: ClusterConfig.from_url(url), word)

    @pytest.mark.parametrize(
        "url",
        [
            *("http://user:hunter2@a/", "user:hunter2@a:8000", "http://user:hun/ter2@a", "http://u:hunter2@a/x"),
            *("http://u:hun?ter2@a/", "ftp://u:hunter2@a/", "http://a/x?secret_key=hunter2"),
            *("http://u:hunter2%40a/", "http://a,u:hunter2%40b:8000/", "u%3Ahunter2%40a", "http://[u:hunter2%40::1]/"),
        ],
    )
    def test_a_password_is_refused_and_not_repeated(self, url: str) -> None:
        for make in (ClusterConfig.from_url, lambda url: ClusterConfig.from_env({"ALTERNATOR_URL": url})):
            message = refused(lambda make=make: make(url))
            assert "hun" not in message
            assert "ter2" not in message

    @pytest.mark.parametrize("url", [None, 5, b"http://a", ["http://a"]])
    def test_a_url_must_be_a_string(self, url: Any) -> None:
        refused(lambda: ClusterConfig.from_url(url), "must be a string")

    @pytest.mark.parametrize(
        ("url", "changes", "seeds", "port"),
        [
            ("http://lb:9000/?port=8001", {}, ("lb:9000",), 8001),
            ("http://lb:9000", {"port": 8001}, ("lb:9000",), 8001),
            ("http://lb:9000/?port=8001", {"port": 8002}, ("lb:9000",), 8002),
            ("http://lb1,lb2:1, [::1],lb3:9000/?port=8001", {}, ("lb1:9000", "lb2:1", "[::1]:9000", "lb3:9000"), 8001),
            ("http://lb/?port=8001", {}, ("lb",), 8001),
            ("http://lb:9000", {"seeds": ["a"]}, ("a",), 9000),
            ("http://lb:9000", {"port": None}, ("lb",), 9000),
        ],
    )
    def test_a_load_balancer_has_a_port_of_its_own(
        self, url: str, changes: dict[str, Any], seeds: tuple[str, ...], port: int
    ) -> None:
        config = ClusterConfig.from_url(url, **changes)
        assert (config.seeds, config.port) == (seeds, port)

    @pytest.mark.parametrize("hosts", ["a:1,b:2", "a:1,b:2,c", "a:1,c,b:2", "a:2,[::1]:1", " a:1 , b:2 "])
    def test_seeds_with_different_ports(self, hosts: str) -> None:
        """As in a list of seeds: none of them tells the port of the nodes that are listed."""
        refused(lambda: ClusterConfig.from_url(f"http://{hosts}"), "different ports (1, 2)", "port=...")
        refused(lambda: ClusterConfig.from_url(f"http://{hosts}", port=None), "different ports (1, 2)")
        config = ClusterConfig.from_url(f"http://{hosts}", port=3)
        assert config.node_port == 3
        assert {port for _, port in config.seed_addresses} >= {1, 2}

    def test_changes_have_priority_over_the_url(self) -> None:
        url = "http://a:1/?datacenter=dc1&rack=r1&connect_timeout=5&region=eu"
        assert ClusterConfig.from_url(url, datacenter="dc2").routing_scope == DatacenterScope("dc2")
        assert ClusterConfig.from_url(url, rack="r2").routing_scope == RackScope("dc1", "r2")
        assert ClusterConfig.from_url(url, routing_scope=ClusterScope()).routing_scope == ClusterScope()
        assert ClusterConfig.from_url(url, port=2, region="us").port == 2
        assert ClusterConfig.from_url(url, timeouts={"read": 9}).timeouts == Timeouts(connect=5, read=9)
        assert ClusterConfig.from_url(url, timeouts=Timeouts()).timeouts == Timeouts()


class TestEnvironment:
    def test_the_environment_has_all_its_settings(self) -> None:
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

    def test_the_number_of_the_process(self) -> None:
        env = {"ALTERNATOR_URL": "http://a/?subset=8&process_number=3", "ALTERNATOR_PROCESS_NUMBER": "12"}
        assert ClusterConfig.from_env(env).process_number == 12
        assert ClusterConfig.from_env(env, process_number=5).process_number == 5
        refused(
            lambda: ClusterConfig.from_env({**env, "ALTERNATOR_PROCESS_NUMBER": "web-3"}),
            "ALTERNATOR_PROCESS_NUMBER must be a whole number",
            "'web-3'",
        )

    def test_the_environment_of_the_process_is_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ALTERNATOR_URL", "http://a:1")
        assert ClusterConfig.from_env().port == 1

    @pytest.mark.parametrize("env", [{}, {"ALTERNATOR_URL": ""}])
    def test_a_missing_variable_is_an_error(self, env: dict[str, str]) -> None:
        refused(lambda: ClusterConfig.from_env(env), "ALTERNATOR_URL is not set", "http://")

    @pytest.mark.parametrize("there", ["ACCESS", "SECRET"])
    def test_half_of_the_credentials(self, there: str) -> None:
        env = {"ALTERNATOR_URL": "http://a", f"ALTERNATOR_{there}_KEY": "hunter2"}
        missing = {"ACCESS": "SECRET", "SECRET": "ACCESS"}[there]
        message = refused(lambda: ClusterConfig.from_env(env), f"ALTERNATOR_{missing}_KEY is not set", "both")
        assert "hunter2" not in message


class TestMappings:
    def test_a_mapping_has_nested_settings(self) -> None:
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

    def test_a_mapping_may_have_a_url(self) -> None:
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
    def test_a_mistake_is_an_error_with_a_remedy(self, mapping: Mapping[str, Any], word: str) -> None:
        refused(lambda: ClusterConfig.of(mapping), word)

    @pytest.mark.parametrize("thing", [None, 5, ["http://a"], b"http://a"])
    def test_another_type_is_refused(self, thing: Any) -> None:
        refused(lambda: ClusterConfig.of(thing), "a URL such as")

    def test_from_dict_of_something_else(self) -> None:
        refused(lambda: ClusterConfig.from_dict("http://a"), "mapping")  # type: ignore[arg-type]

    def test_a_config_is_accepted(self) -> None:
        config = ClusterConfig("a")
        assert ClusterConfig.of(config) is config
        assert ClusterConfig.of(config, port=1).port == 1
        assert ClusterConfig.of("http://a", port=1).port == 1
        assert ClusterConfig.of({"seeds": "a"}, port=1).port == 1


TEXTS: dict[str, st.SearchStrategy[Any]] = {
    "port": st.integers(1, 65535),
    "name": st.text(min_size=1),
    "load_balancing": st.sampled_from(["round_robin", "random", "least_busy"]),
    "slow_start": st.floats(0, 1e6),
    "subset": st.integers(1, 100_000),
    "process_number": st.integers(0, 2**63 - 1),
    "key_route_affinity": st.sampled_from([mode.value for mode in KeyRouteAffinity]),
    "rmw_rule": st.sampled_from(["server", "driver"]),
    "affinity_ring": st.sampled_from(["datacenter", "scope"]),
    "affinity_ring_order": st.sampled_from(["endpoint", "host", "endpoint_with_port"]),
    "token_aware": st.sampled_from(["auto", "true", "no"]),
    "token_aware_after": st.integers(1, 10**9),
    "canonical_numbers": st.sampled_from(["sets", "true", "no"]),
    "region": st.from_regex(r"[A-Za-z0-9_.-]+", fullmatch=True),
    "request_compression": st.sampled_from(["gzip", "deflate", "none"]),
    "response_compression": st.sampled_from(["true", "no", "gzip", "deflate,gzip"]),
    "user_agent": st.sampled_from(["on", "off", "none", "shop/1.0 (x)"]),
    "force_read_before_write": st.booleans(),
    "retry_ambiguous_writes": st.booleans(),
    "monitor": st.booleans(),
    "sync_in_loop": st.sampled_from(["allow", "warn", "error"]),
    "max_pool_connections": st.integers(1, 100_000),
    "max_connection_idle": st.floats(1e-3, 1e6),
    "max_connection_age": st.one_of(st.just(0), st.floats(1e-3, 1e6)),
    "max_answer": st.integers(2**20, 2**40),
    "datacenter": st.from_regex(r"[^\x00-\x1f\x7f\s]+", fullmatch=True),
    "rack": st.from_regex(r"[^\x00-\x1f\x7f\s]+", fullmatch=True),
    **dict.fromkeys(("connect_timeout", "read_timeout", "total_timeout", "pool_timeout"), st.floats(1e-3, 1e6)),
    "max_attempts": st.integers(1, 100),
    "silent_writes": st.sampled_from(["raise", "wait", "repeat"]),
    "hedge_after": st.one_of(st.just("p99"), st.floats(1e-3, 1e6)),
    "hedge_max_extra": st.floats(0, 1),
    **dict.fromkeys(("verify_hostname", "system_ca", "session_resumption"), st.booleans()),
    **dict.fromkeys(("discovery_enabled", "health_enabled"), st.booleans()),
}
"""Values of every setting that a URL may name, except the files, and `insecure`, which warns."""


def test_no_setting_of_a_url_is_left_out_here() -> None:
    assert TEXTS.keys() == text.IN_TEXT.keys() - {*text.TLS_FILES, "insecure"}


def test_the_settings_of_a_url_exist() -> None:
    names = {field.name for field in dataclasses.fields(ClusterConfig)}
    kinds = {**text.GROUPS, "hedge": Hedge, "tls": Tls}
    for key, setting in text.IN_TEXT.items():
        if setting.group is None:
            assert key in names or key in text.SCOPE_NAMES
        elif key != "client_key":  # a part of client_cert
            assert (setting.name or key) in {field.name for field in dataclasses.fields(kinds[setting.group])}


def test_every_setting_that_is_a_word_or_a_number_may_stand_in_a_url() -> None:
    """`seeds` and `scheme` are the URL itself."""
    of_words = {
        field.name
        for field in dataclasses.fields(ClusterConfig)
        if isinstance(field.default, str | int | float) or field.name in ("port", "monitor", "key_route_affinity")
    }
    assert of_words - {"scheme"} <= text.IN_TEXT.keys()


@settings(deadline=None)
@given(st.fixed_dictionaries({}, optional=TEXTS))
def test_a_url_means_what_a_mapping_means(values: dict[str, Any]) -> None:
    if "rack" in values:
        values.setdefault("datacenter", "dc1")
    from_url = ClusterConfig.from_url(f"https://10.0.0.1,[::1]/?{urlencode(values)}")
    mapping: dict[str, Any] = {"seeds": ["10.0.0.1", "[::1]"], "scheme": "https"}
    for name, value in values.items():
        setting = text.IN_TEXT[name]
        if name in ("user_agent", "response_compression", "token_aware", "canonical_numbers"):
            value = {"true": True, "on": True, "no": False, "off": False}.get(value, value)
        into = mapping if setting.group is None else mapping.setdefault(setting.group, {})
        into[setting.name or name] = value
    assert from_url == ClusterConfig.from_dict(mapping)
