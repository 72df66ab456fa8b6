"""Forks, green threads, frozen processes, and the end: everything that is done to a process behind our back.

What forks or ends runs in an interpreter of its own, in which warnings are errors.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pynamodb_alternator import Cluster, ClusterConfig, Discovery
from pynamodb_alternator.local import LocalCluster
from tests.chaos.support import all_active, create_table, get, increment, our_threads, put, states, until

from .conftest import Recorder

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

ROOT = Path(__file__).parents[2]
LIMIT = 60.0
"""Seconds after which a script counts as hung."""

# Python 3.12 and newer warn of each fork of a process with threads, which is what is tested here.
FLAGS = ["-X", "dev", "-W", "error", "-W", "ignore:.*fork:DeprecationWarning"]


def run(code: str, *arguments: str, **environment: str) -> str:
    """Run a script in a fresh interpreter. Its output; it must end by itself, well, and without a word on stderr."""
    done = subprocess.run(
        [sys.executable, *FLAGS, "-c", textwrap.dedent(code), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONFAULTHANDLER": "1", **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def prepared(local: LocalCluster, cluster: Cluster) -> Cluster:
    create_table(cluster.client)
    until(lambda: all_active(cluster, local))
    return cluster


# ---- fork --------------------------------------------------------------------------------------------------------

FORK = """
    import os, signal, socket, sys, threading, time, traceback, warnings
    from pynamodb_alternator import Cluster
    from pynamodb_alternator.core import processes
    from pynamodb_alternator.transport.http1 import Connection
    from tests.chaos.support import get, increment, put, our_threads

    url, way, forks = sys.argv[1], sys.argv[2], int(sys.argv[3])
    cluster = Cluster(url)
    for number in range(9):
        put(cluster.client, "k")
    if way == "pid":
        processes._cores.clear()  # the hook finds no cluster, as if it had not run

    def connections():
        found = cluster.core.control.connections() + cluster.core.pools.connections()
        return found

    def inodes(connections):
        found = set()
        for one in connections:
            sock = one._sock
            if sock is not None and sock.fileno() >= 0:
                found.add(os.fstat(sock.fileno()).st_ino)
        return found

    def child(number):
        signal.alarm(20)  # a lock that stays locked shows as a signal
        inherited = connections()
        before = inodes(inherited) if way == "pid" else set()
        for _ in range(5):
            increment(cluster.client, f"c{number}")
            assert get(cluster.client, "k") == 0
        assert not before & inodes(connections()), "an inherited socket is in use"
        assert all(one._sock is None for one in inherited), "an inherited socket is kept"
        while not cluster.core.monitor.running:
            time.sleep(0.01)  # nobody waits for its start; the alarm ends this
        assert len(cluster.nodes()) == 3
        assert cluster.refresh()
        cluster.close()
        assert our_threads() == [], our_threads()

    stop = threading.Event()
    failures, done = [], [0] * 4

    def traffic(number):
        while not stop.is_set():
            try:
                increment(cluster.client, f"p{number}")
                done[number] += 1
            except Exception:
                failures.append(traceback.format_exc())
                return

    threads = [threading.Thread(target=traffic, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    children = []
    for number in range(forks):
        pid = os.fork()
        if pid == 0:
            try:
                child(number)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        children.append(pid)
        if len(children) >= 3:
            failures += [status for status in [os.waitpid(children.pop(0), 0)[1]] if status]
    failures += [status for pid in children for status in [os.waitpid(pid, 0)[1]] if status]
    before = list(done)
    while not failures and any(now <= then for now, then in zip(done, before)):
        pass  # the parent's own requests go on
    stop.set()
    for thread in threads:
        thread.join(20)
    assert not failures, failures
    assert [get(cluster.client, f"c{number}") for number in range(forks)] == [5] * forks
    assert [get(cluster.client, f"p{number}") for number in range(4)] == done
    cluster.close()
    assert our_threads() == []
    print("well")
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["hook", "pid"])
def test_a_process_forks_during_requests(local: LocalCluster, prepared: Cluster, way: str) -> None:
    assert run(FORK, local.url, way, "25") == "well\n"
    assert local.failures == []


MULTIPROCESSING = """
    import os, sys
    from pynamodb_alternator import Cluster
    from tests.chaos.support import get, increment, put

    cluster = Cluster(sys.argv[1])
    put(cluster.client, "k")
    if sys.argv[2] == "billiard":  # what Celery's prefork pool is made of
        import billiard as processes
    else:
        import multiprocessing
        processes = multiprocessing.get_context("fork")

    def work(number):
        increment(cluster.client, "m")
        return os.getpid()

    if __name__ == "__main__":
        pool = processes.Pool(3)
        pids = set(pool.map(work, range(60), 1))
        pool.close()
        pool.join()
        assert os.getpid() not in pids
        assert get(cluster.client, "m") == 60
        cluster.close()
        print("well")
"""


@pytest.mark.parametrize("library", ["multiprocessing", "billiard"])
def test_workers_of_a_process_pool_make_requests(local: LocalCluster, prepared: Cluster, library: str) -> None:
    pytest.importorskip(library)
    assert run(MULTIPROCESSING, local.url, library) == "well\n"


APPLICATION = """
    import os, sys
    from pynamodb_alternator import Cluster
    from tests.chaos.support import increment, put

    cluster = Cluster(os.environ["CLUSTER"])
    if "early.py" not in sys.argv:  # gevent takes the greenlets of a parent into its children, ended or not
        put(cluster.client, f"loaded-{os.getpid()}")  # so that a preloading parent has connections and a monitor

    def app(environ, start_response):
        increment(cluster.client, "g")
        body = str(os.getpid()).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
"""


@pytest.mark.slow
@pytest.mark.parametrize("preload", [True, False])
@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_a_gunicorn_worker_makes_requests(
    local: LocalCluster, prepared: Cluster, tmp_path: Path, worker: str, preload: bool
) -> None:
    pytest.importorskip("gunicorn")
    (tmp_path / "served.py").write_text(textwrap.dedent(APPLICATION))
    path = tmp_path / "socket"
    command = [sys.executable, "-m", "gunicorn", "-w", "2", "-k", worker, "--threads", "3", "-b", f"unix:{path}"]
    command += ["--graceful-timeout", "5", "--no-control-socket", "served:app", *(["--preload"] if preload else [])]
    if worker == "gevent":
        pytest.importorskip("gevent")
        if preload:  # the worker patches only after the application was imported: docs/howto/migrate.md
            (tmp_path / "early.py").write_text("from gevent import monkey\n\nmonkey.patch_all()\n")
            command += ["-c", "early.py"]
    with (tmp_path / "log").open("w+") as log:
        server = subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, "CLUSTER": local.url, "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
        )
        try:
            until(lambda: path.exists() and _ask(path), "gunicorn serves")
            pids: set[str] = set()
            asked = 0

            def ask() -> bool:
                nonlocal asked
                with ThreadPoolExecutor(4) as threads:
                    pids.update(threads.map(lambda _: _ask(path), range(20)))
                asked += 20
                return len(pids - {""}) == 2

            until(ask, "both workers have answered")
        finally:
            server.send_signal(signal.SIGTERM)
            code = server.wait(30)
        log.seek(0)
        said = log.read()
    assert "Traceback" not in said, said
    assert "MonkeyPatchWarning" not in said, said
    assert "" not in pids
    assert code == 0, said
    assert str(server.pid) not in pids
    assert get(prepared.client, "g") == asked + 1


