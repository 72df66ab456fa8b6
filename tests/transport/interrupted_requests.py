"""Requests that exceptions interrupt at random moments. At the end no slot is lost, and every request works.

    python -m tests.transport.interrupted_requests KIND [SECONDS [SLOTS]]

KIND: `signal` (an exception out of SIGALRM's handler, as Celery's and RQ's limits), `keyboard` (SIGINT), `threads`
(PyThreadState_SetAsyncExc), `gevent` (gevent.Timeout and kills). Prints the figures. The node is a process of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


class Stop(Exception):
    """As celery.exceptions.SoftTimeLimitExceeded."""


# ---- the node ----------------------------------------------------------------------------------------------------


def serve() -> None:
    """Answers each GetItem with its own key, sometimes late."""
    from .servers import Server, ok, read_request

    def answer(sock: Any) -> None:
        while (asked := read_request(sock)) is not None:
            if asked[0].startswith(b"GET"):
                sock.sendall(ok(b'["127.0.0.1"]'))
            elif b".GetItem" not in asked[0]:  # a question of the library's own, such as for the token ring
                sock.sendall(ok(b'{"__type": "x#ResourceNotFoundException", "message": "none"}', status=400))
            else:
                time.sleep(random.choice((0.0, 0.0, 0.001, 0.005)))
                sock.sendall(ok(json.dumps({"Item": json.loads(asked[1])["Key"]}).encode()))

    with Server(answer) as server:
        print(server.port, flush=True)
        sys.stdin.read()


@contextlib.contextmanager
def node() -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-m", __spec__.name, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        yield int(process.stdout.readline())
        process.stdin.close()


# ---- the interruptions -------------------------------------------------------------------------------------------


class Run:
    def __init__(self, port: int, seconds: float, slots: int) -> None:
        from pynamodb_alternator import Cluster, ClusterConfig, Timeouts

        self.counts: Counter[str] = Counter()
        self.end = time.monotonic() + seconds
        self.slots = slots
        config = ClusterConfig(
            ["127.0.0.1"],
            port=port,
            max_pool_connections=slots,
            max_connection_age=0.05,
            key_route_affinity="none",
            timeouts=Timeouts(connect=5.0, read=5.0, pool=10.0),
        )
        self.cluster = Cluster(config)
        self.get("first")

    def get(self, key: str) -> None:
        answer = self.cluster.client.get_item(TableName="t", Key={"k": {"S": key}})
        if answer["Item"]["k"]["S"] != key:
            self.counts["ANSWERS OF OTHERS"] += 1

    def get_again_and_again(self, number: int = 0) -> None:
        while time.monotonic() < self.end:
            self.get(f"{number}-{random.random()}")
            self.counts["good"] += 1

    def until_the_end(self, action: Callable[[], None], *stops: type[BaseException]) -> None:
        """Do it, and again after each stop."""
        while time.monotonic() < self.end:
            try:
                action()
            except stops:
                self.counts["stopped"] += 1
            except Exception as error:
                self.counts[f"{type(error).__name__}: {error}"] += 1

    def lost(self) -> int:
        """Slots in use, though nobody uses any: what heals by itself has some seconds for it."""
        end = time.monotonic() + 5.0
        while (
            lost := sum(stats.in_use for stats in self.cluster.core.pools.stats().values())
        ) and time.monotonic() < end:
            time.sleep(0.05)
        return lost


def raising(kind: type[BaseException]) -> Callable[[int, FrameType | None], None]:
    """A signal's handler that raises it in the middle of a request; what this script itself does is left in peace."""

    def handle(_: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_code is Run.get.__code__:
                raise kind
            frame = frame.f_back

    return handle


def by_signal(run: Run) -> None:
    signal.signal(signal.SIGALRM, raising(Stop))

    def work() -> None:
        # Again and again: an exception that comes where one is ignored, or taken for another, is lost.
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00005, 0.003), 0.02)
        run.get_again_and_again()

    run.until_the_end(work, Stop)
    signal.setitimer(signal.ITIMER_REAL, 0)


def by_keyboard(run: Run) -> None:
    signal.signal(signal.SIGINT, raising(KeyboardInterrupt))

    def press() -> None:
        while time.monotonic() < run.end:
            time.sleep(random.uniform(0.0002, 0.004))
            os.kill(os.getpid(), signal.SIGINT)

    keyboard = threading.Thread(target=press, daemon=True)
    keyboard.start()
    run.until_the_end(run.get_again_and_again, KeyboardInterrupt)
    keyboard.join()


def by_other_threads(run: Run) -> None:
    def work(number: int) -> None:
        with contextlib.suppress(Stop):  # one too many: another thread takes its place
            run.until_the_end(lambda: run.get_again_and_again(number), Stop)

    workers: dict[int, threading.Thread] = {}
    while time.monotonic() < run.end:
        for number in range(run.slots + 2):
            if number not in workers or not workers[number].is_alive():
                workers[number] = threading.Thread(target=work, args=(number,), daemon=True)
                workers[number].start()
        time.sleep(random.uniform(0.0002, 0.003))
        victim = random.choice(list(workers.values())).ident
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(victim or 0), ctypes.py_object(Stop))
    for worker in workers.values():
        worker.join(20)
        assert not worker.is_alive()


def by_gevent(run: Run) -> None:
    import gevent

    def work(number: int) -> None:
        while time.monotonic() < run.end:
            try:
                with gevent.Timeout(random.uniform(0.0005, 0.02)):
                    run.get(f"{number}-{random.random()}")
                    run.counts["good"] += 1
            except gevent.Timeout:
                run.counts["stopped"] += 1
            except Exception as error:
                run.counts[f"{type(error).__name__}: {error}"] += 1

    workers = {number: gevent.spawn(work, number) for number in range(run.slots + 5)}
    while time.monotonic() < run.end:
        gevent.sleep(random.uniform(0.0, 0.01))
        victim = random.choice(list(workers))
        workers[victim].kill(block=False)
        run.counts["killed"] += 1
        workers[victim] = gevent.spawn(work, victim)
    gevent.joinall(list(workers.values()))


KINDS = {"signal": by_signal, "keyboard": by_keyboard, "threads": by_other_threads, "gevent": by_gevent}


def main(kind: str, seconds: float, slots: int) -> None:
    with node() as port:
        run = Run(port, seconds, slots)
        KINDS[kind](run)
        lost, later = run.lost(), 0
        for number in range(50):
            run.get(f"later {number}")
            later += 1
        [stats] = run.cluster.core.pools.stats().values()
        run.cluster.close()
        gc.collect()
    good, stopped, killed = (run.counts.pop(name, 0) for name in ("good", "stopped", "killed"))
    print(f"{kind}: {good} good, {stopped} stopped, {killed} killed; {stats.opened} connections opened;", end=" ")
    print(f"slots lost: {lost} of {slots}; later requests that worked: {later} of 50; errors: {dict(run.counts)}")
    assert (lost, later, run.counts) == (0, 50, {})
    assert stopped + killed > 50 * seconds


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        if sys.argv[1] == "gevent":
            from gevent import monkey

            monkey.patch_all()
        seconds, slots = [*sys.argv[2:], "60", "5"][:2] if len(sys.argv) < 4 else sys.argv[2:4]
        main(sys.argv[1], float(seconds), int(slots))
