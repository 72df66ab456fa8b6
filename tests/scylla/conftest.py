"""Tests that hold on any Alternator cluster: that of ``ALTERNATOR_URL``, or else an embedded one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from pynamodb_alternator import Cluster, ClusterConfig
from pynamodb_alternator.local import LocalCluster


@pytest.fixture(scope="session")
def config() -> Iterator[ClusterConfig]:
    if os.environ.get("ALTERNATOR_URL"):
        yield ClusterConfig.from_env()
        return
    with LocalCluster(nodes=3) as local:
        yield ClusterConfig.from_url(local.url)


@pytest.fixture
def prefix(cluster: Cluster) -> Iterator[str]:
    """What the names of this test's tables begin with; the tables are deleted after it."""
    prefix = f"pynamodb_alternator_test_{secrets.token_hex(4)}"
    yield prefix
    for table in cluster.client.get_paginator("list_tables").paginate().search("TableNames[]"):
        if table.startswith(prefix):
            try:
                cluster.client.delete_table(TableName=table)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceNotFoundException":
                    raise


@pytest.fixture
def cluster(config: ClusterConfig) -> Iterator[Cluster]:
    with Cluster(config) as cluster:
        yield cluster
