"""Does an index project less than all attributes?"""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Project
from ..values import ModelFinding, Rule

__all__ = ["RULES", "check"]

_RULE = Rule(
    "index-projection",
    "Alternator stores all attributes in each index, whatever its projection is, and DescribeTable says ALL.",
)
_REMEDY = (
    "Plan for the disk space of a whole item for each index. A query of the index returns whole items: name the "
    "attributes that you want in attributes_to_get. A projection hides nothing; AllProjection() describes what happens."
)
RULES = (_RULE,)


def check(project: Project) -> Iterator[ModelFinding]:
    for model in project.with_tables:
        for index in model.indexes:
            if index.projection != "ALL":
                yield _RULE.of_model("warning", model, f"{index.title} projects {index.projection}", _REMEDY)
