"""TLS, authentication, compression and headers, from a model to the node and back, in both lanes."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import socket
import ssl
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import ClientError, CredentialRetrievalError
from pynamodb.attributes import UnicodeAttribute
from pynamodb.exceptions import GetError, PutError

from pynamodb_alternator import Cluster, ClusterConfig, Credentials, Deflate, Gzip, Health, Model, Retries, Tls, signals
from pynamodb_alternator.errors import (
    ConfigurationError,
    CredentialsError,
    MalformedAnswerError,
    NotSentError,
    RequestRefusedError,
    TransportError,
)
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.local.tls import LocalTls
from pynamodb_alternator.orm._pynamodb import connection_of
from pynamodb_alternator.settings.tls import InsecureTlsWarning
from pynamodb_alternator.transport.request import MAX_BODY

from ..transport.servers import until
from .conftest import Recorder
from .support import SESSION, TABLE, forget, received, take_lane

SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCY-SECRET"
OTHER_SECRET = "another-and-LATER-secret"
TOKEN = "FwoGZXIvYXdzEXAMPLE-SESSION-TOKEN"
TEXT = "words that compress well, " * 400


def on(local: LocalCluster, lane: str = "short", **settings: Any) -> Cluster:
    """A cluster over all nodes of `local`. Without affinity, so that there are no requests but the test's own."""
    if local.scheme == "https":
        settings.setdefault("tls", Tls(ca=local.tls.ca_file))
    seeds = [node.host for node in local.nodes]
    cluster = Cluster(ClusterConfig(seeds, port=local.port, scheme=local.scheme, key_route_affinity="none", **settings))
    cluster.core._session = SESSION
    take_lane(cluster.client, lane)
    return cluster


def put(cluster: Cluster, key: str = "a", text: str = TEXT) -> None:
    cluster.client.put_item(TableName="items", Item={"key": {"S": key}, "text": {"S": text}})


def get(cluster: Cluster, key: str = "a") -> Any:
    answer = cluster.client.get_item(TableName="items", Key={"key": {"S": key}}, ConsistentRead=True)
    return answer["Item"]["text"]["S"] if "Item" in answer else None


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


# ---- TLS -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secure() -> Iterator[LocalCluster]:
    with LocalCluster(3, tls=True) as local, on(local) as cluster:
        cluster.client.create_table(**TABLE)
        yield local


@pytest.fixture
def presented(secure: LocalCluster) -> Iterator[LocalCluster]:
    """The same cluster, which may present other certificates in this test."""
    yield secure
    secure.tls.present("good")


def test_a_model_works_over_tls(secure: LocalCluster, lane: str) -> None:
    class Item(Model):
        class Meta:
            table_name = "items"
            cluster: Cluster

        key = UnicodeAttribute(hash_key=True)
        text = UnicodeAttribute()

    with on(secure, lane) as cluster:
        Item.Meta.cluster = cluster
        Item(f"tls-{lane}", text="ü日本").save()
        assert Item.get(f"tls-{lane}").text == "ü日本"
        assert len(cluster.nodes()) == 3
        assert {node.state.value for node in cluster.nodes()} == {"active"}


@pytest.mark.parametrize("form", ["file", "directory", "text"])
def test_a_ca_is_a_file_a_directory_or_text(secure: LocalCluster, form: str, tmp_path: Path) -> None:
    text = Path(secure.tls.ca_file).read_text()
    (tmp_path / "some-ca.crt").write_text(text)
    ca = {"file": secure.tls.ca_file, "directory": tmp_path, "text": text}[form]
    with on(secure, tls=Tls(ca=ca)) as cluster:
        assert cluster.client.list_tables()["TableNames"] == ["items"]


def test_the_url_takes_the_ca(secure: LocalCluster) -> None:
    with Cluster(f"{secure.url}/?ca={secure.tls.ca_file}") as cluster:
        assert cluster.client.list_tables()["TableNames"] == ["items"]


BAD = {
    "expired": "certificate has expired.*Renew the node's certificate",
    "wrong_host": r"not valid for '127\.0\.0\.\d'.*Tls\(verify_hostname=False\)",
    "self_signed": r"self-signed certificate.*Tls\(ca='/path/to/ca\.pem'\)",
}


