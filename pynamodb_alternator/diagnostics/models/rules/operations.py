"""Does the code call operations that Alternator does not have, or that it refuses?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ..facts import Project, UseKind
from ..values import ModelFinding, Rule

__all__ = ["RULES", "check"]

_RULES: Final[Mapping[UseKind, tuple[Rule, str]]] = {
    "transaction": (
        Rule("transactions", "Alternator has no transactions: the request ends in an UnknownOperationException."),
        "For one item, give its write a condition. For several items that may be written independently, use "
        "Model.batch_write(), which is not atomic. Otherwise keep the data that belongs together in one item.",
    ),
    "partiql": (
        Rule("partiql", "Alternator has no PartiQL: the request ends in an UnknownOperationException."),
        "Write it with get, query, scan, save, update and delete.",
    ),
    "missing_operation": (
        Rule(
            "missing-operation",
            "Alternator has no backups, exports, imports, global tables, Kinesis streams or contributor insights: the "
            "request ends in an UnknownOperationException.",
        ),
        "Back up with ScyllaDB's own means, such as ScyllaDB Manager. A table is in all datacenters of its keyspace "
        "without being a global one. Instead of Kinesis there are DynamoDB Streams.",
    ),
    "throughput": (
        Rule("update-table", "Alternator refuses an UpdateTable with provisioned throughput."),
        "Remove the call: no throughput is provisioned.",
    ),
    "index_capacity": (
        Rule("consumed-capacity", "Alternator refuses ReturnConsumedCapacity=INDEXES."),
        "Ask for TOTAL, which item and batch operations return.",
    ),
}
RULES = tuple(rule for rule, _ in _RULES.values())


def check(project: Project) -> Iterator[ModelFinding]:
    for source, use in project.uses(*_RULES):
        rule, remedy = _RULES[use.kind]
        yield rule.of_use("error", source, use, remedy)
