"""Does Alternator accept the names of tables, indexes, key attributes and tags?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..facts import IndexFacts, ModelFacts, Project
from ..values import ModelFinding, Rule

__all__ = ["RULES", "check"]

_LONGEST_TABLE = 192
_LONGEST_WITH_INDEX = {False: 221, True: 220}
"""The largest number of characters in the names of a table and its index together, by whether the index is local."""
_RESERVED = ":attrs"
"""The column in which the server stores all attributes that are not keys."""
_ALLOWED = re.compile(r"[A-Za-z0-9_.-]{3,}")

_TABLE = Rule(
    "table-name",
    f"A table's name has 3 to {_LONGEST_TABLE} characters on Alternator (255 on DynamoDB): ASCII letters, digits, and "
    "_ . -",
)
_INDEX = Rule(
    "index-name",
    "The names of a table and its index have together at most 221 characters on Alternator (220 for a local index). An "
    "index's name has at least 3: ASCII letters, digits, and _ . -",
)
_KEY = Rule(
    "attrs-name", f"Alternator keeps a column {_RESERVED!r} of its own, so no key attribute can have this name."
)
_TAG = Rule("tag-text", "Alternator takes tags of ASCII only.")
RULES = (_TABLE, _INDEX, _KEY, _TAG)


def check(project: Project) -> Iterator[ModelFinding]:
    for model in project.with_tables:
        yield from _table(model, model.table_name or "")
        for index in model.indexes:
            yield from _index(model, index)
        for name in _key_names(model):
            if name == _RESERVED:
                yield _KEY.of_model("error", model, f"a key attribute is named {name!r}", "Give it another attr_name.")
        for key, value in model.tags:
            if not f"{key}{value}".isascii():
                remedy = "Write the tag in ASCII."
                yield _TAG.of_model("error", model, f"Meta.tags has {key!r}: {value!r}", remedy)


def _table(model: ModelFacts, name: str) -> Iterator[ModelFinding]:
    if not _ALLOWED.fullmatch(name):
        yield _TABLE.of_model("error", model, f"Meta.table_name is {name!r}", _spelling(name))
    elif len(name) > _LONGEST_TABLE:
        detail = f"Meta.table_name has {len(name)} characters: {name[:40]}..."
        yield _TABLE.of_model("error", model, detail, f"Shorten it by {len(name) - _LONGEST_TABLE}.")


def _index(model: ModelFacts, index: IndexFacts) -> Iterator[ModelFinding]:
    length = len(model.table_name or "") + len(index.name)
    most = _LONGEST_WITH_INDEX[index.is_local]
    if not _ALLOWED.fullmatch(index.name):
        yield _INDEX.of_model("error", model, f"{index.title} has a name that is refused", _spelling(index.name))
    elif length > most and len(model.table_name or "") <= _LONGEST_TABLE:
        detail = f"the table's name and that of {index.title} have {length} characters"
        yield _INDEX.of_model("error", model, detail, f"Shorten one of them by {length - most}.")


def _spelling(name: str) -> str:
    if len(name) < 3:
        return "Use at least 3 characters."
    wrong = "".join(dict.fromkeys(re.sub(r"[A-Za-z0-9_.-]", "", name)))
    return f"Leave out what is not allowed: {wrong!r}. DynamoDB does not take it either."


def _key_names(model: ModelFacts) -> set[str]:
    return {key.name for keys in (model.keys, *(index.keys for index in model.indexes)) for key in keys}
