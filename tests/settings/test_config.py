"""A wrong setting is refused when it is made, by a message that names it and says what to write instead."""

from __future__ import annotations

import copy
import dataclasses
import ipaddress
import json
import pickle
from dataclasses import fields
from types import UnionType
from typing import Any, get_args, get_type_hints

import botocore.session
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.settings.changes import Changes, TextChanges
from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.settings.scopes import ClusterScope, DatacenterScope, RackScope
from pynamodb_alternator.settings.text import GROUPS, SCOPE_NAMES
from pynamodb_alternator.settings.values import Credentials, Discovery, Health, KeyRouteAffinity, Retries, Timeouts

from .support import never_anything_else, refused

many = settings(deadline=None, max_examples=150)


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
            ("load_balancing", "fast", "'round_robin', 'random', 'least_busy'"),
            ("rmw_rule", None, "'server', 'driver'"),
            ("affinity_ring", "rack", "'datacenter', 'scope'"),
            ("affinity_ring", None, "'datacenter', 'scope'"),
            ("affinity_ring_order", "x", "'endpoint', 'host', 'endpoint_with_port'"),
            ("key_route_affinity", "sometimes", "RMW, ANY_WRITE"),
            ("key_route_affinity", True, "RMW, ANY_WRITE"),
            ("canonical_numbers", "keys", "'sets', True (partition keys as well) or False"),
            ("canonical_numbers", None, "'sets'"),
            ("canonical_numbers", 1, "'sets'"),
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
            ("sync_in_loop", "warning", "one of 'allow', 'warn', 'error'"),
            ("sync_in_loop", True, "one of 'allow', 'warn', 'error'"),
            ("slow_start", -1, "0 for no slow start"),
            ("slow_start", None, "0 for no slow start"),
            ("subset", 0, "whole number from 1"),
            ("subset", 2.0, "whole number from 1"),
            ("subset", True, "whole number from 1"),
            ("process_number", -1, "whole number from 0"),
            ("process_number", "web-3", "whole number from 0"),
            ("max_connection_idle", 0, "greater than 0"),
            ("max_connection_idle", None, "greater than 0"),
            ("max_connection_age", -1, "or None for connections"),
            ("max_connection_age", False, "greater than 0"),
            ("max_connection_age", "600", "greater than 0"),
            ("max_answer", 1024 * 1024 - 1, "whole number from 1048576"),
            ("max_answer", 1e8, "whole number from 1048576"),
            ("max_answer", "256 MiB", "whole number from 1048576"),
            ("max_answer", True, "whole number from 1048576"),
            ("max_pool_connections", 0, "whole number from 1"),
            ("max_pool_connections", 2.0, "whole number from 1"),
        ],
    )
    def test_the_message_names_the_field_and_the_remedy(self, field: str, value: Any, remedy: str) -> None:
        refused(lambda: ClusterConfig("a", **{field: value}), f"ClusterConfig: {field}", remedy)

    @pytest.mark.parametrize("text", ["auto", " RMW ", "Any_Write", KeyRouteAffinity.NONE])
    def test_the_affinity_is_set_by_its_name(self, text: Any) -> None:
        assert isinstance(ClusterConfig("a", key_route_affinity=text).key_route_affinity, KeyRouteAffinity)

    @pytest.mark.parametrize(("setting", "kept"), [(None, None), (0, None), (0.0, None), (600, 600), (0.5, 0.5)])
    def test_the_age_of_connections(self, setting: float | None, kept: float | None) -> None:
        assert ClusterConfig("a", max_connection_age=setting).max_connection_age == kept

    def test_a_config_does_not_change(self) -> None:
        keys = {"orders": "id"}
        config = ClusterConfig("a", partition_keys=keys)
        keys["orders"] = "other"
        assert config.partition_keys == {"orders": "id"}
        with pytest.raises(AttributeError):
            config.port = 1  # type: ignore[misc]
        with pytest.raises(TypeError):
            config.partition_keys["x"] = "y"  # type: ignore[index]


class TestPort:
    """The port of listed nodes is given, or what the seeds say."""

    @pytest.mark.parametrize(
        ("seeds", "port", "node_port", "seed_addresses"),
        [
            (["a"], None, 8000, [("a", 8000)]),
            (["a:9000", "[::1]:9000"], None, 9000, [("a", 9000), ("::1", 9000)]),
            # A seed that names none has that of the others.
            (["a", "b:9000"], None, 9000, [("a", 9000), ("b", 9000)]),
            (["a:9000", "b"], 8001, 8001, [("a", 9000), ("b", 8001)]),
            (["a:1", "b:2"], 8001, 8001, [("a", 1), ("b", 2)]),
        ],
    )
    def test_which_one_holds(
        self, seeds: list[str], port: int | None, node_port: int, seed_addresses: list[tuple[str, int]]
    ) -> None:
        config = ClusterConfig(seeds, port=port)
        assert (config.port, config.node_port, list(config.seed_addresses)) == (port, node_port, seed_addresses)
        assert pickle.loads(pickle.dumps(config)).node_port == node_port

    def test_seeds_with_different_ports_do_not_say_it(self) -> None:
        message = refused(lambda: ClusterConfig(["a:1", "b:2"]), "different ports (1, 2)", "port=...")
        assert message.startswith("ClusterConfig: ")
        config = ClusterConfig(["a:1"])
        refused(lambda: config.replace(seeds=["a:1", "b:2"]), "different ports")
        refused(lambda: ClusterConfig(["a:1", "b:2"], port=3).replace(port=None), "different ports")

    def test_other_seeds_have_another_port(self) -> None:
        assert ClusterConfig(["a:1"]).replace(seeds=["a:2"]).node_port == 2
        assert ClusterConfig(["a:1"]).replace(seeds=["a"]).node_port == 8000
        assert ClusterConfig(["a:1"], port=3).replace(seeds=["a:2"]).node_port == 3

    def test_the_repr_has_it_if_it_was_given(self) -> None:
        assert repr(ClusterConfig(["a:1"])) == "ClusterConfig(seeds=['a:1'])"
        assert repr(ClusterConfig(["a:1"], port=8000)) == "ClusterConfig(seeds=['a:1'], port=8000)"

    def test_given_and_not_given_differ(self) -> None:
        """Because they do with other seeds."""
        assert ClusterConfig(["a"]) != ClusterConfig(["a"], port=8000)
        assert ClusterConfig(["a:1"]) == ClusterConfig(["a:1"])


