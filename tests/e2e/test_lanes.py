"""The lane of a request depends on its listeners: tools that hook botocore's requests go on working."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import botocore
import pytest
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from pynamodb_alternator import Cluster, ClusterConfig, Credentials, Model
from pynamodb_alternator.errors import OutcomeUnknownError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.transport.lanes import CompatibleLane, Sender, ShortLane

from .support import TABLE

KEY = {"key": {"S": "a"}}


@pytest.fixture
def local() -> Iterator[LocalCluster]:
    """Three nodes that check every signature."""
    with LocalCluster(nodes=3, credentials={"alice": "s3cr3t"}) as local:
        yield local


def config_of(local: LocalCluster, **settings: Any) -> ClusterConfig:
    settings.setdefault("credentials", Credentials("alice", "s3cr3t"))
    # Without affinity there are no requests but the test's own: nothing has to be learnt of the tables.
    settings.setdefault("key_route_affinity", "none")
    return ClusterConfig([node.host for node in local.nodes], port=local.port, **settings)


@pytest.fixture
def cluster(local: LocalCluster) -> Iterator[Cluster]:
    with Cluster(config_of(local)) as cluster:
        cluster.client.create_table(**TABLE)
        yield cluster


class Traffic:
    """Which lanes the requests took, and what they sent."""

    def __init__(self) -> None:
        self.lanes: list[str] = []
        self.heads: list[dict[str, str]] = []
        self.bodies: list[bytes] = []

    def last(self) -> dict[str, str]:
        return self.heads[-1]


@pytest.fixture
def traffic(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Traffic:
    seen, lane = Traffic(), threading.local()
    for name, kind in (("short", ShortLane), ("compatible", CompatibleLane)):
        original: Any = kind.exchange

        def exchange(self: Any, *arguments: Any, original: Any = original, name: str = name) -> Any:
            lane.of_thread = name
            seen.lanes.append(name)
            try:
                return original(self, *arguments)
            finally:
                lane.of_thread = None

        monkeypatch.setattr(kind, "exchange", exchange)
    send = Sender.send

    def spy(self: Sender, node: Any, head: bytes, body: bytes, *others: Any, **named: Any) -> Any:
        if getattr(lane, "of_thread", None) is None:
            seen.lanes.append("happy")
        lines = head.decode().split("\r\n")[1:-2]
        seen.heads.append({name.lower(): value for name, _, value in (line.partition(": ") for line in lines)})
        seen.bodies.append(body)
        return send(self, node, head, body, *others, **named)

    monkeypatch.setattr(Sender, "send", spy)
    return seen


def get(client: Any) -> Any:
    return client.get_item(TableName="items", Key=KEY)


def canned(request: Any, body: bytes, status: int = 200) -> AWSResponse:
    class Raw:
        def stream(self) -> Iterator[bytes]:
            yield body

    return AWSResponse(request.url, status, HeadersDict({"X-Canned": "yes"}), Raw())


# ---- handlers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event", ["request-created", "before-sign", "before-send", "before-parse", "response-received"]
)
def test_a_handler_gets_the_request_and_without_it_the_happy_path_is_taken(
    event: str, cluster: Cluster, traffic: Traffic
) -> None:
    client, seen = cluster.client, []

    def handler(**payload: Any) -> None:
        seen.append(payload)

    get(client)
    client.meta.events.register(f"{event}.dynamodb.GetItem", handler)
    get(client)
    client.put_item(TableName="items", Item=KEY)
    client.meta.events.unregister(f"{event}.dynamodb.GetItem", handler)
    get(client)
    assert traffic.lanes == ["happy", "compatible", "happy", "happy"]
    (payload,) = seen
    assert payload.pop("event_name") == f"{event}.dynamodb.GetItem"
    # As botocore emits them.
    assert (
        payload.keys()
        == {
            "request-created": {"request", "operation_name"},
            "before-sign": {
                "request",
                "signing_name",
                "region_name",
                "signature_version",
                "request_signer",
                "operation_name",
            },
            "before-send": {"request"},
            "before-parse": {"operation_model", "response_dict", "customized_response_dict"},
            "response-received": {"response_dict", "parsed_response", "context", "exception"},
        }[event]
    )


def test_both_lanes_send_the_same(cluster: Cluster, traffic: Traffic) -> None:
    client = cluster.client
    client.put_item(TableName="items", Item={**KEY, "blob": {"B": b"\x00\xff"}, "text": {"S": "é😀"}})
    client.meta.events.register("before-send.dynamodb", lambda **_: None)
    client.put_item(TableName="items", Item={**KEY, "blob": {"B": b"\x00\xff"}, "text": {"S": "é😀"}})
    assert traffic.lanes == ["happy", "compatible"]
    assert traffic.bodies[0] == traffic.bodies[1]
    short, compatible = traffic.heads
    assert (
        short.keys()
        == compatible.keys()
        == {"host", "x-amz-target", "content-length", "user-agent", "x-amz-date", "authorization"}
    )
    assert short["x-amz-target"] == compatible["x-amz-target"]
    assert get(client)["Item"]["blob"] == {"B": b"\x00\xff"}


def test_before_send_adds_a_header(cluster: Cluster, traffic: Traffic) -> None:
    def add(request: Any, **_: Any) -> None:
        request.headers["X-Added"] = "é"

    cluster.client.meta.events.register("before-send.dynamodb", add)
    get(cluster.client)
    assert traffic.last()["x-added"] == "é"


def test_before_send_answers_itself(cluster: Cluster, traffic: Traffic) -> None:
    client = cluster.client
    answers = [(b'{"Item":{"key":{"S":"canned"}}}', 200), (b'{"__type":"a#ResourceNotFoundException"}', 400)]

    def answer(request: Any, **_: Any) -> AWSResponse:
        return canned(request, *answers.pop(0))

    client.meta.events.register("before-send.dynamodb.GetItem", answer)
    answered = get(client)
    assert answered["Item"] == {"key": {"S": "canned"}}
    assert answered["ResponseMetadata"]["HTTPHeaders"] == {"x-canned": "yes"}
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        get(client)
    assert traffic.heads == []


def test_a_refusal_that_before_send_made_up_is_final_and_the_nodes_are_not_blamed(
    cluster: Cluster, traffic: Traffic
) -> None:
    client, calls = cluster.client, []

    def refuse(request: Any, **_: Any) -> AWSResponse:
        calls.append(request)
        return canned(request, b"", 404)

    client.meta.events.register("before-send.dynamodb", refuse)
    for number in range(90):
        with pytest.raises(ClientError) as caught:
            get(client) if number % 2 else client.put_item(TableName="items", Item=KEY)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
        assert not isinstance(caught.value, OutcomeUnknownError)
    assert len(calls) == 90
    assert traffic.heads == []
    assert {node.set_aside_for for node in cluster.nodes()} == {None}


def test_before_send_raises(cluster: Cluster, traffic: Traffic) -> None:
    client, seen = cluster.client, []

    def refuse(**_: Any) -> None:
        raise PermissionError("not today")

    client.meta.events.register("before-send.dynamodb.GetItem", refuse)
    client.meta.events.register("response-received.dynamodb.GetItem", lambda exception, **_: seen.append(exception))
    with pytest.raises(PermissionError, match="not today") as caught:
        get(client)
    assert seen == [caught.value]
    assert traffic.heads == []


def test_what_handlers_change_is_signed_and_sent(cluster: Cluster, traffic: Traffic) -> None:
    def change(request: Any, **_: Any) -> None:
        request.headers["X-Mine"] = "1"
        request.data = request.data.replace(b'"a"', b'"b"')

    client = cluster.client
    client.put_item(TableName="items", Item={"key": {"S": "b"}})
    client.meta.events.register("request-created.dynamodb.GetItem", change)
    # The nodes check the signature, which covers the body.
    assert get(client)["Item"] == {"key": {"S": "b"}}
    assert traffic.last()["x-mine"] == "1"


def test_before_call_needs_no_compatible_lane(cluster: Cluster, traffic: Traffic) -> None:
    def add(params: Any, **_: Any) -> None:
        params["headers"]["X-Before-Call"] = "1"

    cluster.client.meta.events.register("before-call.dynamodb", add)
    get(cluster.client)
    assert traffic.lanes == ["short"]
    assert traffic.last()["x-before-call"] == "1"


def test_before_parse_and_response_received_see_the_answer(cluster: Cluster, traffic: Traffic) -> None:
    client, seen = cluster.client, []

    def customize(response_dict: Any, customized_response_dict: Any, **_: Any) -> None:
        assert response_dict["status_code"] == 200
        customized_response_dict["Mine"] = len(response_dict["body"])

    client.meta.events.register("before-parse.dynamodb", customize)
    client.meta.events.register("response-received.dynamodb", lambda parsed_response, **_: seen.append(parsed_response))
    answer = get(client)
    assert answer["Mine"] > 0
    assert seen == [answer]


def test_a_handler_of_choose_signer_makes_a_request_unsigned(
    local: LocalCluster, cluster: Cluster, traffic: Traffic
) -> None:
    client, versions = cluster.client, []

    def unsigned(signature_version: Any, **_: Any) -> Any:
        versions.append(signature_version)
        return botocore.UNSIGNED

    client.meta.events.register(
        "before-sign.dynamodb", lambda signature_version, **_: versions.append(signature_version)
    )
    get(client)
    assert "authorization" in traffic.last()
    client.meta.events.register("choose-signer.dynamodb", unsigned)
    with pytest.raises(ClientError, match="MissingAuthenticationToken"):
        get(client)
    assert "authorization" not in traffic.last()
    assert versions == ["v4", "v4", botocore.UNSIGNED]


def test_wrong_credentials_are_refused_in_both_lanes(local: LocalCluster) -> None:
    with Cluster(config_of(local, credentials=Credentials("alice", "wrong"))) as cluster:
        for _ in range(2):
            with pytest.raises(ClientError, match="UnrecognizedClient"):
                cluster.client.list_tables()
            cluster.client.meta.events.register("before-sign.dynamodb", lambda **_: None)


def test_an_unsigned_cluster_is_unsigned_in_both_lanes() -> None:
    with LocalCluster(nodes=1) as local, Cluster(local.url) as cluster:
        heads = []
        cluster.client.list_tables()
        cluster.client.meta.events.register(
            "before-send.dynamodb", lambda request, **_: heads.append(set(request.headers.keys()))
        )
        cluster.client.list_tables()
        assert heads == [{"X-Amz-Target", "Content-Length", "User-Agent"}]


# ---- attempts ----------------------------------------------------------------------------------------------------


def test_the_compatible_lane_fails_over(local: LocalCluster, cluster: Cluster, traffic: Traffic) -> None:
    client, created = cluster.client, []
    for number in range(20):
        client.put_item(TableName="items", Item={"key": {"S": f"k{number}"}})

    client.meta.events.register("request-created.dynamodb", lambda request, **_: created.append(request.url))
    half_way, lock = threading.Event(), threading.Lock()
    traffic.lanes.clear()

    def work(number: int) -> None:
        answer = client.get_item(TableName="items", Key={"key": {"S": f"k{number % 20}"}})
        assert answer["Item"] == {"key": {"S": f"k{number % 20}"}}
        with lock:
            if number == 100:
                half_way.set()

    def kill() -> None:
        assert half_way.wait(30)
        local.nodes[1].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(work, number) for number in range(400)]:
            future.result(60)
    killer.join()
    # One event for each attempt, each with the node of that attempt.
    assert len(created) == len(traffic.lanes) >= 400
    assert set(traffic.lanes) == {"compatible"}
    assert set(created) == {f"http://{node.host}:{local.port}/" for node in local.nodes}
    assert get(client)["ResponseMetadata"]["RetryAttempts"] >= 0


def test_a_stubbed_error_is_tried_again_on_another_node(cluster: Cluster) -> None:
    client, hosts = cluster.client, []
    client.put_item(TableName="items", Item=KEY)

    def fail_first(request: Any, **_: Any) -> AWSResponse | None:
        hosts.append(request.url)
        return canned(request, b'{"__type":"x#InternalServerError"}', 500) if len(hosts) == 1 else None

    client.meta.events.register("before-send.dynamodb.GetItem", fail_first)
    answer = get(client)
    assert answer["Item"] == KEY
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1
    assert len(set(hosts)) == 2


# ---- tools -------------------------------------------------------------------------------------------------------


def test_botocores_stubber_answers_requests(cluster: Cluster, traffic: Traffic) -> None:
    client = cluster.client
    with Stubber(client) as stubber:
        stubber.add_response("get_item", {"Item": {"key": {"S": "stub"}}}, {"TableName": "items", "Key": KEY})
        stubber.add_client_error("get_item", "ResourceNotFoundException", http_status_code=400)
        assert get(client)["Item"] == {"key": {"S": "stub"}}
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            get(client)
        stubber.assert_no_pending_responses()
    assert traffic.heads == []
    assert "Item" not in get(client)


def test_opentelemetry_instruments_our_client(cluster: Cluster, traffic: Traffic) -> None:
    instrumentation: Any = pytest.importorskip("opentelemetry.instrumentation.botocore")
    sdk: Any = pytest.importorskip("opentelemetry.sdk.trace")
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), sdk.TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = instrumentation.BotocoreInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        get(cluster.client)
        assert cluster.client._endpoint.hooks.any_for("GetItem")
        get(cluster.client)
        with pytest.raises(ClientError):
            cluster.client.get_item(TableName="none", Key=KEY)
    finally:
        instrumentor.uninstrument()
    get(cluster.client)
    assert traffic.lanes == ["compatible"] * 3 + ["happy"]
    assert "x-amzn-trace-id" in traffic.heads[0]
    assert "x-amzn-trace-id" not in traffic.last()
    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == ["DynamoDB.GetItem"] * 3
    assert spans[0].attributes["http.status_code"] == 200
    assert spans[0].attributes["aws.dynamodb.table_names"] == ("items",)
    assert f"{spans[0].context.trace_id:x}"[8:] in traffic.heads[0]["x-amzn-trace-id"]


def test_sentry_instruments_our_client(local: LocalCluster, cluster: Cluster, traffic: Traffic) -> None:
    sentry_sdk: Any = pytest.importorskip("sentry_sdk")
    from botocore.client import BaseClient
    from sentry_sdk.integrations.boto3 import Boto3Integration

    patched = {name: getattr(BaseClient, name) for name in ("__init__", "_make_api_call")}
    events: list[Any] = []

    class Transport(sentry_sdk.Transport):  # type: ignore[misc,name-defined]
        def capture_envelope(self, envelope: Any) -> None:
            events.append(envelope)

    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1",
        transport=Transport,
        traces_sample_rate=1.0,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[Boto3Integration()],
    )
    try:
        with Cluster(config_of(local)) as watched, sentry_sdk.start_transaction(name="test") as transaction:
            get(watched.client)
            trace = transaction.trace_id
    finally:
        sentry_sdk.get_client().close(0)
        sentry_sdk.get_global_scope().set_client(None)
        for name, method in patched.items():
            setattr(BaseClient, name, method)
    assert traffic.lanes == ["compatible"]
    assert trace in traffic.last()["sentry-trace"]
    (envelope,) = [event for event in events if event.get_transaction_event() is not None]
    (span,) = envelope.get_transaction_event()["spans"]
    assert "GetItem" in span["description"]


# ---- PynamoDB ----------------------------------------------------------------------------------------------------


def test_pynamodbs_signals_and_headers_are_the_same_in_both_lanes(cluster: Cluster, traffic: Traffic) -> None:
    from pynamodb.signals import post_dynamodb_send, pre_dynamodb_send

    class Item(Model):
        class Meta:
            table_name = "items"
            extra_headers = {"X-Model": "yes"}  # noqa: RUF012 (PynamoDB's way)
            cluster: Cluster

        key = UnicodeAttribute(hash_key=True)
        value = NumberAttribute(default=1)

    Item.Meta.cluster = cluster
    seen: list[tuple[str, Any]] = []

    def before(sender: Any, **payload: Any) -> None:
        seen.append(("pre", payload))

    def after(sender: Any, **payload: Any) -> None:
        seen.append(("post", payload))

    for number in range(2):
        with pre_dynamodb_send.connected_to(before), post_dynamodb_send.connected_to(after):
            Item(f"k{number}").save()
        assert Item.get(f"k{number}").value == 1
        cluster.client.meta.events.register("before-send.dynamodb", lambda **_: None)
    assert traffic.lanes == ["happy", "happy", "compatible", "compatible"]
    assert [head["x-model"] for head in traffic.heads] == ["yes"] * 4
    assert [kind for kind, _ in seen] == ["pre", "post"] * 2
    for pre, post in (seen[:2], seen[2:]):
        assert pre[1] == post[1]
        assert pre[1]["operation_name"] == "PutItem"
        assert pre[1]["table_name"] == "items"
    assert seen[0][1]["req_uuid"] != seen[2][1]["req_uuid"]
