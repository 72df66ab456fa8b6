"""The parser of one answer, which uses llhttp.

Sources: RFC 9112 (HTTP/1.1); what the parser accepts is llhttp's strict mode.
"""

from __future__ import annotations

from typing import Any

from httptools import HttpResponseParser

__all__ = ["Answer", "AnswerReader", "Refused", "parser_words", "whole_answer"]

_MAX_DIGITS = 19
"""Digits of a Content-Length. No honest node sends leading zeros, or more bytes than a 64-bit number can count."""
_MAX_CHUNKS = 16
"""So many chunks are kept before they are joined. A chunk may be one byte, and one object for each byte would be many
times as large as the answer."""
_END_OF_HEAD = b"\r\n\r\n"
_LONGEST_KNOWN_HEAD, _MOST_KNOWN_HEADS = 1024, 1024
_known_heads: dict[bytes, tuple[int, dict[str, str]]] = {}
"""Heads that llhttp has parsed, with the length of the body and the headers of each. A node sends the same head with
all answers of one length within a second, so that it need not be parsed again. Threads may share this dict: each
step on it is one step of C code."""


class Answer:
    """A complete HTTP answer: `status`, `headers` (names in lower case), `body` as it was sent."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status: int = status
        self.headers: dict[str, str] = headers
        self.body: bytes = body

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.body)} bytes)"


def whole_answer(data: bytes) -> Answer | None:
    """The answer in `data`, its first bytes, if they are the complete answer and its head was parsed before, byte for
    byte; else None. After such an answer the node keeps the connection open."""
    end = data.find(_END_OF_HEAD) + 4
    known = _known_heads.get(data[:end])
    if known is None or len(data) - end != known[0]:
        return None
    return Answer(200, known[1], data[end:])


class Refused(Exception):
    """llhttp accepts the answer, and we do not. The text says why."""


class AnswerReader:
    """Parses the bytes of one answer by llhttp. httptools calls the ``on_...`` methods.

    `reusable`: the answer is complete, nothing followed it, and the node keeps the connection open.
    """

    __slots__ = (
        "_chunks",
        "_known",
        "_parser",
        "_tidy",
        "complete",
        "feed",
        "head_is_complete",
        "headers",
        "reusable",
        "status",
    )

    def __init__(self) -> None:
        self._parser: Any = HttpResponseParser(self)
        self.feed: Any = self._parser.feed_data
        self._known: Answer | None = None
        self._start_over()

    def _start_over(self) -> None:
        self.complete: bool = False
        self.head_is_complete: bool = False
        self.reusable: bool = False
        self.headers: dict[str, str] = {}
        self.status: int = 0
        self._chunks: list[bytes] = []
        self._tidy = 0

    def feed_known(self, data: bytes) -> bool:
        """Take `data`, if they are a `whole_answer`. Returns whether they were taken."""
        self._known = whole_answer(data)
        if self._known is None:
            return False
        self.reusable = True
        return True

    def remember_head(self, data: bytes) -> None:
        """Keep the head of `data`, a complete answer, for other answers with the same head: see `whole_answer`."""
        length = self.headers.get("content-length")
        if self.status != 200 or not self.reusable or length is None or "transfer-encoding" in self.headers:
            return
        end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        if len(data) - end == int(length) and end <= _LONGEST_KNOWN_HEAD:
            if len(_known_heads) >= _MOST_KNOWN_HEADS:
                _known_heads.clear()
            _known_heads[data[:end]] = int(length), self.headers

    def on_message_begin(self) -> None:
        if self.complete:
            raise Refused("bytes after its end")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head_is_complete:
            return  # a trailer, after the last chunk
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers = self.headers
        headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        self.head_is_complete = True
        self.status = self._parser.get_status_code()
        if not 100 <= self.status <= 599:
            raise Refused(f"the status {self.status}")
        coding = self.headers.get("transfer-encoding")
        if coding is not None and coding.lower() != "chunked":
            raise Refused(f"the transfer coding {coding[:40]!r}")
        length = self.headers.get("content-length")
        if length is not None and len(length) > _MAX_DIGITS:
            raise Refused(f"a Content-Length of {len(length)} digits")

    def on_body(self, data: bytes) -> None:
        self._chunks.append(data)

    def on_message_complete(self) -> None:
        if 100 <= self.status < 200:
            self._start_over()  # for example 100 Continue: the real answer follows
            return
        self.complete = True
        self.reusable = self._parser.should_keep_alive()

    @property
    def ends_with_connection(self) -> bool:
        """Whether the body lasts until the node closes the connection, and the node has announced that it will."""
        headers = self.headers
        if not self.head_is_complete or "content-length" in headers or "transfer-encoding" in headers:
            return False
        # Without the announcement, a broken connection would look like the end of the answer.
        return self._parser.get_http_version() == "1.0" or "close" in headers.get("connection", "").lower()

    @property
    def size(self) -> int:
        """Bytes of the body so far."""
        return sum(map(len, self._chunks))

    def tidy(self) -> None:
        """Join many small chunks to one, so that the chunks need about as much memory as the answer.

        This is called between two readings of the socket. Each byte is moved once.
        """
        chunks, start = self._chunks, self._tidy
        if len(chunks) - start > _MAX_CHUNKS:
            chunks[start:] = [b"".join(chunks[start:])]
            self._tidy = start + 1

    def problem(self, most: int) -> str | None:
        """What is wrong with the head of an answer whose body is not complete yet, or is larger than `most`."""
        length = self.headers.get("content-length")
        if length is not None:
            return f"a body of {length} bytes, where {most} are allowed" if int(length) > most else None
        if "transfer-encoding" in self.headers or self.ends_with_connection:
            return None
        return "a body without Content-Length, chunks, or Connection: close"

    def take(self) -> Answer:
        """Return the answer that was read, and forget it: it may be large, and an idle connection must not keep it."""
        known = self._known
        if known is not None:
            self._known = None
            self.reusable = False
            return known
        chunks = self._chunks
        answer = Answer(self.status, self.headers, chunks[0] if len(chunks) == 1 else b"".join(chunks))
        self._start_over()
        return answer

    def let_go(self) -> None:
        """The last call. Parser and reader refer to each other; this frees them without the garbage collector."""
        self._parser = self.feed = None


def parser_words(error: Exception) -> str:
    cause = error.__context__
    if isinstance(cause, Refused):
        return str(cause)
    return str(error) or type(error).__name__
