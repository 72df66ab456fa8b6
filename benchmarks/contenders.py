"""The contenders that are measured, and the code of each for one operation."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import aiobotocore
import boto3
import botocore.session
import orjson
import pynamodb.models
from botocore.config import Config

import pynamodb_alternator
from pynamodb_alternator import Cluster, ClusterConfig, Credentials, Timeouts, Tls

from . import rust_orm
from .models import ACCESS, REGION, SECRET, make_model, make_rich_model, stock_meta
from .node import PAGES, RICH, TABLE, TABLES, item

STOCK_MODEL, STOCK_CLIENT, ALTERNATOR = "PynamoDB, stock", "botocore, stock", "alternator-client, boto3"
RUST_MODEL = "pydynox, model"
MODEL, MODEL_UNSIGNED, MODEL_COMPATIBLE = "our model", "our model, unsigned", "our model, compatible lane"
CLIENT, CLIENT_UNSIGNED = "our client", "our client, unsigned"
CLIENT_COMPATIBLE, CLIENT_COMPATIBLE_UNSIGNED = (
    "our client, compatible lane",
    "our client, compatible lane, unsigned",
)
HTTP_CLIENT, SOCKET = "http.client, orjson", "bare socket"

MODELS = (STOCK_MODEL, *((RUST_MODEL,) if rust_orm.INSTALLED else ()), MODEL, MODEL_UNSIGNED, MODEL_COMPATIBLE)
CLIENTS = (
    STOCK_CLIENT,
    ALTERNATOR,
    CLIENT,
    CLIENT_UNSIGNED,
    CLIENT_COMPATIBLE,
    CLIENT_COMPATIBLE_UNSIGNED,
    HTTP_CLIENT,
    SOCKET,
)
GET, SAVE, UPDATE = "get", "save", "conditional update"
BATCH_WRITE, BATCH_GET, PAGE_100, PAGE_1000 = "batch write of 25", "batch get of 100", "page of 100", "page of 1,000"
TLS = "get, TLS, deadline"
PAGE_RICH = "page of 1,000, nine attributes"
OPERATIONS = (GET, TLS, SAVE, UPDATE, BATCH_WRITE, BATCH_GET, PAGE_100, PAGE_1000)
"""The operations. Not every contender has all of them."""
_DEADLINE = 5.0
"""Seconds that a request over TLS may take: in all for our client; without an answer for the others, which have no
other limit."""

Calls = dict[str, Callable[[], Any]]

_KEY = {"key": {"S": "alice"}}
_CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    GET: ("GetItem", {"TableName": TABLE, "Key": _KEY}),
    SAVE: ("PutItem", {"TableName": TABLE, "Item": item(3)}),
    UPDATE: (
        "UpdateItem",
        {
            "TableName": TABLE,
            "Key": _KEY,
            "UpdateExpression": "SET #0 = :0",
            "ConditionExpression": "#0 = :1",
            "ExpressionAttributeNames": {"#0": "number"},
            "ExpressionAttributeValues": {":0": {"N": "5"}, ":1": {"N": "3"}},
            "ReturnValues": "ALL_NEW",
        },
    ),
    BATCH_WRITE: ("BatchWriteItem", {"RequestItems": {TABLE: [{"PutRequest": {"Item": item(n)}} for n in range(25)]}}),
    BATCH_GET: ("BatchGetItem", {"RequestItems": {TABLE: {"Keys": [{"key": {"S": f"k{n}"}} for n in range(100)]}}}),
    **{
        name: (
            "Query",
            {
                "TableName": PAGES[size],
                "KeyConditionExpression": "#0 = :0",
                "ExpressionAttributeNames": {"#0": "key"},
                "ExpressionAttributeValues": {":0": {"S": "alice"}},
            },
        )
        for name, size in ((PAGE_100, 100), (PAGE_1000, 1000))
    },
}


def model_calls(base: Any, **meta: Any) -> Calls:
    model = make_model(base, TABLE, **meta)
    pages = {name: make_model(base, PAGES[size], **meta) for name, size in ((PAGE_100, 100), (PAGE_1000, 1000))}
    values = {"number": 3, "name": "user-3", "text": "x" * 100, "flag": True, "score": 3.5}
    rich = make_rich_model(base, RICH, **meta)
    keys = [f"k{number}" for number in range(100)]
    item = model("alice", **values)
    several = [model(f"k{number}", **values) for number in range(25)]

    def batch_write() -> None:
        with model.batch_write() as batch:
            for each in several:
                batch.save(each)

    return {
        GET: lambda: model.get("alice"),
        SAVE: lambda: model("alice", **values).save(),
        UPDATE: lambda: item.update(actions=[model.number.set(5)], condition=model.number == 3),
        BATCH_WRITE: batch_write,
        BATCH_GET: lambda: list(model.batch_get(keys)),
        PAGE_100: lambda: list(pages[PAGE_100].query("alice")),
        PAGE_1000: lambda: list(pages[PAGE_1000].query("alice")),
        PAGE_RICH: lambda: list(rich.query("alice")),
    }


def client_calls(client: Any) -> Calls:
    methods = {
        "GetItem": client.get_item,
        "PutItem": client.put_item,
        "UpdateItem": client.update_item,
        "BatchWriteItem": client.batch_write_item,
        "BatchGetItem": client.batch_get_item,
        "Query": client.query,
    }

    def call(method: Any, parameters: dict[str, Any]) -> Callable[[], Any]:
        return lambda: method(**parameters)

    return {name: call(methods[operation], parameters) for name, (operation, parameters) in _CALLS.items()}


def http_client_calls(port: int, authority: str | None = None) -> Calls:
    """`authority`: the file of it, for TLS."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    if authority:
        context = ssl.create_default_context(cafile=authority)
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=_DEADLINE)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(operation: str, parameters: dict[str, Any]) -> Callable[[], Any]:
        def request() -> Any:
            headers = {"X-Amz-Target": f"DynamoDB_20120810.{operation}"}
            connection.request("POST", "/", orjson.dumps(parameters), headers)
            return orjson.loads(connection.getresponse().read())

        return request

    return {name: call(*parts) for name, parts in _CALLS.items()}


