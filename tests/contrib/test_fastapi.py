"""FastAPI: the lifespan, the dependencies, errors as answers; each with real requests to a cluster."""

from __future__ import annotations

import asyncio
import re
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")
pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install 'pynamodb-alternator[fastapi]'")
pytest.importorskip("httpx", reason="httpx is not installed")

import httpx
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import PlainTextResponse
from pynamodb.exceptions import GetError, PutError, TableError

import pynamodb_alternator
from pynamodb_alternator import Cluster, Model, aio, registry
from pynamodb_alternator.contrib.fastapi import (
    add_exception_handlers,
    alternator_lifespan,
    get_client,
    get_client_of,
    get_cluster,
    get_cluster_of,
    healthz,
    healthz_of,
)
from pynamodb_alternator.errors import AlternatorError, ConfigurationError, NoNodesAvailableError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.settings.options import current
from pynamodb_alternator.typing import AsyncDynamoDBClient

from .conftest import User
from .support import ROOT

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # newer versions would rather have another client than httpx
    from fastapi.testclient import TestClient

Client = Annotated[AsyncDynamoDBClient, Depends(get_client)]


class Click(Model):
    class Meta:
        table_name = "clicks"
        cluster = "analytics"

    name = User.name


def shop(lifespan: Any = None) -> FastAPI:
    app = FastAPI(lifespan=lifespan)

    @app.get("/users/{name}")
    async def read(name: str) -> dict[str, Any]:
        try:
            user = await User.aio.get(name)
        except User.DoesNotExist:
            raise HTTPException(404) from None
        return {"name": user.name, "visits": user.visits}

    @app.get("/in-a-thread/{name}")
    def read_in_a_thread(name: str) -> dict[str, Any]:
        return {"name": User.get(name).name}

    @app.put("/users/{name}")
    async def write(name: str) -> None:
        await User(name).aio.save(User.name.does_not_exist())

    @app.post("/users/{name}/visits")
    async def visit(name: str, cluster: Annotated[aio.AsyncCluster, Depends(get_cluster)]) -> None:
        with cluster.options(timeouts={"total": 1.0}):
            await User(name).aio.update([User.visits.add(1)])

    @app.get("/tables")
    async def list_tables(client: Client) -> list[str]:
        tables: list[str] = (await client.list_tables())["TableNames"]
        return tables

    return app


@pytest.fixture
def table(local: LocalCluster) -> None:
    with registry.replaced(default=local.url):
        User.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
        User("alice").save()


def open_connections(cluster: Cluster) -> int:
    return sum(stats.connections_open for stats in cluster.stats().values())


# ---- the lifespan ------------------------------------------------------------------------------------------------


def test_models_and_a_client_while_the_application_runs(local: LocalCluster, table: None) -> None:
    with TestClient(shop(alternator_lifespan(local.url))) as browser:
        cluster = pynamodb_alternator.get_cluster()
        assert browser.get("/users/alice").json() == {"name": "alice", "visits": 0}
        assert browser.get("/users/bob").status_code == 404
        assert browser.get("/in-a-thread/alice").json() == {"name": "alice"}
        assert browser.get("/tables").json() == ["users"]
        assert open_connections(cluster) > 0
    assert cluster.closed
    assert open_connections(cluster) == 0
    with pytest.raises(ConfigurationError, match=r"with TestClient\(app\) as client"):
        User.get("alice")


def test_an_application_starts_more_than_once(local: LocalCluster, table: None) -> None:
    app = shop(alternator_lifespan(local.url))
    for _ in range(3):
        with TestClient(app) as browser:
            assert browser.get("/users/alice").status_code == 200


def test_several_clusters_in_each_form_of_settings(local: LocalCluster, table: None) -> None:
    with LocalCluster(nodes=1) as other:
        settings = {"default": {"SEEDS": ["127.0.0.1"], "port": local.port}, "analytics": other.url}
        app = shop(alternator_lifespan(settings, create_tables=[User, Click]))

        @app.get("/clicks")
        async def clicks(
            client: Annotated[Any, Depends(get_client_of("analytics"))],
            cluster: Annotated[aio.AsyncCluster, Depends(get_cluster_of("analytics"))],
        ) -> list[Any]:
            return [(await client.list_tables())["TableNames"], await Click.aio.exists(), cluster.name]

        with TestClient(app) as browser:
            assert browser.get("/users/alice").status_code == 200
            assert browser.get("/tables").json() == ["users"]
            assert browser.get("/clicks").json() == [["clicks"], True, "analytics"]


