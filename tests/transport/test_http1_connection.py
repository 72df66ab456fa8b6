"""One connection over a real socket: sending, waiting, being cut, going stale."""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from pynamodb_alternator.errors import (
    ConnectionLostError,
    ConnectTimeoutError,
    DeadlineBeforeSendError,
    MalformedAnswerError,
    NodeUnreachableError,
    OutcomeUnknownError,
    ReadTimeoutError,
    RequestRefusedError,
    TransportError,
)
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport.http1 import Answer, Connection, protocol, reader, sockets
from pynamodb_alternator.transport.request import MAX_BODY, build_get, build_head

from .servers import FullListener, Server, ok, read_request, silent, until

HEAD = build_head("a.B", "h:1", 0)


def send(connection: Connection, body: bytes = b"{}", read_timeout: float = 5.0, **more: float) -> Answer:
    return connection.exchange(build_head("a.B", "h:1", len(body)), body, read_timeout=read_timeout, **more)


def caught_in_thread(action: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, errors


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("size", [0, 1, 1000, 64 * 1024, 64 * 1024 + 1, 8 * 1024 * 1024])
def test_bodies_of_all_sizes_go_there_and_back(size: int) -> None:
    body = os.urandom(size)
    with Server() as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        for _ in range(2):
            assert send(connection, body).body == body
            assert connection.reusable
            assert connection.busy_since is None
        connection.close()
        assert server.accepted == 1


def test_head_and_body_leave_in_one_piece() -> None:
    seen = []

    def handler(sock: socket.socket) -> None:
        seen.append(sock.recv(65536))
        sock.sendall(ok())
        sock.recv(1)

    with Server(handler) as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        send(connection, b'{"a":1}')
        connection.close()
    assert seen == [b'POST / HTTP/1.1\r\nHost: h:1\r\nX-Amz-Target: a.B\r\nContent-Length: 7\r\n\r\n{"a":1}']


def test_a_connection_reaches_an_ipv6_node() -> None:
    try:
        with Server(host="::1") as server:
            connection = Connection.open(server.node(), connect_timeout=5)
            assert send(connection, b"six").body == b"six"
            connection.close()
    except OSError:
        pytest.skip("no IPv6 here")


def test_a_connection_sets_socket_options() -> None:
    with Server() as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        sock = connection._sock
        assert sock is not None
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        connection.close()


# ---- connecting ------------------------------------------------------------------------------------------------


def test_a_refused_connection_is_an_error() -> None:
    node = Node("http", "127.0.0.1", unused_port())
    with pytest.raises(NodeUnreachableError, match="refused") as caught:
        Connection.open(node, connect_timeout=5)
    assert caught.value.node == node.address


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 64 + ".invalid"])
def test_a_name_that_cannot_be_resolved(host: str) -> None:
    with pytest.raises(NodeUnreachableError, match=host[:5]):
        Connection.open(Node("http", host, 8000), connect_timeout=5)