@pytest.mark.parametrize(
    ("kind", "when", "lane"),
    [
        *((kind, "first request", lane) for kind in BAD for lane in ("short", "compatible")),
        ("expired", "after a while", "short"),
        ("self_signed", "after a while", "compatible"),
        ("self_signed", "no monitor", "short"),
    ],
)
def test_a_bad_certificate_is_one_clear_error(presented: LocalCluster, lane: str, kind: Any, when: str) -> None:
    """What PynamoDB's user sees, whichever of discovery, probes and requests has met the certificate first."""

    class Item(Model):
        class Meta:
            table_name = "items"
            cluster: Cluster

        key = UnicodeAttribute(hash_key=True)

    presented.tls.present(kind)
    before = sum(node.connections for node in presented.nodes)
    with on(presented, lane, monitor=False if when == "no monitor" else None) as cluster:
        if when == "after a while":
            assert not cluster.refresh()
        Item.Meta.cluster = cluster
        words = rf"Node 127\.0\.0\.\d:\d+.*[ (]TLS failed, its certificate was.*{BAD[kind]}"
        with pytest.raises(GetError, match=words) as caught:
            Item.get("a")
        assert isinstance(caught.value.cause, NotSentError)
        with pytest.raises(NotSentError, match="TLS failed"):
            cluster.client.list_tables()
    # Nobody tried again and again: a few probes, and both requests at most once with each node.
    assert sum(node.connections for node in presented.nodes) - before <= 24


def test_a_certificate_that_turns_bad_later(presented: LocalCluster, lane: str) -> None:
    with on(presented, lane) as cluster:
        assert get(cluster, "nothing") is None
        presented.tls.present("self_signed")
        for node in presented.nodes:
            node.close_idle_connections()
        # Nodes that were started anew know no session of before. (A session that is resumed is not checked again.)
        cluster.core.pools._tls._sessions.clear()  # type: ignore[union-attr]
        with contextlib.suppress(TransportError):  # one that was closed just when it was used is not about TLS
            cluster.client.list_tables()
        with pytest.raises(NotSentError, match=r"Node 127.*self-signed certificate.*Tls\(ca="):
            cluster.client.list_tables()
        presented.tls.present("good")
    with on(presented, lane) as cluster:
        assert get(cluster, "nothing") is None


def test_an_authority_that_the_system_does_not_trust(secure: LocalCluster) -> None:
    with on(secure, tls=None) as cluster, pytest.raises(NotSentError, match=r"TLS failed.*Tls\(ca='/path/to/ca.pem'\)"):
        cluster.client.list_tables()


def test_the_hostname_is_left_unchecked_only_by_name(presented: LocalCluster, lane: str) -> None:
    presented.tls.present("wrong_host")
    with on(presented, lane, tls=Tls(ca=presented.tls.ca_file, verify_hostname=False)) as cluster:
        assert cluster.client.list_tables()["TableNames"] == ["items"]
    presented.tls.present("self_signed")
    unchecked = Tls(ca=presented.tls.ca_file, verify_hostname=False)
    with on(presented, lane, tls=unchecked) as cluster, pytest.raises(NotSentError, match="self-signed"):
        cluster.client.list_tables()
    with pytest.warns(InsecureTlsWarning):
        insecure = Tls(insecure=True)
    with on(presented, lane, tls=insecure) as cluster:
        assert cluster.client.list_tables()["TableNames"] == ["items"]


def test_plain_http_against_tls_and_the_other_way_round(secure: LocalCluster, local: LocalCluster) -> None:
    with Cluster(ClusterConfig(["127.0.0.1"], port=secure.port)) as cluster, pytest.raises(TransportError):
        cluster.client.list_tables()
    with (
        Cluster(ClusterConfig(["127.0.0.1"], port=local.port, scheme="https")) as cluster,
        pytest.raises(NotSentError, match=r"TLS failed.*use scheme='http'"),
    ):
        cluster.client.list_tables()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_with_each_node(version: ssl.TLSVersion, lane: str) -> None:
    """Discovery's connection makes the session; every later connection of requests resumes it."""
    with LocalCluster(3, tls=LocalTls(minimum=version, maximum=version)) as local, on(local, lane) as cluster:
        until(lambda: {node.state.value for node in cluster.nodes()} == {"active"} and len(cluster.nodes()) == 3)
        # Probes and the reading of the list may have been under way side by side, with nothing to resume yet.
        assert all(node.tls_handshakes - node.tls_resumed <= 2 for node in local.nodes)
        for node in local.nodes:
            node.close_idle_connections()
        before = [(node.tls_handshakes, node.tls_resumed) for node in local.nodes]

        def connected_again() -> bool:
            cluster.client.list_tables()
            return all(node.tls_handshakes > then for node, (then, _) in zip(local.nodes, before, strict=True))

        until(connected_again)
        for node, (handshakes, resumed) in zip(local.nodes, before, strict=True):
            assert node.tls_resumed - resumed == node.tls_handshakes - handshakes


def test_the_key_log_has_the_sessions_secrets(secure: LocalCluster, tmp_path: Path) -> None:
    log = tmp_path / "keys.log"
    with on(secure, tls=Tls(ca=secure.tls.ca_file, key_log=log)) as cluster:
        cluster.client.list_tables()
    assert "CLIENT_TRAFFIC_SECRET_0" in log.read_text()


