"""The check of models: makes a report for the names of modules. See `diagnostics.models` for the rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..diagnostics.models import (
    Ignored,
    ModelFacts,
    ModelReport,
    Project,
    import_module,
    inspect_project,
    package_folders,
    read_sources,
    read_tables,
    source_roots,
)
from ..errors import ConfigurationError
from ..settings.checks import did_you_mean
from .model_facts import facts_of, models_in

if TYPE_CHECKING:
    from ..cluster import Cluster
    from ..diagnostics.models.facts import SourceFacts

__all__ = ["check_models"]


def check_models(
    modules: Sequence[str],
    *,
    sources: Iterable[Path] = (),
    cluster: Cluster | None = None,
    alias: str | None = None,
    ignored: Ignored | None = None,
) -> ModelReport:
    """Import the modules, and report what in their models and the code around them behaves differently on Alternator.

    `sources`: files and folders to search in addition to the packages of the modules. `cluster`: the cluster whose
    tables are compared; None for no comparison. `alias`: compare only the models of this cluster; models that name no
    cluster belong to ``"default"``. `ignored`: the findings to leave out. Raises `ConfigurationError` for a module that
    cannot be imported or has no models, for a wrong path, and for an alias that no model has.
    """
    models = tuple(facts_of(model) for model in models_in([import_module(name) for name in modules]))
    roots = [*source_roots(modules), *sources]
    files = read_sources(roots, {model.name for model in models}, package_folders(modules))
    if not models:
        raise ConfigurationError(_no_models(modules, files))
    tables = _tables_of(models, alias)
    if cluster is not None and alias is not None and not tables:
        raise ConfigurationError(_no_models_of(models, alias))
    project = Project(
        models=models,
        sources=files,
        named=tuple(modules),
        tables=None if cluster is None else read_tables(cluster.client, tables),
        # None where the cluster's configuration does not know the setting
        canonical_numbers=None if cluster is None else getattr(cluster.config, "canonical_numbers", None),
    )
    every = inspect_project(project)
    findings = tuple(finding for finding in every if ignored is None or finding not in ignored)
    return ModelReport(models, len(files), cluster is not None, findings, len(every) - len(findings))


def _tables_of(models: Iterable[ModelFacts], alias: str | None) -> list[str]:
    return [
        model.table_name
        for model in models
        if model.table_name is not None and (alias is None or alias == _alias_of(model))
    ]


def _alias_of(model: ModelFacts) -> str:
    return "default" if model.cluster is None else model.cluster


def _no_models_of(models: Iterable[ModelFacts], alias: str) -> str:
    aliases = sorted({_alias_of(model) for model in models if model.table_name is not None} - {""})
    meant = did_you_mean(alias, aliases) or f"Theirs are: {', '.join(aliases) or 'none'}."
    return f"No model is of the cluster {alias!r}, so there is nothing to compare. {meant}"


def _no_models(modules: Sequence[str], files: Iterable[SourceFacts]) -> str:
    text = f"{', '.join(modules)}: no PynamoDB model was found in {'it' if len(modules) == 1 else 'them'}."
    others = [file.module for file in files if file.models]
    if not others:
        return f"{text} Name the modules that define the models, such as shop.models."
    return f"{text} A package is imported without the modules in it. Write --models {' '.join(others)}"
