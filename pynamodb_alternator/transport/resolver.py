"""Name resolution by the machine's own resolver, with a time limit.

``getaddrinfo`` has no timeout, and waits for half a minute if a name server does not answer. So it is called in a
thread, and a caller with a deadline waits for that thread until the deadline. There is one such thread for each name,
however many callers wait. It ends with its answer. Addresses are not looked up, and need no thread. An event loop waits
for the same threads (`begin`), because its executor has few threads, and one name that hangs would occupy them all.

Which look-ups are under way is derived from the threads that live, because an exception may come in the thread of a
request between any two lines here: no caller waits for a look-up whose thread was never started.
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
    """The addresses in the result of ``socket.getaddrinfo``, in its order."""
    return tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))


def look_up(host: str, port: int | None, within: float | None) -> Sequence[Any]:
    """The result of ``socket.getaddrinfo`` for streams. `within`: seconds; None waits as long as it takes.

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
    """The look-up of this name that is under way, or a new one. Does not wait, except where no thread can be started:
    there the look-up is over when this returns."""
    key = (os.getpid(), host, port)  # a forked child has the entries of its parent, but not its threads
    lookup = _under_way.get(key)
    if lookup is None or not lookup.goes_on:
        lookup = LookUp(key)
        try:
            lookup.start()
        except RuntimeError:
            lookup.run()  # no thread can be started
        else:
            _under_way[key] = lookup
    return lookup


def no_answer(host: str, within: float) -> OSError:
    """The error of a look-up that did not end within so many seconds."""
    return OSError(f"the resolver did not answer for {host!r} within {within:.3g} s")


def under_way() -> frozenset[str]:
    """The names that are being looked up now."""
    return frozenset(
        host for (pid, host, _), lookup in tuple(_under_way.items()) if pid == os.getpid() and lookup.goes_on
    )


class LookUp(threading.Thread):
    """One look-up by the resolver. `over` is set when it has ended."""

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

    @property
    def goes_on(self) -> bool:
        """Whether there may still be an answer. A thread is alive for a while after its look-up is over."""
        return not self.over.is_set() and self.is_alive()

    def result(self) -> Sequence[Any]:
        """The result, when the look-up is over. Raises OSError and UnicodeError."""
        if self._error is not None:
            # Each thread raises its own exception: an exception that is raised gets a traceback.
            raise type(self._error)(*self._error.args)
        return self._answers


_under_way: dict[_Key, LookUp] = {}


def _of_address(host: str, port: int | None) -> Sequence[Any]:
    """The result of ``getaddrinfo`` for an address. It is called only for addresses with a zone, because it knows the
    number of the zone. For others it would first load the codec of international names, which takes as long as a
    connection."""
    if "%" in host:
        return _ask(host, port)
    if ":" in host:
        canonical = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, host))
        return [(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (canonical, port or 0, 0, 0))]
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port or 0))]


def _ask(host: str, port: int | None) -> Sequence[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
