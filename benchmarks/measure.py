"""Measures the figures: contenders take turns in every round, and the median of the rounds counts."""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import astuple, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pynamodb.models

import pynamodb_alternator

from . import contenders as who
from . import replicas, tasks
from .bars import BARS, Bar, Effort, Measured, measure_bars
from .cold_start import KINDS, cold_start
from .models import make_model, stock_meta
from .node import TABLE, running, running_tls

__all__ = ["Figure", "Plan", "measure_all"]

SIZES = (3, 30, 300)
THREADS = (8, 32)


@dataclass(frozen=True)
class Figure:
    """Medians for one contender: microseconds of CPU, and of time, for one operation.

    `p99`: of the time; of calls in threads only.
    """

    cpu: float
    wall: float
    p99: float = 0.0


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    `slice_seconds`: how long a contender's turn lasts, about. `connect_rounds`: requests to each node of a cluster
    before it is measured, so that there are connections. `models`: how many, in the measurements of the start. `reads`:
    of a turn, in those of token awareness. `bars`: see `benchmarks.bars`.
    """

    rounds: int
    slice_seconds: float
    connect_rounds: float
    start_rounds: int
    models: tuple[int, int]
    reads: int
    bars: Effort


@dataclass
class Results:
    operations: dict[str, dict[str, Figure]]
    threads: dict[int, dict[str, Figure]]
    """By the number of threads."""
    tasks: dict[str, dict[int, float]]
    """Contender → number of tasks → µs of CPU for a get."""
    cold_starts: dict[str, float]
    """Kind of process → seconds of CPU until its first answer."""
    nodes: dict[str, dict[int, Figure]]
    routing: dict[str, float]
    plans: dict[str, float]
    """Of token awareness: kind of plan → µs of CPU."""
    hops: dict[float, tuple[float, float]]
    """Seconds that a hop takes → seconds for a read, without token awareness and with it."""
    starts: dict[str, dict[int, tuple[float, float]]]
    """Contender → number of models → seconds, MB."""
    bars: list[tuple[Bar, Measured]]


def measure_all(plan: Plan, tell: Callable[[str], None]) -> Results:
    with (
        running(*SIZES) as ports,
        running_tls(SIZES[0]) as (tls_port, authority),
        who.all_calls(ports[0], tls_port, authority) as calls,
    ):
        _check(calls)
        # Objects that exist now stay: the garbage collector does not have to check them between the turns.
        gc.collect()
        gc.freeze()
        tell("operations, one thread")
        operations = {
            name: _interleaved({c: calls[c][name] for c in calls if name in calls[c]}, plan) for name in who.OPERATIONS
        }
        tell(f"get, {' and '.join(map(str, THREADS))} threads")
        threads = {count: _threaded(calls, ports[0], plan, count) for count in THREADS}
        tell("get, tasks of an event loop")
        in_tasks = _tasks(ports[0], plan)
        tell(f"get, {', '.join(map(str, SIZES))} nodes")
        nodes, routing = _nodes(ports, plan)
        tell("token awareness")
        plans = _plans(ports[-1], plan)
        hops = replicas.hops(plan.rounds, plan.reads)
        tell(f"start, {plan.models[0]} and {plan.models[1]} models")
        starts = _starts(ports[0], plan)
        cold_starts = _cold_starts(ports[0], plan)
    tell("the bars")
    bars = list(measure_bars(BARS, plan.bars))
    return Results(operations, threads, in_tasks, cold_starts, nodes, routing, plans, hops, starts, bars)


def _check(calls: dict[str, who.Calls]) -> None:
    """Check that every contender gets the right answers: otherwise the figures would be wrong."""
    for name, of in calls.items():
        if who.BATCH_GET not in of:
            continue
        items, page = of[who.BATCH_GET](), of[who.PAGE_1000]()
        if isinstance(page, dict):
            items, page = next(iter(items["Responses"].values())), page["Items"]
        if isinstance(page, bytes):
            right = page.endswith(b"}") and page.count(b'"alice"') == 1000 and items.count(b'"alice"') == 100
        else:
            right = (len(items), len(page)) == (100, 1000)
        if not right:
            raise RuntimeError(f"{name} did not get the items that it asked for.")


def _times(call: Callable[[], Any], count: int) -> Figure:
    cpu, wall = time.thread_time(), time.perf_counter()
    for _ in range(count):
        call()
    return Figure((time.thread_time() - cpu) / count * 1e6, (time.perf_counter() - wall) / count * 1e6)


def _interleaved(calls: Mapping[Any, Callable[[], Any]], plan: Plan, warm_up: float = 3) -> dict[Any, Figure]:
    counts = {}
    for name, call in calls.items():
        for _ in range(int(warm_up)):
            call()
        counts[name] = max(1, min(5_000, round(plan.slice_seconds / (_times(call, 1).wall / 1e6))))
    rounds: dict[Any, list[Figure]] = {name: [] for name in calls}
    order = list(calls)
    for number in range(plan.rounds):
        # The order rotates, so that a contender does not always run after the same one.
        gc.collect()
        for name in order[number % len(order) :] + order[: number % len(order)]:
            rounds[name].append(_times(calls[name], counts[name]))
    return {name: _median(figures) for name, figures in rounds.items()}


def _median(figures: list[Figure]) -> Figure:
    cpu, wall, p99 = (statistics.median(column) for column in zip(*map(astuple, figures), strict=True))
    return Figure(cpu, wall, p99)


# ---- threads -----------------------------------------------------------------------------------------------------


def _threaded(calls: dict[str, who.Calls], port: int, plan: Plan, threads: int) -> dict[str, Figure]:
    """Many threads that make the same call: the CPU of the whole process, and the time per operation."""
    own = {who.HTTP_CLIENT: who.http_client_calls, who.SOCKET: who.socket_calls}
    work: dict[str, list[Callable[[], Any]]] = {}
    for name, of in calls.items():
        # A contender whose client cannot be shared by threads gets one connection for each.
        work[name] = [own[name](port)[who.GET] if name in own else of[who.GET] for _ in range(threads)]
    rounds: dict[str, list[Figure]] = {name: [] for name in work}
    with ThreadPoolExecutor(threads) as pool:
        counts = dict.fromkeys(work, 0)
        for number in range(-1, plan.rounds):
            gc.collect()
            for name, each in work.items():
                count = counts[name] or 5
                figure = _at_once(pool, each, count)
                if number < 0:
                    counts[name] = max(5, min(2_000, round(plan.slice_seconds * 4 / (figure.wall / 1e6) / threads)))
                else:
                    rounds[name].append(figure)
    return {name: _median(figures) for name, figures in rounds.items()}


def _at_once(pool: ThreadPoolExecutor, calls: list[Callable[[], Any]], count: int) -> Figure:
    begun: list[float] = []
    times: list[float] = []
    # The last thread to arrive takes the time, before any thread continues.
    barrier = threading.Barrier(len(calls), lambda: begun.extend((time.process_time(), time.perf_counter())))

    def run(call: Callable[[], Any]) -> None:
        barrier.wait()
        mine, now = [], time.perf_counter
        for _ in range(count):
            start = now()
            call()
            mine.append(now() - start)
        times.extend(mine)

    futures = [pool.submit(run, call) for call in calls]
    for future in futures:
        future.result()
    cpu, wall = begun
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    done = count * len(calls)
    return Figure(cpu / done * 1e6, wall / done * 1e6, sorted(times)[int(done * 0.99)] * 1e6)


# ---- tasks -------------------------------------------------------------------------------------------------------


def _tasks(port: int, plan: Plan) -> dict[str, dict[int, float]]:
    """Gets by tasks: the CPU of the whole process, because pydynox has its own threads."""
    figures: dict[str, dict[int, float]] = {}
    with tasks.batches(port) as batches:
        for count in tasks.TASKS:
            rounds: dict[str, list[float]] = {name: [] for name in batches}
            for number in range(-1, max(1, plan.rounds // 2)):
                for name, batch in batches.items():
                    began = time.process_time()
                    batch(count)
                    if number >= 0:
                        rounds[name].append((time.process_time() - began) / tasks.operations(count) * 1e6)
            for name, cpu in rounds.items():
                figures.setdefault(name, {})[count] = statistics.median(cpu)
    return figures


# ---- nodes -------------------------------------------------------------------------------------------------------


def _nodes(ports: list[int], plan: Plan) -> tuple[dict[str, dict[int, Figure]], dict[str, float]]:
    figures: dict[str, dict[int, Figure]] = {}
    with ExitStack() as stack:
        calls: dict[tuple[str, int], Callable[[], Any]] = {}
        clusters = {}
        for size, port in zip(SIZES, ports, strict=True):
            clusters[size] = cluster = stack.enter_context(who.our_cluster(port, tables=(TABLE,)))
            cluster.refresh()
            calls[who.CLIENT, size] = who.client_calls(cluster.client)[who.GET]
            client = stack.enter_context(who.alternator_client(port))
            calls[who.ALTERNATOR, size] = who.client_calls(client)[who.GET]
        # The differences are small, so each contender has more turns, after a warm-up until there is a connection to
        # most of the nodes.
        more = replace(plan, rounds=2 * plan.rounds + 1)
        for name in (who.CLIENT, who.ALTERNATOR):
            own = {size: call for (kind, size), call in calls.items() if kind == name}
            figures[name] = _interleaved(own, more, warm_up=plan.connect_rounds * max(SIZES))
        routing = {
            f"{kind}, {size} nodes": figure.cpu
            for (kind, size), figure in _interleaved(_routes(clusters), plan).items()
        }
    return figures, routing


def _routes(clusters: Mapping[int, Any]) -> dict[tuple[str, int], Callable[[], Any]]:
    """Making the query plan of a conditional update, and computing the first of its nodes."""
    parameters = {
        "TableName": TABLE,
        "Key": {"key": {"S": "alice"}},
        "UpdateExpression": "SET #0 = :0",
        "ConditionExpression": "#0 = :1",
    }

    def route(cluster: Any, operation: str) -> Callable[[], Any]:
        router, view = cluster.core.environment.router, cluster.core.membership.view
        return lambda: next(router.plan(operation, parameters, view).order(view))

    return {
        (kind, size): route(cluster, operation)
        for size, cluster in clusters.items()
        for kind, operation in (("affinity", "UpdateItem"), ("round robin", "GetItem"))
    }


def _plans(port: int, plan: Plan) -> dict[str, float]:
    with who.our_cluster(port, tables=()) as cluster:
        cluster.refresh()
        calls = replicas.plans(cluster)
        costs = {kind: figure.cpu for kind, figure in _interleaved(calls, plan, warm_up=100).items()}
    return {**costs, replicas.LOOK_UP: costs[replicas.LOOK_UP] / replicas.LOOK_UPS}


# ---- start -------------------------------------------------------------------------------------------------------


def _starts(port: int, plan: Plan) -> dict[str, dict[int, tuple[float, float]]]:
    rounds: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for _ in range(plan.start_rounds):
        for name in (who.STOCK_MODEL, who.MODEL):
            for models in plan.models:
                rounds.setdefault((name, models), []).append(_start(name, port, models))
    starts: dict[str, dict[int, tuple[float, float]]] = {}
    for (name, models), figures in rounds.items():
        seconds, megabytes = (statistics.median(column) for column in zip(*figures, strict=True))
        starts.setdefault(name, {})[models] = (seconds, megabytes)
    return starts


def _cold_starts(port: int, plan: Plan) -> dict[str, float]:
    rounds = [{kind: cold_start(kind, port, TABLE) for kind in KINDS} for _ in range(plan.start_rounds)]
    return {kind: statistics.median(each[kind] for each in rounds) for kind in KINDS}


def _start(name: str, port: int, models: int) -> tuple[float, float]:
    """In a fresh process: seconds from before the models until each had its first answer, and MB that this took."""
    command = [sys.executable, "-m", "benchmarks.measure", name, str(port), str(models)]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(f"The process that starts {models} models failed:\n{done.stderr}")
    seconds, megabytes = islice(map(float, done.stdout.split()), 2)
    return seconds, megabytes


def _start_here(name: str, port: int, models: int) -> None:
    with ExitStack() as stack:
        before, started = _resident_mb(), time.perf_counter()
        if name == who.STOCK_MODEL:
            base: Any = pynamodb.models.Model
            meta: dict[str, Any] = stock_meta(port)
        else:
            base = pynamodb_alternator.Model
            meta = {"cluster": stack.enter_context(who.our_cluster(port, tables=()))}
        for number in range(models):
            make_model(base, f"bench{number}", **meta).get("alice")
        print(time.perf_counter() - started, _resident_mb() - before)


def _resident_mb() -> float:
    """The memory in use. Without /proc, the largest memory so far."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    _start_here(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