def _ask(path: Path) -> str:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.settimeout(20)
        try:
            sock.connect(str(path))
        except OSError:
            return ""
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while data := sock.recv(4096):
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    return body.decode() if b" 200 " in head.partition(b"\r\n")[0] else ""


def test_two_threads_of_a_child_take_it_over_once(prepared: Cluster, recorder: Recorder) -> None:
    """Without the hook, it is the first requests that find out, and there may be several at once."""
    prepared.core._pid = -1
    prepared.core.pools._lock.acquire()  # as if a thread of the parent had held it
    prepared.core._lock.acquire()
    with ThreadPoolExecutor(8) as threads:
        for future in [threads.submit(put, prepared.client, f"k{number}") for number in range(40)]:
            future.result(30)
    assert [(event["old_pid"], event["new_pid"]) for event in recorder.of("client_forked")] == [(-1, os.getpid())]


def test_a_forked_child_has_a_subset_of_its_own(local: LocalCluster) -> None:
    code = """
        import os, sys
        from pynamodb_alternator import Cluster
        from tests.chaos.support import until

        def subset(cluster):
            cluster.client.list_tables()
            return [node.address for node in cluster.nodes() if node.in_subset]

        def used(cluster):
            # Others stand in for nodes that are new to the process, until requests have had these probed.
            until(lambda: len(subset(cluster)) == 3)
            return ",".join(subset(cluster))

        cluster = Cluster(sys.argv[1])
        subsets = [used(cluster)]
        for _ in range(6):
            reading, writing = os.pipe()
            if os.fork() == 0:
                os.write(writing, used(cluster).encode())
                os._exit(0)
            os.wait()
            subsets.append(os.read(reading, 1000).decode())
        assert len(set(subsets)) > 3, subsets
        assert used(cluster) == subsets[0]
        cluster.close()
    """
    for _ in range(7):
        local.add_node()
    run(code, f"{local.url}/?subset=3&process_number=7")


