"""The cluster for asyncio: models whose requests are awaited, and an aiobotocore client over all nodes.

    from pynamodb_alternator import aio

    user = await User.aio.get("alice")                  # a model of pynamodb_alternator.Model
    users = await aio.run(list, User.query("alice"))    # any function that makes requests of models

    client = await aio.get_client()                     # of the cluster that the alias "default" means
    await client.put_item(TableName="orders", Item={"id": {"S": "a"}})

    async with aio.AsyncCluster("http://10.0.0.1:8000") as cluster:     # a cluster of one's own
        client = await cluster.client()

Needs the extra ``pynamodb-alternator[async]``.
"""

try:
    import aiobotocore.session as _  # noqa: F401
    import greenlet as __  # noqa: F401
except ModuleNotFoundError as _missing:
    raise ImportError(
        f"pynamodb_alternator.aio needs {_missing.name}. Install the extra: pip install 'pynamodb-alternator[async]'"
    ) from _missing

from .cluster import AsyncCluster
from .greenlets import run
from .loops import close_connections, get_client, get_cluster
from .pool import EventLoopError

__all__ = ["AsyncCluster", "EventLoopError", "close_connections", "get_client", "get_cluster", "run"]
