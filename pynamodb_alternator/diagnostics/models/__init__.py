"""Checks models, and the code that uses them: reports what behaves differently on Alternator than on DynamoDB."""

from .facts import AttributeFacts, IndexFacts, KeyFacts, ModelFacts, Position, Project
from .inspector import ALL_IDS, Ignored, inspect_project
from .modules import import_module, importable_here, is_installed, package_folders, source_roots
from .source import read_sources
from .tables import read_tables
from .values import ModelFinding, ModelReport

__all__ = [
    "ALL_IDS",
    "AttributeFacts",
    "Ignored",
    "IndexFacts",
    "KeyFacts",
    "ModelFacts",
    "ModelFinding",
    "ModelReport",
    "Position",
    "Project",
    "import_module",
    "importable_here",
    "inspect_project",
    "is_installed",
    "package_folders",
    "read_sources",
    "read_tables",
    "source_roots",
]
