"""The two lanes on which one attempt gets to a node.

A lane is made for one call. It may make several attempts, each on another node: the body is the same in all of them,
the Host header and the signature are new in each. `ShortLane` writes the request itself. `CompatibleLane` builds
botocore's request object and emits its events, for applications that hook them. Both lanes send equivalent requests,
and both send with the one `Sender` of the cluster.
"""

from .compatible import CompatibleLane
from .lane import Lane
from .sender import Sender
from .serializer import PARAMETERS, RequestSerializer, request_dict_of
from .short import ShortLane

__all__ = ["PARAMETERS", "CompatibleLane", "Lane", "RequestSerializer", "Sender", "ShortLane", "request_dict_of"]