def test_siblings_choose_at_random_each_for_itself(local: LocalCluster) -> None:
    """Those that go on with the numbers of their parent probe, retry and turn to nodes at the same moments."""
    code = """
        import os, sys
        from pynamodb_alternator import Cluster

        cluster = Cluster(sys.argv[1])
        cluster.client.list_tables()

        def chosen(random):
            return " ".join(str(random.getrandbits(30)) for _ in range(3))

        children = []
        for _ in range(4):
            reading, writing = os.pipe()
            if os.fork() == 0:
                cluster.client.list_tables()
                core = cluster.core
                turn = next(core.router._turns)
                parts = (core.environment, core.membership._newcomers, core.monitor, core.pools.renewal.uniform)
                randoms = [getattr(part, "random", getattr(part, "_random", None)) for part in parts[:3]]
                randoms.append(parts[3].__self__)
                os.write(writing, ", ".join([*map(chosen, randoms), str(turn)]).encode())
                os._exit(0)
            os.wait()
            children.append(os.read(reading, 1000).decode().split(", "))
        for choices in zip(*children):
            assert len(set(choices)) > 1, children
        cluster.close()
    """
    run(code, local.url)


def test_closing_in_a_child_leaves_the_parents_connections_alone(local: LocalCluster, prepared: Cluster) -> None:
    """All requests go to one node, and none but these: the parent needs one connection, if it keeps that."""
    code = """
        import os, sys
        from pynamodb_alternator import Cluster, ClusterConfig
        from pynamodb_alternator.core import processes
        from tests.chaos.support import increment, get, until

        # Without affinity nothing is asked about the table in the background, over connections of its own.
        cluster = Cluster(ClusterConfig.from_url(sys.argv[1]).replace(key_route_affinity="none"))
        assert cluster.refresh()
        # Not `cluster.nodes()`, which asks a node in which racks they are.
        until(lambda: all(node.state.value == "active" for node in cluster.core.membership.nodes()))

        def opened():
            return {node: stats.opened for node, stats in cluster.core.pool_stats().items() if stats.opened}

        with cluster.options(consistent_node="x"):
            increment(cluster.client, "x")
            assert list(opened().values()) == [1], opened()
            before = opened()
            processes._cores.clear()
            for _ in range(3):
                pid = os.fork()
                if pid == 0:
                    cluster.close()
                    os._exit(0)
                assert os.waitpid(pid, 0)[1] == 0
                increment(cluster.client, "x")
            assert opened() == before, opened()
            assert get(cluster.client, "x") == 4
        cluster.close()
    """
    run(code, local.url)


# ---- green threads -----------------------------------------------------------------------------------------------

GREEN = """
    from gevent import monkey
    monkey.patch_all()
    import gevent, sys, threading, time
    from pynamodb_alternator import Cluster
    from tests.chaos.support import get, increment, put

    cluster = Cluster(sys.argv[1])
    put(cluster.client, "k")
    ticks = []

    def tick():
        while True:
            ticks.append(1)
            gevent.sleep(0.01)

    ticker = gevent.spawn(tick)
    jobs = [gevent.spawn(increment, cluster.client, "e") for _ in range(100)]
    jobs += [gevent.spawn(get, cluster.client, "k") for _ in range(100)]
    gevent.joinall(jobs, timeout=40, raise_error=True)
    assert all(job.successful() for job in jobs)
    assert get(cluster.client, "e") == 100
    assert len(ticks) > 10, "other greenlets did not run"
    try:
        with gevent.Timeout(0.05):
            while True:
                get(cluster.client, "k")
    except gevent.Timeout:
        pass
    assert get(cluster.client, "k") == 0
    ticker.kill()
    cluster.close()
    print(cluster.core.pools.stats())
"""


