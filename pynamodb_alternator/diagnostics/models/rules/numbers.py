"""Does the code use numbers where 1 and 1.0 are different: as partition keys, as elements of sets, or in
comparisons?"""

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
    "For new tables set ClusterConfig(canonical_numbers=True), or canonical_numbers = True in Meta: then such keys are "
    "sent as DynamoDB stores them. For a table with items, `pynamodb-alternator check` without --models says whether "
    "that is safe. Or let every writer use int, or make the key a text."
)
_SET = Rule("number-set", "In a set of numbers, 1 and 1.0 are two elements on Alternator, and one on DynamoDB.")
_SET_REMEDY = (
    'This library sends the elements as DynamoDB stores them: canonical_numbers="sets", the default. Sets that other '
    "clients write, or wrote, may have both."
)
_OFF_REMEDY = 'canonical_numbers is False for these requests. Remove this, or write "sets".'
_CONDITION = Rule(
    "number-condition",
    "By =, <>, IN and contains, Alternator compares the texts of numbers, and it stores 1.0 at the top level of an "
    "item as 1: a condition with 1.0 is true for no item.",
)
_CONDITION_REMEDY = (
    'This library sends 1 for it: canonical_numbers="sets", the default. Other clients do not. An int is the same for '
    "all of them."
)
_NESTED = Rule(
    "nested-number-condition",
    "In a map or a list, Alternator stores a number as it was written, and compares this text by =, <>, IN and "
    "contains: 1 is not 1.0 there.",
)
_NESTED_REMEDY = (
    "Let every writer use int, or every writer float, and compare with the same. In a table that is copied from "
    "DynamoDB it is 1."
)
RULES = (_KEY, _SET, _CONDITION, _NESTED)


def check(project: Project) -> Iterator[ModelFinding]:
    for model in project.with_tables:
        if project.numbers_of(model) is not True:
            yield from _keys(model)
        yield from _sets(project, model)
    yield from _conditions(project)


def _keys(model: ModelFacts) -> Iterator[ModelFinding]:
    for key in model.keys:
        if _is_at_risk(key):
            yield _KEY.of_model("warning", model, f"partition key {key.name!r} is a number", _KEY_REMEDY)
    for index in model.indexes:
        for key in index.keys:
            if _is_at_risk(key) and not index.is_local:  # a local index has the partition key of the table
                detail = f"partition key {key.name!r} of {index.title} is a number"
                yield _KEY.of_model("warning", model, detail, _KEY_REMEDY)


def _is_at_risk(key: KeyFacts) -> bool:
    return key.role == "HASH" and key.kind == "N" and not key.is_whole


def _sets(project: Project, model: ModelFacts) -> Iterator[ModelFinding]:
    is_off = project.numbers_of(model) is False
    for attribute in model.attributes:
        if attribute.kind == "NS":
            remedy = _OFF_REMEDY if is_off else _SET_REMEDY
            yield _SET.of_model("warning" if is_off else "note", model, f"{attribute.path!r} is a number set", remedy)


def _conditions(project: Project) -> Iterator[ModelFinding]:
    models = {model.name: model for model in project.models}
    for source, use in project.uses("number_condition"):
        is_off = project.numbers_of(models.get(use.model)) is False
        remedy = _OFF_REMEDY if is_off else _CONDITION_REMEDY
        yield _CONDITION.of_use("warning" if is_off else "note", source, use, remedy)
    for source, use in project.uses("nested_number_condition"):
        yield _NESTED.of_use("warning", source, use, _NESTED_REMEDY)
