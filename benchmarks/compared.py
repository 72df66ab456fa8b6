"""One turn of one checkout in `benchmarks.compare`, in its own process. It prints microseconds of CPU as JSON.

It uses nothing of its own folder, because the package that it measures may be that of another checkout.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pynamodb.attributes import BooleanAttribute, NumberAttribute, UnicodeAttribute

import pynamodb_alternator
from pynamodb_alternator import Cluster, ClusterConfig, Credentials

_BATCHES = 5
"""A turn has so many parts, which are timed separately. The minimum counts."""


def main(job: dict[str, Any]) -> None:
    package = Path(pynamodb_alternator.__file__).resolve().parent.parent
    if package != Path(job["checkout"]).resolve():
        raise SystemExit(f"the package of {package} was imported in place of that of {job['checkout']}")
    config = ClusterConfig(["127.0.0.1"], port=job["port"], credentials=Credentials("benchmark", "secret"))
    with Cluster(config) as cluster:
        calls = _calls(cluster, job["table"], job["pages"])
        gc.collect()
        gc.freeze()
        print(json.dumps({name: _least(call, job["counts"][name] // _BATCHES or 1) for name, call in calls.items()}))


def _calls(cluster: Cluster, table: str, pages: dict[str, str]) -> dict[str, Callable[[], Any]]:
    def model(name: str) -> Any:
        attributes: dict[str, Any] = {
            "key": UnicodeAttribute(hash_key=True),
            "number": NumberAttribute(),
            "name": UnicodeAttribute(),
            "text": UnicodeAttribute(),
            "flag": BooleanAttribute(),
            "score": NumberAttribute(),
            "Meta": type("Meta", (), {"table_name": name, "cluster": cluster}),
        }
        return type("Item", (pynamodb_alternator.Model,), attributes)

    single, client = model(table), cluster.client
    item = single.get("alice")
    several = [single("alice", number=number, name="n", text="x" * 100, flag=True, score=1.5) for number in range(25)]

    def batch_write() -> None:
        with single.batch_write() as batch:
            for each in several:
                batch.save(each)

    def query(size: int) -> Callable[[], None]:
        paged = model(pages[str(size)])

        def page() -> None:
            count = sum(1 for _ in paged.query("alice", limit=size))
            if count != size:
                raise SystemExit(f"a page had {count} items")

        return page

    return {
        "get": lambda: single.get("alice"),
        "save": item.save,
        "conditional update": lambda: item.update(actions=[single.number.set(5)], condition=single.number == 3),
        "batch write of 25": batch_write,
        "page of 100": query(100),
        "page of 1,000": query(1000),
        "client get": lambda: client.get_item(TableName=table, Key={"key": {"S": "alice"}}),
    }


def _least(call: Callable[[], Any], count: int) -> float:
    for _ in range(count // 4 + 1):
        call()
    figures = []
    for _ in range(_BATCHES):
        began = time.thread_time()
        for _ in range(count):
            call()
        figures.append((time.thread_time() - began) / count * 1e6)
    return min(figures)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