def test_your_own_lifespan_runs_inside_and_its_state_is_passed_on(local: LocalCluster, table: None) -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        steps.append((await User.aio.get("alice")).name)
        yield {"greeting": "hello"}
        steps.append((await User.aio.get("alice")).name)

    app = shop(alternator_lifespan(local.url, lifespan=own))

    @app.get("/state")
    async def state(request: Request) -> str:
        greeting: str = request.state.greeting
        return greeting

    with TestClient(app) as browser:
        assert browser.get("/state").json() == "hello"
        assert steps == ["alice"]
    assert steps == ["alice", "alice"]


def test_inside_of_your_own_lifespan(local: LocalCluster, table: None) -> None:
    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[None]:
        async with alternator_lifespan(local.url)(app):
            yield

    with TestClient(shop(own)) as browser:
        assert browser.get("/users/alice").status_code == 200


def test_an_error_of_your_own_lifespan_leaves_nothing_behind(local: LocalCluster, table: None) -> None:
    seen: list[Cluster] = []

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[None]:
        await User.aio.get("alice")
        seen.append(pynamodb_alternator.get_cluster())
        raise LookupError("of mine")
        yield

    with pytest.raises(LookupError, match="of mine"), TestClient(shop(alternator_lifespan(local.url, lifespan=own))):
        pass
    assert seen[0].closed
    with pytest.raises(ConfigurationError):
        pynamodb_alternator.get_cluster()


def test_without_clusters_the_aliases_mean_what_they_meant(table: None, cluster: Cluster) -> None:
    async def main() -> None:
        app = shop(alternator_lifespan(connect=True))
        async with app.router.lifespan_context(app):
            await User.aio.get("alice")
            assert open_connections(cluster) > threads
        assert open_connections(cluster) == threads

    User.get("alice")
    threads = open_connections(cluster)
    asyncio.run(main())
    assert User.get("alice").name == "alice"  # the cluster is as open as before


def test_settings_are_read_when_the_application_starts(local: LocalCluster, table: None) -> None:
    settings: list[str] = []
    app = shop(alternator_lifespan(lambda: {"default": settings[0]}))
    settings.append(local.url)
    with TestClient(app) as browser:
        assert browser.get("/users/alice").status_code == 200
    settings[0] = "nowhere"
    with pytest.raises(ConfigurationError, match=r"alternator_lifespan\(default=\.\.\.\)"), TestClient(app):
        pass


def test_nothing_is_connected_at_the_start(local: LocalCluster) -> None:
    with TestClient(shop(alternator_lifespan(local.url))):
        assert pynamodb_alternator.get_cluster().core.membership.last_read is None
    assert [node.requests for node in local.nodes] == [[], [], []]


def test_two_applications_that_mean_different_clusters_by_one_alias(local: LocalCluster, table: None) -> None:
    with LocalCluster(nodes=1) as other, TestClient(shop(alternator_lifespan(local.url))) as browser:
        with (
            pytest.raises(ConfigurationError, match="alias 'default' means another cluster in another application"),
            TestClient(shop(alternator_lifespan(other.url))),
        ):
            pass
        with TestClient(shop(alternator_lifespan({"analytics": other.url}))):
            assert not Click.exists()
        with TestClient(shop(alternator_lifespan(local.url))) as second:
            assert second.get("/users/alice").status_code == 200
        assert browser.get("/users/alice").status_code == 200


WRONG: list[tuple[Any, str]] = [
    (5, r"takes a URL, or a dict from alias to cluster.*\(got int\)"),
    ({}, r"\(got an empty dict\)"),
    ({"SEEDS": ["10.0.0.1"]}, r"'SEEDS' is a setting of one cluster\. Write \{'default': \{'SEEDS': \.\.\.\}\}"),
    ({"": "http://10.0.0.1:8000"}, "an alias is a name"),
    ({"analytics": 5}, r"alternator_lifespan\(analytics=\.\.\.\) must be a URL"),
    ({"analytics": {"URL": "http://a:1", "PROT": 1}}, r"alternator_lifespan\(analytics=.*'PROT'.*'PORT'"),
    ("10.0.0.1", r"alternator_lifespan\(\.\.\.\)"),
]


