"""AWS Signature Version 4, for the one kind of request that this library makes: POST, path ``/``, no query.

The rule is AWS's "Create a signed AWS API request", as `botocore.auth.SigV4Auth` implements it. What is the same for a
second (the date) or for a day (the signing key) is computed once in that time.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from ..settings import checks

__all__ = ["Signer"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_MOST_STATES = 10_000
"""Hosts and targets that are kept for one second: more than a cluster has nodes and operations."""
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))
"""The translation of each byte of the key for the two hashes of HMAC."""


class _Moment(NamedTuple):
    """All that depends only on the second. It is one value, so that threads replace it as a whole."""

    second: int
    stamp: str
    to_sign: str
    """The start of the string to sign, which the hash of the canonical request completes."""
    authorization: str
    """The start of the Authorization header, up to the names of the signed headers."""
    key: bytes
    """The signing key: a secret, although it is valid for only one day."""
    lines: bytes
    """The headers that sign a request, up to the signature."""
    states: dict[tuple[str, str], Any]
    """For hosts and targets seen in this second: the hash of the canonical request up to the hash of its body."""
    inner: Any
    outer: Any
    """The two hashes of HMAC (RFC 2104) with the key, the inner one up to the hash of the canonical request."""

    def __repr__(self) -> str:
        return f"_Moment({self.stamp})"


class Signer:
    """Signs requests with one set of credentials. Threads may share it.

    Raises `ConfigurationError` for an access key, a token or a region that would break out of its header.
    """

    __slots__ = ("_access_key", "_moment", "_names", "_region", "_secret_key", "_service", "_token", "_token_line")

    def __init__(
        self,
        access_key: str,
        secret_key: str,
        session_token: str | None = None,
        region: str = "us-east-1",
        service: str = "dynamodb",
    ) -> None:
        for name, value in (("access_key", access_key), ("session_token", session_token or "")):
            checks.no_control_characters(f"Credentials: {name}", value)
        checks.no_control_characters("The region of the signature", region)
        self._access_key = access_key
        self._secret_key = secret_key
        self._token = session_token or None
        self._region = region
        self._service = service
        self._token_line = f"x-amz-security-token:{_trimmed(session_token)}\n" if session_token else ""
        self._names = (
            "host;x-amz-date;x-amz-security-token;x-amz-target" if session_token else "host;x-amz-date;x-amz-target"
        )
        self._moment = self._moment_of(0)

    def headers(
        self, host: str, target: str, body: bytes, now: float, extra_signed: Mapping[str, str] | None = None
    ) -> list[tuple[str, str]]:
        """The headers that authenticate a request: X-Amz-Date, X-Amz-Security-Token (if there is one), Authorization.

        `host`, `target`: the values of Host and X-Amz-Target, exactly as sent. `body`: as sent, so after compression.
        `now`: seconds since 1970, UTC. `extra_signed`: other headers of the request that the signature shall cover.
        """
        moment = self._moment
        if moment.second != int(now):
            moment = self._moment = self._moment_of(int(now))
        stamp, to_sign, authorization, key = moment.stamp, moment.to_sign, moment.authorization, moment.key
        names = self._names
        if extra_signed:
            names, lines = self._canonical({**extra_signed, "Host": host, "X-Amz-Target": target, "X-Amz-Date": stamp})
        else:
            lines = f"host:{host}\nx-amz-date:{stamp}\n{self._token_line}x-amz-target:{target}\n"
        request = f"POST\n/\n\n{lines}\n{names}\n{sha256(body).hexdigest()}"
        hashed = sha256(request.encode()).hexdigest()
        signature = hmac.digest(key, f"{to_sign}{hashed}".encode(), "sha256").hex()
        made = [
            ("X-Amz-Date", stamp),
            ("Authorization", f"{authorization}{names}, Signature={signature}"),
        ]
        if self._token is not None:
            made.insert(1, ("X-Amz-Security-Token", self._token))
        return made

    def lines(self, host: str, target: str, body: bytes, now: float) -> bytes:
        """The same headers as the lines of a request's head, each with its line end.

        Requests of one second share work: if texts have the same beginning, its hash is computed once and copied.
        """
        moment = self._moment
        if moment.second != int(now):
            moment = self._moment = self._moment_of(int(now))
        state = moment.states.get((host, target))
        if state is None:
            state = self._state(moment, host, target)
        state = state.copy()
        state.update(sha256(body).hexdigest().encode())
        inner, outer = moment.inner.copy(), moment.outer.copy()
        inner.update(state.hexdigest().encode())
        outer.update(inner.digest())
        return b"%b%b\r\n" % (moment.lines, outer.hexdigest().encode())

    def _state(self, moment: _Moment, host: str, target: str) -> Any:
        lines = f"host:{host}\nx-amz-date:{moment.stamp}\n{self._token_line}x-amz-target:{target}\n"
        state = sha256(f"POST\n/\n\n{lines}\n{self._names}\n".encode())
        if len(moment.states) < _MOST_STATES:
            moment.states[host, target] = state
        return state

    def _canonical(self, headers: Mapping[str, str]) -> tuple[str, str]:
        if self._token is not None:
            headers = {**headers, "X-Amz-Security-Token": self._token}
        lines = sorted((name.lower().strip(), _trimmed(value)) for name, value in headers.items())
        return ";".join(name for name, _ in lines), "".join(f"{name}:{value}\n" for name, value in lines)

    def _moment_of(self, second: int) -> _Moment:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        day = stamp[:8]
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        before: _Moment | None = getattr(self, "_moment", None)
        if before is not None and before.stamp[:8] == day:
            key = before.key
        else:
            key = _signing_key(self._secret_key, (day, self._region, self._service, "aws4_request"))
        to_sign = f"{_ALGORITHM}\n{stamp}\n{scope}\n"
        authorization = f"{_ALGORITHM} Credential={self._access_key}/{scope}, SignedHeaders="
        token = "" if self._token is None else f"X-Amz-Security-Token: {self._token}\r\n"
        lines = f"X-Amz-Date: {stamp}\r\n{token}Authorization: {authorization}{self._names}, Signature="
        padded = key.ljust(64, b"\0")  # the key is always shorter than a block of SHA-256
        return _Moment(
            second=second,
            stamp=stamp,
            to_sign=to_sign,
            authorization=authorization,
            key=key,
            lines=lines.encode(),
            states={},
            inner=sha256(padded.translate(_INNER) + to_sign.encode()),
            outer=sha256(padded.translate(_OUTER)),
        )

    def __repr__(self) -> str:
        return f"Signer(access_key={self._access_key!r}, region={self._region!r})"


def _signing_key(secret_key: str, scope: Iterable[str]) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _trimmed(value: str) -> str:
    return " ".join(value.split())
