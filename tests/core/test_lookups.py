"""Questions about tables in the background, without a cluster, a clock or waiting."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pynamodb_alternator import Cluster, ClusterConfig, Timeouts
from pynamodb_alternator.core.lookups import Lookups
from pynamodb_alternator.errors import ClusterClosedError, NodeUnreachableError, TransportError
from pynamodb_alternator.routing.tables import PARTITION_KEY, WRITE_ISOLATION, Tables
from pynamodb_alternator.settings.options import current


def refusal(code: str, status: int = 400) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "DescribeTable")


PASSING = [
    refusal("InternalServerError", 500),
    refusal("RequestLimitExceeded"),
    refusal("ThrottlingException"),
    refusal("429", 429),
    refusal("404", 404),  # of somebody who is not Alternator
    refusal("503", 503),
    refusal("UnrecognizedClientException"),
    NodeUnreachableError("no route"),
    KeyError("Table"),  # an answer that makes no sense
]
PERMANENT = [
    refusal("ResourceNotFoundException"),
    refusal("AccessDeniedException"),
    refusal("ValidationException"),
    refusal("403", 403),
]


def lookup_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "pynamodb_alternator-lookup"]


class World:
    """A client with prepared answers, a clock that does not move, and pauses that take no time."""

    def __init__(self, *, may_ask: bool = True) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []
        self.closed_in_pause = False
        self.calls: list[tuple[str, str]] = []
        self.failures: list[Exception] = []
        self.tags: list[dict[str, str]] = []
        self.option: list[dict[str, Any]] = []
        self.gate: threading.Event | None = None
        self.key = "id"
        self.tables = Tables(ClusterConfig("127.0.0.1"))
        self.lookups = self.new_lookups(may_ask=may_ask)
        self.tables.on_unknown = self.lookups.ask

    def new_lookups(self, **settings: Any) -> Lookups:
        return Lookups(
            self.tables,
            lambda: self,
            **{"may_ask": True, "wake": self._begin, **settings},
            clock=lambda: self.now,
            random=random.Random(7),
            pause=self.pause,
        )

    def _begin(self) -> None:
        """What the monitor thread does when it is woken."""
        self.lookups.begin()

    def pause(self, closed: threading.Event, seconds: float) -> bool:
        self.pauses.append(seconds)
        return self.closed_in_pause

    def _called(self, operation: str, about: str) -> None:
        if self.gate is not None:
            assert self.gate.wait(10)
        self.calls.append((operation, about))
        if self.failures:
            raise self.failures.pop(0)

    def describe_table(self, *, TableName: str) -> dict[str, Any]:
        self._called("DescribeTable", TableName)
        schema = [{"AttributeName": "at", "KeyType": "RANGE"}, {"AttributeName": self.key, "KeyType": "HASH"}]
        return {"Table": {"KeySchema": schema}}

    def list_tags_of_resource(self, *, ResourceArn: str) -> dict[str, Any]:
        self._called("ListTagsOfResource", ResourceArn)
        return {"Tags": self.tags}

    def query(self, *, TableName: str, **_: Any) -> dict[str, Any]:
        self._called("Query", TableName)
        return {"Items": self.option}

    def ask(self, table: str = "t", what: str = PARTITION_KEY) -> list[str]:
        """A write needs something that is not known: the operations that follow."""
        self.calls.clear()
        self.tables.report_unknown(table, what)
        self.settle()
        return [operation for operation, _ in self.calls]

    def settle(self) -> None:
        for thread in lookup_threads():
            thread.join(10)
        assert not self.lookups.busy


def test_a_partition_key_is_asked_for_once() -> None:
    world = World()
    assert world.ask() == ["DescribeTable"]
    assert world.tables.get("t").partition_key == "id"
    assert world.ask() == []
    assert world.ask("u") == ["DescribeTable"]
    assert world.pauses == []


def test_a_partition_key_that_requests_do_not_have_is_asked_for_again() -> None:
    world = World()
    assert world.ask() == ["DescribeTable"]
    world.key = "other"
    rests = []
    for _ in range(7):
        began = world.now
        while not world.ask():
            assert world.pauses == []
            world.now += 0.5
        rests.append(world.now - began)
        assert world.tables.get("t").partition_key == "other"
    assert rests == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_the_thread_ends_and_requests_do_not_wait() -> None:
    world = World()
    world.gate = threading.Event()
    for _ in range(5):
        for table in ("t", "u", "v"):
            world.tables.report_unknown(table, PARTITION_KEY)
    (thread,) = lookup_threads()
    assert thread.daemon
    assert world.lookups.busy
    assert world.calls == []
    world.gate.set()
    thread.join(10)
    # One thread has asked each question once, in the order in which they came up.
    assert world.calls == [("DescribeTable", "t"), ("DescribeTable", "u"), ("DescribeTable", "v")]
    assert not world.lookups.busy


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_a_passing_failure_is_tried_three_times_more(error: Exception) -> None:
    world = World()
    world.failures = [error] * 3
    assert world.ask() == ["DescribeTable"] * 4
    assert world.tables.get("t").partition_key == "id"
    for pause, base in zip(world.pauses, (0.1, 0.2, 0.4), strict=True):
        assert 0.8 * base <= pause <= 1.2 * base
    assert world.pauses != [0.1, 0.2, 0.4]


def test_pauses_never_exceed_two_seconds_and_a_fifth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pynamodb_alternator.core.lookups._TRIES", 9)
    world = World()
    world.failures = [PASSING[0]] * 8
    world.ask()
    for pause, base in zip(world.pauses, (0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0), strict=True):
        assert 0.8 * base <= pause <= 1.2 * base


def test_failures_that_do_not_pass_rest_for_longer_each_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pynamodb_alternator")
    world = World()
    for seconds in (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        world.failures = [PASSING[0]] * 4
        caplog.clear()
        assert world.ask() == ["DescribeTable"] * 4
        assert world.tables.get("t").partition_key is None
        assert [f"cannot be learnt ({PASSING[0]})" in line for line in caplog.messages] == [True]
        assert caplog.messages[0].endswith(f"again in {seconds:g} s.")
        world.now += seconds - 0.1
        assert world.ask() == []
        world.now += 0.2
    assert world.ask() == ["DescribeTable"]
    assert world.tables.get("t").partition_key == "id"


def test_each_question_is_asked_inside_the_block_for_it() -> None:
    world = World()
    inside: list[bool] = []

    @contextlib.contextmanager
    def asking() -> Iterator[None]:
        inside.append(True)
        yield
        inside.append(False)

    world.lookups = world.new_lookups(asking=asking)
    world.tables.on_unknown = world.lookups.ask
    world.failures = [PASSING[0]]
    with pytest.MonkeyPatch.context() as patch:
        called = world._called

        def see(operation: str, about: str) -> None:
            assert inside[-1:] == [True]
            called(operation, about)

        patch.setattr(world, "_called", see)
        assert world.ask() == ["DescribeTable"] * 2
    assert inside == [True, True, False]  # the first ended in an error


@pytest.mark.parametrize("error", PERMANENT, ids=repr)
def test_a_permanent_failure_rests_for_five_minutes(error: Exception) -> None:
    world = World()
    world.failures = [PASSING[0], error]
    assert world.ask() == ["DescribeTable"] * 2
    assert len(world.pauses) == 1
    world.now += 299.9
    assert world.ask() == []
    assert world.ask("u") == ["DescribeTable"]  # other questions do not rest
    world.now += 0.2
    assert world.ask() == ["DescribeTable"]
    assert world.tables.get("t").partition_key == "id"


@pytest.mark.parametrize(
    ("tags", "option", "asked", "learnt"),
    [
        ([("other", "x"), ("system:write_isolation", "a")], '"unsafe"', ["ListTagsOfResource"], "always"),
        ([("system:write_isolation", "only_rmw_uses_lwt")], "", ["ListTagsOfResource"], "only_rmw_uses_lwt"),
        ([], '"always_use_lwt"', ["ListTagsOfResource", "Query"], "always"),
        ([("other", "x")], "forbid", ["ListTagsOfResource", "Query"], "forbid_rmw"),  # not quoted
        ([], "null", ["ListTagsOfResource", "Query"], None),
        ([], "something new", ["ListTagsOfResource", "Query"], None),
        ([], None, ["ListTagsOfResource", "Query"], None),
    ],
)
def test_write_isolation_is_that_of_the_tag_and_else_of_the_node(
    tags: list[tuple[str, str]], option: str | None, asked: list[str], learnt: str | None
) -> None:
    world = World()
    world.tags = [{"Key": key, "Value": value} for key, value in tags]
    world.option = [] if option is None else [{"name": {"S": "alternator_write_isolation"}, "value": {"S": option}}]
    assert world.ask(what=WRITE_ISOLATION) == asked
    assert world.calls[0][1] == "arn:scylla:alternator:alternator_t:scylla:table/t"
    assert world.tables.get("t").write_isolation == learnt
    assert world.ask(what=WRITE_ISOLATION) == []  # even if the answer was of no use


def test_where_the_option_may_not_be_read() -> None:
    world = World()
    world.tags = []
    world.query = lambda **_: (_ for _ in ()).throw(refusal("AccessDeniedException"))  # type: ignore[method-assign]
    assert world.ask(what=WRITE_ISOLATION) == ["ListTagsOfResource"]
    assert world.tables.get("t").write_isolation is None
    world.now += 299.0
    assert world.ask(what=WRITE_ISOLATION) == []


def test_the_cluster_asks_with_requests_whose_failures_count_for_no_node() -> None:
    with Cluster(ClusterConfig(["127.0.0.1:1"], timeouts=Timeouts(total=1.0))) as cluster:
        asked = threading.Event()
        seen: list[bool] = []

        def look(**_: Any) -> None:
            seen.append(current(cluster.core.key).is_lookup)
            asked.set()

        cluster.client.meta.events.register("before-parameter-build.dynamodb.DescribeTable", look)
        cluster.core.use(time.monotonic())  # as each request does before it finds that something is not known
        cluster.core.tables.report_unknown("t", PARTITION_KEY)
        assert asked.wait(10)
        with pytest.raises(TransportError):
            cluster.client.describe_table(TableName="t")
        # Whatever the look-up has done meanwhile: it asks as a look-up, and we do not.
        assert set(seen) == {True, False}


def test_the_thread_that_puts_a_question_starts_none() -> None:
    world = World()
    woken: list[bool] = []
    world.lookups = world.new_lookups(wake=lambda: woken.append(True))
    world.lookups.ask("t", PARTITION_KEY)
    world.lookups.ask("t", PARTITION_KEY)
    assert (woken, lookup_threads(), world.lookups.busy) == ([True], [], True)
    world.lookups.begin()
    world.settle()
    assert world.calls == [("DescribeTable", "t")]


def test_without_a_background_thread_no_table_is_looked_up() -> None:
    assert World(may_ask=False).ask() == []


def test_after_the_end_no_table_is_looked_up(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pynamodb_alternator")
    world = World()
    world.gate = threading.Event()
    world.failures = [ClusterClosedError("closed")]
    world.tables.report_unknown("t", PARTITION_KEY)
    world.tables.report_unknown("u", PARTITION_KEY)
    (thread,) = lookup_threads()
    world.lookups.close(0.0)
    world.gate.set()
    thread.join(10)
    assert world.calls == [("DescribeTable", "t")]
    assert (world.pauses, caplog.messages) == ([], [])
    assert world.ask() == []
    world.lookups.close(1.0)


def test_the_end_cuts_a_pause_short() -> None:
    world = World()
    world.failures = [PASSING[0]] * 4
    world.closed_in_pause = True
    assert world.ask() == ["DescribeTable"]
    assert len(world.pauses) == 1


def test_a_forked_child_repeats_running_lookups() -> None:
    world = World()
    world.gate = threading.Event()
    world.tables.report_unknown("t", PARTITION_KEY)
    (parents,) = lookup_threads()
    # Another thread of the parent is in the middle of a question, and holds what it needs for that.
    amid, go_on, moment = threading.Event(), threading.Event(), world.now

    def wait(self: World) -> float:
        if threading.current_thread() is other:
            amid.set()
            assert go_on.wait(10)
        return moment

    with pytest.MonkeyPatch.context() as patch:
        other = threading.Thread(target=world.lookups.ask, args=("u", PARTITION_KEY))
        patch.setattr(World, "now", property(wait, lambda self, value: None), raising=False)
        other.start()
        assert amid.wait(10)
        world.lookups.after_fork()
        world.tables.report_unknown("t", PARTITION_KEY)
        (childs,) = [thread for thread in lookup_threads() if thread is not parents]
        go_on.set()
        world.gate.set()
        for thread in (parents, childs, other):
            thread.join(10)
            assert not thread.is_alive()
    assert world.tables.get("t").partition_key == "id"


def test_a_lookup_waits_until_a_thread_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of the interpreter, or where the system has no more: the write goes on, and a later one asks."""

    def fail(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    world = World()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        assert world.ask() == []
    assert world.ask() == ["DescribeTable"]


def test_a_defect_is_logged_and_rests(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()

    def broken(question: tuple[str, str]) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(world.lookups, "_answer", broken)
    assert world.ask() == []
    assert ["partition_key" in line for line in caplog.messages] == [True]
    monkeypatch.undo()
    assert world.ask() == []
    world.now += 301
    assert world.ask() == ["DescribeTable"]
