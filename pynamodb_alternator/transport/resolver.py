"""Name resolution, by the machine's own resolver, and within a time.

``getaddrinfo`` has no timeout, and a name server that does not answer makes it wait for half a minute. So whatever has
a deadline has it called in a thread, and waits for that as long as it may. There is one such thread for each name,
however many wait; it ends with its answer. Addresses are not looked up, and need no thread.

What is under way is derived from the threads that live, because the thread of a request may meet an exception between
any two lines here: a look-up whose thread was never started is not waited for.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Sequence
from typing import Any

from ..settings.addresses import is_ip_address

__all__ = ["look_up", "resolve"]

_Key = tuple[int, str, int | None]


def resolve(name: str, within: float | None = None) -> Sequence[str]:
    """The addresses of a host name, in the resolver's order. `within`: seconds; None waits as long as it takes.

    Raises OSError, and UnicodeError for what cannot be a name.
    """
    return tuple(dict.fromkeys(str(answer[4][0]) for answer in look_up(name, None, within)))


def look_up(host: str, port: int | None, within: float | None) -> Sequence[Any]:
    """What ``socket.getaddrinfo`` gives for streams. `within`: seconds; None waits as long as it takes.

    Raises OSError, and UnicodeError for what cannot be a name.
    """
    if within is None or is_ip_address(host):
        return _ask(host, port)
    key = (os.getpid(), host, port)  # a forked child has the entries of its parent, and not the threads
    lookup = _under_way.get(key)
    if lookup is None or not lookup.is_alive():
        lookup = _Lookup(key)
        try:
            lookup.start()
        except RuntimeError:
            return _ask(host, port)  # there are no more threads to be had
        _under_way[key] = lookup
    lookup.join(max(0.0, within))
    if lookup.is_alive():
        raise OSError(f"the resolver did not answer for {host!r} within {within:.3g} s")
    _under_way.pop(key, None)
    return lookup.result()


class _Lookup(threading.Thread):
    """One question to the resolver."""

    def __init__(self, key: _Key) -> None:
        super().__init__(name="pynamodb_alternator-resolver", daemon=True)
        self._key = key
        self._answers: Sequence[Any] = ()
        self._error: OSError | UnicodeError | None = None

    def run(self) -> None:
        _, host, port = self._key
        try:
            self._answers = _ask(host, port)
        except (OSError, UnicodeError) as error:
            self._error = error

    def result(self) -> Sequence[Any]:
        if self._error is not None:
            # Each thread raises an exception of its own: raising one writes a traceback into it.
            raise type(self._error)(*self._error.args)
        return self._answers


_under_way: dict[_Key, _Lookup] = {}


def _ask(host: str, port: int | None) -> Sequence[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
