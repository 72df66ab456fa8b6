"""Could all source files be read, and were all models that they define checked?"""

from __future__ import annotations

from collections.abc import Iterator

from ...severities import ModelSeverity
from ..facts import Project, SourceFacts
from ..values import ModelFinding, Rule

__all__ = ["RULES", "check"]

_RULE = Rule("unreadable-source", "The file could not be read, so the check does not know what its code does.")
_NOT_IMPORTED = Rule(
    "model-not-checked", "The check looks at the models of the modules that it imports, and at no others."
)
_NOT_IMPORTED_REMEDY = "Name their modules with --models as well, if these are models of the application."
RULES = (_RULE, _NOT_IMPORTED)


def check(project: Project) -> Iterator[ModelFinding]:
    for source in project.sources:
        if source.problem:
            remedy = "Correct the file, or name the files to search with --source."
            yield _RULE.of_source("warning", source, source.problem_line, source.problem, remedy)
        elif source.models:
            yield from _not_checked(project, source)


def _not_checked(project: Project, source: SourceFacts) -> Iterator[ModelFinding]:
    checked = {model.name for model in project.models}
    left_out = [(name, line) for name, line in source.models if f"{source.module}.{name}" not in checked]
    if left_out:
        is_below = any(f"{source.module}.".startswith(f"{name}.") for name in project.named)
        severity: ModelSeverity = "warning" if is_below else "note"
        detail = f"{', '.join(name for name, _ in left_out)} (--models {source.module})"
        yield _NOT_IMPORTED.of_source(severity, source, left_out[0][1], detail, _NOT_IMPORTED_REMEDY)
