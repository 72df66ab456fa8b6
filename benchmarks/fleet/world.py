"""A virtual clock for one process, and threads, locks and waits that use it.

Theory of operation. A `World` is one simulated process. Each of its threads is a greenlet, which runs until it waits:
for a time, for a lock, or for another thread. Then the world picks the greenlet that is due next, sets its clock to
that moment, and resumes that greenlet. So only waiting takes virtual time, and all runs are the same.

The package's modules do not know about this. In the modules that decide (`topology`, `core`, `transport`),
`virtual_time` replaces ``threading``, ``_thread``, ``time`` and ``random`` by the stand-ins of this module, and later
restores them. The stand-ins act on the world that runs.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, ClassVar

from greenlet import GreenletExit, getcurrent, greenlet

__all__ = ["World", "now", "virtual_time"]

_ROOMS = ("topology", "core", "transport")


class _Wait:
    """A greenlet that waits. `over`: it was resumed, or soon will be. `woken`: it was woken before its time ended."""

    __slots__ = ("over", "sleeper", "woken")

    def __init__(self, sleeper: greenlet) -> None:
        self.sleeper = sleeper
        self.over = False
        self.woken = False


class World:
    """One simulated process. `seed`: the seed of all its random numbers."""

    running: ClassVar[World]
    """The world that runs now. Only one runs at a time."""

    def __init__(self, seed: int) -> None:
        self.now: float = 0.0
        self._seeds = random.Random(seed)
        self._order = itertools.count()
        self._due: list[tuple[float, int, _Wait]] = []
        self._hub: greenlet | None = None
        self._alive: set[greenlet] = set()

    def new_random(self) -> random.Random:
        """A separate source of random numbers for a part of the process."""
        return random.Random(self._seeds.getrandbits(64))

    def spawn(self, call: Callable[..., object], *args: Any, at: float | None = None) -> greenlet:
        """Run `call` in a new thread, now or at the time `at`."""
        thread = greenlet(lambda: self._body(call, args), self._hub)
        self._alive.add(thread)
        heapq.heappush(self._due, (self.now if at is None else at, next(self._order), _Wait(thread)))
        return thread

    def _body(self, call: Callable[..., object], args: tuple[Any, ...]) -> None:
        try:
            with contextlib.suppress(GreenletExit):
                call(*args)
        finally:
            self._alive.discard(getcurrent())

    def new_wait(self) -> _Wait:
        """A new wait of the running thread, which passes it to `wait`."""
        return _Wait(getcurrent())

    def wait(self, wait: _Wait, seconds: float | None) -> bool:
        """Wait until woken, but at most for `seconds`. Returns whether it was woken."""
        if seconds is not None:
            heapq.heappush(self._due, (self.now + max(0.0, seconds), next(self._order), wait))
        assert self._hub is not None
        self._hub.switch()
        return wait.woken

    def wake(self, wait: _Wait) -> None:
        if not wait.over and not wait.woken:
            wait.woken = True
            heapq.heappush(self._due, (self.now, next(self._order), wait))

    def sleep(self, seconds: float) -> None:
        self.wait(self.new_wait(), seconds)

    def run(self, until: float) -> None:
        """Let the threads run until this moment, and end them all."""
        World.running, self._hub = self, getcurrent()
        due = self._due
        while due and due[0][0] <= until:
            at, _, wait = heapq.heappop(due)
            if not wait.over:
                wait.over = True
                self.now = at
                wait.sleeper.switch()
        due.clear()
        while self._alive:
            thread = self._alive.pop()
            if thread:  # the greenlet has begun
                thread.throw()


def now() -> float:
    """The time of the world that runs."""
    return World.running.now


class Lock:
    """The same as ``threading.Lock``."""

    __slots__ = ("_holders", "_waits")

    def __init__(self) -> None:
        self._holders = 0
        self._waits: list[_Wait] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not self._holders:
            self._holders = 1
            return True
        if not blocking or timeout == 0:
            return False
        world = World.running
        wait = world.new_wait()
        self._waits.append(wait)
        if world.wait(wait, None if timeout < 0 else timeout):
            return True  # `release` has passed the lock to this thread
        self._waits.remove(wait)
        return False

    def release(self) -> None:
        if not self._holders:
            raise RuntimeError("release unlocked lock")
        if self._waits:
            World.running.wake(self._waits.pop(0))
        else:
            self._holders = 0

    def locked(self) -> bool:
        return bool(self._holders)

    def __enter__(self) -> bool:
        if self._holders:
            return self.acquire()
        self._holders = 1
        return True

    def __exit__(self, *_: object) -> None:
        self.release()


class Condition:
    """The same as ``threading.Condition``. Its lock must be held."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._waits: list[_Wait] = []

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def notify_all(self) -> None:
        waits, self._waits = self._waits, []
        for wait in waits:
            World.running.wake(wait)

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        world = World.running
        end = None if timeout is None else world.now + timeout
        while not predicate():
            left = None if end is None else end - world.now
            if left is not None and left <= 0:
                return False
            wait = world.new_wait()
            self._waits.append(wait)
            self._lock.release()
            world.wait(wait, left)
            self._lock.acquire()
        return True