def socket_calls(port: int) -> Calls:
    """Sends a prepared request, and reads the answer until it is complete. This is the lower limit for all
    contenders."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(operation: str, parameters: dict[str, Any]) -> Callable[[], Any]:
        body = orjson.dumps(parameters)
        head = f"POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Target: D.{operation}\r\nContent-Length: {len(body)}\r\n\r\n"
        request = head.encode() + body

        def exchange() -> bytes:
            sock.send(request)
            data = sock.recv(65_536)
            end = data.find(b"\r\n\r\n")
            start = data.find(b"Content-Length:") + 15
            missing = end + 4 + int(data[start : data.find(b"\r", start)]) - len(data)
            pieces = [data]
            while missing > 0:
                piece = sock.recv(65_536)
                missing -= len(piece)
                pieces.append(piece)
            return b"".join(pieces)

        return exchange

    return {name: call(*parts) for name, parts in _CALLS.items()}


def stock_client(port: int, authority: str | None = None) -> Any:
    """`authority`: the file of it, for TLS."""
    session = botocore.session.Session()
    session.set_credentials(ACCESS, SECRET)
    # The settings with which PynamoDB makes its client.
    config = Config(parameter_validation=False, max_pool_connections=10, read_timeout=_DEADLINE if authority else 60)
    url = f"http{'s' if authority else ''}://127.0.0.1:{port}"
    return session.create_client("dynamodb", REGION, endpoint_url=url, config=config, verify=authority)


@contextlib.contextmanager
def alternator_client(port: int) -> Iterator[Any]:
    import alternator

    config = alternator.Config(seed_hosts=["127.0.0.1"], port=port, aws_region=REGION)
    auth = alternator.Auth.static_credentials(ACCESS, SECRET)
    with alternator.AlternatorClient(config, auth=auth) as client:
        yield client


@contextlib.contextmanager
def our_cluster(
    port: int, *, signed: bool = True, compatible: bool = False, tables: Sequence[str] = TABLES, **settings: Any
) -> Iterator[Cluster]:
    """A cluster with token awareness, which already knows the token rings of these tables."""
    credentials = Credentials(ACCESS, SECRET) if signed else None
    ways: dict[str, Any] = {"region": REGION, "key_route_affinity": "rmw", "token_aware": True}
    config = ClusterConfig("127.0.0.1", port=port, credentials=credentials, **{**ways, **settings})
    with Cluster(config) as cluster:
        know_rings(cluster, tables)
        if compatible:
            cluster.client.meta.events.register("before-send.dynamodb", lambda **_: None)
        yield cluster


def know_rings(cluster: Cluster, tables: Sequence[str]) -> None:
    """Read the token rings of the tables, so that all requests go to replicas."""
    for table in tables:
        cluster.register_table(table, "key")
        if cluster.config.token_aware is True:
            cluster.route(table, "alice")  # which reads the token ring
            if cluster.core.replicas.ring(table) is None:
                raise RuntimeError(f"The token ring of {table} is not known.")


def _tls_gets(stack: contextlib.ExitStack, port: int, authority: str) -> dict[str, Callable[[], Any]]:
    """A get over TLS, by the contenders that accept a certificate authority. Each has the strictest deadline that it
    offers."""
    timeouts = Timeouts(total=_DEADLINE)
    of_tls: dict[str, Any] = {"scheme": "https", "tls": Tls(ca=authority), "timeouts": timeouts}
    cluster = stack.enter_context(our_cluster(port, tables=(TABLE,), **of_tls))
    # PynamoDB has no setting for it; botocore reads this one when the client is made.
    os.environ["AWS_CA_BUNDLE"] = authority
    stack.callback(os.environ.pop, "AWS_CA_BUNDLE")
    meta = {**stock_meta(port), "host": f"https://127.0.0.1:{port}", "read_timeout_seconds": _DEADLINE}
    stock_get = model_calls(pynamodb.models.Model, **meta)[GET]
    stock_get()
    return {
        STOCK_MODEL: stock_get,
        MODEL: model_calls(pynamodb_alternator.Model, cluster=cluster)[GET],
        STOCK_CLIENT: client_calls(stock_client(port, authority))[GET],
        CLIENT: client_calls(cluster.client)[GET],
        HTTP_CLIENT: http_client_calls(port, authority)[GET],
    }


@contextlib.contextmanager
def all_calls(port: int, tls_port: int, authority: str) -> Iterator[dict[str, Calls]]:
    """The call of each contender for each operation, on a cluster at `port`, and on one with TLS."""
    with contextlib.ExitStack() as stack:
        calls = {STOCK_MODEL: model_calls(pynamodb.models.Model, **stock_meta(port))}
        ours = {}
        for model, client, signed, compatible in (
            (MODEL, CLIENT, True, False),
            (MODEL_UNSIGNED, CLIENT_UNSIGNED, False, False),
            (MODEL_COMPATIBLE, CLIENT_COMPATIBLE, True, True),
            (None, CLIENT_COMPATIBLE_UNSIGNED, False, True),
        ):
            cluster = stack.enter_context(our_cluster(port, signed=signed, compatible=compatible))
            if model is not None:
                calls[model] = model_calls(pynamodb_alternator.Model, cluster=cluster)
            ours[client] = client_calls(cluster.client)
        calls[STOCK_CLIENT] = client_calls(stock_client(port))
        calls[ALTERNATOR] = client_calls(stack.enter_context(alternator_client(port)))
        calls = {**calls, **ours, HTTP_CLIENT: http_client_calls(port), SOCKET: socket_calls(port)}
        if rust_orm.INSTALLED:
            get, save = rust_orm.calls(port, ACCESS, SECRET, REGION)
            calls[RUST_MODEL] = {GET: get, SAVE: save}
        for name, call in _tls_gets(stack, tls_port, authority).items():
            calls[name] = {**calls[name], TLS: call}
        yield calls


VERSIONS = {"botocore": botocore.__version__, "boto3": boto3.__version__, "pynamodb": pynamodb.__version__}
VERSIONS["aiobotocore"] = aiobotocore.__version__
if rust_orm.INSTALLED:
    VERSIONS["pydynox"] = rust_orm.INSTALLED
