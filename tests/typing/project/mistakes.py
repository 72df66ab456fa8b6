"""Mistakes that type checkers have to find: each line with a comment has exactly the errors that the comment names."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnusedImport=false

from __future__ import annotations

from typing import TYPE_CHECKING

from pynamodb_alternator import (
    Cluster,
    ClusterConfig,
    Gzip,
    Hedge,
    RackScope,
    Retries,
    Timeouts,
    Tls,
    VectorAttribute,
    VectorIndex,
    aio,
    configure,
    get_cluster,
    signals,
)

from .models import User
from .vectors import Document

if TYPE_CHECKING:
    # Misspelt names of the package and of its modules.
    from pynamodb_alternator import Clustr  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    from pynamodb_alternator.aio import AsyncClustr  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    from pynamodb_alternator.boto3 import resources  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    from pynamodb_alternator.contrib.prometheus import Promotheus  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    from pynamodb_alternator.errors import OutcomeUnknown  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    from pynamodb_alternator.local import LocalClustr  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    from pynamodb_alternator.signals import request_complete  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def settings() -> None:
    ClusterConfig(["10.0.0.1"], prot=8000)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ClusterConfig(["10.0.0.1"], port="8000")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ClusterConfig(["10.0.0.1"], load_balancing="idlest")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ClusterConfig(["10.0.0.1"], routing_scope="dc1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Timeouts(conect=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Timeouts(read="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Retries(silent_writes="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Hedge(after="p50%")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    RackScope("r1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Tls(verify="no")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    configure(default=8000)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    get_cluster(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ClusterConfig(["10.0.0.1"]).replace(prot=8000)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ClusterConfig(["10.0.0.1"]).replace(datacenter="dc1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ClusterConfig.from_url("http://10.0.0.1:8000", token_awar=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ClusterConfig.from_url("http://10.0.0.1:8000", region=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ClusterConfig.from_env(time_outs=Timeouts())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ClusterConfig(["10.0.0.1"]).port = 8000  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def options(cluster: Cluster) -> None:
    cluster.options(timeout=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cluster.options(timeouts=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cluster.options(token_aware="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cluster.options(request_compression=Gzip)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@get_cluster().options(hedge=False)
def report(day: str) -> int:
    return len(day)


def calls() -> None:
    report(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    report("monday").upper()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    get_cluster().refesh()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    get_cluster().nodes()[0].datacenter.upper()  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]


@signals.request_completed.connect
def on_completed(sender: Cluster, *, event: signals.RequestCompleted, **extra: object) -> None:
    event.attempt  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    event.node.upper()  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    event.duration = 0.0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    signals.request_done  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def models() -> None:
    user = User.get("alice")
    user.nam  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    user.visits.upper()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    user.name = 3  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    User.alternator_write_isolation(True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    User.alternator_write_isolation().upper()  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    with User.batch_write() as batch:
        batch.save("alice")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def vectors() -> None:
    VectorAttribute()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    VectorAttribute(dimensions="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    VectorIndex(distance="cosinus")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Document.embedding_index.search("cat", k=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Document.embedding_index.search([1.0])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Document.embedding_index.search([1.0], k=1)[0].titel  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


async def models_in_an_event_loop(user: User) -> None:
    await User.aio.get()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await User.aio.gett("alice")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    await User.aio.save()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    await user.aio.get("alice")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    await user.aio.save(conditon=None)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    User.aio.query("alice", prefetch="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await aio.run(User.get)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
