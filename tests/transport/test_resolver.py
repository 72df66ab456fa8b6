"""Names are resolved within a time, though the resolver knows none."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pynamodb_alternator.errors import NodeUnreachableError
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport import resolver
from pynamodb_alternator.transport.http1 import Connection
from pynamodb_alternator.transport.resolver import look_up, resolve

from .servers import Server, until

NAME = "node.invalid"


class Resolver:
    """Stands where the machine's resolver does. Questions about NAME wait while `open` is not set."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.asked = 0
        self.failure: Exception | None = None
        self._real = socket.getaddrinfo

    def __call__(self, host: str, port: Any, *more: Any, **settings: Any) -> Any:
        if host != NAME:
            return self._real(host, port, *more, **settings)
        self.asked += 1
        self.open.wait(20)
        if self.failure is not None:
            raise self.failure
        return self._real("127.0.0.1", port, *more, **settings)


class Unforgetting(dict[Any, Any]):
    def pop(self, *_: Any) -> None:
        return None


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    stand_in = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", stand_in)
    yield stand_in
    stand_in.open.set()
    until(lambda: not resolving())


def resolving() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "pynamodb_alternator-resolver"]


def test_a_resolver_that_hangs_takes_no_longer_than_it_may(hanging: Resolver) -> None:
    for _ in range(3):
        with pytest.raises(OSError, match=r"did not answer for 'node.invalid' within 0.05 s"):
            look_up(NAME, 8000, 0.05)
    assert hanging.asked == len(resolving()) == 1
    hanging.open.set()
    assert resolve(NAME, 20) == ("127.0.0.1",)
    assert resolve(NAME) == ("127.0.0.1",)


def test_many_threads_wait_for_one_question(hanging: Resolver) -> None:
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(look_up(NAME, 8000, 20))) for _ in range(8)]
    look_up_once = pytest.raises(OSError, match="did not answer")
    with look_up_once:
        look_up(NAME, 8000, 0.01)
    for thread in threads:
        thread.start()
    hanging.open.set()
    for thread in threads:
        thread.join(20)
    assert len(answers) == 8
    assert {answer[0][4] for answer in answers} == {("127.0.0.1", 8000)}


def test_an_address_needs_no_thread(hanging: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "LookUp", None)
    for address in ("127.0.0.1", "::1"):
        assert look_up(address, 8000, 5)[0][4][0] == address


def test_what_is_over_is_asked_anew_while_its_thread_ends(hanging: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen on Python 3.13: a thread is alive for a while after its last instruction."""
    hanging.open.set()
    monkeypatch.setattr(threading.Thread, "is_alive", lambda thread: True)
    # As where the thread has ended before it is noted.
    monkeypatch.setattr(resolver, "_under_way", Unforgetting())
    for times in (1, 2):
        assert look_up(NAME, 8000, 5)[0][4] == ("127.0.0.1", 8000)
        assert hanging.asked == times
    assert resolver.under_way() == frozenset()


def test_each_that_waits_gets_an_error_of_its_own(hanging: Resolver) -> None:
    hanging.failure = socket.gaierror(socket.EAI_NONAME, "no such name")
    hanging.open.set()
    errors = []
    for _ in range(2):
        with pytest.raises(socket.gaierror, match="no such name") as raised:
            look_up(NAME, 8000, 5)
        errors.append(raised.value)
    assert hanging.failure not in errors
    hanging.failure = UnicodeEncodeError("idna", "x", 0, 1, "label too long")
    with pytest.raises(UnicodeError, match="label too long"):
        look_up(NAME, 8000, 5)


def test_without_more_threads_the_resolver_is_still_asked(hanging: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    hanging.open.set()
    monkeypatch.setattr(resolver.LookUp, "start", refuse)
    assert look_up(NAME, 8000, 5)[0][4] == ("127.0.0.1", 8000)


def test_a_look_up_whose_thread_was_never_started_is_not_waited_for(hanging: Resolver) -> None:
    hanging.open.set()
    key = (os.getpid(), NAME, 8000)
    resolver._under_way[key] = resolver.LookUp(key)
    assert look_up(NAME, 8000, 20)[0][4] == ("127.0.0.1", 8000)


def test_a_connection_to_a_name_that_hangs_ends_at_its_time(hanging: Resolver) -> None:
    with Server() as server:
        node = Node("http", NAME, server.node().port)
        with pytest.raises(NodeUnreachableError, match="the resolver did not answer"):
            Connection.open(node, connect_timeout=0.1)
        hanging.open.set()
        Connection.open(node, connect_timeout=20).close()
