"""Faults of every kind, amid traffic of every kind, and an account of what they cost.

Each scenario has a cluster of its own on loopback addresses, and eight threads that write and read. Counters tell
twice-applied increments exactly: each increment adds one to a number, and its own name to a set in the same item. What
the number exceeds the set by was applied twice.

Where is the randomness? In `random.Random(seed)`, which picks nodes, kinds and pauses; the threads' timing is not ours.
"""

from __future__ import annotations

import itertools
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from botocore.exceptions import ClientError

from pynamodb_alternator import Cluster, ClusterConfig, Timeouts, signals
from pynamodb_alternator.errors import NotSentError, OutcomeUnknownError
from pynamodb_alternator.local import LocalCluster

from .support import TABLE, all_active, create_table, put, until

READ_TIMEOUT = 3.0
"""Instead of 15 seconds, for the sake of those faults that only the read timeout ends: an answer that is announced to
be longer than it is."""
SLOW = 0.5
"""Seconds from which a request counts as slow."""
NAMED_SEED = "seed.chaos.invalid"
_PER_COUNTER = 40
_JOIN = 60.0


@dataclass
class Row:
    """What one scenario cost."""

    scenario: str
    faults: int = 0
    requests: int = 0
    acknowledged: int = 0
    lost: int = 0
    twice: int = 0
    errors: int = 0
    """Of reads, and of idempotent writes whose node did not go silent, while a node lived."""
    excused: int = 0
    """Of any kind, while none did."""
    unknown: int = 0
    """Writes of which the caller was told that their outcome is unknown: increments and conditional puts, and plain
    puts whose node went silent."""
    slow: int = 0
    slow_per_thread: int = 0
    """The most that one thread met in one fault, of those that an attempt failed in: the others are the machine's."""
    longest: float = 0.0
    detect: float | None = None
    recover: float | None = None
    examples: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.twice or self.errors)


