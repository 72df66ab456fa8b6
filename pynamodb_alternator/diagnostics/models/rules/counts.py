"""Does the code count the items of a whole table?"""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Project
from ..values import ModelFinding, Rule

__all__ = ["RULES", "check"]

_RULE = Rule("count", "Alternator's DescribeTable has no ItemCount, which Model.count() without a key asks for.")
_BY_SCAN = (
    "The count is made by a Scan that reads the whole table, and costs as much. Keep a counter where that is dear."
)
_STOCK = (
    "It gives None. Derive the model from pynamodb_alternator.Model, which counts by a Scan of the whole table, or "
    "keep a counter."
)
RULES = (_RULE,)


def check(project: Project) -> Iterator[ModelFinding]:
    by_scan = {model.name for model in project.models if model.counts_by_scan}
    for source, use in project.uses("count"):
        if use.model in by_scan:
            yield _RULE.of_use("warning", source, use, _BY_SCAN)
        else:
            yield _RULE.of_use("error", source, use, _STOCK)
