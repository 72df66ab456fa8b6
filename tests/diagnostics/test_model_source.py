"""The search in source files: what it sees, and what it leaves alone."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import pynamodb_alternator
from pynamodb_alternator.diagnostics.models import read_sources
from pynamodb_alternator.diagnostics.models.facts import SourceFacts
from pynamodb_alternator.diagnostics.models.source import read_source
from pynamodb_alternator.errors import ConfigurationError

WRITE, GET = [("transaction", "TransactWrite")], [("transaction", "TransactGet")]
AIO = "from pynamodb_alternator import aio\n"
INDEXES = [("index_capacity", "INDEXES")]
MODELS = {"shop.models.Order", "shop.models.User", "shared.models.Person"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def facts(code: str, module: str = "shop.views", name: str = "views.py") -> SourceFacts:
    Path(name).write_text(code, encoding="utf-8")
    return read_source(Path(name), module, MODELS)


def uses(code: str, module: str = "shop.views", name: str = "views.py") -> list[tuple[str, str]]:
    return [(use.kind, use.text) for use in facts(code, module, name).uses]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("from pynamodb.transactions import TransactWrite\nTransactWrite()", WRITE),
        ("from pynamodb.transactions import TransactGet as T\nwith T() as t: t.get(1, 2)", GET),
        ("import pynamodb.transactions\npynamodb.transactions.TransactGet()", GET),
        ("from pynamodb import transactions as t\nclass Own(t.TransactWrite): pass", WRITE),
        ("def f():\n from pynamodb.transactions import TransactWrite\n return TransactWrite", WRITE),
        ("from pynamodb.transactions import TransactWrite", []),  # not used
        ("from other import TransactWrite\nTransactWrite()", []),
        ("from shop.db import TransactWrite\nTransactWrite()", WRITE),  # handed on by the project
        ("from . import db\ndb.TransactGet()", GET),
        ("client.transact_write_items(TransactItems=[])", [("transaction", "transact_write_items")]),
        ("client.execute_statement(Statement='x')", [("partiql", "execute_statement")]),
        ("client.create_global_table()", [("missing_operation", "create_global_table")]),
        ("client.create_backup(TableName='t')", [("missing_operation", "create_backup")]),
        ("fsx.create_backup(FileSystemId='f')", []),
        ("rds.execute_statement(sql='x')", []),
        ("client.execute_transaction(TransactStatements=[])", [("partiql", "execute_transaction")]),
        ("client.export_table_to_point_in_time()", [("missing_operation", "export_table_to_point_in_time")]),
        ("Order.describe_table()['ItemCount']", [("item_count", '["ItemCount"]')]),
        ("Order.describe_table().get('ItemCount', 0)", [("item_count", '["ItemCount"]')]),
        ("client.import_table(S3BucketSource={})", [("missing_operation", "import_table")]),
        ("self.import_table('orders.csv')", []),  # an application's own
        ("client.update_table(TableName='t', ProvisionedThroughput={})", [("throughput", "update_table")]),
        ("connection.update_table('t', read_capacity_units=1)", [("throughput", "update_table")]),
        ("client.update_table(TableName='t', GlobalSecondaryIndexUpdates=[])", []),
        ("client.update_table(**arguments)", []),
        ("client.put_item(ReturnConsumedCapacity='INDEXES')", INDEXES),
        ("from pynamodb.constants import INDEXES\nf(return_consumed_capacity=INDEXES)", INDEXES),
        ("client.put_item(ReturnConsumedCapacity='TOTAL')", []),
        ("User.scan(rate_limit=5)", [("rate_limit", "scan(rate_limit=...)")]),
        ("User.query(1, rate_limit=limit)", [("rate_limit", "query(rate_limit=...)")]),
        ("User.query(1, rate_limit=None)", []),
        ("from pynamodb.connection import Connection\nConnection(region='eu')", [("plain_client", "Connection()")]),
        ("from pynamodb.connection.table import TableConnection as T\nT('t')", [("plain_client", "T()")]),
        ("from pynamodb.connection.base import Connection", []),
        ("from other import Connection\nConnection()", []),
        ("import boto3\nboto3.client('dynamodb', region_name='eu')", [("plain_client", "boto3.client()")]),
        ("from boto3 import Session\nSession().client('dynamodb')", [("plain_client", "client('dynamodb')")]),
        ("session.resource(service_name='dynamodb')", [("plain_client", "resource('dynamodb')")]),
        ("botocore_session.create_client('dynamodb')", [("plain_client", "create_client('dynamodb')")]),
        ("session.client('s3')", []),
        ("import boto3\nboto3.resource(service_name='dynamodb')", [("plain_client", "boto3.resource()")]),
        ("import boto3\nboto3.client('s3')", []),
        ("from pynamodb_alternator import boto3\nboto3.client('dynamodb')", []),
        ("client.put_item(ConditionExpression='a')", [("condition", "ConditionExpression")]),
        ("order.save(condition=Order.a == 1)", [("condition", "save(condition=...)")]),
        ("client.put_item(**{'ConditionExpression': 'a'})", [("condition", "ConditionExpression")]),
        ("request['ConditionExpression'] = 'a'", [("condition", "ConditionExpression")]),
        ("print(request['ConditionExpression'])", []),
        (
            "table.update_item(Key={}, UpdateExpression='SET a = a + :one')",
            [("update", "update_item(UpdateExpression=...)")],
        ),
        ("table.update_item(Key={}, UpdateExpression='SET a = :one')", []),  # it reads nothing
        ("table.update_item(Key={}, UpdateExpression=expression)", []),
        ("client.put_item(Item={}, ReturnValues='ALL_OLD')", [("update", "put_item(ReturnValues=...)")]),
        ("client.delete_item(Key={}, ReturnValues='NONE')", []),
        ("order.save(condition=None)", []),
        ("order.save()", []),
        ("order.query(filter_condition=x, condition=y)", []),
        ("order.update(actions=[Order.a.set(1)])", [("update", "update(actions=...)")]),
        ("order.update([Order.a.set(1), Order.b.remove()])", [("update", "update(actions=...)")]),
        ("order.update(actions=make())", [("update", "update(actions=...)")]),
        (
            "order.update(actions=[Order.a.remove(), Order.b.remove()], condition=c)",
            [
                ("condition", "update(condition=...)"),
                ("remove_only", "update(actions=[... .remove()])"),
                ("update", "update(actions=...)"),
            ],
        ),
        # In an event loop, by the facade of a model, and by what calls a function.
        ("async def f(): await order.aio.save(condition=Order.a == 1)", [("condition", "save(condition=...)")]),
        ("async def f(): await order.aio.update([Order.a.set(1)])", [("update", "update(actions=...)")]),
        ("async def f():\n async for u in User.aio.scan(rate_limit=5): pass", [("rate_limit", "scan(rate_limit=...)")]),
        ("async def f(): await client.transact_get_items()", [("transaction", "transact_get_items")]),
        (f"{AIO}aio.run(order.save, condition=c)", [("condition", "save(condition=...)")]),
        (f"{AIO}aio.run(order.update, [Order.a.set(1)])", [("update", "update(actions=...)")]),
        (f"{AIO}aio.run(list, User.query(1, rate_limit=2))", [("rate_limit", "query(rate_limit=...)")]),
        (f"{AIO}aio.run(User.count, 1, rate_limit=2)", [("rate_limit", "count(rate_limit=...)")]),
        (f"{AIO}aio.run()\naio.run(*both)\naio.run(order.save, None)", []),
        ("import asyncio\nasyncio.to_thread(order.save, condition=c)", [("condition", "save(condition=...)")]),
        ("asyncio.run(order.save, condition=c)", []),
        ("{}.update([(1, 2)])", []),
        ("{}.update({1: 2})", []),
        ("set().update([f(), a.pop()])", []),
        ("{}.update()", []),
        ("{}.update([])", []),
    ],
)  # fmt: skip
def test_what_is_seen(code: str, expected: list[tuple[str, str]]) -> None:
    assert uses(code) == expected


@pytest.mark.parametrize(
    ("code", "model"),
    [
        ("from shop.models import Order\nOrder.count()", "shop.models.Order"),
        ("from .models import Order as O\nO.count(consistent_read=True)", "shop.models.Order"),
        ("from . import models\nmodels.Order.count()", "shop.models.Order"),
        ("from .. import models\nmodels.Order.count()", ""),
        ("import shop.models\nshop.models.Order.count()", "shop.models.Order"),
        ("import shop.models as m\nm.User.count()", "shop.models.User"),
        ("from shop import Order\nOrder.count()", "shop.models.Order"),  # handed on by the package
        ("from shop.models import *\nOrder.count()", "shop.models.Order"),
        ("from shared.models import Person\nPerson.count()", "shared.models.Person"),
        ("from django.db import Order\nOrder.count()", ""),
        ("from other import *\nOrder.count()", ""),
        ("Order.count()", ""),
        ("from .models import Order\nOrder.objects.count()", ""),
        ("from .models import Order\nOrder.count(None)", "shop.models.Order"),
        ("from .models import Order\nOrder.count(hash_key=None)", "shop.models.Order"),
        ("from .models import Order\nOrder.count(1)", ""),
        ("from .models import Order\nOrder.count(hash_key=1)", ""),
        ("from .models import Order\nOrder.count(**more)", ""),
        ("from .models import Order\n[Order].count(Order)", ""),
        ("from .models import Order\nOrder.aio.count()", "shop.models.Order"),
        ("from . import models\nmodels.Order.aio.count(filter_condition=c)", "shop.models.Order"),
        ("from .models import Order\nOrder.aio.count(1)", ""),
        ("from .models import Order\nOrder.aio.index(Order.by_user).count(1)", ""),
        ("from .models import Order\nfrom pynamodb_alternator.aio import run\nrun(Order.count)", "shop.models.Order"),
        (
            "from .models import Order\nimport pynamodb_alternator.aio as a\na.run(Order.count, None)",
            "shop.models.Order",
        ),
        ("from .models import Order\nfrom pynamodb_alternator.aio import run\nrun(Order.count, 1)", ""),
        ("from .models import Order\nrun(Order.count)", ""),
    ],
)
def test_counts_of_models(code: str, model: str) -> None:
    counts = [use.model for use in facts(code).uses if use.kind == "count"]
    assert counts == ([model] if model else [])


@pytest.mark.parametrize(
    ("write", "text"),
    [
        ("order.save(Order.a.exists())", "save"),
        ("order.save(Order.a.b[0].does_not_exist() & ~(Order.c > 1))", "save"),
        ("order.delete(1 == Order.views)", "delete"),
        ("order.delete(Order.name.startswith('a') | Order.b.between(1, 2))", "delete"),
        ("order.update([Order.a.set(1)], Order.a < 1)", "update"),
        ("write.save(order, Order.a.contains('b'))", "save"),
        ("form.save(False)", ""),
        ("form.save(path.exists())", ""),
        ("order.save(Order.a)", ""),
        ("image.save(Order.folder.joinpath('a'))", ""),
        ("Other.save(a == b)", ""),
    ],
)
def test_conditions_without_a_name(write: str, text: str) -> None:
    conditions = [use.text for use in facts(f"from shop.models import Order\n{write}").uses if use.kind == "condition"]
    assert conditions == ([f"{text}(condition=...)"] if text else [])


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("Order.price == 1.0", "number_condition"),
        ("Order.price != 1.0", "number_condition"),
        ("1.0 == Order.price", "number_condition"),
        ("Order.price == -0.0", "number_condition"),
        ("Order.price == +2e16", "number_condition"),
        ("Order.price == 0.00001", "number_condition"),
        ("m.User.price == 100.0", "number_condition"),
        ("Order.price.is_in(1, 2.0)", "number_condition"),
        ("Order.prices.contains(2.0)", "number_condition"),
        ("(Order.price == 1.0) & (Order.a == 2)", "number_condition"),
        ("Order.info.price == 1.0", "nested_number_condition"),
        ("Order.info['price'] == 1.0", "nested_number_condition"),
        ("Order.prices[0] == 1.0", "nested_number_condition"),
        ("Order.price == 1", ""),
        ("Order.price == 1.5", ""),
        ("Order.price == 0.001", ""),
        ("Order.price == 1e999", ""),
        ("Order.price == True", ""),
        ("Order.price == value", ""),
        ("Order.price <= 1.0", ""),
        ("0.0 <= Order.price == 1.0", ""),
        ("Order.price.between(1.0, 2.0)", ""),
        ("Order == 1.0", ""),
        ("order.price == 1.0", ""),
        ("Other.price == 1.0", ""),
    ],
)
def test_conditions_that_compare_with_a_float(expression: str, kind: str) -> None:
    code = f"from shop.models import Order\nimport shop.models as m\nfrom other import Other\nf({expression})"
    conditions = [(use.kind, use.model, use.position.line) for use in facts(code).uses]
    model = "shop.models.User" if "User" in expression else "shop.models.Order"
    assert conditions == ([(kind, model, 4)] if kind else [])


def test_in_a_model_its_class_is_compared_and_an_instance_is_not() -> None:
    code = (
        "from pynamodb.models import Model\n"
        "class Order(Model):\n"
        "    @classmethod\n"
        "    def cheap(cls): return cls.scan(cls.price == 1.0)\n"
        "    def is_cheap(self): return self.price == 1.0\n"
    )
    conditions = [(use.text, use.position.line) for use in facts(code, "shop.models", "models.py").uses]
    assert conditions == [("cls.price == 1.0", 4)]


def test_counts_inside_of_a_model() -> None:
    code = (
        "from pynamodb.models import Model\n"
        "class Order(Model):\n"
        "    @classmethod\n"
        "    def all(cls): return cls.count()\n"
        "    def mine(self): return self.count(self.name), self.count()\n"
        "    def theirs(self, other):\n"
        "        type(other).count(), other.__class__.count()\n"
        "        return (type(self).count(),\n"
        "            self.__class__.count())\n"
        "class Basket(list):\n"
        "    def size(self): return self.count()\n"
    )
    counts = [(use.model, use.position.line) for use in facts(code, "shop.models", "models.py").uses]
    assert counts == [("shop.models.Order", line) for line in (4, 5, 8, 9)]


def test_names_of_a_package_itself() -> None:
    code = "from .models import Order\nOrder.count()"
    assert uses(code, "shop", "__init__.py") == [("count", "Order.count()")]


def test_the_models_that_derive_from_those_of_other_files(here: Path) -> None:
    files = {
        "shop/__init__.py": "from .base import Base",
        "shop/base.py": "from pynamodb.models import Model\nclass Base(Model): pass\nclass Dated(Base): pass",
        "shop/a.py": "from .b import Bill\nclass Old(Bill): pass",  # before the file of its base
        "shop/b.py": "import shop.base\nclass Bill(shop.base.Dated): pass\nclass Other(dict): pass",
        "shop/c.py": "from shop import Base\nclass Cart(Base): pass",
        "shop/d.py": "from other import Base\nclass Not(Base): pass",
    }
    (here / "shop").mkdir()
    for name, text in files.items():
        (here / name).write_text(text, encoding="utf-8")
    read = read_sources([here / "shop"], set())
    assert {each.module: each.models for each in read if each.models} == {
        "shop.base": (("Base", 2), ("Dated", 3)),
        "shop.a": (("Old", 2),),
        "shop.b": (("Bill", 2),),
        "shop.c": (("Cart", 2),),
    }


def test_the_models_that_a_file_defines(here: Path) -> None:
    code = (
        "import pynamodb.models\n"
        "from pynamodb_alternator import Model\n"
        "from django.db import models\n"
        "from .models import Order\n"
        "class A(Model): pass\n"
        "class B(pynamodb.models.Model): pass\n"
        "class C(Order): pass\n"
        "class D(models.Model): pass\n"
        "def f():\n"
        "    class E(Model): pass\n"
    )
    (here / "views.py").write_text(code, encoding="utf-8")
    (read,) = read_sources([here / "views.py"], MODELS, {here: "shop"})
    assert read.models == (("A", 5), ("B", 6), ("C", 7))


@pytest.mark.parametrize(
    ("content", "problem", "line"),
    [
        (b"a = (\n", "it is not Python: '(' was never closed", 1),
        (b"a = 1\nprint 2\n", "it is not Python: Missing parentheses", 2),
        (b"\xff\xfe", "it is not Python: ", 1),
        (b"# coding: nonsense\n", "it is not Python: ", 1),
        (b"a = '\x00'", "it ", 1),
    ],
)
def test_files_that_are_not_python(content: bytes, problem: str, line: int) -> None:
    Path("bad.py").write_bytes(content)
    read = read_source(Path("bad.py"), "bad", MODELS)
    assert read.problem.startswith(problem)
    assert read.problem_line in (line, 0)
    assert read.uses == ()


def test_warnings_of_python_about_source_files_are_ignored() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = facts("pattern = '\\d'\nassert (1, 'always true')\nclient.list_global_tables()")
    assert (read.problem, [use.kind for use in read.uses]) == ("", ["missing_operation"])


def test_which_files_are_searched(here: Path) -> None:
    files = {
        "shop/__init__.py": "",
        "shop/orders/__init__.py": "",
        "shop/orders/views.py": "client.execute_statement(Statement=1)",
        "shop/plain/views.py": "",
        "shop/readme.txt": "",
        "shop/.hidden/views.py": "(",
        "shop/__pycache__/views.py": "(",
        "shop/node_modules/views.py": "(",
        "shop/env/pyvenv.cfg": "",
        "shop/env/views.py": "(",
        "alone.py": "",
        "other.py": "(",
    }
    for name, text in files.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(text, encoding="utf-8")
    read = read_sources([here / "shop", Path("alone.py"), here / "shop" / "orders"], MODELS)
    assert [(each.file, each.module) for each in read] == [
        ("alone.py", "alone"),
        ("shop/__init__.py", "shop"),
        ("shop/orders/__init__.py", "shop.orders"),
        ("shop/orders/views.py", "shop.orders.views"),
        ("shop/plain/views.py", "views"),
    ]
    (use,) = read[3].uses
    assert str(use.position) == "shop/orders/views.py:1"


def test_links_and_pipes_do_not_keep_the_search(here: Path) -> None:
    """Two links to their own folder are as many paths as a tree with two branches at each of 40 levels."""
    shop = here / "shop"
    shop.mkdir()
    (shop / "views.py").write_text("", encoding="utf-8")
    (shop / "._views.py").write_bytes(b"\x00\x05\x16\x07")  # what macOS leaves beside a file
    for name in ("again", "once_more"):
        (shop / name).symlink_to(shop, target_is_directory=True)
    (shop / "gone.py").symlink_to("nowhere")
    os.mkfifo(shop / "pipe.py")
    assert [(each.file, each.problem) for each in read_sources([shop], MODELS)] == [("shop/views.py", "")]


def test_a_folder_that_cannot_be_read_is_reported(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("shop/views.py", "shop/secret/keys.py"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("", encoding="utf-8")
    iterdir = Path.iterdir

    def refuse(path: Path) -> Iterator[Path]:
        if path.name == "secret":
            raise PermissionError(13, "Permission denied", str(path))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    secret, views = read_sources([here / "shop"], MODELS)
    assert secret.file == "shop/secret"
    assert secret.problem.startswith("it cannot be read")
    assert (views.file, views.problem) == ("shop/views.py", "")


def test_modules_have_the_names_under_which_they_were_imported(here: Path) -> None:
    files = ["firm/shop/__init__.py", "firm/shop/a/views.py", "__init__.py", "shop/views.py", "tools/__init__.py"]
    for name in files:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("", encoding="utf-8")
    packages = {here: "", here / "firm": "firm", here / "firm" / "shop": "firm.shop", here / "shop": "shop"}
    read = read_sources([here / "firm", here / "shop", here / "tools"], MODELS, packages)
    assert [(each.file, each.module) for each in read] == [
        ("firm/shop/__init__.py", "firm.shop"),
        ("firm/shop/a/views.py", "firm.shop.a.views"),  # below a package, a folder needs no __init__.py
        ("shop/views.py", "shop.views"),
        ("tools/__init__.py", "tools"),
    ]


def test_a_path_that_is_not_there() -> None:
    with pytest.raises(ConfigurationError, match=r"there is no nowhere\. Write a folder, or a Python file\."):
        read_sources([Path("nowhere")], MODELS)


def test_a_file_elsewhere_has_its_whole_path(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("elsewhere") / "views.py"
    file.write_text("", encoding="utf-8")
    assert read_sources([file], MODELS)[0].file == str(file)


def test_any_code_can_be_searched() -> None:
    """A tree of many levels, and all the files of this package."""
    assert uses("a = " + " + ".join(["b"] * 900) + "\nclient.execute_statement(Statement=1)") == [
        ("partiql", "execute_statement")
    ]
    package = Path(str(pynamodb_alternator.__file__)).parent
    read = read_sources([package], MODELS)
    assert len(read) > 200
    assert [each for each in read if each.problem] == []
