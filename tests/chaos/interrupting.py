"""The ways in which a request can be interrupted between any two of its steps, for `slots`.

- gevent: greenlets whose requests time out (`gevent.Timeout`), and greenlets that are killed.
- alarm: an exception out of a signal handler, as Celery's soft time limit is, while other threads share the pool.
- async exception: `PyThreadState_SetAsyncExc`, with which some servers end a thread's request.
- cancel: tasks of an event loop that are cancelled.

Each way ends with its account: requests that were made and interrupted, errors of those that were not interrupted,
slots that are in use though nothing is under way, and requests that fail afterwards, when each pool's connections
are all asked for at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import faulthandler
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pynamodb_alternator import Cluster, ClusterConfig, Timeouts
from pynamodb_alternator.aio import AsyncCluster

from .recording import INCREMENT
from .support import TABLE

_LIMIT = 5
"""Connections to one node."""
_WORKERS = 12
_AFTERWARDS = 4 * _LIMIT
_KEY = {"id": {"S": "k"}}
_GET: dict[str, Any] = {"TableName": TABLE, "Key": _KEY}
_PUT: dict[str, Any] = {"TableName": TABLE, "Item": {**_KEY, "write": {"S": "w"}}}
_UPDATE: dict[str, Any] = {
    "TableName": TABLE,
    "Key": _KEY,
    "UpdateExpression": INCREMENT,
    "ExpressionAttributeNames": {"#write": "write", "#number": "number"},
    "ExpressionAttributeValues": {":write": {"S": "w"}, ":one": {"N": "1"}},
}
_CALLS = (("get_item", _GET), ("put_item", _PUT), ("update_item", _UPDATE))


class Interrupted(Exception):
    """What the signal handler and the async exception raise."""


class Account:
    """What one way cost."""

    def __init__(self) -> None:
        self.requests = 0
        self.interrupted = 0
        self.errors: dict[str, int] = {}
        self.examples: list[str] = []

    def error(self, error: BaseException) -> None:
        name = type(error).__name__
        self.errors[name] = self.errors.get(name, 0) + 1
        self.example(f"{name}: {error}")

    def example(self, what: str) -> None:
        """Keep what went wrong, for the account."""
        if len(self.examples) < 3:
            self.examples.append(what)

    def result(self, lost: int, failed: int) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "interrupted": self.interrupted,
            "errors": sum(self.errors.values()),
            "lost": lost,
            "failed afterwards": failed,
            "examples": self.examples,
        }


def run(way: str, port: int, seconds: float, seed: int) -> dict[str, Any]:
    """Interrupt requests for some seconds. Returns the counts."""
    # It ends by itself, whatever happens.
    faulthandler.dump_traceback_later(seconds + 75, exit=True)
    config = ClusterConfig(
        ["127.0.0.1"],
        port=port,
        name=f"slots: {way}",
        max_pool_connections=_LIMIT,
        timeouts=Timeouts(connect=2.0, read=5.0, pool=5.0),
    )
    result = _WAYS[way](config, seconds, random.Random(f"{seed} {way}"))
    faulthandler.cancel_dump_traceback_later()
    return result


def _request(cluster: Cluster, rng: random.Random) -> None:
    method, parameters = rng.choice(_CALLS)
    getattr(cluster.client, method)(**parameters)


def _in_use(cluster: Cluster) -> int:
    """Slots that are in use, though nothing is under way; they have a moment to be healed."""
    end = time.monotonic() + 3.0
    while True:
        lost = sum(node.connections_in_use for node in cluster.stats().values())
        if not lost or time.monotonic() > end:
            return lost
        time.sleep(0.02)


def _finish(cluster: Cluster, account: Account, rng: random.Random) -> dict[str, Any]:
    """The account of a way that used threads or greenlets: nothing is under way any more."""
    lost = _in_use(cluster)
    failed = 0

    def request(_: int) -> bool:
        try:
            _request(cluster, rng)
        except Exception as error:
            account.example(f"afterwards: {type(error).__name__}: {error}")
            return False
        return True

    with ThreadPoolExecutor(_AFTERWARDS) as pool:
        for _ in range(5):
            failed += sum(not ok for ok in pool.map(request, range(_AFTERWARDS)))
    return account.result(max(lost, _in_use(cluster)), failed)


# ---- gevent --------------------------------------------------------------------------------------------------------


def _gevent(config: ClusterConfig, seconds: float, rng: random.Random) -> dict[str, Any]:
    import gevent

    account = Account()
    with Cluster(config) as cluster:
        _request(cluster, rng)
        end = time.monotonic() + seconds

        def work() -> None:
            while time.monotonic() < end:
                account.requests += 1
                try:
                    with gevent.Timeout(rng.uniform(0.0005, 0.06)):
                        _request(cluster, rng)
                except gevent.Timeout:
                    account.interrupted += 1
                except gevent.GreenletExit:
                    account.interrupted += 1
                    raise
                except Exception as error:
                    account.error(error)

        workers = [gevent.spawn(work) for _ in range(_WORKERS)]
        while time.monotonic() < end:
            gevent.sleep(rng.uniform(0.001, 0.02))
            number = rng.randrange(_WORKERS)
            workers[number].kill(block=False)
            workers[number] = gevent.spawn(work)
        gevent.joinall(workers)
        return _finish(cluster, account, rng)


# ---- threads -------------------------------------------------------------------------------------------------------


def _alarm(config: ClusterConfig, seconds: float, rng: random.Random) -> dict[str, Any]:
    account = Account()
    over = threading.Event()

    def ring(number: int, frame: Any) -> None:
        raise Interrupted

    def work(cluster: Cluster) -> None:
        own = random.Random(rng.random())
        while not over.is_set():
            try:
                _request(cluster, own)
            except Exception as error:
                account.error(error)

    signal.signal(signal.SIGALRM, ring)
    with Cluster(config) as cluster:
        _request(cluster, rng)
        others = [threading.Thread(target=work, args=(cluster,)) for _ in range(3)]
        for other in others:
            other.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            account.requests += 1
            try:
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.00005, 0.004))
                _request(cluster, rng)
                _request(cluster, rng)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupted:
                account.interrupted += 1
            except Exception as error:
                account.error(error)
            with contextlib.suppress(Interrupted):
                signal.setitimer(signal.ITIMER_REAL, 0)
        over.set()
        for other in others:
            other.join(30)
        return _finish(cluster, account, rng)


def _async_exception(config: ClusterConfig, seconds: float, rng: random.Random) -> dict[str, Any]:
    account = Account()
    over = threading.Event()
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    # A thread that is hit outside of its own `try` ends; another takes its place.
    threading.excepthook = lambda arguments: (
        None if arguments.exc_type is Interrupted else threading.__excepthook__(arguments)
    )

    def work(cluster: Cluster) -> None:
        own = random.Random(rng.random())
        while not over.is_set():
            try:
                account.requests += 1
                _request(cluster, own)
            except Interrupted:
                account.interrupted += 1
            except Exception as error:
                account.error(error)

    def new_thread(cluster: Cluster) -> threading.Thread:
        thread = threading.Thread(target=work, args=(cluster,), daemon=True)
        thread.start()
        return thread

    with Cluster(config) as cluster:
        _request(cluster, rng)
        threads = [new_thread(cluster) for _ in range(_WORKERS)]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(rng.uniform(0.0002, 0.003))
            number = rng.randrange(_WORKERS)
            if threads[number].is_alive():
                raise_in(ctypes.c_ulong(threads[number].ident or 0), ctypes.py_object(Interrupted))
            else:
                threads[number] = new_thread(cluster)
        over.set()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads), "a request does not end"
        return _finish(cluster, account, rng)


# ---- an event loop -------------------------------------------------------------------------------------------------


def _cancel(config: ClusterConfig, seconds: float, rng: random.Random) -> dict[str, Any]:
    return asyncio.run(_cancelling(config, seconds, rng))


async def _cancelling(config: ClusterConfig, seconds: float, rng: random.Random) -> dict[str, Any]:
    account = Account()
    async with AsyncCluster(config) as cluster:
        client = await cluster.client()

        async def request() -> None:
            method, parameters = rng.choice(_CALLS)
            await getattr(client, method)(**parameters)

        await request()
        end = time.monotonic() + seconds

        async def work() -> None:
            while time.monotonic() < end:
                account.requests += 1
                task = asyncio.create_task(request())
                await asyncio.wait([task], timeout=rng.choice([0.0, rng.uniform(0.0, 0.004), rng.uniform(0.0, 0.05)]))
                task.cancel()
                await asyncio.wait([task])
                if task.cancelled():
                    account.interrupted += 1
                elif (error := task.exception()) is not None:
                    account.error(error)

        await asyncio.gather(*(work() for _ in range(_WORKERS * 2)))
        lost = await asyncio.to_thread(_in_use, cluster.cluster)
        failed = 0
        for _ in range(5):
            for outcome in await asyncio.gather(*(request() for _ in range(_AFTERWARDS)), return_exceptions=True):
                if isinstance(outcome, BaseException):
                    failed += 1
                    account.example(f"afterwards: {type(outcome).__name__}: {outcome}")
        return account.result(max(lost, await asyncio.to_thread(_in_use, cluster.cluster)), failed)


_WAYS: dict[str, Callable[[ClusterConfig, float, random.Random], dict[str, Any]]] = {
    "gevent": _gevent,
    "alarm": _alarm,
    "async exception": _async_exception,
    "cancel": _cancel,
}
