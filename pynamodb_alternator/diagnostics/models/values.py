"""The results of the check of models: findings, and a report of them."""

from __future__ import annotations

from dataclasses import dataclass

from ..severities import SEVERITIES, FailLevel, ModelSeverity
from .facts import ModelFacts, Position, SourceFacts, Use

__all__ = ["ModelFinding", "ModelReport", "Rule"]


@dataclass(frozen=True, slots=True)
class ModelFinding:
    """One thing that behaves differently on Alternator.

    `id`: the rule, a word that stays the same between versions. `severity`: ``"error"`` if requests fail, go to another
    place, or lose their protection; ``"warning"`` if data or results may be different; ``"note"`` for information.
    `subject`: the model, or the module with the code. `detail`: the part of the subject that behaves differently.
    `message`: what Alternator does, the same for all findings of a rule. `remedy`: what to do. `position`: the line in
    the code, if it is known.
    """

    id: str
    severity: ModelSeverity
    subject: str
    detail: str
    message: str
    remedy: str
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A difference between Alternator and DynamoDB: its stable name, and what Alternator does."""

    id: str
    message: str

    def of_model(self, severity: ModelSeverity, model: ModelFacts, detail: str, remedy: str) -> ModelFinding:
        return ModelFinding(self.id, severity, model.name, detail, self.message, remedy, model.position)

    def of_source(
        self, severity: ModelSeverity, source: SourceFacts, line: int, detail: str, remedy: str
    ) -> ModelFinding:
        position = Position(source.file, line)
        return ModelFinding(self.id, severity, source.module, detail, self.message, remedy, position)

    def of_use(self, severity: ModelSeverity, source: SourceFacts, use: Use, remedy: str) -> ModelFinding:
        return ModelFinding(self.id, severity, source.module, use.text, self.message, remedy, use.position)


@dataclass(frozen=True, slots=True)
class ModelReport:
    """The report of the check of models.

    `models`: the models that were checked. `files`: how many source files were searched. `compared`: whether the models
    were compared with the tables of a cluster. `findings`: the most severe first. `ignored`: how many findings the user
    accepts.
    """

    models: tuple[ModelFacts, ...]
    files: int
    compared: bool
    findings: tuple[ModelFinding, ...]
    ignored: int = 0

    def count(self, severity: ModelSeverity) -> int:
        return sum(finding.severity == severity for finding in self.findings)

    def fails(self, level: FailLevel) -> bool:
        """Whether one of the findings is at least as severe as `level`."""
        failing = () if level == "never" else SEVERITIES[: SEVERITIES.index(level) + 1]
        return any(finding.severity in failing for finding in self.findings)
