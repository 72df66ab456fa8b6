"""Both lanes put botocore's requests on the wire, validly signed, and give its answers and exceptions back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse, HeadersDict
from botocore.config import Config
from botocore.credentials import Credentials as StockCredentials
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator import Cluster, ClusterConfig, Credentials, Retries
from pynamodb_alternator.errors import OutcomeUnknownError, ServerFailureError
from pynamodb_alternator.routing.idempotence import is_read
from pynamodb_alternator.transport.budget import RetryBudget
from pynamodb_alternator.transport.control import ControlConnections
from pynamodb_alternator.transport.http1 import Answer
from pynamodb_alternator.transport.lanes import CompatibleLane, Sender, ShortLane
from tests.e2e.support import take_lane

from . import test_parsing as answered
from . import test_serialization as asked

ACCESS, SECRET, REGION = "access", "s3cr3t", "eu-west-1"
LANES = ("happy", "short", "compatible")
many = settings(deadline=None, max_examples=40)


class Sent:
    """One request as it left, and the answer that comes back for it."""

    def __init__(self) -> None:
        self.status, self.headers, self.answer = 200, {"content-type": "application/x-amz-json-1.0"}, b"{}"
        self.requests: list[tuple[dict[str, str], bytes]] = []

    def take(self) -> tuple[dict[str, str], bytes]:
        (request,) = self.requests
        self.requests.clear()
        return request


class StockSession:
    """Stands where botocore keeps its HTTP session."""

    def __init__(self, sent: Sent) -> None:
        self.sent = sent

    def send(self, request: Any) -> AWSResponse:
        headers = {
            name.lower(): value.decode() if isinstance(value, bytes) else value
            for name, value in request.headers.items()
        }
        self.sent.requests.append((headers, request.body))
        return AWSResponse(request.url, self.sent.status, HeadersDict(self.sent.headers), Raw(self.sent.answer))

    def close(self) -> None:
        return None


OUTCOME_UNKNOWN = [kind.__name__ for kind in ServerFailureError.__mro__ if not issubclass(ClientError, kind)]


class Raw:
    def __init__(self, body: bytes) -> None:
        self.body = body

    def stream(self) -> Iterator[bytes]:
        yield self.body


@pytest.fixture(scope="module")
def sent() -> Sent:
    return Sent()


@pytest.fixture(scope="module")
def stock(sent: Sent) -> Any:
    session = botocore.session.Session()
    session.set_credentials(ACCESS, SECRET)
    config = Config(parameter_validation=False)
    client = session.create_client("dynamodb", REGION, endpoint_url="http://127.0.0.1:8000", config=config)
    # Retries are a cluster's own business, and have their own tests.
    client.meta.events.unregister("needs-retry.dynamodb", unique_id="retry-config-dynamodb")
    client._endpoint.http_session = StockSession(sent)
    return client


@pytest.fixture(scope="module")
def clients(sent: Sent) -> Iterator[dict[str, Any]]:
    """A client of a cluster for each lane. Their wire is `sent`."""

    def send(self: Sender, node: Any, head: bytes, body: bytes, *_: Any, **__: Any) -> Answer:
        start, *lines = head.decode().removesuffix("\r\n\r\n").split("\r\n")
        assert start == "POST / HTTP/1.1"
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert name.lower() not in headers
            headers[name.lower()] = value
        sent.requests.append((headers, body))
        return Answer(sent.status, dict(sent.headers), sent.answer)

    config = ClusterConfig(
        "127.0.0.1",
        port=8000,
        monitor=False,
        region=REGION,
        credentials=Credentials(ACCESS, SECRET),
        retries=Retries(max_attempts=2),
    )
    with pytest.MonkeyPatch.context() as patch:
        # Nothing is sent twice; and no error says that it was sent as often as it may be, as botocore's do not here.
        patch.setattr(RetryBudget, "withdraw", lambda _: False)
        patch.setattr(ControlConnections, "fetch_answer", lambda *_: (200, b'["127.0.0.1"]'))
        patch.setattr(Sender, "send", send)
        with Cluster(config) as happy, Cluster(config) as short, Cluster(config) as compatible:
            take_lane(short.client, "short")
            take_lane(compatible.client, "compatible")
            yield {"happy": happy.client, "short": short.client, "compatible": compatible.client}


def botocores_words(error: Any, operation: str) -> tuple[Any, ...]:
    """Of an answer that leaves the outcome of a write open, whose error is all that botocore's is, and more."""
    status, code = error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    # Or of one that is not Alternator's, whatever its status: it names no error.
    assert status in (500, 502, 503, 504) or code in ("", str(status))
    assert not is_read(operation)
    assert str(error).startswith("An error occurred (")
    stock: Any = ClientError(error.response, operation)
    return str(stock), stock.args


