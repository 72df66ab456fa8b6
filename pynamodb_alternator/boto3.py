"""boto3 on a cluster: the code beside the models shares their topology, health, connections and rules.

    from pynamodb_alternator.boto3 import client, resource

    table = resource("default").Table("orders")

Needs the extra ``pynamodb-alternator[boto3]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._stubs import with_client_type, with_resource_type
from .cluster import Cluster
from .errors import ConfigurationError
from .registry import find_cluster
from .settings.config import ClusterConfig
from .transport._session import client_session

try:
    # boto3 itself imports the last two when the first resource is made. A child that is forked just then, by another
    # thread, would wait for that import for ever.
    import boto3.dynamodb.table
    import boto3.dynamodb.transform
    import boto3.session
except ModuleNotFoundError as _missing:
    raise ImportError(
        "pynamodb_alternator.boto3 needs boto3. Install it with: pip install 'pynamodb-alternator[boto3]'"
    ) from _missing

if TYPE_CHECKING:
    from ._stubs import Client, Resource

__all__ = ["client", "resource"]

_SERVICE = "dynamodb"


@with_client_type
def client(cluster: Cluster | ClusterConfig | str | None = None) -> Client:
    """A boto3 DynamoDB client over all nodes of `cluster`.

    Parameters are validated as boto3 does. The client has event handlers of its own, and everything else is the
    cluster's: closing it closes nothing.

    `cluster`: a `Cluster`, a `ClusterConfig`, an alias or a URL; the default cluster without it.

    Raises `ConfigurationError` if no cluster is meant.
    """
    session: Any = _Session(find_cluster(cluster, None, "boto3.client()"))
    made: Client = session.client(_SERVICE)
    return made


@with_resource_type
def resource(cluster: Cluster | ClusterConfig | str | None = None) -> Resource:
    """boto3's DynamoDB resource over all nodes of `cluster`, with tables, conditions and batch writers.

    `cluster`: as for `client`.
    """
    session: Any = _Session(find_cluster(cluster, None, "boto3.resource()"))
    made: Resource = session.resource(_SERVICE)
    return made


class _Session(boto3.session.Session):
    """A boto3 session whose DynamoDB clients are the cluster's."""

    def __init__(self, cluster: Cluster) -> None:
        # A session of its own: boto3 registers handlers in it, which turn Python values into attribute values. In
        # the cluster's session they would do that to the models' requests as well.
        super().__init__(botocore_session=client_session(), region_name=cluster.config.region)
        self._cluster = cluster

    def client(self, service_name: str, *args: Any, **options: Any) -> Any:
        if service_name != _SERVICE:
            raise ConfigurationError(f"The cluster has a client for {_SERVICE} only (asked for {service_name!r}).")
        return self._cluster.new_client(self._session, validate_parameters=True)
