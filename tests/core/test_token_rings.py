"""When token rings are read, without a cluster, a clock or waiting; and what is read, from a server's rows."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pynamodb_alternator.core.token_ring_reader import NoTokenRingError, TokenRingReader, UnusableTokenRingError
from pynamodb_alternator.core.token_rings import MOST_ROWS, TokenRings
from pynamodb_alternator.errors import NodeUnreachableError, SystemTableError
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.replicas import Replicas, TokenRange, TokenRing, make_ring
from pynamodb_alternator.topology.view import Topology

FIRST, LAST = -(2**63), 2**63 - 1


def ring_on(host: str = "10.0.0.1") -> TokenRing:
    ring = make_ring([TokenRange(None, None, (host, 8000))], 0.0)
    assert ring is not None
    return ring


def refusal(code: str) -> SystemTableError:
    answer: Any = {"Error": {"Code": code, "Message": "no"}}
    error = SystemTableError(f"cannot be read: {code}")
    error.__cause__ = ClientError(answer, "Query")
    return error


class World:
    """A schedule over a clock that the test sets. `answers`: the results or errors of the next readings."""

    def __init__(self, *, may_read: bool = True, seed: int = 7) -> None:
        self.now = 1000.0
        self.bytes = 2_000
        self.answers: list[TokenRing | Exception] = []
        self.read: list[tuple[str, int | None]] = []
        self.during: Callable[[], None] = lambda: None
        self.replicas = Replicas(1, lambda name, always: self.rings.want(name, always))
        self.woken = 0
        self.rings = TokenRings(
            self.replicas,
            self._read,
            bytes_read=lambda: self.bytes,
            may_read=lambda: may_read,
            wake=self._wake,
            clock=lambda: self.now,
            random=random.Random(seed),
        )

    def _wake(self) -> None:
        self.woken += 1

    def _read(self, name: str, most: int | None) -> TokenRing:
        self.read.append((name, most))
        self.during()
        answer = self.answers.pop(0) if self.answers else ring_on()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def step(self) -> list[str]:
        """What the monitor thread does now and then: the names of the rings that were read for it."""
        self.read.clear()
        self.rings.begin()
        for thread in threading.enumerate():
            if thread.name == "pynamodb_alternator-token-ring":
                thread.join(10)
        return [name for name, _ in self.read]

    def pass_time(self, seconds: float, every: float = 1.0) -> list[float]:
        """The seconds from now after which a ring was read."""
        began, times = self.now, []
        while self.now < began + seconds:
            self.now += every
            times.extend([self.now - began] * len(self.step()))
        return times


def test_a_ring_is_read_at_once_and_published() -> None:
    world = World()
    assert world.step() == []
    assert world.replicas.used("t", always=False)
    assert world.woken == 1
    assert world.step() == ["t"]
    assert world.read == [("t", MOST_ROWS)]
    assert world.replicas.ring("t") is not None
    assert world.step() == []


def test_one_that_is_wanted_in_any_case_may_be_large() -> None:
    world = World()
    world.replicas.used("t", always=True)
    world.step()
    assert world.read == [("t", None)]


def test_the_interval_grows_while_nothing_changes() -> None:
    world = World()
    world.replicas.used("t", always=False)
    world.step()
    times = world.pass_time(3600)
    gaps = [later - earlier for earlier, later in zip([0.0, *times], times, strict=False)]
    for gap, expected in zip(gaps, [60, 90, 135, 202.5, 303.75, 455.6, 600, 600], strict=False):
        assert 0.9 * expected <= gap <= 1.1 * expected + 1
    assert len(times) >= 7


def test_a_thread_that_still_ends_is_no_reason_not_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen on Python 3.13: a thread is alive for a while after its last instruction. A ring that became due then was
    not read until the next look."""
    monkeypatch.setattr(threading.Thread, "is_alive", lambda thread: True)
    world = World()
    world.replicas.used("t", always=False)
    assert world.step() == ["t"]
    world.now += 100
    assert world.step() == ["t"]


def test_a_change_restarts_the_interval() -> None:
    world = World()
    world.replicas.used("t", always=False)
    world.step()
    world.pass_time(1000)
    world.answers = [ring_on("10.0.0.2")]
    (changed, again, *_) = world.pass_time(900)
    assert again - changed < 70


def test_when_nodes_change_it_is_read_soon_but_not_by_all_at_once() -> None:
    moments = []
    for seed in range(5):
        world = World(seed=seed)
        world.replicas.used("t", always=False)
        world.step()
        world.now += 20
        world.rings.nodes_changed([Node("http", "10.0.0.1", 8000)])
        moments.append(world.pass_time(12, every=0.1)[0])
    assert max(moments) <= 10.2
    assert max(moments) - min(moments) > 2


