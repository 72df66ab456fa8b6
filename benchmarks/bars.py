"""Measures the bars, which are limits for the ratio of our CPU to another contender's CPU, and says whether they hold.

`python -m benchmarks.bars` (or `make bars`). The two sides of a bar take turns in one process, and the minimum of all
rounds counts on each side, because other work on the machine only adds CPU. `--only get` measures the bars whose words
have "get" in them.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import pynamodb.models

import pynamodb_alternator
from pynamodb_alternator import signals

from . import contenders as who
from . import rust_orm, tasks
from .background import LIGHT, background
from .cold_start import OURS, OURS_WITHOUT_THREADS, STOCK, cold_start
from .models import ACCESS, REGION, SECRET, make_model, stock_meta
from .node import TABLE, running
from .one_core import on_all_cores, on_one_core

__all__ = ["BARS", "FULL", "QUICK", "Bar", "Effort", "Measured", "main", "measure_bars"]

SIZES = (3, 300, 3000)
Call = Callable[[], Any]


@dataclass(frozen=True)
class Effort:
    """How much is measured. `rounds`: turns of each side. `seconds`: the approximate time of a turn. `background`:
    seconds for which the background threads of a process are measured."""

    rounds: int
    seconds: float
    background: float


FULL, QUICK = Effort(60, 0.008, 20.0), Effort(1, 0.001, 0.5)


class Measured(NamedTuple):
    """One bar's figure, and the two sides of its ratio in µs of CPU, which are 0 where the figure is not a ratio."""

    value: float
    ours: float = 0.0
    theirs: float = 0.0


class Sides:
    """The contenders, which are made when a bar needs them."""

    def __init__(self, ports: list[int], stack: ExitStack) -> None:
        self.port, self.port_300, self.port_3000 = ports
        self._stack = stack

    def _cluster(self, port: int = 0, **settings: Any) -> Any:
        return self._stack.enter_context(who.our_cluster(port or self.port, **settings))

    @cached_property
    def cluster(self) -> Any:
        return self._cluster()

    @cached_property
    def model(self) -> who.Calls:
        return who.model_calls(pynamodb_alternator.Model, cluster=self.cluster)

    @cached_property
    def stock_model(self) -> who.Calls:
        return who.model_calls(pynamodb.models.Model, **stock_meta(self.port))

    @cached_property
    def rust_get(self) -> Call:
        return rust_orm.calls(self.port, ACCESS, SECRET, REGION)[0]

    @cached_property
    def client(self) -> who.Calls:
        return who.client_calls(self.cluster.client)

    @cached_property
    def stock_client(self) -> who.Calls:
        return who.client_calls(who.stock_client(self.port))

    @cached_property
    def http_client(self) -> who.Calls:
        return who.http_client_calls(self.port)

    @cached_property
    def with_handler(self) -> who.Calls:
        return who.client_calls(self._cluster(compatible=True).client)

    @cached_property
    def with_receivers(self) -> who.Calls:
        cluster = self._cluster()
        for signal in (signals.request_routed, signals.request_completed):
            signal.connect(_receive, sender=cluster)
        return who.client_calls(cluster.client)

    @cached_property
    def batches(self) -> dict[str, tasks.Batch]:
        return self._stack.enter_context(tasks.batches(self.port))

    @cached_property
    def model_batches(self) -> dict[str, tasks.Batch]:
        return self._stack.enter_context(tasks.model_batches(self.cluster))

    def get_of_many_keys(self, base: Any, **meta: Any) -> Call:
        """Gets of 100,000 different keys in turn, so that cached hashes are of no use."""
        model, keys = make_model(base, TABLE, **meta), _many_keys()
        return lambda: model.get(next(keys))

    def client_get_of_many_keys(self, client: Any) -> Call:
        """The same gets by a client."""
        keys = _many_keys()
        return lambda: client.get_item(TableName=TABLE, Key={"key": {"S": next(keys)}})

    def get_on(self, port: int) -> Call:
        cluster = self._cluster(port, tables=(TABLE,))
        cluster.refresh()
        return who.client_calls(cluster.client)[who.GET]


def _many_keys() -> Iterator[str]:
    return itertools.cycle([f"user-{number}" for number in range(100_000)])


def _receive(sender: Any, **payload: Any) -> None:
    """A receiver of a signal that does nothing."""


# ---- measuring ---------------------------------------------------------------------------------------------------


def _turns(
    ours: Call, theirs: Call, effort: Effort, *, operations: int = 1, warm_up: int = 3, clock: Callable[[], float]
) -> Measured:
    """Both sides in turn: the minimum CPU of each. `operations`: how many operations one call makes."""
    counts = []
    for call in (ours, theirs):
        for _ in range(warm_up):
            call()
        began = time.perf_counter()
        call()
        counts.append(max(1, min(5_000, round(effort.seconds / (time.perf_counter() - began)))))
    gc.collect()
    least = [float("inf")] * 2
    for number in range(effort.rounds):
        for side in (0, 1) if number % 2 else (1, 0):
            call, count = (ours, theirs)[side], counts[side]
            began = clock()
            for _ in range(count):
                call()
            least[side] = min(least[side], (clock() - began) / count / operations * 1e6)
    return Measured(least[0] / least[1], *least)