def test_a_minimum_version_that_the_node_does_not_have(lane: str) -> None:
    old = LocalTls(minimum=ssl.TLSVersion.TLSv1_2, maximum=ssl.TLSVersion.TLSv1_2)
    with LocalCluster(1, tls=old) as local:
        settings = Tls(ca=local.tls.ca_file, minimum_version="TLSv1.3")
        with on(local, lane, tls=settings) as cluster, pytest.raises(NotSentError, match="TLS"):
            cluster.client.list_tables()


def test_mutual_tls_and_a_certificate_that_is_renewed(lane: str, tmp_path: Path) -> None:
    settings = LocalTls(client_certificates="required", certificate_is_login=True)
    with LocalCluster(2, tls=settings, credentials={"alice": SECRET}) as local:
        ca = local.tls.ca_file
        # (asyncio closes the connection without the alert that says why; test_tls_contexts.py has one that does.)
        refused = r"client certificate|TLS|SSL|EOF"
        with on(local, lane) as cluster, pytest.raises(TransportError, match=refused):
            cluster.client.list_tables()
        cert, key = tmp_path / "client.pem", tmp_path / "client.key"

        def install(**kind: bool) -> None:
            issued = local.tls.client("alice", **kind)
            for source, target in ((issued.certificate, cert), (issued.key, key)):
                fresh = target.with_suffix(".new")
                fresh.write_bytes(Path(source).read_bytes())
                os.replace(fresh, target)

        install(foreign=True)
        tls = Tls(ca=ca, client_cert=(cert, key))
        with on(local, lane, tls=tls, health=Health(probe_interval=0.05)) as cluster:
            with pytest.raises(TransportError, match=refused):
                cluster.client.list_tables()
            # Renewed files are noticed by the cluster that is there already.
            install()
            until(lambda: "active" in {node.state.value for node in cluster.nodes()})
            assert cluster.client.list_tables()["TableNames"] == []
        # The certificate stands in the place of a signature here, for discovery and requests alike.
        with on(local, lane, tls=tls) as cluster:
            assert cluster.client.list_tables()["TableNames"] == []
            assert {node.state.value for node in cluster.nodes()} == {"active"}


def test_certificates_for_ipv6_addresses(tmp_path: Path) -> None:
    """A cluster of one node on ::1, whose certificate names that address."""
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    from pynamodb_alternator.local.tls import TlsFiles

    files = TlsFiles(LocalTls(), ["127.0.0.1"])
    seen: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(plain,), daemon=True).start()

    def answer(plain: socket.socket) -> None:
        try:
            with files.context_of("127.0.0.1").wrap_socket(plain, server_side=True) as sock:
                while data := sock.recv(65536):
                    seen.append(data)
                    body = b'["::1"]' if b"/localnodes" in data else b'{"TableNames": []}'
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        except OSError:
            return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    port = listener.getsockname()[1]
    try:
        with Cluster(f"https://[::1]:{port}/?ca={files.ca_file}") as cluster:
            assert cluster.client.list_tables()["TableNames"] == []
            assert [node.address for node in cluster.nodes()] == [f"[::1]:{port}"]
        assert any(data.startswith(b"POST") and b"Host: [::1]:%d\r\n" % port in data for data in seen)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
        files.close()


# ---- authentication ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded() -> Iterator[LocalCluster]:
    """Nodes that check every signature, with compression both ways."""
    keys = {"alice": SECRET, "bob": OTHER_SECRET}
    with LocalCluster(3, credentials=keys, response_compression=True, compression_threshold=1000) as local:
        with on(local, credentials=Credentials("alice", SECRET)) as cluster:
            cluster.client.create_table(**TABLE)
        yield local


def test_unsigned_and_wrongly_signed_requests_are_refused(guarded: LocalCluster, lane: str) -> None:
    for credentials, code in (
        (None, "MissingAuthenticationTokenException"),
        (Credentials("alice", "wrong-SECRET"), "UnrecognizedClientException"),
        (Credentials("mallory", SECRET), "UnrecognizedClientException"),
    ):
        with on(guarded, lane, credentials=credentials) as cluster, pytest.raises(ClientError) as caught:
            cluster.client.list_tables()
        assert caught.value.response["Error"]["Code"] == code
        assert "SECRET" not in str(caught.value)


