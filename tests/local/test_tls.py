"""The embedded cluster's TLS: certificates, client certificates, sessions."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
from typing import Any

import pytest
from botocore.exceptions import SSLError

from pynamodb_alternator.errors import AlternatorError, ConfigurationError
from pynamodb_alternator.local import LocalCluster, LocalNode, LocalTls

from .wire import Wire, botocore_client, s

SECRETS = {"alice": "wonder/land+", "böb": "s3cret"}


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


def test_a_certificate_for_each_node() -> None:
    with LocalCluster(2, tls=LocalTls(per_node=True)) as cluster:
        added = cluster.add_node()
        context = trusting(cluster)

        def certificate_of(node: LocalNode, name: str) -> set[str]:
            with (
                socket.create_connection((node.host, node.port), 10) as plain,
                context.wrap_socket(plain, server_hostname=name) as tls,
            ):
                certificate: dict[str, Any] = tls.getpeercert() or {}
                return {name for _, name in certificate["subjectAltName"]}

        first, second = cluster.nodes[0], cluster.nodes[1]
        assert certificate_of(first, "localhost") == {first.host, "localhost", "0:0:0:0:0:0:0:1"}
        for node in (second, added):
            assert certificate_of(node, node.host) == {node.host}
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            certificate_of(second, "localhost")
        cluster.tls.present_names(second.host, "n2.test", "::2")
        assert certificate_of(second, "n2.test") == {"n2.test", "0:0:0:0:0:0:0:2"}
        assert certificate_of(added, added.host) == {added.host}
        cluster.tls.present("good")
        assert certificate_of(second, second.host) == {second.host}
        second.kill()
        second.revive()
        assert certificate_of(second, second.host) == {second.host}
    assert cluster.failures == []


@pytest.mark.parametrize(
    ("kind", "message"), [("expired", "expired"), ("wrong_host", "IP address mismatch"), ("self_signed", "self-signed")]
)
def test_a_client_refuses_bad_certificates(kind: Any, message: str) -> None:
    with LocalCluster(1, tls=LocalTls(certificate=kind)) as cluster:
        with Wire(cluster.nodes[0], trusting(cluster)) as wire, pytest.raises(ssl.SSLError, match=message):
            wire.send("GET", "/")
        cluster.tls.present("good")
        with Wire(cluster.nodes[0], trusting(cluster)) as wire:
            assert wire.send("GET", "/")[0] == 200
    assert cluster.failures == []


@pytest.mark.parametrize("now", ["2001-01-01", "2099-01-01"])
def test_the_clock_of_a_test_makes_no_certificate_invalid(now: str) -> None:
    """The handshake goes by the clock of the system, which freezegun does not stop."""
    freezegun = pytest.importorskip("freezegun")
    with LocalCluster(1, tls=True):
        pass  # cryptography keeps the class datetime that it meets first, which must not be freezegun's
    with (
        freezegun.freeze_time(now),
        LocalCluster(1, tls=True) as cluster,
        Wire(cluster.nodes[0], trusting(cluster)) as wire,
    ):
        assert wire.send("GET", "/")[0] == 200
    assert cluster.failures == []


def test_a_node_asks_for_a_client_certificate() -> None:
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


def test_faults_work_under_tls() -> None:
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


def test_plain_http_to_a_tls_port_does_not_break_the_cluster() -> None:
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
