"""What a process does from nothing to its first `Model.get`: no module, file or compiled code that it can do without.

How long it takes, the benchmarks say.
"""

from __future__ import annotations

import ast
import os
from typing import Any

import pytest

from pynamodb_alternator import Cluster
from pynamodb_alternator.local import LocalCluster
from tests.chaos.support import TABLE, create_table

from .test_processes import run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the helper that runs the script is for POSIX")

FIRST_GET = """
    import sys
    import pynamodb.models
    from pynamodb.attributes import UnicodeAttribute

    before, files, code = set(sys.modules), [], []

    def hook(event, arguments):
        if event == "open" and str(arguments[0]).endswith((".json", ".json.gz")):
            files.append(str(arguments[0]))
        if event == "compile" and str(arguments[1]).startswith("<"):  # not a module whose code is not cached
            code.append(str(arguments[1]))

    sys.addaudithook(hook)
    from pynamodb_alternator import Model, configure

    at_import = len(code)
    configure(default={"seeds": [sys.argv[1]], "monitor": sys.argv[2] == "threads"})

    class Item(Model):
        class Meta:
            table_name = sys.argv[3]

        id = UnicodeAttribute(hash_key=True)

    try:
        Item.get("nobody")
    except Item.DoesNotExist:
        print({"modules": sorted(set(sys.modules) - before), "files": files, "code": code, "at_import": at_import})
"""

NOT_NEEDED = (
    *("asyncio", "aiobotocore", "boto3", "cryptography", "email.mime", "multiprocessing", "moto", "rich", "unittest"),
    *("difflib", "encodings.idna", "fractions", "statistics", "stringprep"),
    *(f"pynamodb_alternator.{room}" for room in ("aio", "boto3", "contrib", "diagnostics", "local", "shell")),
    *(f"pynamodb_alternator.{module}" for module in ("events", "orm.install", "pytest_plugin", "typing")),
)


@pytest.fixture(params=["threads", "no threads"])
def seen(request: pytest.FixtureRequest, local: LocalCluster, cluster: Cluster) -> dict[str, Any]:
    """What a fresh process imported, opened and compiled until it had the answer, beyond what PynamoDB imports."""
    create_table(cluster.client)
    seen: dict[str, Any] = ast.literal_eval(run(FIRST_GET, local.nodes[0].address, request.param, TABLE))
    return seen


def test_it_imports_nothing_that_it_does_not_need(seen: dict[str, Any]) -> None:
    modules = seen["modules"]
    assert "pynamodb_alternator.core.cluster_core" in modules
    superfluous = [each for each in modules if any(each == name or each.startswith(f"{name}.") for name in NOT_NEEDED)]
    assert superfluous == []
    # PynamoDB has imported all of botocore that is of use.
    assert [each for each in modules if each.startswith(("botocore", "urllib3"))] == []


def test_it_reads_one_of_botocores_files(seen: dict[str, Any]) -> None:
    assert [os.path.basename(file).partition(".")[0] for file in seen["files"]] == ["service-2"]


def test_it_compiles_nothing_after_the_imports(seen: dict[str, Any]) -> None:
    """Patterns of regular expressions aside, which are compiled without a word to the hook."""
    assert seen["code"][seen["at_import"] :] == []
