"""The clients that we assemble of botocore's parts: without an HTTP session of botocore's, of files that are read once,
and otherwise as botocore makes them."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import botocore.httpsession
import botocore.session
import pytest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import UnknownServiceError
from botocore.loaders import JSONFileLoader, Loader

from pynamodb_alternator import Cluster
from pynamodb_alternator.transport import _service
from pynamodb_alternator.transport._session import client_session

URLS = ("http://127.0.0.1:8000", "https://127.0.0.1:8043")


def made_by_property(cluster: Cluster) -> Any:
    return cluster.client


def made_anew(cluster: Cluster) -> Any:
    return cluster.new_client(validate_parameters=True)


def made_in_a_users_session(cluster: Cluster) -> Any:
    return cluster.new_client(botocore.session.Session())


def made_by_boto3(cluster: Cluster) -> Any:
    pytest.importorskip("boto3")
    from pynamodb_alternator.boto3 import client

    return client(cluster)


def made_by_boto3s_resource(cluster: Cluster) -> Any:
    pytest.importorskip("boto3")
    from pynamodb_alternator.boto3 import resource

    return resource(cluster).Table("orders").meta.client


def made_by_aiobotocore(cluster: Cluster) -> Any:
    pytest.importorskip("aiobotocore.session")
    from pynamodb_alternator.aio import AsyncCluster

    async def make() -> Any:
        shared = AsyncCluster(cluster)
        client = await shared.client()
        async with client:
            pass
        await shared.aclose()
        return client

    return asyncio.run(make())


def made_in_a_users_session_of_aiobotocore(cluster: Cluster) -> Any:
    session = pytest.importorskip("aiobotocore.session")
    from pynamodb_alternator.aio import AsyncCluster

    async def make() -> Any:
        shared = AsyncCluster(cluster)
        client = await shared.new_client(session.AioSession())
        await client.close()
        await shared.aclose()
        return client

    return asyncio.run(make())


MAKERS: tuple[Callable[[Cluster], Any], ...] = (
    made_by_property,
    made_anew,
    made_in_a_users_session,
    made_by_boto3,
    made_by_boto3s_resource,
    made_by_aiobotocore,
    made_in_a_users_session_of_aiobotocore,
)


def refuse(*arguments: Any, **options: Any) -> Any:
    raise AssertionError("this must not be done to make a client")


def forbid_http_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an SSLContext nor an HTTP session of botocore or aiobotocore can be made."""
    if importlib.util.find_spec("aiobotocore"):
        # aiohttp makes contexts when it is imported.
        sessions = importlib.import_module("aiobotocore.httpsession")
        monkeypatch.setattr(sessions.AIOHTTPSession, "__init__", refuse)
    monkeypatch.setattr(botocore.httpsession.URLLib3Session, "__init__", refuse)
    monkeypatch.setattr(ssl.SSLContext, "__new__", refuse)


