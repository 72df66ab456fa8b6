"""Does the cluster have the tables and indexes of the models, with the same keys?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ....core.vector_dialects import IndexDefinition
from ..facts import IndexFacts, KeyFacts, ModelFacts, Project, TableFacts
from ..values import ModelFinding, Rule

__all__ = ["RULES", "check"]

_UNREADABLE = Rule("table-unreadable", "A table that could not be read was not compared with the models.")
_MISSING = Rule("table-missing", "The cluster does not have the table.")
_KEYS = Rule("key-schema", "The keys of a table cannot be changed, and a request with other keys is refused.")
_INDEX_MISSING = Rule("index-missing", "The cluster does not have the index, so queries and scans of it are refused.")
_INDEX_KEYS = Rule("index-key-schema", "The keys of an index cannot be changed, and a query by other keys is refused.")
_VECTORS_MISSING = Rule("vector-index-missing", "The cluster does not have the vector index: searches are refused.")
_VECTORS = Rule("vector-index", "Attribute, dimensions and distance of a vector index cannot be changed.")
RULES = (_UNREADABLE, _MISSING, _KEYS, _INDEX_MISSING, _INDEX_KEYS, _VECTORS_MISSING, _VECTORS)

_NEW_TABLE = "Correct the model; or make a table under another name, and copy the items."
_NEW_LOCAL_INDEX = "A local index is made with its table only: make a new table, and copy the items."
_NEW_INDEX = "Add it with UpdateTable (GlobalSecondaryIndexUpdates, Create); it is filled in the background."


def check(project: Project) -> Iterator[ModelFinding]:
    for model in project.with_tables:
        table = (project.tables or {}).get(model.table_name or "")
        if table is None:
            continue
        name = f"table {model.table_name!r}"
        if table.problem:
            remedy = (
                "Check that the cluster answers, and that the role may describe tables. The check without --models "
                "helps."
            )
            yield _UNREADABLE.of_model("error", model, f"{name}: {table.problem}", remedy)
        elif not table.exists:
            remedy = "Model.create_table(wait=True) makes it with its indexes. Or correct Meta.table_name."
            yield _MISSING.of_model("warning", model, name, remedy)
        else:
            yield from _compared(model, table)


def _compared(model: ModelFacts, table: TableFacts) -> Iterator[ModelFinding]:
    if _schema(model.keys) != _schema(table.keys):
        detail = f"the model has {_said(model.keys)}, and table {model.table_name!r} has {_said(table.keys)}"
        yield _KEYS.of_model("error", model, detail, _NEW_TABLE)
    existing = {index.name: index for index in table.indexes}
    for index in model.indexes:
        other = existing.get(index.name)
        if other is None:
            remedy = _NEW_LOCAL_INDEX if index.is_local else _NEW_INDEX
            yield _INDEX_MISSING.of_model("error", model, f"{index.title} of table {model.table_name!r}", remedy)
        elif (index.is_local, _schema(index.keys)) != (other.is_local, _schema(other.keys)):
            detail = f"the model's {index.title} has {_said(index.keys)}, and that of the table {_kind(index, other)}"
            remedy = "Correct the model, or delete the index and make a new one under another name."
            yield _INDEX_KEYS.of_model("error", model, detail, remedy)
    yield from _compared_vectors(model, table)


def _compared_vectors(model: ModelFacts, table: TableFacts) -> Iterator[ModelFinding]:
    existing = {index.name: index for index in table.vector_indexes}
    for index in model.vector_indexes:
        other = existing.get(index.name)
        title = f"vector index {index.name!r}"
        if other is None:
            remedy = "Its create(wait=True) adds it to the table, such as Document.embedding_index.create(wait=True)."
            yield _VECTORS_MISSING.of_model("error", model, f"{title} of table {model.table_name!r}", remedy)
        elif _vectors_said(index) != _vectors_said(other):
            detail = f"the model's {title} has {_vectors_said(index)}, and that of the table has {_vectors_said(other)}"
            remedy = (
                "Correct the model; or delete() the index and create(wait=True) it anew, without searches until then."
            )
            yield _VECTORS.of_model("error", model, detail, remedy)


def _vectors_said(index: IndexDefinition) -> str:
    return f"{index.dimensions} dimensions of {index.attribute!r} by {index.distance}"


def _kind(index: IndexFacts, other: IndexFacts) -> str:
    if index.is_local != other.is_local:
        return f"is a {'local' if other.is_local else 'global'} one with {_said(other.keys)}"
    return f"has {_said(other.keys)}"


def _schema(keys: Sequence[KeyFacts]) -> frozenset[tuple[str, str, str]]:
    return frozenset((key.name, key.role, key.kind) for key in keys)


def _said(keys: Sequence[KeyFacts]) -> str:
    return ", ".join(f"{key.name} ({key.role}, {key.kind})" for key in sorted(keys, key=lambda key: key.role)) or "none"