def test_the_zone_of_an_address_stays_here(guarded: LocalCluster, lane: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 6874: it means something on this machine only. The host that is signed is the one that is sent."""
    resolve = socket.getaddrinfo

    def on_this_link(host: Any, *args: Any, **settings: Any) -> Any:
        return resolve("127.0.0.1" if str(host).startswith("fe80::1%") else host, *args, **settings)

    monkeypatch.setattr(socket, "getaddrinfo", on_this_link)
    zoned = "[fe80::1%eth7]"
    settings: dict[str, Any] = {"port": guarded.port, "credentials": Credentials("alice", SECRET)}
    before = {node: len(node.requests) for node in guarded.nodes}
    with Cluster(ClusterConfig([zoned], address_translator=lambda listed: zoned, **settings)) as cluster:
        take_lane(cluster.client, lane)
        assert cluster.client.list_tables()["TableNames"] is not None
        assert [node.address for node in cluster.nodes()] == [f"{zoned}:{guarded.port}"]
    hosts = {request.headers["host"] for node in guarded.nodes for request in node.requests[before[node] :]}
    assert hosts == {f"[fe80::1]:{guarded.port}"}


def test_every_attribute_type_is_signed(guarded: LocalCluster, lane: str) -> None:
    item = {
        "key": {"S": f"types-{lane}"},
        "s": {"S": 'ü日本 🦊\u2028 "quoted" \\ \t\r\n\0'},
        "n": {"N": "-12345678901234567890.123456789"},
        "b": {"B": bytes(range(256))},
        "ss": {"SS": ["é", "z"]},
        "ns": {"NS": ["1", "2.5"]},
        "bs": {"BS": [b"\xff", b"\x00"]},
        "bool": {"BOOL": True},
        "null": {"NULL": True},
        "l": {"L": [{"S": "x"}, {"L": []}, {"M": {"ключ": {"B": b"y"}}}]},
        "m": {"M": {"🦊": {"N": "1"}}},
    }
    with on(guarded, lane, credentials=Credentials("alice", SECRET)) as cluster:
        cluster.client.put_item(TableName="items", Item=item)
        stored = cluster.client.get_item(TableName="items", Key={"key": item["key"]}, ConsistentRead=True)["Item"]
    for name in ("ss", "ns", "bs"):
        kind = name.upper()
        assert sorted(stored.pop(name)[kind]) == sorted(item[name][kind])  # type: ignore[type-var]
    assert stored == {name: value for name, value in item.items() if name not in ("ss", "ns", "bs")}


def test_credentials_rotate_without_a_new_client(guarded: LocalCluster, lane: str) -> None:
    held = [Credentials("alice", SECRET)]
    with on(guarded, lane, credentials=lambda: held[0]) as cluster:
        client = cluster.client
        forget(guarded)
        client.list_tables()
        held[0] = Credentials("bob", OTHER_SECRET)
        client.list_tables()
        held[0] = Credentials("bob", OTHER_SECRET, TOKEN)
        client.list_tables()
    seen = received(guarded, "ListTables")
    who = [request.headers["authorization"].partition("Credential=")[2].partition("/")[0] for request in seen]
    assert sorted(who) == ["alice", "bob", "bob"]
    assert [request.headers.get("x-amz-security-token") for request in seen].count(TOKEN) == 1


def test_a_botocore_session_whose_credentials_are_refreshed(guarded: LocalCluster, lane: str) -> None:
    import botocore.session

    refreshed: list[int] = []

    def refresh() -> dict[str, str]:
        refreshed.append(1)
        # Each is out of date at once, so that the next request asks for another.
        access, secret = (("alice", SECRET), ("bob", OTHER_SECRET))[len(refreshed) % 2]
        return {
            "access_key": access,
            "secret_key": secret,
            "token": TOKEN,
            "expiry_time": "2020-01-01T00:00:00Z" if len(refreshed) < 0 else "2100-01-01T00:00:00Z",
        }

    session = botocore.session.Session()
    credentials = RefreshableCredentials.create_from_metadata(refresh(), refresh, "test")
    session._credentials = credentials  # type: ignore[attr-defined]
    with on(guarded, lane, credentials=session) as cluster:
        forget(guarded)
        cluster.client.list_tables()
        credentials._expiry_time = credentials._time_fetcher()  # type: ignore[attr-defined]
        cluster.client.list_tables()
    who = {
        request.headers["authorization"].partition("Credential=")[2][:3] for request in received(guarded, "ListTables")
    }
    assert who == {"ali", "bob"}
    assert len(refreshed) == 2


def test_a_source_without_credentials_says_so(guarded: LocalCluster, lane: str) -> None:
    def fail() -> Credentials:
        raise RuntimeError(f"the vault said {SECRET}")

    sources: list[tuple[Any, type[Exception], str]] = [
        (fail, CredentialsError, "failed with RuntimeError"),
        (lambda: None, ConfigurationError, "gave none"),
    ]
    for source, kind, message in sources:
        with on(guarded, lane, credentials=source) as cluster, pytest.raises(kind, match=message) as caught:
            cluster.client.list_tables()
        assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_pynamodb_wraps_the_error_of_a_refresh_that_failed(guarded: LocalCluster, lane: str) -> None:
    class Item(Model):
        class Meta:
            table_name = "items"
            cluster: Cluster

        key = UnicodeAttribute(hash_key=True)

    failures: list[Exception] = []

    def ask() -> Credentials:
        if failures:
            raise failures[0]
        return Credentials("alice", SECRET)

    with on(guarded, lane, credentials=ask) as cluster:
        Item.Meta.cluster = cluster
        Item("refreshed").save()
        failures.append(CredentialRetrievalError(provider="vault", error_msg="no route"))
        with pytest.raises(PutError, match="no route") as caught:
            Item("refreshed").save()
        assert isinstance(caught.value.cause, CredentialsError)
        assert caught.value.cause.__cause__ is failures[0]
        assert {node.failures for node in cluster.stats().values()} == {0}
        failures.clear()
        Item("refreshed").save()


def test_a_models_own_credentials(guarded: LocalCluster, lane: str) -> None:
    class Item(Model):
        class Meta:
            table_name = "items"
            cluster: Cluster
            aws_access_key_id = "bob"
            aws_secret_access_key = OTHER_SECRET
            aws_session_token = TOKEN
            region = "eu-north-1"

        key = UnicodeAttribute(hash_key=True)

    with on(guarded, lane, credentials=Credentials("alice", SECRET)) as cluster:
        Item.Meta.cluster = cluster
        forget(guarded)
        Item("model").save()
        (request,) = received(guarded, "PutItem")
    assert "Credential=bob/" in request.headers["authorization"]
    assert "/eu-north-1/dynamodb/" in request.headers["authorization"]
    assert request.headers["x-amz-security-token"] == TOKEN


# ---- secrets -------------------------------------------------------------------------------------------------------


def test_no_secret_is_in_any_log_repr_signal_or_exception(lane: str, recorder: Recorder) -> None:
    """A signed run over TLS with everything that can go wrong in it, and then a search for the secret."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    root = logging.getLogger()
    level = root.level
    shown: list[str] = []
    errors: list[BaseException] = []
    credentials = Credentials("alice", SECRET, TOKEN)

    def attempt(action: Any) -> None:
        try:
            shown.append(repr(action()))
        except Exception as error:
            errors.append(error)

    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with LocalCluster(3, tls=True, credentials={"alice": SECRET}, response_compression=True) as local:
            with on(local, lane, credentials=credentials, request_compression=Gzip()) as cluster:

                class Item(Model):
                    class Meta:
                        table_name = "items"
                        cluster: Cluster
                        aws_access_key_id = "alice"
                        aws_secret_access_key = SECRET
                        aws_session_token = TOKEN

                    key = UnicodeAttribute(hash_key=True)

                Item.Meta.cluster = cluster
                cluster.client.create_table(**TABLE)
                attempt(lambda: put(cluster))
                attempt(lambda: get(cluster))
                attempt(lambda: Item("a").save())
                attempt(lambda: Item.get("nobody"))
                attempt(lambda: cluster.client.put_item(TableName="none", Item={"key": {"S": "x"}}))
                local.nodes[0].drop_after_execute(operation="PutItem")
                local.nodes[1].garbage_answer(operation="PutItem")
                for _ in range(4):
                    attempt(lambda: put(cluster))
                local.nodes[2].kill()
                for _ in range(4):
                    attempt(lambda: get(cluster))
                attempt(lambda: connection_of(Item).connection.client)
                shown += [
                    repr(cluster),
                    repr(cluster.config),
                    repr(cluster.client),
                    repr(cluster.nodes()),
                    str(cluster),
                ]
                shown += [
                    repr(connection_of(Item)),
                    repr(connection_of(Item).connection),
                    repr(cluster.core.sender),
                ]
                shown += [
                    repr(cluster.core.sender._signers.current()),
                    repr(cluster.core.sender._signers.current()._moment),
                ]  # type: ignore[union-attr]
                shown += [repr(cluster.config.replace(name="other")), repr(cluster.options(timeouts={"read": 1}))]
            for wrong in (Credentials("alice", SECRET + "x"), Credentials("mallory", SECRET)):
                with on(local, lane, credentials=wrong) as cluster:
                    attempt(lambda cluster=cluster: cluster.client.list_tables())
            with on(local, lane, credentials=lambda: (SECRET, TOKEN)) as cluster:
                attempt(lambda cluster=cluster: cluster.client.list_tables())
            local.tls.present("expired")
            with on(local, lane, credentials=credentials) as cluster:
                attempt(lambda cluster=cluster: cluster.client.list_tables())
            attempt(lambda: ClusterConfig(["h"], credentials=SECRET))
            attempt(lambda: ClusterConfig(["h"], credentials=("alice", SECRET)))
            attempt(lambda: ClusterConfig(["h"], credentials={"access_key": "a", "secret": SECRET}))
            attempt(lambda: ClusterConfig.from_url(f"http://alice:{SECRET}@h"))
            attempt(lambda: Credentials("a", SECRET, "t\r\n"))
            attempt(lambda: Credentials("", SECRET))
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    shown.append(text.getvalue())
    assert len(errors) >= 10
    for error in errors:
        for exception in chain_of(error):
            shown += [
                str(exception),
                repr(exception),
                repr(exception.args),
                repr(vars(exception)),
                "".join(traceback.format_exception(exception)),
            ]
    shown += [repr(event) for event in recorder.events]
    assert len(recorder.events) > 20
    assert "Calling PutItem with arguments" in text.getvalue()  # the DEBUG lines of all loggers are there
    key_of_the_day = SECRET.encode().hex()
    for exception in shown:
        for secret in (SECRET, TOKEN, key_of_the_day):
            place = exception.find(secret)
            assert place < 0, exception[max(0, place - 200) : place + 60]


# ---- compression ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [Gzip(), Deflate(level=1), Gzip(level=9, min_size=0)], ids=repr)
def test_requests_are_compressed_and_signed_as_sent(guarded: LocalCluster, lane: str, how: Any) -> None:
    with on(guarded, lane, credentials=Credentials("alice", SECRET), request_compression=how) as cluster:
        forget(guarded)
        put(cluster, "packed")
        assert get(cluster, "packed") == TEXT
    (request,) = received(guarded, "PutItem")
    assert request.headers["content-encoding"] == how.coding
    assert request.headers["content-length"] == str(request.body_size)
    assert request.body_size < 400
    # A body that is short, or would not get shorter, is sent as it is.
    (small,) = received(guarded, "GetItem")
    assert ("content-encoding" in small.headers) is (small.body_size < 60)


def test_the_threshold_is_exact(guarded: LocalCluster, lane: str) -> None:
    with on(guarded, lane, credentials=Credentials("alice", SECRET)) as cluster:
        forget(guarded)
        put(cluster, "t")
        size = received(guarded, "PutItem")[0].body_size
    for min_size, packed in ((size, True), (size + 1, False)):
        settings: Any = {"credentials": Credentials("alice", SECRET), "request_compression": Gzip(min_size=min_size)}
        with on(guarded, lane, **settings) as cluster:
            forget(guarded)
            put(cluster, "t")
            (request,) = received(guarded, "PutItem")
            assert ("content-encoding" in request.headers) is packed


def test_what_does_not_get_smaller_is_sent_as_it_is(guarded: LocalCluster, lane: str) -> None:
    noise = os.urandom(3000)
    settings: Any = {"credentials": Credentials("alice", SECRET), "request_compression": Gzip(level=1)}
    with on(guarded, lane, **settings) as cluster:
        forget(guarded)
        # As text in base64 it does get smaller.
        cluster.client.put_item(TableName="items", Item={"key": {"S": "noise"}, "b": {"B": noise}})
        answer = cluster.client.get_item(TableName="items", Key={"key": {"S": "noise"}}, ConsistentRead=True)
    assert answer["Item"]["b"]["B"] == noise
    assert "content-encoding" in received(guarded, "PutItem")[0].headers


def test_a_body_is_compressed_once_and_reused_in_all_attempts(
    local: LocalCluster, lane: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pynamodb_alternator.transport.lanes import sender

    made: list[int] = []
    original = sender.compress

    def counted(how: Any, body: bytes) -> Any:
        made.append(len(body))
        return original(how, body)

    monkeypatch.setattr(sender, "compress", counted)
    with on(local, lane, request_compression=Gzip()) as cluster:
        cluster.client.create_table(**TABLE)
        del made[:]
        forget(local)
        for node in local.nodes[:2]:
            node.fail_with("InternalServerError", operation="PutItem")
        for _ in range(2):
            put(cluster)
        assert get(cluster) == TEXT
    sent = received(local, "PutItem")
    assert len(sent) >= 3
    assert len({request.body_size for request in sent}) == 1
    assert {request.headers["content-encoding"] for request in sent} == {"gzip"}
    assert len(made) == 3  # one for each put and its attempts, one for the get


@pytest.mark.parametrize("accepted", [True, ("gzip",), ("deflate",), "deflate,gzip"])
def test_answers_are_unpacked(guarded: LocalCluster, lane: str, accepted: Any) -> None:
    answers: list[Any] = []
    settings: Any = {"credentials": Credentials("alice", SECRET), "response_compression": accepted}
    with on(guarded, lane, **settings) as cluster:
        cluster.client.meta.events.register("after-call.dynamodb", lambda parsed, **_: answers.append(parsed))
        put(cluster, "large")
        forget(guarded)
        assert get(cluster, "large") == TEXT
        assert cluster.client.scan(TableName="items")["Count"] >= 1
    codings = cluster.config.response_compression
    assert received(guarded, "GetItem")[0].headers["accept-encoding"] == ", ".join(codings)  # type: ignore[arg-type]
    headers = answers[1]["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-encoding"] == codings[0]  # type: ignore[index]
    assert int(headers["content-length"]) < 500


def test_nothing_is_compressed_that_was_not_asked_for(guarded: LocalCluster, lane: str) -> None:
    with on(guarded, lane, credentials=Credentials("alice", SECRET)) as cluster:
        put(cluster, "plain")
        forget(guarded)
        answer = cluster.client.get_item(TableName="items", Key={"key": {"S": "plain"}})
        assert "content-encoding" not in answer["ResponseMetadata"]["HTTPHeaders"]
    assert "accept-encoding" not in received(guarded, "GetItem")[0].headers


def answer(coding: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n%b" % (coding, len(body), body)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (answer(b"gzip", b"{}"), "damaged gzip data"),
        (answer(b"br", b"{}"), "coding 'br'; only gzip and deflate"),
        (answer(b"deflate", b"x\x9c"), "damaged|cut short"),
        (answer(b"gzip", b""), "cut short"),
    ],
)
def test_an_answer_that_cannot_be_unpacked_is_a_clear_error(
    local: LocalCluster, lane: str, data: bytes, message: str
) -> None:
    with on(local, lane, response_compression=True) as cluster:
        cluster.client.create_table(**TABLE)
        put(cluster)
        for node in local.nodes:
            node.garbage_answer(None, data=data, operation="GetItem")
        with pytest.raises(MalformedAnswerError, match=rf"Node 127\.0\.0\.\d:\d+ answered with .*({message})"):
            get(cluster)
        for node in local.nodes:
            node.clear_faults()
        # A read goes to another node; and every pool is usable.
        local.nodes[1].garbage_answer(1, data=data, operation="GetItem")
        for _ in range(6):
            assert get(cluster) == TEXT


def test_a_server_that_is_too_old_for_compression(lane: str) -> None:
    class Item(Model):
        class Meta:
            table_name = "items"
            cluster: Cluster

        key = UnicodeAttribute(hash_key=True)
        text = UnicodeAttribute()

    with LocalCluster(2, version="2025.4") as local:
        settings: Any = {"request_compression": Gzip(), "response_compression": True}
        with on(local, lane, **settings) as cluster:
            cluster.client.create_table(**TABLE)
            Item.Meta.cluster = cluster
            with pytest.raises(
                PutError, match=r"older than|since 2026\.1.*probably older.*request_compression=None"
            ) as e:
                Item("a", text=TEXT).save()
            assert e.value.cause_response_code == "ValidationException"
            with cluster.options(request_compression=None):
                Item("a", text=TEXT).save()
            assert Item.get("a").text == TEXT  # and it never compresses its answers
            # Its other refusals are not explained so.
            with pytest.raises(ClientError) as caught:
                cluster.client.put_item(TableName="items", Item={"key": {"N": "1"}, "text": {"S": "x"}})
            assert "2026.1" not in str(caught.value)


# ---- headers -------------------------------------------------------------------------------------------------------


def test_the_smallest_set_of_headers(guarded: LocalCluster, local: LocalCluster, lane: str) -> None:
    with on(local, lane) as cluster:
        cluster.client.list_tables()
        (request,) = received(local, "ListTables")
    assert set(request.headers) == {"host", "x-amz-target", "content-length", "user-agent"}
    with on(guarded, lane, credentials=Credentials("alice", SECRET)) as cluster:
        forget(guarded)
        cluster.client.list_tables()
        (request,) = received(guarded, "ListTables")
    assert set(request.headers) == {
        "host",
        "x-amz-target",
        "content-length",
        "user-agent",
        "x-amz-date",
        "authorization",
    }


def test_fewer_bytes_than_others_send(guarded: LocalCluster, lane: str) -> None:
    """docs/wire.md has the figures, which depend on the machine: botocore tells the server all about it."""

    def head(headers: dict[str, str]) -> int:
        return len("POST / HTTP/1.1\r\n\r\n") + sum(len(name) + len(value) + 4 for name, value in headers.items())

    with on(guarded, lane, credentials=Credentials("alice", SECRET)) as cluster:
        forget(guarded)
        get(cluster)
        ours = head(received(guarded, "GetItem")[0].headers)
    stock = SESSION.create_client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url=guarded.url,
        aws_access_key_id="alice",
        aws_secret_access_key=SECRET,
    )
    forget(guarded)
    stock.get_item(TableName="items", Key={"key": {"S": "a"}}, ConsistentRead=True)
    stock.close()
    theirs = head(received(guarded, "GetItem")[0].headers)
    assert ours <= 410
    assert theirs - ours >= 250


