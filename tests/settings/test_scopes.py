"""Routing scopes are values, and their chain is what the user wrote."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.settings.scopes import ClusterScope, DatacenterScope, RackScope, chain


def test_the_chain_goes_from_the_preferred_scope_to_the_widest() -> None:
    whole = ClusterScope()
    datacenter = DatacenterScope("dc1", fallback=whole)
    rack = RackScope("dc1", "r1", fallback=datacenter)
    assert list(chain(rack)) == [rack, datacenter, whole]
    assert list(chain(DatacenterScope("dc1"))) == [DatacenterScope("dc1")]
    assert list(chain(whole)) == [whole]


def test_a_scope_without_fallback_is_strict() -> None:
    assert RackScope("dc1", "r1").fallback is None
    assert ClusterScope().fallback is None


def test_scopes_are_values() -> None:
    assert RackScope("dc1", "r1") == RackScope("dc1", "r1")
    assert RackScope("dc1", "r1") != RackScope("dc1", "r1", fallback=ClusterScope())
    assert len({ClusterScope(), ClusterScope(), DatacenterScope("a"), DatacenterScope("a")}) == 2
    scope = RackScope("dc1", "r1", DatacenterScope("dc1", ClusterScope()))
    assert pickle.loads(pickle.dumps(scope)) == scope
    assert (ClusterScope().datacenter, ClusterScope().rack, DatacenterScope("a").rack) == (None, None, None)


def test_names_for_people() -> None:
    assert str(ClusterScope()) == "cluster"
    assert str(DatacenterScope("dc1")) == "datacenter dc1"
    assert str(RackScope("dc1", "r1")) == "rack r1 of datacenter dc1"


@pytest.mark.parametrize("name", ["", "  ", None, 5, b"dc1", "dc\n1", "\0", "\x7f"])
def test_a_bad_name_is_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="DatacenterScope: datacenter"):
        DatacenterScope(name)
    with pytest.raises(ConfigurationError, match="RackScope: datacenter"):
        RackScope(name, "r1")
    with pytest.raises(ConfigurationError, match="RackScope: rack"):
        RackScope("dc1", name)


@pytest.mark.parametrize("fallback", ["dc1", ClusterScope, 5, True])
def test_a_fallback_is_a_scope(fallback: Any) -> None:
    with pytest.raises(ConfigurationError, match="DatacenterScope: fallback must be None, a ClusterScope"):
        DatacenterScope("dc1", fallback)
    with pytest.raises(ConfigurationError, match="RackScope: fallback"):
        RackScope("dc1", "r1", fallback)
