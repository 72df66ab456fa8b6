"""TLS: settings that are checked, certificates of all kinds, mutual TLS, renewed files, resumed sessions."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import ipaddress
import logging
import os
import pickle
import socket
import ssl
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pynamodb_alternator.errors import (
    ConfigurationError,
    ConnectionLostError,
    ConnectTimeoutError,
    NodeUnreachableError,
    NotSentError,
    TlsError,
)
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport.control import ControlConnections
from pynamodb_alternator.transport.http1 import Connection
from pynamodb_alternator.transport.pool import NodePool, Pools
from pynamodb_alternator.transport.pool_core import PoolStats
from pynamodb_alternator.transport.request import build_head
from pynamodb_alternator.transport.tls import InsecureTlsWarning, Tls, TlsContexts

from .servers import Server, answer_all, ok, read_request, silent, silent_after_a_handshake, until


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_pem(key: ec.EllipticCurvePrivateKey, password: bytes | None = None) -> bytes:
    how: Any = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


@dataclass
class Authority:
    """A CA, and what it issues, as files in a directory."""

    directory: Path
    name: str = "test CA"

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._certificate(self.name, self._key, [], ca=True)
        self.file = self.directory / f"{self.name.replace(' ', '-')}.pem"
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        self.file.write_text(self.pem)

    def _certificate(self, name: str, key: Any, hosts: list[str], *, ca: bool = False, days: int = 1) -> Any:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=2))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        names: list[x509.GeneralName] = []
        for host in hosts:
            try:
                names.append(x509.IPAddress(ipaddress.ip_address(host)))
            except ValueError:
                names.append(x509.DNSName(host))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def issue(self, name: str, *hosts: str, days: int = 1, password: bytes | None = None) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate(name, key, list(hosts), days=days)
        files = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(_key_pem(key, password))
        return files

    def server(self, *hosts: str, clients: Authority | None = None, days: int = 1) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue("server-" + "-".join(hosts).replace(":", "_"), *hosts, days=days))
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients.file)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "another CA")


@contextlib.contextmanager
def opened(node: Node, contexts: TlsContexts) -> Iterator[Connection]:
    connection = Connection.open(node, connect_timeout=5, tls=contexts)
    try:
        yield connection
    finally:
        connection.close()


def send(connection: Connection, body: bytes = b"{}", read_timeout: float = 5.0) -> bytes:
    return connection.exchange(build_head("a.B", "h", len(body)), body, read_timeout=read_timeout).body


def connect_and_send(node: Node, contexts: TlsContexts) -> bytes:
    with opened(node, contexts) as connection:
        return send(connection)


def resumed(connection: Connection) -> bool:
    assert isinstance(connection._sock, ssl.SSLSocket)
    return bool(connection._sock.session_reused)


# ---- settings --------------------------------------------------------------------------------------------------


def test_settings_are_checked(authority: Authority, stranger: Authority, tmp_path: Path) -> None:
    cert, key = authority.issue("client")
    _, other_key = stranger.issue("client")
    _, locked = authority.issue("locked", password=b"secret")
    text = tmp_path / "text.pem"
    text.write_text("not a certificate")
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"ca": tmp_path / "missing.pem"}, "missing.pem.*cannot be read"),
        ({"ca": str(text)}, "text.pem.*is not a certificate"),
        ({"ca": broken}, "broken.pem.*is not a certificate"),
        ({"ca": empty}, "empty.*no PEM certificate"),
        ({"ca": 7}, "ca must be"),
        ({"ca": "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"}, "PEM text"),
        ({"client_cert": (cert, tmp_path / "missing.key")}, "missing.key.*cannot be read"),
        ({"client_cert": (text, key)}, "text.pem.*no certificate"),
        ({"client_cert": cert}, "client.pem.*no private key"),
        ({"client_cert": (key, cert)}, "client.key.*no certificate"),
        ({"client_cert": (cert, other_key)}, "does not belong to"),
        ({"client_cert": (authority.directory / "locked.pem", locked)}, "has a password"),
        ({"client_cert": (cert,)}, "pair of files"),
        ({"system_ca": "yes"}, "system_ca must be True or False"),
        ({"session_resumption": 1}, "session_resumption must be True or False"),
        ({"minimum_version": "TLSv1.1"}, "TLSv1.2"),
        ({"verify_hostname": "no"}, "verify_hostname must be True or False"),
        ({"key_log": tmp_path / "no" / "such" / "directory"}, "key_log"),
    ]
    for options, words in cases:
        with pytest.raises(ConfigurationError, match=words):
            Tls(**options)


def test_insecure_warns(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.warns(InsecureTlsWarning, match="insecure=True") as seen:
        Tls(insecure=True)
    assert seen[0].filename == __file__
    assert "insecure=True" in caplog.text


def test_no_warning_and_no_pem_in_the_repr(authority: Authority) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tls = Tls(ca=authority.pem)
    assert "BEGIN" not in repr(tls)
    assert hash(tls) == hash(Tls(ca=authority.pem))


# ---- certificates ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["file", "path", "directory", "text"])
def test_the_ca_in_all_its_forms(authority: Authority, tmp_path: Path, form: str) -> None:
    (tmp_path / "README").write_text("certificates")
    (tmp_path / "ca.crt").write_text("Kommentar: ü\n" + authority.pem)
    ca = {"file": str(authority.file), "path": authority.file, "directory": tmp_path, "text": authority.pem}[form]
    contexts = TlsContexts(Tls(ca=ca))
    with Server(tls=authority.server("127.0.0.1")) as server, opened(server.node(), contexts) as connection:
        assert send(connection, b"secret") == b"secret"
        assert send(connection, b"again") == b"again"


def test_large_bodies_go_over_tls(authority: Authority) -> None:
    contexts = TlsContexts(Tls(ca=authority.file))
    with Server(tls=authority.server("127.0.0.1")) as server, opened(server.node(), contexts) as connection:
        for size in (20_000, 70_000, 5_000_000):
            body = os.urandom(size)
            assert send(connection, body) == body


def test_ipv6_and_names(authority: Authority) -> None:
    contexts = TlsContexts(Tls(ca=authority.file))
    with (
        Server(tls=authority.server("localhost")) as server,
        opened(server.node(host="LOCALHOST"), contexts) as connection,
    ):
        assert send(connection) == b"{}"
    with Server(tls=authority.server("db.example")) as server:
        with opened(server.node(server_name="db.example"), contexts) as connection:
            assert send(connection) == b"{}"
        with pytest.raises(TlsError):
            Connection.open(server.node(), connect_timeout=5, tls=contexts)
    try:
        with (
            Server(tls=authority.server("::1"), host="::1") as server,
            opened(server.node(), contexts) as connection,
        ):
            assert send(connection) == b"{}"
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")


def refused(node: Node, tls: Tls) -> str:
    with pytest.raises(TlsError) as caught:
        Connection.open(node, connect_timeout=5, tls=TlsContexts(tls))
    assert caught.value.node == node.address
    assert node.address in str(caught.value)
    return str(caught.value)


def test_bad_certificates_are_one_clear_error(authority: Authority, stranger: Authority) -> None:
    tls = Tls(ca=authority.file)
    with Server(tls=stranger.server("127.0.0.1")) as server:
        assert "Tls(ca=" in refused(server.node(), tls)
        assert "Tls(ca=" in refused(server.node(), Tls())
    with Server(tls=authority.server("127.0.0.2")) as server:
        text = refused(server.node(), tls)
        assert "'127.0.0.1'" in text
        assert "verify_hostname=False" in text
        with opened(server.node(), TlsContexts(Tls(ca=authority.file, verify_hostname=False))) as connection:
            assert send(connection) == b"{}"
    with Server(tls=authority.server("127.0.0.1", days=-1)) as server:
        text = refused(server.node(), tls)
        assert "expired" in text
        assert "Renew" in text
        with pytest.warns(InsecureTlsWarning):
            anything = Tls(insecure=True)
        with opened(server.node(), TlsContexts(anything)) as connection:
            assert send(connection) == b"{}"


def test_a_port_for_plain_http(authority: Authority) -> None:
    def plain(sock: socket.socket) -> None:
        sock.recv(1000)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with Server(plain) as server:
        node = Node("https", "127.0.0.1", server.port)
        assert "scheme='http'" in refused(node, Tls(ca=authority.file))


def test_old_versions_are_refused(authority: Authority) -> None:
    context = authority.server("127.0.0.1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Server(tls=context) as server:
        assert "minimum_version" in refused(server.node(), Tls(ca=authority.file, minimum_version="TLSv1.3"))
        with opened(server.node(), TlsContexts(Tls(ca=authority.file))) as connection:
            assert send(connection) == b"{}"


def test_a_broken_handshake_is_not_an_error_of_certificates(authority: Authority) -> None:
    contexts = TlsContexts(Tls(ca=authority.file))

    def close(sock: socket.socket) -> None:
        sock.recv(1000)

    with Server(close) as server, pytest.raises(NodeUnreachableError, match="handshake"):
        Connection.open(Node("https", "127.0.0.1", server.port), connect_timeout=5, tls=contexts)

    def hang(sock: socket.socket) -> None:
        while sock.recv(1000):
            pass

    with Server(hang) as server, pytest.raises(ConnectTimeoutError):
        Connection.open(Node("https", "127.0.0.1", server.port), connect_timeout=0.1, tls=contexts)


# ---- names -----------------------------------------------------------------------------------------------------


NAMES: dict[str, Any] = {"server_name": "source.db.test", "other_names": ("own.db.test", "127.0.0.1")}
"""Of a node that is known as 127.0.0.1, that own.db.test resolves to, and that source.db.test has listed."""


@pytest.mark.parametrize(
    ("issued_for", "handshakes"),
    [("source.db.test", 1), ("*.db.test", 1), ("own.db.test", 2), ("127.0.0.1", 3)],
)
def test_names_are_tried_in_order_and_the_one_that_fits_is_remembered(
    authority: Authority, issued_for: str, handshakes: int
) -> None:
    contexts = TlsContexts(Tls(ca=authority.file))
    with Server(tls=authority.server(issued_for)) as server:
        node = server.node(**NAMES)
        for again in range(3):
            with opened(node, contexts) as connection:
                assert send(connection) == b"{}"
                assert resumed(connection) is (again > 0)
            assert server.accepted == handshakes + again


def test_an_ipv6_address_is_a_name_too(authority: Authority) -> None:
    contexts = TlsContexts(Tls(ca=authority.file))
    with (
        Server(tls=authority.server("2001:db8::1")) as server,
        opened(server.node(server_name="own.db.test", other_names=("2001:DB8::1%eth0",)), contexts) as connection,
    ):
        assert send(connection) == b"{}"
        assert server.accepted == 2


def test_a_certificate_for_none_of_the_names(authority: Authority) -> None:
    contexts = TlsContexts(Tls(ca=authority.file))
    with Server(tls=authority.server("elsewhere.test", "127.0.0.2")) as server:
        node = server.node(**NAMES)
        for tries in (1, 2):
            with pytest.raises(TlsError) as caught:
                Connection.open(node, connect_timeout=5, tls=contexts)
            assert "it is valid for none of 'source.db.test', 'own.db.test', '127.0.0.1'." in str(caught.value)
            assert "issued for 'source.db.test' or 'own.db.test' or '127.0.0.1'" in str(caught.value)
            assert server.accepted == 3 * tries


def test_only_the_name_leads_to_another_handshake(authority: Authority, stranger: Authority) -> None:
    old = authority.server("127.0.0.1")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    for tls, settings, words in (
        (authority.server("source.db.test", days=-1), {}, "expired"),
        (stranger.server("127.0.0.1"), {}, "Tls\\(ca="),
        (old, {"minimum_version": "TLSv1.3"}, "minimum_version"),
    ):
        with Server(tls=tls) as server:
            with pytest.raises(TlsError, match=words):
                Connection.open(
                    server.node(**NAMES), connect_timeout=5, tls=TlsContexts(Tls(ca=authority.file, **settings))
                )
            assert server.accepted == 1


def test_the_error_names_a_wrong_name_and_a_later_failure(authority: Authority) -> None:
    """A node that chooses its certificate by the name that it is asked for."""
    expired = authority.server("own.db.test", days=-1)
    other = authority.server("elsewhere.test")

    def choose(sock: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name == "own.db.test":
            sock.context = expired

    other.sni_callback = choose
    with Server(tls=other) as server:
        text = refused(server.node(**NAMES), Tls(ca=authority.file))
        assert "expired (asked for 'own.db.test'; it is not valid for 'source.db.test')" in text
        assert server.accepted == 2


def test_a_node_that_has_no_certificate_for_a_name_may_say_so_itself(authority: Authority) -> None:
    context = authority.server("own.db.test")

    def choose(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> int | None:
        return None if name == "own.db.test" else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    context.sni_callback = choose
    with Server(tls=context) as server:
        with opened(server.node(**NAMES), TlsContexts(Tls(ca=authority.file))) as connection:
            assert send(connection) == b"{}"
        assert server.accepted == 2
        assert "'other.test'" in refused(server.node(server_name="other.test"), Tls(ca=authority.file))


def test_a_renewed_certificate_may_have_another_of_the_names(authority: Authority) -> None:
    contexts = TlsContexts(Tls(ca=authority.file, session_resumption=False))
    context = authority.server("own.db.test")
    with Server(tls=context) as server:
        node = server.node(**NAMES)
        connect_and_send(node, contexts)
        assert server.accepted == 2
        context.load_cert_chain(*authority.issue("renewed", "127.0.0.1"))
        # That of before, then the others in their order.
        connect_and_send(node, contexts)
        assert server.accepted == 5
        connect_and_send(node, contexts)
        assert server.accepted == 6


def test_a_name_counts_only_as_long_as_it_is_among_the_node_s(authority: Authority) -> None:
    contexts = TlsContexts(Tls(ca=authority.file))
    with Server(tls=authority.server("own.db.test")) as server:
        connect_and_send(server.node(**NAMES), contexts)
        with pytest.raises(TlsError, match=r"not valid for 'source\.db\.test'"):
            Connection.open(server.node(server_name="source.db.test"), connect_timeout=5, tls=contexts)


def test_names_that_are_not_checked_take_one_handshake(authority: Authority) -> None:
    asked: list[str | None] = []
    context = authority.server("elsewhere.test")
    context.sni_callback = lambda _, name, __: asked.append(name)
    with pytest.warns(InsecureTlsWarning):
        insecure = Tls(insecure=True)
    with Server(tls=context) as server:
        for tls in (Tls(ca=authority.file, verify_hostname=False), insecure):
            connect_and_send(server.node(**NAMES), TlsContexts(tls))
            connect_and_send(server.node(), TlsContexts(tls))
        assert server.accepted == 4
    # An address is never asked for: TLS has no place for it.
    assert asked == ["source.db.test", None] * 2


def test_all_handshakes_share_the_time_for_connecting(authority: Authority) -> None:
    contexts = TlsContexts(Tls(ca=authority.file))
    with silent_after_a_handshake(authority.server("own.db.test")) as server:
        node = Node("https", "127.0.0.1", server.port, **NAMES)
        began = time.monotonic()
        with pytest.raises(ConnectTimeoutError):
            Connection.open(node, connect_timeout=0.3, tls=contexts)
        assert server.accepted == 2
        assert time.monotonic() - began < 5


def test_a_cut_reaches_the_second_handshake(authority: Authority) -> None:
    contexts = TlsContexts(Tls(ca=authority.file))
    with silent_after_a_handshake(authority.server("own.db.test")) as server:
        connection = Connection(Node("https", "127.0.0.1", server.port, **NAMES))
        errors: list[BaseException] = []

        def connect() -> None:
            try:
                connection.connect(connect_timeout=60, tls=contexts)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=connect, daemon=True)
        thread.start()
        until(lambda: server.accepted == 2)
        connection.cut()
        thread.join(10)
        assert isinstance(errors[0], NodeUnreachableError)


def test_data_and_control_judge_by_the_same_names(authority: Authority) -> None:
    contexts = TlsContexts(Tls(ca=authority.file))
    with Server(tls=authority.server("own.db.test")) as server:
        pools, control = Pools(tls=contexts), ControlConnections(tls=contexts)
        node = server.node(**NAMES)
        assert control.fetch(node, "/", timeout=5).status == 200
        assert server.accepted == 2
        connection = pools.acquire(node, 5)
        assert resumed(connection)
        assert server.accepted == 3
        pools.release(connection)
        pools.close()
        control.close()


# ---- client certificates ---------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "files"])
def pem_in(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where OpenSSL reads PEM from that was given as such."""
    if request.param == "files":
        monkeypatch.delattr(os, "memfd_create", raising=False)
    elif not hasattr(os, "memfd_create"):
        pytest.skip("this system has no files in memory")
    return str(request.param)


