"""Does the code count the items of a whole table?"""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Project
from ..values import ModelFinding, Rule

__all__ = ["RULES", "check"]

_RULE = Rule("count", "Alternator's DescribeTable has no ItemCount, which Model.count() without a key asks for.")
_BY_SCAN = (
    "This library counts by a Scan, which reads the whole table. If this takes too long, keep a "
    "counter in an item of its own."
)
_STOCK = f"PynamoDB's own models give None. {_BY_SCAN}"
_ITEM_COUNT = "Call Model.count(), which this library answers by a Scan of the whole table, or keep a counter."
RULES = (_RULE,)


def check(project: Project) -> Iterator[ModelFinding]:
    stock = {model.name for model in project.models if not model.is_on_cluster}
    for source, use in project.uses("count"):
        yield _RULE.of_use("warning", source, use, _STOCK if use.model in stock else _BY_SCAN)
    for source, use in project.uses("item_count"):
        yield _RULE.of_use("warning", source, use, _ITEM_COUNT)
