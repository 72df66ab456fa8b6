"""Does an update only remove attributes?"""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Project
from ..values import ModelFinding, Rule

__all__ = ["RULES", "check"]

_RULE = Rule(
    "remove-only",
    "If the item does not exist, an update that only removes attributes creates it on DynamoDB, and not on Alternator.",
)
_REMEDY = "Nothing, unless the code needs the item. Then set an attribute in the same update."
RULES = (_RULE,)


def check(project: Project) -> Iterator[ModelFinding]:
    for source, use in project.uses("remove_only"):
        yield _RULE.of_use("note", source, use, _REMEDY)
