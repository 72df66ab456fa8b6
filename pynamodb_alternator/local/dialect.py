"""Alternator's dialect on a DynamoDB engine: what the server refuses, renames, omits and answers differently.

`parsing` makes a `Parsed` of a request's body. `Dialect.execute` looks up the rule of its operation: `tables`, `tags`,
`items`, `many_items` and `expiry` have these rules. Rules ask the engine through `engine_client`, which turns the
engine's errors into Alternator's, and get facts about tables from `catalogue`. Every refusal is a `DialectError`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import orjson

from . import isolation, parsing, quickness
from .answers import Answer, json_answer, validation
from .catalogue import Catalogue
from .engine_client import EngineClient
from .expiry import Expiry
from .items import ItemRules
from .many_items import ManyItemRules
from .options import Options
from .parsing import Parsed, Rule
from .tables import TableRules
from .tags import TagRules
from .vector_rules import VectorRules
from .virtual_tables import VirtualTables


class Dialect:
    """One for each cluster, shared by its nodes and threads. `lock`: the lock of an engine in process, or None."""

    def __init__(
        self,
        client: EngineClient,
        catalogue: Catalogue,
        options: Options,
        virtual_tables: VirtualTables,
        lock: AbstractContextManager[Any] | None,
    ) -> None:
        self._options = options
        self._client = client
        self._catalogue = catalogue
        self.expiry: Expiry = Expiry(client, catalogue, options.ttl_period)
        """Time to live, also for `LocalCluster.expire`."""
        self.vectors: VectorRules = VectorRules(client, options)
        """The rules for vectors: the other rules do not handle them."""
        self._rules: dict[str, Rule] = {
            **TableRules(client, catalogue).rules(),
            **TagRules(catalogue).rules(),
            **ItemRules(client, catalogue, lock).rules(),
            **ManyItemRules(client, catalogue, options, virtual_tables, in_process=lock is not None).rules(),
            **self.expiry.rules(),
            "DescribeEndpoints": _describe_endpoints,
        }

    def parse(self, target: str | None, body: bytes, asked: str, endpoint: str | None = None) -> Parsed:
        """The operation and parameters of a request to the node whose host is `asked`. Raises `DialectError`."""
        return parsing.parse(target, body, asked, self._catalogue.partition_key, endpoint)

    def request(self, operation: str, parameters: dict[str, Any]) -> Parsed:
        """A request that did not come through a socket."""
        return parsing.parse(f"DynamoDB_20120810.{operation}", orjson.dumps(parameters), "", lambda table: None)

    def is_quick(self, parsed: Parsed) -> bool:
        """Whether an engine in process executes the request within a few milliseconds."""
        longest = self._catalogue.longest_item(parsed.table)
        return quickness.is_quick(parsed, longest) and not self.expiry.is_due(parsed)

    def execute(self, parsed: Parsed) -> Answer:
        """The answer to a request. This may wait for the engine. Raises `DialectError` for a refusal."""
        self._check_isolation(parsed)
        self.expiry.sweep_before(parsed)
        return self.vectors.execute(parsed, self._by_rule)

    def _by_rule(self, parsed: Parsed) -> Answer:
        return self._rules[parsed.operation](parsed)

    def _write_isolation(self, table: str) -> str:
        info = self._catalogue.info(table)
        tag = info.tags.get(isolation.TAG) if info is not None else None
        return isolation.MODES[tag] if tag is not None else self._options.write_isolation

    def _check_isolation(self, parsed: Parsed) -> None:
        if parsed.table is None or not isolation.needs_read_before_write(parsed.operation, parsed.parameters):
            return
        if self._write_isolation(parsed.table) == isolation.FORBID_RMW:
            raise validation("Read-modify-write operations are disabled by 'forbid_rmw' write isolation policy.")


def _describe_endpoints(parsed: Parsed) -> Answer:
    return json_answer({"Endpoints": [{"Address": parsed.endpoint, "CachePeriodInMinutes": 1440}]})