def outcome(client: Any, operation: str, parameters: Any) -> Any:
    """What a call gives: its dict, or its exception in all that a caller sees of it."""
    try:
        return client._make_api_call(operation, parameters)
    except (ClientError, BotoCoreError) as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        code = getattr(client.exceptions.from_code(error.response["Error"]["Code"]), "__name__", None)
        said: tuple[Any, ...] = (str(error), error.args)
        if isinstance(error, OutcomeUnknownError):
            kinds = [kind for kind in kinds if kind not in OUTCOME_UNKNOWN]
            said = botocores_words(error, operation)
        return kinds, code, isinstance(error, client.exceptions.ClientError), error.response, *said


def assert_validly_signed(headers: dict[str, str], body: bytes) -> None:
    """By botocore's own signer, over what was sent and nothing else."""
    scheme, _, rest = headers["authorization"].partition(" ")
    assert scheme == "AWS4-HMAC-SHA256"
    fields = dict(part.split("=", 1) for part in rest.split(", "))
    names = fields["SignedHeaders"].split(";")
    assert {"host", "x-amz-date", "x-amz-target"} <= set(names)
    request = AWSRequest("POST", f"http://{headers['host']}/", {name: headers[name] for name in names}, body)
    request.context["timestamp"] = headers["x-amz-date"]
    auth: Any = SigV4Auth(StockCredentials(ACCESS, SECRET), "dynamodb", REGION)
    to_sign = auth.string_to_sign(request, auth.canonical_request(request))
    assert fields["Signature"] == auth.signature(to_sign, request)
    assert fields["Credential"] == auth.scope(request)


@pytest.fixture(scope="module")
def same(sent: Sent, stock: Any, clients: dict[str, Any]) -> Callable[[str, Any], None]:
    def check(operation: str, parameters: Any) -> None:
        sent.requests.clear()  # of a check that has failed
        expected = outcome(stock, operation, parameters)
        stock_headers, stock_body = sent.take()
        bodies = set()
        for lane in LANES:
            got = outcome(clients[lane], operation, parameters)
            headers, body = sent.take()
            assert json.loads(body) == json.loads(stock_body)
            for name in ("x-amz-target", "content-length"):
                # botocore's JSON has spaces; the length is that of the body as sent.
                value = headers.pop(name)
                assert value == (stock_headers[name] if name == "x-amz-target" else str(len(body)))
                headers[name] = value
            assert headers.keys() == {
                "host",
                "x-amz-target",
                "content-length",
                "user-agent",
                "x-amz-date",
                "authorization",
            }
            assert_validly_signed(headers, body)
            assert answered.canonical(without_objects(got)) == answered.canonical(without_objects(expected))
            bodies.add(body)
        assert len(bodies) == 1, "the lanes sent different bodies"

    return check


def without_objects(result: Any) -> Any:
    return list(result) if isinstance(result, tuple) else result


