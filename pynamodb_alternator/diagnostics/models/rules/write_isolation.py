"""Does the write isolation of each table fit the conditions and updates of the code?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ....settings.write_isolation import FORBID_RMW, UNSAFE_RMW, parse
from ..facts import ModelFacts, Project, Use
from ..values import ModelFinding, Rule

__all__ = ["RULES", "check"]

_RULE = Rule(
    "write-isolation",
    "The table's write isolation decides what happens to a write with a condition, to Model.update(), and to other "
    "writes that read the item first: forbid_rmw refuses them, and with unsafe_rmw another write may come between the "
    "read and the write.",
)
_REMEDY = (
    "Give the table only_rmw_uses_lwt: Meta.write_isolation for new tables, "
    "Model.alternator_write_isolation('only_rmw_uses_lwt') for existing ones."
)
_CONDITIONAL = Rule(
    "conditional-write",
    "A write with a condition, each Model.update(), and any other write that reads the item first need a lightweight "
    "transaction on Alternator. The table's write isolation, or the server's default, must provide it.",
)
_CONDITIONAL_REMEDY = "Set Meta.write_isolation = 'only_rmw_uses_lwt', or run this check with the cluster."
RULES = (_RULE, _CONDITIONAL)

_KINDS: Final = ("condition", "update")
_SHOWN = 3
"""The largest number of places that a finding names."""


def check(project: Project) -> Iterator[ModelFinding]:
    unknown = False
    for model in project.with_tables:
        yield from _setting(project, model)
        isolation, source = _isolation_of(project, model)
        if isolation is None:
            unknown = True
            for attribute in model.attributes_for("version"):
                detail = f"the version attribute {attribute.path!r} makes each save conditional"
                yield _CONDITIONAL.of_model("note", model, detail, _CONDITIONAL_REMEDY)
        elif isolation in (FORBID_RMW, UNSAFE_RMW):
            yield from _unfit(project, model, isolation, source)
    if unknown:
        for file, use in project.uses(*_KINDS):
            yield _CONDITIONAL.of_use("note", file, use, _CONDITIONAL_REMEDY)


def _isolation_of(project: Project, model: ModelFacts) -> tuple[str | None, str]:
    """The write isolation that the table has, or will have, and where this is set."""
    table = project.table_of(model)
    if table is not None and table.write_isolation is not None:
        return table.write_isolation, "the table's write isolation"
    return parse(model.write_isolation), "Meta.write_isolation"


def _setting(project: Project, model: ModelFacts) -> Iterator[ModelFinding]:
    """Findings about ``Meta.write_isolation`` itself."""
    if model.write_isolation is None:
        return
    meant = parse(model.write_isolation)
    table = project.table_of(model)
    if meant is None:
        detail = f"Meta.write_isolation is {model.write_isolation!r}"
        remedy = "Write one of 'only_rmw_uses_lwt', 'always', 'forbid_rmw', 'unsafe_rmw'."
        yield _RULE.of_model("error", model, detail, remedy)
    elif table is not None and table.write_isolation not in (None, meant):
        detail = f"Meta.write_isolation is {meant!r}, and the table has {table.write_isolation!r}"
        remedy = (
            "Meta is used only when the table is made. Correct Meta, or change the table: "
            f"Model.alternator_write_isolation({meant!r})."
        )
        yield _RULE.of_model("warning", model, detail, remedy)


def _unfit(project: Project, model: ModelFacts, isolation: str, source: str) -> Iterator[ModelFinding]:
    said = f"{source} is {isolation!r}"
    for attribute in model.attributes_for("version"):
        effect = "each save is refused" if isolation == FORBID_RMW else "two writers of a version may both succeed"
        detail = f"{said}, and there is a version attribute {attribute.path!r}: {effect}"
        yield _RULE.of_model("error", model, detail, _REMEDY)
    uses = [use for _, use in project.uses(*_KINDS)]
    if uses:
        detail = f"{said}, and the code has conditional writes or updates, perhaps of this table: {_positions(uses)}"
        yield _RULE.of_model("warning", model, detail, _REMEDY)


def _positions(uses: list[Use]) -> str:
    positions = list(dict.fromkeys(str(use.position) for use in uses))
    more = f" and {len(positions) - _SHOWN} more" if len(positions) > _SHOWN else ""
    return ", ".join(positions[:_SHOWN]) + more