def test_nodes_that_have_only_other_names_are_no_reason_to_read() -> None:
    world = World()
    nodes = [Node("https", f"10.0.0.{number}", 8000) for number in (1, 2)]
    world.rings.nodes_changed(nodes)
    world.replicas.used("t", always=False)
    world.step()
    world.now += 20
    world.rings.nodes_changed([replace(node, server_name="cluster.test") for node in reversed(nodes)])
    assert world.pass_time(12, every=0.1) == []
    world.rings.nodes_changed(nodes[:1])
    assert len(world.pass_time(12, every=0.1)) == 1


def test_readings_stay_within_the_budget() -> None:
    """Ten tables of 768 rows take 18 s of it each; in ten minutes they cost no more than 10 KB/s."""
    world = World()
    world.bytes = 768 * 234
    for number in range(10):
        world.replicas.used(f"t{number}", always=False)
    first = world.pass_time(600)
    assert world.replicas.ring("t9") is not None
    assert len(first) * 768 * 234 <= 610 * 10_000 + 768 * 234


def test_where_there_is_no_ring(caplog: pytest.LogCaptureFixture) -> None:
    lasting = [NoTokenRingError("it has none"), refusal("AccessDeniedException"), refusal("ResourceNotFoundException")]
    for error in lasting:
        world = World()
        world.replicas.publish("t", ring_on())
        world.rings.want("t", False)
        world.answers = [error]
        with caplog.at_level(logging.DEBUG, "pynamodb_alternator"):
            world.step()
        assert world.replicas.ring("t") is None
        assert world.rings.troubles == {"t": str(error)}
        assert str(error) in caplog.text
        again, *_ = world.pass_time(700)
        assert 540 <= again <= 661
        assert world.rings.trouble("t") is None


@pytest.mark.parametrize(
    "error", [NodeUnreachableError("gone"), UnusableTokenRingError("gaps"), refusal("InternalServerError")]
)
def test_what_may_pass_is_tried_again_and_the_known_ring_stays(error: Exception) -> None:
    world = World()
    world.rings.want("t", False)
    world.step()
    known = world.replicas.ring("t")
    world.now += 100
    world.answers = [error] * 4
    world.step()
    assert world.replicas.ring("t") is known
    times = world.pass_time(200)
    gaps = [later - earlier for earlier, later in zip([0.0, *times], times, strict=False)]
    assert [round(gap, -1) for gap in gaps[:4]] == [10, 20, 40, 80]
    assert world.rings.trouble("t") is None


def test_without_threads_only_what_is_wanted_in_any_case_is_read() -> None:
    world = World(may_read=False)
    world.replicas.used("t", always=False)
    assert not world.rings.is_due_inline(world.now)
    world.rings.run_inline(world.now)
    assert world.step() == []
    world.replicas.used("u", always=True)
    assert world.rings.is_due_inline(world.now)
    # The reading makes requests of its own, which come here as well.
    world.during = lambda: world.rings.run_inline(world.now)
    world.rings.run_inline(world.now)
    assert world.read == [("u", None)]
    assert world.replicas.ring("u") is not None


def test_an_interrupted_reading_is_repeated() -> None:
    world = World(may_read=False)
    world.replicas.used("u", always=True)

    def interrupt() -> None:
        raise KeyboardInterrupt

    world.during = interrupt
    with pytest.raises(KeyboardInterrupt):
        world.rings.run_inline(world.now)
    world.during = lambda: None
    world.now += 20
    world.rings.run_inline(world.now)
    assert world.replicas.ring("u") is not None


def test_after_a_fork_and_after_the_end() -> None:
    world = World()
    world.replicas.used("t", always=False)
    world.rings.after_fork()
    assert world.step() == ["t"]
    world.rings.close(1.0)
    world.rings.want("u", False)
    assert world.step() == []
    assert not world.rings.busy


def test_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.replicas.used("t", always=False)

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        world.rings.begin()
    assert world.step() == ["t"]


# ---- what is read ----------------------------------------------------------------------------------------------------

HOSTS = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
NODES = tuple(Node("http", host, 8000) for host in HOSTS)
TOPOLOGY = Topology(NODES, NODES, NODES)


def row(start: int | str, end: int | str, endpoint: str) -> dict[str, str]:
    return {"start_token": str(start), "end_token": str(end), "endpoint": endpoint}