Measure = Callable[[Sides, Effort], Measured]


def _operation(name: str, ours: str, theirs: str) -> Measure:
    """Both sides' calls of an operation. The names are those of attributes of `Sides`."""
    return lambda sides, effort: _turns(
        getattr(sides, ours)[name], getattr(sides, theirs)[name], effort, clock=time.thread_time
    )


def _rust(sides: Sides, effort: Effort) -> Measured:
    # The CPU of the whole process, because pydynox has its own threads.
    return _turns(sides.model[who.GET], sides.rust_get, effort, clock=time.process_time)


def _models_of_many_keys(sides: Sides, effort: Effort) -> Measured:
    ours = sides.get_of_many_keys(pynamodb_alternator.Model, cluster=sides.cluster)
    theirs = sides.get_of_many_keys(pynamodb.models.Model, **stock_meta(sides.port))
    return _turns(ours, theirs, effort, clock=time.thread_time)


def _clients_of_many_keys(sides: Sides, effort: Effort) -> Measured:
    ours = sides.client_get_of_many_keys(sides.cluster.client)
    theirs = sides.client_get_of_many_keys(who.stock_client(sides.port))
    return _turns(ours, theirs, effort, clock=time.thread_time)


def _tasks(count: int) -> Measure:
    def measure(sides: Sides, effort: Effort) -> Measured:
        ours, theirs = sides.batches[tasks.OURS], sides.batches[tasks.STOCK]
        fewer = replace(effort, rounds=max(1, effort.rounds // 6))
        done = tasks.operations(count)
        return _turns(lambda: ours(count), lambda: theirs(count), fewer, operations=done, clock=time.thread_time)

    return measure


def _async_models(count: int) -> Measure:
    """A get by models in an event loop, relative to a get by the client and the model's own work in a thread."""

    def measure(sides: Sides, effort: Effort) -> Measured:
        models, client = sides.model_batches[tasks.MODELS], sides.model_batches[tasks.OURS]
        fewer, done = replace(effort, rounds=max(1, effort.rounds // 6)), tasks.operations(count)
        both = _turns(lambda: models(count), lambda: client(count), fewer, operations=done, clock=time.thread_time)
        threads = _operation(who.GET, "model", "client")(sides, effort)
        floor = both.theirs + threads.ours - threads.theirs
        return Measured(both.ours / floor, both.ours, floor)

    return measure


def _in_threads(count: int) -> Measure:
    """The time of gets by our models in an event loop, relative to gets in the threads of this loop, on all cores."""

    def measure(sides: Sides, effort: Effort) -> Measured:
        models, threads = sides.model_batches[tasks.MODELS], sides.model_batches[tasks.IN_THREADS]
        fewer, done = replace(effort, rounds=max(1, effort.rounds // 6)), tasks.operations(count)
        with on_all_cores():
            return _turns(
                lambda: models(count), lambda: threads(count), fewer, operations=done, clock=time.perf_counter
            )

    return measure


def _options(sides: Sides, effort: Effort) -> Measured:
    get, options = sides.client[who.GET], sides.cluster.options

    def in_block() -> None:
        with options(timeouts={"total": 5.0}):
            get()

    def alone() -> None:
        get()

    return _turns(in_block, alone, effort, clock=time.thread_time)


def _sizes(sides: Sides, effort: Effort) -> Measured:
    many, few = sides.get_on(sides.port_300), sides.get_on(sides.port)
    # Warm up until there is a connection to most of the nodes.
    warm_up = 600 if effort.rounds > 1 else 3
    return _turns(many, few, effort, warm_up=warm_up, clock=time.thread_time)


def _cold(kind: str) -> Measure:
    def measure(sides: Sides, effort: Effort) -> Measured:
        least = {kind: float("inf"), STOCK: float("inf")}
        for _ in range(max(1, effort.rounds // 8)):
            for each in least:
                least[each] = min(least[each], cold_start(each, sides.port, TABLE) * 1e6)
        return Measured(least[kind] / least[STOCK], least[kind], least[STOCK])

    return measure


def _numbers(item: Mapping[str, Any]) -> Measure:
    """The additional CPU of a PutItem for the search for numbers that are not in canonical form, in µs."""

    def measure(sides: Sides, effort: Effort) -> Measured:
        operation = sides.cluster.client.meta.service_model.operation_model("PutItem")
        parameters = {"TableName": TABLE, "Item": item}
        looking = sides.cluster.core.serializer(validate=False)
        plain = type(looking)()
        measured = _turns(
            lambda: looking.written(parameters, operation),
            lambda: plain.written(parameters, operation),
            effort,
            clock=time.thread_time,
        )
        return Measured(measured.ours - measured.theirs, measured.ours, measured.theirs)

    return measure


def _background(port_of: Callable[[Sides], int]) -> Measure:
    def measure(sides: Sides, effort: Effort) -> Measured:
        settle = min(3.0, effort.background)
        return Measured(background([port_of(sides)], settle=settle, seconds=effort.background, pause=LIGHT)[0] * 100)

    return measure


@dataclass(frozen=True)
class Bar:
    """`limit`: for the ratio, or for the figure with this `unit`. `needs_rust`: only if pydynox is installed."""

    words: str
    limit: float
    measure: Measure
    unit: str = ""
    needs_rust: bool = False


def _models(name: str, limit: float, words: str = "") -> Bar:
    return Bar(f"{words or name}, model: of PynamoDB", limit, _operation(name, "model", "stock_model"))


BARS = (
    _models(who.GET, 0.08),
    Bar("get, model, 100,000 keys: of PynamoDB", 0.08, _models_of_many_keys),
    Bar("get, model: of pydynox", 0.35, _rust, needs_rust=True),
    _models(who.SAVE, 0.10),
    _models(who.UPDATE, 0.15),
    _models(who.BATCH_WRITE, 0.15),
    _models(who.PAGE_1000, 0.14),
    _models(who.PAGE_RICH, 0.20),
    _models(who.PAGE_100, 0.13),
    Bar("get, client: of botocore", 0.045, _operation(who.GET, "client", "stock_client")),
    Bar("get, client, 100,000 keys: of botocore", 0.05, _clients_of_many_keys),
    Bar("get, client: of http.client with orjson", 0.5, _operation(who.GET, "client", "http_client")),
    Bar("get, client with a handler: of botocore", 0.22, _operation(who.GET, "with_handler", "stock_client")),
    *(
        Bar(f"get, async, {count:,} {'task' if count == 1 else 'tasks'}: of aiobotocore", limit, _tasks(count))
        for count, limit in zip(tasks.TASKS, (0.08, 0.08, 0.10), strict=True)
    ),
    Bar("get, async model, 1 task: of client and model", 1.35, _async_models(1)),
    Bar("get, async model, 100 tasks: of client and model", 1.35, _async_models(100)),
    Bar("get, async model, 200 tasks: of asyncio.to_thread", 0.5, _in_threads(200)),
    Bar("get, client, 300 nodes: of 3 nodes", 1.1, _sizes),
    Bar("get, client with two receivers: of none", 1.2, _operation(who.GET, "with_receivers", "client")),
    Bar("get, client in a block with a deadline: of none", 1.1, _options),
    Bar(
        "numbers: nine attributes without one",
        0.3,
        _numbers({f"text{n}": {"S": "a text of a row"} for n in range(9)}),
        " µs",
    ),
    Bar("cold start, model: of PynamoDB", 1.0, _cold(OURS)),
    Bar("cold start, model without threads: of PynamoDB", 0.9, _cold(OURS_WITHOUT_THREADS)),
    Bar("background, 300 nodes, light use", 0.3, _background(lambda sides: sides.port_300), " %"),
    Bar("background, 3,000 nodes, light use", 1.0, _background(lambda sides: sides.port_3000), " %"),
)


def measure_bars(bars: Iterable[Bar], effort: Effort) -> Iterator[tuple[Bar, Measured]]:
    """Each bar with its figure, as soon as it is measured. Clients and nodes share one core: see `one_core`."""
    with on_one_core(), ExitStack() as stack:
        sides = Sides(stack.enter_context(running(*SIZES)), stack)
        for bar in bars:
            if bar.needs_rust and not rust_orm.INSTALLED:
                continue
            yield bar, bar.measure(sides, effort)


def row(bar: Bar, measured: Measured) -> str:
    sides = f"{measured.ours:>10,.1f}{measured.theirs:>11,.1f}" if measured.ours else " " * 21
    limit, value = f"{bar.limit:g}{bar.unit}", f"{measured.value:.3f}{bar.unit}"
    return f"{bar.words:<50}{limit:>8}{value:>10}{sides}  {'yes' if measured.value <= bar.limit else 'NO'}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bars", description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="bars whose words have this; may be repeated")
    parser.add_argument("--rounds", type=int, default=FULL.rounds, help="turns of each side")
    parser.add_argument("--quick", action="store_true", help="one short round: only whether everything runs")
    chosen = parser.parse_args(arguments)
    effort = QUICK if chosen.quick else replace(FULL, rounds=chosen.rounds)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    bars = [bar for bar in BARS if not chosen.only or any(text in bar.words for text in chosen.only)]
    if not bars:
        parser.error(
            f"no bar has {' or '.join(chosen.only)} in its words; they are: {', '.join(b.words for b in BARS)}"
        )
    print(f"Signed, three nodes, token awareness on; µs of CPU, the least of {effort.rounds} rounds")
    print(f"{'':<50}{'bar':>8}{'measured':>10}{'ours':>10}{'theirs':>11}  holds", flush=True)
    missed = 0
    for bar, measured in measure_bars(bars, effort):
        print(row(bar, measured), flush=True)
        missed += measured.value > bar.limit
    if not rust_orm.INSTALLED:
        print("pydynox is not installed, so it was not measured.")
    print(f"{missed} of the bars are missed." if missed else "All bars hold.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