@pytest.mark.parametrize(("clusters", "says"), WRONG)
def test_wrong_clusters_are_an_error_where_they_are_written(clusters: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        alternator_lifespan(clusters)


async def _undecorated(app: FastAPI) -> AsyncIterator[None]:
    yield


async def _awaited(app: FastAPI) -> None: ...


WRONG_LIFESPANS: list[tuple[Any, str]] = [
    ("mine", r"lifespan must be a function.*\(got str\)"),
    (_undecorated, r"_undecorated must have @asynccontextmanager above it"),
    (_awaited, r"_awaited must have @asynccontextmanager above it"),
    (asynccontextmanager(_undecorated)(FastAPI()), r"Write the function itself, and do not call it"),
]


@pytest.mark.parametrize(("lifespan", "says"), WRONG_LIFESPANS)
def test_lifespans_that_fastapi_does_not_take(lifespan: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        alternator_lifespan(lifespan=lifespan)


@pytest.mark.parametrize("models", [User, "users", ["users"], [FastAPI], 5])
def test_tables_of_other_things_than_models(models: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"create_tables=\[User, Order\]"):
        alternator_lifespan(create_tables=models)


def test_the_helper_itself_as_a_lifespan() -> None:
    app = FastAPI(lifespan=alternator_lifespan)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"FastAPI\(lifespan=alternator_lifespan\(\.\.\.\)\)"), TestClient(app):
        pass


async def _read_elsewhere() -> str:
    return REAL


def test_a_function_of_clusters_that_gives_none() -> None:
    with pytest.raises(ConfigurationError, match=r"_read_elsewhere.*async with alternator_lifespan\(.*\)\(app\):"):
        alternator_lifespan(_read_elsewhere)  # type: ignore[arg-type]
    # As it is where an environment variable is missing.
    app = FastAPI(lifespan=alternator_lifespan(lambda: None))  # type: ignore[arg-type, return-value]
    with pytest.raises(ConfigurationError, match=r"\(got None from the function that was given\)"), TestClient(app):
        pass


def test_handlers_are_those_of_an_application() -> None:
    with pytest.raises(ConfigurationError, match=r"add_exception_handlers\(\) takes.*\(got APIRouter\)"):
        add_exception_handlers(APIRouter())  # type: ignore[arg-type]


@pytest.mark.parametrize("of", [get_client_of, get_cluster_of, healthz_of])
@pytest.mark.parametrize("alias", [5, "", ["default"], get_client])
def test_an_alias_is_a_name(of: Any, alias: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{of.__name__}.*such as 'analytics'"):
        of(alias)


def test_an_alias_that_the_lifespan_does_not_have(local: LocalCluster) -> None:
    app = shop(alternator_lifespan({"default": local.url, "reports": local.url}))
    app.add_api_route("/healthz", healthz_of("analytics"))
    with (
        TestClient(app) as browser,
        pytest.raises(ConfigurationError, match=r"alternator_lifespan\(\) \(these are: 'default', 'reports'\)"),
    ):
        browser.get("/healthz")


def test_one_alias_gives_one_dependency() -> None:
    assert get_client_of("analytics") is get_client_of("analytics")
    assert get_cluster_of("analytics") is get_cluster_of("analytics")
    assert healthz_of("a", "b") is healthz_of("a", "b")
    assert healthz_of() is healthz


# ---- what is looked at before the start --------------------------------------------------------------------------


def ours(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the module has logged."""
    return [record.message for record in caplog.records if record.name == "pynamodb_alternator.fastapi"]


def kill_all(local: LocalCluster) -> None:
    for node in local.nodes:
        node.kill()


def test_connect_wants_a_node_that_answers(local: LocalCluster) -> None:
    app = shop(alternator_lifespan({"default": local.url}, connect=True))
    with TestClient(app):
        assert pynamodb_alternator.get_cluster().core.membership.last_success is not None
    kill_all(local)
    with (
        pytest.raises(NoNodesAvailableError, match=r"no node of the cluster 'default' answers \(seeds: 127"),
        TestClient(app),
    ):
        pass
    with pytest.raises(ConfigurationError):
        pynamodb_alternator.get_cluster()


def test_tables_that_cannot_be_created(local: LocalCluster) -> None:
    app = shop(alternator_lifespan(local.url, create_tables=[User]))
    kill_all(local)
    with pytest.raises(TableError) as caught, TestClient(app):
        pass
    assert re.search(r"does not start, because the table of User .* create_tables", caught.value.__notes__[0])


def test_check_starts_with_warnings_and_not_with_errors(local: LocalCluster, caplog: pytest.LogCaptureFixture) -> None:
    app = shop(alternator_lifespan(local.url, check=True))
    with TestClient(app):
        assert ours(caplog) == []
    local.nodes[1].kill(still_listed=True)
    with TestClient(app):
        (said,) = ours(caplog)
        assert said.startswith("Cluster 'default': reachability: 127.0.0.2:")
    kill_all(local)
    with (
        pytest.raises(AlternatorError, match=r"is wrong with the cluster 'default': reachability.*check=True"),
        TestClient(app),
    ):
        pass


# ---- dependencies ------------------------------------------------------------------------------------------------


def test_a_stranger_cannot_choose_the_cluster(local: LocalCluster) -> None:
    app = shop(alternator_lifespan(local.url))
    assert "parameters" not in app.openapi()["paths"]["/tables"]["get"]
    with TestClient(app) as browser:
        assert browser.get("/tables?alias=analytics").status_code == 200


def test_a_dependency_can_be_overridden(local: LocalCluster) -> None:
    app = shop(alternator_lifespan(local.url))

    class Other:
        async def list_tables(self) -> dict[str, list[str]]:
            return {"TableNames": ["mine"]}

    assert get_client_of("analytics") is get_client_of("analytics")
    app.dependency_overrides[get_client] = Other
    with TestClient(app) as browser:
        assert browser.get("/tables").json() == ["mine"]


def test_settings_of_a_route_by_a_dependency(local: LocalCluster) -> None:
    app = shop(alternator_lifespan(local.url))

    async def quickly(cluster: Annotated[aio.AsyncCluster, Depends(get_cluster)]) -> AsyncIterator[None]:
        with cluster.options(timeouts={"total": 0.5}):
            yield

    def total() -> float | None:
        return current(pynamodb_alternator.get_cluster().core.key).total_timeout

    @app.get("/quick", dependencies=[Depends(quickly)])
    async def quick() -> Any:
        return total()

    @app.get("/quick-in-a-thread", dependencies=[Depends(quickly)])
    def quick_in_a_thread() -> Any:
        return total()

    @app.get("/other")
    async def other() -> Any:
        return total()

    with TestClient(app) as browser:
        answers = [browser.get(path).json() for path in ("/quick", "/quick-in-a-thread", "/other")]
    assert answers == [0.5, 0.5, None]


# ---- errors as answers -------------------------------------------------------------------------------------------


@pytest.fixture
def handled(local: LocalCluster, table: None) -> FastAPI:
    app = shop(alternator_lifespan(f"{local.url}/?max_attempts=2"))
    add_exception_handlers(app)
    return app


@pytest.mark.parametrize("path", ["/users/alice", "/in-a-thread/alice", "/tables"])
def test_503_where_no_node_can_have_seen_the_request(
    handled: FastAPI, local: LocalCluster, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with TestClient(handled) as browser:
        assert browser.get(path).status_code == 200
        kill_all(local)
        # An idle connection that breaks leaves it open whether the node saw the request.
        pynamodb_alternator.get_cluster().core.all_pools.keep_only(())
        answer = browser.get(path)
    assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "1")
    assert answer.json()["code"] == "database_unavailable"
    assert "127.0.0" not in answer.text
    (said,) = ours(caplog)
    assert said.startswith(f"GET {path} is answered with 503: ")
    assert "127.0.0" in said


def test_504_where_the_outcome_is_open(handled: FastAPI, local: LocalCluster) -> None:
    with TestClient(handled) as browser:
        assert browser.post("/users/alice/visits").status_code == 200
        for node in local.nodes:
            node.delay(30.0)
        answer = browser.post("/users/alice/visits")
    assert (answer.status_code, "Retry-After" in answer.headers) == (504, False)
    assert answer.json()["code"] == "outcome_unknown"


def test_errors_of_several_tasks(handled: FastAPI, local: LocalCluster) -> None:
    async def increment() -> None:
        await User("alice").aio.update([User.visits.add(1)])

    async def fail() -> None:
        raise ValueError

    @handled.get("/tasks")
    async def tasks(of: str) -> None:
        async with asyncio.TaskGroup() as group:
            for name in of.split(","):
                group.create_task({"read": lambda: User.aio.get("alice"), "write": increment, "fail": fail}[name]())

    with TestClient(handled, raise_server_exceptions=False) as browser:
        assert browser.get("/tasks?of=read,write").status_code == 200
        for node in local.nodes:
            node.drop_request(None, operation="UpdateItem")
        assert browser.get("/tasks?of=write").status_code == 504
        kill_all(local)
        pynamodb_alternator.get_cluster().core.all_pools.keep_only(())
        answer = browser.get("/tasks?of=read,read")
        assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "1")
        assert browser.get("/tasks?of=read,fail").status_code == 500


def test_other_errors_go_on_as_before(handled: FastAPI) -> None:
    with TestClient(handled) as browser, pytest.raises(PutError, match="conditional request failed"):
        browser.put("/users/alice")
    with TestClient(handled, raise_server_exceptions=False) as browser:
        assert browser.put("/users/alice").status_code == 500


def test_a_handler_of_yours_wins(handled: FastAPI) -> None:
    @handled.exception_handler(PutError)
    async def refused(request: Request, error: PutError) -> PlainTextResponse:
        return PlainTextResponse(str(error.cause_response_code), 409)

    with TestClient(handled) as browser:
        answer = browser.put("/users/alice")
    assert (answer.status_code, answer.text) == (409, "ConditionalCheckFailedException")


def test_a_websocket_gets_the_error_itself(handled: FastAPI, local: LocalCluster) -> None:
    @handled.websocket("/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        await User.aio.get("alice")

    with TestClient(handled) as browser:
        kill_all(local)
        with pytest.raises(GetError), browser.websocket_connect("/live") as socket:
            socket.receive_text()


# ---- under test --------------------------------------------------------------------------------------------------

REAL = "http://192.0.2.1:8000"
"""A cluster that must not be reached."""
app = shop(alternator_lifespan(REAL))


def test_with_a_test_client_that_is_entered(alternator_cluster: LocalCluster, alternator_models: Any) -> None:
    alternator_models(User)
    with TestClient(app) as browser:
        assert browser.put("/users/alice").status_code == 200
        assert browser.get("/users/alice").status_code == 200


def test_with_a_test_client_that_is_not_entered(alternator_cluster: LocalCluster, alternator_models: Any) -> None:
    """Starlette gives each request an event loop of its own then, and does not run the lifespan."""
    alternator_models(User)
    browser = TestClient(app)
    assert browser.put("/users/alice").status_code == 200
    for _ in range(5):
        assert browser.get("/users/alice").status_code == 200
    before = open_connections(pynamodb_alternator.get_cluster())
    assert browser.get("/tables").json() == ["users"]
    assert open_connections(pynamodb_alternator.get_cluster()) == before


@pytest.mark.parametrize("number", range(2))
def test_with_httpx_in_an_event_loop_of_the_test(
    alternator_cluster: LocalCluster, alternator_models: Any, number: int
) -> None:
    alternator_models(User)

    async def main() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as browser:
            assert (await browser.put("/users/alice")).status_code == 200
            answers = await asyncio.gather(*(browser.get("/users/alice") for _ in range(20)))
            assert {answer.status_code for answer in answers} == {200}

    asyncio.run(main())


def test_an_alias_that_the_test_has_not_replaced_is_refused(alternator_cluster: LocalCluster) -> None:
    app = shop(alternator_lifespan({"default": REAL, "analytics": REAL}))

    @app.get("/clicks")
    async def clicks() -> bool:
        return await Click.aio.exists()

    with (
        TestClient(app) as browser,
        pytest.raises(pynamodb_alternator.errors.BlockedConnectionError, match=r"alternator_lifespan.*'analytics'"),
    ):
        browser.get("/clicks")


# ---- the documentation -------------------------------------------------------------------------------------------

PAGE = ROOT / "docs" / "fastapi.md"


def test_the_examples_of_the_documentation(
    alternator_cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch, alternator_models: Any
) -> None:
    first, second, third, streamed, tests = re.findall(
        r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    shop: dict[str, Any] = {"__name__": "shop"}
    exec(compile(first, "shop.py", "exec"), shop)
    exec(compile(third, "shop.py", "exec"), shop)
    exec(compile(streamed, "shop.py", "exec"), shop)
    alternator_models(shop["Order"])
    shop["Order"]("a", total=7).save()
    with TestClient(shop["app"]) as browser:
        assert browser.get("/orders/a").json() == {"id": "a", "total": 7}
        assert browser.get("/orders/b").status_code == 404
        assert browser.get("/receipts/a").json() == "7 EUR"
        assert browser.get("/tables").json() == ["orders"]
        assert browser.get("/healthz").status_code == 200
        assert browser.get("/export").text == "a,7\n"
        assert browser.delete("/orders/a").status_code == 200
        assert browser.get("/orders/a").status_code == 404

    monkeypatch.setenv("SHOP_CLUSTER", alternator_cluster.url)
    configs: dict[str, Any] = {"__name__": "settings"}
    exec(compile(second, "settings.py", "exec"), configs)
    with (
        pytest.raises(pynamodb_alternator.errors.BlockedConnectionError, match=r"10\.1\.0\.1:8000"),
        TestClient(configs["app"]),  # connect=True, and 10.1.0.1 is not of the test
    ):
        pass

    exec(compile(tests, "test_shop.py", "exec"), shop)
    shop["test_with_the_lifespan"](alternator_cluster, alternator_models)
    asyncio.run(shop["test_in_the_event_loop_of_the_test"](alternator_cluster, alternator_models))