def test_redirects_and_cookies_are_not_followed(local: LocalCluster, lane: str) -> None:
    moved = b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    with on(local, lane, retries=Retries(max_attempts=len(local.nodes))) as cluster:
        for node in local.nodes:
            node.garbage_answer(1, data=moved, operation="ListTables")
        with pytest.raises(ClientError, match="307"):
            cluster.client.list_tables()  # not Alternator's: a read goes on to the next node
        cluster.client.list_tables()
    assert all("cookie" not in request.headers for request in received(local, "ListTables"))
    assert len(received(local, "ListTables")) == 4


@pytest.mark.parametrize(
    ("setting", "sent"),
    [
        (None, None),
        (False, None),
        (True, r"pynamodb-alternator/\d+\.\d+\S*"),
        ("shop/1.0", r"shop/1\.0"),
        (lambda ours: f"shop/1.0 {ours}", r"shop/1\.0 pynamodb-alternator/\d+\.\d+\S*"),
    ],
)
def test_requests_have_the_user_agent(local: LocalCluster, lane: str, setting: Any, sent: str | None) -> None:
    import re

    with on(local, lane, user_agent=setting, extra_headers={"X-Team": "shop"}) as cluster:
        cluster.client.list_tables()
        (request,) = received(local, "ListTables")
    assert request.headers["x-team"] == "shop"
    if sent is None:
        assert "user-agent" not in request.headers
    else:
        assert re.fullmatch(sent, request.headers["user-agent"])


