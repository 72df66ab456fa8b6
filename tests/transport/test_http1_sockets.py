"""`transport.http1.sockets`: errors in words, the same for threads and event loops."""

from __future__ import annotations

import errno
import os
import socket
import ssl

import pytest

from pynamodb_alternator.transport.http1.sockets import refuse_itself, words_of


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('10.0.0.1', 1)"),
            os.strerror(errno.ECONNREFUSED),
        ),
        (OSError("Multiple exceptions: ..."), "Multiple exceptions: ..."),
        (socket.gaierror(8, "nodename nor servname provided"), "nodename nor servname provided"),
        (ssl.SSLError(1, "[SSL] bad record"), "[SSL] bad record"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_errors_are_put_into_words(error: OSError, words: str) -> None:
    assert words_of(error) == words


def test_a_connection_to_itself_is_refused() -> None:
    refuse_itself(("127.0.0.1", 1), ("127.0.0.1", 2))
    with pytest.raises(ConnectionRefusedError):
        refuse_itself(("127.0.0.1", 1), ("127.0.0.1", 1))