class Chaos:
    """One scenario under way: the cluster, its users, and their account."""

    def __init__(self, name: str, local: LocalCluster, cluster: Cluster, rng: random.Random) -> None:
        self.local = local
        self.cluster = cluster
        self.random = rng
        self.row = Row(name)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._acknowledged: list[str] = []
        self._increments: dict[str, list[str]] = {}
        self._excuses = 0
        self._is_excused = False
        self._slow_now: Counter[int] = Counter()
        self._downs: list[float] = []
        self._of_thread = threading.local()

    # ---- the users -----------------------------------------------------------------------------------------------

    def count(self, thread: int) -> None:
        number = next(self._numbers)
        key, name = f"counter-{thread}-{number // _PER_COUNTER}", f"i{number}"
        with self._request(thread, may_be_unknown="always") as request:
            self.cluster.client.update_item(
                TableName=TABLE,
                Key={"id": {"S": key}},
                UpdateExpression="ADD #v :one, #names :name",
                ExpressionAttributeNames={"#v": "value", "#names": "names"},
                ExpressionAttributeValues={":one": {"N": "1"}, ":name": {"SS": [name]}},
            )
        if request.ok:
            with self._lock:
                self._increments.setdefault(key, []).append(name)

    def put_once(self, thread: int) -> None:
        key = f"once-{next(self._numbers)}"
        with self._request(thread, may_be_unknown="always") as request:
            try:
                self.cluster.client.put_item(
                    TableName=TABLE,
                    Item={"id": {"S": key}, "value": {"N": "1"}},
                    ConditionExpression="attribute_not_exists(id)",
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
                # Nobody else writes this key.
                self.row.twice += 1
                self._note(f"conditional put of {key} met itself")
        if request.ok:
            with self._lock:
                self._acknowledged.append(key)

    def put_unique(self, thread: int) -> None:
        key = f"unique-{next(self._numbers)}"
        with self._request(thread, may_be_unknown="if silent") as request:
            put(self.cluster.client, key, 1)
        if request.ok:
            with self._lock:
                self._acknowledged.append(key)

    def read(self, thread: int) -> None:
        with self._lock:
            known = self._acknowledged[-1] if self._acknowledged else None
        if known is None:
            return
        with self._request(thread):
            if next(self._numbers) % 5:
                answer = self.cluster.client.get_item(TableName=TABLE, Key={"id": {"S": known}}, ConsistentRead=True)
                found = "Item" in answer
            else:
                answer = self.cluster.client.query(
                    TableName=TABLE,
                    KeyConditionExpression="id = :id",
                    ExpressionAttributeValues={":id": {"S": known}},
                    ConsistentRead=True,
                )
                found = answer["Count"] == 1
            if not found:
                self.row.lost += 1
                self._note(f"{known} was acknowledged and is not read")

    @contextmanager
    def _request(
        self, thread: int, *, may_be_unknown: Literal["never", "if silent", "always"] = "never"
    ) -> Iterator[_Request]:
        request = _Request()
        excuses, was_excused = self._excuses, self._is_excused
        started = time.monotonic()
        self._of_thread.failed = False
        try:
            yield request
            request.ok = True
        except (NotSentError, OutcomeUnknownError, ClientError) as error:
            excused = was_excused or self._is_excused or excuses != self._excuses
            unknown = isinstance(error, OutcomeUnknownError) and (
                may_be_unknown == "always" or (may_be_unknown == "if silent" and error.may_still_execute)
            )
            with self._lock:
                if unknown:
                    self.row.unknown += 1
                elif excused:
                    self.row.excused += 1
                else:
                    self.row.errors += 1
                    self._note(f"{type(error).__name__}: {error}")
        took = time.monotonic() - started
        with self._lock:
            self.row.requests += 1
            self.row.longest = max(self.row.longest, took)
            if took > SLOW:
                self.row.slow += 1
                self._slow_now[thread] += self._of_thread.failed

    def _note(self, what: str) -> None:
        if len(self.row.examples) < 5:
            self.row.examples.append(what)

    # ---- the faults ----------------------------------------------------------------------------------------------

    @contextmanager
    def fault(self, *, takes_down: bool = False, none_lives: bool = False) -> Iterator[None]:
        """One fault: it is made in the block, and healed at its end. Waits until the cluster has recovered."""
        self.row.faults += 1
        self._slow_now.clear()
        self._downs.clear()
        if none_lives:
            self._excuses += 1
            self._is_excused = True
        started = time.monotonic()
        yield
        if takes_down and self._downs:
            self.row.detect = max(self.row.detect or 0.0, self._downs[0] - started)
        healed = time.monotonic()
        until(lambda: all_active(self.cluster, self.local), f"{self.row.scenario}: all nodes active again")
        self.row.recover = max(self.row.recover or 0.0, time.monotonic() - healed)
        self._is_excused = False
        with self._lock:
            self.row.slow_per_thread = max([self.row.slow_per_thread, *self._slow_now.values()])

    def pause(self, seconds: float) -> None:
        """Let the traffic go on for about so long."""
        self._stop.wait(seconds * self.random.uniform(0.7, 1.3))

    def until_down(self, count: int = 1) -> None:
        until(lambda: len(self._downs) >= count, f"{self.row.scenario}: the node is found out")

    def victim(self) -> Any:
        return self.random.choice(self.local.nodes)

    # ---- all of it -----------------------------------------------------------------------------------------------

    def run(self, scenario: Callable[[Chaos], None], seconds: float) -> Row:
        users = [self.count] * 2 + [self.put_once] + [self.put_unique] * 2 + [self.read] * 3
        failures: list[BaseException] = []

        def use(thread: int) -> None:
            try:
                while not self._stop.is_set():
                    users[thread](thread)
            except BaseException as error:
                failures.append(error)
                self._stop.set()

        def went_down(sender: Any, **_: Any) -> None:
            self._downs.append(time.monotonic())

        def completed(sender: Any, attempts: int, error: Any, **_: Any) -> None:
            self._of_thread.failed = attempts > 1 or error is not None

        threads = [threading.Thread(target=use, args=(number,), daemon=True) for number in range(len(users))]
        signals.node_down.connect(went_down, sender=self.cluster)
        signals.request_completed.connect(completed, sender=self.cluster)
        try:
            for thread in threads:
                thread.start()
            self.pause(0.2)
            end = time.monotonic() + seconds
            while time.monotonic() < end and not failures:
                scenario(self)
                self.pause(0.1)
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(_JOIN)
        assert not any(thread.is_alive() for thread in threads), "a request does not end"
        if failures:
            raise failures[0]
        self._verify()
        assert not self.local.failures, self.local.failures
        return self.row

    def _verify(self) -> None:
        """What the table says, against what was acknowledged."""
        items = {}
        for page in self.cluster.client.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True):
            items.update({item["id"]["S"]: item for item in page["Items"]})
        row = self.row
        for key in self._acknowledged:
            if key not in items:
                row.lost += 1
                self._note(f"{key} was acknowledged, and is lost")
        for key, item in items.items():
            if "names" in item:
                names = set(item["names"]["SS"])
                row.twice += int(item["value"]["N"]) - len(names)
                row.lost += len(set(self._increments.get(key, ())) - names)
        row.lost += sum(len(names) for key, names in self._increments.items() if key not in items)
        row.acknowledged = len(self._acknowledged) + sum(map(len, self._increments.values()))