# ---- no HTTP session ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("url", URLS)
def test_no_http_session_of_botocore_is_made(
    make: Callable[[Cluster], Any], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Cluster(url) as cluster:
        # The cluster itself has looked at its settings for TLS by now.
        forbid_http_sessions(monkeypatch)
        client = make(cluster)
        assert isinstance(client, BaseClient)
        assert client.meta.endpoint_url == url


def test_botocore_itself_would_make_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above proves nothing."""
    forbid_http_sessions(monkeypatch)
    with pytest.raises(AssertionError, match="must not be done"):
        stock_client()


# ---- files are read once -----------------------------------------------------------------------------------------


@pytest.fixture
def nothing_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_service, "_read", {})


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that botocore's loaders read, from now on."""
    files: list[str] = []
    stock = JSONFileLoader.load_file

    def load_file(self: JSONFileLoader, file_path: str) -> Any:
        data = stock(self, file_path)
        if data is not None:
            files.append(Path(file_path).name)
        return data

    monkeypatch.setattr(JSONFileLoader, "load_file", load_file)
    return files


@pytest.mark.usefixtures("nothing_read")
def test_the_service_is_read_once_for_all_clusters(read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Loader, "list_available_services", refuse)  # it looks at the folders of all services
    for _ in range(3):
        with Cluster(URLS[0]) as cluster:
            cluster.new_client()
            assert cluster.client.can_paginate("query")
            assert "table_exists" in cluster.client.waiter_names
    assert sorted(read) == ["paginators-1", "service-2", "waiters-2"]


@pytest.mark.usefixtures("nothing_read")
def test_boto3_reads_it_once_for_all_sessions(read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("boto3")
    monkeypatch.setattr(Loader, "list_available_services", refuse)
    for _ in range(3):
        with Cluster(URLS[0]) as cluster:
            made_by_boto3(cluster)
            made_by_boto3s_resource(cluster)
    assert sorted(read) == ["resources-1", "service-2"]


def test_a_change_of_a_service_model_changes_only_one_cluster() -> None:
    """As ScyllaDB's recipe for vector search, which adds members to shapes of a client's model, after it was made."""
    with Cluster(URLS[0]) as changed, Cluster(URLS[0]) as other:
        assert other.client is not None
        model: Any = changed.client.meta.service_model
        shapes = model._service_description["shapes"]
        shapes["Added"] = {"type": "structure", "members": {"QueryVector": {"shape": "AttributeValue"}}}
        shapes["QueryInput"]["members"]["Added"] = {"shape": "Added"}
        model.metadata["serviceFullName"] = "changed"

        def members(client: Any) -> set[str]:
            return set(client.meta.service_model.operation_model("Query").input_shape.members)

        assert "Added" in members(changed.client)  # the shapes were not looked at when the client was made
        with Cluster(URLS[0]) as later:
            for client in (other.client, later.client, changed.new_client(client_session())):
                assert "Added" not in members(client)
                assert client.meta.service_model.metadata["serviceFullName"] != "changed"


@pytest.mark.usefixtures("nothing_read")
def test_descriptions_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_DATA_PATH and botocore's extras hold as they do for botocore's loader."""

    def waiters(*names: str) -> dict[str, Any]:
        waiter = {"delay": 1, "maxAttempts": 1, "operation": "DescribeTable", "acceptors": []}
        return {"version": 2, "waiters": dict.fromkeys(names, waiter)}

    folder = tmp_path / "dynamodb" / "2012-08-10"
    folder.mkdir(parents=True)
    (folder / "waiters-2.json").write_text(json.dumps(waiters("Mine")))
    (folder / "waiters-2.sdk-extras.json").write_text(json.dumps({"merge": waiters("Extra")}))
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    with Cluster(URLS[0]) as cluster:
        assert sorted(cluster.client.waiter_names) == ["extra", "mine"]
    monkeypatch.delenv("AWS_DATA_PATH")
    with Cluster(URLS[0]) as cluster:
        assert "table_exists" in cluster.client.waiter_names


def test_for_the_rest_it_is_botocores_loader() -> None:
    loader: Any = client_session().get_component("data_loader")
    stock = Loader()
    for service, kind in (("dynamodb", "service-2"), ("dynamodb", "waiters-2"), ("dynamodbstreams", "service-2")):
        assert loader.load_service_model(service, kind) == stock.load_service_model(service, kind)
    version = stock.determine_latest_version("dynamodb", "service-2")
    assert loader.load_service_model("dynamodb", "service-2", version) is loader.load_service_model(
        "dynamodb", "service-2"
    )
    for service, kind in (("dynamodb", "nothing-1"), ("nothing", "service-2")):
        with pytest.raises(UnknownServiceError):
            loader.load_service_model(service, kind)


# ---- otherwise as botocore makes them ----------------------------------------------------------------------------


def stock_client() -> Any:
    config = Config(signature_version=botocore.UNSIGNED)
    return botocore.session.Session().create_client("dynamodb", "us-east-1", endpoint_url=URLS[0], config=config)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(URLS[0]) as cluster:
        yield cluster


def test_a_client_offers_what_botocores_offers(cluster: Cluster) -> None:
    client, stock = cluster.client, stock_client()
    assert set(dir(client)) == set(dir(stock))
    assert client.meta.method_to_api_mapping == stock.meta.method_to_api_mapping
    assert client.meta.partition == stock.meta.partition
    assert client.meta.region_name == stock.meta.region_name
    assert client.waiter_names == stock.waiter_names
    for method in stock.meta.method_to_api_mapping:
        assert client.can_paginate(method) == stock.can_paginate(method)
    names = [name for name in dir(stock.exceptions) if name[0].isupper()]
    assert "ResourceNotFoundException" in names
    for name in names:
        assert getattr(client.exceptions, name).__name__ == getattr(stock.exceptions, name).__name__
    for setting in vars(stock.meta.config):
        assert setting.startswith("_") or hasattr(client.meta.config, setting)
    for setting in ("region_name", "signature_version", "retries", "connect_timeout", "max_pool_connections"):
        assert getattr(client.meta.config, setting) == getattr(stock.meta.config, setting)
    assert client.generate_presigned_url("list_tables").startswith(URLS[0])
    assert type(client).get_item.__doc__ is not None
    client.close()


def test_handlers_of_the_users_session_are_called(cluster: Cluster) -> None:
    session = botocore.session.Session()
    session.set_default_client_config(Config(connect_timeout=7.5))
    description = Loader().load_service_model("dynamodb", "service-2")
    description["operations"]["GetRow"] = {**description["operations"]["GetItem"], "name": "GetRow"}

    class OwnLoader(Loader):
        def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
            if (service_name, type_name) == ("dynamodb", "service-2"):
                return description
            return super().load_service_model(service_name, type_name, api_version)

    session.register_component("data_loader", OwnLoader())

    def add_method(**event: Any) -> None:
        event["class_attributes"]["answer"] = lambda self: 42

    session.register("creating-client-class.dynamodb", add_method)
    client = cluster.new_client(session)
    assert client.answer() == 42
    assert "get_row" in client.meta.method_to_api_mapping
    assert client.meta.config.connect_timeout == 7.5
    # Its events are its own: what is registered in one client does not reach the session or another.
    client.meta.events.register("before-call.dynamodb", refuse)
    assert client.meta.events is not session.get_component("event_emitter")
    assert cluster.new_client(session).meta.events.emit("before-call.dynamodb") == []


def test_a_tool_that_wraps_the_making_of_a_client_is_called(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentry registers its handlers so."""
    stock, heard = BaseClient.__init__, []

    def hear(**event: Any) -> None:
        heard.append(event["event_name"])

    def init(self: Any, *arguments: Any, **options: Any) -> None:
        stock(self, *arguments, **options)
        self.meta.events.register("request-created", hear)

    monkeypatch.setattr(BaseClient, "__init__", init)
    cluster.client.meta.events.emit("request-created.dynamodb.GetItem")
    assert heard == ["request-created.dynamodb.GetItem"]


@pytest.mark.parametrize(
    "make", [made_by_property, made_anew, made_by_boto3, made_by_boto3s_resource, made_by_aiobotocore]
)
def test_no_configuration_of_aws_is_read(
    make: Callable[[Cluster], Any], cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "config"
    broken.write_text("[profile\nthis is not a configuration")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(broken))
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert make(cluster).meta.region_name == "us-east-1"