def test_each_client_takes_its_lane(clients: dict[str, Any], sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    for kind in (ShortLane, CompatibleLane):
        stock_exchange: Any = kind.exchange

        def exchange(self: Any, *arguments: Any, kind: Any = kind, original: Any = stock_exchange) -> Any:
            taken.append(kind)
            return original(self, *arguments)

        monkeypatch.setattr(kind, "exchange", exchange)
    for lane in LANES:
        clients[lane].list_tables()
        sent.take()
    assert taken == [ShortLane, CompatibleLane]


# ---- requests ---------------------------------------------------------------------------------------------------

capacity = st.sampled_from(["TOTAL", "INDEXES", "NONE"])
expressions = st.text('#:abc = é😀"\\', max_size=10)
aliases = st.dictionaries(asked.texts, asked.texts, max_size=2)
_common = {"TableName": st.just("t")}
_optional = {
    "ReturnConsumedCapacity": capacity,
    "ExpressionAttributeNames": aliases,
    "ExpressionAttributeValues": asked.items,
}
_write = {
    **_optional,
    "ConditionExpression": expressions,
    "ReturnValues": st.sampled_from(["NONE", "ALL_OLD", "ALL_NEW"]),
    "ReturnItemCollectionMetrics": st.just("SIZE"),
    "ReturnValuesOnConditionCheckFailure": st.just("ALL_OLD"),
}
_page = {
    **_optional,
    "IndexName": asked.texts,
    "ExclusiveStartKey": asked.items,
    "FilterExpression": expressions,
    "ProjectionExpression": expressions,
    "Limit": st.integers(1, 1000),
    "ConsistentRead": st.booleans(),
    "Select": st.just("COUNT"),
}
_batch_writes = st.lists(
    asked.items.map(lambda item: {"PutRequest": {"Item": item}})
    | asked.items.map(lambda key: {"DeleteRequest": {"Key": key}}),
    max_size=3,
)
_keys = st.fixed_dictionaries(
    {"Keys": st.lists(asked.items, max_size=3)},
    optional={
        "ConsistentRead": st.booleans(),
        "ProjectionExpression": expressions,
        "ExpressionAttributeNames": aliases,
    },
)
_in_table = asked.items.map(lambda item: {"TableName": "t", "Key": item})
REQUESTS: dict[str, st.SearchStrategy[Any]] = {
    "GetItem": st.fixed_dictionaries(
        {**_common, "Key": asked.items},
        optional={
            "ConsistentRead": st.booleans(),
            "ProjectionExpression": expressions,
            "ReturnConsumedCapacity": capacity,
        },
    ),
    "PutItem": st.fixed_dictionaries({**_common, "Item": asked.items}, optional=_write),
    "UpdateItem": st.fixed_dictionaries(
        {**_common, "Key": asked.items}, optional={**_write, "UpdateExpression": expressions}
    ),
    "DeleteItem": st.fixed_dictionaries({**_common, "Key": asked.items}, optional=_write),
    "Query": st.fixed_dictionaries(
        _common, optional={**_page, "KeyConditionExpression": expressions, "ScanIndexForward": st.booleans()}
    ),
    "Scan": st.fixed_dictionaries(
        _common, optional={**_page, "Segment": st.integers(0, 3), "TotalSegments": st.just(4)}
    ),
    "BatchGetItem": st.fixed_dictionaries(
        {"RequestItems": st.dictionaries(asked.texts, _keys, max_size=2)}, optional={"ReturnConsumedCapacity": capacity}
    ),
    "BatchWriteItem": st.fixed_dictionaries(
        {"RequestItems": st.dictionaries(asked.texts, _batch_writes, max_size=2)},
        optional={"ReturnConsumedCapacity": capacity, "ReturnItemCollectionMetrics": st.just("SIZE")},
    ),
    "TransactGetItems": st.fixed_dictionaries(
        {"TransactItems": st.lists(_in_table.map(lambda part: {"Get": part}), max_size=3)}
    ),
    "TransactWriteItems": st.fixed_dictionaries(
        # Without a token botocore makes one up, and so do we.
        {
            "TransactItems": st.lists(_in_table.map(lambda part: {"Delete": part}), max_size=3),
            "ClientRequestToken": asked.texts,
        }
    ),
}
ANSWERS = answered.answers(answered.items)
HEADERS = st.fixed_dictionaries(
    {"content-type": st.just("application/x-amz-json-1.0")},
    optional={
        "x-amzn-requestid": st.just("ABC"),
        "server": st.just("Seastar httpd"),
        "date": st.text("123 ", max_size=5),
    },
)


@pytest.mark.parametrize("operation", sorted(REQUESTS))
def test_requests_and_answers_are_the_same(operation: str, same: Any, sent: Sent) -> None:
    @many
    @given(REQUESTS[operation], ANSWERS[answered.ALIKE.get(operation, operation)], HEADERS)
    def check(parameters: Any, answer: Any, headers: Any) -> None:
        sent.status, sent.headers, sent.answer = 200, headers, json.dumps(answer).encode()
        same(operation, parameters)

    check()


@many
@given(
    answered.errors,
    st.sampled_from([400, 401, 413, 429, 500, 502, 503]),
    HEADERS,
    st.sampled_from(
        [
            ("GetItem", {"TableName": "t", "Key": {}}),
            ("TransactWriteItems", {"TransactItems": [], "ClientRequestToken": "x"}),
        ]
    ),
)
def test_errors_are_the_same(same: Any, sent: Sent, error: Any, status: int, headers: Any, call: Any) -> None:
    sent.status, sent.headers, sent.answer = status, headers, json.dumps(error).encode()
    same(*call)


@pytest.mark.parametrize("status", [400, 404, 429, 503])
@pytest.mark.parametrize("error", [{}, {"__type": ""}, {"__type": "x#"}, {"message": "no"}])
def test_errors_without_a_type_are_the_same(same: Any, sent: Sent, error: Any, status: int) -> None:
    sent.status, sent.headers, sent.answer = status, {}, json.dumps(error).encode()
    same("TransactWriteItems", {"TransactItems": [], "ClientRequestToken": "x"})
    same("GetItem", {"TableName": "t", "Key": {}})


def test_an_error_without_json_is_the_same(same: Any, sent: Sent) -> None:
    for status, body in ((503, b"<html>no</html>"), (404, b""), (500, b"{")):
        sent.status, sent.headers, sent.answer = status, {}, body
        same("GetItem", {"TableName": "t", "Key": {}})


def test_operations_without_items_are_the_same(same: Any, sent: Sent) -> None:
    sent.status, sent.headers = 200, {}
    for operation, parameters, answer in (
        ("ListTables", {}, {"TableNames": ["a"], "New": 1}),
        ("DescribeTable", {"TableName": "t"}, {"Table": {"TableName": "t", "CreationDateTime": 1.7e9, "ItemCount": 3}}),
        ("TagResource", {"ResourceArn": "x", "Tags": [{"Key": "a", "Value": "b"}]}, {}),
        ("DescribeTimeToLive", {"TableName": "t"}, {"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED"}}),
    ):
        sent.answer = json.dumps(answer).encode()
        same(operation, parameters)


