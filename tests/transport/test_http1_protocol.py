"""The reader of answers: whatever bytes come, in whatever pieces, it gives the right answer or a clear error."""

from __future__ import annotations

import itertools
import socket
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator.errors import ConnectionLostError, MalformedAnswerError, TransportError
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport.http1 import Answer, Connection, protocol, reader

NODE = Node("http", "127.0.0.1", 8000)


class _Ready:
    def poll(self, milliseconds: float) -> list[int]:
        return [1]


def exchange(pieces: Iterable[bytes], max_body: int = 1 << 20) -> tuple[Answer, bool]:
    """The answer made of pieces that arrive one by one, after which the node closes; and whether the connection
    could be used again."""
    ours, theirs = socket.socketpair()
    connection = Connection(NODE)
    with theirs:
        connection._sock = ours
        connection._get_ready(ours)
        arriving = iter([piece for piece in pieces if piece])
        connection._recv = lambda _: next(arriving, b"")
        connection._poller = _Ready()
        try:
            answer = connection.exchange(b"POST / HTTP/1.1\r\n\r\n", b"", read_timeout=1.0, max_body=max_body)
            return answer, connection.reusable
        finally:
            connection.close()


def cut_up(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


names = st.sampled_from(["Date", "Server", "Content-Type", "X-Thing", "x-other"])
values = st.text("abcXYZ 019;/=-", max_size=20).map(str.strip)
bodies = st.binary(max_size=200)


@st.composite
def answers(draw: st.DrawFn, framings: tuple[str, ...] = ("length", "chunked")) -> tuple[bytes, Answer]:
    status = draw(st.sampled_from([200, 400, 413, 500, 503]))
    headers = draw(st.dictionaries(names, values, max_size=4))
    body = draw(bodies)
    framing = draw(st.sampled_from(framings))
    expected = {name.lower(): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if framing == "length":
        lines.append(f"Content-Length: {len(body)}")
        expected["content-length"] = str(len(body))
        coded = body
    elif framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
        expected["transfer-encoding"] = "chunked"
        parts = cut_up(body, draw(st.lists(st.integers(0, 300), max_size=4))) if body else []
        coded = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part)
        coded += b"0\r\n" + draw(st.sampled_from([b"", b"X-Trailer: 1\r\n"])) + b"\r\n"
    else:
        lines.append("Connection: close")
        expected["connection"] = "close"
        coded = body
    interim = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n"]))
    head = f"HTTP/1.1 {status} Some words\r\n" + "".join(line + "\r\n" for line in lines) + "\r\n"
    return interim + head.encode() + coded, Answer(status, expected, body)


def assert_same(got: Answer, expected: Answer) -> None:
    assert (got.status, got.headers, got.body) == (expected.status, expected.headers, expected.body)


@given(answers(("length", "chunked", "close")), st.lists(st.integers(0, 1000), max_size=10))
def test_an_answer_in_any_pieces_is_the_same(made: tuple[bytes, Answer], places: list[int]) -> None:
    data, expected = made
    got, reusable = exchange(cut_up(data, places))
    assert_same(got, expected)
    assert reusable == ("connection" not in expected.headers)


@given(answers())
@settings(max_examples=30)
def test_an_answer_byte_by_byte_is_the_same(made: tuple[bytes, Answer]) -> None:
    data, expected = made
    got, reusable = exchange([data[i : i + 1] for i in range(len(data))])
    assert_same(got, expected)
    assert reusable


@given(answers(), st.data())
def test_an_answer_cut_short_is_never_an_answer(made: tuple[bytes, Answer], data: st.DataObject) -> None:
    whole, _ = made
    end = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises((ConnectionLostError, MalformedAnswerError)):
        exchange(cut_up(whole[:end], data.draw(st.lists(st.integers(0, 1000), max_size=3))))


@given(answers(), answers(), st.data())
def test_early_bytes_of_the_next_answer_end_the_connection(
    first: tuple[bytes, Answer], second: tuple[bytes, Answer], data: st.DataObject
) -> None:
    early = second[0][: data.draw(st.integers(1, len(second[0])))]
    got, reusable = exchange([first[0] + early])
    assert_same(got, first[1])
    assert not reusable


@given(answers(), st.binary(min_size=1, max_size=50))
def test_rubbish_after_the_answer_changes_nothing(made: tuple[bytes, Answer], rubbish: bytes) -> None:
    got, reusable = exchange([made[0] + rubbish])
    assert_same(got, made[1])
    assert not reusable or not rubbish.strip(b"\r\n")


@given(answers(), st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=3)), min_size=1, max_size=4))
@settings(max_examples=300)
def test_damaged_answers_end_in_an_answer_or_a_clear_error(
    made: tuple[bytes, Answer], damage: list[tuple[int, bytes]]
) -> None:
    data = bytearray(made[0])
    for place, replacement in damage:
        at = place % len(data) if data else 0
        data[at : at + 1] = replacement
    error = None
    try:
        exchange([bytes(data)], max_body=10_000)
    except TransportError as failure:
        error = failure
    assert error is None or (error.node == NODE.address and NODE.address in error.reason)


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_rubbish_is_refused(pieces: list[bytes]) -> None:
    with pytest.raises((ConnectionLostError, MalformedAnswerError)):
        exchange(pieces)


