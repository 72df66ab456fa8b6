"""The facts that the rules use: models, source files and tables, as values that need neither PynamoDB nor a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ...core.vector_dialects import IndexDefinition

__all__ = [
    "AttributeFacts",
    "ClassFacts",
    "IndexFacts",
    "KeyFacts",
    "ModelFacts",
    "Position",
    "Project",
    "SourceFacts",
    "TableFacts",
    "Use",
    "UseKind",
]

UseKind = Literal[
    "transaction",
    "partiql",
    "missing_operation",
    "count",
    "item_count",
    "number_condition",
    "nested_number_condition",
    "condition",
    "update",
    "remove_only",
    "index_capacity",
    "throughput",
    "rate_limit",
    "plain_client",
]
"""The kinds of uses that the search in source files finds."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A line of a file. The path is relative to the current directory, if the file is below it."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """One attribute of a key. `kind`: S, N or B. `is_whole`: whether PynamoDB always writes this number as an
    integer."""

    name: str
    role: Literal["HASH", "RANGE"]
    kind: str
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """An index. `is_local`: an LSI, else a GSI. `projection`: ALL, KEYS_ONLY or INCLUDE."""

    name: str
    is_local: bool
    keys: tuple[KeyFacts, ...]
    projection: str

    @property
    def title(self) -> str:
        return f"{'local ' if self.is_local else ''}index {self.name!r}"


@dataclass(frozen=True, slots=True)
class AttributeFacts:
    """An attribute of an item. `path`: its name in the table, after the names of the maps and lists around it.
    `kind`: its type in requests, such as NS. `purpose`: its special use by PynamoDB, if it has one."""

    path: str
    kind: str
    purpose: Literal["", "ttl", "version"] = ""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The facts of one model.

    `name`: module and class. `position`: where the class is defined, if this is known. `table_name`: None for a model
    without a table. `is_base`: whether other models derive from it.
    `is_on_cluster`: whether its requests go to a cluster, and not to Amazon. `refused`: the text of the error that its
    first request would raise because of its `Meta`; empty for none. `cluster`: the alias in `Meta.cluster`; None if
    `Meta` has none, so that the model belongs to the default cluster; empty if its cluster has no alias.
    `write_isolation`: as it is written in `Meta`. `canonical_numbers`: the setting in `Meta` or of the model's cluster;
    None if neither is known. `has_capacity`: whether `Meta` provisions throughput. `stream`: the view type of its
    stream; empty if it has none.
    """

    name: str
    position: Position | None
    table_name: str | None
    keys: tuple[KeyFacts, ...] = ()
    indexes: tuple[IndexFacts, ...] = ()
    vector_indexes: tuple[IndexDefinition, ...] = ()
    attributes: tuple[AttributeFacts, ...] = ()
    is_base: bool = False
    is_on_cluster: bool = True
    refused: str = ""
    host: str | None = None
    cluster: str | None = None
    write_isolation: str | None = None
    canonical_numbers: str | bool | None = None
    has_capacity: bool = False
    stream: str = ""
    tags: tuple[tuple[str, str], ...] = ()

    def attributes_for(self, purpose: str) -> tuple[AttributeFacts, ...]:
        return tuple(attribute for attribute in self.attributes if attribute.purpose == purpose)


@dataclass(frozen=True, slots=True)
class Use:
    """One use in the code. `text`: the code, shortened."""

    kind: UseKind
    position: Position
    text: str
    model: str = ""


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """A class at the top level of a file. `bases`: the dotted names of its bases."""

    name: str
    line: int
    bases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """A source file. `classes`: the classes that it defines. `models`: those of them that are models, and their lines,
    which are known when all files are read. `problem`: why it could not be read; empty if it was read."""

    file: str
    module: str
    uses: tuple[Use, ...] = ()
    classes: tuple[ClassFacts, ...] = ()
    models: tuple[tuple[str, int], ...] = ()
    problem: str = ""
    problem_line: int = 1


@dataclass(frozen=True, slots=True)
class TableFacts:
    """A table of the cluster. `exists`: whether the cluster has it. `problem`: why it could not be read.

    `write_isolation`: the full name of its write isolation; None if it may not be read. `ttl_attribute`: empty if the
    table has none; None if it may not be read.
    """

    exists: bool = True
    problem: str = ""
    keys: tuple[KeyFacts, ...] = ()
    indexes: tuple[IndexFacts, ...] = ()
    vector_indexes: tuple[IndexDefinition, ...] = ()
    write_isolation: str | None = None
    ttl_attribute: str | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """Models and the code around them.

    `models`: bases come before their subclasses. `named`: the modules that the user named. `tables`: by name; None if
    no cluster is checked. `canonical_numbers`: the setting of the checked cluster; None if there is none.
    """

    models: tuple[ModelFacts, ...]
    sources: tuple[SourceFacts, ...] = ()
    named: tuple[str, ...] = ()
    tables: Mapping[str, TableFacts] | None = None
    canonical_numbers: str | bool | None = None

    @property
    def with_tables(self) -> tuple[ModelFacts, ...]:
        """The models that have a table, without those that are only bases of others."""
        return tuple(model for model in self.models if model.table_name is not None)

    def table_of(self, model: ModelFacts) -> TableFacts | None:
        """The model's table, if the cluster has it and it could be read."""
        table = (self.tables or {}).get(model.table_name or "")
        return table if table is not None and table.exists and not table.problem else None

    def numbers_of(self, model: ModelFacts | None) -> str | bool | None:
        """Which numbers of the model's requests are sent in canonical form, by its `Meta` or the cluster."""
        own = None if model is None else model.canonical_numbers
        return self.canonical_numbers if own is None else own

    def uses(self, *kinds: UseKind) -> Iterator[tuple[SourceFacts, Use]]:
        """The uses of these kinds, file by file."""
        for source in self.sources:
            for use in source.uses:
                if use.kind in kinds:
                    yield source, use
