"""Does a model provision throughput?"""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Project
from ..values import ModelFinding, Rule

__all__ = ["RULES", "check"]

_RULE = Rule("provisioned-throughput", "Alternator ignores provisioned throughput when it makes a table.")
_REMEDY = "Nothing. billing_mode = 'PAY_PER_REQUEST' in Meta describes what happens."
RULES = (_RULE,)


def check(project: Project) -> Iterator[ModelFinding]:
    for model in project.with_tables:
        if model.has_capacity:
            yield _RULE.of_model("note", model, "Meta has read_capacity_units or write_capacity_units", _REMEDY)
