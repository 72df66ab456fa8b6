"""Name resolution, by the machine's own resolver, and within a time.

``getaddrinfo`` has no timeout, and a name server that does not answer makes it wait for half a minute. So it is called
in a thread, and whatever has a deadline waits for that as long as it may. There is one such thread for each name,
however many wait; it ends with its answer. Addresses are not looked up, and need no thread. An event loop waits for the
same threads (`begin`): those of its executor are few, and one name that hangs would take them all.

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
from ..topology.waiting import Latch

__all__ = ["LookUp", "addresses_of", "begin", "look_up", "no_answer", "resolve", "under_way"]

_Key = tuple[int, str, int | None]


def resolve(name: str, within: float | None = None) -> Sequence[str]:
    """The addresses of a host name, in the resolver's order. `within`: seconds; None waits as long as it takes.

    Raises OSError, and UnicodeError for what cannot be a name.
    """
    return addresses_of(look_up(name, None, within))


def addresses_of(answers: Sequence[Any]) -> Sequence[str]:
    """The addresses in what ``socket.getaddrinfo`` gives, in its order."""
    return tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))


def look_up(host: str, port: int | None, within: float | None) -> Sequence[Any]:
    """What ``socket.getaddrinfo`` gives for streams. `within`: seconds; None waits as long as it takes.

    Raises OSError, and UnicodeError for what cannot be a name.
    """
    if is_ip_address(host):
        return _of_address(host, port)
    lookup = begin(host, port)
    seconds = threading.TIMEOUT_MAX if within is None else within
    if not lookup.over.wait(seconds):
        raise no_answer(host, seconds)
    return lookup.result()


def begin(host: str, port: int | None) -> LookUp:
    """The look-up of a name that is under way: a new one, if there is none for this name yet. Waits for nothing, except
    where no thread can be started: there it is over when this returns."""
    key = (os.getpid(), host, port)  # a forked child has the entries of its parent, and not the threads
    lookup = _under_way.get(key)
    if lookup is None or not lookup.is_alive():
        lookup = LookUp(key)
        try:
            lookup.start()
        except RuntimeError:
            lookup.run()  # there are no more threads to be had
        else:
            _under_way[key] = lookup
    return lookup


def no_answer(host: str, within: float) -> OSError:
    """The error of a look-up that was waited for in vain, for so many seconds."""
    return OSError(f"the resolver did not answer for {host!r} within {within:.3g} s")


def under_way() -> frozenset[str]:
    """The names for which the resolver is being asked now."""
    return frozenset(
        host for (pid, host, _), lookup in tuple(_under_way.items()) if pid == os.getpid() and lookup.is_alive()
    )


class LookUp(threading.Thread):
    """One question to the resolver. `over` opens when it has been answered."""

    def __init__(self, key: _Key) -> None:
        super().__init__(name="pynamodb_alternator-resolver", daemon=True)
        self.over: Latch = Latch()
        self._key = key
        self._answers: Sequence[Any] = ()
        self._error: OSError | UnicodeError | None = None

    def run(self) -> None:
        _, host, port = self._key
        try:
            self._answers = _ask(host, port)
        except (OSError, UnicodeError) as error:
            self._error = error
        finally:
            if _under_way.get(self._key) is self:
                _under_way.pop(self._key, None)
            self.over.set()

    def result(self) -> Sequence[Any]:
        """The answer, once it is over. Raises OSError and UnicodeError."""
        if self._error is not None:
            # Each thread raises an exception of its own: raising one writes a traceback into it.
            raise type(self._error)(*self._error.args)
        return self._answers


_under_way: dict[_Key, LookUp] = {}


def _of_address(host: str, port: int | None) -> Sequence[Any]:
    """What ``getaddrinfo`` gives for an address. It is asked for those with a zone, which it knows the number of; for
    the others it would first load the codec of international names, which takes as long as a connection."""
    if "%" in host:
        return _ask(host, port)
    if ":" in host:
        canonical = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, host))
        return [(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (canonical, port or 0, 0, 0))]
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port or 0))]


def _ask(host: str, port: int | None) -> Sequence[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
