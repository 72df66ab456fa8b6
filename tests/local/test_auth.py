"""The embedded cluster's SigV4: accepted from botocore, refused in the server's words."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable, Iterator

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from pynamodb_alternator.local import LocalCluster, LocalNode
from pynamodb_alternator.local.answers import DialectError
from pynamodb_alternator.local.auth import verify

from .wire import PREFIX, Wire, botocore_client

SECRETS = {"alice": "wonder/land+", "böb": "s3cret"}


@pytest.fixture
def guarded() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=2, credentials=SECRETS) as running:
        yield running
    assert running.failures == []


def signed(
    node: LocalNode, key: str = "alice", secret: str = "wonder/land+", region: str = "us-east-1", skew: int = 0
) -> tuple[dict[str, str], bytes]:
    """Headers and body of a ListTables, signed by botocore."""
    body = b"{}"
    request = AWSRequest(
        "POST",
        node.url + "/",
        headers={"X-Amz-Target": "DynamoDB_20120810.ListTables", "Host": node.address},
        data=body,
    )
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=skew)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: moment)
        botocore.auth.SigV4Auth(Credentials(key, secret), "dynamodb", region).add_auth(request)
    return dict(request.headers.items()), body


def test_botocore_is_accepted(guarded: LocalCluster) -> None:
    with botocore_client(guarded.url, "alice", SECRETS["alice"]) as client:
        assert client.list_tables()["TableNames"] == []
        client.create_table(
            TableName="tab",
            KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        client.put_item(TableName="tab", Item={"k": {"S": "ünïcode"}, "b": {"B": b"\xff"}})
    with botocore_client(guarded.nodes[1].url, "alice", SECRETS["alice"], region="dc1") as client:
        assert client.scan(TableName="tab")["Count"] == 1


def test_the_cluster_shows_its_credentials(guarded: LocalCluster) -> None:
    assert guarded.credentials == SECRETS
    assert LocalCluster(1).credentials is None


def test_a_wrong_secret_is_refused(guarded: LocalCluster) -> None:
    with botocore_client(guarded.url, "alice", "wrong") as client, pytest.raises(ClientError) as caught:
        client.list_tables()
    assert caught.value.response["Error"]["Code"] == "UnrecognizedClientException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert guarded.nodes[0].requests == []


def test_discovery_and_health_need_no_signature(guarded: LocalCluster) -> None:
    with Wire(guarded.nodes[0]) as wire:
        assert len(wire.get("/localnodes")) == 2
        assert wire.send("GET", "/")[0] == 200


Tamper = Callable[[dict[str, str]], object]


@pytest.mark.parametrize(
    ("tamper", "kind"),
    [
        (lambda h: None, None),
        (lambda h: h.pop("Authorization"), "MissingAuthenticationTokenException"),
        (lambda h: h.update({"X-Amz-Target": "DynamoDB_20120810.Scan"}), "UnrecognizedClientException"),
        (lambda h: h.update(Host="elsewhere"), "UnrecognizedClientException"),
        (lambda h: h.update(Authorization=h["Authorization"][:-1] + "x"), "UnrecognizedClientException"),
        (lambda h: h.update(Authorization=h["Authorization"].replace("alice", "eve")), "UnrecognizedClientException"),
        (
            lambda h: h.update(Authorization=h["Authorization"].replace("us-east", "us-west")),
            "UnrecognizedClientException",
        ),
        (lambda h: h.update(Authorization=h["Authorization"].replace("HMAC", "RSA")), "InvalidSignatureException"),
        (lambda h: h.update(Authorization=h["Authorization"].replace("/dynamodb", "")), "ValidationException"),
        (lambda h: h.update(Authorization=h["Authorization"].replace("x-amz-date;", "")), "InvalidSignatureException"),
        (lambda h: h.pop("X-Amz-Date"), "InvalidSignatureException"),
        (lambda h: h.update({"X-Amz-Date": "yesterday"}), "InvalidSignatureException"),
        # What is not signed may be added, and commas may stand for spaces.
        (lambda h: h.update({"X-Unsigned": "1"}), None),
        (lambda h: h.update(Authorization=h["Authorization"].replace(", ", ",")), None),
    ],
)
def test_a_changed_request_is_refused(guarded: LocalCluster, tamper: Tamper, kind: str | None) -> None:
    headers, body = signed(guarded.nodes[0])
    tamper(headers)
    with Wire(guarded.nodes[0]) as wire:
        status, _, answer = wire.send("POST", "/", body, headers)
    assert status == (200 if kind is None else 400), answer
    if kind is not None:
        assert json.loads(answer)["__type"] == PREFIX + kind


def test_the_body_is_signed(guarded: LocalCluster) -> None:
    headers, _ = signed(guarded.nodes[0])
    with Wire(guarded.nodes[0]) as wire:
        assert b"UnrecognizedClientException" in wire.send("POST", "/", b"{ }", headers)[2]


@pytest.mark.parametrize(
    ("skew", "expected"),
    [(-890, None), (890, None), (-920, "Signature expired"), (920, "Signature not yet current")],
)
def test_the_clock_may_be_wrong_by_15_minutes(guarded: LocalCluster, skew: int, expected: str | None) -> None:
    headers, body = signed(guarded.nodes[0], skew=skew)
    with Wire(guarded.nodes[0]) as wire:
        status, _, answer = wire.send("POST", "/", body, headers)
    assert status == (200 if expected is None else 400)
    if expected is not None:
        assert json.loads(answer)["message"].startswith(expected)
        assert json.loads(answer)["__type"] == PREFIX + "InvalidSignatureException"


def test_the_vector_of_the_sigv4_documentation() -> None:
    """The verifier against AWS's published key derivation, without botocore's help."""
    headers = {"host": "h", "x-amz-date": "20150830T123600Z"}
    moment = datetime.datetime(2015, 8, 30, 12, 36, tzinfo=datetime.UTC).timestamp()
    scope = "AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request"
    key = bytes.fromhex("c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9")
    empty = hashlib.sha256(b"").hexdigest()
    canonical = f"POST\n/\n\nhost:h\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\n{empty}"
    text = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            headers["x-amz-date"],
            scope.partition("/")[2],
            hashlib.sha256(canonical.encode()).hexdigest(),
        ]
    )
    import hmac

    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature={signature}"
    )
    secrets = {"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
    assert verify(secrets, "POST", headers, b"", moment) == "AKIDEXAMPLE"
    with pytest.raises(DialectError, match="Host header is mandatory"):
        verify(secrets, "POST", {}, b"", moment)
    with pytest.raises(DialectError, match="does not match the provided datestamp"):
        verify(secrets, "POST", {**headers, "x-amz-date": "20150831T123600Z"}, b"", moment + 86400)