def test_a_client_certificate_as_pem(
    authority: Authority, pem_in: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cert, key = (file.read_bytes() for file in authority.issue("client"))
    with Server(tls=authority.server("127.0.0.1", clients=authority)) as server:
        forms: list[Any] = [(cert, key), [cert, bytearray(key)], cert + key, (cert + key).decode()]
        forms += [(authority.directory / "client.pem", key), (cert, str(authority.directory / "client.key"))]
        for form in forms:
            tls = Tls(ca=authority.file, client_cert=form)
            assert connect_and_send(server.node(), TlsContexts(tls)) == b"{}"
            # The key is shown nowhere, and left nowhere.
            assert "BEGIN" not in repr(tls) + repr(dataclasses.asdict(tls))
            assert "<hidden>" in repr(tls)
            assert pickle.loads(pickle.dumps(tls)) == tls
            assert hash(tls) == hash(dataclasses.replace(tls))
    assert list(tmp_path.iterdir()) == []


def test_wrong_pem_is_not_repeated(authority: Authority, stranger: Authority) -> None:
    cert, key = (file.read_bytes() for file in authority.issue("client"))
    other = stranger.issue("client")[1].read_bytes()
    locked = authority.issue("locked", password=b"secret")
    for form, words in (
        (cert, "the PEM text has no private key"),
        ((key, cert), "the PEM text has no certificate"),
        ((cert, other), "the key in the PEM text does not belong"),
        (tuple(file.read_bytes() for file in locked), "has a password"),
        (key.decode(), "has no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nx PRIVATE KEY-----", "cannot be used"),
        (7, "client_cert must be"),
        ((cert, None), "client_cert must be"),
        ((cert, key, key), "client_cert must be"),
    ):
        with pytest.raises(ConfigurationError, match=words) as caught:
            Tls(client_cert=form)  # type: ignore[arg-type]
        assert "BEGIN" not in str(caught.value)


def test_a_callable_gives_the_client_certificate(authority: Authority, stranger: Authority) -> None:
    now = 0.0
    latest: list[Any] = [tuple(file.read_bytes() for file in stranger.issue("client"))]
    asked: list[float] = []

    def client_cert() -> Any:
        asked.append(now)
        return latest[0]

    contexts = TlsContexts(Tls(ca=authority.file, client_cert=client_cert), clock=lambda: now)
    assert asked == []  # not before the first connection
    with Server(tls=authority.server("127.0.0.1", clients=authority)) as server:
        with pytest.raises((NotSentError, ConnectionLostError)):
            connect_and_send(server.node(), contexts)
        cert, key = authority.issue("client")
        first = contexts.context()
        for latest[0] in ((cert, key), cert.read_bytes() + key.read_bytes(), [str(cert), key.read_bytes()]):
            assert contexts.context() is first  # asked less than a second ago
            now += 1.5
            assert connect_and_send(server.node(), contexts) == b"{}"
            assert contexts.context() is not first
            first = contexts.context()
        now += 1.5
        assert contexts.context() is first  # it gave the same
        assert asked == [0.0, 1.5, 3.0, 4.5, 6.0]


def test_a_callable_that_fails(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    good = tuple(file.read_bytes() for file in authority.issue("client"))
    answer: list[Any] = [ValueError("hunter2")]

    async def unfit() -> None:
        return None

    def client_cert() -> Any:
        if isinstance(answer[0], Exception):
            raise answer[0]
        return answer[0]

    contexts = TlsContexts(Tls(ca=authority.file, client_cert=client_cert), clock=lambda: now)
    with Server(tls=authority.server("127.0.0.1", clients=authority)) as server:
        with pytest.raises(TlsError, match="its function failed with ValueError") as caught:
            Connection.open(server.node(), connect_timeout=5, tls=contexts)
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))
        for wrong, words in (
            (None, "must be"),
            (unfit(), "async"),
            (client_cert, "another function"),
            ((good[1], good[0]), "has no certificate"),
        ):
            answer[0] = wrong
            with pytest.raises(TlsError, match=words):
                Connection.open(server.node(), connect_timeout=5, tls=contexts)
        answer[0] = good
        assert connect_and_send(server.node(), contexts) == b"{}"
        # From now on there is one to go on with.
        caplog.clear()
        for answer[0], lines in ((OSError("no vault"), 1), (OSError("still none"), 1), (None, 2), (good, 2), (None, 3)):
            now += 1.5
            assert connect_and_send(server.node(), contexts) == b"{}"
            assert len(caplog.records) == lines