def test_a_models_headers_win_over_the_clusters(local: LocalCluster, lane: str) -> None:
    class Item(Model):
        class Meta:
            table_name = "items"
            cluster: Cluster
            extra_headers = {"x-team": "model", "User-Agent": "model/1"}  # noqa: RUF012

        key = UnicodeAttribute(hash_key=True)

    with on(local, lane, user_agent=True, extra_headers={"X-Team": "cluster", "X-Place": "here"}) as cluster:
        cluster.client.create_table(**TABLE)
        Item.Meta.cluster = cluster
        Item("a").save()
        (request,) = received(local, "PutItem")
    assert {name: request.headers[name] for name in ("x-team", "x-place", "user-agent")} == {
        "x-team": "model",
        "x-place": "here",
        "user-agent": "model/1",
    }


@pytest.mark.parametrize("evil", ["a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\0"])
def test_no_value_of_a_model_ends_a_header(local: LocalCluster, lane: str, evil: str) -> None:
    with on(local, lane, credentials=Credentials("alice", SECRET)) as cluster:

        def model(**settings: Any) -> type[Model]:
            class Item(Model):
                class Meta:
                    table_name = "items"
                    cluster: Cluster

                key = UnicodeAttribute(hash_key=True)

            Item.Meta.cluster = cluster
            for name, value in settings.items():
                setattr(Item.Meta, name, value)
            return Item

        for settings in (
            {"extra_headers": {"X-A": evil}},
            {"region": evil},
            {"aws_access_key_id": evil, "aws_secret_access_key": SECRET},
            {"aws_access_key_id": "a", "aws_secret_access_key": SECRET, "aws_session_token": evil},
        ):
            with pytest.raises((ConfigurationError, GetError)) as caught:
                model(**settings).get("a")
            cause = getattr(caught.value, "cause", caught.value)
            assert isinstance(cause, ConfigurationError | RequestRefusedError)
            assert SECRET not in "".join(traceback.format_exception(caught.value))
        # A table's name and a key are in the body, where they may be anything.
        with pytest.raises(GetError):
            model(table_name=evil).get(evil)
        cluster.client.list_tables()
        # What was refused here says nothing about the nodes.
        assert {node.state.value for node in cluster.nodes()} == {"active"}
    for node in local.nodes:
        assert all("x-evil" not in request.headers for request in node.requests)
    assert {request.table for request in received(local, "GetItem")} == {evil}


