"""Alternator's dialect over a DynamoDB engine: what is refused, renamed, left out and answered differently.

`parsing` makes a `Parsed` of a request's body. `Dialect.execute` looks up the rule of its operation: `tables`, `tags`
and `many_items` have rules of their own; every other operation is on one item or is the engine's, and differs in its
write isolation and its ConsumedCapacity alone. Rules ask the engine through `engine_client`, which turns the engine's
errors into Alternator's, and know the tables through `catalogue`. A refusal is a `DialectError`, wherever it is
raised.
"""

from __future__ import annotations

from . import capacity, isolation, parsing
from .answers import Answer, json_answer, validation
from .catalogue import Catalogue
from .engine_client import EngineClient
from .many_items import ManyItemRules
from .options import Options
from .parsing import Parsed, Rule
from .tables import TableRules
from .tags import TagRules
from .virtual_tables import VirtualTables

QUICK = frozenset(["GetItem", "PutItem", "UpdateItem", "DeleteItem", "DescribeTable", "ListTagsOfResource"])
"""Operations on one item or none: an in-process engine is through with them in well under a millisecond."""


class Dialect:
    """One for each cluster, shared by its nodes and threads."""

    def __init__(
        self, client: EngineClient, catalogue: Catalogue, options: Options, virtual_tables: VirtualTables
    ) -> None:
        self._options = options
        self._client = client
        self._catalogue = catalogue
        self._rules: dict[str, Rule] = {
            **TableRules(self._client, self._catalogue).rules(),
            **TagRules(self._catalogue).rules(),
            **ManyItemRules(self._client, options, virtual_tables).rules(),
            "DescribeEndpoints": _describe_endpoints,
        }

    def parse(self, target: str | None, body: bytes, asked: str) -> Parsed:
        """The operation and parameters of a request to the node whose host is `asked`. Raises `DialectError`."""
        return parsing.parse(target, body, asked, self._catalogue.partition_key)

    def execute(self, parsed: Parsed) -> Answer:
        """The answer to a request. It may wait for the engine, and raises `DialectError` for a refusal."""
        rule = self._rules.get(parsed.operation)
        if rule is not None:
            return rule(parsed)
        self._check_isolation(parsed)
        parameters = parsed.parameters
        with_capacity = capacity.take_request(parameters)
        answer = self._client.call(parsed.operation, parameters)
        if with_capacity and not answer.is_error:
            capacity.add_to(answer, capacity.of_one_item(parsed.operation, parameters, answer))
        return answer

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
    return json_answer({"Endpoints": [{"Address": parsed.asked, "CachePeriodInMinutes": 1440}]})