def test_the_authorities_of_the_system_are_trusted_too(
    authority: Authority, stranger: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(stranger.file))
    with Server(tls=authority.server("127.0.0.1")) as ours, Server(tls=stranger.server("127.0.0.1")) as systems:
        for settings, trusted in (
            ({"ca": authority.file}, {"ours"}),
            ({"ca": authority.file, "system_ca": True}, {"ours", "systems"}),
            ({}, {"systems"}),
            ({"system_ca": True}, {"systems"}),
        ):
            contexts = TlsContexts(Tls(**settings))  # type: ignore[arg-type]
            for name, server in (("ours", ours), ("systems", systems)):
                if name in trusted:
                    assert connect_and_send(server.node(), contexts) == b"{}"
                else:
                    with pytest.raises(TlsError):
                        Connection.open(server.node(), connect_timeout=5, tls=contexts)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_shows_its_certificate(authority: Authority, stranger: Authority, version: ssl.TLSVersion) -> None:
    context = authority.server("127.0.0.1", clients=authority)
    context.minimum_version = context.maximum_version = version
    cert, key = authority.issue("client")
    both = authority.directory / "both.pem"
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    with Server(tls=context) as server:
        for setting in ((cert, key), both, [str(cert), str(key)]):
            contexts = TlsContexts(Tls(ca=authority.file, client_cert=setting))  # type: ignore[arg-type]
            with opened(server.node(), contexts) as connection:
                assert send(connection) == b"{}"
        # Without one, or with one that the node does not trust: nothing was executed, and the error says what to do.
        for tls in (Tls(ca=authority.file), Tls(ca=authority.file, client_cert=stranger.issue("client"))):
            with pytest.raises((NotSentError, ConnectionLostError)) as caught:
                connect_and_send(server.node(), TlsContexts(tls))
            if isinstance(caught.value, TlsError):
                assert "client certificate" in str(caught.value)


