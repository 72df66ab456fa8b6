"""The check of models: runs every rule, and returns the findings, the most severe ones first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from ...errors import ConfigurationError
from ...settings.checks import did_you_mean
from ..severities import SEVERITIES
from .facts import Project
from .rules import (
    clients,
    composite_keys,
    connections,
    counts,
    index_projection,
    names,
    numbers,
    operations,
    rate_limits,
    removals,
    sources,
    streams,
    tables,
    throughput,
    ttl,
    write_isolation,
)
from .values import ModelFinding

__all__ = ["ALL_IDS", "Ignored", "inspect_project"]

_MODULES: Final = (
    connections,
    clients,
    operations,
    tables,
    names,
    composite_keys,
    numbers,
    write_isolation,
    counts,
    rate_limits,
    index_projection,
    ttl,
    streams,
    removals,
    throughput,
    sources,
)
ALL_IDS: Final = tuple(rule.id for module in _MODULES for rule in module.RULES)
"""The names of all rules."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """The findings that a user accepts: pairs of a rule's name and a subject; an empty subject means all subjects."""

    pairs: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Make it of ``index-projection`` or ``index-projection:shop.models.Order``, separated by commas.

        Raises `ConfigurationError` for a name that no rule has.
        """
        pairs = set()
        for text in (part.strip() for whole in texts for part in whole.split(",")):
            name, _, subject = text.partition(":")
            if not text:
                continue
            if name not in ALL_IDS:
                meant = did_you_mean(name, ALL_IDS) or f"The names are: {', '.join(sorted(ALL_IDS))}."
                raise ConfigurationError(f"--ignore: no finding has the name {name!r}. {meant}")
            pairs.add((name, subject.strip()))
        return cls(frozenset(pairs))

    def __contains__(self, finding: ModelFinding) -> bool:
        return not self.pairs.isdisjoint({(finding.id, ""), (finding.id, finding.subject)})


def inspect_project(project: Project) -> list[ModelFinding]:
    """The findings of the rules, the most severe ones first. The findings of one rule come together.

    If a model has a finding only because of a base with the same table, the finding is reported only for the base.
    """
    tables_of = {model.name: model.table_name or model.name for model in project.models}
    findings: dict[tuple[str, ...], ModelFinding] = {}
    for module in _MODULES:
        for finding in module.check(project):
            about = tables_of.get(finding.subject)
            position = "" if about is not None else str(finding.position)
            findings.setdefault((finding.id, about or finding.subject, finding.detail, position), finding)
    order = {name: number for number, name in enumerate(ALL_IDS)}
    return sorted(
        findings.values(), key=lambda finding: (SEVERITIES.index(finding.severity), order[finding.id], finding.remedy)
    )
