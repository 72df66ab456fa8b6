"""The errors of failed TLS handshakes: texts for the people who must repair them, with what to do."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import TlsError
from ..settings.tls import openssl_reason

if TYPE_CHECKING:
    from ..topology.node import Node

__all__ = ["handshake_failed", "is_about_our_certificate", "is_about_the_name"]

_NAME_MISMATCHES = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_UNKNOWN_NAME = "UNRECOGNIZED_NAME"
"""The alert of a node that has no certificate for the name, and does not send another one instead."""


def is_about_the_name(error: ssl.SSLError) -> bool:
    """Whether the handshake failed only because of the name, so that another name may succeed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_code in _NAME_MISMATCHES
    return _UNKNOWN_NAME in _reason_of(error)


def is_about_our_certificate(error: ssl.SSLError) -> bool:
    """Whether the node has refused our certificate, or demands one that we did not send."""
    reason = _reason_of(error)
    return "ALERT" in reason and any(word in reason for word in _CERTIFICATE_ALERTS)


def handshake_failed(node: Node, error: ssl.SSLError, names: Sequence[str]) -> TlsError:
    """The error to raise for the last `error`. `names`: the names that the node's certificate was checked for."""
    quoted = [repr(name) for name in names]
    any_name = " or ".join(quoted)
    if len(names) > 1 and is_about_the_name(error):
        reason = f"its certificate was not accepted: it is valid for none of {', '.join(quoted)}"
        remedy = _NAME_REMEDY
    elif isinstance(error, ssl.SSLCertVerificationError):
        reason = f"its certificate was not accepted: {error.verify_message.rstrip('.')}"
        remedy = _VERIFICATION_REMEDIES.get(error.verify_code, "Give the nodes' CA: Tls(ca='/path/to/ca.pem').")
    else:
        reason = openssl_reason(error)
        remedy = next((text for word, text in _REMEDIES if word in reason.upper().replace(" ", "_")), "")
    if len(names) > 1 and not is_about_the_name(error):
        reason += f" (asked for {quoted[-1]}; it is not valid for {' or '.join(quoted[:-1])})"
    remedy = remedy.format(names=any_name)
    return TlsError(f"Node {node}: TLS failed, {reason}.{' ' if remedy else ''}{remedy}", node=node.address)


def _reason_of(error: ssl.SSLError) -> str:
    reason: str = getattr(error, "reason", None) or ""  # the ssl module's own errors have none
    return reason.upper().replace(" ", "_")


_CERTIFICATE_ALERTS = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")

_CA_REMEDY = "Give the CA that has signed it: Tls(ca='/path/to/ca.pem')."
_NAME_REMEDY = (
    "Have a certificate issued for {names}, name the nodes as their certificates do, or, where the network is "
    "trusted, use Tls(verify_hostname=False)."
)
_VERIFICATION_REMEDIES = {
    2: _CA_REMEDY,
    9: "Check the clocks of this machine and of the node.",
    10: "Renew the node's certificate, and check this machine's clock.",
    18: _CA_REMEDY,
    19: _CA_REMEDY,
    20: _CA_REMEDY,
    21: _CA_REMEDY,
    23: "The certificate was revoked: give the node a new one.",
    62: _NAME_REMEDY,
    64: _NAME_REMEDY,
}
"""By OpenSSL's X509_V_ERR_ numbers (openssl-verification-options(1))."""

_CLIENT_CERT_REMEDY = "The node wants a client certificate that it trusts: Tls(client_cert=('cert.pem', 'key.pem'))."
_REMEDIES = (
    (_UNKNOWN_NAME, _NAME_REMEDY),
    ("CERTIFICATE_REQUIRED", _CLIENT_CERT_REMEDY),
    ("ALERT_UNKNOWN_CA", _CLIENT_CERT_REMEDY),
    ("ALERT_BAD_CERTIFICATE", _CLIENT_CERT_REMEDY),
    ("ALERT_CERTIFICATE", _CLIENT_CERT_REMEDY),
    ("ALERT_ACCESS_DENIED", _CLIENT_CERT_REMEDY),
    ("HANDSHAKE_FAILURE", "The node may want a client certificate, or offers no cipher that is safe."),
    ("WRONG_VERSION_NUMBER", "The port may be one for plain HTTP: use scheme='http', or the port for https."),
    ("RECORD_LAYER_FAILURE", "The port may be one for plain HTTP: use scheme='http', or the port for https."),
    ("HTTP_REQUEST", "The port may be one for plain HTTP: use scheme='http', or the port for https."),
    ("UNSUPPORTED_PROTOCOL", "The node offers only versions of TLS below Tls(minimum_version=...)."),
    ("PROTOCOL_VERSION", "The node offers only versions of TLS below Tls(minimum_version=...)."),
)
"""By a text in OpenSSL's reason."""
