"""ScyllaDB's own tables, seen through Alternator: ``.scylla.alternator.<keyspace>.<table>``."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from .answers import DialectError, validation
from .options import Options

PREFIX = ".scylla.alternator."

Row = dict[str, Any]


class Member:
    """What the tables tell of one node."""

    def __init__(self, host: str, datacenter: str, rack: str, up: bool, joined: bool) -> None:
        self.host = host
        self.datacenter = datacenter
        self.rack = rack
        self.up = up
        self.joined = joined
        self.host_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, host))


class VirtualTables:
    """Rows made at each read. `members` gives the nodes, the asked one first."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.members: Callable[[], Sequence[Member]] = tuple

    def read(self, operation: str, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError
