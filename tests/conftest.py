"""What holds for every test: traffic goes to this machine and nowhere else, and SIGINT interrupts."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

from tests.loopback import check

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")

_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> None:
    # What a shell runs in the background ignores SIGINT, and so would the processes that tests start and interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    def connect(self: socket.socket, address: Any) -> None:
        check(address)
        _connect(self, address)

    def connect_ex(self: socket.socket, address: Any) -> int:
        check(address)
        return _connect_ex(self, address)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", connect)
    patch.setattr(socket.socket, "connect_ex", connect_ex)
    yield
    patch.undo()