class _Request:
    ok = False


# ---- scenarios: one fault each, with all its life ------------------------------------------------------------------


def kill(chaos: Chaos) -> None:
    node = chaos.victim()
    with chaos.fault(takes_down=True):
        node.kill(still_listed=chaos.random.random() < 0.7)
        chaos.pause(0.8)
        node.revive()


def hang(chaos: Chaos) -> None:
    node = chaos.victim()
    with chaos.fault(takes_down=True):
        node.hang()
        chaos.until_down()
        chaos.pause(0.5)
        node.resume()


def freeze(chaos: Chaos) -> None:
    node = chaos.victim()
    with chaos.fault(takes_down=True):
        node.freeze()
        try:
            chaos.until_down()
            chaos.pause(0.5)
        finally:
            node.thaw()


def spoilt(make: Callable[[Any, random.Random], Any]) -> Callable[[Chaos], None]:
    def scenario(chaos: Chaos) -> None:
        node = chaos.victim()
        with chaos.fault():
            fault = make(node, chaos.random)
            chaos.pause(0.2)
            fault.cancel()

    return scenario


reset = spoilt(lambda node, rng: node.reset_mid_answer(times=rng.randint(1, 4)))
truncated = spoilt(lambda node, rng: node.truncate_answer(times=rng.randint(1, 4)))
garbage = spoilt(lambda node, rng: node.garbage_answer(times=rng.randint(1, 4)))
cut_chunked = spoilt(lambda node, rng: node.cut_chunked(times=rng.randint(1, 4)))
wrong_length = spoilt(lambda node, rng: node.wrong_content_length(rng.choice([-20, -3, 10]), times=1))
dropped = spoilt(lambda node, rng: rng.choice([node.drop_after_execute, node.drop_request])(times=rng.randint(1, 4)))
storm = spoilt(lambda node, rng: node.fail_with("InternalServerError", executed=rng.random() < 0.5))
shed = spoilt(lambda node, rng: node.fail_with("RequestLimitExceeded"))


def slow(chaos: Chaos) -> None:
    node = chaos.victim()
    with chaos.fault():
        fault = node.delay(0.3, after=chaos.random.random() < 0.5)
        chaos.pause(1.0)
        fault.cancel()


def lies(chaos: Chaos) -> None:
    """Nonsense, nothing, a part, nodes that do not exist; and nodes that leave and join again."""
    nodes = chaos.local.nodes
    everybody = [node.host for node in nodes]
    with chaos.fault():
        for node in nodes:
            node.lie(
                chaos.random.choice(
                    [
                        b"<html>",
                        b"[",
                        [],
                        [chaos.random.choice(everybody)],
                        [*everybody, "127.0.0.250", "0.0.0.0", None, "no such name"],
                        ["127.0.0.251"],
                    ]
                )
            )
        chaos.pause(1.5)
        for node in nodes:
            node.lie(None)
    leaving = chaos.victim()
    with chaos.fault():
        leaving.leave()
        chaos.pause(1.2)
        leaving.join()


def all_down(chaos: Chaos) -> None:
    with chaos.fault(takes_down=True, none_lives=True):
        for node in chaos.local.nodes:
            node.kill(still_listed=True)
        chaos.pause(1.0)
        for node in chaos.local.nodes:
            node.revive()


def no_dns(chaos: Chaos) -> None:
    """The seeds' names cannot be resolved any more, and the node that they meant dies."""
    _names_known.clear()
    seed = chaos.local.nodes[0]
    with chaos.fault(takes_down=True):
        seed.kill()
        chaos.pause(1.2)
        seed.revive()
        _names_known[NAMED_SEED] = seed.host