WHOLE = [row(FIRST, 0, HOSTS[0]), row(0, LAST, HOSTS[1])]


class Server:
    """Answers queries of system tables from `tables`: the rows by table and values."""

    def __init__(self, tables: Mapping[tuple[str, ...], Any]) -> None:
        self.tables = dict(tables)
        self.asked: list[tuple[str, ...]] = []
        self.now = 0.0
        self.hosts = HOSTS
        self.translate: Callable[[str], str | None] | None = None

    def query(self, name: str, equals: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        key = (name.partition(".")[2], *equals.values())
        self.asked.append(key)
        rows = self.tables.get(key, ())
        if isinstance(rows, Exception):
            raise rows
        yield from rows

    def reader(self) -> TokenRingReader:
        return TokenRingReader(
            lambda: self.query,
            hosts=lambda: self.hosts,
            translate=self.translate,
            port=8000,
            clock=lambda: self.now,
        )

    def read(self, name: str = "t", most: int | None = None) -> TokenRing:
        return self.reader().read(name, most)


def hosts(ring: TokenRing, token: int) -> list[str]:
    return [node.host for node in ring.nodes(token, TOPOLOGY)]


def test_a_table_with_tablets() -> None:
    server = Server({("token_ring", "alternator_t", "t"): WHOLE})
    ring = server.read()
    assert (hosts(ring, -1), hosts(ring, 1)) == ([HOSTS[0]], [HOSTS[1]])
    assert server.asked == [("token_ring", "alternator_t", "t")]


@pytest.mark.parametrize("name", ["t:i", "t!:i"])
def test_an_index_has_its_own_ring(name: str) -> None:
    assert len(Server({("token_ring", "alternator_t", name): WHOLE}).read("t:i")) == 2


def test_vnodes_are_read_once_for_keyspaces_of_equal_replication() -> None:
    equal = [{"replication": {"class": "N", "dc1": "3"}}]
    server = Server(
        {
            ("token_ring", "alternator_t", "<ALL>"): WHOLE,
            ("token_ring", "alternator_u", "<ALL>"): WHOLE,
            ("token_ring", "alternator_v", "<ALL>"): WHOLE,
            ("keyspaces", "alternator_t"): equal,
            ("keyspaces", "alternator_u"): equal,
            ("keyspaces", "alternator_v"): [{"replication": {"class": "N", "dc1": "2"}}],
        }
    )
    reader = server.reader()
    first = reader.read("t", None)
    assert reader.read("u", None) is first
    assert reader.read("u:i", None) is first
    assert reader.read("v", None) is not first
    server.hosts = HOSTS[:2]
    second = reader.read("u", None)
    assert second is not first
    server.now += 31
    assert reader.read("u", None) is not second
    server.tables["keyspaces", "alternator_t"] = refusal("AccessDeniedException")
    assert reader.read("t", None) is not first


def test_a_server_that_knows_the_rings_of_keyspaces_only() -> None:
    refused = refusal("ValidationException")
    server = Server(
        {
            ("token_ring", "alternator_t", "t"): refused,
            ("token_ring", "alternator_t", "<ALL>"): refused,
            ("token_ring", "alternator_t"): WHOLE,
        }
    )
    assert len(server.read()) == 2


def test_addresses_inside_the_cluster() -> None:
    inside = {"a": HOSTS[0], "b": HOSTS[1]}
    server = Server(
        {
            ("token_ring", "alternator_t", "t"): [row(FIRST, 0, "a"), row(0, LAST, "b")],
            ("local", "local"): [{"broadcast_address": "a", "listen_address": "a", "rpc_address": inside["a"]}],
            ("peers",): [{"peer": "b", "rpc_address": inside["b"]}, {"peer": "c"}],
        }
    )
    reader = server.reader()
    ring = reader.read("t", None)
    assert (hosts(ring, -1), hosts(ring, 1)) == ([HOSTS[0]], [HOSTS[1]])
    server.asked.clear()
    reader.read("t", None)
    assert server.asked == [("token_ring", "alternator_t", "t")], "the addresses are known now"
    server.tables["token_ring", "alternator_t", "t"] = [row(FIRST, LAST, "d")]
    assert hosts(reader.read("t", None), 0) == []
    assert ("peers",) in server.asked


def test_a_mapping_that_is_out_of_date_is_read_again() -> None:
    server = Server(
        {
            ("token_ring", "alternator_t", "t"): [row(FIRST, 0, "a"), row(0, LAST, HOSTS[1])],
            ("local", "local"): [{"broadcast_address": "a", "rpc_address": HOSTS[0]}],
        }
    )
    reader = server.reader()
    assert hosts(reader.read("t", None), -1) == [HOSTS[0]]
    # The node has another address for clients now.
    server.hosts = HOSTS[1:]
    server.tables["local", "local"] = [{"broadcast_address": "a", "rpc_address": HOSTS[2]}]
    assert hosts(reader.read("t", None), -1) == [HOSTS[2]]


def test_without_the_mapping_what_is_known_is_used() -> None:
    """The others are not forgotten because of a node that has just died, or of one in another datacenter."""
    denied = refusal("AccessDeniedException")
    server = Server(
        {
            ("token_ring", "alternator_t", "t"): [row(FIRST, 0, HOSTS[0]), row(0, LAST, "elsewhere")],
            ("local", "local"): denied,
        }
    )
    reader = server.reader()
    ring = reader.read("t", None)
    assert (hosts(ring, -1), hosts(ring, 1)) == ([HOSTS[0]], [])
    server.asked.clear()
    reader.read("t", None)
    assert ("local", "local") not in server.asked, "nothing has changed since it was denied"
    server.tables["token_ring", "alternator_t", "t"] = [row(FIRST, LAST, "elsewhere")]
    server.hosts = HOSTS[:1]
    with pytest.raises(SystemTableError):
        reader.read("t", None)


def test_old_servers_share_the_ring_of_equal_replication() -> None:
    refused = refusal("ValidationException")
    tables: dict[tuple[str, ...], Any] = {}
    for table in "tuv":
        tables["token_ring", f"alternator_{table}", table] = refused
        tables["token_ring", f"alternator_{table}"] = WHOLE
        tables["keyspaces", f"alternator_{table}"] = [{"replication": {"class": "N", "dc1": "3"}}]
    server = Server(tables)
    reader = server.reader()
    first = reader.read("t", None)
    assert [reader.read(name, None) for name in ("u", "v", "u:i")] == [first] * 3
    assert len([asked for asked in server.asked if asked[0] == "token_ring"]) == 2
    # It becomes a server that knows tables.
    server.now += 31
    server.tables["token_ring", "alternator_t"] = [{**part, "table_name": "t"} for part in WHOLE]
    server.tables["token_ring", "alternator_t", "t"] = WHOLE
    with pytest.raises(UnusableTokenRingError):
        reader.read("t", None)
    assert len(reader.read("t", None)) == 2


def test_all_that_is_read_counts() -> None:
    server = Server({("token_ring", "alternator_t", "t"): WHOLE})
    reader = server.reader()
    reader.read("t", None)
    assert reader.bytes_read == 300 + 2 * 234
    with pytest.raises(NoTokenRingError):
        reader.read("none", None)
    assert reader.bytes_read == 3 * 300
    server.tables["token_ring", "alternator_t", "t"] = [row(FIRST, LAST, "a")]
    server.tables["peers",] = [{"peer": "a", "rpc_address": HOSTS[0], "tokens": "x" * 5000}]
    reader.read("t", None)
    assert reader.bytes_read > 6000


def test_addresses_of_the_ring_are_translated() -> None:
    server = Server({("token_ring", "alternator_t", "t"): [row(FIRST, LAST, "192.0.2.7")]})
    server.translate = lambda listed: {"192.0.2.7": "10.0.0.3:9042"}.get(listed)
    ring = server.read()
    assert [end for end, _ in ring.ranges()] == [LAST]
    assert next(ring.ranges())[1] == {("10.0.0.3", 9042)}
    assert server.asked == [("token_ring", "alternator_t", "t")]


@pytest.mark.parametrize(
    "rows",
    [
        WHOLE[:1],
        [row(FIRST, "x", HOSTS[0])],
        [{"start_token": "0", "endpoint": HOSTS[0]}],
        [{**WHOLE[0], "start_token": 5}],
    ],
)
def test_rows_that_are_no_ring(rows: list[Any]) -> None:
    with pytest.raises(UnusableTokenRingError):
        Server({("token_ring", "alternator_t", "t"): rows}).read()


def test_a_ring_without_rows_is_an_error() -> None:
    with pytest.raises(NoTokenRingError):
        Server({}).read()


def test_a_ring_with_too_many_rows_is_an_error() -> None:
    server = Server({("token_ring", "alternator_t", "t"): WHOLE})
    with pytest.raises(NoTokenRingError, match="more than 1 rows"):
        server.read(most=1)
    assert len(server.read(most=2)) == 2