def test_the_alert_for_a_missing_certificate_is_understood(authority: Authority) -> None:
    contexts = TlsContexts(Tls(ca=authority.file))
    node = Node("https", "127.0.0.1", 8000)
    alert = ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required")
    alert.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    error = contexts.refused(node, alert)
    assert error is not None
    assert "client_cert=" in str(error)
    alert.reason = "SSLV3_ALERT_BAD_RECORD_MAC"
    assert contexts.refused(node, alert) is None


def test_files_are_read_again_when_they_change(authority: Authority, stranger: Authority, tmp_path: Path) -> None:
    now = 0.0
    ca = tmp_path / "ca.pem"
    ca.write_text(stranger.pem)
    contexts = TlsContexts(Tls(ca=ca), clock=lambda: now)
    with Server(tls=authority.server("127.0.0.1")) as server:
        node = server.node()
        with pytest.raises(TlsError):
            Connection.open(node, connect_timeout=5, tls=contexts)
        ca.write_text(authority.pem + "\n")
        first = contexts.context()
        assert contexts.context() is first  # looked at less than a second ago
        now = 1.5
        with opened(node, contexts) as connection:
            assert send(connection) == b"{}"
        second = contexts.context()
        assert second is not first
        now = 3.0
        assert contexts.context() is second  # nothing has changed