def test_a_name_with_several_addresses_goes_on_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as server:
        family, kind = socket.AF_INET, socket.SOCK_STREAM
        addresses = [
            (family, kind, 0, "", ("127.0.0.1", unused_port())),
            (family, kind, 0, "", ("127.0.0.1", server.port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: addresses)
        connection = Connection.open(Node("http", "several", 8000), connect_timeout=5)
        assert send(connection).status == 200
        connection.close()


def test_a_listed_name_that_leads_to_this_machine_is_not_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine has listed the name: what listens on our loopback interface gets no request by that."""
    with Server() as server:
        listed = Node("http", "localhost", server.port, is_listed_name=True)
        with pytest.raises(NodeUnreachableError, match=r"a name that a node has listed, and leads to .*loopback"):
            Connection.open(listed, connect_timeout=5)
        assert server.accepted == 0
        connection = Connection.open(Node("http", "localhost", server.port), connect_timeout=5)
        assert send(connection).status == 200
        connection.close()


def test_the_connect_timeout_ends_connecting() -> None:
    with FullListener() as node:
        started = time.monotonic()
        with pytest.raises(ConnectTimeoutError, match=r"0\.1 s"):
            Connection.open(node, connect_timeout=0.1)
        with pytest.raises(ConnectTimeoutError):
            Connection.open(node, connect_timeout=60, deadline=time.monotonic() + 0.1)
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("step", [0.0, 60.0])
def test_a_connect_timeout_that_is_noticed_late_says_so(step: float) -> None:
    """The clock jumps ahead between two looks, as it does for a thread that is held up."""
    ahead = 0.0

    def clock() -> float:
        nonlocal ahead
        ahead += step
        return time.monotonic() + ahead

    with FullListener() as node:
        with pytest.raises(ConnectTimeoutError) as caught:
            Connection.open(node, connect_timeout=0.1, clock=clock)
        assert caught.value.late is bool(step)


def test_cut_ends_connecting() -> None:
    with FullListener() as node:
        connection = Connection(node)
        thread, errors = caught_in_thread(lambda: connection.connect(connect_timeout=60))
        until(lambda: connection._sock is not None)
        time.sleep(0.02)
        connection.cut()
        thread.join(5)
        assert not thread.is_alive()
        assert isinstance(errors[0], NodeUnreachableError | ConnectTimeoutError)
        assert "declared down" in str(errors[0])


# ---- waiting ---------------------------------------------------------------------------------------------------


def test_the_read_timeout_ends_an_exchange() -> None:
    with Server(silent) as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        with pytest.raises(ReadTimeoutError, match="did not answer within the read timeout") as caught:
            send(connection, read_timeout=0.05)
        assert caught.value.node == server.node().address
        assert not connection.reusable
        connection.close()


def test_the_deadline_ends_what_trickles_in() -> None:
    def trickle(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            sock.sendall(b"x")
            time.sleep(0.001)

    with Server(trickle) as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        started = time.monotonic()
        with pytest.raises(ReadTimeoutError, match="deadline"):
            send(connection, read_timeout=60, deadline=started + 0.1)
        assert time.monotonic() - started < 5
        connection.close()


def test_a_deadline_that_has_passed_sends_nothing() -> None:
    with Server() as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        with pytest.raises(DeadlineBeforeSendError):
            send(connection, deadline=time.monotonic() - 1)
        assert connection.reusable
        assert send(connection).status == 200
        connection.close()


def test_a_node_that_takes_no_more_of_the_request() -> None:
    with Server(lambda sock: time.sleep(0.5)) as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        with pytest.raises(ReadTimeoutError, match="took no more"):
            send(connection, bytes(15 * 1024 * 1024), read_timeout=0.1)
        connection.close()


# ---- broken connections ----------------------------------------------------------------------------------------


def test_closed_before_the_answer_and_was_idle() -> None:
    def once(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(ok())
        read_request(sock)

    with Server(once) as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        send(connection)
        with pytest.raises(ConnectionLostError, match="closed it") as caught:
            send(connection)
        assert caught.value.was_idle
        connection.close()


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 2", ok(b"{}")[:-1], b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"])
def test_reset_within_the_answer(part: bytes) -> None:
    def handler(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(part)
        reset(sock)

    with Server(handler) as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        with pytest.raises(ConnectionLostError) as caught:
            send(connection)
        assert not caught.value.was_idle
        assert not connection.reusable
        connection.close()


def test_a_failure_of_the_first_send_says_that_nothing_was_sent() -> None:
    with Server() as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        assert connection._sock is not None
        connection._sock.shutdown(socket.SHUT_WR)
        with pytest.raises(NodeUnreachableError):
            send(connection)
        connection.close()
        with pytest.raises(NodeUnreachableError, match="closed"):
            send(connection)


@pytest.mark.parametrize("farewell", [reset, socket.socket.close])
def test_an_answer_before_the_body_was_read_is_accepted(farewell: Callable[[socket.socket], None]) -> None:
    """A node that refuses a long body, or sheds load, answers at once and closes."""
    told = threading.Event()

    def refuse(sock: socket.socket) -> None:
        sock.recv(1000)
        sock.sendall(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 2\r\n\r\n{}")
        told.wait(5)
        farewell(sock)

    with Server(refuse) as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        answer = send(connection, bytes(15 * 1024 * 1024))
        assert answer.status == 413
        assert not connection.reusable
        told.set()
        connection.close()


def test_cut_wakes_a_reader_at_once() -> None:
    with Server(silent) as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        thread, errors = caught_in_thread(lambda: send(connection, read_timeout=60))
        until(lambda: connection.busy_since is not None)
        time.sleep(0.02)
        started = time.monotonic()
        connection.cut()
        thread.join(5)
        assert time.monotonic() - started < 1
        assert isinstance(errors[0], ConnectionLostError)
        assert "declared down" in errors[0].reason
        assert not errors[0].was_idle
        connection.close()
        connection.cut()


def begins_and_stops(sock: socket.socket) -> None:
    read_request(sock)
    sock.sendall(b"HTTP/1.1 200 OK\r\n")
    read_request(sock)


def resets(sock: socket.socket) -> None:
    read_request(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def closes(sock: socket.socket) -> None:
    read_request(sock)


def talks_nonsense(sock: socket.socket) -> None:
    read_request(sock)
    sock.sendall(b"nonsense\r\n\r\n")


def tells_an_error_without_its_end(sock: socket.socket) -> None:
    """A proxy's answer, as HTTP allows it: the body lasts until the connection ends."""
    read_request(sock)
    sock.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>")


def tells_a_part_of_an_error(sock: socket.socket) -> None:
    read_request(sock)
    sock.sendall(b"HTTP/1.1 503 Unavailable\r\nContent-Length: 100\r\n\r\n<html>")


@pytest.mark.parametrize(
    ("handler", "may_still_execute"),
    [
        (silent, True),
        (begins_and_stops, False),
        (resets, False),
        (closes, False),
        (talks_nonsense, True),
        (tells_an_error_without_its_end, True),
        (tells_a_part_of_an_error, True),
    ],
)
def test_whether_the_node_may_still_execute_the_request(handler: Any, may_still_execute: bool) -> None:
    """Not if it has closed or reset the connection, or begun to answer; yes if it went silent, or if what answers may
    be a proxy that speaks for it."""
    with Server(handler) as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        with pytest.raises(OutcomeUnknownError) as raised:
            send(connection, read_timeout=0.2)
        assert raised.value.may_still_execute is may_still_execute
        connection.close()


@pytest.mark.parametrize("number", [errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH])
def test_what_our_own_kernel_says_of_a_node_that_it_no_longer_hears_is_silence(number: int) -> None:
    with Server(silent) as server:
        connection = Connection.open(server.node(), connect_timeout=5)

        def gone(size: int) -> bytes:
            raise OSError(number, os.strerror(number))

        connection._recv = gone
        connection._poller = Ready()
        with pytest.raises(ConnectionLostError) as raised:
            send(connection)
        assert raised.value.may_still_execute
        connection.close()


class Ready:
    """A poller that says at once that there is something to read."""

    def poll(self, milliseconds: float) -> list[tuple[int, int]]:
        return [(0, 1)]


def test_a_cut_is_silence() -> None:
    with Server(silent) as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        thread, errors = caught_in_thread(lambda: send(connection, read_timeout=60))
        until(lambda: connection.busy_since is not None and server.sockets)
        connection.cut()
        thread.join(5)
        assert isinstance(errors[0], ConnectionLostError | NodeUnreachableError)
        assert not isinstance(errors[0], OutcomeUnknownError) or errors[0].may_still_execute
        assert errors[0].was_cut
        connection.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="the platform does not tell the state of a connection")
def test_a_cut_after_the_node_has_closed_is_none() -> None:
    """The thread that waits has not looked yet, which is here not even given the time to."""
    with Server(silent) as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        waiting, go_on = threading.Event(), threading.Event()
        poll = connection._poller.poll

        class Slow:
            def poll(self, milliseconds: float) -> Any:
                waiting.set()
                assert go_on.wait(10)
                return poll(milliseconds)

        connection._poller = Slow()
        thread, errors = caught_in_thread(lambda: send(connection, read_timeout=60))
        assert waiting.wait(10)
        until(lambda: server.sockets)
        server.hang_up()
        until(lambda: poll(0))
        connection.cut()
        go_on.set()
        thread.join(5)
        assert isinstance(errors[0], ConnectionLostError)
        assert "declared down" in str(errors[0])
        assert not errors[0].may_still_execute
        connection.close()


def test_a_patient_exchange_is_not_cut() -> None:
    answer = threading.Event()

    def late(sock: socket.socket) -> None:
        while (request := read_request(sock)) is not None:
            assert answer.wait(10)
            sock.sendall(ok(request[1]))

    with Server(late) as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        answers: list[Any] = []
        thread = threading.Thread(
            target=lambda: answers.append(connection.exchange(HEAD, b"", read_timeout=60, patient=True))
        )
        thread.start()
        until(lambda: connection._patient)
        connection.cut()
        answer.set()
        thread.join(10)
        assert [answer.status for answer in answers] == [200]
        assert connection.reusable
        # An exchange that is not patient is cut as usual, and one that was cut before it began has certainly not been
        # sent.
        connection.cut()
        with pytest.raises(NodeUnreachableError):
            connection.exchange(HEAD, b"", read_timeout=60, patient=True)
        connection.close()


def test_an_interrupt_within_the_parser_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: object, data: bytes) -> None:
        raise KeyboardInterrupt

    with Server() as server:
        monkeypatch.setattr(protocol.AnswerReader, "on_body", interrupted)
        monkeypatch.setattr(reader, "_known_heads", {})
        connection = Connection.open(server.node(), connect_timeout=5)
        with pytest.raises(KeyboardInterrupt):
            send(connection)
        assert not connection.reusable
        connection.close()


