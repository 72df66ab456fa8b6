"""Does the server accept our requests, and would it accept unsigned ones?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...errors import CredentialsError, TransportError
from ..questions import refusal
from ..values import Finding, Severity
from ..words import answered, said, some_of

if TYPE_CHECKING:
    from ...transport.http1 import Answer
    from ..examination import Examination

__all__ = ["check"]

_ID = "authentication"
_Problem = tuple[Severity, str, str]
"""Severity, message and remedy."""


def check(examination: Examination) -> Iterator[Finding]:
    problems: dict[_Problem, list[str]] = {}
    for node, answer in examination.listings.items():
        problem = _problem(answer, others_let_us_in=examination.is_admitted)
        if problem is not None:
            problems.setdefault(problem, []).append(node.address)
    for (severity, message, remedy), subjects in problems.items():
        yield Finding(_ID, severity, some_of(subjects), message, remedy)
    if examination.is_admitted and not problems:
        yield Finding(_ID, "ok", examination.config.name, _what_is_taken(examination))


def _what_is_taken(examination: Examination) -> str:
    if examination.config.credentials is None:
        return "The server takes unsigned requests."
    unsigned = examination.ask_each("ListTables", {"Limit": 1}, signed=False)
    if any(not isinstance(answer, Exception) and answer.status >= 400 for answer in unsigned.values()):
        return "The server demands signed requests, and takes ours."
    return "Requests are signed; the server takes unsigned ones as well (alternator_enforce_authorization)."


def _problem(answer: Answer | Exception, *, others_let_us_in: bool) -> _Problem | None:
    """`others_let_us_in`: whether another node takes our requests."""
    if isinstance(answer, TransportError) and not isinstance(answer, CredentialsError):
        return "warning", f"ListTables failed: {said(answer)}", ""
    if isinstance(answer, Exception):
        remedy = "Correct the `credentials` of the cluster's configuration."
        return "error", f"ListTables failed: {said(answer)}", remedy
    if answer.status < 300:
        return None
    code, message = refusal(answer)
    return _explain(code, message) or (
        "warning" if others_let_us_in else "error",
        f"ListTables was refused. The server says: {answered(code, message)}",
        "Is that the port of Alternator? A proxy in between must let POST / through.",
    )


def _explain(code: str, message: str) -> _Problem | None:
    """What the server's error means; None for an error that says nothing about signatures."""
    told = f" The server says: {answered(code, message)}"
    if code == "MissingAuthenticationTokenException":
        return (
            "error",
            "The server demands signed requests, and ours are not." + told,
            "Give credentials=Credentials(role, salted_hash), or set ALTERNATOR_ACCESS_KEY and ALTERNATOR_SECRET_KEY. "
            "The secret is: SELECT salted_hash FROM system.roles WHERE role = '<the role>'.",
        )
    if "expired" in message.lower() or "not yet current" in message.lower():
        return (
            "error",
            "The server considers our signatures too old or too new." + told,
            "Set the clocks of this machine and of the node by NTP.",
        )
    if code == "UnrecognizedClientException" and "not found" in message.lower():
        return (
            "error",
            "The server does not know the access key." + told,
            "The access key is the name of a role: create it with CQL (CREATE ROLE ... WITH LOGIN = true), or correct "
            "ALTERNATOR_ACCESS_KEY.",
        )
    if code in ("UnrecognizedClientException", "InvalidSignatureException"):
        return (
            "error",
            "The server refuses our signature." + told,
            "The secret key is the role's salted hash, and not its password: SELECT salted_hash FROM system.roles "
            "WHERE role = '<the role>'. A proxy that changes the Host header breaks signatures too.",
        )
    if code == "AccessDeniedException":
        return ("ok", "The server knows our access key, but does not let us list tables." + told, "")
    return None
