"""Are numbers partition keys, or elements of sets, where 1 and 1.0 are not the same?"""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import KeyFacts, ModelFacts, Project
from ..values import ModelFinding, Rule

__all__ = ["RULES", "check"]

_KEY = Rule(
    "number-key",
    "As a partition key, 1 and 1.0 are two keys on Alternator, and one on DynamoDB: an item that is saved under 1.0 is "
    "not found under 1.",
)
_KEY_REMEDY = (
    "For tables without items set ClusterConfig(canonical_numbers=True), which writes such keys as DynamoDB does. For "
    "tables with items let every writer use int, or make the key a text."
)
_SET = Rule("number-set", "In a set of numbers, 1 and 1.0 are two elements on Alternator, and one on DynamoDB.")
_SET_REMEDY = (
    'This library writes the elements as DynamoDB does: ClusterConfig(canonical_numbers="sets"), the default. Items '
    "that other clients write, or wrote, may have both."
)
_SET_REMEDY_OFF = 'The cluster is configured with canonical_numbers=False. Take that out, or write "sets".'
RULES = (_KEY, _SET)


def check(project: Project) -> Iterator[ModelFinding]:
    for model in project.with_tables:
        if project.canonical_numbers is not True:
            yield from _keys(model)
        yield from _sets(project, model)


def _keys(model: ModelFacts) -> Iterator[ModelFinding]:
    for key in model.keys:
        if _is_at_risk(key):
            yield _KEY.of_model("warning", model, f"partition key {key.name!r} is a number", _KEY_REMEDY)
    for index in model.indexes:
        for key in index.keys:
            if _is_at_risk(key) and not index.is_local:  # that of a local index is the table's
                detail = f"partition key {key.name!r} of {index.title} is a number"
                yield _KEY.of_model("warning", model, detail, _KEY_REMEDY)


def _is_at_risk(key: KeyFacts) -> bool:
    return key.role == "HASH" and key.kind == "N" and not key.is_whole


def _sets(project: Project, model: ModelFacts) -> Iterator[ModelFinding]:
    is_off = project.canonical_numbers is False
    for attribute in model.attributes:
        if attribute.kind == "NS":
            remedy = _SET_REMEDY_OFF if is_off else _SET_REMEDY
            yield _SET.of_model("warning" if is_off else "note", model, f"{attribute.path!r} is a number set", remedy)
