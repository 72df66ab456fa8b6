"""The embedded cluster's SigV4 and TLS: accepted from botocore, refused in the server's words."""

from __future__ import annotations

import datetime
import hashlib
import http.client
import json
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, SSLError

from pynamodb_alternator.errors import AlternatorError, ConfigurationError
from pynamodb_alternator.local import LocalCluster, LocalNode, LocalTls
from pynamodb_alternator.local.answers import DialectError
from pynamodb_alternator.local.auth import verify

from .local_wire import PREFIX, Wire, botocore_client, s

SECRETS = {"alice": "wonder/land+", "böb": "s3cret"}


# SigV4


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
def test_tampering(guarded: LocalCluster, tamper: Tamper, kind: str | None) -> None:
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


# TLS


def trusting(cluster: LocalCluster) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=cluster.tls.ca_file)


def test_https_with_a_certificate_for_every_node() -> None:
    with LocalCluster(nodes=3, tls=True) as cluster:
        assert cluster.url.startswith("https://127.0.0.1:")
        for node in cluster.nodes:
            with Wire(node, trusting(cluster)) as wire:
                assert len(wire.get("/localnodes")) == 3
                assert wire.ok("ListTables", {}) == {"TableNames": []}
        context = trusting(cluster)
        for name in ("localhost", "::1", "127.0.0.254"):
            with (
                socket.create_connection((cluster.nodes[0].host, cluster.port), 10) as plain,
                context.wrap_socket(plain, server_hostname=name) as tls,
            ):
                assert tls.version() == "TLSv1.3"
        ca = cluster.tls.ca_file
        with botocore_client(cluster.url, verify=ca) as client:
            assert client.list_tables()["TableNames"] == []
        with botocore_client(cluster.url) as client, pytest.raises(SSLError):
            client.list_tables()
    assert not os.path.exists(os.path.dirname(ca))
    with pytest.raises(AlternatorError, match="tls=True"):
        _ = cluster.tls


@pytest.mark.parametrize(
    ("kind", "message"), [("expired", "expired"), ("wrong_host", "IP address mismatch"), ("self_signed", "self-signed")]
)
def test_bad_certificates(kind: Any, message: str) -> None:
    with LocalCluster(1, tls=LocalTls(certificate=kind)) as cluster:
        with Wire(cluster.nodes[0], trusting(cluster)) as wire, pytest.raises(ssl.SSLError, match=message):
            wire.send("GET", "/")
        cluster.tls.present("good")
        with Wire(cluster.nodes[0], trusting(cluster)) as wire:
            assert wire.send("GET", "/")[0] == 200
    assert cluster.failures == []


def test_mutual_tls() -> None:
    with LocalCluster(1, tls=LocalTls(client_certificates="required")) as cluster:
        node = cluster.nodes[0]
        with Wire(node, trusting(cluster)) as wire, pytest.raises((ssl.SSLError, ConnectionError)):
            wire.send("GET", "/")
        for refused in ({"expired": True}, {"foreign": True}):
            context = trusting(cluster)
            pair = cluster.tls.client("bad", **refused)
            context.load_cert_chain(pair.certificate, pair.key)
            with Wire(node, context) as wire, pytest.raises((ssl.SSLError, ConnectionError)):
                wire.send("GET", "/")
        context = trusting(cluster)
        pair = cluster.tls.client("alice")
        context.load_cert_chain(pair.certificate, pair.key)
        with Wire(node, context) as wire:
            assert wire.ok("ListTables", {}) == {"TableNames": []}
    assert cluster.failures == []


def test_a_client_certificate_may_take_the_place_of_sigv4() -> None:
    tls = LocalTls(client_certificates="optional", certificate_is_login=True)
    with LocalCluster(1, tls=tls, credentials=SECRETS) as cluster:
        with Wire(cluster.nodes[0], trusting(cluster)) as wire:
            assert wire.refused("ListTables", {})[0] == "MissingAuthenticationTokenException"
        context = trusting(cluster)
        pair = cluster.tls.client()
        context.load_cert_chain(pair.certificate, pair.key)
        with Wire(cluster.nodes[0], context) as wire:
            wire.ok("ListTables", {})


def test_sessions_are_resumed_and_counted() -> None:
    with LocalCluster(1, tls=LocalTls(maximum=ssl.TLSVersion.TLSv1_2)) as cluster:
        node, context, session = cluster.nodes[0], trusting(cluster), None
        for number in range(2):
            with (
                socket.create_connection((node.host, node.port), 10) as plain,
                context.wrap_socket(plain, server_hostname=node.host, session=session) as tls,
            ):
                tls.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert tls.recv(1000).startswith(b"HTTP/1.1 200")
                session = tls.session
                assert tls.version() == "TLSv1.2"
                assert tls.session_reused is (number == 1)
        assert (node.tls_handshakes, node.tls_resumed) == (2, 1)


def test_old_tls_is_refused() -> None:
    with LocalCluster(1, tls=LocalTls(minimum=ssl.TLSVersion.TLSv1_3)) as cluster:
        context = trusting(cluster)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with Wire(cluster.nodes[0], context) as wire, pytest.raises(ssl.SSLError):
            wire.send("GET", "/")


def test_faults_under_tls() -> None:
    with LocalCluster(1, tls=True) as cluster:
        create_over_tls(cluster)
        node = cluster.nodes[0]
        with Wire(node, trusting(cluster)) as wire:
            node.drop_after_execute()
            with pytest.raises(ConnectionError):
                wire.call("PutItem", {"TableName": "tab", "Item": {"k": s("a")}})
        with Wire(node, trusting(cluster)) as wire:
            assert wire.ok("Scan", {"TableName": "tab"})["Count"] == 1
            node.reset_mid_answer()
            # OpenSSL may take the reset for an end of the stream.
            with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
                wire.call("Scan", {"TableName": "tab"})
        node.hang()
        context = trusting(cluster)
        with Wire(node, context, timeout=0.1) as wire, pytest.raises(TimeoutError):
            wire.send("GET", "/")
        node.resume()
        with Wire(node, context) as wire:
            assert wire.send("GET", "/")[0] == 200
            node.kill()
            with pytest.raises((ConnectionError, ssl.SSLError)):
                wire.send("GET", "/")
    assert cluster.failures == []


def create_over_tls(cluster: LocalCluster) -> None:
    with Wire(cluster.nodes[0], trusting(cluster)) as wire:
        wire.ok(
            "CreateTable",
            {
                "TableName": "tab",
                "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
                "BillingMode": "PAY_PER_REQUEST",
            },
        )


def test_plain_http_to_a_tls_port_is_no_failure_of_the_cluster() -> None:
    with LocalCluster(1, tls=True) as cluster:
        with Wire(cluster.nodes[0]) as wire, pytest.raises((ConnectionError, OSError)):
            wire.send("GET", "/")
        with Wire(cluster.nodes[0], trusting(cluster)) as wire:
            assert wire.send("GET", "/")[0] == 200
    assert cluster.failures == []


def test_wrong_tls_settings_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="certificate must be one of"):
        LocalTls(certificate="bad")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="client_certificates must be one of"):
        LocalTls(client_certificates="yes")  # type: ignore[arg-type]
    import sys

    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ConfigurationError, match=r"pip install \"pynamodb-alternator\[local\]\""):
        LocalCluster(1, tls=True).start()
