"""Does a table have a stream?"""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Project
from ..values import ModelFinding, Rule

__all__ = ["RULES", "check"]

_RULE = Rule(
    "stream",
    "Alternator's streams have far more shards than DynamoDB's, and report a change 10 seconds later by default. They "
    "do not distinguish an insert from a change, and report writes that change nothing, unless the server's option "
    "alternator_streams_increased_compatibility is set.",
)
_REMEDY = "Check that the readers of the stream can handle this, or set the option, which makes every write slower."
RULES = (_RULE,)


def check(project: Project) -> Iterator[ModelFinding]:
    for model in project.with_tables:
        if model.stream:
            yield _RULE.of_model("note", model, f"Meta.stream_view_type is {model.stream!r}", _REMEDY)