# ---- between exchanges -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["data", "end", "reset"])
def test_a_closed_connection_is_stale(what: str) -> None:
    with Server() as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        send(connection)
        assert not connection.is_stale()
        sock = server.sockets[0]
        if what == "data":
            sock.sendall(ok(b"unasked"))
        elif what == "end":
            sock.shutdown(socket.SHUT_WR)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            server.hang_up()
        until(connection.is_stale)
        connection.close()
        assert connection.is_stale()


def test_bytes_of_a_second_answer_never_reach_the_next_exchange() -> None:
    def twice(sock: socket.socket) -> None:
        while read_request(sock) is not None:
            sock.sendall(ok(b"first") + ok(b"second"))

    with Server(twice) as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        assert send(connection).body == b"first"
        assert not connection.reusable
        with pytest.raises(TransportError):
            send(connection)
        connection.close()


def test_abandon_does_not_tell_the_node() -> None:
    with Server() as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        send(connection)
        assert connection._sock is not None
        kept = socket.socket(fileno=os.dup(connection._sock.fileno()))  # as the parent of a fork has it
        connection.abandon()
        connection.abandon()
        connection.close()
        with kept:
            kept.settimeout(5)
            kept.sendall(build_head("a.B", "h:1", 2) + b"ok")
            assert kept.recv(1000).endswith(b"ok")


