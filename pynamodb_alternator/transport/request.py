"""The head of a request: the smallest set of headers that the server reads.

Alternator reads Host, X-Amz-Target, Content-Length, and the headers of authentication and compression. It does not
check the Content-Type, so none is sent. It shows the User-Agent to operators, so a short one is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from ..errors import RequestRefusedError

__all__ = ["MAX_BODY", "build_get", "build_head", "lines_of", "start_of"]

MAX_BODY = 16 * 1024 * 1024
"""Bytes of a request body, compressed or not, above which every server answers 413."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PATH = r"/[!-~]*"
_HOST = r"[!-~]+"


def build_head(target: str, host: str, content_length: int, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """The head of a POST, up to and with its empty line.

    `target`: the value of X-Amz-Target. `host`: the value of Host, as it is signed. `content_length`: bytes of the body
    as sent. `headers`: the other headers, in this order; the caller makes sure that no name occurs twice.

    Raises `RequestRefusedError` for a name or value that could end its header early, and for a body that is longer
    than the server accepts. The messages do not repeat a value: it may be a secret.
    """
    if content_length > MAX_BODY:
        raise RequestRefusedError(
            f"The request has a body of {content_length} bytes, and the server takes at most {MAX_BODY} (16 MiB). "
            "Write fewer or smaller items in one request."
        )
    return b"%b%d\r\n%b\r\n" % (start_of(target, host), content_length, lines_of(headers))


def lines_of(headers: Iterable[tuple[str, str]]) -> bytes:
    """The lines of these headers, each with its end. Raises `RequestRefusedError`, as `build_head` does."""
    headers = list(headers)
    lines = [f"{_name(name)}: {value}\r\n" for name, value in headers]
    text = "".join(lines)
    # One check for all headers: each line has its own line end, and there must not be another one.
    if text.count("\n") != len(lines) or text.count("\r") != len(lines) or "\0" in text:
        raise _refused_value(headers)
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise RequestRefusedError(
            "A header of the request has half a character (a lone surrogate) in it. Leave that out."
        ) from None


def build_get(path: str, host: str, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """The head of a GET without a body. Raises `RequestRefusedError` as `build_head` does."""
    if not re.fullmatch(_PATH, path) or not re.fullmatch(_HOST, host):
        raise RequestRefusedError(
            f"GET {path!r} from {host!r} is not a valid request. Leave out what is not printable."
        )
    return b"%b%b\r\n" % (f"GET {path} HTTP/1.1\r\nHost: {host}\r\n".encode(), lines_of(headers))


@lru_cache(maxsize=4096)
def start_of(target: str, host: str) -> bytes:
    """The start that all heads of one operation to one node share, up to the value of Content-Length.

    Raises `RequestRefusedError`, as `build_head` does.
    """
    for name, value in (("X-Amz-Target", target), ("Host", host)):
        if not re.fullmatch(_HOST, value):
            raise RequestRefusedError(f"The request's {name} is not valid: {value!r}. Leave out what is not printable.")
    return f"POST / HTTP/1.1\r\nHost: {host}\r\nX-Amz-Target: {target}\r\nContent-Length: ".encode()


@lru_cache(maxsize=256)
def _name(name: str) -> str:
    if not re.fullmatch(_TOKEN, name):
        raise RequestRefusedError(
            f"The request has a header named {name!r}, which cannot be one. Write letters, digits and hyphens."
        )
    return name


def _refused_value(headers: Iterable[tuple[str, str]]) -> RequestRefusedError:
    names = [name for name, value in headers if any(character in value for character in "\r\n\0")]
    return RequestRefusedError(
        f"The request's header {', '.join(names) or '(unknown)'} has a line end or a NUL in its value. "
        "Nothing was sent: it would have been read as another header."
    )
