"""Does the code make connections or clients that do not go to a cluster?"""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Project
from ..values import ModelFinding, Rule

__all__ = ["RULES", "check"]

_RULE = Rule("plain-client", "PynamoDB's own connections and boto3's own clients go to Amazon, or to one endpoint.")
_REMEDY = (
    "Call install(default=AlternatorConnection), which PynamoDB's Connection and TableConnection use too, or make "
    "AlternatorConnection and pynamodb_alternator.TableConnection yourself. Instead of boto3's clients, make those of "
    "pynamodb_alternator.boto3. All of them share the cluster with the models."
)
RULES = (_RULE,)


def check(project: Project) -> Iterator[ModelFinding]:
    for source, use in project.uses("plain_client"):
        yield _RULE.of_use("note", source, use, _REMEDY)