def test_a_transaction_without_a_token_gets_one(clients: dict[str, Any], sent: Sent) -> None:
    sent.status, sent.headers, sent.answer = 200, {}, b"{}"
    tokens = set()
    for client in clients.values():
        client.transact_write_items(TransactItems=[])
        tokens.add(json.loads(sent.take()[1])["ClientRequestToken"])
        client.get_item(TableName="t", Key={})
        assert json.loads(sent.take()[1]) == {"TableName": "t", "Key": {}}
    assert len(tokens) == len(LANES)


# ---- mistakes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"TableName": "t", "Itm": {}}, 'Unknown parameter in input: "Itm"'),
        ({"TableName": "t", "Item": {"a": {"B": 5}}}, "Invalid type for parameter Item.a.B"),
        ({"TableName": "t", "Item": {"a": {"L": object()}}}, "Invalid type for parameter Item.a.L"),
        ({"TableName": "t", "Item": {"a": object()}}, "Invalid type for parameter Item.a"),
        ({"TableName": "t", "Expected": {"a": 5}}, "Invalid type for parameter Expected.a"),
    ],
)
def test_mistakes_have_the_text_of_botocore(
    lane: str, clients: dict[str, Any], sent: Sent, parameters: Any, words: str
) -> None:
    with pytest.raises(ParamValidationError, match="Parameter validation failed") as caught:
        clients[lane]._make_api_call("PutItem", parameters)
    assert words in str(caught.value)
    assert not sent.requests


# ---- the client ------------------------------------------------------------------------------------------------


def test_handlers_of_the_session_count_too() -> None:
    """A tool such as Sentry registers its handlers while the client is made."""
    session = botocore.session.Session()
    with Cluster("http://127.0.0.1:1") as cluster:
        assert not cluster.new_client(session)._endpoint.hooks.any_for("GetItem")
        session.register("request-created.dynamodb", lambda **_: None)
        assert cluster.new_client(session)._endpoint.hooks.any_for("GetItem")


@pytest.mark.parametrize("event", ["request-created", "choose-signer", "before-sign", "before-send", "before-parse"])
def test_a_handler_of_other_operations_or_events_changes_nothing(event: str) -> None:
    from botocore.handlers import disable_signing

    with Cluster("http://127.0.0.1:1") as cluster:
        client = cluster.new_client()
        events, hooks = client.meta.events, client._endpoint.hooks
        for name in (
            "before-call.dynamodb",
            "after-call",
            "provide-client-params",
            f"{event}.s3",
            f"{event}.dynamodb.Scan",
        ):
            events.register(name, disable_signing)
            assert not hooks.any_for("GetItem")
        assert hooks.any_for("Scan")
        events.register(f"{event}.dynamodb.*", disable_signing)
        assert hooks.any_for("GetItem")
        events.unregister(f"{event}.dynamodb.*", disable_signing)
        assert not hooks.any_for("GetItem")
