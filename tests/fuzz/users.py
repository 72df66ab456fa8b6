"""The users that make the requests: threads over a `Cluster`, or tasks over an `AsyncCluster`.

Both start operations beside the caller, tell when none is under way, and can run some in a forked child. The child
tells what became of its operations through a pipe, and ends by itself, whatever happens.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pynamodb_alternator import Cluster, ClusterConfig
from pynamodb_alternator.aio import AsyncCluster
from tests.chaos.ledger import Fate, fate_of

from .requests import Operation

_WORKERS = 8
_CHILD_SECONDS = 15


class Users(ABC):
    """`cluster`: the one whose signals, nodes and counters are looked at."""

    cluster: Cluster

    def __init__(self, config: ClusterConfig) -> None:
        self._started: list[Operation] = []

    def start(self, operation: Operation) -> None:
        """Make a request in another thread or task."""
        self._started = [other for other in self._started if not other.over]
        self._started.append(operation)
        self._start(operation)

    @property
    def busy(self) -> list[Operation]:
        """The operations that are under way."""
        return [operation for operation in self._started if not operation.over]

    def in_use(self) -> int:
        """Slots that are in use."""
        return sum(node.connections_in_use for node in self.cluster.stats().values())

    def fork(self, operations: Sequence[Operation]) -> str | None:
        """Make these requests in a forked child, one after the other; what is wrong with the child, in words."""
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            # Python 3.12 and newer warn of each fork of a process with threads, which is what is tested here.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            self._be_child(operations, writer)
        os.close(writer)
        return _hear_child(pid, reader, operations)

    def _be_child(self, operations: Sequence[Operation], writer: int) -> None:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_CHILD_SECONDS)
            results: list[list[Any]] = []
            self._run_in_child(operations, results)
            os.write(writer, json.dumps(results).encode())
        finally:
            os._exit(0)

    @abstractmethod
    def _start(self, operation: Operation) -> None: ...

    @abstractmethod
    def _run_in_child(self, operations: Sequence[Operation], results: list[list[Any]]) -> None: ...

    @abstractmethod
    def cancel(self) -> int:
        """Cancel what is under way, where that can be done; how many there were."""

    @abstractmethod
    def close(self) -> None:
        """Close the cluster. What is under way may finish."""


def _hear_child(pid: int, reader: int, operations: Sequence[Operation]) -> str | None:
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(pid, 0)
    if not said:
        for operation in operations:
            operation.cancelled()
        return f"the forked child did not end by itself (wait status {status})"
    for operation, (answer, fate, reason) in zip(operations, json.loads(said), strict=True):
        if answer is not None:
            operation.judge(answer)
        else:
            for write in operation.writes:
                operation.ledger.told(write, Fate(fate) if fate else Fate.OPEN, reason)
            if not fate:
                operation.ledger.wrong.append(f"in a forked child: {operation.method}: {reason}")
            operation.over = True
    return None


def _result(answer: dict[str, Any] | None, error: BaseException | None) -> list[Any]:
    """The result of an operation, as a child tells it."""
    if error is None:
        return [{name: value for name, value in (answer or {}).items() if name != "ResponseMetadata"}, None, ""]
    fate = fate_of(error)
    return [None, fate.value if fate else None, f"{type(error).__name__}: {error}"]


class Threads(Users):
    """Eight threads."""

    def __init__(self, config: ClusterConfig) -> None:
        super().__init__(config)
        self.cluster = Cluster(config)
        self._client = self.cluster.client
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="fuzz")

    def _start(self, operation: Operation) -> None:
        self._pool.submit(self._run, operation)

    def _run(self, operation: Operation) -> None:
        try:
            answer = getattr(self._client, operation.method)(**operation.parameters)
        except BaseException as error:
            operation.failed(error)
        else:
            operation.judge(answer)

    def _run_in_child(self, operations: Sequence[Operation], results: list[list[Any]]) -> None:
        for operation in operations:
            try:
                results.append(_result(getattr(self._client, operation.method)(**operation.parameters), None))
            except BaseException as error:
                results.append(_result(None, error))

    def cancel(self) -> int:
        return 0

    def close(self) -> None:
        self.cluster.close()
        self._pool.shutdown()


class Tasks(Users):
    """Tasks of one event loop, which has a thread of its own."""

    def __init__(self, config: ClusterConfig) -> None:
        super().__init__(config)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fuzz-loop", daemon=True)
        self._thread.start()
        self._tasks: set[asyncio.Task[None]] = set()
        self._async_cluster = self._call(self._make(config))
        self.cluster = self._async_cluster.cluster

    async def _make(self, config: ClusterConfig) -> AsyncCluster:
        return AsyncCluster(config)

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def _start(self, operation: Operation) -> None:
        self._call(self._spawn(operation))

    async def _spawn(self, operation: Operation) -> None:
        task = self._loop.create_task(self._run(operation))
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not operation.over:  # cancelled before its first step
                operation.cancelled()

        task.add_done_callback(ended)

    async def _run(self, operation: Operation) -> None:
        try:
            client = await self._async_cluster.client()
            answer = await getattr(client, operation.method)(**operation.parameters)
        except asyncio.CancelledError:
            operation.cancelled()
            raise
        except BaseException as error:
            operation.failed(error)
        else:
            operation.judge(answer)

    def _run_in_child(self, operations: Sequence[Operation], results: list[list[Any]]) -> None:
        async def run() -> None:
            client = await self._async_cluster.client()
            for operation in operations:
                try:
                    results.append(_result(await getattr(client, operation.method)(**operation.parameters), None))
                except BaseException as error:
                    results.append(_result(None, error))

        asyncio.run(run())

    def cancel(self) -> int:
        return int(self._call(self._cancel()))

    async def _cancel(self) -> int:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        return len(tasks)

    def close(self) -> None:
        self._call(self._async_cluster.aclose())
        end = time.monotonic() + 20
        while self.busy and time.monotonic() < end:
            time.sleep(0.005)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()
