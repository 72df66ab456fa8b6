"""What the rules look at: models, source files and tables, as values that need neither PynamoDB nor a cluster."""

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
"""What the search in source files looks for."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A line of a file; the path is relative to the current directory where it is below it."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """One attribute of a key. `kind`: S, N or B. `is_whole`: a number that PynamoDB only ever writes as an integer."""

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
    """An attribute of an item. `path`: its name in the table, behind those of the maps and lists that it is in.
    `kind`: its type on the wire, such as NS. `purpose`: what PynamoDB does with it beside keeping it."""

    path: str
    kind: str
    purpose: Literal["", "ttl", "version"] = ""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a model says of itself.

    `name`: module and class. `position`: where the class is defined, if that is known. `table_name`: None for a model
    that names none. `is_base`: whether other models derive from it.
    `is_on_cluster`: whether its requests go to a cluster and not to Amazon. `refused`: what is wrong with its `Meta`,
    in the words of the error that its first request would raise. `cluster`: the alias in `Meta.cluster`; None if it has
    none and is of the default cluster, empty if its cluster has no alias. `write_isolation`: as `Meta` spells it.
    `canonical_numbers`: what `Meta` or the model's cluster says; None if neither is known. `has_capacity`: whether
    `Meta` provisions throughput. `stream`: what its stream tells; empty if it has none.
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
    """Something that the code does. `text`: what stands there, in short."""

    kind: UseKind
    position: Position
    text: str
    model: str = ""


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """A class at the top of a file. `bases`: the dotted names that its bases stand for."""

    name: str
    line: int
    bases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """A source file. `classes`: those that it defines. `models`: which of them are models, and their lines; that is
    known once all files are read. `problem`: why it could not be read; empty if it was."""

    file: str
    module: str
    uses: tuple[Use, ...] = ()
    classes: tuple[ClassFacts, ...] = ()
    models: tuple[tuple[str, int], ...] = ()
    problem: str = ""
    problem_line: int = 1


@dataclass(frozen=True, slots=True)
class TableFacts:
    """A table of the cluster. `exists`: whether the cluster has it. `problem`: why it could not be looked at.

    `write_isolation`: the full name of what holds for it; None if that may not be read. `ttl_attribute`: empty if the
    table has none, None if that may not be read.
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

    `models`: bases come before what derives from them. `named`: the modules that the user named. `tables`: by name;
    None where there is no cluster to look at. `canonical_numbers`: the setting of the cluster that was looked at; None
    if there is none.
    """

    models: tuple[ModelFacts, ...]
    sources: tuple[SourceFacts, ...] = ()
    named: tuple[str, ...] = ()
    tables: Mapping[str, TableFacts] | None = None
    canonical_numbers: str | bool | None = None

    @property
    def with_tables(self) -> tuple[ModelFacts, ...]:
        """The models that have a table: not those that are only bases of others."""
        return tuple(model for model in self.models if model.table_name is not None)

    def table_of(self, model: ModelFacts) -> TableFacts | None:
        """The model's table, if the cluster has it and let us look at it."""
        table = (self.tables or {}).get(model.table_name or "")
        return table if table is not None and table.exists and not table.problem else None

    def numbers_of(self, model: ModelFacts | None) -> str | bool | None:
        """Which numbers of the model's requests are sent in canonical form, as its `Meta` or the cluster says."""
        own = None if model is None else model.canonical_numbers
        return self.canonical_numbers if own is None else own

    def uses(self, *kinds: UseKind) -> Iterator[tuple[SourceFacts, Use]]:
        """What the code does of these kinds, file by file."""
        for source in self.sources:
            for use in source.uses:
                if use.kind in kinds:
                    yield source, use
