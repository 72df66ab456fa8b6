"""How the doctor says what it found."""

from __future__ import annotations

import email.utils
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ..config import KeyRouteAffinity
from ..errors import AlternatorError
from ..transport.outcome import error_type
from .values import Severity

if TYPE_CHECKING:
    from ..transport.http1 import Answer
    from .patient import Patient


def milliseconds(seconds: float) -> str:
    value = seconds * 1000
    return f"{value:.{2 if value < 1 else 1 if value < 100 else 0}f} ms"


def some_of(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f", and {len(names) - 4} more" if len(names) > 4 else "")


def refusal(answer: Answer) -> tuple[str, str]:
    """Code and message of an error answer."""
    try:
        content = json.loads(answer.body)
    except ValueError:
        content = None
    message = content.get("message") or content.get("Message") if isinstance(content, dict) else ""
    return error_type(answer.body) or f"status {answer.status}", str(message or "")


def what_it_means(wish: KeyRouteAffinity, best: KeyRouteAffinity) -> str:
    return f" (which means {best.name})" if wish is KeyRouteAffinity.AUTO else ""


def clock_skew(answer: Answer, before: float, after: float) -> float | None:
    """By how many seconds our clock is ahead of the node's, as far as a Date header without fractions tells."""
    told = answer.headers.get("date")
    if told is None:
        return None
    try:
        theirs = email.utils.parsedate_to_datetime(told).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    # Their second began at `theirs`: anything within it, and within the exchange, is no skew.
    if before > theirs + 1:
        return before - theirs - 1
    if after < theirs:
        return after - theirs
    return 0.0


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def said(error: Exception) -> str:
    if isinstance(error, ClientError):
        found = error.response.get("Error", {})
        return f"{found.get('Code', '?')}: {found.get('Message', '')}"
    text = str(error)
    return text if isinstance(error, AlternatorError) and text else f"{type(error).__name__}: {text}"


def remedy_for_unreachable(patient: Patient, scheme: str) -> str:
    text = str(patient.error).lower()
    if "certificate" in text or "tls" in text or "ssl" in text:
        return (
            "Give the authority that signed the node's certificate: Tls(ca='/path/to/ca.pem'), or ?ca=... in the URL."
        )
    if "answered with" in text or "http" in text:
        other = "https" if scheme == "http" else "http"
        return f"Does this port speak {other}? Change the scheme in the cluster's URL."
    return "Is the node running (`nodetool status`), and may this machine reach it on this port?"


def explain_refusal(code: str, message: str) -> tuple[Severity, str, str]:
    said = f" The server says: {code}: {message}"
    if code == "MissingAuthenticationTokenException":
        return (
            "error",
            "The server demands signed requests, and ours are not." + said,
            "Give credentials=Credentials(role, salted_hash), or set ALTERNATOR_ACCESS_KEY and ALTERNATOR_SECRET_KEY. "
            "The secret is: SELECT salted_hash FROM system.roles WHERE role = '<the role>'.",
        )
    if "expired" in message.lower() or "not yet current" in message.lower():
        return (
            "error",
            "The server takes our signatures for too old or too new." + said,
            "Set the clocks of this machine and of the node by NTP.",
        )
    if code == "UnrecognizedClientException" and "not found" in message.lower():
        return (
            "error",
            "The server does not know the access key." + said,
            "The access key is the name of a role: create it with CQL (CREATE ROLE ... WITH LOGIN = true), or correct "
            "ALTERNATOR_ACCESS_KEY.",
        )
    if code in ("UnrecognizedClientException", "InvalidSignatureException"):
        return (
            "error",
            "The server refuses our signature." + said,
            "The secret key is the role's salted hash, and not its password: SELECT salted_hash FROM system.roles "
            "WHERE role = '<the role>'. A proxy that changes the Host header breaks signatures too.",
        )
    if code == "AccessDeniedException":
        return ("ok", "The server knows us, and does not let us list tables." + said, "")
    return (
        "warning",
        f"ListTables was refused.{said if code else ' The answer is none of a DynamoDB server.'}",
        "Is that the port of Alternator?",
    )


def is_compressed(answer: Answer | Exception) -> bool | None:
    """Whether the node compresses answers, going by its table of options; None if that may not be read."""
    if isinstance(answer, Exception) or answer.status >= 400:
        return None
    if answer.headers.get("content-encoding"):
        return True
    try:
        rows: Iterable[Any] = json.loads(answer.body)["Items"]
        for row in rows:
            if row["name"] == {"S": "alternator_response_gzip_compression_level"}:
                return int(json.loads(row["value"]["S"])) > 0
    except (ValueError, TypeError, KeyError):
        return None
    return False
