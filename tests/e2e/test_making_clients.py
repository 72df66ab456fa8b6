"""What it costs to make the client of a cluster, and that processes which fork or are patched meanwhile can make one.

All of it runs in an interpreter of its own.
"""

from __future__ import annotations

import os

import pytest

from pynamodb_alternator import Cluster
from pynamodb_alternator.local import LocalCluster
from tests.chaos.support import TABLE, create_table

from .test_processes import run

FORKS = 40

FORK = f"""
    import contextlib, os, signal, threading
    from pynamodb_alternator import Cluster
    from pynamodb_alternator.transport import _service
    with contextlib.suppress(ImportError):
        import pynamodb_alternator.boto3  # so that no child waits for a lock of an import

    done = threading.Event()
    made = 0

    def make():
        global made
        while not done.is_set():
            _service._read.clear()
            Cluster("https://127.0.0.1:8043").client
            made += 1

    makers = [threading.Thread(target=make) for _ in range(2)]
    for maker in makers:
        maker.start()
    try:
        for number in range({FORKS}):
            child = os.fork()
            if not child:
                signal.alarm(20)  # it ends in any case
                code = 1
                try:
                    cluster = Cluster("https://127.0.0.1:8043")
                    code = 0 if cluster.client.can_paginate("query") else 2
                finally:
                    os._exit(code)
            status = os.waitpid(child, 0)[1]
            assert status == 0, f"child {{number}}: {{status}}"
    finally:
        done.set()
        for maker in makers:
            maker.join()
    assert made > 2, made
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_while_clients_are_made_makes_its_own() -> None:
    run(FORK)


PRELOADED = """
    import sys, warnings
    from pynamodb_alternator import Cluster  # as a server that preloads the application does it
    if sys.argv[3] == "boto3":
        from pynamodb_alternator.boto3 import client
    from gevent import monkey
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", monkey.MonkeyPatchWarning)
        monkey.patch_all()
    import gevent

    with Cluster(f"{sys.argv[1]}/?ca={sys.argv[2]}") as cluster:
        made = client(cluster) if sys.argv[3] == "boto3" else cluster.client
        names = gevent.spawn(lambda: made.list_tables()["TableNames"])
        print(names.get(timeout=30))
        another = gevent.spawn(cluster.new_client).get(timeout=30)
        assert another.meta.endpoint_url == made.meta.endpoint_url
"""


@pytest.mark.parametrize("door", ["cluster", "boto3"])
def test_gevent_may_patch_after_the_package_was_imported(door: str) -> None:
    pytest.importorskip("gevent")
    if door == "boto3":
        pytest.importorskip("boto3")
    with LocalCluster(1, tls=True) as local, Cluster(f"{local.url}/?ca={local.tls.ca_file}") as cluster:
        create_table(cluster.client)
        assert run(PRELOADED, local.url, str(local.tls.ca_file), door) == f"[{TABLE!r}]\n"


COST = """
    import gc, time, tracemalloc
    import botocore.session
    from pynamodb_alternator import Cluster

    def ours():
        cluster = Cluster("http://127.0.0.1:8000")
        return cluster, cluster.client

    def stock():
        return botocore.session.Session().create_client("dynamodb", "us-east-1", endpoint_url="http://127.0.0.1:8000")

    def seconds(make):
        gc.collect()
        start = time.process_time()
        made = make()
        return time.process_time() - start

    kept = [ours()]
    stock()
    # In turn, so that both meet the same machine; and the least of each, because others use it too.
    pairs = [(seconds(ours), seconds(stock)) for _ in range(5)]
    mine, botocores = (min(column) for column in zip(*pairs))
    tracemalloc.start()
    kept += [ours() for _ in range(20)]
    gc.collect()
    print(mine, botocores, tracemalloc.get_traced_memory()[0] / 20)
"""


def test_a_further_cluster_is_cheap() -> None:
    seconds, botocores, size = map(float, run(COST).split())
    assert size <= 1.5e6
    assert seconds <= 0.3 * botocores
