"""SigV4 as Alternator verifies it if ``alternator_enforce_authorization`` is on.

The rules, and the order of the checks, are those of the server (alternator-server.md, "Requests and answers"). AWS has
more rules. The server accepts any region and service in the credential scope, verifies header values as they came, and
ignores headers that are not signed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Mapping

from .answers import DialectError, validation

ALGORITHM = "AWS4-HMAC-SHA256"
_WINDOW = 15 * 60
_DATE = re.compile(r"\d{8}T\d{6}Z")


def verify(
    credentials: Mapping[str, str], method: str, headers: Mapping[str, str], body: bytes, now: float | None = None
) -> str:
    """The access key that signed the request. `headers` have lower-case names. `body` is the body as it came over the
    wire.

    Raises `DialectError`: MissingAuthenticationTokenException, InvalidSignatureException,
    UnrecognizedClientException, or ValidationException for a credential scope that cannot be read.
    """
    if "host" not in headers:
        raise _invalid("Host header is mandatory for signature verification")
    authorization = headers.get("authorization")
    if not authorization:
        raise DialectError(
            "MissingAuthenticationTokenException", "Authorization header is mandatory for signature verification"
        )
    fields = _fields(authorization)
    scope = fields.get("Credential", "").split("/")
    if len(scope) != 5:
        raise validation(f"Incorrect credential information format: {fields.get('Credential', '')}")
    access_key, day, region, service, _ = scope
    signed = sorted(name.lower() for name in fields.get("SignedHeaders", "").split(";"))
    date = headers.get("x-amz-date", "")
    if not date or "x-amz-date" not in signed:
        raise _invalid("X-Amz-Date header is mandatory for signature verification")
    _check_date(date, time.time() if now is None else now)
    if date[:8] != day:
        raise _invalid(f"X-Amz-Date date does not match the provided datestamp. Expected {day}, got {date[:8]}")
    secret = credentials.get(access_key)
    if secret is None:
        raise DialectError("UnrecognizedClientException", f"User not found: {access_key}")
    canonical = "\n".join(
        [
            method,
            "/",
            "",
            *(f"{name}:{headers.get(name, '')}" for name in signed),
            "",
            fields["SignedHeaders"],
            hashlib.sha256(body).hexdigest(),
        ]
    )
    digest = hashlib.sha256(canonical.encode("latin-1", "replace")).hexdigest()
    text = f"{ALGORITHM}\n{date}\n{day}/{region}/{service}/aws4_request\n{digest}"
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    expected = hmac.digest(key, text.encode(), "sha256").hex()
    if not hmac.compare_digest(expected.encode(), fields.get("Signature", "").encode("latin-1", "replace")):
        raise DialectError("UnrecognizedClientException", "The security token included in the request is invalid.")
    return access_key


def access_key(headers: Mapping[str, str]) -> str:
    """The access key that the request names, also if its signature is wrong; empty if the request names none."""
    match = re.search(r"Credential=([^/, ]+)/", headers.get("authorization", ""))
    return match[1] if match else ""


def _fields(authorization: str) -> dict[str, str]:
    """The fields of the Authorization header, which are separated by commas, spaces or both."""
    fields = {}
    for part in re.split(r"[ ,]+", authorization.strip()):
        name, equals, value = part.partition("=")
        if equals:
            fields[name] = value
        elif part != ALGORITHM:
            raise _invalid(f"Only {ALGORITHM} algorithm is supported. Found: {part}")
    return fields


def _check_date(date: str, now: float) -> None:
    if not _DATE.fullmatch(date):
        raise _invalid(f"X-Amz-Date is malformed: {date}")
    earliest, latest = _stamp(now - _WINDOW), _stamp(now + _WINDOW)
    # Texts of this form have the same order as their times.
    if date < earliest:
        raise _invalid(f"Signature expired: {date} is now earlier than {earliest} ({_stamp(now)} - 15 min.)")
    if date > latest:
        raise _invalid(f"Signature not yet current: {date} is still later than {latest} ({_stamp(now)} + 15 min.)")


def _stamp(moment: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))


def _invalid(message: str) -> DialectError:
    return DialectError("InvalidSignatureException", message)
