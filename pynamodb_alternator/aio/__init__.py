"""The cluster for asyncio: an aiobotocore client over all nodes.

    from pynamodb_alternator.aio import AsyncCluster

    async with AsyncCluster("http://10.0.0.1:8000") as cluster:
        client = await cluster.client()
        await client.put_item(TableName="orders", Item={"id": {"S": "a"}})

Needs the extra ``pynamodb-alternator[async]``.
"""

try:
    import aiobotocore.session as _  # noqa: F401
except ModuleNotFoundError as _missing:
    raise ImportError(
        "pynamodb_alternator.aio needs aiobotocore. Install it with: pip install 'pynamodb-alternator[async]'"
    ) from _missing

from .cluster import AsyncCluster
from .pool import EventLoopError

__all__ = ["AsyncCluster", "EventLoopError"]
