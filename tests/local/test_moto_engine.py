"""The default engine: moto, of each cluster its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.local import LocalCluster

from .wire import create, ok, s


def test_the_users_mock_aws_is_left_alone(cluster: LocalCluster) -> None:
    moto = pytest.importorskip("moto")
    create(cluster)
    with moto.mock_aws():
        assert ok(cluster.nodes[0], "ListTables", {})["TableNames"] == ["tab"]
        from moto.dynamodb.models import dynamodb_backends

        assert not any(backend.tables for account in dynamodb_backends.values() for backend in account.values())
    assert ok(cluster.nodes[0], "ListTables", {})["TableNames"] == ["tab"]


def test_moto_does_not_remember_what_was_written(cluster: LocalCluster) -> None:
    from moto.dynamodb.models.dynamo_type import Item
    from moto.dynamodb.models.table import Table

    before = len(Item.instances_tracked), len(Table.instances_tracked)
    create(cluster)
    for number in range(3):
        ok(cluster.nodes[0], "PutItem", {"TableName": "tab", "Item": {"k": s(str(number))}})
    assert (len(Item.instances_tracked), len(Table.instances_tracked)) == before


def test_importing_it_does_not_import_moto() -> None:
    code = "import sys, pynamodb_alternator.local as l; l.LocalCluster(2); assert 'moto' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=os.getcwd())


def test_missing_moto_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    from pynamodb_alternator.local import moto_engine

    moto_engine._moto.cache_clear()
    monkeypatch.setitem(sys.modules, "moto.dynamodb.models", None)
    with pytest.raises(ConfigurationError, match=r'pip install "pynamodb-alternator\[local\]"'):
        LocalCluster(1).start()
