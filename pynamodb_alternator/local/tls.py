"""Makes certificates: an authority, server certificates, and client certificates for mutual TLS."""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import ConfigurationError
from ..settings import checks

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509 import GeneralName

Kind = Literal["good", "expired", "wrong_host", "self_signed"]
_KINDS = ("good", "expired", "wrong_host", "self_signed")
_DAY = datetime.timedelta(days=1)
_FIRST_YEAR, _LAST_YEAR = 2000, 2100
"""The years between which certificates are valid. They do not depend on the clock: a test may have replaced it, but the
handshake uses the system's time."""


@dataclass(frozen=True, slots=True)
class LocalTls:
    """How a `LocalCluster` speaks TLS.

    `certificate`: the certificate of the nodes: a ``"good"`` one (for localhost, ::1 and all addresses of the nodes),
    an ``"expired"`` one, one for the ``"wrong_host"``, or a ``"self_signed"`` one, which the authority has not signed.
    `client_certificates`: whether clients must or may present a certificate of the cluster's authority.
    `per_node`: each node has its own certificate, for its own address; the certificate of the first node is also for
    localhost and ::1. `TlsFiles.present_names` gives a node a certificate for other names.
    `certificate_is_login`: a request with a client certificate needs no SigV4 signature, as the newest servers allow.
    `minimum` and `maximum`: TLS versions.
    """

    certificate: Kind = "good"
    client_certificates: Literal["ignored", "optional", "required"] = "ignored"
    certificate_is_login: bool = False
    per_node: bool = False
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    maximum: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED

    def __post_init__(self) -> None:
        checks.one_of("LocalTls: certificate", self.certificate, _KINDS)
        checks.one_of("LocalTls: client_certificates", self.client_certificates, ("ignored", "optional", "required"))


@dataclass(frozen=True, slots=True)
class KeyPair:
    """The paths of the PEM files of a certificate and its key."""

    certificate: str
    key: str