def test_half_written_files_leave_the_old_ones_in_use(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    pair = tmp_path / "client.pem", tmp_path / "client.key"
    for source, target in zip(authority.issue("client"), pair, strict=True):
        target.write_bytes(source.read_bytes())
    contexts = TlsContexts(Tls(ca=authority.file, client_cert=pair), clock=lambda: now)
    first = contexts.context()
    renewed = authority.issue("client2")
    pair[0].write_bytes(renewed[0].read_bytes() + b"\n")
    now = 2.0
    with caplog.at_level(logging.INFO, "pynamodb_alternator"):
        assert contexts.context() is first
        now = 4.0
        assert contexts.context() is first
        assert len(caplog.records) == 1
        assert "does not belong" in caplog.text
        pair[1].write_bytes(renewed[1].read_bytes() + b"\n")
        now = 6.0
        assert contexts.context() is not first
    pair[0].unlink()
    now = 8.0
    assert contexts.context()


def test_files_that_vanish_before_the_first_connection(authority: Authority, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text(authority.pem)
    contexts = TlsContexts(Tls(ca=ca))
    ca.unlink()
    with Server(tls=authority.server("127.0.0.1")) as server, pytest.raises(TlsError, match=r"ca\.pem"):
        Connection.open(server.node(), connect_timeout=5, tls=contexts)


# ---- sessions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(authority: Authority, version: ssl.TLSVersion) -> None:
    context = authority.server("127.0.0.1")
    context.minimum_version = context.maximum_version = version
    contexts = TlsContexts(Tls(ca=authority.file))
    with Server(tls=context) as server:
        resumptions = []
        for _ in range(4):
            with opened(server.node(), contexts) as connection:
                send(connection)
                resumptions.append(resumed(connection))
    assert resumptions == [False, True, True, True]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_without_resumption_each_connection_checks_the_certificate(
    authority: Authority, version: ssl.TLSVersion
) -> None:
    context = authority.server("127.0.0.1")
    context.minimum_version = context.maximum_version = version
    contexts = TlsContexts(Tls(ca=authority.file, session_resumption=False))
    with Server(tls=context) as server:
        for _ in range(3):
            with opened(server.node(), contexts) as connection:
                send(connection)
                assert not resumed(connection)
        context.load_cert_chain(*authority.issue("expired", "127.0.0.1", days=-1))
        with pytest.raises(TlsError, match="expired"):
            Connection.open(server.node(), connect_timeout=5, tls=contexts)


def test_a_session_is_used_only_for_its_name_and_context(authority: Authority, tmp_path: Path) -> None:
    now = 0.0
    ca = tmp_path / "ca.pem"
    ca.write_text(authority.pem)
    contexts = TlsContexts(Tls(ca=ca), clock=lambda: now)
    with Server(tls=authority.server("127.0.0.1")) as server:
        with opened(server.node(), contexts) as connection:
            send(connection)
        with pytest.raises(TlsError, match="other"):
            Connection.open(server.node(server_name="other"), connect_timeout=5, tls=contexts)
        ca.write_text(authority.pem + "\n")
        now = 2.0
        with opened(server.node(), contexts) as connection:
            send(connection)
            assert not resumed(connection)


# ---- pools, staleness, cutting ---------------------------------------------------------------------------------


def test_data_and_control_share_one_source(authority: Authority) -> None:
    contexts = TlsContexts(Tls(ca=authority.file))
    with Server(tls=authority.server("127.0.0.1")) as server:
        pools, control = Pools(tls=contexts), ControlConnections(tls=contexts)
        node = server.node()
        assert control.fetch(node, "/", timeout=5).status == 200
        connection = pools.acquire(node, 5)
        assert resumed(connection)  # the session that discovery has made
        assert send(connection) == b"{}"
        pools.release(connection)
        assert pools.acquire(node, 5) is connection
        pools.release(connection)
        server.hang_up()
        until(connection.is_stale)
        fresh = pools.acquire(node, 5)
        assert fresh is not connection
        assert send(fresh) == b"{}"
        pools.release(fresh)
        pools.close()
        control.close()


def test_http_nodes_get_no_tls(authority: Authority) -> None:
    pools = Pools(tls=TlsContexts(Tls(ca=authority.file)))
    with Server() as server:
        connection = pools.acquire(server.node(), 5)
        assert send(connection) == b"{}"
        pools.release(connection)
        pools.close()


def test_a_record_without_data_does_not_make_a_connection_stale(authority: Authority) -> None:
    """The tickets of TLS 1.3 arrive after the handshake, and a fresh connection may not have read them yet."""
    contexts = TlsContexts(Tls(ca=authority.file))
    with Server(tls=authority.server("127.0.0.1")) as server, opened(server.node(), contexts) as connection:
        until(lambda: connection._poller.poll(0))
        assert not connection.is_stale()
        assert send(connection) == b"{}"


def test_cut_wakes_a_tls_reader(authority: Authority) -> None:
    contexts = TlsContexts(Tls(ca=authority.file))
    with Server(silent, tls=authority.server("127.0.0.1")) as server, opened(server.node(), contexts) as connection:
        errors: list[BaseException] = []

        def read() -> None:
            try:
                send(connection, read_timeout=60)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        until(lambda: connection.busy_since is not None)
        time.sleep(0.02)
        connection.cut()
        thread.join(5)
        assert isinstance(errors[0], ConnectionLostError)
        assert "declared down" in str(errors[0])


def test_an_end_without_close_notify_does_not_complete_an_answer(authority: Authority) -> None:
    def cut_short(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"a":')
        socket.socket.shutdown(sock, socket.SHUT_RDWR)

    contexts = TlsContexts(Tls(ca=authority.file))
    with (
        Server(cut_short, tls=authority.server("127.0.0.1")) as server,
        opened(server.node(), contexts) as connection,
        pytest.raises(ConnectionLostError),
    ):
        send(connection)


def test_many_records_in_one_answer(authority: Authority) -> None:
    body = os.urandom(100_000)

    def in_many_records(sock: socket.socket) -> None:
        while read_request(sock) is not None:
            answer = ok(body)
            for start in range(0, len(answer), 997):
                sock.sendall(answer[start : start + 997])

    contexts = TlsContexts(Tls(ca=authority.file))
    with (
        Server(in_many_records, tls=authority.server("127.0.0.1")) as server,
        opened(server.node(), contexts) as connection,
    ):
        assert send(connection) == body
        assert send(connection) == body


def test_the_secrets_of_sessions_are_logged(authority: Authority, tmp_path: Path) -> None:
    log = tmp_path / "keys.log"
    contexts = TlsContexts(Tls(ca=authority.file, key_log=log))
    with (
        Server(answer_all, tls=authority.server("127.0.0.1")) as server,
        opened(server.node(), contexts) as connection,
    ):
        send(connection)
    assert "CLIENT_TRAFFIC_SECRET_0" in log.read_text()


# ---- at its age --------------------------------------------------------------------------------------------------


def test_a_renewed_connection_resumes_the_session_and_the_old_one_ends_in_order(authority: Authority) -> None:
    ended: list[bytes] = []

    def note_the_end(sock: socket.socket) -> None:
        while (asked := read_request(sock)) is not None:
            sock.sendall(ok(asked[1]))
        ended.append(sock.recv(1))  # and no ConnectionResetError

    with Server(note_the_end, tls=authority.server("127.0.0.1")) as server:
        pool = NodePool(server.node(), tls=TlsContexts(Tls(ca=authority.file)))
        for _ in range(3):
            connection = pool.acquire(5.0)
            assert send(connection) == b"{}"
            connection.renew_at = 0.0
            pool.release(connection)
        assert pool.stats() == PoolStats(3, 1, 0)
        until(lambda: ended == [b"", b""])
        assert isinstance(connection._sock, ssl.SSLSocket)
        assert connection._sock.session_reused
        pool.close()