def mixed(chaos: Chaos) -> None:
    """Two nodes in different trouble at once; the third is well, and another one each time."""
    one, two = chaos.random.sample(chaos.local.nodes, 2)
    rng = chaos.random
    with chaos.fault(), ExitStack() as healing:
        for node in (one, two):
            kind = rng.randrange(6)
            if kind == 0:
                node.kill(still_listed=rng.random() < 0.5)
                healing.callback(node.revive)
            elif kind == 1:
                node.hang()
                healing.callback(node.resume)
            elif kind == 2:
                healing.callback(node.delay(rng.uniform(0.05, 0.4)).cancel)
            elif kind == 3:
                node.leave()
                healing.callback(node.join)
            elif kind == 4:
                healing.callback(node.fail_with("RequestLimitExceeded", times=20).cancel)
            else:
                node.close_idle_connections()
            spoil = rng.choice(
                [
                    node.reset_mid_answer,
                    node.truncate_answer,
                    node.garbage_answer,
                    node.cut_chunked,
                    node.drop_after_execute,
                    node.drop_request,
                ]
            )
            healing.callback(spoil(times=rng.randint(1, 3)).cancel)
        chaos.pause(1.5)


SCENARIOS: dict[str, Callable[[Chaos], None]] = {
    "kill": kill,
    "hang": hang,
    "freeze (SIGSTOP)": freeze,
    "reset mid-answer": reset,
    "slow answers": slow,
    "truncated answers": truncated,
    "garbage answers": garbage,
    "chunked, cut short": cut_chunked,
    "wrong Content-Length": wrong_length,
    "dropped requests": dropped,
    "storm of 500s": storm,
    "shed answers": shed,
    "topology lies, flaps": lies,
    "all nodes down": all_down,
    "DNS failure": no_dns,
    "mixed": mixed,
}

# ---- running them --------------------------------------------------------------------------------------------------

_names_known: dict[str, str] = {}


@contextmanager
def _names() -> Iterator[None]:
    """A name that is known as long as it is in `_names_known`."""
    real = socket.getaddrinfo

    def lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host == NAMED_SEED:
            if host not in _names_known:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            host = _names_known[host]
        return real(host, *args, **kwargs)

    socket.getaddrinfo = lookup  # type: ignore[assignment]
    try:
        yield
    finally:
        socket.getaddrinfo = real
        _names_known.clear()


def run(name: str, seconds: float, seed: int) -> Row:
    """Run one scenario for about so many seconds."""
    rng = random.Random(f"{seed} {name}")
    with ExitStack() as stack:
        local = stack.enter_context(LocalCluster(nodes=3, processes=SCENARIOS[name] is freeze))
        seeds = [local.nodes[0].host]
        if SCENARIOS[name] is no_dns:
            stack.enter_context(_names())
            _names_known[NAMED_SEED] = local.nodes[0].host
            seeds = [NAMED_SEED]
        config = ClusterConfig(seeds, port=local.port, name=f"chaos: {name}", timeouts=Timeouts(read=READ_TIMEOUT))
        cluster = stack.enter_context(Cluster(config))
        create_table(cluster.client)
        until(lambda: all_active(cluster, local), "all nodes active")
        return Chaos(name, local, cluster, rng).run(SCENARIOS[name], seconds)


def table(rows: list[Row]) -> str:
    """The account, as Markdown."""
    heads = [
        "scenario", "faults", "requests", "acknowledged writes", "lost", "applied twice", "errors", "outcome unknown",
        "slow per fault", "slow per thread", "longest", "found out", "recovered",
    ]  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "|---" + "|--:" * (len(heads) - 1) + "|"]
    for row in rows:
        errors = f"{row.errors}" + (f" (+{row.excused})" if row.excused else "")
        cells = [
            row.scenario, row.faults, row.requests, row.acknowledged, row.lost, row.twice, errors, row.unknown,
            f"{row.slow / max(1, row.faults):.1f}", row.slow_per_thread, f"{row.longest:.2f} s",
            "" if row.detect is None else f"{row.detect:.2f} s", "" if row.recover is None else f"{row.recover:.2f} s",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)