class TestValues:
    def test_a_config_is_replaced_with_changes(self) -> None:
        config = ClusterConfig("a", allowed_networks=["10.0.0.0/8"], extra_headers={"X": "y"})
        changed = config.replace(port=1)
        assert (changed.port, changed.allowed_networks, changed.extra_headers) == (
            1,
            config.allowed_networks,
            {"X": "y"},
        )
        assert config.port is None
        refused(lambda: config.replace(port=0), "port")
        refused(lambda: config.replace(prt=1), "Did you mean 'port'")

    def test_equal_configs_have_equal_hashes(self) -> None:
        config, same = (ClusterConfig(["a"], partition_keys={"t": "k"}) for _ in range(2))
        assert config == same
        assert hash(config) == hash(same)
        assert {config: 1}[same] == 1
        assert config != ClusterConfig(["a"])
        assert config != ClusterConfig(["a"], partition_keys={"t": "k"}, port=1)

    @pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
    def test_a_config_is_copied_and_pickled(self, again: Any) -> None:
        config = ClusterConfig(
            "a", partition_keys={"t": "k"}, extra_headers={"X": "y"}, routing_scope=RackScope("d", "r", ClusterScope())
        )
        assert again(config) == config

    def test_no_secret_in_any_repr(self) -> None:
        credentials = Credentials("AKID", "hunter2", "t0ken")
        session = botocore.session.Session()
        session.set_credentials("AKID", "hunter2", "t0ken")
        for source in (credentials, {"access_key": "AKID", "secret_key": "hunter2"}, session, lambda: "hunter2"):
            config = ClusterConfig("a", credentials=source, extra_headers={"X-Token": "hunter2"})
            for text in (repr(config), str(config), f"{config}", repr(config.credentials)[: 10**6]):
                assert "hunter2" not in text
                assert "t0ken" not in text
        assert "X-Token" in repr(config)

    def test_a_dict_of_it_shows_no_secret_and_has_plain_values(self) -> None:
        config = ClusterConfig(
            "a",
            credentials=Credentials("AKID", "hunter2", "t0ken"),
            extra_headers={"X-Token": "hunter2"},
            partition_keys={"t": "k"},
            routing_scope=RackScope("d", "r", ClusterScope()),
            allowed_networks=["10.0.0.0/8"],
        )
        values = dataclasses.asdict(config)
        assert "hunter2" not in repr(values)
        assert "t0ken" not in repr(values)
        assert values["credentials"] == {"access_key": "AKID", "secret_key": "hunter2", "session_token": "t0ken"}
        assert (values["partition_keys"], type(values["partition_keys"])) == ({"t": "k"}, dict)
        assert values["timeouts"]["read"] == 15.0
        assert json.loads(json.dumps(values["extra_headers"])) == {"X-Token": "hunter2"}
        values["partition_keys"]["t"] = "other"
        assert config.partition_keys == {"t": "k"}

    def test_the_repr_shows_what_was_set(self) -> None:
        assert repr(ClusterConfig("a")) == "ClusterConfig(seeds=['a'])"
        text = repr(ClusterConfig("a", port=1, partition_keys={"t": "k"}))
        assert text == "ClusterConfig(seeds=['a'], port=1, partition_keys={'t': 'k'})"


garbage: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**400)])
    | st.floats()
    | st.text()
    | st.binary(max_size=8)
    | st.ip_addresses()
    | st.ip_addresses(network="10.0.0.0/8").map(lambda address: ipaddress.ip_network(address)),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=5,
)
hostile = st.text(st.sampled_from("0123456789abcdef:.,[]%/?#@&=; \r\n\0\x7fé٣-_~")) | st.text()

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
    assert all(c.isascii() and c.isprintable() and c not in " /?#@," for address in seeds for c in address)


@many
@given(
    st.sampled_from([Timeouts, Retries, Discovery, Health, Credentials, DatacenterScope, RackScope]),
    garbage,
    garbage,
)
def test_garbage_in_nested_settings(kind: Any, first: Any, second: Any) -> None:
    never_anything_else(lambda: kind(first, second))


def test_the_settings_that_type_checkers_know_are_those_of_a_config() -> None:
    """Where a setting may be a mapping or a word instead, the type of the configuration's field is a part of it."""
    written, known = get_type_hints(ClusterConfig), get_type_hints(Changes)
    assert known.keys() == {setting.name for setting in fields(ClusterConfig)}
    assert {name for name, kind in known.items() if kind != written[name]} == {
        *GROUPS, "credentials", "hedge", "key_route_affinity", "tls"
    }  # fmt: skip
    for name, kind in known.items():
        parts = get_args(written[name]) if isinstance(written[name], UnionType) else (written[name],)
        assert kind == written[name] or set(parts) <= set(get_args(kind)), name
    assert get_type_hints(TextChanges).keys() - known.keys() == set(SCOPE_NAMES)