def test_a_connection_works_without_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no `select.poll`, and eventlet takes it away."""
    monkeypatch.delattr(sockets.select, "poll")
    with Server() as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        assert send(connection, bytes(8 * 1024 * 1024)).status == 200
        assert not connection.is_stale()
        server.hang_up()
        until(connection.is_stale)
        connection.close()


def test_wrong_content_length_is_noticed() -> None:
    def short(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}")

    with Server(short) as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        with pytest.raises((ConnectionLostError, MalformedAnswerError)):
            send(connection)
        connection.close()


# ---- the head of a request -------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["a\r\nX-Injected: 1", "a\nb", "a\rb", "a\0b", "\r\n"])
def test_line_ends_and_nul_are_refused(bad: str) -> None:
    for headers in ([("X-Thing", bad)], [(f"X-{bad}", "1")], [("X-One", "1"), ("X-Thing", bad)]):
        with pytest.raises(RequestRefusedError):
            build_head("a.B", "h", 0, headers)
    with pytest.raises(RequestRefusedError):
        build_head(f"a.B{bad}", "h", 0)
    with pytest.raises(RequestRefusedError):
        build_head("a.B", f"h{bad}", 0)
    with pytest.raises(RequestRefusedError):
        build_get(f"/{bad}", "h")


@pytest.mark.parametrize("name", ["", "a b", "a:b", "é", "a\t"])
def test_wrong_host_names_are_refused(name: str) -> None:
    with pytest.raises(RequestRefusedError):
        build_head("a.B", "h", 0, [(name, "1")])


def test_no_value_is_in_the_error() -> None:
    with pytest.raises(RequestRefusedError) as caught:
        build_head("a.B", "h", 0, [("Authorization", "secret\r\n")])
    assert "Authorization" in str(caught.value)
    assert "secret" not in str(caught.value)
    with pytest.raises(RequestRefusedError) as caught:
        build_head("a.B", "h", 0, [("Authorization", "secret\ud800")])
    assert "secret" not in str(caught.value)


def test_the_limit_of_a_body() -> None:
    assert build_head("a.B", "h", MAX_BODY).endswith(b"Content-Length: 16777216\r\n\r\n")
    with pytest.raises(RequestRefusedError, match="16 MiB"):
        build_head("a.B", "h", MAX_BODY + 1)


# ---- words -------------------------------------------------------------------------------------------------------


def trickles(sock: socket.socket) -> None:
    read_request(sock)
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        sock.sendall(b"x")
        time.sleep(0.02)


def test_a_slow_answer_is_not_called_silent() -> None:
    with Server(trickles) as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        with pytest.raises(ReadTimeoutError) as raised:
            send(connection, read_timeout=5, deadline=time.monotonic() + 0.2)
        assert "did not complete its answer" in str(raised.value)
        assert str(raised.value).endswith("before the deadline of the call")
        assert "silent" not in str(raised.value)
        connection.close()


def test_an_answer_that_stops_is_called_silent() -> None:
    with Server(begins_and_stops) as server:
        connection = Connection.open(server.node(), connect_timeout=5)
        with pytest.raises(ReadTimeoutError, match=r"went silent in its answer .* within the read timeout of 0\.2 s$"):
            send(connection, read_timeout=0.2, deadline=time.monotonic() + 60)
        connection.close()


def test_a_deadline_that_passes_while_connecting_tells_no_odd_number_of_seconds() -> None:
    times = iter([100.0, 100.0])
    connection = Connection(Node("http", "127.0.0.1", unused_port()), clock=lambda: next(times, 103.0))
    with pytest.raises(ConnectTimeoutError) as raised:
        connection.connect(connect_timeout=30.0, deadline=102.0)
    assert str(raised.value).endswith("was not open at the deadline of the call")
    assert raised.value.late


def test_an_attempt_to_connect_that_is_cut_says_so() -> None:
    connection = Connection(Node("http", "127.0.0.1", unused_port()))
    connection.cut("the node was declared down (it froze)")
    with pytest.raises(NodeUnreachableError, match=r"declared down \(it froze\)") as raised:
        connection.connect(connect_timeout=5.0)
    assert raised.value.was_cut