class TlsFiles:
    """The authority of a running cluster and its PEM files, in a directory that is deleted when the cluster closes.

    Raises `ConfigurationError` if `cryptography` is missing.
    """

    def __init__(self, settings: LocalTls, hosts: Sequence[str]) -> None:
        self._hosts = hosts
        self._shared_names = ("localhost", "::1", *hosts)
        self._authority = _Authority()
        self._settings = settings
        self._kind = settings.certificate
        self._contexts: dict[str, ssl.SSLContext] = {}
        """The TLS contexts, by the host of a node."""
        self._directory = Path(tempfile.mkdtemp(prefix="pynamodb-alternator-tls-"))
        self.ca_file: str = self._write("ca.pem", self._authority.pem)
        """The path of the authority's certificate, which a client must trust."""
        self._shared = self._issue(settings.certificate, self._shared_names)

    def context_of(self, host: str) -> ssl.SSLContext:
        """The TLS context of the node at this address."""
        context = self._contexts.get(host)
        if context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = self._settings.minimum
            context.maximum_version = self._settings.maximum
            if self._settings.client_certificates != "ignored":
                required = self._settings.client_certificates == "required"
                context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
                context.load_verify_locations(cafile=self.ca_file)
            self._contexts[host] = context
            self._load(host)
        return context

    def present(self, kind: Kind) -> None:
        """All nodes present another kind of server certificate, from the next handshake on."""
        checks.one_of("TlsFiles.present: kind", kind, _KINDS)
        self._kind = kind
        self._shared = self._issue(kind, self._shared_names)
        for host in self._contexts:
            self._load(host)

    def present_names(self, host: str, *names: str) -> None:
        """The node at `host` presents a certificate for these names and addresses, from the next handshake on."""
        pair = self._issue("good", names, f"-{host}")
        self.context_of(host).load_cert_chain(pair.certificate, pair.key)

    def _load(self, host: str) -> None:
        pair = self._shared
        if self._settings.per_node:
            local = ("localhost", "::1") if host == self._hosts[0] else ()
            pair = self._issue(self._kind, (host, *local), f"-{host}")
        self._contexts[host].load_cert_chain(pair.certificate, pair.key)

    def _issue(self, kind: Kind, names: Sequence[str], suffix: str = "") -> KeyPair:
        return self._pair(f"server-{kind}{suffix}".replace(":", "_"), *self._authority.server(kind, names))

    def client(self, name: str = "client", *, expired: bool = False, foreign: bool = False) -> KeyPair:
        """Issue a client certificate for mutual TLS. `foreign`: another authority signs it, which the cluster does not
        know."""
        issuer = _Authority() if foreign else self._authority
        return self._pair(f"client-{name}", *issuer.client(name, expired))

    def close(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    def _pair(self, name: str, certificate: bytes, key: bytes) -> KeyPair:
        return KeyPair(self._write(f"{name}.pem", certificate), self._write(f"{name}.key", key))

    def _write(self, name: str, content: bytes) -> str:
        path = self._directory / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        return str(path)


class _Authority:
    def __init__(self) -> None:
        try:
            from cryptography import x509
            from cryptography.hazmat.primitives import hashes, serialization
            from cryptography.hazmat.primitives.asymmetric import ec
        except ImportError as missing:
            raise ConfigurationError(
                f"LocalCluster: tls needs cryptography ({missing}). "
                'Install it: pip install "pynamodb-alternator[local]".'
            ) from missing
        self._x509, self._hashes, self._serialization, self._ec = x509, hashes, serialization, ec
        self._key = self._new_key()
        self._name = self._subject("pynamodb-alternator local authority")
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        own = (
            self._builder(self._name, self._key, False)
            .issuer_name(self._name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = own.public_bytes(serialization.Encoding.PEM)

    def server(self, kind: Kind, hosts: Sequence[str]) -> tuple[bytes, bytes]:
        x509 = self._x509
        names = [self._general_name(host) for host in (["elsewhere.example"] if kind == "wrong_host" else hosts)]
        key = self._new_key()
        subject = self._subject("pynamodb-alternator local node")
        builder = self._builder(subject, key, kind == "expired").add_extension(
            x509.SubjectAlternativeName(names), critical=False
        )
        return self._issued(builder, key, x509.oid.ExtendedKeyUsageOID.SERVER_AUTH, self_signed=kind == "self_signed")

    def _general_name(self, host: str) -> GeneralName:
        try:
            return self._x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            return self._x509.DNSName(host)

    def client(self, name: str, expired: bool) -> tuple[bytes, bytes]:
        key = self._new_key()
        builder = self._builder(self._subject(name), key, expired)
        return self._issued(builder, key, self._x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH)

    def _new_key(self) -> ec.EllipticCurvePrivateKey:
        return self._ec.generate_private_key(self._ec.SECP256R1())

    def _subject(self, name: str) -> x509.Name:
        return self._x509.Name([self._x509.NameAttribute(self._x509.oid.NameOID.COMMON_NAME, name)])

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, expired: bool) -> x509.CertificateBuilder:
        begin, end = (datetime.datetime(year, 1, 1, tzinfo=datetime.UTC) for year in (_FIRST_YEAR, _LAST_YEAR))
        return (
            self._x509.CertificateBuilder()
            .subject_name(subject)
            .public_key(key.public_key())
            .serial_number(self._x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + _DAY if expired else end)
        )

    def _issued(
        self,
        builder: x509.CertificateBuilder,
        key: ec.EllipticCurvePrivateKey,
        usage: x509.ObjectIdentifier,
        self_signed: bool = False,
    ) -> tuple[bytes, bytes]:
        x509, serialization = self._x509, self._serialization
        issuer = self._subject("pynamodb-alternator local node") if self_signed else self._name
        signer = key if self_signed else self._key
        certificate = (
            builder.issuer_name(issuer)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            # Python 3.13 verifies strictly, and requires this extension.
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
            .sign(signer, self._hashes.SHA256())
        )
        return (
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