def _head(*lines: str, status: str = "200 OK", version: str = "HTTP/1.1") -> bytes:
    return (f"{version} {status}\r\n" + "".join(line + "\r\n" for line in lines) + "\r\n").encode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (_head("Content-Length: 2", "Content-Length: 3") + b"{}", ""),
        (_head("Content-Length: 2", "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n", ""),
        (_head("Content-Length: -1"), ""),
        (_head("Content-Length: 2x") + b"{}", ""),
        (_head("Content-Length: 99999999999999999999") + b"{}", ""),
        (_head("Content-Length: " + "9" * 5000) + b"{}", ""),
        # As a number each is a 2, and one of more digits than int() takes.
        (_head("Content-Length: " + "0" * 4999 + "2") + b"{}", "a Content-Length of 5000 digits"),
        (_head("Content-Length: " + "0" * 4999 + "2"), "a Content-Length of 5000 digits"),
        (_head("Content-Length: " + "0" * 19 + "2") + b"{}", "a Content-Length of 20 digits"),
        (_head("Content-Length: +2") + b"{}", ""),
        (_head("Content-Length: 2 2") + b"{}", ""),
        (_head("Content-Length: 2, 2") + b"{}", ""),
        (_head("Content-Length: 2", "Content-Length: 2") + b"{}", ""),
        (_head("Content-Length: 0x2") + b"{}", ""),
        (_head("Content-Length: 2_0") + b"{}", ""),
        (_head("Content-Length:") + b"{}", ""),
        (_head("Content-Length: 5000") + b"{}", "5000 bytes, where 1000 are allowed"),
        (_head("Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n", ""),
        (_head("Transfer-Encoding: chunked") + b"2\r\n{}xx0\r\n\r\n", ""),
        (_head("Transfer-Encoding: chunked") + b"fffffffffffffffff\r\n{}", ""),
        (_head("Transfer-Encoding: chunked") + b"0\r\nContent-Length: 9\r\n\r\n", ""),
        (_head("Transfer-Encoding: gzip, chunked") + b"2\r\n{}\r\n0\r\n\r\n", "transfer coding"),
        (_head("Transfer-Encoding: gzip") + b"{}", "transfer coding"),
        (_head("No colon here"), ""),
        (_head("Bad name : x", "Content-Length: 0"), ""),
        (_head("X: a\r\n folded", "Content-Length: 0"), ""),
        (_head("Content-Length: 0", status="099 No"), "status 99"),
        (_head("Content-Length: 0", status="600 No"), "status 600"),
        (_head("Content-Length: 0", status="2000 No"), ""),
        (_head("Content-Length: 0", version="HTTP/3.9"), ""),
        (_head("Content-Type: text/plain") + b"{}", "without Content-Length"),
        (_head("Upgrade: h2c", "Connection: upgrade", status="101 Switching"), ""),
        (b"SSH-2.0-OpenSSH_9.6\r\n", ""),
        (b"\x16\x03\x01\x02\x00", ""),
    ],
)
def test_what_is_not_valid_is_named(data: bytes, words: str) -> None:
    with pytest.raises(MalformedAnswerError, match=words or None) as caught:
        exchange([data], max_body=1000)
    assert "127.0.0.1:8000" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "status", "body", "reusable"),
    [
        (_head(status="204 No Content"), 204, b"", True),
        (_head("Content-Length: 7", status="304 Not Modified"), 304, b"", True),
        (_head("Content-Length: 0"), 200, b"", True),
        (_head("Content-Length: 2", version="HTTP/1.0") + b"{}", 200, b"{}", False),
        (_head("Content-Length: 2", "Connection: keep-alive", version="HTTP/1.0") + b"{}", 200, b"{}", True),
        (_head("Content-Length: 2", "Connection: close") + b"{}", 200, b"{}", False),
        (_head("Connection: close") + b"{}", 200, b"{}", False),
        (_head(version="HTTP/1.0") + b"{}", 200, b"{}", False),
    ],
)
def test_bodies_and_keep_alive_follow_the_rules(data: bytes, status: int, body: bytes, reusable: bool) -> None:
    got, kept = exchange([data])
    assert (got.status, got.body, kept) == (status, body, reusable)


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("status", ["200 OK", "400 Bad"])
def test_the_limit_of_a_body_is_exact(framing: str, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_ERROR", 300_000)
    most = 300_000 if status.startswith("4") else 400_000

    def pieces(size: int) -> list[bytes]:
        body = b"x" * size
        if framing == "length":
            data = _head(f"Content-Length: {size}", status=status) + body
        elif framing == "close":
            data = _head("Connection: close", status=status) + body
        else:
            data = _head("Transfer-Encoding: chunked", status=status) + b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)
        return cut_up(data, range(0, len(data), 65_536))

    got, _ = exchange(pieces(most), max_body=400_000)
    assert got.body == b"x" * most
    with pytest.raises(MalformedAnswerError, match=rf"{most} (bytes|are allowed)"):
        exchange(pieces(most + 1), max_body=400_000)


