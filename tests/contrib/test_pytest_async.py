"""The plugin's client for event loops, with pytest-asyncio and anyio, in pytest runs of their own."""

from __future__ import annotations

import importlib.util

import pytest

from .inner_runs import HAS_PYTEST_ASYNCIO, run
from .support import ROOT

pytest_plugins = "pytester"

with_pytest_asyncio = pytest.mark.skipif(not HAS_PYTEST_ASYNCIO, reason="pytest-asyncio is not installed")


@pytest.fixture(autouse=True)
def findable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package may be here without being installed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@with_pytest_asyncio
@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_the_client_works_with_pytest_asyncio(pytester: pytest.Pytester, mode: str) -> None:
    mark = "@pytest.mark.asyncio" if mode == "strict" else ""
    result = run(
        pytester,
        f"""
        import asyncio

        {mark}
        @pytest.mark.parametrize("number", range(2))
        async def test_function(alternator_async_client, alternator_models, number):
            alternator_models(User)
            await alternator_async_client.put_item(TableName="users", Item={{"name": {{"S": "alice"}}}})
            assert User.get("alice").name == "alice"

        {mark}
        async def test_it_is_the_client_of_the_application(alternator_async_client):
            from botocore.stub import Stubber
            from pynamodb_alternator import aio
            assert alternator_async_client is await aio.get_client()
            with Stubber(alternator_async_client) as stub:
                stub.add_response("get_item", {{"Item": {{"name": {{"S": "alice"}}, "visits": {{"N": "5"}}}}}})
                assert (await User.aio.get("alice")).visits == 5

        {mark}
        async def test_a_node_dies(alternator_cluster, alternator_async_client):
            alternator_cluster.nodes[0].kill()
            assert (await alternator_async_client.list_tables())["TableNames"] == []
        """,
        f"--asyncio-mode={mode}",
    )
    result.assert_outcomes(passed=4)


TWO_TESTS = """
    async def test_first(self, alternator_async_client, alternator_models_session):
        alternator_models_session(User)
        seen[type(self)] = asyncio.get_running_loop()
        await alternator_async_client.put_item(TableName="users", Item={"name": {"S": "alice"}})

    async def test_second(self, alternator_async_client):
        assert seen[type(self)] is asyncio.get_running_loop()
        assert (await alternator_async_client.scan(TableName="users"))["Count"] == 0
"""


@with_pytest_asyncio
def test_event_loops_of_other_scopes(pytester: pytest.Pytester) -> None:
    code = "import asyncio\nfrom models import *\nseen = {}\n"
    for scope in ("class", "module", "package", "session"):
        code += f"@pytest.mark.asyncio(loop_scope={scope!r})\nclass Test{scope}:{TWO_TESTS}"
    pytester.makepyfile(test_marked=code)
    run(pytester, "").assert_outcomes(passed=8)


@with_pytest_asyncio
def test_the_scope_of_event_loops_that_the_ini_file_names(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_plain=f"import asyncio\nfrom models import *\nseen = {{}}\nclass TestIt:{TWO_TESTS}")
    by_default = ("-o", "asyncio_default_test_loop_scope=session", "--asyncio-mode=auto")
    run(pytester, "", *by_default).assert_outcomes(passed=2)


@with_pytest_asyncio
def test_pytest_asyncio_and_xdist(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        @pytest.fixture(scope="session", autouse=True)
        def users(alternator_models_session):
            alternator_models_session(User)

        @pytest.mark.parametrize("number", range(4))
        async def test_it(alternator_async_client, number):
            assert (await alternator_async_client.scan(TableName="users"))["Count"] == 0
            await alternator_async_client.put_item(TableName="users", Item={"name": {"S": "alice"}})
        """,
        "--asyncio-mode=auto",
        "-n",
        "2",
    )
    result.assert_outcomes(passed=4)


@pytest.mark.parametrize("others", [("-p", "no:asyncio"), ()], ids=["alone", "beside pytest-asyncio"])
def test_the_client_works_with_anyio(pytester: pytest.Pytester, others: tuple[str, ...]) -> None:
    trio = importlib.util.find_spec("trio") is not None
    result = run(
        pytester,
        """
        import anyio

        pytestmark = pytest.mark.anyio

        @pytest.fixture
        async def stored(alternator_async_client, alternator_models):
            alternator_models(User)
            await alternator_async_client.put_item(TableName="users", Item={"name": {"S": "alice"}})

        async def test_it(alternator_async_client, stored):
            assert (await alternator_async_client.scan(TableName="users"))["Count"] == 1

        @pytest.mark.parametrize("anyio_backend", ["asyncio"])
        async def test_tasks(alternator_async_client, alternator_models_session):
            alternator_models_session(User)

            async def put(number):
                await alternator_async_client.put_item(TableName="users", Item={"name": {"S": str(number)}})

            async with anyio.create_task_group() as group:
                for number in range(20):
                    group.start_soon(put, number)
            assert len(list(User.scan())) == 20
        """,
        *others,
    )
    result.assert_outcomes(passed=2, skipped=int(trio))


def test_a_test_that_is_not_asynchronous_is_told(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_it(alternator_async_client): pass", "-p", "no:asyncio")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*alternator_async_client is for asynchronous tests*"])
