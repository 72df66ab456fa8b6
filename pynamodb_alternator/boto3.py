"""boto3 on a cluster: code without models shares the models' topology, health, connections and rules.

    >>> from pynamodb_alternator.boto3 import client, resource
    >>> table = resource("default").Table("orders")

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
    # boto3 itself imports the last two when the first resource is made. If another thread forked at this moment, the
    # child would wait for this import for ever.
    import boto3.dynamodb.table
    import boto3.dynamodb.transform
    import boto3.session
except ModuleNotFoundError as _missing:
    raise ImportError(
        "pynamodb_alternator.boto3 needs boto3. Install the extra: pip install 'pynamodb-alternator[boto3]'"
    ) from _missing

if TYPE_CHECKING:
    from ._stubs import Client, Resource

__all__ = ["client", "resource"]

_SERVICE = "dynamodb"


@with_client_type
def client(cluster: Cluster | ClusterConfig | str | None = None) -> Client:
    """A boto3 DynamoDB client over all nodes of `cluster`.

    Parameters are validated as by boto3. The client has event handlers of its own. Everything else belongs to the
    cluster, so closing the client closes nothing.

    `cluster`: a `Cluster`, a `ClusterConfig`, an alias or a URL; None for the default cluster.

    Raises `ConfigurationError` if no cluster is configured.
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
    """A boto3 session whose DynamoDB clients go to the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        # It has a botocore session of its own: boto3 registers handlers in it that make attribute values of Python
        # values. In the cluster's session they would change the models' requests too.
        super().__init__(botocore_session=client_session(), region_name=cluster.config.region)
        self._cluster = cluster

    def client(self, service_name: str, *args: Any, **options: Any) -> Any:
        if service_name != _SERVICE:
            raise ConfigurationError(f"The cluster has a client for {_SERVICE} only (asked for {service_name!r}).")
        return self._cluster.new_client(self._session, validate_parameters=True)