def test_small_chunks_take_no_more_memory_than_the_body() -> None:
    """Each may be two bytes long, and an object of its own for each is twenty times as large."""
    chunks = 200_000
    data = _head("Transfer-Encoding: chunked") + b"2\r\nab\r\n" * chunks + b"0\r\n\r\n"
    pieces = cut_up(data, range(0, len(data), 8192))
    tracemalloc.start()
    try:
        got, _ = exchange(pieces, max_body=1 << 22)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert got.body == b"ab" * chunks
    assert peak < 8 * len(got.body)


def test_a_header_given_twice_is_joined() -> None:
    got, _ = exchange([_head("A: 1", "a: 2", "Content-Length: 0")])
    assert got.headers["a"] == "1, 2"


def _for_ever(start: bytes, piece: bytes) -> Iterable[bytes]:
    yield start
    for _ in range(100_000):
        yield piece


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"x" * 1000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 1000),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" * 10),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3e8\r\n" + b"x" * 1000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1", b";x" * 500),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: " + b"x" * 1000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x" * 1000),
    ],
)
def test_what_never_ends_is_ended(start: bytes, piece: bytes) -> None:
    def pieces() -> Iterable[bytes]:
        return _for_ever(start, piece)

    ours, theirs = socket.socketpair()
    connection = Connection(NODE)
    with theirs:
        connection._sock = ours
        connection._get_ready(ours)
        arriving = iter(pieces())
        connection._recv = lambda _: next(arriving)
        connection._poller = _Ready()
        with pytest.raises(MalformedAnswerError, match="more than"):
            connection.exchange(b"GET / HTTP/1.1\r\n\r\n", b"", read_timeout=1.0, max_body=100_000)
        connection.close()


# ---- heads that were parsed before -----------------------------------------------------------------------------------


def what_comes_of(data: bytes, places: list[int]) -> tuple[object, ...]:
    try:
        answer, reusable = exchange(cut_up(data, places))
    except TransportError as error:
        return type(error), str(error)
    return answer.status, answer.headers, answer.body, reusable


@given(answers(), st.lists(st.integers(0, 400), max_size=2), st.binary(max_size=4), st.data())
def test_a_head_that_is_known_changes_nothing(
    made: tuple[bytes, Answer], places: list[int], more: bytes, data: st.DataObject
) -> None:
    whole, _ = made
    damaged = bytearray(whole)
    damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    shorter = whole[: data.draw(st.integers(0, len(whole)))]
    for others in (whole, bytes(damaged), shorter, whole + more):
        reader._known_heads.clear()
        expected = what_comes_of(others, places)
        reader._known_heads.clear()
        for _ in range(2):
            what_comes_of(whole, [])
        assert what_comes_of(others, places) == expected


def test_heads_that_are_known_are_few() -> None:
    reader._known_heads.clear()
    for number in range(3000):
        exchange([b"HTTP/1.1 200 OK\r\nX-Number: %d\r\nContent-Length: 2\r\n\r\n{}" % number])
    assert 0 < len(reader._known_heads) <= 1024
    exchange([b"HTTP/1.1 200 OK\r\nX-Long: %b\r\nContent-Length: 2\r\n\r\n{}" % (b"x" * 5000)])
    assert max(map(len, reader._known_heads)) < 2000