class Thread:
    """The same as ``threading.Thread``, as far as the package uses it."""

    def __init__(
        self,
        target: Callable[..., object] | None = None,
        name: str = "main",
        args: tuple[Any, ...] = (),
        daemon: bool = True,
    ) -> None:
        self.name = name
        self.daemon = daemon
        self.ident: int | None = None
        self._call = (target, args)
        self._body: greenlet | None = None

    def start(self) -> None:
        self._body = World.running.spawn(self._run)
        self.ident = id(self._body)

    def _run(self) -> None:
        getcurrent().thread = self
        target, args = self._call
        if target is not None:
            target(*args)

    def is_alive(self) -> bool:
        return self._body is None or not self._body.dead

    def join(self, timeout: float | None = None) -> None:
        """Do nothing: the world ends its threads, and none waits for another's end."""


class _StandIn(ModuleType):
    """Replaces a module. All names that it does not define itself come from that module."""

    def __init__(self, module: ModuleType, **names: object) -> None:
        super().__init__(module.__name__)
        self.__dict__.update(names)
        self.__getattr__: Callable[[str], object] = lambda name: getattr(module, name)


_MAIN = Thread()


def _current_thread() -> Thread:
    return getattr(getcurrent(), "thread", _MAIN)


def _stand_ins() -> dict[ModuleType, ModuleType]:
    starting = sys.modules["_thread"]
    return {
        threading: _StandIn(
            threading,
            Lock=Lock,
            Condition=Condition,
            Thread=Thread,
            current_thread=_current_thread,
            get_ident=lambda: id(getcurrent()),
        ),
        starting: _StandIn(starting, start_new_thread=lambda call, args: World.running.spawn(call, *args)),
        time: _StandIn(time, monotonic=now, time=now, sleep=lambda seconds: World.running.sleep(seconds)),
        random: _StandIn(
            random, Random=lambda: World.running.new_random(), SystemRandom=lambda: World.running.new_random()
        ),
    }


@contextlib.contextmanager
def virtual_time(others: Mapping[ModuleType, Mapping[str, object]]) -> Iterator[None]:
    """In the ``with`` block, the package uses the clock and the threads of the world that runs.

    `others`: more replacements, by module and name.
    """
    stand_ins = _stand_ins()
    replaced: list[tuple[ModuleType, str, object]] = []

    def replace(module: ModuleType, name: str, value: object) -> None:
        replaced.append((module, name, getattr(module, name)))
        setattr(module, name, value)

    try:
        for module in [module for name, module in sys.modules.items() if _decides(name)]:
            for name, value in list(vars(module).items()):
                if isinstance(value, ModuleType) and value in stand_ins:
                    replace(module, name, stand_ins[value])
        for module, names in others.items():
            for name, value in names.items():
                replace(module, name, value)
        yield
    finally:
        for module, name, value in reversed(replaced):
            setattr(module, name, value)


def _decides(name: str) -> bool:
    return name.startswith(tuple(f"pynamodb_alternator.{room}" for room in _ROOMS))
