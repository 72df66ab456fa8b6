"""A cluster of three nodes in this process, and a model on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pynamodb.attributes import NumberAttribute, UnicodeAttribute

import pynamodb_alternator
from pynamodb_alternator import Cluster, Model, registry
from pynamodb_alternator.local import LocalCluster


@pytest.fixture
def local() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=3) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    pynamodb_alternator.close_all()
    # Frameworks that this test has set up in this process.
    for source in registry.sources():
        registry.remove_source(source)


@pytest.fixture
def cluster(local: LocalCluster) -> Cluster:
    """The cluster under the alias ``default``."""
    pynamodb_alternator.configure(default=local.url)
    return pynamodb_alternator.get_cluster()


@pytest.fixture
def user(cluster: Cluster) -> type[User]:
    User.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
    return User


class User(Model):
    class Meta:
        table_name = "users"

    name = UnicodeAttribute(hash_key=True)
    visits = NumberAttribute(default=0)