# ---- limits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, Gzip(level=1)], ids=["plain", "gzip"])
def test_a_body_that_no_server_takes_is_not_sent(
    local: LocalCluster, lane: str, compression: Any, recorder: Recorder
) -> None:
    with on(local, lane, request_compression=compression) as cluster:
        cluster.client.create_table(**TABLE)
        recorder.clear()
        with pytest.raises(RequestRefusedError, match=r"body of 1677\d+ bytes.*16777216 \(16 MiB\)"):
            put(cluster, text="x" * MAX_BODY)
        done = recorder.wait_for("request_completed", operation="PutItem")
        assert isinstance(done["error"], RequestRefusedError)
        put(cluster, text="x" * 100_000)
        assert {node.state.value for node in cluster.nodes()} == {"active"}
    assert [request.body_size < 101_000 for request in received(local, "PutItem")] == [True]


def test_the_limit_itself_is_taken(local: LocalCluster) -> None:
    frame = len(b'{"TableName":"items","Item":{"key":{"S":"a"},"text":{"S":""}}}')
    with on(local) as cluster:
        cluster.client.create_table(**TABLE)
        put(cluster, text="x" * (MAX_BODY - frame))
        with pytest.raises(RequestRefusedError):
            put(cluster, text="x" * (MAX_BODY - frame + 1))
    assert [request.body_size for request in received(local, "PutItem")] == [MAX_BODY]


def test_signals_are_still_told_of(secure: LocalCluster, recorder: Recorder) -> None:
    with on(secure) as cluster:
        cluster.client.list_tables()
    assert recorder.wait_for("request_completed", operation="ListTables")["status"] == 200
    assert signals.request_completed.receivers
