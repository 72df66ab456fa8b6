"""The check of models on a project: modules in, a report out."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pynamodb_alternator import Cluster
from pynamodb_alternator.diagnostics.models import Ignored, ModelReport, importable_here
from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.orm.model_check import check_models

FILES = {
    "kshop/__init__.py": "",
    "kshop/models.py": """
from pynamodb.attributes import NumberAttribute, UnicodeAttribute, VersionAttribute
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection
from pynamodb_alternator import Model

class ByCity(GlobalSecondaryIndex):
    class Meta:
        index_name = "by_city"
        projection = KeysOnlyProjection()
    city = UnicodeAttribute(hash_key=True)

class Order(Model):
    class Meta:
        table_name = "kshop-orders"
        write_isolation = "only_rmw_uses_lwt"
    number = NumberAttribute(hash_key=True)
    city = UnicodeAttribute(null=True)
    version = VersionAttribute()
    by_city = ByCity()

class Archived(Model):
    class Meta:
        table_name = "kshop-archive"
        cluster = "archive"
    name = UnicodeAttribute(hash_key=True)
""",
    "kshop/views.py": """
from .models import Order
def count(): return Order.count()
""",
    "scripts/load.py": """
from pynamodb.transactions import TransactWrite
from kshop.models import Order
def load():
    with TransactWrite(connection=None) as t:
        t.save(Order(1))
""",
}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    with importable_here():
        yield
    for name in [name for name in sys.modules if name.startswith("kshop")]:
        del sys.modules[name]
    gc.collect()  # the models, which the package knows as subclasses


@pytest.fixture
def local() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=1) as cluster:
        yield cluster


@pytest.fixture
def cluster(local: LocalCluster) -> Iterator[Cluster]:
    with Cluster(local.url) as cluster:
        yield cluster


def ids(report: ModelReport) -> list[str]:
    return [finding.id for finding in report.findings]


def test_the_check_needs_no_cluster() -> None:
    report = check_models(["kshop.models"])
    assert [model.name for model in report.models] == ["kshop.models.Archived", "kshop.models.Order"]
    assert (report.files, report.compared, report.ignored) == (3, False, 0)
    assert [(finding.id, finding.subject, str(finding.position)) for finding in report.findings] == [
        ("number-key", "kshop.models.Order", "kshop/models.py:12"),
        ("count", "kshop.views", "kshop/views.py:3"),
        ("index-projection", "kshop.models.Order", "kshop/models.py:12"),
    ]
    assert [report.count(severity) for severity in ("error", "warning", "note")] == [0, 3, 0]


def test_more_code_and_accepted_findings() -> None:
    ignored = Ignored.of(["number-key", "count:kshop.views"])
    report = check_models(["kshop.models"], sources=[Path("scripts")], ignored=ignored)
    assert ids(report) == ["transactions", "index-projection"]
    assert (report.files, report.ignored) == (4, 2)


def test_the_check_compares_models_with_a_cluster(cluster: Cluster) -> None:
    ignored = Ignored.of(["number-key", "count", "index-projection"])
    report = check_models(["kshop.models"], cluster=cluster, ignored=ignored)
    assert report.compared
    assert [(finding.id, finding.detail) for finding in report.findings] == [
        ("table-missing", "table 'kshop-archive'"),
        ("table-missing", "table 'kshop-orders'"),
    ]
    assert ids(check_models(["kshop.models"], cluster=cluster, alias="default", ignored=ignored)) == ["table-missing"]
    cluster.client.create_table(
        TableName="kshop-orders",
        AttributeDefinitions=[{"AttributeName": "number", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "number", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        Tags=[{"Key": "system:write_isolation", "Value": "forbid_rmw"}],
    )
    report = check_models(["kshop.models"], cluster=cluster, alias="default", ignored=ignored)
    assert ids(report) == ["key-schema", "index-missing", "write-isolation", "write-isolation"]


def test_tables_that_the_models_made_themselves_fit(cluster: Cluster) -> None:
    check_models(["kshop.models"])
    models = sys.modules["kshop.models"]
    for model in (models.Order, models.Archived):
        model.Meta.cluster = cluster
        model.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
    report = check_models(["kshop.models"], cluster=cluster, ignored=Ignored.of(["number-key", "count"]))
    assert ids(report) == ["index-projection"]


VECTORS = """
from pynamodb.attributes import DiscriminatorAttribute, UnicodeAttribute
from pynamodb_alternator import Model, VectorAttribute, VectorIndex

class Animal(Model):
    class Meta:
        table_name = "kshop-animals"
    kind = DiscriminatorAttribute()
    name = UnicodeAttribute(hash_key=True)
    looks = VectorAttribute(dimensions=3)
    by_looks = VectorIndex(looks)

class Bird(Animal, discriminator="bird"):
    song = VectorAttribute(dimensions=2, null=True)
    by_song = VectorIndex(song)
"""


@pytest.mark.parametrize("dialect", ["aws", "alternator", "both"])
def test_the_check_compares_vector_indexes(tmp_path: Path, dialect: Any) -> None:
    (tmp_path / "kshop" / "animals.py").write_text(VECTORS, encoding="utf-8")
    with LocalCluster(nodes=1, vector_dialect=dialect) as local, Cluster(local.url) as cluster:

        def findings() -> list[tuple[str, str, str]]:
            report = check_models(
                ["kshop.animals"], cluster=cluster, ignored=Ignored.of(["count", "model-not-checked"])
            )
            return [(finding.id, finding.subject, finding.detail) for finding in report.findings]

        assert [id for id, _, _ in findings()] == ["table-missing"]
        animals = sys.modules["kshop.animals"]
        for model in (animals.Animal, animals.Bird):
            model.Meta.cluster = cluster
        animals.Animal.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
        assert findings() == []
        animals.Bird.by_song.delete()
        animals.Animal.by_looks.delete()
        assert findings() == [
            ("vector-index-missing", "kshop.animals.Animal", "vector index 'by_looks' of table 'kshop-animals'"),
            ("vector-index-missing", "kshop.animals.Bird", "vector index 'by_song' of table 'kshop-animals'"),
        ]


def test_a_cluster_that_does_not_answer(cluster: Cluster, local: LocalCluster) -> None:
    local.close()
    report = check_models(["kshop.models"], cluster=cluster)
    assert ids(report)[:3] == ["table-unreadable", "table-unreadable", "number-key"]


def test_modules_without_models_are_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match=r"A package is imported without .* Write --models kshop\.models$"):
        check_models(["kshop"])
    with pytest.raises(ConfigurationError, match=r"json, string: no PynamoDB model .* in them\. Name the modules"):
        check_models(["json", "string"])


def test_models_that_only_a_package_names() -> None:
    check_models(["kshop.models"])
    assert len(check_models(["kshop"]).models) == 2  # they have been imported by now