def test_a_gevent_program_makes_requests(local: LocalCluster, prepared: Cluster) -> None:
    pytest.importorskip("gevent")
    for node in local.nodes:
        node.delay(0.1)
    run(GREEN, local.url, GEVENT_SUPPORT="False")


# ---- where the process may be frozen -----------------------------------------------------------------------------


@pytest.fixture
def function(local: LocalCluster, prepared: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster as in an AWS Lambda function: the process may stand still between two requests."""
    prepared.close()
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "orders")
    with Cluster(ClusterConfig([local.nodes[0].host], port=local.port, discovery=Discovery(interval=0.05))) as cluster:
        yield cluster


def test_no_thread_where_the_process_can_be_frozen(local: LocalCluster, function: Cluster) -> None:
    threads = threading.active_count()
    for number in range(20):
        put(function.client, f"k{number}")
        increment(function.client, "c")
        assert threading.active_count() == threads
    assert all_active(function, local)
    assert all(node.operations["PutItem"] for node in local.nodes)


def test_the_list_is_read_by_a_request_when_it_is_stale(local: LocalCluster, function: Cluster) -> None:
    put(function.client, "k")
    local.nodes[2].leave()
    until(lambda: get(function.client, "k") == 0 and len(function.topology.ring) == 2)
    polls = sum(node.polls["/localnodes"] for node in local.nodes)
    with Cluster(function.config.replace(discovery=Discovery(interval=1000.0))) as rarely:
        for _ in range(50):
            get(rarely.client, "k")
    assert sum(node.polls["/localnodes"] for node in local.nodes) <= polls + 2
    local.nodes[2].join()
    until(lambda: get(function.client, "k") == 0 and all_active(function, local))


def test_a_connection_that_broke_while_frozen_does_not_count_against_its_node(
    local: LocalCluster, function: Cluster, recorder: Recorder
) -> None:
    for number in range(9):
        put(function.client, f"k{number}")
    for _ in range(10):
        faults = [node.drop_request(operation="GetItem") for node in local.nodes[:2]]
        for number in range(9):
            assert get(function.client, f"k{number}") == 0
        assert all(fault.hits for fault in faults)
    assert recorder.of("node_down") == []
    assert {node.state.value for node in function.nodes()} == {"active"}
    assert {node.failures for node in function.nodes()} == {0}


def test_a_dead_node_is_found_and_comes_back_without_a_thread(local: LocalCluster, function: Cluster) -> None:
    put(function.client, "k")
    until(lambda: all_active(function, local))
    local.nodes[1].kill(still_listed=True)
    until(lambda: get(function.client, "k") == 0 and states(function)[local.nodes[1].address] == "down")
    local.nodes[1].revive()
    until(lambda: get(function.client, "k") == 0 and all_active(function, local))


# ---- the end -----------------------------------------------------------------------------------------------------

END = """
    import gc, logging, sys, threading, time, weakref
    from pynamodb_alternator import Cluster
    from tests.chaos.support import increment, our_threads, put, until

    cluster = Cluster(sys.argv[1])
    put(cluster.client, "k")
    way = sys.argv[2]
    if way == "close":
        cluster.close()
        assert our_threads() == []
        cluster.close()
    elif way == "forget":
        gone = weakref.ref(cluster)
        del cluster
        until(lambda: gc.collect() >= 0 and gone() is None)
        until(lambda: our_threads() == [])
        gc.collect()
    elif way == "forget and end":
        del cluster
        gc.collect()
    elif way == "end amid requests":
        under_way = threading.Barrier(5)
        def traffic():
            put(cluster.client, "k")
            under_way.wait(20)
            try:
                while True:
                    put(cluster.client, "k")
            except Exception:
                pass  # the cluster was closed
        for _ in range(4):
            threading.Thread(target=traffic, daemon=True).start()
        under_way.wait(20)
    elif way == "unused":
        cluster = Cluster(sys.argv[1])
    elif way == "unreachable":
        logging.disable()
        try:
            increment(Cluster("http://127.0.0.1:1").client, "k")
        except Exception:
            pass
    elif way == "sys.exit":
        sys.exit(0)
    gc.collect()
"""


@pytest.mark.parametrize(
    "way", ["end", "close", "forget", "forget and end", "end amid requests", "unused", "unreachable", "sys.exit"]
)
def test_the_end_of_the_interpreter(local: LocalCluster, prepared: Cluster, way: str) -> None:
    started = time.monotonic()
    run(END, local.url, way)
    assert time.monotonic() - started < 30


EXIT = """
    import atexit, sys

    def flush(when):
        for number in range(5):
            put(cluster.client, f"{when}-{number}")
        assert len(cluster.nodes()) == 3
        if len(sys.argv) > 3:
            asyncio.run(flush_async(when))
        sys.stdout.write(f"{when} ")

    async def flush_async(when):
        # A loaded machine is slow, and asyncio's debug mode would say so on stderr.
        asyncio.get_running_loop().slow_callback_duration = 60.0
        async with AsyncCluster(cluster if sys.argv[3] == "shared" else sys.argv[1]) as own:
            client = await own.client()
            for number in range(5):
                await client.put_item(
                    TableName=TABLE, Item={"id": {"S": f"{when}-async-{number}"}, "value": {"N": "0"}}
                )

    atexit.register(flush, "last")  # before the import of ours, so that it runs after our own
    from pynamodb_alternator import Cluster
    from tests.chaos.support import TABLE, put
    if len(sys.argv) > 3:
        import asyncio
        from pynamodb_alternator.aio import AsyncCluster
    atexit.register(flush, "first")

    cluster = Cluster(sys.argv[1])
    if sys.argv[2] == "used":
        put(cluster.client, "k")
    if sys.argv[2] == "closed":
        cluster.close()
        atexit.unregister(flush)
        def closed():
            try:
                put(cluster.client, "k")
            except Exception as error:
                sys.stdout.write(type(error).__name__)
        atexit.register(closed)
"""


@pytest.mark.parametrize("way", ["used", "unused"])
@pytest.mark.parametrize("loop", [(), ("shared",), ("its own",)], ids=["threads", "loop", "loop of its own"])
def test_exit_handlers_may_use_a_cluster(
    local: LocalCluster, prepared: Cluster, way: str, loop: tuple[str, ...]
) -> None:
    """Also such that were registered before our import, and run after our own handler. Python 3.12 and newer start no
    thread then."""
    assert run(EXIT, local.url, way, *loop) == "first last "
    for when in ("first", "last"):
        for number in range(5):
            assert get(prepared.client, f"{when}-{number}") is not None
            assert not loop or get(prepared.client, f"{when}-async-{number}") is not None


def test_what_was_closed_stays_closed_at_the_exit(local: LocalCluster, prepared: Cluster) -> None:
    assert run(EXIT, local.url, "closed") == "ClusterClosedError"


def test_a_forgotten_cluster_leaves_nothing(local: LocalCluster, prepared: Cluster) -> None:
    prepared.close()
    until(lambda: not our_threads())
    cluster = Cluster(local.url)
    put(cluster.client, "k")
    assert our_threads()
    gone = weakref.ref(cluster)
    until(lambda: not [name for name in our_threads() if "lookup" in name])  # it holds the cluster while it asks
    del cluster
    until(lambda: gc.collect() is not None and gone() is None, "the cluster is collected")
    until(lambda: not our_threads(), "its threads have ended")
    until(lambda: sum(node.open_connections for node in local.nodes) == 0, "its connections are closed")


def test_the_collector_may_come_where_a_lock_is_held(prepared: Cluster) -> None:
    """The finalizer runs in whatever thread the collector does, which may be inside of our own code."""
    locks = [
        prepared.core.pools._lock,
        prepared.core.control._lock,
        prepared.core.membership._lock,
        prepared.core.monitor._lock,
    ]
    for lock in locks:
        assert lock.acquire(timeout=10)
    finished = threading.Event()

    def collect() -> None:
        prepared.core.forgotten()
        finished.set()

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    assert finished.wait(10)
    for lock in locks:
        lock.release()
    until(lambda: not our_threads())


def test_closing_takes_a_limited_time_while_a_node_hangs(local: LocalCluster, prepared: Cluster) -> None:
    for node in local.nodes:
        node.hang()
    hung = [threading.Thread(target=_try, args=(prepared, f"k{number}")) for number in range(3)]
    for thread in hung:
        thread.start()
    until(lambda: sum(node.operations["PutItem"] for node in local.nodes) >= 3)
    started = time.monotonic()
    prepared.close()
    assert time.monotonic() - started < 8  # two seconds, and what a busy machine adds
    for node in local.nodes:
        node.resume()
    for thread in hung:
        thread.join(30)
    until(lambda: not our_threads())


def _try(cluster: Cluster, key: str) -> None:
    with contextlib.suppress(Exception):
        put(cluster.client, key)
