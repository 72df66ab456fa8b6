"""Does the code limit the rate of a query or a scan by the capacity that it uses?"""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Project
from ..values import ModelFinding, Rule

__all__ = ["RULES", "check"]

_RULE = Rule(
    "rate-limit",
    "Alternator returns no ConsumedCapacity for a Query or a Scan, so PynamoDB's rate_limit never waits.",
)
_REMEDY = "Give a page_size, and wait between the pages. Or let a role with a service level of its own do such work."
RULES = (_RULE,)


def check(project: Project) -> Iterator[ModelFinding]:
    for source, use in project.uses("rate_limit"):
        yield _RULE.of_use("warning", source, use, _REMEDY)
