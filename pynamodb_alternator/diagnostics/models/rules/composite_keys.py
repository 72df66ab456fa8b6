"""Does an index have a key of several attributes for one role?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ..facts import Project
from ..values import ModelFinding, Rule

__all__ = ["RULES", "check"]

_RULE = Rule(
    "composite-key", "Alternator takes one partition key and one sort key for an index, and not several attributes."
)
_REMEDY = "Keep the parts in one attribute as well, such as 'DE#Berlin', and make that the key of the index."
RULES = (_RULE,)


def check(project: Project) -> Iterator[ModelFinding]:
    for model in project.with_tables:
        for index in model.indexes:
            for role, count in Counter(key.role for key in index.keys).items():
                if count > 1:
                    names = ", ".join(key.name for key in index.keys if key.role == role)
                    kind = "partition" if role == "HASH" else "sort"
                    yield _RULE.of_model("error", model, f"{index.title} has {count} {kind} keys: {names}", _REMEDY)
