"""Do items expire, and is the expiry turned on for the table?"""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Project
from ..values import ModelFinding, Rule

__all__ = ["RULES", "check"]

_DELAY = Rule(
    "ttl-delay",
    "The server deletes expired items when it next scans the table: within 24 hours, or the time of its option "
    "alternator_ttl_period_in_seconds. Until then, reads return them.",
)
_DELAY_REMEDY = "Leave expired items out when you read, as DynamoDB recommends too: filter by the time."
_DISABLED = Rule("ttl-disabled", "Items expire by the attribute that the table's time to live names, and by no other.")
RULES = (_DELAY, _DISABLED)


def check(project: Project) -> Iterator[ModelFinding]:
    for model in project.with_tables:
        table = project.table_of(model)
        for attribute in model.attributes_for("ttl"):
            yield _DELAY.of_model("note", model, f"items expire by {attribute.path!r}", _DELAY_REMEDY)
            if table is not None and table.ttl_attribute not in (None, attribute.path):
                says = f"names {table.ttl_attribute!r}" if table.ttl_attribute else "is off"
                detail = f"items are to expire by {attribute.path!r}, and the time to live of the table {says}"
                remedy = "Call Model.update_ttl(ignore_update_ttl_errors=False) once."
                yield _DISABLED.of_model("warning", model, detail, remedy)
